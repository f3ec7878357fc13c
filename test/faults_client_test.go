package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sync/errgroup"

	"github.com/duet-chat/duet/client"
	"github.com/duet-chat/duet/localstack/cloud"
)

// phases notes when a client's connection came and went.
type phases struct {
	mu      sync.Mutex // guards what follows
	online  []time.Time
	offline int
	why     []error       // it went
	more    chan struct{} // closed and replaced with each
}

func newPhases() *phases { return &phases{more: make(chan struct{})} }

func (p *phases) note(s client.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch s.Phase {
	case client.Online:
		p.online = append(p.online, time.Now())
	case client.Offline:
		if len(p.online) > 0 { // a first handshake that is refused takes nothing away
			p.offline++
			p.why = append(p.why, s.Err)
		}
	}
	close(p.more)
	p.more = make(chan struct{})
}

// count is how often it came and went.
func (p *phases) count() (online, offline int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.online), p.offline
}

// await waits until it has come so often, and returns when the last time was.
func (p *phases) await(t testing.TB, count int) time.Time {
	t.Helper()
	for limit := timeout(); ; {
		p.mu.Lock()
		online, more := p.online, p.more
		p.mu.Unlock()
		if len(online) >= count {
			return online[count-1]
		}
		select {
		case <-more:
		case <-limit:
			t.Fatalf("online %d times, want %d", len(online), count)
		}
	}
}

// Everybody drops and returns at once: jitter spreads them, each comes back once, and the work of that
// is bounded.
func TestEverybodyDropsAtOnce(t *testing.T) {
	t.Parallel()
	d, faults := faultyTarget(t)
	const devices = 40
	rng := rand.New(rand.NewPCG(seed(t), 0))
	var mu sync.Mutex // guards rng
	var all []*phases
	var programs []*program
	var users []*user
	for i := range devices {
		if i%4 == 0 {
			users = append(users, d.user(t, fmt.Sprint("user", i)))
		}
		p := newPhases()
		all = append(all, p)
		programs = append(programs, users[len(users)-1].program(t, fmt.Sprint("device", i), func(c *client.Config) {
			c.OnStatus = p.note
			c.Rand = func() float64 { mu.Lock(); defer mu.Unlock(); return rng.Float64() }
		}))
	}
	for _, p := range all {
		p.await(t, 1)
	}
	before := d.usage(t)
	faults.Add("now cut")
	var back []time.Time
	for _, p := range all {
		back = append(back, p.await(t, 2))
	}
	slices.SortFunc(back, time.Time.Compare)
	if spread := back[devices-1].Sub(back[0]); spread < 100*time.Millisecond || spread > 5*time.Second {
		t.Errorf("they came back within %v, want them spread over about half a second", spread)
	}
	// Whoever is back works, once.
	users[0].connect(t, "sender").send(users[1], 1, "are you there?")
	for _, p := range programs[4:8] {
		p.await(1)
	}
	used := d.usage(t).since(before)
	if got := used.sum("lambda", "invocations") / devices; got > 8 {
		t.Errorf("a reconnect took %.1f invocations, want at most 8: disconnect, authorize, connect, sync, presence of arrivals and departures, and what the test itself does", got)
	}
	if got := used["lambda"]["ConnectFunction"]["invocations"]; got != devices+1 {
		t.Errorf("%v connects for %d devices and one more", got, devices)
	}
	reads, writes := used.sum("dynamodb", "read_units")/devices, used.sum("dynamodb", "write_units")/devices
	if reads > 9 || writes > 3 {
		t.Errorf("a reconnect took %.1f read units and %.1f write units, want at most 9 and 3", reads, writes)
	}
	t.Logf("spread over %v; %.1f read units and %.1f write units each", back[devices-1].Sub(back[0]), reads, writes)
	for i, p := range all {
		if online, _ := p.count(); online != 2 {
			t.Errorf("device %d came back %d times, want once", i, online-1)
		}
	}
}

// The gateway ends connections for their age, or for silence: clients come back and lose nothing.
// That they open the next connection before two hours are over is held in package client.
func TestConnectionsEndByLimits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		limit func(*cloud.Config)
	}{
		{"age", func(c *cloud.Config) { c.Limits.Duration = 250 * time.Millisecond }},
		{"silence", func(c *cloud.Config) { c.Limits.Idle = 100 * time.Millisecond }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := localTarget(t, "needs short limits", test.limit)
			survivesEnds(t, d)
		})
	}
}

// The same limits by the flags of a local cloud that runs on its own, both together.
func TestConnectionsEndByLimitsOfFlags(t *testing.T) {
	t.Parallel()
	d, _ := processTarget(t, "--limit", "idle=200ms", "--limit", "duration=500ms")
	survivesEnds(t, d)
}

