package streams

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/duet-chat/duet/localstack/lambda"
)

// Conditions under which a batch is given up, as the message names them.
const (
	retriesExhausted = "RetryAttemptsExhausted"
	ageExceeded      = "RecordAgeExceeded"
)

// invocationRecord is what a failure destination is told. It does not hold the records: who
// reads it fetches them from the stream by their sequence numbers, while they are kept there.
// Source: Lambda developer guide, "Retain discarded records for a DynamoDB event source in Lambda",
// example invocation record.
type invocationRecord struct {
	RequestContext struct {
		RequestID    string `json:"requestId"`
		FunctionARN  string `json:"functionArn"`
		Condition    string `json:"condition"`
		InvokesAbout int    `json:"approximateInvokeCount"`
	} `json:"requestContext"`
	ResponseContext *responseContext `json:"responseContext,omitempty"` // nil when it was given up without a try
	Version         string           `json:"version"`
	Timestamp       string           `json:"timestamp"`
	Batch           struct {
		ShardID       string `json:"shardId"`
		StartSequence string `json:"startSequenceNumber"`
		EndSequence   string `json:"endSequenceNumber"`
		FirstArrival  string `json:"approximateArrivalOfFirstRecord"`
		LastArrival   string `json:"approximateArrivalOfLastRecord"`
		BatchSize     int    `json:"batchSize"`
		StreamARN     string `json:"streamArn"`
	} `json:"DDBStreamBatchInfo"`
}

type responseContext struct {
	StatusCode      int    `json:"statusCode"`
	ExecutedVersion string `json:"executedVersion"`
	FunctionError   string `json:"functionError,omitempty"`
}

// giveUp describes a batch in the failure queue and is done with it. While the queue refuses, it
// tries again: nothing is lost without a word.
func (s *shard) giveUp(ctx context.Context, batch []entry, condition string, invokes int, result lambda.Result) error {
	first, last := batch[0], batch[len(batch)-1]
	s.Log.ErrorContext(ctx, "batch given up", "mapping", s.Name, "shard", s.id, "condition", condition, "records", len(batch),
		"first", first.SequenceNumber, "last", last.SequenceNumber, "error_type", result.ErrorType, "error_message", result.ErrorMessage)
	s.meters.givenUp.Add(int64(len(batch)))
	if s.FailureQueueARN == "" {
		return s.progress.done(batch)
	}
	var r invocationRecord
	r.RequestContext.RequestID = result.RequestID
	r.RequestContext.FunctionARN = s.functionARN
	r.RequestContext.Condition = condition
	r.RequestContext.InvokesAbout = invokes
	if condition == retriesExhausted {
		r.ResponseContext = &responseContext{StatusCode: 200, ExecutedVersion: "$LATEST", FunctionError: result.FunctionError}
	}
	r.Version = "1.0"
	r.Timestamp = s.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	r.Batch.ShardID = s.id
	r.Batch.StartSequence, r.Batch.EndSequence = first.SequenceNumber, last.SequenceNumber
	r.Batch.FirstArrival, r.Batch.LastArrival = first.At.UTC().Format(time.RFC3339), last.At.UTC().Format(time.RFC3339)
	r.Batch.BatchSize = len(batch)
	r.Batch.StreamARN = s.StreamARN
	message, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("describe batch from %s: %w", first.SequenceNumber, err)
	}
	for tries := 1; ; tries++ {
		err := s.Failures.Send(ctx, s.FailureQueueARN, message)
		if err == nil {
			return s.progress.done(batch)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.Log.ErrorContext(ctx, "failure queue does not take a batch", "mapping", s.Name, "queue", s.FailureQueueARN, "error", err)
		if err := s.pause(ctx, tries); err != nil {
			return err
		}
	}
}
