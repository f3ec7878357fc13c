package streams

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
)

// shard processes one shard: a reader deals the records to ParallelizationFactor lanes, those of
// one item always to the same lane, and each lane hands its records to the function in batches, one
// after the other. A lane that is held up by a failing record does not hold up the others until the
// reader has filled its queue.
type shard struct {
	Mapping
	Options
	id          string
	functionARN string
	progress    *progress
	meters      meters
}

// Bounds of reading ahead, as of GetRecords and of a lane's queue in reads.
const (
	maxRead   = 1000
	readAhead = 8
)

// entry is a record on its way through a lane.
type entry struct {
	Record
	position uint64 // among the records read; see progress
}

// run processes the shard until its end, or until ctx ends.
func (s *shard) run(ctx context.Context) error {
	// Without a checkpoint it starts with the oldest record: see begin.
	after, _, err := s.Checkpoints.Load(s.Name, s.id)
	if err != nil {
		return fmt.Errorf("load checkpoint: %w", err)
	}
	s.progress = &progress{save: func(sequence string) error {
		if err := s.Checkpoints.Save(s.Name, s.id, sequence); err != nil {
			return fmt.Errorf("save checkpoint %s: %w", sequence, err)
		}
		return nil
	}}
	group, ctx := errgroup.WithContext(ctx)
	lanes := make([]*lane, s.ParallelizationFactor)
	for i := range lanes {
		lanes[i] = &lane{shard: s, queue: make(chan []entry, readAhead)}
		group.Go(func() error { return lanes[i].run(ctx) })
	}
	group.Go(func() error {
		err := s.read(ctx, after, lanes)
		if !errors.Is(err, io.EOF) {
			return err
		}
		for _, l := range lanes {
			close(l.queue)
		}
		return nil
	})
	return group.Wait()
}

// read deals records to the lanes until the shard's end, which is io.EOF, or until ctx ends.
func (s *shard) read(ctx context.Context, after string, lanes []*lane) error {
	limit := min(s.BatchSize*len(lanes), maxRead)
	var polls poll
	if s.Poll > 0 {
		// Shards are polled independently of each other.
		polls = poll{every: s.Poll, first: s.Now().Add(s.Jitter(s.Poll))}
	}
	for more := false; ; {
		// Who has read all that one call returns asks again at once.
		if s.Poll > 0 && !more {
			if err := s.awaitPoll(ctx, after, polls); err != nil {
				return err
			}
		}
		records, err := s.Source.Read(ctx, s.id, after, limit)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return fmt.Errorf("the stream returned no records after %q instead of waiting", after)
		}
		after, more = records[len(records)-1].SequenceNumber, len(records) == limit
		position := s.progress.add(records)
		dealt := make([][]entry, len(lanes))
		dealt[0] = make([]entry, 0, len(records)/len(lanes)+1)
		var filtered []entry
		for _, r := range records {
			e := entry{r, position}
			position++
			if !s.wanted(r) {
				filtered = append(filtered, e)
				continue
			}
			i := r.ItemKey % uint64(len(lanes))
			dealt[i] = append(dealt[i], e)
		}
		s.meters.records.Add(int64(len(records)))
		s.meters.filtered.Add(int64(len(filtered)))
		if err := s.progress.done(filtered); err != nil {
			return err
		}
		for i, entries := range dealt {
			if len(entries) == 0 {
				continue
			}
			select {
			case lanes[i].queue <- entries:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// poll is when a shard is polled: at first, and then every so often.
type poll struct {
	first time.Time
	every time.Duration
}

// next is the first poll that is not before an instant.
func (p poll) next(now time.Time) time.Time {
	if !now.After(p.first) {
		return p.first
	}
	missed := (now.Sub(p.first) + p.every - 1) / p.every
	return p.first.Add(missed * p.every)
}

// awaitPoll waits until the first poll that finds a record. Those before it would find none, so
// they are not made: a silent stream costs nothing.
func (s *shard) awaitPoll(ctx context.Context, after string, polls poll) error {
	if _, err := s.Source.Read(ctx, s.id, after, 1); err != nil {
		return err
	}
	now := s.Now()
	if wait := polls.next(now).Sub(now); wait > 0 {
		return s.Sleep(ctx, wait)
	}
	return nil
}

// wanted reports whether a filter matches the record.
func (s *shard) wanted(r Record) bool {
	for _, f := range s.Filters {
		if f.Match(r.JSON) {
			return true
		}
	}
	return len(s.Filters) == 0
}
