package iam

import (
	"context"
	"time"

	"github.com/duet-chat/duet/localstack/streams"
)

// An event source mapping acts with its function's role.
// Source: Lambda developer guide, "Process DynamoDB records with Lambda", required permissions.
var (
	listShards  = []string{"dynamodb:DescribeStream", "dynamodb:ListStreams"}
	readRecords = []string{"dynamodb:GetShardIterator", "dynamodb:GetRecords"}
)

// CheckStream returns a *Denied if a function's mapping may not read a stream.
func (g *Guard) CheckStream(function, stream string) error {
	if err := g.checkMapping(function, stream, readRecords); err != nil {
		return err
	}
	return g.checkMapping(function, stream, listShards)
}

// CheckQueue returns a *Denied if a function's mapping may not send to its failure queue.
func (g *Guard) CheckQueue(function, queue string) error {
	return g.check(function, "", "sqs:SendMessage", queue, itemRequest{})
}

func (g *Guard) checkMapping(function, stream string, actions []string) error {
	for _, action := range actions {
		if err := g.check(function, "", action, stream, itemRequest{}); err != nil {
			return err
		}
	}
	return nil
}

// Source puts the guard before a stream that is read by a function's mapping. While that is denied it
// waits, as Lambda does.
func (g *Guard) Source(function, stream string, next streams.Source) streams.Source {
	return &source{g, function, g.Own(stream), next}
}

type source struct {
	guard            *Guard
	function, stream string
	next             streams.Source
}

// deniedPause is how long a mapping waits before it tries again what it may not do.
const deniedPause = 10 * time.Second

// await returns when some actions are allowed, or with the error of ctx.
func (s *source) await(ctx context.Context, actions []string) error {
	for s.guard.checkMapping(s.function, s.stream, actions) != nil {
		timer := time.NewTimer(deniedPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return nil
}

// Shards implements streams.Source.
func (s *source) Shards(ctx context.Context, known map[string]bool) ([]streams.Shard, error) {
	if err := s.await(ctx, listShards); err != nil {
		return nil, err
	}
	return s.next.Shards(ctx, known)
}

// Read implements streams.Source.
func (s *source) Read(ctx context.Context, shard, after string, limit int) ([]streams.Record, error) {
	if err := s.await(ctx, readRecords); err != nil {
		return nil, err
	}
	return s.next.Read(ctx, shard, after, limit)
}

// Latest implements streams.Source.
func (s *source) Latest(ctx context.Context, shard string) (string, error) {
	if err := s.await(ctx, readRecords); err != nil {
		return "", err
	}
	return s.next.Latest(ctx, shard)
}

// Failures puts the guard before the failure queue of a function's mapping.
func (g *Guard) Failures(function string, next streams.FailureQueue) streams.FailureQueue {
	return &failures{g, function, next}
}

type failures struct {
	guard    *Guard
	function string
	next     streams.FailureQueue
}

// Send implements streams.FailureQueue.
func (f *failures) Send(ctx context.Context, queue string, message []byte) error {
	if err := f.guard.CheckQueue(f.function, queue); err != nil {
		return err
	}
	return f.next.Send(ctx, queue, message)
}
