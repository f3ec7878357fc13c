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

// read gets the old and the new password.
func (c *newPasswordCmd) read(a *app, user string) (old, proposed string, err error) {
	if c.PasswordStdin {
		lines := bufio.NewScanner(a.in)
		for _, into := range []*string{&old, &proposed} {
			if lines.Scan() {
				*into = strings.TrimRight(lines.Text(), "\r")
			}
		}
		if old == "" || proposed == "" {
			return "", "", fail(exitUsage, "", "--password-stdin: standard input must have the old password and the new one, each on a line")
		}
		return old, proposed, lines.Err()
	}
	old, proposed = a.getenv("DUET_PASSWORD"), a.getenv("DUET_NEW_PASSWORD")
	if a.keyboard == nil && (old == "" || proposed == "") {
		return "", "", fail(exitUsage, "Give them by --password-stdin or the variables DUET_PASSWORD and DUET_NEW_PASSWORD.", "there is no terminal to ask for passwords")
	}
	if old == "" {
		if old, err = a.ask("Old password for " + user + ": "); err != nil {
			return "", "", err
		}
	}
	if proposed == "" {
		if proposed, err = a.ask("New password: "); err != nil {
			return "", "", err
		}
		again, err := a.ask("Once more: ")
		if err != nil {
			return "", "", err
		}
		if again != proposed {
			return "", "", fail(exitUsage, "", "the two passwords differ")
		}
	}
	return old, proposed, nil
}

// question reads a line from the terminal.
func (a *app) question(prompt string) (string, error) {
	return a.typed(func(t *term.Terminal) (string, error) {
		t.SetPrompt(prompt)
		return t.ReadLine()
	})
}

// ask reads a line from the terminal without showing it. The terminal is raw meanwhile: nothing is
// shown that is typed early, and Ctrl-C ends the question rather than nothing.
func (a *app) ask(prompt string) (string, error) {
	return a.typed(func(t *term.Terminal) (string, error) { return t.ReadPassword(prompt) })
}

func (a *app) typed(read func(*term.Terminal) (string, error)) (string, error) {
	before, err := term.MakeRaw(int(a.keyboard.Fd()))
	if err != nil {
		return "", err
	}
	defer term.Restore(int(a.keyboard.Fd()), before)
	line, err := read(term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{a.keyboard, a.err}, ""))
	if errors.Is(err, io.EOF) {
		return "", errInterrupted
	}
	return line, err
}
