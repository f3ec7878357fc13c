package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// redrive is one run of the command.
type redrive struct {
	queue     *sqs.Client
	streams   *dynamodbstreams.Client
	functions *lambda.Client

	url      string
	function string // instead of the batch's own; "" for that
	limit    int
	dryRun   bool
	dropGone bool
	out      io.Writer
}

// report counts messages by what became of them.
type report struct {
	delivered, failed, gone, dropped int
	dryRun                           bool
}

func (r report) String() string {
	if r.dryRun {
		return fmt.Sprintf("%d batches can be delivered, %d cannot be read, of %d the records are gone; nothing was changed", r.delivered, r.failed, r.gone+r.dropped)
	}
	s := fmt.Sprintf("%d batches delivered, %d failed, of %d the records are gone", r.delivered, r.failed, r.gone+r.dropped)
	if r.dropped > 0 {
		s += fmt.Sprintf(" (%d dropped)", r.dropped)
	}
	return s
}

// given is a message of the failure queue: a batch that was given up.
// Source: Lambda developer guide, "Retain discarded records for a DynamoDB event source in Lambda".
type given struct {
	RequestContext struct {
		FunctionARN string `json:"functionArn"`
		Condition   string `json:"condition"`
	} `json:"requestContext"`
	Batch struct {
		ShardID   string `json:"shardId"`
		Start     string `json:"startSequenceNumber"`
		End       string `json:"endSequenceNumber"`
		Size      int    `json:"batchSize"`
		StreamARN string `json:"streamArn"`
	} `json:"DDBStreamBatchInfo"`

	id     string
	handle *string
}

func (g *given) String() string {
	return fmt.Sprintf("%s: %s from %s to %s", g.id, count(g.Batch.Size, "record"), g.Batch.Start, g.Batch.End)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// hidden is how long messages are kept from others while a run works on them. A run that is cut
// off leaves them hidden until then.
const hidden = time.Hour

// run takes all messages from the queue and brings each to its end. Those that stay in the queue can
// be received by others again when it returns.
func (r *redrive) run(ctx context.Context) (report, error) {
	done := report{dryRun: r.dryRun}
	batches, kept, err := r.receive(ctx)
	defer func() { r.release(context.WithoutCancel(ctx), kept) }()
	if err != nil {
		return done, err
	}
	done.failed = len(kept)
	for i, g := range batches {
		if ctx.Err() != nil {
			kept = append(kept, handles(batches[i:])...)
			return done, fmt.Errorf("interrupted: %d messages were not looked at", len(batches)-i)
		}
		err := r.redeliver(ctx, g)
		gone := errors.Is(err, errGone)
		switch {
		case err == nil:
			done.delivered++
		case gone && r.dropGone:
			done.dropped++
		case gone:
			done.gone++
		default:
			done.failed++
		}
		if err != nil {
			fmt.Fprintf(r.out, "%s: %v\n", g, err)
		}
		if r.dryRun || err != nil && (!gone || !r.dropGone) {
			kept = append(kept, g.handle)
			continue
		}
		if _, err := r.queue.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &r.url, ReceiptHandle: g.handle}); err != nil {
			kept = append(kept, handles(batches[i+1:])...)
			return done, fmt.Errorf("%s: delete the message: %w", g, err)
		}
	}
	return done, nil
}

func handles(batches []*given) []*string {
	all := make([]*string, len(batches))
	for i, g := range batches {
		all[i] = g.handle
	}
	return all
}

