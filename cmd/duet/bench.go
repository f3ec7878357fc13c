package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
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
	Idle     int           `help:"Instead: hold this many idle connections, and report the memory of a local cloud for each; of one that has just been started, since memory that earlier work has left would be used first."`
	Settle   time.Duration `default:"2s" help:"With --idle: how long the connections are idle before memory is read."`
}

func (c *benchCmd) check() error {
	wrong := func(format string, args ...any) error {
		return fail(exitUsage, "duet bench --help says more.", format, args...)
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
	d, err := a.discover(ctx)
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
	if err := r.print(a); err != nil {
		return err
	}
	if r.failed() {
		return fail(exitRefused, "", "messages were lost, doubled or out of order")
	}
	return nil
}

// benchmark is a crowd that chats in pairs: 2i and 2i+1.
type benchmark struct {
	*benchCmd
	run   string    // tells this run's messages from those of earlier ones
	began time.Time // what times in texts count from
	users []*benchUser
}

func newBenchmark(c *benchCmd, configs []client.Config) *benchmark {
	now := time.Now()
	b := &benchmark{benchCmd: c, run: strconv.FormatInt(now.UnixNano(), 36), began: now}
	for i, cfg := range configs {
		u := &benchUser{bench: b, peer: configs[i^1].User, recorder: newRecorder()}
		cfg.OnMessage, cfg.OnStatus = u.message, u.status
		if c.Closed {
			cfg.Window = c.Inflight // not the client's own choice
		}
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
			u.client, err = online(ctx, u.config)
			return err
		})
	}
	return g.Wait()
}

// online starts a client and waits until it is online, at most as long as a message may take.
func online(ctx context.Context, cfg client.Config) (*client.Client, error) {
	c, err := client.New(cfg)
	if err != nil {
		return nil, err
	}
	go c.Run(context.WithoutCancel(ctx)) // until Close; WaitOnline and Wait tell its error
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if err := c.WaitOnline(ctx); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("connect %s: %w", cfg.User, err)
	}
	return c, nil
}

func (b *benchmark) close() {
	var wg sync.WaitGroup
	for _, u := range b.users {
		if u.client != nil {
			wg.Go(func() { _ = u.client.Close() })
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
	cpu := processCPU()
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
	return b.report(processCPU() - cpu), ctx.Err()
}

// openLoop sends at fixed times, each user in turn, whether or not earlier messages were answered.
func (b *benchmark) openLoop(ctx context.Context, begin, end time.Time) error {
	g, going := errgroup.WithContext(ctx)
	gap := time.Duration(float64(time.Second) / b.Rate)
	for i, due := 0, begin; due.Before(end) && going.Err() == nil; i, due = i+1, due.Add(gap) {
		if !awaitDue(going, due) {
			break
		}
		u := b.users[i%len(b.users)]
		f, err := u.send(due)
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		g.Go(func() error { return u.answered(going, f) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// awaitDue waits for a time; false says that ctx has ended. Being late would count as latency.
func awaitDue(ctx context.Context, due time.Time) bool {
	const brief = 3 * time.Millisecond
	if wait := time.Until(due); wait > brief {
		timer := time.NewTimer(wait - brief)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
	}
	for wait := time.Until(due); wait > 0; wait = time.Until(due) {
		sleepBriefly(wait)
	}
	return ctx.Err() == nil
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

// awaitReceivers waits until each user has seen everything that both of its pair sent, or the
// grace is over.
func (b *benchmark) awaitReceivers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	for i, u := range b.users {
		u.recorder.await(ctx, u.sent+b.users[i^1].sent)
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
	client   *client.Client
	recorder *recorder
	breaks   atomic.Int64 // times that the connection was lost

	// sent counts the messages sent; only the sending goroutine touches it until that has ended.
	sent int64
}

func (u *benchUser) send(due time.Time) (flight, error) {
	u.sent++
	p, err := u.client.Enqueue(u.peer, u.bench.encodeText(u.sent, due))
	return flight{p, due}, err
}

func (u *benchUser) answered(ctx context.Context, f flight) error {
	select {
	case <-f.pending.Done():
	default:
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, grace)
		defer cancel()
	}
	if _, err := f.pending.Wait(ctx); err != nil {
		return fmt.Errorf("%s to %s: %w", u.config.User, u.peer, err)
	}
	u.recorder.answer(f.due, time.Now())
	return nil
}

// message is the client's OnMessage. Own messages are recorded too: both users of a pair must
// see the same log.
func (u *benchUser) message(m client.Message) {
	if m.Peer(u.config.User) != u.peer {
		return
	}
	if number, due, ok := u.bench.decodeText(m.Text); ok {
		u.recorder.receive(sighting{m.Seq, number, m.Own}, due, time.Now())
	}
}

// status is the client's OnStatus.
func (u *benchUser) status(s client.Status) {
	if s.Phase == client.Offline {
		u.breaks.Add(1)
	}
}
