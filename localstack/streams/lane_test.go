package streams_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/streams"
)

func TestBatchesHoldAtMostBatchSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, log, at := newStream("a"), &journal{}, &memory{}
		for range 5 {
			source.put("a", 1)
		}
		m := mapping()
		m.BatchSize = 2
		stop := start(t, m, streams.Options{Source: source, Checkpoints: at, Invoker: log.noted(ok)})
		synctest.Wait()
		source.put("a", 1)
		synctest.Wait()
		stop()
		if diff := cmp.Diff("invoke 1 2\ninvoke 3 4\ninvoke 5\ninvoke 6", log.String()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBatchesHoldAtMostSixMegabytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, log := newStream("a"), &journal{}
		padding := strings.Repeat("x", 1<<20)
		for range 13 {
			source.putJSON("a", 1, func(sequence string) string {
				return fmt.Sprintf(`{"dynamodb":{"SequenceNumber":%q},"padding":%q}`, sequence, padding)
			})
		}
		noted := log.noted(ok)
		stop := start(t, mapping(), streams.Options{Source: source, Invoker: sized(func(ctx context.Context, event []byte) (lambda.Result, error) {
			if len(event) > lambda.MaxPayload {
				t.Errorf("event of %d bytes", len(event))
			}
			return noted.Invoke(ctx, "Fn", event)
		})})
		synctest.Wait()
		stop()
		if diff := cmp.Diff("invoke 1 2 3 4 5\ninvoke 6 7 8 9 10\ninvoke 11 12 13", log.String()); diff != "" {
			t.Error(diff)
		}
	})
}

// sized is a function of the event's bytes.
type sized func(ctx context.Context, event []byte) (lambda.Result, error)

func (f sized) Invoke(ctx context.Context, _ string, event []byte) (lambda.Result, error) {
	return f(ctx, event)
}

func TestBatchingWindowGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, log := newStream("a"), &journal{}
		begin := time.Now()
		m := mapping()
		m.BatchSize, m.BatchingWindow = 3, 5*time.Second
		noted := log.noted(ok)
		stop := start(t, m, streams.Options{Source: source, Invoker: function(func(ctx context.Context, s []string) (lambda.Result, error) {
			log.add("after %v", time.Since(begin))
			return noted(ctx, s)
		})})
		source.put("a", 1)
		time.Sleep(2 * time.Second)
		source.put("a", 1) // 2 in the window that closes at 5 s
		time.Sleep(8 * time.Second)
		for range 4 { // a full batch at once, and one that waits
			source.put("a", 1)
		}
		time.Sleep(time.Minute)
		stop()
		want := "after 5s\ninvoke 1 2\nafter 10s\ninvoke 3 4 5\nafter 15s\ninvoke 6"
		if diff := cmp.Diff(want, log.String()); diff != "" {
			t.Error(diff)
		}
	})
}

// A record that fails holds up its own lane only; the checkpoint waits for it.
func TestLanesDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, log, at := newStream("a"), &journal{}, &memory{}
		m := mapping()
		m.ParallelizationFactor = 2
		var broken atomic.Bool
		broken.Store(true)
		stop := start(t, m, streams.Options{Source: source, Checkpoints: at, Invoker: function(func(_ context.Context, s []string) (lambda.Result, error) {
			if s[0] == "2" && broken.Load() {
				return functionError(), nil
			}
			log.add("done %s", strings.Join(s, " "))
			return lambda.Result{}, nil
		})})
		for i := range 4 {
			source.put("a", uint64(i%2)) // 1 and 3 in one lane, 2 and 4 in the other
			synctest.Wait()
		}
		if got, want := log.String(), "done 1\ndone 3"; got != want {
			t.Errorf("while 2 fails:\n%s\nwant:\n%s", got, want)
		}
		if got := at.at("a"); got != "1" {
			t.Errorf("checkpoint while 2 fails = %q, want 1", got)
		}
		broken.Store(false)
		time.Sleep(time.Minute)
		stop()
		if got, want := log.String(), "done 1\ndone 3\ndone 2\ndone 4"; got != want {
			t.Errorf("in the end:\n%s\nwant:\n%s", got, want)
		}
		if got := at.at("a"); got != "4" {
			t.Errorf("checkpoint = %q, want 4", got)
		}
	})
}

func TestShardsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, at := newStream("a", "b"), &memory{}
		source.put("a", 1)
		source.put("b", 2)
		stop := start(t, mapping(), streams.Options{Source: source, Checkpoints: at, Invoker: function(func(_ context.Context, s []string) (lambda.Result, error) {
			if s[0] == "1" {
				return functionError(), nil
			}
			return lambda.Result{}, nil
		})})
		synctest.Wait()
		stop()
		if got := at.at("a") + "," + at.at("b"); got != ",2" {
			t.Errorf("checkpoints = %q, want none for a and 2 for b", got)
		}
	})
}

func TestStart(t *testing.T) {
	tests := []struct {
		name     string
		position streams.StartingPosition
		saved    map[string]string
		want     string
	}{
		{"the oldest record", streams.TrimHorizon, nil, "invoke 1 2\ninvoke 3"},
		{"what comes next", streams.Latest, nil, "invoke 3"},
		{"after the checkpoint", streams.TrimHorizon, map[string]string{"Map/a": "1"}, "invoke 2\ninvoke 3"},
		{"after the checkpoint, whatever the position", streams.Latest, map[string]string{"Map/a": "1"}, "invoke 2\ninvoke 3"},
		{"after the checkpoint of an empty stream", streams.Latest, map[string]string{"Map/a": ""}, "invoke 1 2\ninvoke 3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source, log := newStream("a"), &journal{}
				source.put("a", 1)
				source.put("a", 1)
				m := mapping()
				m.StartingPosition = test.position
				stop := start(t, m, streams.Options{Source: source, Invoker: log.noted(ok), Checkpoints: &memory{saved: test.saved}})
				synctest.Wait()
				source.put("a", 1)
				synctest.Wait()
				stop()
				if diff := cmp.Diff(test.want, log.String()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// LATEST is when the mapping was made, not when it last started.
func TestLatestIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, log, at := newStream("a"), &journal{}, &memory{}
		source.put("a", 1)
		m := mapping()
		m.StartingPosition = streams.Latest
		stop := start(t, m, streams.Options{Source: source, Invoker: log.noted(ok), Checkpoints: at})
		synctest.Wait()
		stop()
		source.put("a", 1) // while nothing runs
		stop = start(t, m, streams.Options{Source: source, Invoker: log.noted(ok), Checkpoints: at})
		synctest.Wait()
		stop()
		if got, want := log.String(), "invoke 2"; got != want {
			t.Errorf("invoked %q, want %q", got, want)
		}
	})
}

func TestFilteredRecordsAreDoneWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, log, at := newStream("a"), &journal{}, &memory{}
		for _, name := range []string{"INSERT", "REMOVE", "INSERT", "MODIFY"} {
			source.putJSON("a", 1, func(sequence string) string {
				return fmt.Sprintf(`{"eventName":%q,"dynamodb":{"SequenceNumber":%q}}`, name, sequence)
			})
		}
		insert, err := streams.ParseFilter(`{"eventName":["INSERT"]}`)
		if err != nil {
			t.Fatal(err)
		}
		m := mapping()
		m.Filters = []streams.Filter{insert}
		stop := start(t, m, streams.Options{Source: source, Invoker: log.noted(ok), Checkpoints: at})
		synctest.Wait()
		stop()
		if got, want := log.String(), "invoke 1 3"; got != want {
			t.Errorf("invoked %q, want %q", got, want)
		}
		if got := at.at("a"); got != "4" {
			t.Errorf("checkpoint = %q, want 4", got)
		}
	})
}

