package main

import (
	"context"
	"errors"

	"github.com/duet-chat/duet/client"
)

type eraseCmd struct {
	Yes string `placeholder:"NAME" help:"The user's own name, instead of being asked for it."`
}

// Run deletes the account: what the server has, then the user of the user pool, then what is kept on
// this machine. It can be interrupted and run again at any point.
func (c *eraseCmd) Run(ctx context.Context, a *app) error {
	acc, err := a.account(ctx)
	if err != nil {
		return err
	}
	if err := c.confirm(a, acc.user); err != nil {
		return err
	}
	before, err := acc.BeginErasing(acc.user)
	if err != nil {
		return err
	}
	s, err := a.connect(ctx, acc, false, client.Config{})
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.erase(ctx, before); err != nil {
		return err
	}
	if err := acc.deleteUser(ctx, a); err != nil {
		return fail(exitRefused, "Run it again: "+a.command("erase --as %s", acc.user), "the chat data is erased, but the user is still in the user pool: %w", err)
	}
	if err := acc.Erase(acc.user); err != nil {
		return err
	}
	return a.signedIn(acc.user, "erased", "%s is erased. What others wrote stays with them; the name is not given away again.", acc.user)
}

// confirm makes sure that it is meant.
func (c *eraseCmd) confirm(a *app, user string) error {
	name := c.Yes
	if name == "" {
		if a.keyboard == nil {
			return fail(exitUsage, "", "to erase %s without a terminal: --yes %s", user, user)
		}
		var err error
		if name, err = a.question("This deletes " + user + " for good, with the texts of all messages that " + user + " wrote.\r\nType the name to confirm: "); err != nil {
			return err
		}
	}
	if name != user {
		return fail(exitUsage, "", "nothing is erased: the name is %s, not %s", user, name)
	}
	return nil
}

// erase has the server delete what it keeps. Whom an earlier run has erased, it does not let in any more.
func (s *session) erase(ctx context.Context, before bool) error {
	online, cancel := context.WithTimeout(ctx, s.app.Timeout)
	defer cancel()
	err := s.WaitOnline(online)
	if err == nil {
		s.app.note("erasing; this can be interrupted and run again")
		err = s.Erase(ctx)
	}
	if errors.Is(err, client.ErrClosed) {
		if <-s.ended; s.err != nil {
			err = s.err
		}
	}
	if err == nil || before && errors.Is(err, client.ErrErased) {
		return nil
	}
	return s.explain(err)
}

// deleteUser deletes the user of the user pool, if the stack has one.
func (acc account) deleteUser(ctx context.Context, a *app) error {
	if acc.Endpoint.UserPoolEndpoint == "" {
		a.note("the stack has no user pool: delete the user at its issuer")
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	access, _, err := acc.source(a).Token(ctx)
	if err == nil {
		err = client.NewAccounts(acc.Endpoint, nil).DeleteUser(ctx, access)
	}
	if errors.Is(err, client.ErrBadCredentials) {
		// The session has ended with the user, whom an earlier run has deleted.
		a.note("the user pool does not know this session any more: %v", err)
		return nil
	}
	return err
}