// receive takes the messages from the queue, in the order of their records, and the handles of those
// that are no description of a stream's batch.
func (r *redrive) receive(ctx context.Context) (batches []*given, others []*string, err error) {
	for n := 0; n < r.limit; {
		out, err := r.queue.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &r.url, MaxNumberOfMessages: int32(min(10, r.limit-n)), VisibilityTimeout: int32(hidden / time.Second),
			WaitTimeSeconds: 1, // a short poll may miss messages that are there
		})
		if err != nil {
			return nil, append(others, handles(batches)...), fmt.Errorf("receive from %s: %w", r.url, err)
		}
		if len(out.Messages) == 0 {
			break
		}
		n += len(out.Messages)
		for _, m := range out.Messages {
			g := &given{id: aws.ToString(m.MessageId), handle: m.ReceiptHandle}
			if err := json.Unmarshal([]byte(aws.ToString(m.Body)), g); err != nil || g.Batch.Start == "" || g.Batch.End == "" || g.Batch.ShardID == "" {
				fmt.Fprintf(r.out, "%s: is no batch that a mapping of a DynamoDB stream gave up\n", g.id)
				others = append(others, g.handle)
				continue
			}
			batches = append(batches, g)
		}
	}
	slices.SortFunc(batches, func(a, b *given) int {
		return cmp.Or(
			strings.Compare(a.Batch.StreamARN, b.Batch.StreamARN), strings.Compare(a.Batch.ShardID, b.Batch.ShardID),
			compare(a.Batch.Start, b.Batch.Start),
		)
	})
	return batches, others, nil
}

// release lets others receive messages again. That it fails costs them an hour.
func (r *redrive) release(ctx context.Context, handles []*string) {
	for _, handle := range handles {
		_, _ = r.queue.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &r.url, ReceiptHandle: handle, VisibilityTimeout: 0})
	}
}

// compare orders stream sequence numbers, decimal strings of numbers beyond 64 bits.
func compare(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// redeliver gives a batch to its function. It is nil when the function took all of it, or would be
// asked to in a dry run; errGone when the stream has not all of it any more.
func (r *redrive) redeliver(ctx context.Context, g *given) error {
	records, err := r.records(ctx, g)
	if err != nil && !errors.Is(err, errGone) {
		return err
	}
	gone := err
	function := cmp.Or(r.function, g.RequestContext.FunctionARN)
	if r.dryRun {
		if gone == nil {
			fmt.Fprintf(r.out, "%s: %s would get %s\n", g, function, count(len(records), "record"))
		}
		return gone
	}
	for len(records) > 0 {
		n := fits(records)
		taken, err := r.invoke(ctx, function, records[:n])
		if err != nil {
			return err
		}
		if taken < n {
			return fmt.Errorf("%s failed at the record %s", function, records[taken].sequence)
		}
		fmt.Fprintf(r.out, "%s: %s took %s\n", g, function, count(n, "record"))
		records = records[n:]
	}
	return gone
}

// maxEvent bounds an event. Source: Lambda developer guide, "Lambda quotas", invocation payload.
const maxEvent = 6<<20 - 64

// fits is how many of the records one event takes, at least 1. There may be more than the batch had:
// filtered ones and those of other lanes lie between its first and its last.
func fits(records []record) int {
	size := 0
	for n, r := range records {
		if size += len(r.json) + 1; size > maxEvent && n > 0 {
			return n
		}
	}
	return len(records)
}

// invoke gives records to the function, and returns how many of them, from the first, it took.
func (r *redrive) invoke(ctx context.Context, function string, records []record) (taken int, err error) {
	event := struct{ Records []json.RawMessage }{}
	for _, r := range records {
		event.Records = append(event.Records, r.json)
	}
	payload, err := json.Marshal(event)
	if err != nil {
		return 0, fmt.Errorf("make an event of records: %w", err)
	}
	out, err := r.functions.Invoke(ctx, &lambda.InvokeInput{FunctionName: &function, Payload: payload})
	switch {
	case err != nil:
		return 0, fmt.Errorf("invoke %s: %w", function, err)
	case out.FunctionError != nil:
		return 0, fmt.Errorf("%s failed: %s", function, out.Payload)
	}
	return accepted(records, out.Payload), nil
}

// accepted is how many records, from the first, a response says were processed: those before the
// lowest one in batchItemFailures. An unknown number there fails all of them.
// Source: Lambda developer guide, "Configuring partial batch response with DynamoDB and Lambda".
func accepted(records []record, response []byte) int {
	var answer struct {
		Failures []struct {
			ID string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if json.Unmarshal(response, &answer) != nil {
		return len(records) // a response of another form means nothing
	}
	taken := len(records)
	for _, failure := range answer.Failures {
		taken = min(taken, max(0, slices.IndexFunc(records, func(r record) bool { return r.sequence == failure.ID })))
	}
	return taken
}
