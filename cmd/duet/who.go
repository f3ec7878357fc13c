package main

import (
	"context"
	"fmt"
	"time"

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
			if err := a.showConversations(ctx, account{here, user, tokens}, false); err != nil {
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

func (a *app) showConversations(ctx context.Context, acc account, unread bool) error {
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
	shown := 0
	for _, conversation := range all {
		if unread && conversation.Unread == 0 {
			continue
		}
		shown++
		if err := a.showConversation(acc.user, conversation); err != nil {
			return err
		}
	}
	if shown == 0 && !a.JSON {
		if unread {
			return a.line("  nothing unread")
		}
		return a.line("  no conversations yet")
	}
	return nil
}

// conversationLine is a conversation for programs.
type conversationLine struct {
	Type          string       `json:"type"` // "conversation"
	User          string       `json:"user"`
	Peer          string       `json:"peer"`
	Conversation  string       `json:"conversation"`
	LastSeq       int64        `json:"last_seq"`
	Unread        int64        `json:"unread"`
	Delivered     int64        `json:"delivered"`
	Read          int64        `json:"read"`
	PeerDelivered int64        `json:"peer_delivered"`
	PeerRead      int64        `json:"peer_read"`
	Blocked       bool         `json:"blocked,omitempty"`
	At            int64        `json:"at"` // Unix milliseconds
	Last          *messageLine `json:"last,omitempty"`
}

func conversationLineOf(user string, c client.Conversation) conversationLine {
	line := conversationLine{
		Type: "conversation", User: user, Peer: c.Peer, Conversation: c.ID, LastSeq: c.LastSeq, Unread: c.Unread,
		Delivered: c.Own.Delivered, Read: c.Own.Read, PeerDelivered: c.Theirs.Delivered, PeerRead: c.Theirs.Read,
		Blocked: c.Blocked, At: c.At.UnixMilli(),
	}
	if c.Last != nil {
		last := lineOf(*c.Last)
		line.Last = &last
	}
	return line
}

func (a *app) showConversation(user string, c client.Conversation) error {
	if a.JSON {
		return a.object(conversationLineOf(user, c))
	}
	return a.line("%s", formatConversation(c, a.now()))
}

// formatConversation is a conversation for people.
func formatConversation(c client.Conversation, now time.Time) string {
	unread, last := "", ""
	if c.Unread > 0 {
		unread = "new"
	}
	if c.Last != nil {
		last = format(*c.Last, tickOf(c.Last.Seq, c.Theirs), now)
	}
	if c.Blocked {
		last = "(blocked) " + last
	}
	return fmt.Sprintf("  %-20s %5d %-3s of %d  %s", c.Peer, c.Unread, unread, c.LastSeq, last)
}
