package streams_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/storage"
	"github.com/duet-chat/duet/localstack/streams"
)

// The mapping on the local cloud's own table and stream, stopped and started again with the data
// folder: each item's changes come in their order, and those made in between are not missed.
func TestMappingOfARealStream(t *testing.T) {
	const items, changes = 20, 10
	dir, checkpoints, seen := t.TempDir(), &memory{}, &changesSeen{version: map[string]int{}, all: make(chan struct{})}
	texts, err := streams.ParseFilter(`{"dynamodb":{"NewImage":{"kind":{"S":["text"]}}}}`)
	if err != nil {
		t.Fatal(err)
	}
	m := mapping()
	m.BatchSize, m.ParallelizationFactor, m.ReportBatchItemFailures, m.Filters = 7, 3, true, []streams.Filter{texts}

	table := openTable(t, dir)
	m.StreamARN = table.arn
	stop := table.start(t, m, checkpoints, seen)
	for version := 1; version <= changes/2; version++ {
		for item := range items {
			table.put(t, item, version)
		}
	}
	stop()
	for item := range items { // while no mapping runs
		table.put(t, item, changes/2+1)
	}
	table.close(t)

	table = openTable(t, dir)
	if table.arn != m.StreamARN {
		t.Fatalf("stream ARN changed from %s to %s", m.StreamARN, table.arn)
	}
	stop = table.start(t, m, checkpoints, seen)
	for version := changes/2 + 2; version <= changes; version++ {
		for item := range items {
			table.put(t, item, version)
		}
	}
	seen.await(items, changes)
	select {
	case <-seen.all:
	case <-time.After(20 * time.Second):
		t.Errorf("not all changes came: %v", seen)
	}
	stop()
	table.close(t)
	for _, problem := range seen.problems {
		t.Error(problem)
	}
}

// realTable is a table of the engine with its stream.
type realTable struct {
	store *storage.Store
	db    *dynamodb.DB
	arn   string
}

func openTable(t *testing.T, dir string) *realTable {
	t.Helper()
	store, err := storage.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	db, err := dynamodb.New(dynamodb.Options{Store: store, Region: "us-east-1", Account: "000000000000", Now: time.Now, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	info, err := db.EnsureTable(dynamodb.TableSpec{
		TableName:            "Items",
		AttributeDefinitions: []dynamodb.AttributeDefinition{{AttributeName: "pk", AttributeType: "S"}},
		KeySchema:            []dynamodb.KeyElement{{AttributeName: "pk", KeyType: "HASH"}},
		StreamSpecification:  &dynamodb.StreamSpecification{StreamEnabled: true, StreamViewType: "NEW_IMAGE"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &realTable{store, db, info.StreamARN}
}

// put writes an item, and another kind of item that the mapping filters out.
func (r *realTable) put(t *testing.T, item, version int) {
	t.Helper()
	for _, kind := range []string{"text", "other"} {
		status, response := r.db.Do(t.Context(), "DynamoDB_20120810.PutItem", fmt.Appendf(nil,
			`{"TableName":"Items","Item":{"pk":{"S":"%s-%d"},"version":{"N":"%d"},"kind":{"S":%q}}}`, kind, item, version, kind))
		if status != 200 {
			t.Fatalf("PutItem = %d %s", status, response)
		}
	}
}

func (r *realTable) start(t *testing.T, m streams.Mapping, checkpoints *memory, seen *changesSeen) (stop func()) {
	t.Helper()
	source, err := r.db.Stream(r.arn)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, m, streams.Options{Source: source.Source(), Checkpoints: checkpoints, Invoker: sized(seen.invoke),
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
}

func (r *realTable) close(t *testing.T) {
	t.Helper()
	if err := r.db.Close(); err != nil {
		t.Error(err)
	}
	if err := r.store.Close(); err != nil {
		t.Error(err)
	}
}

// changesSeen is a function that keeps each item's newest version. It fails every fifth batch.
type changesSeen struct {
	mu       sync.Mutex // guards what follows
	calls    int
	version  map[string]int
	want     [2]int // items and their last version
	all      chan struct{}
	problems []string
}

func (c *changesSeen) invoke(_ context.Context, event []byte) (lambda.Result, error) {
	var e struct {
		Records []struct {
			Dynamodb struct {
				SequenceNumber string
				NewImage       struct {
					Pk      struct{ S string }
					Version struct {
						N int `json:",string"`
					}
				}
			}
		}
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return lambda.Result{}, fmt.Errorf("event %s: %w", event, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	for i, r := range e.Records {
		if c.calls%5 == 0 && i == len(e.Records)/2 {
			return reports(r.Dynamodb.SequenceNumber), nil
		}
		item, version := r.Dynamodb.NewImage.Pk.S, r.Dynamodb.NewImage.Version.N
		switch {
		case item[:5] != "text-":
			c.problems = append(c.problems, "the filter let "+item+" through")
		case version > c.version[item]+1:
			c.problems = append(c.problems, fmt.Sprintf("%s: version %d came after %d", item, version, c.version[item]))
		}
		c.version[item] = max(c.version[item], version) // repeats are allowed
	}
	c.check()
	return lambda.Result{Payload: []byte(`{"batchItemFailures":[]}`)}, nil
}

// await lets all close once every item has been seen in its last version.
func (c *changesSeen) await(items, last int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want = [2]int{items, last}
	c.check()
}

func (c *changesSeen) check() {
	if c.want[0] == 0 || len(c.version) < c.want[0] {
		return
	}
	for _, version := range c.version {
		if version < c.want[1] {
			return
		}
	}
	c.want = [2]int{}
	close(c.all)
}

func (c *changesSeen) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.version)
}
