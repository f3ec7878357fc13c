package client

import (
	"time"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/wire"
)

// outbox is what is being sent to a conversation. The pending messages have rising numbers without
// gaps, except that acknowledged ones are gone already.
//
// A number is never given to another message while the server may still store the first one under
// it: what was written and not answered keeps its number until that is settled (G2).
type outbox struct {
	nextN   int64 // of the next new message
	started bool  // the server has accepted something from this device here
	pending []*Pending
	ready   bool // in Client.ready

	tries   int       // failures in a row
	retryAt time.Time // nothing is written before; zero: not in Client.pausing
	blocked bool      // a pending one is refused; in Client.holes
}

const (
	// unknownFor is how long after its writing an unanswered send may still be stored: API
	// Gateway gives an integration 29 s.
	// Source: API Gateway developer guide, "Quotas for WebSocket APIs", integration timeout.
	unknownFor = 30 * time.Second
	// overdue is when a send that others wait for is written again.
	overdue = time.Second
)

// settled tells whether the server has stopped working on a message that is not acknowledged. It
// is certainly not stored then if one before it is not, or if there is no unanswered copy.
func (p *Pending) settled(now time.Time) bool {
	return p.copies == 0 || !now.Before(p.lastCopy.Add(unknownFor))
}

func (c *Client) makeReady(v *conversation) {
	if !v.ready && len(v.pending) > 0 {
		v.ready = true
		c.ready = append(c.ready, v)
	}
}

// startSends writes what may be written now of every conversation that may have something.
func (c *Client) startSends(now time.Time, out [][]byte) [][]byte {
	if !c.online() {
		return out
	}
	if c.renewing {
		return c.startProbes(now, out)
	}
	for _, v := range c.ready {
		v.ready = false
		if v.retryAt.IsZero() {
			out = c.startSendsOf(v, now, out)
		}
	}
	c.ready = c.ready[:0]
	return out
}

func (c *Client) startSendsOf(v *conversation, now time.Time, out [][]byte) [][]byte {
	if len(v.pending) == 0 {
		return out
	}
	first, window := v.pending[0].unsent.N, c.window(v)
	for i, p := range v.pending {
		if p.unsent.N >= first+window || p.refused || p.unsent.Unsure {
			break
		}
		if p.flying {
			continue
		}
		out = append(out, c.startSend(p, i, now))
	}
	return out
}

// startSend returns the frame of a message, behind so many that are not acknowledged.
func (c *Client) startSend(p *Pending, behind int, now time.Time) []byte {
	if p.ref == "" {
		p.ref = c.newRef()
		p.floor = p.conv.pending[0].unsent.N - 1
		c.sends[p.ref] = p
	}
	p.flying, p.transmitted, p.lastCopy = true, true, now
	p.copies++
	p.alone = behind == 0
	return encode(p.frame(p.conv.last + int64(behind)))
}

// frame is what to write.
func (p *Pending) frame(seen int64) any {
	u := &p.unsent
	r := amendRequest{Ref: p.ref, Conversation: p.conv.id, N: u.N, Target: u.Target, Seen: seen}
	switch u.Kind {
	case KindEdit:
		r.Action, r.Text = wire.ActionEdit, u.Text
	case KindUnsend:
		r.Action = wire.ActionUnsend
	case KindReaction:
		r.Action, r.Emoji = wire.ActionReact, &u.Emoji
	default:
		return sendRequest{
			Action: wire.ActionSend, Ref: p.ref, To: p.peer, N: u.N, Text: u.Text, ReplyTo: u.ReplyTo, Seen: seen,
		}
	}
	return r
}

// window is how many sends of a conversation may be under way.
//
// A conversation's messages are stored one after the other, so having several under way gains only
// the time on the wire; and one that arrives before its predecessor is stored makes the server wait
// and read. So it is as many as are stored while one goes there and back.
func (c *Client) window(v *conversation) int64 {
	switch {
	case !v.started:
		// Until the server has accepted the first one, it may as well refuse the recipient: then
		// the others would have waited for nothing.
		return 1
	case c.cfg.Window > 0:
		return int64(min(c.cfg.Window, MaxInFlight))
	}
	return min(max(1, int64(c.cur.roundTrip/storeTime)), MaxInFlight)
}

