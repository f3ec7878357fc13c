package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// epoch is what times in texts count from: the difference of two times of one process is taken by
// its monotonic clock.
var epoch = time.Now()

// minSize holds a run, a number and a time.
const minSize = 64

// encodeText makes a message's text: "RUN NUMBER NANOSECONDS" and filling.
func encodeText(run string, number int64, due time.Time, size int) string {
	var b strings.Builder
	b.Grow(size)
	b.WriteString(run)
	b.WriteByte(' ')
	b.WriteString(strconv.FormatInt(number, 10))
	b.WriteByte(' ')
	b.WriteString(strconv.FormatInt(int64(due.Sub(epoch)), 10))
	b.WriteByte(' ')
	for b.Len() < size {
		b.WriteByte('.')
	}
	return b.String()
}

func decodeText(run, text string) (number int64, due time.Time, ok bool) {
	head, rest, _ := strings.Cut(text, " ")
	if head != run {
		return 0, time.Time{}, false
	}
	first, rest, _ := strings.Cut(rest, " ")
	second, _, _ := strings.Cut(rest, " ")
	number, err := strconv.ParseInt(first, 10, 64)
	ns, err2 := strconv.ParseInt(second, 10, 64)
	return number, epoch.Add(time.Duration(ns)), err == nil && err2 == nil
}

// recorder records what one user sees: how long answers and messages take, and whether the peer's
// messages come once each and in order.
type recorder struct {
	mu         sync.Mutex // guards what follows
	from, to   time.Time
	answers    *hdrhistogram.Histogram // microseconds
	receipts   *hdrhistogram.Histogram
	last       int64 // the highest number received
	received   int64 // different messages
	duplicates int64
	disorder   int64
	missing    map[int64]bool // numbers that were skipped
	moved      chan struct{}
}

// Range and precision of the histograms: a microsecond to ten minutes, three digits.
const (
	highest = int64(10 * time.Minute / time.Microsecond)
	digits  = 3
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, highest, digits) }

func newRecorder() *recorder {
	return &recorder{answers: newHistogram(), receipts: newHistogram(), missing: map[int64]bool{}, moved: make(chan struct{}, 1)}
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

func (r *recorder) answer(due, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.record(r.answers, due, now)
}

func (r *recorder) receive(number int64, due, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case number > r.last:
		for n := r.last + 1; n < number; n++ {
			r.missing[n] = true
		}
		r.last = number
	case r.missing[number]:
		delete(r.missing, number)
		r.disorder++
	default:
		r.duplicates++
		return
	}
	r.received++
	r.record(r.receipts, due, now)
	select {
	case r.moved <- struct{}{}:
	default:
	}
}

// await waits until n different messages have come, or ctx ends.
func (r *recorder) await(ctx context.Context, n int64) {
	for {
		r.mu.Lock()
		enough := r.received >= n
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

// latency is a distribution, in milliseconds.
type latency struct {
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

func latencyOf(h *hdrhistogram.Histogram) latency {
	ms := func(us int64) float64 { return float64(us) / 1000 }
	return latency{ms(h.ValueAtQuantile(50)), ms(h.ValueAtQuantile(95)), ms(h.ValueAtQuantile(99)), ms(h.Max())}
}

// report is what a run found. Sent and Received count the whole run, warm-up included; PerSecond and
// the latencies only what was due while measuring.
type report struct {
	Type       string  `json:"type"`
	Load       string  `json:"load"`
	Sent       int64   `json:"sent"`
	Received   int64   `json:"received"`
	PerSecond  float64 `json:"messages_per_second"`
	Lost       int64   `json:"lost"`
	Duplicates int64   `json:"duplicates"`
	Disorder   int64   `json:"out_of_order"`
	Answer     latency `json:"send_to_sent"`
	Delivery   latency `json:"send_to_received"`
}

func (b *benchmark) report() *report {
	r := &report{Type: "bench"}
	answers, receipts := newHistogram(), newHistogram()
	for _, u := range b.users {
		u.recorder.mu.Lock()
		r.Sent += u.sent
		r.Received += u.recorder.received
		r.Duplicates += u.recorder.duplicates
		r.Disorder += u.recorder.disorder
		answers.Merge(u.recorder.answers)
		receipts.Merge(u.recorder.receipts)
		u.recorder.mu.Unlock()
	}
	r.Lost = r.Sent - r.Received
	r.PerSecond = float64(answers.TotalCount()) / b.Duration.Seconds()
	r.Answer, r.Delivery = latencyOf(answers), latencyOf(receipts)
	r.Load = fmt.Sprintf("%d pairs, open loop at %g messages/s, %s after %s of warm-up, %d bytes", b.Pairs, b.Rate, b.Duration, b.Warmup, b.Size)
	if b.Closed {
		senders := "one sender each"
		if b.Both {
			senders = "both send"
		}
		r.Load = fmt.Sprintf("%d pairs, %s, closed loop with %d in flight per sender, %s after %s of warm-up, %d bytes", b.Pairs, senders, b.Inflight, b.Duration, b.Warmup, b.Size)
	}
	return r
}

func (r *report) failed() bool { return r.Lost != 0 || r.Duplicates != 0 || r.Disorder != 0 }

func (r *report) print(a *app) {
	if a.commandLine.JSON {
		a.print(r)
		return
	}
	line := func(name string, l latency) {
		fmt.Fprintf(a.stdout, "  %-18s %9.2f %9.2f %9.2f %9.2f\n", name, l.P50, l.P95, l.P99, l.Max)
	}
	fmt.Fprintf(a.stdout, "%s\n\n  %-18s %9s %9s %9s %9s\n", r.Load, "latency in ms", "p50", "p95", "p99", "max")
	line("send to sent", r.Answer)
	line("send to received", r.Delivery)
	fmt.Fprintf(a.stdout, "\n  %.0f messages/s; %d sent, %d received: %d lost, %d doubled, %d out of order\n",
		r.PerSecond, r.Sent, r.Received, r.Lost, r.Duplicates, r.Disorder)
}
