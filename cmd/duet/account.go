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

type signoutCmd struct {
	Scope string `enum:"session,others,all" default:"session" help:"Which sessions to end: session (this one), others (all but this one), all."`
}

// Run signs out. The tokens are forgotten even if the server cannot be told.
func (c *signoutCmd) Run(ctx context.Context, a *app) error {
	acc, err := a.account(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	scope := client.Scope(c.Scope)
	ended := a.endSessions(ctx, acc, scope)
	if scope == client.OtherSessions {
		if ended != nil {
			return ended
		}
		return a.signedIn(acc.user, "signed out others", "%s has signed out everywhere else.", acc.user)
	}
	accounts := client.NewAccounts(acc.Endpoint, nil)
	if scope == client.AllSessions {
		ended = errors.Join(ended, accounts.SignOutEverywhere(ctx, acc.tokens.Access))
	}
	// On AWS, a sign-out everywhere has revoked it already; that is no error here.
	revoked := accounts.SignOut(ctx, acc.tokens.Refresh)
	if err := acc.Forget(acc.user); err != nil {
		return err
	}
	if revoked != nil {
		ended = errors.Join(ended, revoked)
	}
	if ended != nil {
		return ended
	}
	return a.signedIn(acc.user, "signed out", "%s has signed out.", acc.user)
}

// endSessions tells the server to end sessions. One that has ended already need not be.
func (a *app) endSessions(ctx context.Context, acc account, scope client.Scope) error {
	s, err := a.connect(ctx, acc, false, client.Config{})
	if err != nil {
		return err
	}
	defer s.close()
	err = s.SignOut(ctx, scope)
	if errors.Is(err, client.ErrClosed) && scope != client.OtherSessions {
		<-s.ended
		if errors.Is(s.err, client.ErrUnauthorized) || errors.Is(s.err, client.ErrBadCredentials) {
			return nil
		}
	}
	if err != nil {
		return s.explain(err)
	}
	return nil
}

type newPasswordCmd struct {
	PasswordStdin bool `help:"Read the old and the new password from the first two lines of standard input. Otherwise they are the variables DUET_PASSWORD and DUET_NEW_PASSWORD, or asked for."`
}

// Run changes the password, and ends all sessions but this one.
func (c *newPasswordCmd) Run(ctx context.Context, a *app) error {
	acc, err := a.account(ctx)
	if err != nil {
		return err
	}
	old, proposed, err := c.read(a, acc.user)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	access, _, err := acc.source(a).Token(ctx)
	if err != nil {
		return a.sessionEnded(acc.user, err)
	}
	if err := client.NewAccounts(acc.Endpoint, nil).ChangePassword(ctx, access, old, proposed); err != nil {
		return err
	}
	if err := a.endSessions(ctx, acc, client.OtherSessions); err != nil {
		return fail(exitUnreachable, "Try: "+a.command("signout --scope others --as %s", acc.user), "the password is changed, but the other sessions are not ended: %w", err)
	}
	return a.signedIn(acc.user, "password changed", "%s has a new password, and is signed out everywhere else.", acc.user)
}
