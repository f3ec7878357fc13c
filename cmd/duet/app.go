package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/duet-chat/duet/client"
)

// Exit codes.
const (
	exitOK          = 0
	exitRefused     = 1 // the server said no
	exitUsage       = 2
	exitUnreachable = 3 // no answer from the endpoint
	exitSignedOut   = 4 // not signed in, or no longer
)

const description = `Chat one to one from a terminal.

Exit codes: 0 done, 1 refused, 2 wrong usage, 3 the endpoint does not answer, 4 not signed in.
Accounts, and what their devices remember, are kept in DUET_HOME (default: duet in the user's configuration folder).`

// commandLine is the whole of it.
type commandLine struct {
	Endpoint string `default:"http://localhost:4566" env:"DUET_ENDPOINT" placeholder:"URL|FILE" help:"A local cloud's URL, or a file with a deployed stack's outputs as JSON (sam list stack-outputs --output json)."`
	JSON     bool   `name:"json" help:"Print one JSON object per line."`

	Signup  signupCmd  `cmd:"" help:"Make an account, and sign in."`
	Signin  signinCmd  `cmd:"" help:"Sign in with an account that exists."`
	Chat    chatCmd    `cmd:"" help:"Chat with somebody, line by line. Works on a pipe, too."`
	Send    sendCmd    `cmd:"" help:"Send one message and wait until it is stored."`
	History historyCmd `cmd:"" help:"Print a conversation."`
	Who     whoCmd     `cmd:"" help:"List the accounts on this machine, or one's conversations."`
	Bench   benchCmd   `cmd:"" help:"Measure a deployment: latency, throughput, losses, memory."`
}

// app is the program with its surroundings, so that tests can give it others.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string

	commandLine commandLine
}

// run parses and executes one command line, and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	exit := -1
	parser, err := kong.New(&a.commandLine, kong.Name("duet"), kong.Description(description),
		kong.Writers(a.stdout, a.stderr), kong.Exit(func(code int) { exit = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(a))
	if err != nil {
		fmt.Fprintln(a.stderr, "duet:", err)
		return exitUsage
	}
	parsed, err := parser.Parse(args)
	if exit >= 0 { // --help
		return exit
	}
	if err != nil {
		fmt.Fprintf(a.stderr, "duet: %v (duet --help lists what there is)\n", err)
		return exitUsage
	}
	return a.report(parsed.Run())
}

// problem is an error that says what to do and with which code to end.
type problem struct {
	code   int
	remedy string
	err    error
}

func (p *problem) Error() string { return p.err.Error() }
func (p *problem) Unwrap() error { return p.err }

// report prints an error and returns its exit code.
func (a *app) report(err error) int {
	if err == nil {
		return exitOK
	}
	p := a.explain(err)
	if a.commandLine.JSON {
		a.print(map[string]any{"type": "error", "message": p.Error(), "remedy": p.remedy, "exit": p.code})
		return p.code
	}
	fmt.Fprintln(a.stderr, "duet:", p.Error())
	if p.remedy != "" {
		fmt.Fprintln(a.stderr, "     ", p.remedy)
	}
	return p.code
}

// explain finds the exit code of an error and what to do about it.
func (a *app) explain(err error) *problem {
	var known *problem
	var network *net.OpError
	var address *url.Error
	var refused *client.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, client.ErrUserExists):
		return &problem{exitRefused, "Choose another name, or sign in: duet signin NAME", err}
	case errors.Is(err, client.ErrBadCredentials):
		return &problem{exitRefused, "Check name and password. After an in-memory local cloud has restarted, its accounts are gone: sign up again.", err}
	case errors.Is(err, client.ErrUnauthorized):
		return &problem{exitSignedOut, "Sign in again: duet signin NAME", err}
	case errors.Is(err, client.ErrUnknownUser):
		return &problem{exitRefused, "They must sign up first: duet signup NAME", err}
	case errors.Is(err, client.ErrReplaced):
		return &problem{exitRefused, "The same account is open in another program on this machine.", err}
	case errors.As(err, &refused), errors.Is(err, client.ErrRefused), errors.Is(err, client.ErrWeakPassword), errors.Is(err, client.ErrBadName):
		return &problem{exitRefused, "", err}
	case errors.As(err, &network), errors.As(err, &address), errors.Is(err, os.ErrNotExist), errors.Is(err, context.DeadlineExceeded):
		return &problem{exitUnreachable, "Is the local cloud running? Start it with: make run. Another deployment is reached with --endpoint.", err}
	case errors.Is(err, context.Canceled):
		return &problem{exitRefused, "", errors.New("interrupted")}
	}
	return &problem{exitRefused, "", err}
}

// print writes one line of JSON.
func (a *app) print(v any) {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // who reads has gone if this fails
}

// password gets a password, from where it can be seen least.
type password struct {
	Password      string `env:"DUET_PASSWORD" help:"The password. Other users of this machine can see it in the list of processes: for throw-away accounts only. Better: DUET_PASSWORD, --password-stdin, or the prompt."`
	PasswordStdin bool   `help:"Read the password from the first line of standard input."`
}

func (p password) read(a *app, twice bool) (string, error) {
	if p.Password != "" {
		return p.Password, nil
	}
	file, isFile := a.stdin.(*os.File)
	terminal := isFile && term.IsTerminal(int(file.Fd()))
	switch {
	case p.PasswordStdin || !terminal:
		all, err := io.ReadAll(io.LimitReader(a.stdin, 4096))
		if err != nil {
			return "", err
		}
		line, _, _ := strings.Cut(string(all), "\n")
		if line = strings.TrimSuffix(line, "\r"); line == "" {
			return "", &problem{exitUsage, "Give it on standard input, in DUET_PASSWORD, or at a terminal's prompt.", errors.New("there is no password")}
		}
		return line, nil
	}
	ask := func(prompt string) (string, error) {
		fmt.Fprint(a.stderr, prompt)
		b, err := term.ReadPassword(int(file.Fd()))
		fmt.Fprintln(a.stderr)
		return string(b), err
	}
	first, err := ask("Password: ")
	if err != nil || !twice {
		return first, err
	}
	second, err := ask("Once more: ")
	if err == nil && first != second {
		err = &problem{exitUsage, "", errors.New("the passwords differ")}
	}
	return first, err
}

// isTerminal tells whether somebody types the input.
func (a *app) isTerminal() bool {
	file, ok := a.stdin.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
