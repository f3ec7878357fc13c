package iam_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duet-chat/duet/localstack/iam"
	"github.com/duet-chat/duet/localstack/streams"
)

const (
	feed  = "arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/1"
	queue = "arn:aws:sqs:us-east-1:000000000000:Failures"
)

// reads counts what reaches a stream and a queue.
type reads struct{ shards, records, latest, sent int }

func (r *reads) Shards(context.Context, map[string]bool) ([]streams.Shard, error) {
	r.shards++
	return nil, nil
}

func (r *reads) Read(context.Context, string, string, int) ([]streams.Record, error) {
	r.records++
	return nil, nil
}

func (r *reads) Latest(context.Context, string) (string, error) {
	r.latest++
	return "", nil
}

func (r *reads) Send(context.Context, string, []byte) error {
	r.sent++
	return nil
}

// A mapping waits while its function's role does not let it read, and goes on when it does.
// Source: Lambda developer guide, "Process DynamoDB records with Lambda".
func TestMappingReadsWithItsFunctionsRole(t *testing.T) {
	listing := iam.Statement{Actions: []string{"dynamodb:DescribeStream", "dynamodb:ListStreams"}, Resources: []string{feed}}
	reading := iam.Statement{Actions: []string{"dynamodb:GetShardIterator", "dynamodb:GetRecords"}, Resources: []string{feed}}
	for _, test := range []struct {
		name string
		has  iam.Statement
		want reads
	}{
		{"may list the stream's shards alone", listing, reads{shards: 1}},
		{"may read records alone", reading, reads{records: 1, latest: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := guard(test.has)
				var got reads
				// An engine elsewhere has streams of another Region.
				s := g.Source("Send", "arn:aws:dynamodb:ddblocal:000000000000:table/T/stream/1", &got)
				ctx, cancel := context.WithCancel(t.Context())
				for _, call := range []func(context.Context) error{
					func(ctx context.Context) error { _, err := s.Shards(ctx, nil); return err },
					func(ctx context.Context) error { _, err := s.Read(ctx, "1", "", 1); return err },
					func(ctx context.Context) error { _, err := s.Latest(ctx, "1"); return err },
				} {
					go func() {
						if err := call(ctx); err != nil && !errors.Is(err, context.Canceled) {
							t.Error(err)
						}
					}()
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if got != test.want {
					t.Errorf("an hour later it has done %+v, want %+v", got, test.want)
				}
				if err := g.CheckStream("Send", feed); err == nil {
					t.Error("CheckStream finds that enough")
				}
				set(g, listing, reading)
				time.Sleep(time.Minute)
				synctest.Wait()
				if want := (reads{shards: 1, records: 1, latest: 1}); got != want {
					t.Errorf("a minute after it may, it has done %+v, want %+v", got, want)
				}
				if err := g.CheckStream("Send", feed); err != nil {
					t.Errorf("CheckStream = %v with all rights", err)
				}
				set(g)
				go func() { _, _ = s.Shards(ctx, nil) }()
				synctest.Wait()
				cancel() // ends what waits; else the bubble would not
			})
		})
	}
}

// What a mapping gives up goes to the queue only if its function may send there.
func TestMappingFailsToQueueWithItsFunctionsRole(t *testing.T) {
	var got reads
	g := guard(allow("sqs:SendMessage", queue+"2"))
	if err := g.Failures("Send", &got).Send(t.Context(), queue, nil); !errors.As(err, new(*iam.Denied)) || got.sent != 0 {
		t.Errorf("Send = %v after %d messages, want it denied", err, got.sent)
	}
	set(g, allow("sqs:SendMessage", queue))
	if err := g.Failures("Send", &got).Send(t.Context(), queue, nil); err != nil || got.sent != 1 {
		t.Errorf("Send = %v, %d messages sent", err, got.sent)
	}
	// Lambda names no function when it asks.
	of := allow("sqs:SendMessage", queue)
	of.Conditions = []iam.Condition{condition(t, "ArnLike", "lambda:SourceFunctionArn", "arn:aws:lambda:*:*:function:Send")}
	set(g, of)
	if err := g.Failures("Send", &got).Send(t.Context(), queue, nil); err == nil {
		t.Error("the mapping passes for the function")
	}
	if err := g.Check("Send", "sqs:SendMessage", queue); err != nil {
		t.Errorf("the function itself: %v", err)
	}
}
