package handler_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/handler/deliver"
	locallambda "github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/streams"
)

// record of the messages' stream; an empty from makes it one that cannot be read.
func record(event string, number int, from string) map[string]any {
	return map[string]any{"eventName": event, "dynamodb": map[string]any{
		"SequenceNumber": sequence(number),
		"NewImage": map[string]any{
			"conversation": map[string]any{"S": "alice~bob"}, "seq": map[string]any{"N": fmt.Sprint(number)}, "from": map[string]any{"S": from},
			"device": map[string]any{"S": "a1"}, "n": map[string]any{"N": "1"}, "kind": map[string]any{"S": "text"}, "text": map[string]any{"S": "secret"},
		},
	}}
}

func sequence(number int) string { return fmt.Sprintf("1%020d", number) }

func batch(t testing.TB, records ...map[string]any) []byte {
	t.Helper()
	event, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		t.Fatal(err)
	}
	return event
}

func (c *cloud) seqs(id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, frame := range c.posted[id] {
		var m struct{ Seq int64 }
		if err := json.Unmarshal([]byte(frame), &m); err != nil {
			c.Errorf("%s: %v", frame, err)
		}
		all = append(all, fmt.Sprint(m.Seq))
	}
	return strings.Join(all, " ")
}

// G10: a record that can never be read is reported, or, at the head of others, fails the batch so that
// the mapping bisects it; the others are delivered at once either way.
func TestG10_PoisonRecords(t *testing.T) {
	const ok = `{"batchItemFailures":[]}`
	failed := func(number int) string {
		return `{"batchItemFailures":[{"itemIdentifier":"` + sequence(number) + `"}]}`
	}
	good := func(n int) map[string]any { return record("INSERT", n, "alice") }
	poison := func(n int) map[string]any { return record("INSERT", n, "carol") }
	tests := []struct {
		name      string
		records   []map[string]any
		want      string // "" for a function error
		delivered string
	}{
		{"nothing", nil, ok, ""},
		{"all good", []map[string]any{good(1), good(2)}, ok, "1 2"},
		{"changes and removals are no news", []map[string]any{record("MODIFY", 1, "alice"), record("REMOVE", 2, ""), good(3)}, ok, "3"},
		{"poison in the middle is reported", []map[string]any{good(1), poison(2), good(3)}, failed(2), "1 3"},
		{"poison at the end is reported", []map[string]any{good(1), poison(2)}, failed(2), "1"},
		{"the lowest of several is reported", []map[string]any{good(9), poison(10), poison(11)}, failed(10), "9"},
		{"poison behind a removal is reported", []map[string]any{record("REMOVE", 1, ""), poison(2), good(3)}, failed(2), "3"},
		{"poison first fails the batch", []map[string]any{poison(1), good(2), good(3)}, "", "2 3"},
		{"poison alone is reported", []map[string]any{poison(1)}, failed(1), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCloud(t)
			c.connected(c.peer("bob", "b1"))
			out, err := c.function(deliver.New).Invoke(t.Context(), batch(t, tt.records...))
			if (err != nil) != (tt.want == "") || string(out) != tt.want {
				t.Errorf("Invoke = %s, %v, want %s", out, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") || strings.Contains(c.log.String(), "secret") {
				t.Errorf("the text of a message is in the error %v or in the log %s", err, c.log.String())
			}
			if got := c.seqs("bob-b1="); got != tt.delivered {
				t.Errorf("delivered %q, want %q", got, tt.delivered)
			}
		})
	}
	t.Run("an event that cannot be read", func(t *testing.T) {
		if out, err := newCloud(t).function(deliver.New).Invoke(t.Context(), []byte("nope")); err == nil {
			t.Errorf("Invoke = %s, want an error", out)
		}
	})
}

// Transient failures are reported by number, also at the head of a batch: to bisect would not help.
func TestG6_TransientFailuresAreReported(t *testing.T) {
	c := newCloud(t)
	h := c.function(deliver.New)
	c.refused = "Query"
	out, err := h.Invoke(t.Context(), batch(t, record("REMOVE", 9, ""), record("INSERT", 10, "alice"), record("INSERT", 11, "alice")))
	if want := `{"batchItemFailures":[{"itemIdentifier":"` + sequence(10) + `"}]}`; err != nil || string(out) != want {
		t.Errorf("Invoke = %s, %v, want %s", out, err, want)
	}
}

