package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duet-chat/duet/localstack/streams"
)

// fake is a stream's API in memory, with what the embedded engine never does. An iterator is the shard
// and how many of its records are behind it.
type fake struct {
	mu     sync.Mutex // guards what follows
	shards []fakeShard
	fail   []error // the next requests' answers; nil answers as it should
	asked  []string
}

type fakeShard struct {
	id, parent string
	trimmed    int // so many of its first records are gone
	records    int
	closed     bool
}

func refused(kind string) error { return &refusal{status: 400, kind: kind, message: "…"} }

func (f *fake) find(id string) *fakeShard {
	for i := range f.shards {
		if f.shards[i].id == id {
			return &f.shards[i]
		}
	}
	return nil
}

// change does something to the shards while they are read.
func (f *fake) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func (f *fake) call(_ context.Context, operation string, in, out any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, operation)
	if len(f.fail) > 0 {
		err := f.fail[0]
		f.fail = f.fail[1:]
		if err != nil {
			return err
		}
	}
	var q struct {
		ShardId, ShardIteratorType, SequenceNumber, ShardIterator, ExclusiveStartShardId string
		Limit                                                                            int
	}
	j, _ := json.Marshal(in)
	if err := json.Unmarshal(j, &q); err != nil {
		return err
	}
	var answer any
	switch operation {
	case "DescribeStream": // a page for each shard
		i := 0
		for i < len(f.shards) && q.ExclusiveStartShardId != "" && f.shards[i].id != q.ExclusiveStartShardId {
			i++
		}
		if q.ExclusiveStartShardId != "" {
			i++
		}
		d := map[string]any{"StreamStatus": "ENABLED", "Shards": []any{}}
		if i < len(f.shards) {
			d["Shards"] = []any{map[string]string{"ShardId": f.shards[i].id, "ParentShardId": f.shards[i].parent}}
			if i+1 < len(f.shards) {
				d["LastEvaluatedShardId"] = f.shards[i].id
			}
		}
		answer = map[string]any{"StreamDescription": d}
	case "GetShardIterator":
		s := f.find(q.ShardId)
		if s == nil {
			return refused("ResourceNotFoundException")
		}
		at := s.trimmed
		if q.ShardIteratorType == "AFTER_SEQUENCE_NUMBER" {
			at, _ = strconv.Atoi(q.SequenceNumber)
			if at < s.trimmed {
				return refused("TrimmedDataAccessException")
			}
		}
		answer = map[string]string{"ShardIterator": fmt.Sprint(s.id, " ", at)}
	case "GetRecords":
		id, position, _ := strings.Cut(q.ShardIterator, " ")
		at, _ := strconv.Atoi(position)
		s := f.find(id)
		if s == nil {
			return refused("ResourceNotFoundException")
		}
		if at < s.trimmed {
			return refused("TrimmedDataAccessException")
		}
		records := []any{}
		for ; at < s.records && len(records) < q.Limit; at++ {
			records = append(records, map[string]any{"eventID": "e", "eventName": "INSERT", "dynamodb": map[string]any{
				"SequenceNumber": fmt.Sprint(at + 1), "ApproximateCreationDateTime": 1.7e9, "Keys": map[string]any{"id": map[string]string{"S": "x"}},
			}})
		}
		page := map[string]any{"Records": records}
		if !s.closed || at < s.records {
			page["NextShardIterator"] = fmt.Sprint(id, " ", at)
		}
		answer = page
	}
	j, _ = json.Marshal(answer)
	return json.Unmarshal(j, out)
}

func (f *fake) stream() *Stream {
	return newStream("arn:stream", 250*time.Millisecond, slog.New(slog.DiscardHandler), f.call)
}

// take reads once and tells what came: the first and the last sequence number, or how it ended.
func take(t *testing.T, s *Stream, after string, limit int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	records, err := s.Read(ctx, "a", after, limit)
	switch {
	case errors.Is(err, io.EOF):
		return "EOF"
	case errors.Is(err, context.DeadlineExceeded):
		return "nothing"
	case err != nil:
		return err.Error()
	}
	return records[0].SequenceNumber + "-" + records[len(records)-1].SequenceNumber
}

