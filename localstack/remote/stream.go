package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/duet-chat/duet/localstack/streams"
)

const (
	defaultPoll = streams.AWSPoll
	// New shards are looked for so often; more often while an ended shard has no child yet.
	discoverEvery      = 10 * time.Second
	discoverChildEvery = time.Second
	// maxRecords bounds GetRecords. Source: DynamoDB Streams API reference, GetRecords.
	maxRecords = 1000
)

// Stream is a stream elsewhere, as one event source mapping reads it: by polling its shards.
// It implements streams.Source.
type Stream struct {
	arn  string
	poll time.Duration
	log  *slog.Logger
	call func(ctx context.Context, operation string, in, out any) error

	ended chan struct{} // gets a value when a shard has ended

	mu       sync.Mutex // guards what follows
	cursors  map[string]*cursor
	finished map[string]bool // shards that were read to their end
	failing  bool
}

// cursor is where a shard is read. Only one reader at a time has it.
type cursor struct {
	after    string    // what the iterator stands behind
	iterator string    // "" for none yet
	end      bool      // there is no more
	next     time.Time // not to be asked before
}

// Stream is the stream with an ARN.
func (d *DynamoDB) Stream(arn string) *Stream {
	return newStream(arn, d.poll, d.log, func(ctx context.Context, operation string, in, out any) error {
		return d.streams.call(ctx, streamTarget+operation, in, out)
	})
}

func newStream(arn string, poll time.Duration, log *slog.Logger, call func(ctx context.Context, operation string, in, out any) error) *Stream {
	return &Stream{arn: arn, poll: poll, log: log, call: call, ended: make(chan struct{}, 1), cursors: map[string]*cursor{}, finished: map[string]bool{}}
}