// storeTime is about what storing one message takes: a transaction of DynamoDB.
const storeTime = 15 * time.Millisecond

// timed learns how long a send takes that waits for no other.
func (c *Client) timed(p *Pending, now time.Time) {
	if !p.alone || p.copies != 1 || c.cur == nil {
		return
	}
	if took := now.Sub(p.lastCopy); c.cur.roundTrip == 0 || took < c.cur.roundTrip {
		c.cur.roundTrip = took
	}
}

// forget takes a message out of the list of those waiting for an answer.
func (c *Client) forget(p *Pending) {
	if p.ref != "" {
		delete(c.sends, p.ref)
		p.ref = ""
	}
	p.flying = false
}

// stored takes the acknowledgement of a send.
func (c *Client) stored(p *Pending, f *frame, now time.Time) {
	v := p.conv
	if f.N != p.unsent.N {
		c.cfg.Log.Warn("an acknowledgement is for another number", "conversation", v.id, "n", p.unsent.N, "acknowledged", f.N)
		return
	}
	c.timed(p, now)
	at := time.UnixMilli(f.At)
	c.settle(p, Sent{Conversation: v.id, Seq: f.Seq, At: at, Duplicate: f.Duplicate}, now)
	c.accept(Message{
		Conversation: v.id, From: c.cfg.User, Device: c.device, Seq: f.Seq, N: p.unsent.N, Text: p.unsent.Text,
		Kind: p.Kind(), ReplyTo: p.unsent.ReplyTo, Target: p.unsent.Target, Emoji: p.unsent.Emoji, At: at, Own: true,
	}, now)
}

// settle ends a send that is stored.
func (c *Client) settle(p *Pending, s Sent, now time.Time) {
	v := p.conv
	c.forget(p)
	kept := v.pending[:0]
	for _, q := range v.pending {
		// A refused one before it has its number used after all: another copy of it was stored.
		if q != p && (!q.refused || q.unsent.N > p.unsent.N) {
			kept = append(kept, q)
		}
	}
	clear(v.pending[len(kept):])
	if v.pending = kept; len(kept) == 0 {
		v.pending = nil
	}
	v.started, v.tries = true, 0
	p.resolve(s, nil)
	c.change(v, false)
	if v.blocked {
		c.fillHole(v, now)
	}
	c.unblock(v)
}

// unblock lets a conversation write on, if it has something to write.
func (c *Client) unblock(v *conversation) {
	if len(v.pending) > 0 && (!v.pending[len(v.pending)-1].flying || v.blocked) {
		c.makeReady(v)
		c.poke()
	}
}

// failed takes the error that answers a send.
func (c *Client) failed(p *Pending, f *frame, now time.Time) {
	v, e := p.conv, f.refusal()
	p.flying = false
	switch code := chat.Code(e.Code); {
	case code == chat.NotFound && f.LastN != nil && *f.LastN >= p.unsent.N:
		c.settle(p, Sent{Conversation: v.id, Duplicate: true}, now)
		return
	case code == chat.OutOfOrder && f.LastN != nil:
		p.answered()
		c.outOfOrder(p, *f.LastN, now)
	case code == chat.Conflict:
		p.answered()
		c.renew("the server knows another message under number", "conversation", v.id, "n", p.unsent.N)
	case code == chat.SessionExpired:
		p.answered()
		c.reconnect(now)
	case code == chat.RateLimited:
		p.answered()
		p.delayed = e
		c.pause(v, e.RetryAfter, now)
	case e.Retry || code == chat.Unavailable:
		p.delayed = e
		c.pause(v, e.RetryAfter, now)
	default:
		p.answered()
		c.refusedBy(p, e)
		c.change(v, true)
	}
	if v.blocked {
		c.fillHole(v, now)
	}
	c.unblock(v)
}

