// Package streams is the event source mapping: it reads a table's stream, hands batches of
// records to a function, and sees to it that each record is processed at least once or is
// described in the failure queue, as Lambda does for DynamoDB Streams.
// Source: Lambda developer guide, "Process DynamoDB records with Lambda".
package streams

import (
	"context"
	"reflect"
	"slices"
	"time"
)

// Record is one change of an item.
type Record struct {
	SequenceNumber string    // decimal, rising within a shard
	ItemKey        uint64    // hash of the item's key: records of one item keep their order
	At             time.Time // when the change was made
	JSON           []byte    // the record as it stands in a Lambda event; it is never changed
}

// Source is a stream that can be read. A shard may end, as when AWS splits it or replaces it after
// some hours; the shards that go on in its place name it as their parent.
type Source interface {
	// Shards returns the shards whose records are kept, open and ended ones, but for those that are
	// known already. It waits until there is one; its errors are Read's.
	Shards(ctx context.Context, known map[string]bool) ([]Shard, error)
	// Read returns up to limit records after a sequence number ("" for the oldest kept), in order. It
	// waits until there is at least one. Its error is io.EOF when the shard has ended and has no more,
	// the context's when that ends first, and context.Canceled when the stream is closed.
	Read(ctx context.Context, shard, after string, limit int) ([]Record, error)
	// Latest is the sequence number of a shard's newest record, "" if there is none.
	Latest(ctx context.Context, shard string) (string, error)
}

// Shard is a part of a stream. Records of one item are in one shard, or in a shard and later in one
// that goes on in its place.
type Shard struct {
	ID     string
	Parent string // the shard that it goes on for, kept or not; "" for none
}

// Checkpoints remembers how far each shard of a mapping has been processed; the shard "" stands for the
// mapping, once it is known where it began. Save is called for
// every batch and need not be durable when it returns: what is lost is processed again, and
// delivery is at least once anyhow. It must never run ahead of what has been saved.
type Checkpoints interface {
	Load(mapping, shard string) (after string, ok bool, err error)
	Save(mapping, shard, after string) error
}

// FailureQueue takes the description of a batch that was given up.
type FailureQueue interface {
	Send(ctx context.Context, queueARN string, message []byte) error
}

// StartingPosition says where a mapping without checkpoint starts.
type StartingPosition string

const (
	TrimHorizon StartingPosition = "TRIM_HORIZON" // with the oldest record kept
	Latest      StartingPosition = "LATEST"       // with what comes next
)

// Mapping is an AWS::Lambda::EventSourceMapping of a stream.
type Mapping struct {
	Name                    string
	StreamARN               string
	Function                string
	BatchSize               int           // 1 to 10,000
	BatchingWindow          time.Duration // how long to gather a batch; 0 sends what is there
	ParallelizationFactor   int           // batches of one shard at a time, 1 to 10
	MaximumRetryAttempts    int           // -1: until the record expires
	MaximumRecordAge        time.Duration // 0: until the record expires
	BisectOnError           bool
	ReportBatchItemFailures bool
	FailureQueueARN         string // "" for none: what is given up is only logged
	StartingPosition        StartingPosition
	// Filters select records: one that matches any of them is processed, others are done with at
	// once. None selects all.
	Filters []Filter
}

// Equal tells whether two mappings do the same.
func (m Mapping) Equal(other Mapping) bool {
	same := slices.EqualFunc(m.Filters, other.Filters, Filter.Equal)
	m.Filters, other.Filters = nil, nil
	return same && reflect.DeepEqual(m, other)
}