// ask makes a request, again and again while what keeps it from succeeding may pass.
func (s *Stream) ask(ctx context.Context, operation string, in, out any) error {
	for wait := s.poll; ; wait = min(2*wait, max(s.poll, 5*time.Second)) {
		err := s.call(ctx, operation, in, out)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.tell(ctx, operation, err)
		if err == nil || !passes(err) {
			return err
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// tell logs when requests begin to fail, and when that ends.
func (s *Stream) tell(ctx context.Context, operation string, err error) {
	failing := err != nil && passes(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if failing == s.failing {
		return
	}
	s.failing = failing
	if failing {
		s.log.WarnContext(ctx, "the stream cannot be read for now", "stream", s.arn, "operation", operation, "error", err)
	} else {
		s.log.WarnContext(ctx, "the stream can be read again", "stream", s.arn)
	}
}

// description is what DescribeStream tells.
type description struct {
	StreamStatus         string
	LastEvaluatedShardId string
	Shards               []struct{ ShardId, ParentShardId string }
}

// describe lists all shards. Source: DynamoDB Streams API reference, DescribeStream.
func (s *Stream) describe(ctx context.Context) (all description, err error) {
	for start := ""; ; {
		in := map[string]any{"StreamArn": s.arn}
		if start != "" {
			in["ExclusiveStartShardId"] = start
		}
		var page struct{ StreamDescription description }
		if err := s.ask(ctx, "DescribeStream", in, &page); err != nil {
			return all, fmt.Errorf("DescribeStream: %w", err)
		}
		all.StreamStatus = page.StreamDescription.StreamStatus
		all.Shards = append(all.Shards, page.StreamDescription.Shards...)
		if start = page.StreamDescription.LastEvaluatedShardId; start == "" {
			return all, nil
		}
	}
}

// Shards implements streams.Source.
func (s *Stream) Shards(ctx context.Context, known map[string]bool) ([]streams.Shard, error) {
	for {
		all, err := s.describe(ctx)
		if err != nil {
			return nil, err
		}
		var fresh []streams.Shard
		parents := map[string]bool{}
		for _, shard := range all.Shards {
			parents[shard.ParentShardId] = true
			if !known[shard.ShardId] {
				fresh = append(fresh, streams.Shard{ID: shard.ShardId, Parent: shard.ParentShardId})
			}
		}
		if len(fresh) > 0 {
			return fresh, nil
		}
		if err := s.awaitShards(ctx, all.StreamStatus != "DISABLED" && s.childless(parents)); err != nil {
			return nil, err
		}
	}
}

// childless tells whether a shard has ended that no other goes on for yet.
func (s *Stream) childless(parents map[string]bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for shard := range s.finished {
		if !parents[shard] {
			return true
		}
		delete(s.finished, shard)
	}
	return false
}

// awaitShards waits until it is time to look for new shards.
func (s *Stream) awaitShards(ctx context.Context, soon bool) error {
	wait := discoverEvery
	if soon {
		wait = discoverChildEvery
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// page is what GetRecords returns.
type page struct {
	Records           []json.RawMessage
	NextShardIterator string
}

// Read implements streams.Source.
func (s *Stream) Read(ctx context.Context, shard, after string, limit int) ([]streams.Record, error) {
	c := s.cursor(shard, after)
	for {
		if c.end {
			s.finish(shard)
			return nil, io.EOF
		}
		if err := pause(ctx, time.Until(c.next)); err != nil {
			return nil, err
		}
		p, err := s.read(ctx, c, shard, min(limit, maxRecords))
		switch {
		case errors.Is(err, io.EOF):
			c.end = true
			continue
		case err != nil:
			return nil, err
		}
		c.iterator, c.end = p.NextShardIterator, p.NextShardIterator == ""
		if len(p.Records) < limit {
			c.next = time.Now().Add(s.poll) // else there is more
		}
		if len(p.Records) == 0 {
			continue
		}
		records := make([]streams.Record, len(p.Records))
		for i, raw := range p.Records {
			if records[i], err = toRecord(raw, s.arn); err != nil {
				return nil, fmt.Errorf("record of shard %s: %w", shard, err)
			}
		}
		c.after = records[len(records)-1].SequenceNumber
		return records, nil
	}
}

// cursor is that of a shard, standing behind a sequence number.
func (s *Stream) cursor(shard, after string) *cursor {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cursors[shard]
	if c == nil || c.after != after {
		c = &cursor{after: after}
		s.cursors[shard] = c
	}
	return c
}

func (s *Stream) finish(shard string) {
	s.mu.Lock()
	s.finished[shard] = true
	s.mu.Unlock()
	select {
	case s.ended <- struct{}{}:
	default: // it is known that one has
	}
}

// read reads once where a cursor stands; io.EOF says that the shard is not kept any more.
// Source: DynamoDB Streams API reference, GetShardIterator and GetRecords, errors.
func (s *Stream) read(ctx context.Context, c *cursor, shard string, limit int) (page, error) {
	for refused := false; ; {
		if c.iterator == "" {
			iterator, err := s.iterator(ctx, shard, c.after)
			if err != nil {
				return page{}, err
			}
			c.iterator = iterator
		}
		var p page
		err := s.ask(ctx, "GetRecords", map[string]any{"ShardIterator": c.iterator, "Limit": limit}, &p)
		switch {
		case err == nil:
			return p, nil
		case isRefusal(err, "ExpiredIteratorException"): // nobody read for 15 minutes
			c.iterator = ""
		case isRefusal(err, "TrimmedDataAccessException") && !refused:
			// The iterator is too old, or stands before the first record of all, which DynamoDB Local takes
			// for the same; the place may be there.
			c.iterator, refused = "", true
		case isRefusal(err, "TrimmedDataAccessException"):
			if c.iterator, err = s.horizon(ctx, shard, c.after); err != nil {
				return page{}, err
			}
		case isRefusal(err, "ResourceNotFoundException"):
			return page{}, s.gone(ctx, shard, err)
		default:
			return page{}, fmt.Errorf("GetRecords: %w", err)
		}
	}
}

// iterator stands behind a sequence number, or before the oldest record.
func (s *Stream) iterator(ctx context.Context, shard, after string) (string, error) {
	if after == "" {
		return s.newIterator(ctx, shard, map[string]any{"ShardIteratorType": "TRIM_HORIZON"})
	}
	iterator, err := s.newIterator(ctx, shard, map[string]any{"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": after})
	if isRefusal(err, "TrimmedDataAccessException") {
		return s.horizon(ctx, shard, after)
	}
	return iterator, err
}

// horizon stands before the oldest record, where it should stand behind one that is not kept any more.
func (s *Stream) horizon(ctx context.Context, shard, after string) (string, error) {
	s.log.WarnContext(ctx, "records were trimmed from the stream before they were read: it goes on with the oldest", "stream", s.arn, "shard", shard, "after", after)
	return s.newIterator(ctx, shard, map[string]any{"ShardIteratorType": "TRIM_HORIZON"})
}

func (s *Stream) newIterator(ctx context.Context, shard string, in map[string]any) (string, error) {
	in["StreamArn"], in["ShardId"] = s.arn, shard
	var out struct{ ShardIterator string }
	err := s.ask(ctx, "GetShardIterator", in, &out)
	switch {
	case isRefusal(err, "ResourceNotFoundException"):
		return "", s.gone(ctx, shard, err)
	case isRefusal(err, "TrimmedDataAccessException"):
		return "", err
	case err != nil:
		return "", fmt.Errorf("GetShardIterator: %w", err)
	case out.ShardIterator == "":
		return "", io.EOF
	}
	return out.ShardIterator, nil
}

// gone is io.EOF when a shard is not kept any more, and the refusal when its stream is not there.
func (s *Stream) gone(ctx context.Context, shard string, refused error) error {
	all, err := s.describe(ctx)
	if err != nil {
		return err
	}
	for _, there := range all.Shards {
		if there.ShardId == shard {
			return refused
		}
	}
	return io.EOF
}

// Latest implements streams.Source. The protocol tells no shard's newest record, so it reads all that
// are kept, once in a mapping's life. An engine may return an empty page although there is more: then
// older records are found, which is what a mapping has to live with, and none is missed.
func (s *Stream) Latest(ctx context.Context, shard string) (string, error) {
	c := &cursor{}
	for {
		p, err := s.read(ctx, c, shard, maxRecords)
		if errors.Is(err, io.EOF) {
			return c.after, nil
		}
		if err != nil {
			return "", err
		}
		if n := len(p.Records); n > 0 {
			last, err := toRecord(p.Records[n-1], s.arn)
			if err != nil {
				return "", fmt.Errorf("record of shard %s: %w", shard, err)
			}
			c.after = last.SequenceNumber
		}
		if c.iterator = p.NextShardIterator; len(p.Records) == 0 || c.iterator == "" {
			return c.after, nil
		}
	}
}
