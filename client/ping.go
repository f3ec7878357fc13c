package client

import (
	"context"
	"time"

	"github.com/duet-chat/duet/internal/wire"
)

const (
	pingFirst = 30 * time.Second // of silence, before the first ping
	pongLimit = 10 * time.Second

	// pingMost is the longest distance between two: so long that heartbeats cost no more than the
	// connection's minutes, and short of the 10 minutes after which API Gateway ends a silent
	// connection (docs/decisions/0006-heartbeats.md).
	pingMost = 9*time.Minute + 25*time.Second
)

// Ping finds out whether the connection is alive: call it when the app comes to the foreground or
// the network has changed. Without an answer in 10 s the client reconnects, and Ping fails; while
// offline, it makes the client try to connect at once.
func (c *Client) Ping(ctx context.Context) error {
	done := make(chan error, 1)
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return ErrClosed
	}
	c.pingers = append(c.pingers, done)
	if c.cur == nil && !c.dialing && c.began {
		c.dialAt = c.cfg.Now()
	}
	c.poke()
	c.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tickPing keeps the connection from falling silent, and ends a dead one. It returns when it is to
// be called again.
func (c *Client) tickPing(now time.Time) time.Time {
	if c.cur == nil {
		return time.Time{}
	}
	if c.ping != nil {
		due := c.pinged.Add(pongLimit)
		if now.Before(due) {
			return due
		}
		c.leave(errNoPong, now)
		return time.Time{}
	}
	due := c.heard.Add(c.pingEvery)
	if len(c.pingers) == 0 && now.Before(due) {
		return due
	}
	if len(c.pingers) == 0 {
		c.pingEvery = min(2*c.pingEvery, pingMost)
	}
	c.pinged = now
	c.ping = &request{
		kind: requestPing,
		make: func(ref string) any { return plainRequest{Action: wire.ActionPing, Ref: ref} },
		done: func(f *frame, err error) {
			if err != nil {
				// Refused, or disconnected: the pong's deadline or the next connection go on.
				return
			}
			c.ping = nil
			c.endPing(nil)
			if f.Behind {
				c.startSync()
			}
		},
	}
	c.ask(c.ping)
	return now.Add(pongLimit)
}

// failPing ends a ping with its connection.
func (c *Client) failPing(err error) {
	if c.ping != nil {
		c.ping = nil
		c.endPing(err)
	}
}

// endPing tells those who asked for a ping.
func (c *Client) endPing(err error) {
	for _, done := range c.pingers {
		done <- err
	}
	c.pingers = nil
}