func TestReadShard(t *testing.T) {
	tests := []struct {
		name  string
		shard fakeShard
		fail  []error
		steps []string // after → what is read
	}{
		{"from the oldest", fakeShard{records: 5}, nil, []string{" → 1-2", "2 → 3-4", "4 → 5-5", "5 → nothing"}},
		{"again from before", fakeShard{records: 5}, nil, []string{" → 1-2", "2 → 3-4", "2 → 3-4", " → 1-2"}},
		{"to the end of a closed one", fakeShard{records: 3, closed: true}, nil, []string{" → 1-2", "2 → 3-3", "3 → EOF"}},
		{"a closed one without records", fakeShard{closed: true}, nil, []string{" → EOF"}},
		{"behind the end of a closed one", fakeShard{records: 3, closed: true}, nil, []string{"3 → EOF"}},
		{"an expired iterator", fakeShard{records: 5}, []error{nil, nil, refused("ExpiredIteratorException")}, []string{" → 1-2", "2 → 3-4"}},
		{"trimmed before it was read", fakeShard{trimmed: 3, records: 5}, nil, []string{"1 → 4-5"}},
		{"trimmed while it was read", fakeShard{records: 5}, []error{nil, nil, refused("TrimmedDataAccessException"), nil, refused("TrimmedDataAccessException")}, []string{" → 1-2", "2 → 1-2"}},
		{"an iterator that is called trimmed", fakeShard{records: 5}, []error{nil, refused("TrimmedDataAccessException")}, []string{" → 1-2"}},
		{"throttled, broken, away", fakeShard{records: 1}, []error{refused("LimitExceededException"), &refusal{status: 500, kind: "InternalServerError"}, errors.New("connection refused")}, []string{" → 1-1"}},
		{"not allowed", fakeShard{records: 1}, []error{refused("AccessDeniedException")}, []string{" → GetShardIterator: AccessDeniedException: …"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.shard.id = "a"
				s := (&fake{shards: []fakeShard{test.shard}, fail: test.fail}).stream()
				for _, step := range test.steps {
					after, want, _ := strings.Cut(step, " → ")
					if got := take(t, s, after, 2); got != want {
						t.Errorf("after %q: %s, want %s", after, got, want)
					}
				}
			})
		})
	}
}

// A shard that is not kept any more has no more records; a stream that is gone is an error.
func TestShardIsGone(t *testing.T) {
	f := &fake{shards: []fakeShard{{id: "b"}}}
	if got := take(t, f.stream(), "", 2); got != "EOF" {
		t.Errorf("= %s, want EOF", got)
	}
	f = &fake{fail: []error{refused("ResourceNotFoundException"), refused("ResourceNotFoundException")}}
	if got := take(t, f.stream(), "", 2); !strings.Contains(got, "ResourceNotFoundException") {
		t.Errorf("= %s, want what the engine says", got)
	}
}

// Each shard is asked four times a second while it is silent, and again at once while there is more.
// Source: Lambda developer guide, "Process DynamoDB records with Lambda", polling.
func TestPollRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{shards: []fakeShard{{id: "a"}}}
		s := f.stream()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := s.Read(ctx, "a", "", 10); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if n := len(f.asked); n < 40 || n > 42 {
			t.Errorf("%d requests in 10 s, want 41: an iterator and 4 a second", n)
		}
		f.shards[0].records = 30
		if got := take(t, s, "", 10); got != "1-10" {
			t.Fatal(got)
		}
		began := time.Now()
		for i, want := range []string{"11-20", "21-30"} {
			if got := take(t, s, strconv.Itoa(10*(i+1)), 10); got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("full pages took %v, want none between them", took)
		}
	})
}

