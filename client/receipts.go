package client

import (
	"context"
	"slices"
	"time"

	"github.com/duet-chat/duet/internal/wire"
)

// Mark is how far a user has come in a conversation, by Seq. It never goes back.
type Mark struct {
	Delivered int64 // a device of the user has everything up to here
	Read      int64 // the user has read everything up to here
}

// advance takes what is ahead in another mark, and tells whether anything is.
func (m *Mark) advance(other Mark) bool {
	before := *m
	m.Read = max(m.Read, other.Read)
	m.Delivered = max(m.Delivered, other.Delivered, m.Read)
	return *m != before
}

// Receipt tells how far a user has come in a conversation.
type Receipt struct {
	Conversation string
	User         string // the peer, or this user by another device
	Mark
}

// receipts is what a conversation's two users have acknowledged. Client.mu guards it.
type receipts struct {
	acked    Mark      // what the server has of this user
	due      Mark      // what it is to have
	peerMark Mark      // what the peer has acknowledged
	ackAt    time.Time // when the server is told; zero: not in Client.acks
	ack      *request  // under way
	unread
}

// MarkRead says that the user has read a conversation up to seq, on whichever device. The server is
// told within AckWithin, once for everything until then; while offline, afterwards. To go back does
// nothing. The error is about the arguments, or ErrClosed.
func (c *Client) MarkRead(peer string, seq int64) error {
	if err := c.checkPeer("peer", peer); err != nil {
		return err
	}
	if seq < 1 {
		return badArgument("seq", "there is no message %d", seq)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return ErrClosed
	}
	v := c.conv(c.between(peer))
	if v.due.advance(Mark{Read: seq}) {
		v.unread.readTo(seq)
		c.change(v, false)
		c.ackSoon(v)
	}
	return nil
}

// delivered notes that the program was shown a message.
func (c *Client) delivered(v *conversation, m *Message) {
	if m.Own || c.cfg.NoDelivered || c.cfg.OnMessage == nil {
		return
	}
	if v.due.advance(Mark{Delivered: m.Seq}) {
		c.ackSoon(v)
	}
}

// ackSoon plans to tell the server what it does not know yet.
func (c *Client) ackSoon(v *conversation) {
	if v.due.advance(v.acked); v.due == v.acked || !v.ackAt.IsZero() || v.ack != nil || c.convs[v.id] != v {
		return
	}
	v.ackAt = c.cfg.Now().Add(c.cfg.AckWithin)
	if len(c.flushers) > 0 {
		v.ackAt = c.cfg.Now()
	}
	c.acks = append(c.acks, v)
	c.pokeBy(v.ackAt)
}

// tickAcks tells the server how far the user has come, as far as that is due. It returns when it is to
// be called again.
func (c *Client) tickAcks(now time.Time) (next time.Time) {
	if !c.online() {
		return next // finishSync pokes
	}
	kept := c.acks[:0]
	for _, v := range c.acks {
		if v.ackAt.After(now) {
			kept = append(kept, v)
			next = earlier(next, v.ackAt)
			continue
		}
		v.ackAt = time.Time{}
		if v.due != v.acked {
			c.askAck(v)
		}
	}
	clear(c.acks[len(kept):])
	if c.acks = kept; len(kept) == 0 {
		c.acks = nil
	}
	c.flushed()
	return next
}

func (c *Client) askAck(v *conversation) {
	var asked Mark
	v.ack = &request{
		kind: requestState,
		conv: v,
		make: func(ref string) any {
			asked = v.due
			return ackRequest{Action: wire.ActionAck, Ref: ref, Conversation: v.id, Delivered: asked.Delivered, Read: asked.Read}
		},
		done: func(f *frame, err error) {
			v.ack = nil
			switch {
			case err == errDisconnected || err == ErrClosed:
			case err != nil:
				// The conversation is gone, or began anew: there is nothing to acknowledge.
				c.cfg.Log.Warn("a receipt was refused", "conversation", v.id, "error", err)
				v.due = v.acked
				c.change(v, false)
			default:
				asked.advance(Mark{f.Delivered, f.Read})
				c.ownCame(v, asked)
			}
			c.ackSoon(v)
			c.flushed()
		},
	}
	c.ask(v.ack)
}

// ownCame takes what the server has of this user, by any device.
func (c *Client) ownCame(v *conversation, m Mark) {
	if !v.acked.advance(m) {
		return
	}
	c.change(v, false)
	if v.due.advance(v.acked) {
		v.unread.readTo(v.due.Read)
		c.tellReceipt(v, c.cfg.User, v.acked)
	}
}

// peerCame takes how far the peer has come.
func (c *Client) peerCame(v *conversation, m Mark) {
	if v.peerMark.advance(m) {
		c.tellReceipt(v, v.peer, v.peerMark)
	}
}

func (c *Client) tellReceipt(v *conversation, user string, m Mark) {
	if c.cfg.OnReceipt != nil {
		r := Receipt{Conversation: v.id, User: user, Mark: m}
		c.emit(event{kind: eventReceipt, call: func() { c.cfg.OnReceipt(r) }})
	}
}

// receipt takes a push.
func (c *Client) receipt(f *frame) {
	switch v := c.conv(f.Conversation); f.User {
	case v.peer:
		c.peerCame(v, Mark{f.Delivered, f.Read})
	case c.cfg.User:
		c.ownCame(v, Mark{f.Delivered, f.Read})
	}
}

// Flush tells the server at once what MarkRead and OnMessage have left to be told, and waits until
// that is done: before a program ends that keeps no State.
func (c *Client) Flush(ctx context.Context) error {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return ErrClosed
	}
	done := make(chan struct{})
	c.flushers = append(c.flushers, done)
	for _, v := range c.acks {
		v.ackAt = c.cfg.Now()
	}
	c.poke()
	c.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-c.done:
		return ErrClosed
	case <-ctx.Done():
		c.mu.Lock()
		c.flushers = slices.DeleteFunc(c.flushers, func(f chan struct{}) bool { return f == done })
		c.mu.Unlock()
		return ctx.Err()
	}
}

// flushed tells those who wait for receipts when there are none left.
func (c *Client) flushed() {
	if len(c.flushers) == 0 || len(c.acks) > 0 {
		return
	}
	for _, r := range c.requests {
		if r.kind == requestState && r.conv != nil && r.conv.ack == r {
			return
		}
	}
	for _, done := range c.flushers {
		close(done)
	}
	c.flushers = nil
}