// mapped runs a handler for an event source mapping.
type mapped struct {
	lambda.Handler
	mu    sync.Mutex
	calls int
}

func (m *mapped) Invoke(ctx context.Context, _ string, event []byte) (locallambda.Result, error) {
	m.mu.Lock()
	m.calls++
	m.mu.Unlock()
	out, err := m.Handler.Invoke(ctx, event)
	if err != nil {
		return locallambda.Result{FunctionError: "Unhandled", ErrorType: "errorString", ErrorMessage: err.Error()}, nil
	}
	return locallambda.Result{Payload: out}, nil
}

type noCheckpoints struct{}

func (noCheckpoints) Load(string, string) (string, bool, error) { return "", false, nil }
func (noCheckpoints) Save(string, string, string) error         { return nil }

type failureQueue chan string

func (q failureQueue) Send(_ context.Context, _ string, message []byte) error {
	q <- string(message)
	return nil
}

// countedQueue notes after how many invocations something came.
type countedQueue struct {
	failureQueue
	function *mapped
	calls    int
}

func (q *countedQueue) Send(ctx context.Context, arn string, message []byte) error {
	q.function.mu.Lock()
	q.calls = q.function.calls
	q.function.mu.Unlock()
	return q.failureQueue.Send(ctx, arn, message)
}

// G10, end to end: among many messages a poison record ends in the failure queue, alone, and
// everything else is delivered, whatever its place. Between them stand the mapping's own steps.
func TestG10_APoisonRecordIsIsolated(t *testing.T) {
	const messages = 20
	for _, place := range []int{1, 7, 10, messages} {
		t.Run(fmt.Sprint("place ", place), func(t *testing.T) {
			c := newCloud(t)
			c.connected(c.peer("bob", "b1"))
			for seq := 1; seq <= messages; seq++ {
				from := "alice"
				if seq == place {
					from = "carol"
				}
				status, response := c.db.Do(t.Context(), "DynamoDB_20120810.PutItem", fmt.Appendf(nil,
					`{"TableName":%q,"Item":{"conversation":{"S":"alice~bob"},"seq":{"N":"%d"},"from":{"S":%q},"device":{"S":"a1"},"n":{"N":"%d"},"kind":{"S":"text"},"text":{"S":"hi"},"at":{"N":"1"}}}`,
					c.tables.Messages, seq, from, seq))
				if status != 200 {
					t.Fatalf("%s", response)
				}
			}
			arn := c.streamARN()
			stream, err := c.db.Stream(arn)
			if err != nil {
				t.Fatal(err)
			}
			function, queue := &mapped{Handler: c.function(deliver.New)}, make(failureQueue, 10)
			counted := &countedQueue{failureQueue: queue, function: function}
			const retries = 3
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			sleep := func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
			go func() {
				ended <- streams.Run(ctx, streams.Mapping{
					Name: "Deliver", StreamARN: arn, Function: "Deliver", BatchSize: 100, ParallelizationFactor: 1, MaximumRetryAttempts: retries,
					BisectOnError: true, ReportBatchItemFailures: true, FailureQueueARN: "arn:queue", StartingPosition: streams.TrimHorizon,
				}, streams.Options{
					Source: stream.Source(), Invoker: function, Checkpoints: noCheckpoints{}, Failures: counted, Log: c.discard(), Sleep: sleep,
				})
			}()
			message := <-queue
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			var given struct {
				DDBStreamBatchInfo struct {
					BatchSize           int
					StartSequenceNumber string
				}
			}
			if err := json.Unmarshal([]byte(message), &given); err != nil {
				t.Fatal(err)
			}
			if info := given.DDBStreamBatchInfo; info.BatchSize != 1 || info.StartSequenceNumber != sequence(place) {
				t.Errorf("the failure queue holds %+v, want record %s alone", info, sequence(place))
			}
			// Clients drop repeats by seq (G7): what counts is that each came.
			came := strings.Fields(c.seqs("bob-b1="))
			for seq := 1; seq <= messages; seq++ {
				if got, want := slices.Contains(came, fmt.Sprint(seq)), seq != place; got != want {
					t.Errorf("message %d was delivered: %v, want %v", seq, got, want)
				}
			}
			// Bisecting takes about log2(20) invocations, the retries of one record 1 + 3.
			// What comes after it, until the mapping ends, is the rest of the batch.
			if most := 5 + 1 + retries + 2; counted.calls > most {
				t.Errorf("%d invocations, want at most %d", counted.calls, most)
			}
		})
	}
}
