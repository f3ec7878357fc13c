package client

import (
	"fmt"
	"time"
)

// saveWithin is how late what need not be saved at once may be saved.
const saveWithin = time.Second

// load reads the State.
func (c *Client) load() error {
	saved, err := c.cfg.State.Load()
	if err != nil {
		return fmt.Errorf("client: load state: %w", err)
	}
	c.device, c.epoch, c.since, c.savedSince = saved.Device, saved.Epoch, saved.Since, saved.Since
	if c.device == "" {
		c.device = c.cfg.Device
		if c.device == "" {
			c.device = c.cfg.NewDevice()
		}
		c.mustSave = true
	}
	c.listed = c.since != ""
	now := c.cfg.Now()
	for id, s := range saved.Conversations {
		v := c.conv(id)
		if v.placed = s.Cursor >= 0; v.placed {
			v.place(s.Cursor)
		}
		for _, u := range s.Unsent {
			// An earlier run may have sent it a moment ago, and the server may be working on it.
			p := c.newPending(v, u)
			p.copies, p.lastCopy, p.transmitted = 1, now, true
			v.pending = append(v.pending, p)
			if u.Refused {
				c.refusedBy(p, ErrClosed)
			}
		}
		if v.due.advance(Mark{s.Delivered, s.Read}) {
			v.unread.readTo(s.Read)
			c.ackSoon(v)
		}
		v.nextN = max(1, s.NextN)
		if len(s.Unsent) > 0 {
			v.nextN = max(v.nextN, s.Unsent[len(s.Unsent)-1].N+1)
		}
		v.started = v.nextN > 1+int64(len(s.Unsent))
		c.makeReady(v)
	}
	return nil
}

// change notes that a conversation is to be saved: before the next frame is written (now), or soon.
func (c *Client) change(v *conversation, now bool) {
	if !v.changed && c.convs[v.id] == v {
		v.changed = true
		c.changed = append(c.changed, v)
	}
	if now {
		c.mustSave = true
		return
	}
	if c.saveBy.IsZero() {
		c.saveBy = c.cfg.Now().Add(saveWithin)
		c.pokeBy(c.saveBy)
	}
}

// pendingChange returns what is to be saved now; ok says whether there is anything.
func (c *Client) pendingChange(now time.Time, all bool) (_ Change, ok bool) {
	due := !c.saveBy.IsZero() && (all || !c.saveBy.After(now))
	if !c.mustSave && !due {
		return Change{}, false
	}
	change := Change{
		Reset: c.reset, Device: c.device, Epoch: c.epoch, Since: c.sinceToSave(),
		Conversations: make(map[string]SavedConversation, len(c.changed)),
	}
	for _, v := range c.changed {
		v.changed = false
		s := SavedConversation{Cursor: v.shown, NextN: v.nextN}
		if !v.placed {
			s.Cursor = -1
		}
		if v.due != v.acked {
			s.Delivered, s.Read = v.due.Delivered, v.due.Read
		}
		for _, p := range v.pending {
			if p.refused {
				s.Unsent = append(s.Unsent, Unsent{N: p.unsent.N, Refused: true})
				continue
			}
			s.Unsent = append(s.Unsent, p.unsent)
		}
		change.Conversations[v.id] = s
	}
	c.changed, c.saveBy, c.mustSave, c.reset = nil, time.Time{}, false, false
	return change, true
}

// sinceToSave is the newest since of which everything that it left out was shown: after a crash,
// the next sync lists from there.
func (c *Client) sinceToSave() string {
	for len(c.targets) > 0 && c.targets[0].shown >= c.targets[0].target {
		c.targets = c.targets[1:]
	}
	if len(c.targets) == 0 {
		c.targets, c.savedSince = nil, c.since
	}
	return c.savedSince
}
