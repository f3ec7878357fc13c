package client

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/duet-chat/duet/internal/wire"
)

// card is what a conversation looks like in the list. Client.mu guards it.
type card struct {
	listed  bool // there is something to list
	lastSeq int64
	at      time.Time
	last    Message // Seq is 0 if it is not known
	blocked bool
}

// Conversations returns all conversations, newest activity first. It waits for a connection. The
// first call of a client whose State is older than it costs a full sync; from then on the list is
// kept up to date by what comes in, and costs nothing.
func (c *Client) Conversations(ctx context.Context) ([]Conversation, error) {
	if err := c.WaitOnline(ctx); err != nil {
		return nil, err
	}
	for since := ""; !c.knowsAll(); {
		f, err := c.roundTrip(ctx, func(ref string) any {
			return syncRequest{Action: wire.ActionSync, Ref: ref, Since: since}
		})
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		if f.Epoch != c.epoch {
			c.startSync() // which begins the new life
			c.mu.Unlock()
			since = ""
			if err := c.WaitOnline(ctx); err != nil {
				return nil, err
			}
			continue
		}
		for i := range f.Conversations {
			c.list(&f.Conversations[i])
		}
		if since = f.Since; !f.More {
			c.listedAll = true
			// The server counts what it could not deliver as told now.
			c.startSync()
		}
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]Conversation, 0, len(c.convs))
	for _, v := range c.convs {
		if v.card.listed {
			all = append(all, v.summary())
		}
	}
	slices.SortFunc(all, func(a, b Conversation) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

func (c *Client) knowsAll() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.listedAll
}

// list takes a summary into the list.
func (c *Client) list(w *wire.Summary) *conversation {
	v := c.conv(w.Conversation)
	s := conversationFrom(w, c.cfg.User)
	if v.card.listed = true; s.LastSeq >= v.card.lastSeq {
		v.card.lastSeq, v.card.at, v.card.last = s.LastSeq, s.At, Message{}
		if s.Last != nil {
			v.card.last = *s.Last
		}
	}
	v.card.blocked = s.Blocked
	v.unread.summed(s.Unread, s.LastSeq, s.Own.Read)
	c.ownCame(v, s.Own)
	c.peerCame(v, s.Theirs)
	return v
}

// listEntry takes an entry into the list.
func (v *conversation) listEntry(m *Message) {
	if m.Seq > v.card.lastSeq {
		v.card.listed, v.card.lastSeq, v.card.at, v.card.last = true, m.Seq, m.At, *m
	}
	switch {
	case m.Own && m.Kind == KindText:
		v.unread.readTo(m.Seq)
	case m.Kind == KindText:
		v.unread.text(m.Seq)
	}
}

// summary is the conversation as it stands.
func (v *conversation) summary() Conversation {
	s := Conversation{
		ID: v.id, Peer: v.peer, LastSeq: v.card.lastSeq, Unread: v.unread.count(), At: v.card.at,
		Own: v.due, Theirs: v.peerMark, Blocked: v.card.blocked,
	}
	if v.card.last.Seq > 0 {
		last := v.card.last
		s.Last = &last
	}
	return s
}
