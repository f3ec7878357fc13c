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

	mu      sync.Mutex // guards what follows, and the quotas
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

// enter counts an invocation in, or says why it may not run.
func (a *account) enter(q *quota) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return ErrClosed
	case q.running >= q.limit:
		return ErrThrottled
	}
	q.running++
	a.running++
	return nil
}

// leave counts an invocation out.
func (a *account) leave(q *quota) {
	a.mu.Lock()
	defer a.mu.Unlock()
	q.running--
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
	arn                               string
	invocations, errors, milliseconds *meter.Counter
	megabyteMilliseconds              *meter.Counter // what GB-seconds are made of
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
	memory := o.Meter.Counter("lambda", f.Name, "megabyte_milliseconds")
	o.Meter.Func("lambda", f.Name, "gb_seconds", func() float64 { return memory.Value() / 1024 / 1000 })
	return deployed{
		Function:     f,
		arn:          fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", o.Region, o.Account, f.Name),
		invocations:  o.Meter.Counter("lambda", f.Name, "invocations"),
		errors:       o.Meter.Counter("lambda", f.Name, "errors"),
		milliseconds: o.Meter.Counter("lambda", f.Name, "milliseconds"),

		megabyteMilliseconds: memory,
	}, nil
}

// meter counts an invocation as it is billed: in milliseconds, rounded up. The initialization before
// the first one is billed with it.
// Source: aws.amazon.com/lambda/pricing, duration.
func (d *deployed) meter(took time.Duration, result Result) {
	d.bill(billed(took))
	if result.FunctionError != "" {
		d.errors.Add(1)
	}
}

// bill counts billed milliseconds. GB-seconds are those times the memory.
func (d *deployed) bill(milliseconds int64) {
	d.milliseconds.Add(milliseconds)
	d.megabyteMilliseconds.Add(milliseconds * int64(d.MemoryMB))
}

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
