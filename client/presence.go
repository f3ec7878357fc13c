package client

import (
	"context"
	"slices"
	"time"

	"github.com/duet-chat/duet/internal/wire"
)

// Presence tells whether a user is connected.
type Presence struct {
	User     string
	Online   bool
	LastSeen time.Time // zero if it is not told
}

// watch is whose presence is watched, and whether others see this user's. Client.mu guards it.
type watch struct {
	users   []string
	visible *bool // to be set by the next request; nil: as it is
	dirty   bool  // the server does not have the list yet
	asking  bool
	waiting []chan error // of SetVisible
	known   map[string]Presence
}

// Watch replaces the users whose presence is watched, at most MaxWatched. OnPresence is called with
// each of them once it is known, and whenever it changes; on every new connection the client watches
// again by itself. Of users without a conversation with this one nothing is told. Without any users
// it watches nobody. The error is about the arguments, or ErrClosed.
func (c *Client) Watch(users ...string) error {
	if len(users) > MaxWatched {
		return badArgument("users", "%d users are to be watched; at most %d can be", len(users), MaxWatched)
	}
	for _, u := range users {
		if err := c.checkPeer("users", u); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return ErrClosed
	}
	c.watch.users = slices.Clone(users)
	for u := range c.watch.known {
		if !slices.Contains(users, u) {
			delete(c.watch.known, u)
		}
	}
	c.watch.dirty = true
	c.poke()
	return nil
}

// SetVisible says whether others may see this user's presence, on all devices, until it is said
// again; and waits until the server has it.
func (c *Client) SetVisible(ctx context.Context, visible bool) error {
	done := make(chan error, 1)
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return ErrClosed
	}
	c.watch.visible, c.watch.dirty = &visible, true
	c.watch.waiting = append(c.watch.waiting, done)
	c.poke()
	c.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watchAgain has the list told anew if a user is in it: the server drops those of whom nothing may be
// told, as long as there is no conversation.
func (c *Client) watchAgain(user string) {
	if slices.Contains(c.watch.users, user) {
		c.watch.dirty = true
		c.poke()
	}
}

// tickWatch tells the server what is to be watched on this connection. One request at a time: the
// server works on those of one connection in any order.
func (c *Client) tickWatch() {
	w := &c.watch
	if !c.online() || w.asking || !w.dirty && (c.cur.watched || len(w.users) == 0) {
		return
	}
	ask := watchRequest{Action: wire.ActionWatch, Users: w.users, Visible: w.visible}
	if ask.Users == nil {
		ask.Users = []string{}
	}
	waiting := w.waiting
	w.waiting, w.dirty, w.asking = nil, false, true
	c.cur.watched = true
	c.ask(&request{
		kind: requestState,
		make: func(ref string) any { ask.Ref = ref; return ask },
		done: func(f *frame, err error) {
			w.asking = false
			if err == errDisconnected {
				w.dirty, w.waiting = true, append(waiting, w.waiting...)
				return
			}
			if w.visible == ask.Visible {
				w.visible = nil
			}
			for _, done := range waiting {
				done <- err
			}
			if err != nil {
				c.cfg.Log.Warn("presence cannot be watched", "error", err)
				return
			}
			for _, p := range f.Users {
				c.present(p)
			}
			c.poke()
		},
	})
}

// present takes a user's presence.
func (c *Client) present(w wire.UserPresence) {
	p := Presence{User: w.User, Online: w.Online}
	if w.LastSeen > 0 {
		p.LastSeen = time.UnixMilli(w.LastSeen)
	}
	if before, known := c.watch.known[p.User]; known && before == p || !slices.Contains(c.watch.users, p.User) {
		return
	}
	if c.watch.known == nil {
		c.watch.known = make(map[string]Presence)
	}
	c.watch.known[p.User] = p
	if c.cfg.OnPresence != nil {
		c.emit(event{kind: eventState, call: func() { c.cfg.OnPresence(p) }})
	}
}
