package test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"
)

var seedFlag = flag.Uint64("seed", 0, "seed of random tests; 0 takes a new one, which they print")

func seed(t testing.TB) uint64 {
	s := *seedFlag
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("again with: go test ./test -run '^%s$' -seed %d", t.Name(), s)
	return s
}

// G1–G5, G7: two users with two devices each send, 16 deep, all at once. Every device ends with
// the same gapless log.
func TestTenThousandMessages(t *testing.T) {
	each := times(2500, 500, 40)
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	began := time.Now()
	runAll(t, 2*time.Minute,
		alice.device("laptop", bob, each, 4*each), alice.device("phone", bob, each, 4*each),
		bob.device("laptop", alice, each, 4*each), bob.device("phone", alice, each, 4*each),
	)
	t.Logf("%d messages in %v", 4*each, time.Since(began).Round(time.Millisecond))
}

// G1–G5, G7: the same while connections are cut at random, in the middle of frames too.
func TestConnectionsCutAtRandom(t *testing.T) {
	t.Parallel()
	each := times(750, 250, 220)
	d := newTarget(t)
	network := newProxy(t, d.outputs["WebSocketUrl"], seed(t))
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	var devices []*device
	for _, id := range []string{"laptop", "phone"} {
		devices = append(devices, alice.device(id, bob, each, 4*each), bob.device(id, alice, each, 4*each))
	}
	for _, d := range devices {
		d.at(network.url(d.target.outputs["WebSocketUrl"]))
	}
	runAll(t, 2*time.Minute, devices...)
	t.Logf("%d connections were cut", network.count())
	if network.count() < 2*len(devices) {
		t.Errorf("%d connections were cut, want at least %d: nothing was tried", network.count(), 2*len(devices))
	}
}

// G3: both users send at the same instant, again and again; nobody starves.
func TestBothSendAtTheSameInstant(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	a, b := alice.connect(t, "laptop"), bob.connect(t, "laptop")
	rounds := times(300, 300, 60)
	for n := int64(1); n <= int64(rounds); n++ {
		first, err := a.start(message(bob, n, "from alice"))
		if err != nil {
			t.Fatal(err)
		}
		second, err := b.start(message(alice, n, "from bob"))
		if err != nil {
			t.Fatal(err)
		}
		var seqs int64
		for c, answer := range map[*conn]<-chan frame{a: first, b: second} {
			f, err := c.await(answer)
			if err != nil || f.Type != "sent" {
				t.Fatalf("round %d: %s %v, want sent", n, f.raw, err)
			}
			seqs += f.Seq
		}
		if want := 4*n - 1; seqs != want { // 2n-1 and 2n
			t.Fatalf("round %d: the two seqs add up to %d, want %d", n, seqs, want)
		}
	}
	checkLog(t, a.log(alice.with(bob), 0))
	a.messages(alice.with(bob), rounds)
	b.messages(alice.with(bob), rounds)
}

// G2: a device that resends everything it ever sent is answered with where it all stands, and
// nothing is written.
func TestResendOfEverything(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	messages := int64(times(500, 500, 100))
	c, other := alice.connect(t, "laptop"), bob.connect(t, "phone")
	text := func(n int64) string { return time.Duration(n).String() }
	sent := make([]frame, messages+1)
	for n := int64(1); n <= messages; n++ {
		sent[n] = c.send(bob, n, text(n))
		if n%7 == 0 {
			other.send(alice, n/7, "between them")
		}
	}
	before, log := d.tables(t), c.log(alice.with(bob), 0)
	for _, name := range []string{"the same connection", "another connection"} {
		if name == "another connection" {
			c = alice.connect(t, "laptop")
		}
		answers := make([]<-chan frame, messages+1)
		for n := messages; n >= 1; n-- {
			var err error
			if answers[n], err = c.start(message(bob, n, text(n))); err != nil {
				t.Fatal(err)
			}
		}
		for n := int64(1); n <= messages; n++ {
			f, err := c.await(answers[n])
			if err != nil {
				t.Fatal(err)
			}
			if f.Type != "sent" || !f.Duplicate || f.Seq != sent[n].Seq || f.At != sent[n].At || f.N != n || f.Conversation != sent[n].Conversation {
				t.Fatalf("%s: n %d again = %s, want a duplicate of %s", name, n, f.raw, sent[n].raw)
			}
		}
	}
	for _, n := range []int64{1, messages / 2, messages} {
		if f := c.must("error", message(bob, n, "another text")); f.Code != "conflict" || f.Retry {
			t.Errorf("n %d for another text = %s, want conflict", n, f.raw)
		}
		reply := message(bob, n, text(n))
		reply["reply_to"] = 1
		if f := c.must("error", reply); f.Code != "conflict" {
			t.Errorf("n %d as an answer to another message = %s, want conflict", n, f.raw)
		}
	}
	if d.tables(t) != before {
		t.Error("resending changed the tables")
	}
	if got := c.log(alice.with(bob), 0); len(got) != len(log) {
		t.Errorf("the log has %d messages, want %d as before", len(got), len(log))
	}
	checkLog(t, log)
}

// G4: API Gateway runs the frames of one connection at once; they land in the order of n even if
// they arrive in the opposite one.
func TestFramesInReversedOrder(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	c, receiver := alice.connect(t, "laptop"), bob.connect(t, "phone")
	rounds := times(20, 20, 5)
	for round := range int64(rounds) {
		answers := map[int64]<-chan frame{}
		for n := (round + 1) * inFlight; n > round*inFlight; n-- {
			answer, err := c.start(message(bob, n, "reversed"))
			if err != nil {
				t.Fatal(err)
			}
			answers[n] = answer
		}
		for n, answer := range answers {
			if f, err := c.await(answer); err != nil || f.Type != "sent" || f.Seq != n {
				t.Fatalf("n %d: %s %v, want sent with the same seq", n, f.raw, err)
			}
		}
	}
	checkLog(t, c.log(alice.with(bob), 0))
	receiver.messages(alice.with(bob), rounds*inFlight)
}
