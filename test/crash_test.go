package test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/cloudtest"
)

// processTarget is a local cloud as a child process on a data folder.
func processTarget(t testing.TB, flags ...string) (*target, *cloudtest.Process) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and starts the local cloud as a process: run without -short")
	}
	needLocal(t, "kills it")
	p := cloudtest.StartProcess(t, t.TempDir(), flags...)
	return targetAt(t, p.URL()), p
}

// G1, G2, G3: kill -9 in mid-load, again and again. What was acknowledged is there after the
// restart, once, at its seq; clients reconnect, resend and finish; users and tokens remain.
func TestKill9(t *testing.T) {
	t.Parallel()
	const kills = 4
	each := times(800, 800, 60)
	d, process := processTarget(t)
	rng := rand.New(rand.NewPCG(seed(t), 0))
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	// Two devices send through all of it and have to end with everything.
	devices := []*device{alice.device("laptop", bob, each, 2*each), bob.device("laptop", alice, each, 2*each)}
	results := make(chan error, len(devices))
	for _, d := range devices {
		go func() { results <- d.run(ctx) }()
	}
	// A third one, in a conversation of its own, keeps book of what was acknowledged.
	carol, dave := d.user(t, "carol"), d.user(t, "dave")
	book := &bookkeeper{user: carol, peer: dave}
	var writing sync.WaitGroup
	for round := range kills {
		stop := make(chan struct{})
		writing.Go(func() { book.write(ctx, t, stop) })
		// The kill comes in the midst of the load: after some more acknowledged messages.
		book.await(t, book.count()+int64(50+rng.IntN(200)))
		process.Kill9()
		close(stop)
		writing.Wait()
		process.Restart()
		c := carol.connect(t, "reader")
		log := c.log(carol.with(dave), 0)
		checkLog(t, log)
		for seq, text := range book.acknowledged {
			if int(seq) > len(log) || log[seq-1].Text != text {
				t.Fatalf("kill %d: seq %d, acknowledged as %q, is not there: the log has %d messages", round+1, seq, text, len(log))
			}
		}
		t.Logf("kill %d: %d acknowledged, %d stored", round+1, len(book.acknowledged), len(log))
	}
	for range devices {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	checkDevices(t, devices...)
	if most := slices.MaxFunc(devices, func(a, b *device) int { return a.connections - b.connections }); most.connections < 2 {
		t.Errorf("no device had to reconnect: nothing was tried")
	}
	// Users and passwords have survived as well.
	carol.signIn(t)
}

// bookkeeper sends messages one after the other and remembers which seq each was acknowledged at.
type bookkeeper struct {
	user, peer   *user
	n            int64
	acknowledged map[int64]string // by seq
	acked        atomic.Int64
}

func (b *bookkeeper) count() int64 { return b.acked.Load() }

// write sends until the server is gone.
func (b *bookkeeper) write(ctx context.Context, t testing.TB, stop <-chan struct{}) {
	if b.acknowledged == nil {
		b.acknowledged = map[int64]string{}
	}
	c, err := b.user.tryConnect(ctx, t, "bookkeeper")
	if err != nil {
		t.Errorf("connect the bookkeeper: %v", err)
		return
	}
	for {
		// A send without an answer goes again, under the same number, after the restart.
		n := b.n + 1
		text := time.Duration(n).String()
		f, err := c.ask(message(b.peer, n, text))
		if err != nil {
			<-stop // it is killed, as it was to be
			return
		}
		if f.Type != "sent" {
			t.Errorf("the bookkeeper's %d: %s", n, f.raw)
			return
		}
		b.n = n
		b.acknowledged[f.Seq] = text
		b.acked.Add(1)
	}
}

// await waits until so many messages are acknowledged.
func (b *bookkeeper) await(t testing.TB, count int64) {
	t.Helper()
	limit := timeout()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for b.count() < count {
		select {
		case <-again.C:
		case <-limit:
			t.Fatalf("%d messages acknowledged after %v, want %d", b.count(), patience, count)
		}
	}
}
