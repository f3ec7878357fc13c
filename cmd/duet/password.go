package main

import (
	"bufio"
	"errors"
	"io"
	"strings"

	"golang.org/x/term"
)

// passwordFlag says where a password comes from. There is no flag that takes the password itself:
// everybody on the machine could read it in the list of processes.
type passwordFlag struct {
	PasswordStdin bool `help:"Read the password from the first line of standard input. Otherwise it is the variable DUET_PASSWORD, or asked for."`
}

// read gets the password; repeat asks for it twice on a terminal.
func (p passwordFlag) read(a *app, user string, repeat bool) (string, error) {
	if p.PasswordStdin {
		line, err := bufio.NewReader(a.in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return "", fail(exitUsage, "", "--password-stdin: the first line of standard input is empty")
		}
		return line, nil
	}
	if password := a.getenv("DUET_PASSWORD"); password != "" {
		return password, nil
	}
	if a.keyboard == nil {
		return "", fail(exitUsage, "Give it by --password-stdin or the variable DUET_PASSWORD.", "there is no terminal to ask for a password")
	}
	password, err := a.ask("Password for " + user + ": ")
	if err != nil || !repeat {
		return password, err
	}
	again, err := a.ask("Once more: ")
	if err == nil && again != password {
		err = fail(exitUsage, "", "the two passwords differ")
	}
	return password, err
}

// ask reads a line from the terminal without showing it. The terminal is raw meanwhile: nothing is
// shown that is typed early, and Ctrl-C ends the question rather than nothing.
func (a *app) ask(prompt string) (string, error) {
	before, err := term.MakeRaw(int(a.keyboard.Fd()))
	if err != nil {
		return "", err
	}
	defer term.Restore(int(a.keyboard.Fd()), before)
	line, err := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{a.keyboard, a.err}, "").ReadPassword(prompt)
	if errors.Is(err, io.EOF) {
		return "", errInterrupted
	}
	return line, err
}
