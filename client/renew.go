package client

import (
	"time"

	"github.com/duet-chat/duet/internal/chat"
)

// renew begins to take a new device id: the server's numbers of this one are not ours. Nothing new is
// written under the old id, and what was written is settled first: each message is acknowledged,
// or known not to be stored and sent again under the new id.
func (c *Client) renew(why string, args ...any) {
	if !c.renewing {
		c.cfg.Log.Warn("a new device id is needed: "+why, args...)
		c.renewing = true
		// It may be that a new epoch has begun.
		c.startSync()
		c.poke()
	}
}

// startProbes writes those messages again whose answers were lost, each when nothing can be under way of
// it any more: what the server says to that is the last word.
func (c *Client) startProbes(now time.Time, out [][]byte) [][]byte {
	for _, v := range c.convs {
		for i, p := range v.pending {
			if !p.refused && !p.flying && p.copies > 0 && p.settled(now) {
				p.copies = 0
				out = append(out, c.startSend(p, i, now))
			}
		}
	}
	return out
}

// tickRenew takes the new device id when everything is settled. It returns when it is to be called
// again.
func (c *Client) tickRenew(now time.Time) (next time.Time) {
	if !c.renewing {
		return next
	}
	settled := true
	for _, v := range c.convs {
		for _, p := range v.pending {
			if p.refused || p.copies == 0 {
				continue
			}
			settled = false
			if !p.settled(now) {
				next = earlier(next, p.lastCopy.Add(unknownFor))
			}
		}
	}
	if !settled {
		return next
	}
	for _, v := range c.convs {
		v.nextN, v.started, v.blocked = 1, false, false
		c.renumber(v, 0)
	}
	c.takeNewDevice(now)
	return next
}

// takeNewDevice changes the device id, and connects with it.
func (c *Client) takeNewDevice(now time.Time) {
	c.device, c.mustSave, c.renewing = c.cfg.NewDevice(), true, false
	if _, err := chat.ParseDevice(c.device); err != nil {
		c.end(err)
		return
	}
	c.leave(errNewDevice, now)
}
