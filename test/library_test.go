package test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duet-chat/duet/client"
	"github.com/duet-chat/duet/localstack/cloud"
)

// program is a device that uses the Go library.
type program struct {
	t    testing.TB
	user *user
	*client.Client
	ended chan error // gets what Run returned

	mu    sync.Mutex // guards what follows
	shown []client.Message
	more  chan struct{} // closed and replaced with each message
}

// program runs a client of the library; the configuration may be changed before.
func (u *user) program(t testing.TB, device string, changes ...func(*client.Config)) *program {
	t.Helper()
	p := &program{t: t, user: u, ended: make(chan error, 1), more: make(chan struct{})}
	config := client.Config{
		URL: u.target.outputs["WebSocketUrl"], User: u.name, Device: device,
		Tokens: client.StaticToken(u.AccessToken, time.Time{}), FromBeginning: true,
		OnMessage: p.show,
		Rand:      func() float64 { return rand.Float64() / 20 }, // tests have no time for long backoffs
	}
	for _, change := range changes {
		change(&config)
	}
	var err error
	if p.Client, err = client.New(config); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close %s/%s: %v", u.name, device, err)
		}
	})
	return p
}

func (p *program) show(m client.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown = append(p.shown, m)
	close(p.more)
	p.more = make(chan struct{})
}

// await waits until the program has been shown a number of messages.
func (p *program) await(count int) []client.Message {
	p.t.Helper()
	for limit := timeout(); ; {
		p.mu.Lock()
		shown, more := p.shown, p.more
		p.mu.Unlock()
		if len(shown) >= count {
			return shown
		}
		select {
		case <-more:
		case err := <-p.ended:
			p.t.Fatalf("%s/%s ended with %v after %d messages, want %d", p.user.name, p.Device(), err, len(shown), count)
		case <-limit:
			p.t.Fatalf("%s/%s was shown %d messages, want %d", p.user.name, p.Device(), len(shown), count)
		}
	}
}

// sendAll queues messages to a user and waits until all are stored.
func (p *program) sendAll(ctx context.Context, to *user, count int) error {
	pending := make([]*client.Pending, count)
	for i := range pending {
		var err error
		if pending[i], err = p.Enqueue(to.name, fmt.Sprintf("%d of %s", i+1, p.Device())); err != nil {
			return err
		}
	}
	last := int64(0)
	for i, m := range pending {
		sent, err := m.Wait(ctx)
		if err != nil {
			return fmt.Errorf("message %d of %s: %w", i+1, p.Device(), err)
		}
		if sent.Seq <= last {
			return fmt.Errorf("message %d of %s stands at %d, behind the one before it at %d", i+1, p.Device(), sent.Seq, last)
		}
		last = sent.Seq
	}
	return nil
}

// checkPrograms checks that each program was shown the log that stands in history: every message
// once, in order (G3, G5, G7).
func checkPrograms(t testing.TB, log []entry, programs ...*program) {
	t.Helper()
	checkLog(t, log)
	for _, p := range programs {
		shown := p.await(len(log))
		if len(shown) != len(log) {
			t.Errorf("%s/%s was shown %d messages of %d", p.user.name, p.Device(), len(shown), len(log))
		}
		for i, m := range shown[:len(log)] {
			want := log[i]
			if m.Seq != want.Seq || m.From != want.From || m.Device != want.Device || m.N != want.N || m.Text != want.Text || m.Own != (want.From == p.user.name) {
				t.Fatalf("%s/%s was shown %+v as message %d, history has %+v", p.user.name, p.Device(), m, i+1, want)
			}
		}
	}
}

