package lambda_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/meter"
)

// Duration is billed in milliseconds, rounded up, times the memory in GB of 1024 MB.
// Source: aws.amazon.com/lambda/pricing, duration.
func TestBilledDuration(t *testing.T) {
	for _, test := range []struct {
		name      string
		took      time.Duration
		memoryMB  int
		ms        float64
		gbSeconds float64
	}{
		{"nothing", 0, 1024, 0, 0},
		{"a millisecond begun", time.Nanosecond, 1024, 1, 0.001},
		{"a millisecond", time.Millisecond, 1024, 1, 0.001},
		{"one and a bit", time.Millisecond + time.Microsecond, 512, 2, 0.001},
		{"the default memory", 1999*time.Millisecond + 1, 0, 2000, 0.25},
		{"much memory", time.Second, 10240, 1000, 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := meter.New()
				p := inProcess(t, lambda.Options{Meter: m, Functions: []lambda.Function{{Name: "Fn", Folder: "fn", MemoryMB: test.memoryMB}}},
					func(context.Context, []byte) ([]byte, error) { time.Sleep(test.took); return nil, nil })
				if _, err := p.Invoke(t.Context(), "Fn", nil); err != nil {
					t.Fatal(err)
				}
				usage := m.Usage()["lambda"]["Fn"]
				if usage["billed_ms"] != test.ms || math.Abs(usage["gb_seconds"]-test.gbSeconds) > 1e-12 {
					t.Errorf("billed %v ms, %v GB-seconds; want %v and %v", usage["billed_ms"], usage["gb_seconds"], test.ms, test.gbSeconds)
				}
				if usage["cold_starts"] != 0 || usage["init_ms"] != 0 {
					t.Errorf("cold starts %v, %v ms: in this process nothing starts", usage["cold_starts"], usage["init_ms"])
				}
			})
		})
	}
}

// What is throttled is no invocation, and is not billed.
// Source: Lambda developer guide, "Types of metrics for Lambda functions".
func TestThrottlesAndConcurrencyAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meter.New()
		release := make(chan struct{})
		p := inProcess(t, lambda.Options{Meter: m, Concurrent: 2}, func(context.Context, []byte) ([]byte, error) {
			<-release
			return nil, errors.New("it did not work")
		})
		for range 2 {
			go func() { _, _ = p.Invoke(t.Context(), "Fn", nil) }()
		}
		synctest.Wait()
		for range 3 {
			if _, err := p.Invoke(t.Context(), "Fn", nil); !errors.Is(err, lambda.ErrThrottled) {
				t.Fatalf("Invoke = %v, want ErrThrottled", err)
			}
		}
		close(release)
		synctest.Wait()
		if _, err := p.Invoke(t.Context(), "Fn", nil); err != nil {
			t.Fatal(err)
		}
		usage := m.Usage()["lambda"]["Fn"]
		for metric, want := range map[string]float64{"invocations": 3, "errors": 3, "throttles": 3, "concurrent_max": 2} {
			if usage[metric] != want {
				t.Errorf("%s = %v, want %v", metric, usage[metric], want)
			}
		}
	})
}