// refusedBy ends a send that is refused for good. Its number is not used, but those behind it may
// be on their way under the numbers that follow: see fillHole.
func (c *Client) refusedBy(p *Pending, err error) {
	p.refused = true
	p.resolve(Sent{}, err)
	if v := p.conv; !v.blocked {
		v.blocked = true
		c.holes = append(c.holes, v)
	}
}

// answered counts an answer that says "this copy was not stored".
func (p *Pending) answered() { p.copies = max(0, p.copies-1) }

// pause lets a conversation rest after a passing fault.
func (c *Client) pause(v *conversation, atLeast time.Duration, now time.Time) {
	if !v.retryAt.IsZero() {
		return
	}
	v.retryAt = now.Add(max(atLeast, c.jitter(100*time.Millisecond, 10*time.Second, v.tries)))
	v.tries++
	c.pausing = append(c.pausing, v)
	c.pokeBy(v.retryAt)
}

// outOfOrder takes the refusal of a message whose predecessors did not come in time: last is the
// highest number that the server has.
func (c *Client) outOfOrder(p *Pending, last int64, now time.Time) {
	v := p.conv
	if last < p.floor {
		// It had more, or this device counts differently: its numbers mean nothing any more.
		c.renew("the server has forgotten numbers", "conversation", v.id, "n", p.floor, "last_n", last)
		return
	}
	for _, q := range v.pending {
		if last < q.unsent.N && q.unsent.N < p.unsent.N && q.flying && now.Sub(q.lastCopy) >= overdue {
			q.flying = false
		}
	}
	if v.tries == 0 {
		// The server has waited already.
		v.tries = 1
		return
	}
	c.pause(v, 0, now)
}

// fillHole numbers on after a refused message, once nothing that was written under the old
// numbers can be stored any more. Until then nothing behind it is written.
func (c *Client) fillHole(v *conversation, now time.Time) {
	first := -1
	for i, p := range v.pending {
		if first < 0 && p.refused {
			first = i
		}
		if first >= 0 && !p.settled(now) {
			return
		}
	}
	v.blocked = false
	if first < 0 {
		return
	}
	v.nextN = v.pending[first].unsent.N
	c.renumber(v, first)
}

// renumber gives new numbers, from nextN on, to the messages from index on, and drops refused ones.
func (c *Client) renumber(v *conversation, index int) {
	kept := v.pending[:index]
	for _, p := range v.pending[index:] {
		c.forget(p)
		if p.refused {
			continue
		}
		p.unsent.N, p.copies = v.nextN, 0
		v.nextN++
		kept = append(kept, p)
	}
	clear(v.pending[len(kept):])
	v.pending = kept
	v.retryAt, v.tries = time.Time{}, 0
	c.change(v, true)
	c.makeReady(v)
	c.poke()
}

// requeueSends makes everything that is not acknowledged be written again, to the next connection.
func (c *Client) requeueSends() {
	for _, p := range c.sends {
		if p.refused {
			continue
		}
		p.flying = false
		c.makeReady(p.conv)
	}
}

// tickSends goes on with what has waited long enough. It returns when it is to be called again.
func (c *Client) tickSends(now time.Time) (next time.Time) {
	kept := c.pausing[:0]
	for _, v := range c.pausing {
		switch {
		case v.retryAt.IsZero():
		case v.retryAt.After(now):
			kept = append(kept, v)
			next = earlier(next, v.retryAt)
		default:
			v.retryAt = time.Time{}
			c.makeReady(v)
		}
	}
	clear(c.pausing[len(kept):])
	c.pausing = kept

	holes := c.holes[:0]
	for _, v := range c.holes {
		if v.blocked {
			c.fillHole(v, now)
		}
		if v.blocked {
			holes = append(holes, v)
			next = earlier(next, v.settledAt(now))
		}
	}
	clear(c.holes[len(holes):])
	c.holes = holes
	return next
}

// settledAt returns when the last unanswered copy can be counted as not stored.
func (v *conversation) settledAt(now time.Time) (at time.Time) {
	for _, p := range v.pending {
		if !p.settled(now) {
			if t := p.lastCopy.Add(unknownFor); t.After(at) {
				at = t
			}
		}
	}
	return at
}

// earlier returns the earlier time; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
