package client

import (
	"time"

	"github.com/duet-chat/duet/internal/wire"
)

// syncing is a sync under way: all its pages.
type syncing struct {
	since   string
	full    bool // it lists every conversation
	cursors map[string]int64
	pages   int
	again   bool // something happened meanwhile: sync once more
}

// maxCursorBytes bounds the cursors in a sync, so that its frame stays below the limit.
const maxCursorBytes = 24 << 10

// startSync asks what has changed.
func (c *Client) startSync() {
	if c.cur == nil {
		return
	}
	if c.sync != nil {
		c.sync.again = true
		return
	}
	cursors := c.cursors()
	c.sync = &syncing{since: c.since, cursors: cursors, full: c.since == "" && len(cursors) == 0}
	c.askSync()
}

// cursors lists what the device has of the conversations that moved since the last sync: the
// answer leaves them out if that is everything. The others are left out by since.
func (c *Client) cursors() map[string]int64 {
	var cursors map[string]int64
	bytes := 0
	for id, v := range c.convs {
		if !v.moved || !v.placed {
			continue
		}
		if bytes += len(id) + 24; bytes > maxCursorBytes {
			break
		}
		if cursors == nil {
			cursors = make(map[string]int64)
		}
		cursors[id] = v.taken
	}
	return cursors
}

func (c *Client) askSync() {
	s := c.sync
	c.ask(&request{
		kind: requestSync,
		make: func(ref string) any {
			return syncRequest{Action: wire.ActionSync, Ref: ref, Cursors: s.cursors, Since: s.since}
		},
		done: c.synced,
	})
}

// synced takes a page of the answer.
func (c *Client) synced(f *frame, err error) {
	s, now := c.sync, c.cfg.Now()
	if err != nil {
		c.sync = nil
		if c.cur == nil || err == errDisconnected {
			return
		}
		c.cfg.Log.Warn("sync was refused", "error", err)
		// The since may be at fault: the next connection asks for everything.
		c.since, c.savedSince, c.targets = "", "", nil
		c.fail(c.cur, err)
		return
	}
	if c.epoch != "" && f.Epoch != c.epoch {
		c.startOver(f.Epoch, now)
		return
	}
	if c.epoch == "" {
		c.epoch, c.mustSave = f.Epoch, true
	}
	for i := range f.Conversations {
		c.summed(&f.Conversations[i])
	}
	s.pages++
	s.since = f.Since
	if f.More {
		c.askSync()
		return
	}
	c.sync = nil
	c.listedAll = c.listedAll || s.full
	c.finishSync(f.Since, now)
	if s.again || s.pages > 1 {
		// What was missed between two pages counts as told by the second one: ask once more.
		c.startSync()
	}
}

// summed takes a conversation's summary: what is missing of it is fetched.
func (c *Client) summed(w *wire.Summary) {
	v := c.list(w)
	if !v.placed {
		first := w.LastSeq - w.Unread
		if c.cfg.FromBeginning || c.listed {
			first = 0
		}
		v.place(max(0, first))
		c.change(v, false)
	}
	v.last = max(v.last, w.LastSeq)
	if v.target = w.LastSeq; v.shown < v.target {
		c.targets = append(c.targets, v)
	}
	c.want(v)
	if c.cfg.OnConversation != nil {
		conversation := v.summary()
		c.emit(event{kind: eventConversation, conversation: &conversation})
	}
}

// finishSync: everything that happened before the sync is known now.
func (c *Client) finishSync(since string, now time.Time) {
	c.since, c.listed = since, true
	for _, v := range c.convs {
		v.moved = false
		if !v.placed {
			// Not listed, so it has begun since, or will.
			v.place(0)
			c.change(v, false)
			c.want(v)
		}
		c.resolveUnsure(v)
	}
	if c.saveBy.IsZero() {
		c.saveBy = now.Add(saveWithin)
		c.pokeBy(c.saveBy)
	}
	if c.cur.synced {
		return
	}
	c.cur.synced = true
	c.setStatus(Status{Phase: Online})
	close(c.onlineNow)
	c.poke()
}

// startOver begins the life of a new device in a new epoch: cursors, numbers and the device id
// mean nothing in it.
//
// What was never written is sent under the new id. What was written may be part of the new epoch,
// if that is an earlier state of the same data: it is sent again only if its conversation does
// not exist in the new epoch (resolveUnsure).
func (c *Client) startOver(epoch string, now time.Time) {
	c.cfg.Log.Warn("the server's data began a new life: starting over", "old", c.epoch, "new", epoch)
	for _, r := range c.requests {
		if r.kind != requestUser {
			c.drop(r)
		}
	}
	old := c.convs
	c.epoch, c.since, c.savedSince, c.targets, c.listed = epoch, "", "", nil, false
	c.convs = make(map[string]*conversation)
	c.gaps, c.starved, c.fetchQueue, c.fetching = nil, nil, nil, 0
	c.ready, c.pausing, c.holes, c.changed = nil, nil, nil, nil
	for _, v := range c.typers {
		c.tellTyping(v, false)
	}
	c.acks, c.typers, c.listedAll = nil, nil, false
	c.reset, c.mustSave = true, true
	c.sync = nil
	c.dropMessages()
	for id, o := range old {
		if len(o.pending) == 0 {
			continue
		}
		v := c.conv(id)
		for _, p := range o.pending {
			p.unsent.Unsure = p.unsent.Unsure || p.transmitted
			p.conv = v
			if p.unsent.Kind != "" && !p.refused {
				// What it is about is another text now, or none.
				p.refused = true
				p.resolve(Sent{}, ErrNewEpoch)
			}
		}
		v.pending = o.pending
		c.renumber(v, 0)
	}
	c.takeNewDevice(now)
}

// resolveUnsure decides about the messages of an earlier epoch once the new one is known.
func (c *Client) resolveUnsure(v *conversation) {
	unsure := false
	for _, p := range v.pending {
		if !p.unsent.Unsure {
			continue
		}
		unsure = true
		if v.last > 0 {
			p.refused = true
			p.resolve(Sent{}, ErrNewEpoch)
		}
		p.unsent.Unsure, p.transmitted = false, false
	}
	if unsure {
		v.nextN = 1
		c.renumber(v, 0)
	}
}
