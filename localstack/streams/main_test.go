package streams_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/streams"
)

// stream is a Source in memory.
type stream struct {
	mu      sync.Mutex // guards what follows
	shards  map[string][]streams.Record
	parents map[string]string
	ended   map[string]bool
	grown   chan struct{} // closed and renewed when records or shards are added
	next    int
}

func newStream(shards ...string) *stream {
	s := &stream{shards: map[string][]streams.Record{}, parents: map[string]string{}, ended: map[string]bool{}, grown: make(chan struct{}), next: 1}
	for _, id := range shards {
		s.shards[id] = nil
	}
	return s
}

// put adds a record of an item and returns its sequence number: 1, 2, 3 …
func (s *stream) put(shard string, item uint64) string {
	return s.putJSON(shard, item, func(sequence string) string {
		return fmt.Sprintf(`{"eventName":"INSERT","item":%d,"dynamodb":{"SequenceNumber":%q}}`, item, sequence)
	})
}

func (s *stream) putJSON(shard string, item uint64, body func(sequence string) string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	sequence := strconv.Itoa(s.next)
	s.next++
	s.shards[shard] = append(s.shards[shard], streams.Record{
		SequenceNumber: sequence, ItemKey: item, At: time.Now(), JSON: []byte(body(sequence)),
	})
	close(s.grown)
	s.grown = make(chan struct{})
	return sequence
}

// split ends a shard; the children go on in its place.
func (s *stream) split(shard string, children ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended[shard] = true
	for _, child := range children {
		s.shards[child], s.parents[child] = nil, shard
	}
	close(s.grown)
	s.grown = make(chan struct{})
}

func (s *stream) Shards(ctx context.Context, known map[string]bool) ([]streams.Shard, error) {
	for {
		var fresh []streams.Shard
		s.mu.Lock()
		for _, id := range slices.Sorted(maps.Keys(s.shards)) {
			if !known[id] {
				fresh = append(fresh, streams.Shard{ID: id, Parent: s.parents[id]})
			}
		}
		grown := s.grown
		s.mu.Unlock()
		if len(fresh) > 0 {
			return fresh, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *stream) Latest(_ context.Context, shard string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.shards[shard]); n > 0 {
		return s.shards[shard][n-1].SequenceNumber, nil
	}
	return "", nil
}

func (s *stream) Read(ctx context.Context, shard, after string, limit int) ([]streams.Record, error) {
	from := number(after)
	for {
		s.mu.Lock()
		records, ended, grown := s.shards[shard], s.ended[shard], s.grown
		s.mu.Unlock()
		start := slices.IndexFunc(records, func(r streams.Record) bool { return number(r.SequenceNumber) > from })
		if start >= 0 {
			return slices.Clone(records[start:min(len(records), start+limit)]), nil
		}
		if ended {
			return nil, io.EOF
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func number(sequence string) int {
	if sequence == "" {
		return 0
	}
	n, err := strconv.Atoi(sequence)
	if err != nil {
		panic(err)
	}
	return n
}

// function is the mapped function: a Go function of the batch's sequence numbers.
type function func(ctx context.Context, sequences []string) (lambda.Result, error)

func (f function) Invoke(ctx context.Context, _ string, event []byte) (lambda.Result, error) {
	var e struct {
		Records []struct {
			Dynamodb struct{ SequenceNumber string }
		}
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return lambda.Result{}, fmt.Errorf("event %s: %w", event, err)
	}
	sequences := make([]string, len(e.Records))
	for i, r := range e.Records {
		sequences[i] = r.Dynamodb.SequenceNumber
	}
	return f(ctx, sequences)
}

// journal notes what happens, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}

// noted is a function that notes its batches and answers with what respond says.
func (j *journal) noted(respond func(call int, sequences []string) (lambda.Result, error)) function {
	call := 0
	return func(_ context.Context, sequences []string) (lambda.Result, error) {
		call++ // batches of one lane come one after the other
		j.add("invoke %s", strings.Join(sequences, " "))
		return respond(call, sequences)
	}
}

func ok(int, []string) (lambda.Result, error) { return lambda.Result{Payload: []byte("null")}, nil }

func reports(sequences ...string) lambda.Result {
	var failures []map[string]string
	for _, s := range sequences {
		failures = append(failures, map[string]string{"itemIdentifier": s})
	}
	payload, err := json.Marshal(map[string]any{"batchItemFailures": failures})
	if err != nil {
		panic(err)
	}
	return lambda.Result{Payload: payload}
}

func functionError() lambda.Result {
	return lambda.Result{RequestID: "r-1", FunctionError: "Unhandled", ErrorType: "errorString", ErrorMessage: "broken", Payload: []byte(`{}`)}
}

// memory is Checkpoints in memory.
type memory struct {
	mu    sync.Mutex
	saved map[string]string
	saves int
}

func (m *memory) Load(mapping, shard string) (string, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	after, ok := m.saved[mapping+"/"+shard]
	return after, ok, nil
}

func (m *memory) Save(mapping, shard, after string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.saved == nil {
		m.saved = map[string]string{}
	}
	m.saved[mapping+"/"+shard] = after
	m.saves++
	return nil
}

func (m *memory) at(shard string) string {
	after, _, _ := m.Load("Map", shard)
	return after
}

// queue is a FailureQueue that notes its messages.
type queue struct {
	mu       sync.Mutex
	refuse   int // so many messages are refused first
	messages []message
	raw      []string
}

type message struct {
	RequestContext struct {
		Condition              string
		ApproximateInvokeCount int
	}
	DDBStreamBatchInfo struct {
		ShardID                                string
		StartSequenceNumber, EndSequenceNumber string
		BatchSize                              int
	}
}

func (q *queue) Send(_ context.Context, _ string, body []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refuse > 0 {
		q.refuse--
		return errors.New("queue is away")
	}
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
		return err
	}
	q.messages, q.raw = append(q.messages, m), append(q.raw, string(body))
	return nil
}

// mapping is Lambda's defaults on the stream of table T.
func mapping() streams.Mapping {
	return streams.Mapping{
		Name: "Map", StreamARN: "arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/2026-01-01T00:00:00.000", Function: "Fn",
		BatchSize: 100, ParallelizationFactor: 1, MaximumRetryAttempts: -1, StartingPosition: streams.TrimHorizon,
	}
}

// start runs a mapping with pauses that are as long as they may be. stop ends it and waits.
func start(t testing.TB, m streams.Mapping, o streams.Options) (stop func()) {
	t.Helper()
	if o.Checkpoints == nil {
		o.Checkpoints = &memory{}
	}
	o.Log = discard
	o.Jitter = func(most time.Duration) time.Duration { return most }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- streams.Run(ctx, m, o) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	}
}

var discard = slog.New(slog.DiscardHandler)

// broken is Checkpoints that cannot save.
type broken struct{ err error }

func (broken) Load(string, string) (string, bool, error) { return "", false, nil }
func (b broken) Save(string, string, string) error       { return b.err }
