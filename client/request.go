package client

import (
	"context"
	"errors"
	"time"

	"github.com/duet-chat/duet/internal/chat"
)

// request is anything but a send that waits for an answer.
type request struct {
	kind    requestKind
	ref     string
	conv    *conversation        // that it is about, if it is about one
	make    func(ref string) any // the frame
	done    func(*frame, error)  // called once, under Client.mu
	flying  bool                 // written to the current connection, and not answered
	written time.Time
	tries   int
	retryAt time.Time // zero: not waiting
}

type requestKind int

const (
	requestUser  requestKind = iota // asked for by the program: asked again on the next connection
	requestFetch                    // ends with the connection; the next sync knows what is missing
	requestSync                     // ends with the connection
	requestPing                     // ends with the connection
	requestState                    // ends with the connection, and is made anew on the next one
	requestOnce                     // ends with the connection, or with a passing fault
)

// overdueAnswer is when an answer is so late that none can come: API Gateway gives an integration
// 29 s, and says so when it is over. Something is wrong with the connection then.
const overdueAnswer = 40 * time.Second

var errDisconnected = errors.New("the connection ended before the answer came")

// ask queues a request.
func (c *Client) ask(r *request) {
	r.ref = c.newRef()
	c.requests[r.ref] = r
	c.outgoing = append(c.outgoing, r)
	c.poke()
}

// drop ends a request without an answer.
func (c *Client) drop(r *request) {
	delete(c.requests, r.ref)
}

// startRequests writes the queued requests.
func (c *Client) startRequests(now time.Time, out [][]byte) [][]byte {
	if c.cur == nil {
		return out
	}
	for _, r := range c.outgoing {
		if c.requests[r.ref] != r || r.flying {
			continue // given up, or answered by an earlier copy
		}
		r.flying, r.written = true, now
		out = append(out, encode(r.make(r.ref)))
	}
	c.outgoing = nil
	return out
}

// answer ends a request.
func (c *Client) answer(r *request, f *frame) {
	c.drop(r)
	r.done(f, nil)
}

// refuse takes the error that answers a request.
func (c *Client) refuse(r *request, f *frame, now time.Time) {
	switch e := f.refusal(); {
	case chat.Code(e.Code) == chat.SessionExpired:
		// Asked again on the next connection, or not at all: see requeueRequests.
		c.reconnect(now)
	case e.Retry || chat.Code(e.Code) == chat.Unavailable:
		c.retry(r, e.RetryAfter, now)
	default:
		c.drop(r)
		r.done(nil, e)
	}
}

// retry asks again after a passing fault.
func (c *Client) retry(r *request, atLeast time.Duration, now time.Time) {
	if !r.retryAt.IsZero() || r.kind == requestPing {
		return // a ping that is not answered in time ends the connection
	}
	if r.kind == requestOnce {
		c.drop(r)
		r.done(nil, errDisconnected)
		return
	}
	r.flying = false
	r.retryAt = now.Add(max(atLeast, c.jitter(100*time.Millisecond, 10*time.Second, r.tries)))
	r.tries++
	c.retrying = append(c.retrying, r)
	c.pokeBy(r.retryAt)
}

// tickRequests asks again what has waited long enough. It returns when it is to be called again.
func (c *Client) tickRequests(now time.Time) (next time.Time) {
	kept := c.retrying[:0]
	for _, r := range c.retrying {
		switch {
		case c.requests[r.ref] != r || r.retryAt.IsZero():
		case r.retryAt.After(now):
			kept = append(kept, r)
			next = earlier(next, r.retryAt)
		default:
			r.retryAt = time.Time{}
			c.outgoing = append(c.outgoing, r)
		}
	}
	clear(c.retrying[len(kept):])
	c.retrying = kept
	return next
}

// requeueRequests takes the requests from a connection that ended: what the program asked for is
// asked again, the client's own are made anew by the next sync.
func (c *Client) requeueRequests() {
	c.outgoing, c.retrying = nil, nil
	for _, r := range c.requests {
		r.flying, r.retryAt = false, time.Time{}
		if r.kind == requestUser {
			c.outgoing = append(c.outgoing, r)
			continue
		}
		c.drop(r)
		r.done(nil, errDisconnected)
	}
}

// faulted takes a frame of the gateway's own. It does not say to which request it belongs, so
// every unanswered one may have failed (or been done).
func (c *Client) faulted(message string, now time.Time) {
	c.cfg.Log.Warn("the gateway answered a request itself", "message", message)
	var atLeast time.Duration
	switch message {
	case "Internal server error", "Endpoint request timed out", "Forbidden":
	default:
		atLeast = time.Second // throttling and the like
	}
	for _, r := range c.requests {
		if r.flying {
			c.retry(r, atLeast, now)
		}
	}
	for _, p := range c.sends {
		if p.flying {
			p.flying = false
			c.pause(p.conv, atLeast, now)
		}
	}
}

// overdueRequests tells whether something waits for an answer that cannot come any more.
func (c *Client) overdueRequests(now time.Time) bool {
	for _, r := range c.requests {
		if r.flying && now.Sub(r.written) >= overdueAnswer {
			return true
		}
	}
	for _, p := range c.sends {
		if p.flying && now.Sub(p.lastCopy) >= overdueAnswer {
			return true
		}
	}
	return false
}

// roundTrip makes a request for the program and waits for its answer, over as many connections as
// it takes.
func (c *Client) roundTrip(ctx context.Context, frameOf func(ref string) any) (*frame, error) {
	type outcome struct {
		f   *frame
		err error
	}
	done := make(chan outcome, 1)
	r := &request{kind: requestUser, make: frameOf, done: func(f *frame, err error) { done <- outcome{f, err} }}
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	c.ask(r)
	c.mu.Unlock()
	select {
	case o := <-done:
		return o.f, o.err
	case <-ctx.Done():
		c.mu.Lock()
		c.drop(r)
		c.mu.Unlock()
		return nil, ctx.Err()
	}
}
