package lambda_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/duet-chat/duet/localstack/lambda"
)

// runner answers with its name, once it may.
type runner struct {
	name   string
	gate   chan struct{} // nil lets everything pass
	closed atomic.Bool
	active sync.WaitGroup
}

func (r *runner) Invoke(context.Context, string, []byte) (lambda.Result, error) {
	if r.closed.Load() {
		return lambda.Result{}, fmt.Errorf("invoke: %w", lambda.ErrClosed)
	}
	r.active.Add(1)
	defer r.active.Done()
	if r.gate != nil {
		<-r.gate
	}
	return lambda.Result{Payload: []byte(r.name)}, nil
}

func (r *runner) Close(context.Context) error {
	r.closed.Store(true)
	r.active.Wait()
	return nil
}

func answerOf(t *testing.T, s *lambda.Switch) string {
	t.Helper()
	result, err := s.Invoke(t.Context(), "Fn", nil)
	if err != nil {
		t.Error(err)
	}
	return string(result.Payload)
}

// What runs when a function is replaced ends on the old version; what comes later has the new one.
func TestSwitchReplaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := lambda.NewSwitch()
		old, next := &runner{name: "old", gate: make(chan struct{})}, &runner{name: "new"}
		s.Set(map[string]lambda.Runner{"Fn": old})
		running := make(chan string)
		go func() { running <- answerOf(t, s) }()
		synctest.Wait()
		s.Set(map[string]lambda.Runner{"Fn": next})
		if got := answerOf(t, s); got != "new" {
			t.Errorf("after the change: %s, want new", got)
		}
		synctest.Wait()
		if !old.closed.Load() || next.closed.Load() {
			t.Errorf("closed: old %v, new %v; want the old one only", old.closed.Load(), next.closed.Load())
		}
		close(old.gate)
		if got := <-running; got != "old" {
			t.Errorf("what ran before: %s, want old", got)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := s.Invoke(t.Context(), "Fn", nil); !errors.Is(err, lambda.ErrClosed) {
			t.Errorf("after Close: %v, want %v", err, lambda.ErrClosed)
		}
	})
}

// However often a function is replaced, no invocation is lost.
func TestSwitchLosesNothing(t *testing.T) {
	s := lambda.NewSwitch()
	s.Set(map[string]lambda.Runner{"Fn": &runner{name: "first"}})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range 2000 {
				if answerOf(t, s) == "" {
					return
				}
			}
		})
	}
	for i := range 200 {
		s.Set(map[string]lambda.Runner{"Fn": &runner{name: fmt.Sprint(i)}})
	}
	clients.Wait()
	if _, err := s.Invoke(t.Context(), "Other", nil); !errors.Is(err, lambda.ErrNotFound) {
		t.Errorf("another function: %v, want %v", err, lambda.ErrNotFound)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// BenchmarkSwitch measures the way to a runner and back; BenchmarkNoSwitch is the same without it.
func BenchmarkSwitch(b *testing.B) {
	s := lambda.NewSwitch()
	s.Set(map[string]lambda.Runner{"Fn": &runner{}})
	b.ReportAllocs()
	for b.Loop() {
		_, _ = s.Invoke(b.Context(), "Fn", nil)
	}
}

func BenchmarkNoSwitch(b *testing.B) {
	var r lambda.Runner = &runner{}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = r.Invoke(b.Context(), "Fn", nil)
	}
}
