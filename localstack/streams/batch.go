package streams

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/duet-chat/duet/localstack/lambda"
)

// Conditions under which a batch is given up, as the failure message names them.
const (
	retriesExhausted = "RetryAttemptsExhausted"
	ageExceeded      = "RecordAgeExceeded"
)

// process brings a batch to its end: processed, or given up. An error means that all ends.
func (p *poller) process(ctx context.Context, batch []Record) error {
	failures, invokes, throttles := 0, 0, 0
	for len(batch) > 0 {
		if p.MaximumRecordAge > 0 {
			fresh := slices.IndexFunc(batch, func(r Record) bool { return p.Now().Sub(r.At) <= p.MaximumRecordAge })
			if fresh < 0 {
				fresh = len(batch)
			}
			if fresh > 0 {
				if err := p.giveUp(ctx, batch[:fresh], ageExceeded, invokes, lambda.Result{}); err != nil {
					return err
				}
				batch = batch[fresh:]
				continue
			}
		}
		result, err := p.Invoker.Invoke(ctx, p.Function, event(batch))
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			// Not the function's fault, so it costs none of its retries.
			p.Log.WarnContext(ctx, "batch could not be invoked", "mapping", p.Name, "error", err)
			throttles++
			if err := p.Sleep(ctx, p.Jitter(backoff(throttles))); err != nil {
				return err
			}
			continue
		}
		invokes++
		done := p.processed(batch, result)
		switch {
		case done == len(batch):
			return nil
		case done > 0:
			// Progress: what is left is a batch of its own.
			batch, failures = batch[done:], 0
		case p.BisectOnError && result.FunctionError != "" && len(batch) > 1:
			// Halving uses up no retry.
			half := len(batch) / 2
			if err := p.process(ctx, batch[:half]); err != nil {
				return err
			}
			return p.process(ctx, batch[half:])
		}
		if p.MaximumRetryAttempts >= 0 && failures >= p.MaximumRetryAttempts {
			return p.giveUp(ctx, batch, retriesExhausted, invokes, result)
		}
		failures++
		if err := p.Sleep(ctx, p.Jitter(backoff(failures))); err != nil {
			return err
		}
	}
	return nil
}

// backoff doubles from 100 ms to 10 s. AWS documents exponential backoff without its figures.
func backoff(failures int) time.Duration {
	return min(100*time.Millisecond<<min(failures-1, 10), 10*time.Second)
}

// processed is how many records of the batch, from its start, are done with.
//
// Of the sequence numbers that the function reports, the lowest counts: that record and all
// after it come again. No number, an empty or an unknown one fails the whole batch.
// Source: Lambda developer guide, "Reporting batch item failures", success and failure conditions.
func (p *poller) processed(batch []Record, result lambda.Result) int {
	if result.FunctionError != "" {
		return 0
	}
	if !p.ReportBatchItemFailures {
		return len(batch)
	}
	var response struct {
		Failures []struct {
			ID *string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if len(result.Payload) == 0 {
		return len(batch)
	}
	if err := json.Unmarshal(result.Payload, &response); err != nil {
		return 0
	}
	done := len(batch)
	for _, failure := range response.Failures {
		if failure.ID == nil {
			return 0
		}
		at := slices.IndexFunc(batch, func(r Record) bool { return r.SequenceNumber == *failure.ID })
		if at < 0 {
			return 0
		}
		done = min(done, at)
	}
	return done
}

// event puts a batch into the form of a Lambda event.
func event(batch []Record) []byte {
	size := len(`{"Records":[]}`)
	for _, r := range batch {
		size += len(r.JSON) + 1
	}
	e := append(make([]byte, 0, size), `{"Records":[`...)
	for i, r := range batch {
		if i > 0 {
			e = append(e, ',')
		}
		e = append(e, r.JSON...)
	}
	return append(e, `]}`...)
}

// giveUp describes a batch in the failure queue. As on AWS the message does not hold the
// records: they are read from the stream by their sequence numbers.
// Source: Lambda developer guide, "Retaining discarded batches", example record.
func (p *poller) giveUp(ctx context.Context, batch []Record, condition string, invokes int, result lambda.Result) error {
	first, last := batch[0], batch[len(batch)-1]
	p.Log.ErrorContext(ctx, "batch given up", "mapping", p.Name, "condition", condition, "records", len(batch),
		"first", first.SequenceNumber, "last", last.SequenceNumber, "error_type", result.ErrorType, "error_message", result.ErrorMessage)
	if p.FailureQueueARN == "" {
		return nil
	}
	const form = "2006-01-02T15:04:05.000Z"
	message, err := json.Marshal(map[string]any{
		"version":   "1.0",
		"timestamp": p.Now().UTC().Format(form),
		"requestContext": map[string]any{
			"functionArn": p.Function, "condition": condition, "approximateInvokeCount": invokes,
		},
		"responseContext": map[string]any{
			"statusCode": 200, "executedVersion": "$LATEST", "functionError": result.FunctionError,
		},
		"DDBStreamBatchInfo": map[string]any{
			"shardId": p.shard, "streamArn": p.StreamARN, "batchSize": len(batch),
			"startSequenceNumber": first.SequenceNumber, "endSequenceNumber": last.SequenceNumber,
			"approximateArrivalOfFirstRecord": first.At.UTC().Format(form),
			"approximateArrivalOfLastRecord":  last.At.UTC().Format(form),
		},
	})
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := p.Failures.Send(ctx, p.FailureQueueARN, message)
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		p.Log.ErrorContext(ctx, "failure queue does not take a batch", "queue", p.FailureQueueARN, "error", err)
		if err := p.Sleep(ctx, p.Jitter(backoff(try))); err != nil {
			return err
		}
	}
}