// What is under way when the mapping ends is not done with, whatever its function says.
func TestEndKeepsTheCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, at := newStream("a"), &memory{}
		source.put("a", 1)
		stop := start(t, mapping(), streams.Options{Source: source, Checkpoints: at, Invoker: function(func(ctx context.Context, _ []string) (lambda.Result, error) {
			<-ctx.Done()
			return lambda.Result{}, nil
		})})
		synctest.Wait()
		stop()
		if got := at.at("a"); got != "" {
			t.Errorf("checkpoint = %q, want none", got)
		}
	})
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*streams.Mapping){
		"BatchSize":                      func(m *streams.Mapping) { m.BatchSize = 10_001 },
		"ParallelizationFactor":          func(m *streams.Mapping) { m.ParallelizationFactor = 0 },
		"MaximumBatchingWindowInSeconds": func(m *streams.Mapping) { m.BatchingWindow = 301 * time.Second },
		"MaximumRetryAttempts":           func(m *streams.Mapping) { m.MaximumRetryAttempts = -2 },
		"MaximumRecordAgeInSeconds":      func(m *streams.Mapping) { m.MaximumRecordAge = time.Second },
		"FilterCriteria":                 func(m *streams.Mapping) { m.Filters = make([]streams.Filter, 6) },
		"no queue arn:q":                 func(m *streams.Mapping) { m.FailureQueueARN = "arn:q" },
		"AT_TIMESTAMP":                   func(m *streams.Mapping) { m.StartingPosition = "AT_TIMESTAMP" },
	} {
		m := mapping()
		change(&m)
		err := streams.Run(t.Context(), m, streams.Options{Source: newStream("a"), Checkpoints: &memory{}, Log: discard})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Map") {
			t.Errorf("Run = %v, want %s and the mapping's name", err, want)
		}
	}
	if err := mapping().Check(); err != nil {
		t.Errorf("Check of the defaults = %v", err)
	}
}

// loop is a Source that gives the same records over and over, when it is let.
type loop struct {
	records []streams.Record
	turn    chan struct{}
}

func (*loop) Shards(ctx context.Context, known map[string]bool) ([]streams.Shard, error) {
	if !known["a"] {
		return []streams.Shard{{ID: "a"}}, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}
func (*loop) Latest(context.Context, string) (string, error) { return "", nil }
func (l *loop) Read(ctx context.Context, _, _ string, limit int) ([]streams.Record, error) {
	select {
	case <-l.turn:
		return l.records[:min(limit, len(l.records))], nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Batches one after the other, with a function that does nothing and checkpoints in memory: what
// the mapping itself costs, without the store's reads and saves.
func BenchmarkBatch(b *testing.B) {
	body := `{"eventID":"1","eventName":"INSERT","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"us-east-1","dynamodb":{"SequenceNumber":"100","NewImage":{"text":{"S":"` +
		strings.Repeat("x", 300) + `"}}}}`
	insert, err := streams.ParseFilter(`{"eventName":["INSERT"]}`)
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			record := streams.Record{SequenceNumber: "100", ItemKey: 7, At: time.Now(), JSON: []byte(body)}
			source := &loop{records: slices.Repeat([]streams.Record{record}, size), turn: make(chan struct{})}
			m := mapping()
			m.ReportBatchItemFailures, m.Filters, m.MaximumRecordAge = true, []streams.Filter{insert}, time.Hour
			done := make(chan struct{})
			result := lambda.Result{Payload: []byte(`{"batchItemFailures":[]}`)}
			stop := start(b, m, streams.Options{Source: source, Invoker: sized(func(context.Context, []byte) (lambda.Result, error) {
				done <- struct{}{}
				return result, nil
			})})
			defer stop()
			b.ReportAllocs()
			for b.Loop() {
				source.turn <- struct{}{}
				<-done
			}
		})
	}
}