// Children are found when their parent ends, or a moment later; other new shards in time.
func TestNewShardsAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{shards: []fakeShard{{id: "a", records: 1}, {id: "x"}}}
		s := f.stream()
		known := map[string]bool{}
		next := func() string {
			t.Helper()
			began := time.Now()
			shards, err := s.Shards(t.Context(), known)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, shard := range shards {
				known[shard.ID] = true
				fmt.Fprintf(&b, "%s<%s ", shard.ID, shard.Parent)
			}
			return fmt.Sprint(b.String(), "in ", time.Since(began))
		}
		if got, want := next(), "a< x< in 0s"; got != want {
			t.Errorf("at first %q, want %q", got, want)
		}
		go func() {
			time.Sleep(3 * time.Second)
			f.change(func() { f.shards[0].closed = true })
			if got := take(t, s, "1", 10); got != "EOF" {
				t.Errorf("a closed shard: %s", got)
			}
			time.Sleep(2500 * time.Millisecond) // it shows late
			f.change(func() { f.shards = append(f.shards, fakeShard{id: "b", parent: "a"}) })
		}()
		if got, want := next(), "b<a in 6s"; got != want {
			t.Errorf("the child: %q, want %q", got, want)
		}
		f.change(func() { f.shards = append(f.shards, fakeShard{id: "y"}) })
		if got, want := next(), "y< in 0s"; got != want {
			t.Errorf("another: %q, want %q", got, want)
		}
		go func() {
			time.Sleep(time.Second)
			f.change(func() { f.shards = append(f.shards, fakeShard{id: "z"}) })
		}()
		if got, want := next(), "z< in 10s"; got != want {
			t.Errorf("one more: %q, want %q", got, want)
		}
	})
}

// What comes next begins behind all that is there.
func TestLatest(t *testing.T) {
	for _, test := range []struct {
		shard fakeShard
		want  string
	}{
		{fakeShard{}, ""}, {fakeShard{records: 2500}, "2500"}, {fakeShard{records: 7, closed: true}, "7"}, {fakeShard{trimmed: 5, records: 5}, ""},
	} {
		test.shard.id = "a"
		got, err := (&fake{shards: []fakeShard{test.shard}}).stream().Latest(t.Context(), "a")
		if err != nil || got != test.want {
			t.Errorf("Latest of %+v = %q %v, want %q", test.shard, got, err, test.want)
		}
	}
	var _ streams.Source = (*Stream)(nil)
}

// Source: DynamoDB Streams API reference, GetRecords; Lambda developer guide, example event.
func TestRecordOfAnEvent(t *testing.T) {
	const raw = `{"awsRegion":"us-west-2","dynamodb":{"ApproximateCreationDateTime":1.46480431E9,"Keys":{"n":{"N":"1"},"id":{"S":"<a>"}},"SequenceNumber":"300000000000000499659","SizeBytes":41,"StreamViewType":"KEYS_ONLY"},"eventID":"e2","eventName":"REMOVE","eventSource":"aws:dynamodb","eventVersion":"1.1","userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"}}`
	r, err := toRecord(json.RawMessage(raw), "arn:stream")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"eventID":"e2","eventName":"REMOVE","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"us-west-2","dynamodb":{"ApproximateCreationDateTime":1.46480431E9,"Keys":{"n":{"N":"1"},"id":{"S":"<a>"}},"SequenceNumber":"300000000000000499659","SizeBytes":41,"StreamViewType":"KEYS_ONLY"},"userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},"eventSourceARN":"arn:stream"}`
	if string(r.JSON) != want || r.SequenceNumber != "300000000000000499659" || r.At.Unix() != 1464804310 {
		t.Errorf("record = %s at %v\nwant %s", r.JSON, r.At, want)
	}
	other, err := toRecord(json.RawMessage(strings.Replace(raw, `"n":{"N":"1"},"id":{"S":"<a>"}`, `"id":{"S":"<a>"},"n":{"N":"1"}`, 1)), "arn:stream")
	if err != nil || other.ItemKey != r.ItemKey {
		t.Errorf("the same item in another order of keys: %d %v, want %d", other.ItemKey, err, r.ItemKey)
	}
	for _, bad := range []string{`{}`, `{"dynamodb":{}}`, `[]`} {
		if _, err := toRecord(json.RawMessage(bad), "arn"); err == nil {
			t.Errorf("toRecord(%s) = nil, want an error", bad)
		}
	}
}
