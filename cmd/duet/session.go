package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"

	"github.com/duet-chat/duet/client"
	"github.com/duet-chat/duet/cmd/duet/vault"
)

// account is a user who has signed in at a deployment.
type account struct {
	vault.Deployment
	user   string
	tokens client.Tokens
}

// discover finds the deployment.
func (a *app) discover(ctx context.Context) (vault.Deployment, error) {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	if !isURL(a.Endpoint) {
		if _, err := os.Stat(a.Endpoint); err != nil {
			return vault.Deployment{}, fail(exitUsage, "It is a URL (http://…) or a file with the stack's outputs: sam list stack-outputs --output json", "--endpoint: %w", err)
		}
	}
	endpoint, err := client.Discover(ctx, a.Endpoint)
	if err != nil {
		return vault.Deployment{}, err
	}
	v, err := a.vault()
	if err != nil {
		return vault.Deployment{}, err
	}
	return v.At(a.Endpoint, endpoint), nil
}

func isURL(endpoint string) bool {
	return strings.HasPrefix(endpoint, "http://") || strings.HasPrefix(endpoint, "https://")
}

// account finds who runs the command: --as, or the only one who has signed in.
func (a *app) account(ctx context.Context) (account, error) {
	d, err := a.discover(ctx)
	if err != nil {
		return account{}, err
	}
	user := a.As
	if user == "" {
		users, err := d.Users()
		switch {
		case err != nil:
			return account{}, err
		case len(users) == 0:
			return account{}, fail(exitSignedOut, a.signInRemedy("NAME"), "nobody is signed in at %s on this machine", a.Endpoint)
		case len(users) > 1:
			return account{}, fail(exitUsage, "Say who you are: --as NAME, or the variable DUET_AS.", "several users are signed in here: %s", strings.Join(users, ", "))
		}
		user = users[0]
	}
	tokens, err := d.Tokens(user)
	if errors.Is(err, vault.ErrNoAccount) {
		return account{}, fail(exitSignedOut, a.signInRemedy(user), "%s is not signed in at %s on this machine", user, a.Endpoint)
	}
	return account{d, user, tokens}, err
}

func (a *app) signInRemedy(user string) string {
	return "New here: " + a.command("signup %s", user) + "\nWith an account: " + a.command("signin %s", user)
}

// source gives the account's tokens, and keeps refreshed ones.
func (acc account) source(a *app) client.TokenSource {
	return client.NewAccounts(acc.Endpoint, nil).Source(acc.tokens, func(t client.Tokens) {
		if err := acc.SaveTokens(acc.user, t); err != nil {
			a.note("the new tokens cannot be kept: %v", err)
		}
	})
}

// session is a client that runs for a command.
type session struct {
	*client.Client
	app     *app
	account account
	release func()
	ended   chan struct{} // closed when Run has returned
	err     error         // what Run returned; read it after ended

	mu      sync.Mutex // guards offline
	offline error      // why there is no connection
}

// connect runs a client as the account. With a lasting device its state is the vault's: what is
// not acknowledged now is sent by the next run. Otherwise nothing is remembered.
func (a *app) connect(ctx context.Context, acc account, lasting bool, cfg client.Config) (*session, error) {
	s := &session{app: a, account: acc, release: func() {}, ended: make(chan struct{})}
	cfg.URL, cfg.User, cfg.Tokens = acc.Endpoint.WebSocketURL, acc.user, acc.source(a)
	if lasting {
		state, release, err := acc.Device(acc.user)
		if err != nil {
			return nil, err
		}
		cfg.State, s.release = state, release
	}
	onStatus := cfg.OnStatus
	cfg.OnStatus = func(status client.Status) {
		s.mu.Lock()
		s.offline = status.Err
		s.mu.Unlock()
		if onStatus != nil {
			onStatus(status)
		}
	}
	c, err := client.New(cfg)
	if err != nil {
		s.release()
		return nil, err
	}
	s.Client = c
	go func() {
		defer close(s.ended)
		s.err = c.Run(ctx)
	}()
	return s, nil
}

// close ends the client and waits for it.
func (s *session) close() {
	_ = s.Close() // why it ended is in s.err
	<-s.ended
	s.release()
}

// explain makes of a call's error what the user can use: why the client ended, or why it is offline.
func (s *session) explain(err error) error {
	if errors.Is(err, client.ErrClosed) {
		// Run has its own reason, and is about to return it.
		if <-s.ended; s.err != nil {
			err = s.err
		}
	}
	if errors.Is(err, client.ErrSignedOut) {
		user := s.account.user
		if e := s.account.Forget(user); e != nil && !errors.Is(e, vault.ErrNoAccount) {
			s.app.note("the tokens of %s cannot be removed: %v", user, e)
		}
		return fail(exitSignedOut, "Sign in again: "+s.app.command("signin %s", user), "%s: %w", user, err)
	}
	if errors.Is(err, client.ErrUnauthorized) || errors.Is(err, client.ErrBadCredentials) {
		return s.app.sessionEnded(s.account.user, err)
	}
	if errors.Is(err, client.ErrReplaced) {
		return fail(exitRefused, "", "the connection of %s was taken over: %w", s.account.user, err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.offline != nil {
			return fail(exitUnreachable, s.app.reachRemedy(), "no connection to %s within %v: %w", s.app.Endpoint, s.app.Timeout, s.offline)
		}
		return fail(exitUnreachable, "", "no answer from %s within %v", s.app.Endpoint, s.app.Timeout)
	}
	return err
}

// sessionEnded says what to do without a session.
func (a *app) sessionEnded(user string, err error) error {
	if !errors.Is(err, client.ErrUnauthorized) && !errors.Is(err, client.ErrBadCredentials) {
		return err
	}
	return fail(exitSignedOut, "Sign in again: "+a.command("signin %s", user)+
		"\nA local cloud that was started anew without --data has no accounts: "+a.command("signup %s", user),
		"the session of %s has ended: %w", user, err)
}
