package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duet-chat/duet/client"
)

type benchCmd struct {
	Pairs    int           `default:"50" help:"Pairs of users that chat."`
	Rate     float64       `default:"200" help:"Open loop: messages a second in all, sent at their times whether or not earlier ones were answered. Latency counts from the time at which a message was due."`
	Closed   bool          `help:"Closed loop instead: each sender sends its next message when one is answered."`
	Inflight int           `default:"1" help:"Closed loop: unanswered messages per sender, 1 to 16."`
	Both     bool          `help:"Closed loop: both users of a pair send, not only one."`
	Warmup   time.Duration `default:"2s" help:"How long to run before measuring."`
	Duration time.Duration `default:"10s" help:"How long to measure."`
	Size     int           `default:"64" help:"Bytes of text in a message, 64 to 4096."`
	Idle     int           `help:"Instead: hold this many idle connections, and report the server's memory for each."`
	Settle   time.Duration `default:"2s" help:"With --idle: how long the connections are idle before memory is read."`
}

func (c *benchCmd) check() error {
	wrong := func(format string, args ...any) error {
		return &problem{exitUsage, "duet bench --help says more.", fmt.Errorf(format, args...)}
	}
	switch {
	case c.Pairs < 1 || c.Pairs > 5000:
		return wrong("--pairs must be 1 to 5000, not %d", c.Pairs)
	case !c.Closed && c.Rate <= 0:
		return wrong("--rate must be positive, not %g", c.Rate)
	case c.Inflight < 1 || c.Inflight > client.MaxInFlight:
		return wrong("--inflight must be 1 to %d, not %d", client.MaxInFlight, c.Inflight)
	case c.Size < minSize || c.Size > client.MaxTextBytes:
		return wrong("--size must be %d to %d, not %d", minSize, client.MaxTextBytes, c.Size)
	case c.Idle < 0:
		return wrong("--idle must not be negative")
	}
	return nil
}

// Run measures.
func (c *benchCmd) Run(ctx context.Context, a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	d, err := a.deployment(ctx)
	if err != nil {
		return err
	}
	if c.Idle > 0 {
		return c.idle(ctx, a, d)
	}
	users, err := a.crowd(ctx, d, 2*c.Pairs)
	if err != nil {
		return err
	}
	b := newBenchmark(c, users)
	defer b.close()
	if err := b.connect(ctx); err != nil {
		return err
	}
	r, err := b.measure(ctx)
	if err != nil {
		return err
	}
	r.print(a)
	if r.failed() {
		return &problem{exitRefused, "", errors.New("messages were lost, doubled or out of order")}
	}
	return nil
}

// benchmark is a crowd that chats in pairs: 2i and 2i+1.
type benchmark struct {
	*benchCmd
	run   string // tells this run's messages from those of earlier ones
	users []*benchUser
}

func newBenchmark(c *benchCmd, configs []client.Config) *benchmark {
	b := &benchmark{benchCmd: c, run: fmt.Sprintf("%x", time.Now().UnixNano())}
	for i, cfg := range configs {
		u := &benchUser{bench: b, peer: configs[i^1].User, recorder: newRecorder()}
		cfg.OnMessage = u.message
		u.config = cfg
		b.users = append(b.users, u)
	}
	return b
}

func (b *benchmark) connect(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(32)
	for _, u := range b.users {
		g.Go(func() (err error) {
			if u.session, err = start(ctx, u.config, func() {}); err != nil {
				return err
			}
			if err = u.session.online(ctx); err != nil {
				err = fmt.Errorf("%s: %w", u.config.User, err)
			}
			return err
		})
	}
	return g.Wait()
}

func (b *benchmark) close() {
	var wg sync.WaitGroup
	for _, u := range b.users {
		if u.session != nil {
			wg.Go(u.session.close)
		}
	}
	wg.Wait()
}

// grace is how long messages may be under way when the sending has ended.
const grace = 15 * time.Second

func (b *benchmark) measure(ctx context.Context) (*report, error) {
	begin := time.Now()
	from := begin.Add(b.Warmup)
	end := from.Add(b.Duration)
	for _, u := range b.users {
		u.recorder.between(from, end)
	}
	var err error
	if b.Closed {
		err = b.closedLoop(ctx, end)
	} else {
		err = b.openLoop(ctx, begin, end)
	}
	if err != nil {
		return nil, err
	}
	b.awaitReceivers(ctx)
	return b.report(), ctx.Err()
}

// openLoop sends at fixed times, each user in turn.
func (b *benchmark) openLoop(ctx context.Context, begin, end time.Time) error {
	var g errgroup.Group
	for _, u := range b.users {
		u.queue = make(chan flight, 1<<16)
		g.Go(func() error { return u.awaitAnswers(ctx) })
	}
	gap := time.Duration(float64(time.Second) / b.Rate)
	var failed error
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, due := 0, begin; due.Before(end) && failed == nil; i, due = i+1, due.Add(gap) {
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				failed = ctx.Err()
				continue
			}
		}
		u := b.users[i%len(b.users)]
		var f flight
		if f, failed = u.send(due); failed == nil {
			u.queue <- f
		}
	}
	for _, u := range b.users {
		close(u.queue)
	}
	return errors.Join(failed, g.Wait())
}

// closedLoop keeps a window of messages unanswered at each sender.
func (b *benchmark) closedLoop(ctx context.Context, end time.Time) error {
	g, ctx := errgroup.WithContext(ctx)
	for i, u := range b.users {
		if i%2 == 1 && !b.Both {
			continue
		}
		g.Go(func() error {
			window := make([]flight, 0, b.Inflight)
			for {
				for len(window) < b.Inflight && time.Now().Before(end) {
					f, err := u.send(time.Now())
					if err != nil {
						return err
					}
					window = append(window, f)
				}
				if len(window) == 0 {
					return nil
				}
				if err := u.answered(ctx, window[0]); err != nil {
					return err
				}
				window = append(window[:0], window[1:]...)
			}
		})
	}
	return g.Wait()
}

// awaitReceivers waits until everything sent has been received, or the grace is over.
func (b *benchmark) awaitReceivers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	for i, u := range b.users {
		u.recorder.await(ctx, b.users[i^1].sent)
	}
}

// flight is a message that waits for its answer.
type flight struct {
	pending *client.Pending
	due     time.Time
}

// benchUser is one user of the crowd.
type benchUser struct {
	bench    *benchmark
	config   client.Config
	peer     string
	session  *session
	recorder *recorder
	queue    chan flight // open loop: unanswered messages, in order

	// sent counts the messages sent; only the sending goroutine touches it until that has ended.
	sent int64
}

func (u *benchUser) send(due time.Time) (flight, error) {
	u.sent++
	p, err := u.session.Enqueue(u.peer, encodeText(u.bench.run, u.sent, due, u.bench.Size))
	return flight{p, due}, err
}

func (u *benchUser) answered(ctx context.Context, f flight) error {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if _, err := f.pending.Wait(ctx); err != nil {
		return fmt.Errorf("%s to %s: %w", u.config.User, u.peer, err)
	}
	u.recorder.answer(f.due, time.Now())
	return nil
}

func (u *benchUser) awaitAnswers(ctx context.Context) error {
	for f := range u.queue {
		if err := u.answered(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// message is the client's OnMessage.
func (u *benchUser) message(m client.Message) {
	if m.Own || m.From != u.peer {
		return
	}
	if number, due, ok := decodeText(u.bench.run, m.Text); ok {
		u.recorder.receive(number, due, time.Now())
	}
}
