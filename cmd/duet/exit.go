package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"

	"github.com/duet-chat/duet/client"
	"github.com/duet-chat/duet/cmd/duet/vault"
)

// Exit codes: part of the interface, for scripts.
const (
	exitOK          = 0
	exitRefused     = 1 // by the server; in bench: a promise was broken
	exitUsage       = 2
	exitUnreachable = 3 // or no answer in time
	exitSignedOut   = 4 // not signed in, or the session has ended
	exitLocal       = 5 // a file cannot be read or written
	exitInterrupted = 130
)

// failure is an error with its exit code and what to do about it.
type failure struct {
	code   int
	err    error
	remedy string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// fail makes a failure with its remedy, which may be "".
func fail(code int, remedy, format string, args ...any) error {
	return &failure{code, fmt.Errorf(format, args...), remedy}
}

// exit tells what went wrong and returns the exit code.
func (a *app) exit(err error) int {
	if err == nil {
		return exitOK
	}
	f := a.explain(err)
	if f.err == nil { // told already
		return f.code
	}
	if a.JSON {
		line := struct {
			Error string `json:"error"`
			Code  string `json:"code,omitempty"`
			Do    string `json:"do,omitempty"`
			Exit  int    `json:"exit"`
		}{Error: f.err.Error(), Do: f.remedy, Exit: f.code}
		var refusal *client.Error
		if errors.As(err, &refusal) {
			line.Code = refusal.Code
		}
		fmt.Fprintln(a.err, jsonLine(line))
		return f.code
	}
	fmt.Fprintf(a.err, "duet: %v\n", f.err)
	if f.remedy != "" {
		fmt.Fprintln(a.err, f.remedy)
	}
	return f.code
}

// explain finds an error's exit code and remedy: the one table of both.
func (a *app) explain(err error) *failure {
	var (
		f       *failure
		refusal *client.Error
		network *url.Error
		dial    *net.OpError
		path    *fs.PathError
	)
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return &failure{code: exitInterrupted, err: errInterrupted}
	case errors.Is(err, client.ErrUnknownUser):
		return &failure{exitRefused, err, "They sign up with: " + a.command("signup NAME")}
	case errors.As(err, &refusal):
		return &failure{code: exitRefused, err: err}
	case errors.Is(err, client.ErrUserExists):
		return &failure{exitRefused, err, "If it is yours: " + a.command("signin NAME")}
	case errors.Is(err, client.ErrBadCredentials), errors.Is(err, client.ErrWeakPassword), errors.Is(err, client.ErrBadName),
		errors.Is(err, client.ErrNotConfirmed), errors.Is(err, client.ErrTooMany), errors.Is(err, client.ErrRefused),
		errors.Is(err, client.ErrReplaced), errors.Is(err, client.ErrNewEpoch):
		return &failure{code: exitRefused, err: err}
	case errors.As(err, &network), errors.As(err, &dial), errors.Is(err, context.DeadlineExceeded):
		return &failure{exitUnreachable, err, a.reachRemedy()}
	case errors.As(err, &path), errors.Is(err, vault.ErrDamaged):
		return &failure{code: exitLocal, err: err}
	}
	return &failure{code: exitRefused, err: err}
}

func (a *app) reachRemedy() string {
	if a.Endpoint == defaultEndpoint {
		return "Is the local cloud running? Start it with: make run. Another deployment is named by --endpoint URL|FILE, or the variable DUET_ENDPOINT."
	}
	return "Is it running, and is --endpoint " + a.Endpoint + " right?"
}
