package client

import (
	"context"
	"fmt"
	"time"

	"github.com/coder/websocket"
)

// poke wakes the driver. It never blocks.
func (c *Client) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// pokeBy makes sure that the driver wakes at a time.
func (c *Client) pokeBy(at time.Time) {
	if c.armed.IsZero() || at.Before(c.armed) {
		c.poke()
	}
}

// jitter is full jitter over a limit that doubles with the failures.
// Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
func (c *Client) jitter(first, most time.Duration, failures int) time.Duration {
	limit := min(first<<min(failures, 10), most)
	return time.Duration(c.cfg.Rand() * float64(limit))
}

// Run connects, syncs, and stays connected until ctx ends, Close is called (nil), or there is no
// use in going on: ErrReplaced, ErrSignedOut, ErrUnauthorized, ErrRefused, ErrErased, or what the State or the token source
// said. It may be called once. When it returns, no function of Config is called any more.
//
// Two goroutines serve an idle client: this one, and the reader of the connection.
func (c *Client) Run(ctx context.Context) error {
	c.mu.Lock()
	if c.began {
		c.mu.Unlock()
		return ErrRunning
	}
	c.began = true
	if c.ended {
		c.mu.Unlock()
		close(c.done)
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	c.cancel = cancel
	c.dialAt = c.cfg.Now()
	c.mu.Unlock()
	defer cancel()

	defer close(c.done)

	c.drive(ctx)
	return c.finish()
}

// drive is the driver: it alone writes, saves and keeps the time.
func (c *Client) drive(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var out [][]byte
	for {
		c.mu.Lock()
		now := c.cfg.Now()
		next := c.tick(now)
		due, dialAt := c.dialDue(now)
		if due {
			c.startDial(ctx)
		} else {
			next = earlier(next, dialAt)
		}
		c.startFetches()
		out = c.startRequests(now, out[:0])
		out = c.startSends(now, out)
		change, save := c.pendingChange(now, false)
		l, ended := c.cur, c.ended
		if !next.Equal(c.armed) {
			c.armed = next
			if next.IsZero() {
				timer.Stop()
			} else {
				timer.Reset(next.Sub(now))
			}
		}
		c.mu.Unlock()

		if save {
			if err := c.cfg.State.Save(change); err != nil {
				c.mu.Lock()
				c.end(fmt.Errorf("client: %w", err))
				c.mu.Unlock()
				return
			}
		}
		if ended {
			return
		}
		if len(out) > 0 && l != nil {
			c.write(ctx, l, out)
			clear(out)
		}
		select {
		case <-c.wake:
		case <-timer.C:
			c.mu.Lock()
			c.armed = time.Time{}
			c.mu.Unlock()
		case d := <-c.results:
			c.mu.Lock()
			c.connected(d, c.cfg.Now())
			c.mu.Unlock()
		case <-ctx.Done():
			c.mu.Lock()
			c.end(ctx.Err())
			c.mu.Unlock()
			return
		}
	}
}

// write writes frames. A connection on which that fails, or takes too long, is ended by its reader.
func (c *Client) write(ctx context.Context, l *link, frames [][]byte) {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	for _, f := range frames {
		if err := l.ws.Write(ctx, websocket.MessageText, f); err != nil {
			l.ws.CloseNow()
			return
		}
	}
}

// tick does what is due, and returns when it is to be called again; zero: only when woken.
func (c *Client) tick(now time.Time) time.Time {
	if c.ended {
		return time.Time{}
	}
	c.closeGaps(now)
	next := c.tickPing(now)
	next = earlier(next, c.tickRequests(now))
	next = earlier(next, c.tickSends(now))
	next = earlier(next, c.tickRenew(now))
	next = earlier(next, c.tickAcks(now))
	next = earlier(next, c.tickTyping(now))
	c.tickWatch()
	next = earlier(next, c.tickLinks(now))
	if len(c.gaps) > 0 {
		next = earlier(next, c.gaps[0].due)
	}
	return earlier(next, c.saveBy)
}

// tickLinks ends connections that are overdue. It returns when it is to be called again.
func (c *Client) tickLinks(now time.Time) (next time.Time) {
	if c.old != nil {
		if now.Before(c.oldUntil) {
			next = c.oldUntil
		} else {
			c.fail(c.old, errHandover)
			c.old = nil
		}
	}
	if c.cur == nil {
		return next
	}
	if len(c.requests)+len(c.sends) > 0 {
		if !now.Before(c.overdueAt) {
			c.overdueAt = now.Add(overdueAnswer / 4)
			if c.overdueRequests(now) {
				c.leave(errOverdue, now)
				return next
			}
		}
		next = earlier(next, c.overdueAt)
	}
	return next
}

// dialDue tells whether to open a connection now; next is when it is to be asked again.
func (c *Client) dialDue(now time.Time) (due bool, next time.Time) {
	switch {
	case c.ended || c.dialing:
		return false, time.Time{}
	case !c.dialAt.IsZero():
		return !now.Before(c.dialAt), c.dialAt
	case c.cur != nil && !c.cur.replaceAt.IsZero():
		return !now.Before(c.cur.replaceAt), c.cur.replaceAt
	}
	return false, time.Time{}
}

// startDial opens a connection. Its outcome comes in Client.results.
func (c *Client) startDial(ctx context.Context) {
	c.dialing, c.dialAt = true, time.Time{}
	device, stale := c.device, time.Time{}
	if c.cur != nil {
		c.cur.replaceAt = time.Time{}
		if c.cur.forToken && c.cur.err == nil {
			stale = c.cur.expires
		}
	} else if !c.unbroken {
		c.setStatus(Status{Phase: Connecting})
	}
	c.goroutines.Go(func() {
		c.results <- c.dial(ctx, device, stale) // has room: one dial at a time
	})
}

// end makes Run return.
func (c *Client) end(err error) {
	if !c.ended {
		c.ended, c.err = true, err
		c.poke()
	}
}

// finish ends everything that Run has begun, and returns why.
func (c *Client) finish() error {
	c.cancel()
	c.mu.Lock()
	err := c.err
	c.dropMessages()
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
	c.phase = Closed
	c.emit(event{kind: eventStatus, status: Status{Phase: Closed, Err: err}})
	c.abandon()
	cur, old := c.cur, c.old
	c.mu.Unlock()
	if old != nil {
		old.ws.CloseNow()
	}
	if cur != nil {
		// So that the server need not find out by itself. What this says does not matter.
		_ = cur.ws.Close(websocket.StatusNormalClosure, "")
	}
	c.goroutines.Wait()
	select {
	case d := <-c.results:
		if d.link != nil {
			d.link.ws.CloseNow()
		}
	default:
	}
	c.mu.Lock()
	change, save := c.pendingChange(c.cfg.Now(), true)
	c.mu.Unlock()
	if save {
		if e := c.cfg.State.Save(change); e != nil && err == nil {
			err = fmt.Errorf("client: %w", e)
		}
	}
	return err
}

// abandon tells everybody who waits that nothing will come.
func (c *Client) abandon() {
	for _, r := range c.requests {
		r.done(nil, ErrClosed)
	}
	clear(c.requests)
	for _, v := range c.convs {
		for _, p := range v.pending {
			p.resolve(Sent{}, ErrClosed)
		}
	}
	for _, done := range c.watch.waiting {
		done <- ErrClosed
	}
	c.watch.waiting = nil
	c.endPing(ErrClosed)
}
