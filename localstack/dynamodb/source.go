package dynamodb

import (
	"context"

	"github.com/duet-chat/duet/localstack/streams"
)

// streamSource is a Stream as an event source mapping reads it.
type streamSource struct{ *Stream }

// Source is the stream for an event source mapping.
func (st *Stream) Source() streams.Source { return streamSource{st} }

// Shards implements streams.Source.
func (s streamSource) Shards(ctx context.Context, known map[string]bool) ([]streams.Shard, error) {
	var fresh []streams.Shard
	for _, id := range s.Stream.Shards() {
		if !known[id] {
			fresh = append(fresh, streams.Shard{ID: id})
		}
	}
	if len(fresh) > 0 {
		return fresh, nil
	}
	select { // there will be no more
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.closed:
		return nil, context.Canceled
	}
}

// Latest implements streams.Source.
func (s streamSource) Latest(_ context.Context, shard string) (string, error) {
	return s.Stream.Latest(shard), nil
}
