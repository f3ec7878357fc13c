package main

import (
	"context"

	"github.com/duet-chat/duet/client"
)

type whoCmd struct{}

// Run lists the accounts of this machine, and the conversations of those at this deployment (with
// --as: of that one).
func (c *whoCmd) Run(ctx context.Context, a *app) error {
	v, err := a.vault()
	if err != nil {
		return err
	}
	here, cannot := a.discover(ctx)
	deployments, err := v.Deployments()
	if err != nil {
		return err
	}
	none := true
	for _, d := range deployments {
		users, err := d.Users()
		if err != nil {
			return err
		}
		for _, user := range users {
			if a.As != "" && user != a.As {
				continue
			}
			none = false
			tokens, err := d.Tokens(user)
			if err != nil {
				return err
			}
			if err := a.showAccount(user, d.Where); err != nil {
				return err
			}
			if cannot != nil || d.Endpoint.WebSocketURL != here.Endpoint.WebSocketURL {
				continue
			}
			if err := a.showConversations(ctx, account{here, user, tokens}); err != nil {
				return err
			}
		}
	}
	switch {
	case cannot != nil:
		return cannot
	case none && a.As != "":
		return fail(exitSignedOut, a.signInRemedy(a.As), "%s is not signed in on this machine", a.As)
	case none:
		return fail(exitSignedOut, a.signInRemedy("NAME"), "nobody is signed in on this machine")
	}
	return nil
}

func (a *app) showAccount(user, where string) error {
	if a.JSON {
		return a.object(struct {
			Type     string `json:"type"`
			User     string `json:"user"`
			Endpoint string `json:"endpoint"`
		}{"account", user, where})
	}
	return a.line("%s at %s", user, where)
}

func (a *app) showConversations(ctx context.Context, acc account) error {
	s, err := a.connect(ctx, acc, false, client.Config{})
	if err != nil {
		return err
	}
	defer s.close()
	timed, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	all, err := s.Conversations(timed)
	if err != nil {
		return s.explain(err)
	}
	for _, conversation := range all {
		if err := a.showConversation(acc.user, conversation); err != nil {
			return err
		}
	}
	if len(all) == 0 && !a.JSON {
		return a.line("  no conversations yet")
	}
	return nil
}

func (a *app) showConversation(user string, c client.Conversation) error {
	if a.JSON {
		line := struct {
			Type         string       `json:"type"`
			User         string       `json:"user"`
			Peer         string       `json:"peer"`
			Conversation string       `json:"conversation"`
			LastSeq      int64        `json:"last_seq"`
			Unread       int64        `json:"unread"`
			At           int64        `json:"at"`
			Last         *messageLine `json:"last,omitempty"`
		}{"conversation", user, c.Peer, c.ID, c.LastSeq, c.Unread, c.At.UnixMilli(), nil}
		if c.Last != nil {
			last := lineOf(*c.Last)
			line.Last = &last
		}
		return a.object(line)
	}
	unread := ""
	if c.Unread > 0 {
		unread = "new"
	}
	last := ""
	if c.Last != nil {
		last = format(*c.Last, a.now())
	}
	return a.line("  %-20s %5d %-3s of %d  %s", c.Peer, c.Unread, unread, c.LastSeq, last)
}
