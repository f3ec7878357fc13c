package client

import "time"

// conversation is what the client knows of one conversation: how far its log was shown, and what
// is being sent to it. Client.mu guards it.
type conversation struct {
	id, peer string

	// The log. shown ≤ taken ≤ last.
	placed bool              // shown and taken mean something: the first sync, or the State, said so
	shown  int64             // OnMessage has returned for everything up to here
	taken  int64             // everything up to here was given to the queue for OnMessage
	last   int64             // the highest seq known to exist
	target int64             // what the last sync said that there is
	held   map[int64]Message // came early: above taken+1
	fetch  fetchState
	hole   int64 // taken when a page left out the next one: the second time it is gone. -1 for none
	moved  bool  // taken has changed since the last sync

	outbox
	receipts
	card        card
	typedAt     time.Time // the peer was last told that the user writes; zero: or that not
	typingUntil time.Time // the peer writes; zero: not in Client.typers
	changed     bool      // in Client.changed
}

// fetchState is where a conversation stands on the way to what it misses.
type fetchState int

const (
	fetchNone    fetchState = iota
	fetchPausing            // in Client.gaps: the missing may still come by themselves
	fetchStarved            // in Client.starved: the queue for OnMessage is full
	fetchQueued             // in Client.fetchQueue
	fetchFlying             // asked
)

const (
	gapPause   = 300 * time.Millisecond // how long a gap may close by itself
	maxHeld    = 64                     // early messages kept per conversation; others are fetched
	maxFetches = 4                      // history requests under way
	maxQueued  = 256                    // messages waiting for OnMessage; a page may go above it
)

type gap struct {
	conv *conversation
	due  time.Time
}

// conv returns a conversation, making it if it is new. One that appears after the first complete
// sync is new to the server too, or at least to this device: its log is shown from the start.
func (c *Client) conv(id string) *conversation {
	v := c.convs[id]
	if v == nil {
		v = &conversation{id: id, peer: peerOf(id, c.cfg.User), hole: -1, placed: c.listed}
		v.nextN = 1
		c.convs[id] = v
	}
	return v
}

// place sets where showing begins.
func (v *conversation) place(seq int64) {
	v.placed, v.shown, v.taken, v.last = true, seq, seq, max(v.last, seq)
}

// accept puts a message in its place: it is given to OnMessage at once, held, left to a fetch, or
// dropped as known.
func (c *Client) accept(m Message, now time.Time) {
	v := c.conv(m.Conversation)
	v.last = max(v.last, m.Seq)
	if !m.Own {
		c.stopped(v)
	}
	switch {
	case !v.placed || m.Seq <= v.taken:
		// Before the first sync has said where to begin, it is enough to know that there is more.
	case c.queued >= maxQueued:
		if v.fetch == fetchNone {
			v.fetch = fetchStarved
			c.starved = append(c.starved, v)
		}
	case m.Seq == v.taken+1:
		c.take(v, m)
		c.takeHeld(v)
	default:
		if len(v.held) < maxHeld {
			if v.held == nil {
				v.held = make(map[int64]Message)
			}
			v.held[m.Seq] = m
		}
		if v.fetch == fetchNone {
			v.fetch = fetchPausing
			c.gaps = append(c.gaps, gap{v, now.Add(gapPause)})
			c.pokeBy(now.Add(gapPause))
		}
	}
}

// take gives the next message to the queue for OnMessage.
func (c *Client) take(v *conversation, m Message) {
	delete(v.held, m.Seq)
	v.taken, v.moved = m.Seq, true
	v.listEntry(&m)
	if m.Seq == 1 {
		c.watchAgain(v.peer) // from here on they may be
	}
	c.emit(event{kind: eventMessage, conv: v, message: m})
}

// takeHeld gives what was held and now has its turn.
func (c *Client) takeHeld(v *conversation) {
	for len(v.held) > 0 {
		m, ok := v.held[v.taken+1]
		if !ok {
			return
		}
		c.take(v, m)
	}
	v.held = nil
}

// want fetches what is missing of a conversation, unless that is on its way.
func (c *Client) want(v *conversation) {
	if v.placed && v.taken < v.last && (v.fetch == fetchNone || v.fetch == fetchPausing) {
		v.fetch = fetchQueued
		c.fetchQueue = append(c.fetchQueue, v)
		c.poke()
	}
}

// closeGaps fetches the gaps that have not closed by themselves.
func (c *Client) closeGaps(now time.Time) {
	for len(c.gaps) > 0 && !c.gaps[0].due.After(now) {
		v := c.gaps[0].conv
		c.gaps = c.gaps[1:]
		if v.fetch != fetchPausing {
			continue
		}
		v.fetch = fetchNone
		c.want(v)
	}
	if len(c.gaps) == 0 {
		c.gaps = nil
	}
}

// feedStarved fetches what was left out while the queue was full.
func (c *Client) feedStarved() {
	for _, v := range c.starved {
		v.fetch = fetchNone
		c.want(v)
	}
	c.starved = nil
}

// startFetches asks for what is missing, as far as there is room for the answers.
func (c *Client) startFetches() {
	for c.online() && len(c.fetchQueue) > 0 && c.fetching < maxFetches && c.queued <= maxQueued/2 {
		v := c.fetchQueue[0]
		c.fetchQueue = c.fetchQueue[1:]
		if v.taken >= v.last {
			v.fetch = fetchNone
			continue
		}
		v.fetch = fetchFlying
		c.fetching++
		after := v.taken
		c.ask(&request{
			kind: requestFetch,
			conv: v,
			make: func(ref string) any {
				return historyRequest{Action: "history", Ref: ref, Conversation: v.id, After: &after, Limit: MaxPage}
			},
			done: func(f *frame, err error) { c.fetched(v, after, f, err) },
		})
	}
}

// fetched takes a page of what was missing.
func (c *Client) fetched(v *conversation, after int64, f *frame, err error) {
	c.fetching--
	v.fetch = fetchNone
	if err == errDisconnected {
		c.want(v)
		return
	}
	if err != nil {
		c.cfg.Log.Warn("missing messages cannot be fetched", "conversation", v.id, "after", after, "error", err)
		return
	}
	for i := range f.Messages {
		m := messageFrom(&f.Messages[i], c.cfg.User)
		v.last = max(v.last, m.Seq)
		switch {
		case m.Seq <= v.taken:
			continue
		case m.Seq > v.taken+1 && !v.gone(after):
			c.want(v)
			return
		}
		c.take(v, m)
	}
	c.takeHeld(v)
	if len(f.Messages) == 0 && v.taken < v.last && v.gone(after) {
		// Nothing is kept of what is known to have been there.
		v.taken, v.moved = v.last, true
		v.held = nil
		c.emit(event{kind: eventSkipped, conv: v, message: Message{Seq: v.last}})
	}
	if n := len(f.Messages); n > 0 && f.More {
		v.last = max(v.last, f.Messages[n-1].Seq+1)
	}
	c.want(v)
}

// gone tells whether the message after taken is no longer kept: a page from there on has left it
// out twice. Once is not enough: a query of DynamoDB is no snapshot, and can pass a place just
// before it is filled and see the one behind it.
func (v *conversation) gone(after int64) bool {
	if after < v.taken {
		// Retention has made a hole inside a page: it is looked at from its own start.
		return false
	}
	twice := v.hole == v.taken
	v.hole = v.taken
	return twice
}
