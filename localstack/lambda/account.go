package lambda

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/duet-chat/duet/localstack/meter"
)

// account is what invocations of all functions share: the concurrency quota and the end.
type account struct {
	unreserved quota // of the functions that reserve nothing

	mu      sync.Mutex // guards what follows, the quotas, and how many invocations of each function run
	running int
	closed  bool
	idle    chan struct{} // closed once closed is set and nothing is running
}

// quota bounds invocations at a time. Guarded by account.mu.
type quota struct{ limit, running int }

// newAccount shares the concurrency of an account out to functions: what they reserve is theirs alone,
// what is left is for all others.
// Source: Lambda developer guide, "Configuring reserved concurrency for a function".
func newAccount(limit int, functions []Function) *account {
	if limit == 0 {
		limit = DefaultConcurrent
	}
	for _, f := range functions {
		if f.ReservedConcurrency != nil {
			limit -= *f.ReservedConcurrency
		}
	}
	return &account{unreserved: quota{limit: limit}, idle: make(chan struct{})}
}

// quota is the function's own one, or the one that it shares.
func (a *account) quota(f Function) *quota {
	if f.ReservedConcurrency == nil {
		return &a.unreserved
	}
	return &quota{limit: *f.ReservedConcurrency}
}

// enter counts an invocation of a function in, or says why it may not run.
func (a *account) enter(d *deployed) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return ErrClosed
	case d.quota.running >= d.quota.limit:
		d.throttles.Add(1)
		return ErrThrottled
	}
	d.quota.running++
	d.running++
	a.running++
	d.invocations.Add(1)
	d.concurrentMax.Raise(d.running)
	return nil
}

// leave counts an invocation out.
func (a *account) leave(d *deployed) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d.quota.running--
	d.running--
	a.running--
	if a.closed && a.running == 0 {
		close(a.idle)
	}
}

// drain lets nothing in any more and waits until all is out, or ctx ends.
func (a *account) drain(ctx context.Context) error {
	a.mu.Lock()
	if !a.closed {
		a.closed = true
		if a.running == 0 {
			close(a.idle)
		}
	}
	a.mu.Unlock()
	select {
	case <-a.idle:
		return nil
	case <-ctx.Done():
		a.mu.Lock()
		defer a.mu.Unlock()
		return fmt.Errorf("%d invocations have not returned: %w", a.running, ctx.Err())
	}
}

// deployed is a function with what is derived from it.
type deployed struct {
	Function
	arn     string
	quota   *quota
	running int64 // invocations; guarded by account.mu

	invocations, errors, throttles *meter.Counter
	concurrentMax                  *meter.Counter
	coldStarts                     *meter.Counter // environments that were started
	initMS, billedMS               *meter.Counter // billed; the first is part of the second
	megabyteMS                     *meter.Counter // billed, times the memory: shown as GB-seconds
}

// deploy checks a function as a deployment would, and fills in defaults.
func (o Options) deploy(f Function) (deployed, error) {
	if f.Timeout == 0 {
		f.Timeout = DefaultTimeout
	}
	if f.MemoryMB == 0 {
		f.MemoryMB = DefaultMemoryMB
	}
	size := 0
	for key, value := range f.Env {
		size += len(key) + len(value)
	}
	if size > MaxEnv {
		return deployed{}, fmt.Errorf("function %s: its environment variables have %d bytes; Lambda takes at most %d: make them fewer or shorter", f.Name, size, MaxEnv)
	}
	of := func(metric string) *meter.Counter { return o.Meter.Counter("lambda", f.Name, metric) }
	return deployed{
		Function: f,
		arn:      fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", o.Region, o.Account, f.Name),

		invocations: of("invocations"), errors: of("errors"), throttles: of("throttles"),
		concurrentMax: o.Meter.Peak("lambda", f.Name, "concurrent_max"),
		coldStarts:    of("cold_starts"), initMS: of("init_ms"), billedMS: of("billed_ms"),
		megabyteMS: o.Meter.Scaled("lambda", f.Name, "gb_seconds", 1.0/1024/1000),
	}, nil
}

// meter counts an invocation as it is billed: in milliseconds, rounded up, times the memory. The
// initialization before the first one of an environment is billed with it.
// Source: aws.amazon.com/lambda/pricing, duration; AWS compute blog, 2025, "AWS Lambda standardizes
// billing for INIT phase".
func (d *deployed) meter(init, took time.Duration, result Result) {
	milliseconds := billed(init + took)
	d.initMS.Add(billed(init))
	d.billedMS.Add(milliseconds)
	d.megabyteMS.Add(milliseconds * int64(d.MemoryMB))
	if result.FunctionError != "" {
		d.errors.Add(1)
	}
}

// billed is a duration in the milliseconds that are billed for it.
func billed(took time.Duration) int64 { return int64((took + time.Millisecond - 1) / time.Millisecond) }

// admissible checks what can be known of an invocation before it takes a place.
func admissible(known bool, name string, event []byte) error {
	switch {
	case !known:
		return fmt.Errorf("invoke %s: %w", name, ErrNotFound)
	case len(event) > MaxPayload:
		return fmt.Errorf("invoke %s with %d bytes: %w", name, len(event), ErrTooLarge)
	}
	return nil
}

// newRequestID makes an id in the form of Lambda's, a version 4 UUID.
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand documents that it crashes the program instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

// errAbandoned is the cause with which handlers are cancelled that outlive Close.
var errAbandoned = errors.New("the local cloud is shutting down")
