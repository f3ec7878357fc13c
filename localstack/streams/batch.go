package streams

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/duet-chat/duet/localstack/lambda"
)

// process brings a batch to its end: processed, or given up. invokes is how often its records have
// been tried before as part of a larger batch. An error means that all ends.
//
//	whole failure ── bisecting, 2 records or more ──► each half is a batch of its own
//	              └─ else ──► retried, until MaximumRetryAttempts or MaximumRecordAge
//	partial failure ──► what is left is a batch of its own, whose next try is its first retry
//
// What AWS does with a response that names the first record of several is not documented: it bisects
// "at the returned sequence number", which would cut nothing off. Here that is a whole failure, so
// that bisecting isolates the record.
// Source: Lambda developer guide, "Retain discarded records", "Partial batch response" of DynamoDB.
func (s *shard) process(ctx context.Context, batch []entry, invokes int) error {
	failures, throttles := 0, 0
	for {
		n, err := s.giveUpOld(ctx, batch, invokes)
		if err != nil {
			return err
		}
		if batch = batch[n:]; len(batch) == 0 {
			return nil
		}
		result, err := s.Invoker.Invoke(ctx, s.Function, event(batch))
		if ctx.Err() != nil {
			return ctx.Err() // whatever came of it: the batch comes again
		}
		if err != nil {
			// Throttled, or otherwise not the function's fault: it costs none of its retries.
			throttles++
			s.Log.WarnContext(ctx, "batch could not be invoked", "mapping", s.Name, "shard", s.id, "function", s.Function, "error", err)
			if err := s.pause(ctx, throttles); err != nil {
				return err
			}
			continue
		}
		invokes++
		throttles = 0
		done := s.processed(batch, result)
		s.meters.batches.Add(1)
		if done < len(batch) {
			s.meters.failed.Add(1)
		}
		if err := s.progress.done(batch[:done]); err != nil {
			return err
		}
		switch {
		case done == len(batch):
			return nil
		case done > 0:
			batch, failures = batch[done:], 0
		case s.BisectOnError && len(batch) > 1:
			half := len(batch) / 2
			if err := s.process(ctx, batch[:half], invokes); err != nil {
				return err
			}
			return s.process(ctx, batch[half:], invokes)
		}
		if s.MaximumRetryAttempts >= 0 && failures >= s.MaximumRetryAttempts {
			return s.giveUp(ctx, batch, retriesExhausted, invokes, result)
		}
		failures++
		s.Log.WarnContext(ctx, "batch failed, and is tried again", "mapping", s.Name, "shard", s.id, "records", len(batch),
			"first", batch[0].SequenceNumber, "failures", failures, "error_type", result.ErrorType, "error_message", result.ErrorMessage)
		if err := s.pause(ctx, failures); err != nil {
			return err
		}
	}
}

// giveUpOld gives up the records at the start of the batch that are above MaximumRecordAge, and
// returns their number.
func (s *shard) giveUpOld(ctx context.Context, batch []entry, invokes int) (int, error) {
	if s.MaximumRecordAge == 0 {
		return 0, nil
	}
	oldest := s.Now().Add(-s.MaximumRecordAge)
	n := slices.IndexFunc(batch, func(e entry) bool { return !e.At.Before(oldest) })
	if n < 0 {
		n = len(batch)
	}
	if n == 0 {
		return 0, nil
	}
	return n, s.giveUp(ctx, batch[:n], ageExceeded, invokes, lambda.Result{})
}

// Bounds of the pause before a try: AWS documents exponential backoff without its figures.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
)

// pause waits before the next try after so many failures in a row, at least 1.
func (s *shard) pause(ctx context.Context, failures int) error {
	most := min(firstPause<<min(failures-1, 10), lastPause)
	return s.Sleep(ctx, s.Jitter(most))
}

// The responses of a function that reports no failures, as Go's, JavaScript's and Python's JSON
// encoders write them: not worth decoding.
var noFailures = [][]byte{[]byte(`{"batchItemFailures":null}`), []byte(`{"batchItemFailures":[]}`), []byte(`{"batchItemFailures": []}`), []byte(`null`), []byte(`{}`), nil}

// processed is how many records of the batch, from its start, are done with.
//
// Of the sequence numbers that the function reports, the lowest counts: that record and all
// after it come again. No number, an empty or an unknown one fails the whole batch. Names are
// exact: another spelling of batchItemFailures means none.
// Source: Lambda developer guide, "Configuring partial batch response with DynamoDB and Lambda",
// success and failure conditions.
func (s *shard) processed(batch []entry, result lambda.Result) int {
	if result.FunctionError != "" {
		return 0
	}
	if !s.ReportBatchItemFailures || slices.ContainsFunc(noFailures, func(r []byte) bool { return bytes.Equal(r, result.Payload) }) {
		return len(batch)
	}
	// Maps, for encoding/json would accept the names of a struct's fields in any case.
	var response map[string]json.RawMessage
	if err := json.Unmarshal(result.Payload, &response); err != nil {
		return 0
	}
	list, ok := response["batchItemFailures"]
	if !ok {
		return len(batch)
	}
	var failures []map[string]any
	if err := json.Unmarshal(list, &failures); err != nil {
		return 0
	}
	done := len(batch)
	for _, failure := range failures {
		id, _ := failure["itemIdentifier"].(string)
		at := slices.IndexFunc(batch, func(e entry) bool { return e.SequenceNumber == id })
		if at < 0 {
			return 0
		}
		done = min(done, at)
	}
	return done
}

// event puts a batch into the form of a Lambda event.
func event(batch []entry) []byte {
	const head, tail = `{"Records":[`, `]}`
	size := len(head) + len(tail)
	for _, r := range batch {
		size += len(r.JSON) + 1
	}
	e := append(make([]byte, 0, size), head...)
	for i, r := range batch {
		if i > 0 {
			e = append(e, ',')
		}
		e = append(e, r.JSON...)
	}
	return append(e, tail...)
}
