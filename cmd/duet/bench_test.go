package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
)

// quick is a load that takes no second.
var quick = []string{"bench", "--json", "--pairs", "2", "--warmup", "50ms", "--duration", "300ms"}

func bench(t *testing.T, m *machine, want int, args ...string) report {
	t.Helper()
	r := m.do("", append(quick, args...)...)
	if r.code != want {
		t.Fatalf("exit %d, want %d: %s%s", r.code, want, r.out, r.err)
	}
	var got report
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatalf("%q: %v", r.out, err)
	}
	return got
}

func TestBenchCountsEverything(t *testing.T) {
	m := newMachine(t, newFake(t).URL)
	for _, args := range [][]string{
		{"--rate", "100"},
		{"--closed", "--inflight", "4"},
		{"--closed", "--both", "--size", "4096"},
	} {
		r := bench(t, m, exitOK, args...)
		if r.Sent == 0 || r.Received != r.Sent || r.Lost+r.Duplicates+r.Disorder != 0 || r.PerSecond <= 0 {
			t.Errorf("bench %q = %+v", args, r)
		}
		if r.Answer.P50 <= 0 || r.Answer.P50 > r.Answer.Max || r.Delivery.P50 <= 0 {
			t.Errorf("bench %q: latencies %+v %+v", args, r.Answer, r.Delivery)
		}
	}
	if r := bench(t, m, exitOK, "--rate", "100"); r.Sent != 35 {
		t.Errorf("100 messages/s for 350 ms are %d, want 35", r.Sent)
	}
}

// An earlier run's messages and accounts must not disturb the next run, nor a deployment that has
// forgotten the accounts.
func TestBenchRunsAgain(t *testing.T) {
	f := newFake(t)
	m := newMachine(t, f.URL)
	bench(t, m, exitOK, "--rate", "100")
	f.forget()
	bench(t, m, exitOK, "--rate", "100")
	f.mu.Lock()
	clear(f.passwords)
	clear(f.sessions)
	f.mu.Unlock()
	bench(t, m, exitOK, "--rate", "100")
}

func TestBenchIdle(t *testing.T) {
	m := newMachine(t, newFake(t).URL)
	out := m.must("", "bench", "--idle", "20", "--settle", "1ms")
	contains(t, "bench --idle", out, "20 connections were idle", "1.0 MiB") // the deployment always tells the same
}

func TestRecorderFindsWhatIsWrong(t *testing.T) {
	tests := []struct {
		name                       string
		seen                       []sighting
		missing, doubled, disorder int64
	}{
		{"all is well", []sighting{{5, 1, false}, {6, 1, true}, {7, 2, false}}, 0, 0, 0},
		{"one is lost", []sighting{{5, 1, false}, {6, 3, false}}, 1, 0, 0},
		{"one is doubled", []sighting{{5, 1, false}, {6, 1, false}}, 0, 1, 0},
		{"two are exchanged in the log", []sighting{{5, 2, false}, {6, 1, false}}, 0, 0, 1},
		{"a place is left out", []sighting{{5, 1, false}, {7, 2, false}}, 0, 0, 1},
		{"two are shown in the wrong order", []sighting{{5, 1, false}, {7, 3, false}, {6, 2, false}}, 0, 0, 3},
		{"users are counted apart", []sighting{{1, 1, true}, {2, 1, false}, {3, 2, true}}, 0, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRecorder()
			now := time.Now()
			for _, s := range test.seen {
				r.receive(s, now, now)
			}
			missing := r.own.last + r.peer.last - r.own.seen - r.peer.seen
			if missing != test.missing || r.duplicates != test.doubled || r.disorder != test.disorder {
				t.Errorf("missing %d, doubled %d, disorder %d, want %d, %d, %d",
					missing, r.duplicates, r.disorder, test.missing, test.doubled, test.disorder)
			}
		})
	}
}

func TestLatencyCountsFromTheDueTimeWithinTheWindow(t *testing.T) {
	r := newRecorder()
	begin := time.Now()
	r.between(begin, begin.Add(time.Second))
	r.answer(begin.Add(-time.Millisecond), begin)                             // warm-up
	r.answer(begin, begin.Add(5*time.Millisecond))                            // counts
	r.answer(begin.Add(999*time.Millisecond), begin.Add(2*time.Second))       // due inside: counts
	r.answer(begin.Add(time.Second), begin.Add(time.Second+time.Microsecond)) // after the end
	if got := r.answers.TotalCount(); got != 2 {
		t.Errorf("%d latencies, want 2", got)
	}
	if got := latencyOf(r.answers); got.Max < 1000 || got.P50 > 5.1 {
		t.Errorf("latency = %+v, want 5 ms and 1001 ms", got)
	}
}

func TestTextsOfTheLoad(t *testing.T) {
	b := &benchmark{benchCmd: &benchCmd{Size: 100}, run: "r1", began: time.Now()}
	due := b.began.Add(123456789)
	text := b.encodeText(42, due)
	if len(text) != 100 {
		t.Errorf("the text has %d bytes, want 100", len(text))
	}
	number, at, ok := b.decodeText(text)
	if number != 42 || !at.Equal(due) || !ok {
		t.Errorf("decodeText(%q) = %d, %v, %t", text, number, at, ok)
	}
	for _, foreign := range []string{"", "r1", "r1 x 5 ", "r2" + strings.TrimPrefix(text, "r1"), "hello there"} {
		if _, _, ok := b.decodeText(foreign); ok {
			t.Errorf("decodeText(%q) is ok", foreign)
		}
	}
	longest := &benchmark{benchCmd: &benchCmd{Size: minSize}, run: strconv.FormatInt(1<<62, 36), began: time.Now()}
	if got := longest.encodeText(1e9, longest.began.Add(24*time.Hour)); len(got) != minSize {
		t.Errorf("the longest head needs %d bytes, above minSize", len(got))
	}
}

func BenchmarkRecord(b *testing.B) {
	bm := &benchmark{benchCmd: &benchCmd{Size: 64}, run: "r1", began: time.Now()}
	r := newRecorder()
	r.between(bm.began, bm.began.Add(time.Hour))
	b.ReportAllocs()
	for i := range int64(b.N) {
		number, due, _ := bm.decodeText(bm.encodeText(i+1, bm.began))
		r.receive(sighting{i + 1, number, false}, due, bm.began)
	}
}
