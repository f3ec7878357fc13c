package main

import (
	"context"
	"errors"

	"github.com/duet-chat/duet/client"
	"github.com/duet-chat/duet/cmd/duet/vault"
)

type signupCmd struct {
	User string `arg:"" help:"The new user's name: 1 to 36 of a-z 0-9 . _ -"`
	passwordFlag
}

// Run makes an account and signs in.
func (c *signupCmd) Run(ctx context.Context, a *app) error {
	d, err := a.discover(ctx)
	if err != nil {
		return err
	}
	password, err := c.read(a, c.User, true)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	if err := client.NewAccounts(d.Endpoint, nil).SignUp(ctx, c.User, password); err != nil {
		if errors.Is(err, client.ErrUserExists) {
			return fail(exitRefused, "If it is yours: "+a.command("signin %s", c.User), "%s: %w", c.User, err)
		}
		return err
	}
	if err := signIn(ctx, d, c.User, password); err != nil {
		return err
	}
	return a.signedIn(c.User, "signed up", "%s has signed up. Chat with: "+a.command("chat NAME --as %s", c.User), c.User)
}

type signinCmd struct {
	User string `arg:"" help:"The user's name."`
	passwordFlag
}

// Run signs in.
func (c *signinCmd) Run(ctx context.Context, a *app) error {
	d, err := a.discover(ctx)
	if err != nil {
		return err
	}
	password, err := c.read(a, c.User, false)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	if err := signIn(ctx, d, c.User, password); err != nil {
		return err
	}
	return a.signedIn(c.User, "signed in", "%s has signed in.", c.User)
}

func signIn(ctx context.Context, d vault.Deployment, user, password string) error {
	tokens, err := client.NewAccounts(d.Endpoint, nil).SignIn(ctx, user, password)
	if err != nil {
		return err
	}
	return d.SaveTokens(user, tokens)
}

// signedIn tells that an account is or was in use.
func (a *app) signedIn(user, event, format string, args ...any) error {
	if a.JSON {
		return a.object(struct {
			Event    string `json:"event"`
			User     string `json:"user"`
			Endpoint string `json:"endpoint"`
		}{event, user, a.Endpoint})
	}
	return a.line(format, args...)
}

type signoutCmd struct{}

// Run signs out. The tokens are forgotten even if the server cannot be told.
func (c *signoutCmd) Run(ctx context.Context, a *app) error {
	acc, err := a.account(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	revoked := client.NewAccounts(acc.Endpoint, nil).SignOut(ctx, acc.tokens.Refresh)
	if err := acc.Forget(acc.user); err != nil {
		return err
	}
	if revoked != nil {
		return revoked
	}
	return a.signedIn(acc.user, "signed out", "%s has signed out.", acc.user)
}
