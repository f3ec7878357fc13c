package client

import (
	"slices"
	"time"

	"github.com/duet-chat/duet/internal/wire"
)

const (
	typingEvery = 3 * time.Second // one frame in so long, however much is typed
	typingLasts = 6 * time.Second // without another frame, the peer has stopped
)

// Typing tells that a peer writes, or has stopped.
type Typing struct {
	Conversation string
	User         string
	On           bool
}

// Typing tells the peer that the user writes: to be called with each key, and with false when the
// user has stopped without sending. At most one frame goes out in 3 s. Nothing is kept: while offline,
// and with users who have no conversation with this one, it does nothing.
func (c *Client) Typing(peer string, on bool) error {
	if err := c.checkPeer("peer", peer); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return ErrClosed
	}
	v := c.convs[c.between(peer)]
	if v == nil || v.last == 0 || !c.online() {
		return nil
	}
	now := c.cfg.Now()
	switch shown := !v.typedAt.IsZero() && now.Sub(v.typedAt) < typingLasts; {
	case on && shown && now.Sub(v.typedAt) < typingEvery, !on && !shown:
		return nil
	case on:
		v.typedAt = now
	default:
		v.typedAt = time.Time{}
	}
	c.ask(&request{
		kind: requestOnce,
		make: func(ref string) any {
			return typingRequest{Action: wire.ActionTyping, Ref: ref, Conversation: v.id, On: on}
		},
		done: func(*frame, error) {}, // refused ones are missed by nobody
	})
	return nil
}

// typing takes a push.
func (c *Client) typing(f *frame, now time.Time) {
	v := c.conv(f.Conversation)
	if f.User != v.peer || c.cfg.OnTyping == nil {
		return
	}
	if !f.On {
		c.stopped(v)
		return
	}
	if v.typingUntil.IsZero() {
		c.typers = append(c.typers, v)
		c.tellTyping(v, true)
	}
	v.typingUntil = now.Add(typingLasts)
	c.pokeBy(v.typingUntil)
}

// stopped takes that the peer writes no more.
func (c *Client) stopped(v *conversation) {
	if !v.typingUntil.IsZero() {
		v.typingUntil = time.Time{}
		c.typers = slices.DeleteFunc(c.typers, func(o *conversation) bool { return o == v })
		c.tellTyping(v, false)
	}
}

// tickTyping ends what nobody has ended. It returns when it is to be called again.
func (c *Client) tickTyping(now time.Time) (next time.Time) {
	for _, v := range slices.Clone(c.typers) {
		if v.typingUntil.After(now) {
			next = earlier(next, v.typingUntil)
			continue
		}
		c.stopped(v)
	}
	return next
}

func (c *Client) tellTyping(v *conversation, on bool) {
	t := Typing{Conversation: v.id, User: v.peer, On: on}
	c.emit(event{kind: eventState, call: func() { c.cfg.OnTyping(t) }})
}