// G1–G5, G7: the library sends and shows everything once, while its connections are cut at random.
func TestLibraryOnABadNetwork(t *testing.T) {
	t.Parallel()
	each := times(400, 100, 25)
	d := newTarget(t)
	network := newProxy(t, d.outputs["WebSocketUrl"], seed(t))
	bad := func(c *client.Config) { c.URL = network.url(c.URL) }
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	programs := []*program{
		alice.program(t, "laptop", bad), alice.program(t, "phone", bad, func(c *client.Config) { c.Window = client.MaxInFlight }),
		bob.program(t, "tablet", bad), bob.program(t, "desktop", bad),
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var sending errgroup.Group
	for i, p := range programs {
		to := bob
		if i >= 2 {
			to = alice
		}
		sending.Go(func() error { return p.sendAll(ctx, to, each) })
	}
	if err := sending.Wait(); err != nil {
		t.Fatal(err)
	}
	log := alice.connect(t, "witness").log(alice.with(bob), 0)
	if len(log) != 4*each {
		t.Errorf("the log has %d messages, want %d", len(log), 4*each)
	}
	checkPrograms(t, log, programs...)
	t.Logf("%d connections were cut", network.count())
}

// G1, G2, G5: kill -9 of the local cloud, and the end of a program, in mid-load: the library
// reconnects, resends and finishes; what a program left unsent, its next run sends.
func TestLibrarySurvivesKill9(t *testing.T) {
	t.Parallel()
	const each, kills = 300, 3
	d, process := processTarget(t)
	rng := rand.New(rand.NewPCG(seed(t), 0))
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	state, err := client.OpenFileState(filepath.Join(t.TempDir(), "alice"))
	if err != nil {
		t.Fatal(err)
	}
	keep := func(c *client.Config) { c.State = state }
	a, b := alice.program(t, "laptop", keep), bob.program(t, "phone")
	for i := range each {
		if _, err := a.Enqueue(bob.name, fmt.Sprintf("%d of laptop", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- b.sendAll(ctx, alice, each) }()
	seen := 0
	for range kills {
		seen += 20 + rng.IntN(60)
		b.await(seen)
		process.Restart()
	}
	// The program ends as well; what it had not sent is in its state.
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	earlier := a.shown
	a = alice.program(t, "", keep)
	if a.Device() != "laptop" {
		t.Errorf("the next run is device %q, want the same one", a.Device())
	}
	for _, m := range a.Unsent() {
		if _, err := m.Wait(ctx); err != nil {
			t.Fatalf("%q, left by the run before: %v", m.Text(), err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	log := bob.connect(t, "witness").log(alice.with(bob), 0)
	if len(log) != 2*each {
		t.Errorf("the log has %d messages, want %d", len(log), 2*each)
	}
	// Both runs together were shown everything once.
	together := &program{t: t, user: alice, Client: a.Client, shown: append(earlier, a.await(len(log)-len(earlier))...), more: make(chan struct{})}
	checkPrograms(t, log, together, b)
}

// G9, protocol.md: what cannot be repaired ends the library's client with its reason.
func TestLibraryGivesUpForAReason(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice := d.user(t, "alice")
	ends := func(p *program, want error) {
		t.Helper()
		select {
		case err := <-p.ended:
			if !errors.Is(err, want) {
				t.Errorf("ended with %v, want %v", err, want)
			}
		case <-timeout():
			t.Errorf("has not ended, want %v", want)
		}
	}
	older := alice.program(t, "laptop")
	if err := older.WaitOnline(t.Context()); err != nil {
		t.Fatal(err)
	}
	newer := alice.program(t, "laptop")
	ends(older, client.ErrReplaced)
	if err := newer.WaitOnline(t.Context()); err != nil {
		t.Fatal(err)
	}
	ends(alice.program(t, "phone", func(c *client.Config) {
		c.Tokens = client.StaticToken(alice.IdToken, time.Time{})
	}), client.ErrUnauthorized)

	_, err := newer.Send(t.Context(), "nobody-"+d.run, "hello?")
	if !errors.Is(err, client.ErrUnknownUser) {
		t.Errorf("a message to nobody: %v, want %v", err, client.ErrUnknownUser)
	}
	// Its number is free for the next one, to somebody.
	bob := d.user(t, "bob")
	if sent, err := newer.Send(t.Context(), bob.name, "hello"); err != nil || sent.Seq != 1 {
		t.Errorf("the next message: %+v %v, want seq 1", sent, err)
	}
}

// protocol.md, Epoch: a local cloud that starts empty again is another life of the data. Clients
// notice, and what they write from then on is not taken for something old.
func TestLibraryNoticesANewEpoch(t *testing.T) {
	t.Parallel()
	needLocal(t, "starts it anew")
	state := client.NewMemoryState()
	port, device, run := 0, "", ""
	for life := range 2 {
		// Each life ends with its subtest; the next one takes over its port.
		t.Run(fmt.Sprintf("life %d", life+1), func(t *testing.T) {
			d := newTarget(t, func(c *cloud.Config) { c.Port = port })
			if life == 0 {
				run = d.run
			}
			d.run = run // the same names in each life, though signed up anew
			alice, bob := d.user(t, "alice"), d.user(t, "bob")
			p := alice.program(t, "", func(c *client.Config) { c.State = state })
			for n := range 3 {
				sent, err := p.Send(t.Context(), bob.name, fmt.Sprintf("%d of life %d", n+1, life+1))
				if err != nil || sent.Seq != int64(n)+1 || sent.Duplicate {
					t.Fatalf("message %d of life %d: %+v %v, want seq %d", n+1, life+1, sent, err, n+1)
				}
			}
			if life > 0 && p.Device() == device {
				t.Error("the device id is that of the life before")
			}
			device = p.Device()
			for i, m := range p.await(3)[:3] {
				if want := fmt.Sprintf("%d of life %d", i+1, life+1); m.Text != want {
					t.Errorf("was shown %q as message %d, want %q", m.Text, i+1, want)
				}
			}
			port = d.port(t)
		})
	}
}