// survivesEnds lets programs talk while API Gateway ends their connections, in the midst of it and in
// silence. Each message is there once, and shown once, in order.
func survivesEnds(t *testing.T, d *target) {
	t.Helper()
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	lives := newPhases()
	a := alice.program(t, "laptop", func(c *client.Config) { c.OnStatus = lives.note })
	b := bob.program(t, "phone")
	sent := 0
	for ; ; sent++ {
		if online, _ := lives.count(); online > 3 && sent >= 50 {
			break
		}
		if sent%10 == 9 {
			online, _ := lives.count()
			if online <= 3 { // silence, or age, until the connection ends
				lives.await(t, online+1)
			}
		}
		if _, err := a.Send(t.Context(), bob.name, fmt.Sprint(sent)); err != nil {
			t.Fatal(err)
		}
	}
	log := alice.connect(t, "witness").log(alice.with(bob), 0)
	if len(log) != sent {
		t.Errorf("the log has %d messages, want %d", len(log), sent)
	}
	checkPrograms(t, log, a, b)
}

// Gateway limits, throttling: what an account may not do now is done later, once and in order; nobody is
// cut off for it. Handshakes, messages and posts are all refused now and then.
func TestThrottledAccount(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "needs a small account", func(c *cloud.Config) {
		c.Limits.Requests, c.Limits.RequestBurst, c.Limits.NewConnections = 50, 10, 2
	})
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	lives := newPhases()
	a := alice.program(t, "laptop", func(c *client.Config) { c.OnStatus = lives.note })
	tablet, b := alice.program(t, "tablet"), bob.program(t, "phone")
	const messages = 30
	for n := range messages {
		if _, err := a.Enqueue(bob.name, fmt.Sprint(n)); err != nil {
			t.Fatal(err)
		}
	}
	log := make([]entry, 0, messages)
	for n, m := range a.await(messages) {
		if m.Text != fmt.Sprint(n) || m.Seq != int64(n+1) || m.N != int64(n+1) {
			t.Fatalf("message %d is %+v", n, m)
		}
		log = append(log, entry{Seq: m.Seq, From: m.From, Device: m.Device, N: m.N, Text: m.Text})
	}
	checkPrograms(t, log, a, tablet, b)
	u := d.usage(t)
	t.Logf("%g throttled of %g messages and %g handshakes", u.sum("apigateway", "throttled"), u.sum("apigateway", "messages_in"), u.sum("apigateway", "handshakes"))
	if u.sum("apigateway", "throttled") == 0 {
		t.Error("nothing was throttled: nothing was tried")
	}
	if online, offline := lives.count(); online != 1 || offline != 0 {
		t.Errorf("the sender was online %d times and offline %d times, want once and never", online, offline)
	}
}

// freshTokens is a source of tokens that live for some seconds.
type freshTokens struct {
	t      testing.TB
	issuer *issuer
	user   string
	life   time.Duration
}

func (f *freshTokens) Token(context.Context) (string, time.Time, error) {
	end := time.Now().Add(f.life).Truncate(time.Second)
	return f.issuer.sign(f.t, f.issuer.claims(f.user, jwt.MapClaims{"exp": end.Unix()})), end, nil
}

// Tokens expire: the client opens the next connection before the old one's session ends, is never
// offline, and loses nothing.
func TestTokensExpireWhileTalking(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	d := i.target(t)
	alice, bob := i.user(t, d, "alice", nil), i.user(t, d, "bob", nil)
	lives := newPhases()
	short := func(u *user) func(*client.Config) {
		return func(c *client.Config) { c.Tokens = &freshTokens{t, i, u.name, 6 * time.Second} }
	}
	a := alice.program(t, "laptop", short(alice), func(c *client.Config) { c.OnStatus = lives.note })
	b := bob.program(t, "phone", short(bob))
	if err := b.WaitOnline(t.Context()); err != nil { // which registers bob
		t.Fatal(err)
	}
	// The sessions of both end in this time: each token is good for five to six seconds.
	connects := func() float64 { return d.usage(t)["lambda"]["ConnectFunction"]["invocations"] }
	sent := 0
	for limit := timeout(); connects() < 4; {
		if _, err := a.Send(t.Context(), bob.name, fmt.Sprint(sent)); err != nil {
			t.Fatal(err)
		}
		sent++
		select {
		case <-limit:
			t.Fatalf("%v connections in %v", connects(), patience)
		default:
		}
	}
	if _, offline := lives.count(); offline != 0 {
		t.Errorf("alice was offline %d times, want never: %v", offline, lives.why)
	}
	log := alice.connect(t, "witness").log(alice.with(bob), 0)
	if len(log) != sent {
		t.Errorf("the log has %d messages, want %d", len(log), sent)
	}
	checkPrograms(t, log, a, b)
}

