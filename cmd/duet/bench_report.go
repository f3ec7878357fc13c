package main

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

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

// report is what a run found. The counts are of the whole run, warm-up included; PerSecond and
// the latencies are of what was due while measuring.
type report struct {
	Type       string  `json:"type"`
	Load       string  `json:"load"`
	Sent       int64   `json:"sent"`     // and acknowledged
	Received   int64   `json:"received"` // by the other user of the pair
	PerSecond  float64 `json:"messages_per_second"`
	Lost       int64   `json:"lost"`
	Duplicates int64   `json:"duplicates"`
	Disorder   int64   `json:"out_of_order"` // gaps, late messages, and pairs whose users saw different logs
	Breaks     int64   `json:"connections_lost"`
	OwnCPU     float64 `json:"client_cpu_us_per_message"` // of this process, both ends; 0 where the system does not tell
	Answer     latency `json:"send_to_sent"`
	Delivery   latency `json:"send_to_received"`
}

// report sums up; cpu is what this process used.
func (b *benchmark) report(cpu time.Duration) *report {
	r := &report{Type: "bench", Load: b.load()}
	answers, receipts := newHistogram(), newHistogram()
	for i, u := range b.users {
		v := b.users[i^1]
		// What the user itself sent and was not shown counts as lost, too: it is missing in the log.
		r.Lost += u.sent - u.recorder.own.seen + v.sent - u.recorder.peer.seen
		r.Sent += u.sent
		r.Received += u.recorder.peer.seen
		r.Duplicates += u.recorder.duplicates
		r.Disorder += u.recorder.disorder
		r.Breaks += u.breaks.Load()
		if i%2 == 0 && u.recorder.digest != v.recorder.digest {
			r.Disorder++
		}
		answers.Merge(u.recorder.answers)
		receipts.Merge(u.recorder.receipts)
	}
	if r.Sent > 0 {
		r.OwnCPU = float64(cpu.Microseconds()) / float64(r.Sent)
	}
	r.PerSecond = float64(answers.TotalCount()) / b.Duration.Seconds()
	r.Answer, r.Delivery = latencyOf(answers), latencyOf(receipts)
	return r
}

func (b *benchmark) load() string {
	how := fmt.Sprintf("open loop at %g messages/s", b.Rate)
	if b.Closed {
		senders := "one of each sending"
		if b.Both {
			senders = "both sending"
		}
		how = fmt.Sprintf("%s, closed loop with %d in flight per sender", senders, b.Inflight)
	}
	return fmt.Sprintf("%d pairs, %s, %v after %v of warm-up, %d bytes", b.Pairs, how, b.Duration, b.Warmup, b.Size)
}

// failed tells whether a promise was broken.
func (r *report) failed() bool { return r.Lost != 0 || r.Duplicates != 0 || r.Disorder != 0 }

func (r *report) print(a *app) error {
	if a.JSON {
		return a.object(r)
	}
	row := func(name string, l latency) string {
		return fmt.Sprintf("  %-18s %9.2f %9.2f %9.2f %9.2f\n", name, l.P50, l.P95, l.P99, l.Max)
	}
	return a.line("%s\n\n  %-18s %9s %9s %9s %9s\n%s%s\n  %.0f messages/s; %d sent, %d received: %d lost, %d doubled, %d out of order; %d connections lost\n  processor time of this program: %.0f µs a message",
		r.Load, "latency in ms", "p50", "p95", "p99", "max", row("send to sent", r.Answer), row("send to received", r.Delivery),
		r.PerSecond, r.Sent, r.Received, r.Lost, r.Duplicates, r.Disorder, r.Breaks, r.OwnCPU)
}
