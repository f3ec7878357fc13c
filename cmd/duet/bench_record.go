package main

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// minSize holds a run, a number and a time.
const minSize = 48

// encodeText makes a message's text: "RUN NUMBER NANOSECONDS" and filling. The time is when the
// message was due, counted from the benchmark's beginning by the process's monotonic clock.
func (b *benchmark) encodeText(number int64, due time.Time) string {
	text := make([]byte, 0, b.Size)
	text = append(text, b.run...)
	text = append(text, ' ')
	text = strconv.AppendInt(text, number, 10)
	text = append(text, ' ')
	text = strconv.AppendInt(text, int64(due.Sub(b.began)), 10)
	text = append(text, ' ')
	for len(text) < b.Size {
		text = append(text, '.')
	}
	return string(text)
}

// decodeText reads such a text; not ok if it is not of this run.
func (b *benchmark) decodeText(text string) (number int64, due time.Time, ok bool) {
	run, rest, _ := strings.Cut(text, " ")
	if run != b.run {
		return 0, time.Time{}, false
	}
	first, rest, _ := strings.Cut(rest, " ")
	second, _, _ := strings.Cut(rest, " ")
	number, err := strconv.ParseInt(first, 10, 64)
	ns, err2 := strconv.ParseInt(second, 10, 64)
	return number, b.began.Add(time.Duration(ns)), err == nil && err2 == nil
}

// sighting is one message as a user saw it.
type sighting struct {
	seq    int64 // its place in the conversation
	number int64 // its number among those of its sender, from 1
	own    bool
}

// recorder records what one user sees: how long answers and messages take, whether each sender's
// messages come once each and in order (G4, G5, G7), and whether the log has no gap (G3).
type recorder struct {
	mu         sync.Mutex // guards what follows
	from, to   time.Time
	answers    *hdrhistogram.Histogram // microseconds
	receipts   *hdrhistogram.Histogram
	own, peer  numbers
	seq        int64  // the last place seen; 0: none yet
	digest     uint64 // of what was seen, in order
	duplicates int64
	disorder   int64
	moved      chan struct{}
}

// numbers tells which of a sender's messages were seen.
type numbers struct {
	last    int64          // the highest
	seen    int64          // how many different ones
	missing map[int64]bool // those below last that were skipped
}

// Range and precision of the histograms: a microsecond to ten minutes, three digits.
const (
	highest = int64(10 * time.Minute / time.Microsecond)
	digits  = 3
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, highest, digits) }

func newRecorder() *recorder {
	return &recorder{answers: newHistogram(), receipts: newHistogram(), moved: make(chan struct{}, 1)}
}

func (r *recorder) between(from, to time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from, r.to = from, to
}

func (r *recorder) record(h *hdrhistogram.Histogram, due, now time.Time) {
	if due.Before(r.from) || !due.Before(r.to) {
		return
	}
	// Longer than the range counts as the end of the range.
	_ = h.RecordValue(min(highest, max(1, now.Sub(due).Microseconds())))
}

// answer records the acknowledgement of an own message.
func (r *recorder) answer(due, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.record(r.answers, due, now)
}

// receive records a message that was shown.
func (r *recorder) receive(s sighting, due, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seq != 0 && s.seq != r.seq+1 {
		r.disorder++
	}
	r.seq = max(r.seq, s.seq)
	from := &r.peer
	if s.own {
		from = &r.own
	}
	switch from.add(s.number) {
	case again:
		r.duplicates++
		return
	case late:
		r.disorder++
	}
	const prime = 1099511628211 // FNV
	r.digest = (r.digest*prime ^ uint64(s.seq)) * prime
	r.digest ^= uint64(s.number)
	if !s.own {
		r.record(r.receipts, due, now)
	}
	select {
	case r.moved <- struct{}{}:
	default:
	}
}

type novelty int

const (
	first novelty = iota
	late          // a higher number came before
	again
)

func (n *numbers) add(number int64) novelty {
	switch {
	case number > n.last:
		for m := n.last + 1; m < number; m++ {
			if n.missing == nil {
				n.missing = make(map[int64]bool)
			}
			n.missing[m] = true
		}
		n.last = number
		n.seen++
		return first
	case n.missing[number]:
		delete(n.missing, number)
		n.seen++
		return late
	}
	return again
}

// await waits until n different messages were seen, or ctx ends.
func (r *recorder) await(ctx context.Context, n int64) {
	for {
		r.mu.Lock()
		enough := r.own.seen+r.peer.seen >= n
		r.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-r.moved:
		case <-ctx.Done():
			return
		}
	}
}