// Devices whose clocks are days ahead or behind are in the same conversation as all others: they get new
// tokens when theirs end, their messages are in order, and times are the server's.
func TestClocksOfDevicesAreWrong(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	d := i.target(t)
	alice, bob := i.user(t, d, "alice", nil), i.user(t, d, "bob", nil)
	const life = 4 * time.Second // of each token
	off := func(u *user, by time.Duration) func(*client.Config) {
		return func(c *client.Config) {
			c.Now = func() time.Time { return time.Now().Add(by).Round(0) }
			c.Tokens = &freshTokens{t, i, u.name, life}
		}
	}
	began := time.Now().Truncate(time.Millisecond)
	bobs := bob.program(t, "behind", off(bob, -72*time.Hour))
	if err := bobs.WaitOnline(t.Context()); err != nil { // which registers bob
		t.Fatal(err)
	}
	ahead, right := alice.program(t, "ahead", off(alice, 72*time.Hour)), alice.program(t, "right", off(alice, 0))
	connects := func() float64 { return d.usage(t)["lambda"]["ConnectFunction"]["invocations"] }
	sent := 0
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for limit := timeout(); connects() < 7 || time.Since(began) < 2*life; {
		for _, step := range []struct {
			from *program
			to   *user
		}{{ahead, bob}, {bobs, alice}, {right, bob}} {
			s, err := step.from.Send(t.Context(), step.to.name, fmt.Sprint(sent))
			if err != nil {
				t.Fatal(err)
			}
			if s.At.Before(began) || s.At.After(time.Now()) {
				t.Fatalf("%s is told %v as the time of its message, want between %v and now", step.from.Device(), s.At, began)
			}
			sent++
		}
		select {
		case <-limit:
			t.Fatalf("%v connections in %v", connects(), patience)
		case <-again.C:
		}
	}
	log := alice.connect(t, "witness").log(alice.with(bob), 0)
	if len(log) != sent {
		t.Errorf("the log has %d messages, want %d", len(log), sent)
	}
	checkPrograms(t, log, ahead, right, bobs)
	if got := connects(); got > 30 {
		t.Errorf("%v connections, want a few for each device", got)
	}
}

// G5, G6: a reader stalls for a while; the gateway's buffer fills, posts are refused, and in the end
// it has everything.
func TestReaderStalls(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "needs a small send buffer", func(c *cloud.Config) { c.Limits.SendBufferBytes = 4 << 10 })
	faults := d.faults(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	a, b := alice.program(t, "laptop"), bob.program(t, "phone")
	if err := b.WaitOnline(t.Context()); err != nil {
		t.Fatal(err)
	}
	faults.Set(1, "socket user="+bob.name+" delay=1h")
	const each = 60
	var sending errgroup.Group
	sending.Go(func() error { return a.sendAll(t.Context(), bob, each) })
	if err := sending.Wait(); err != nil {
		t.Fatal(err)
	}
	bob.awaitRows(t, "one that is behind", behind)
	faults.Clear()
	log := alice.connect(t, "witness").log(alice.with(bob), 0)
	if err := b.Ping(t.Context()); err != nil { // as it does by itself, after some silence
		t.Fatal(err)
	}
	checkPrograms(t, log, a, b)
}

// G2: a resend after a long time, when so many other devices have written meanwhile that the head
// has forgotten this one, is stored once; and so is what comes from a device id that is used again
// after reinstalling.
func TestLateResendAndReinstalledDevice(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	late := alice.connect(t, "old-laptop")
	first := late.send(bob, 1, "sent a month ago")
	for i := range 12 { // more devices than a head holds
		c := bob.connect(t, fmt.Sprint("device", i))
		c.send(alice, 1, "meanwhile")
		c.drop()
	}
	if f := late.send(bob, 1, "sent a month ago"); !f.Duplicate || f.Seq != first.Seq {
		t.Errorf("sent again a month late = %s, want a duplicate at seq %d", f.raw, first.Seq)
	}
	late.send(bob, 2, "and the next one")

	// The same device id with nothing in its memory.
	late.drop()
	p := alice.program(t, "old-laptop")
	sent, err := p.Send(t.Context(), bob.name, "after reinstalling")
	if err != nil || sent.Duplicate || sent.Seq != 15 {
		t.Errorf("sent after reinstalling: %+v %v, want seq 15", sent, err)
	}
	if p.Device() == "old-laptop" {
		t.Error("the reinstalled device keeps its id, whose numbers are used")
	}
	log := bob.connect(t, "witness").log(alice.with(bob), 0)
	checkLog(t, log)
	if len(log) != 15 {
		t.Errorf("the log has %d messages, want 15", len(log))
	}
	checkPrograms(t, log, p)
}
