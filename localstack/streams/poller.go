package streams

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/duet-chat/duet/localstack/lambda"
)

// Options of a running mapping.
type Options struct {
	Source      Source
	Invoker     lambda.Invoker
	Checkpoints Checkpoints
	Failures    FailureQueue // may be nil when the mapping names no queue
	Now         func() time.Time
	// Sleep waits, or returns the context's error when that ends first.
	Sleep func(context.Context, time.Duration) error
	// Jitter draws a duration of at most the given one.
	Jitter func(time.Duration) time.Duration
	Log    *slog.Logger
}

// maxEvent bounds the payload of a batch, records without their envelope.
// Source: Lambda developer guide, "Lambda quotas", invocation payload.
const maxEvent = 6<<20 - 64

// Run processes the stream until ctx ends. Batches that are under way then are not waited for
// beyond their invocation; what was not processed comes again at the next start.
func Run(ctx context.Context, m Mapping, o Options) error {
	if err := m.Check(o); err != nil {
		return err
	}
	var wg sync.WaitGroup
	shards := o.Source.Shards()
	errs := make([]error, len(shards))
	for i, shard := range shards {
		wg.Go(func() {
			p := &poller{Mapping: m, Options: o, shard: shard}
			if err := p.run(ctx); err != nil && !errors.Is(err, ctx.Err()) {
				errs[i] = fmt.Errorf("event source mapping %s, shard %s: %w", m.Name, shard, err)
				o.Log.ErrorContext(ctx, "event source mapping stopped", "mapping", m.Name, "shard", shard, "error", err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Check says what is wrong with a mapping, if anything is.
func (m Mapping) Check(o Options) error {
	switch {
	case m.BatchSize < 1 || m.BatchSize > 10_000:
		return fmt.Errorf("event source mapping %s: BatchSize must be 1 to 10000, not %d", m.Name, m.BatchSize)
	case m.ParallelizationFactor < 1 || m.ParallelizationFactor > 10:
		return fmt.Errorf("event source mapping %s: ParallelizationFactor must be 1 to 10, not %d", m.Name, m.ParallelizationFactor)
	case m.FailureQueueARN != "" && o.Failures == nil:
		return fmt.Errorf("event source mapping %s: there is no queue %s", m.Name, m.FailureQueueARN)
	case m.StartingPosition != TrimHorizon && m.StartingPosition != Latest:
		return fmt.Errorf("event source mapping %s: StartingPosition must be %s or %s, not %q", m.Name, TrimHorizon, Latest, m.StartingPosition)
	}
	return nil
}

// poller processes one shard.
type poller struct {
	Mapping
	Options
	shard string
}

func (p *poller) run(ctx context.Context) error {
	after, err := p.start()
	if err != nil {
		return err
	}
	for {
		records, err := p.gather(ctx, after)
		if err != nil {
			return err
		}
		after = records[len(records)-1].SequenceNumber
		if err := p.inLanes(ctx, p.selected(records)); err != nil {
			return err
		}
		if err := p.Checkpoints.Save(p.Name, p.shard, after); err != nil {
			return fmt.Errorf("save checkpoint: %w", err)
		}
	}
}

func (p *poller) start() (after string, err error) {
	after, ok, err := p.Checkpoints.Load(p.Name, p.shard)
	switch {
	case err != nil:
		return "", fmt.Errorf("load checkpoint: %w", err)
	case ok:
		return after, nil
	case p.StartingPosition == Latest:
		return p.Source.Latest(p.shard), nil
	}
	return "", nil
}

// gather reads what the lanes can take at once. Within the batching window it waits for more.
func (p *poller) gather(ctx context.Context, after string) ([]Record, error) {
	most := p.BatchSize * p.ParallelizationFactor
	records, err := p.Source.Read(ctx, p.shard, after, most)
	if err != nil || p.BatchingWindow == 0 {
		return records, err
	}
	window, cancel := context.WithTimeout(ctx, p.BatchingWindow)
	defer cancel()
	for len(records) < most {
		more, err := p.Source.Read(window, p.shard, records[len(records)-1].SequenceNumber, most-len(records))
		if err != nil {
			break // the window has closed, or all ends: what was gathered is processed
		}
		records = append(records, more...)
	}
	return records, ctx.Err()
}

// selected are the records that the filters let through.
func (p *poller) selected(records []Record) []Record {
	if len(p.Filters) == 0 {
		return records
	}
	return slices.DeleteFunc(records, func(r Record) bool {
		return !slices.ContainsFunc(p.Filters, func(f Filter) bool { return f.Match(r.JSON) })
	})
}

// inLanes processes records in ParallelizationFactor lanes; those of one item share a lane.
func (p *poller) inLanes(ctx context.Context, records []Record) error {
	if p.ParallelizationFactor == 1 {
		return p.inBatches(ctx, records)
	}
	lanes := make([][]Record, p.ParallelizationFactor)
	for _, r := range records {
		lane := r.ItemKey % uint64(len(lanes))
		lanes[lane] = append(lanes[lane], r)
	}
	errs := make([]error, len(lanes))
	var wg sync.WaitGroup
	for i, lane := range lanes {
		if len(lane) > 0 {
			wg.Go(func() { errs[i] = p.inBatches(ctx, lane) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// inBatches cuts records into batches of BatchSize records and maxEvent bytes at most.
func (p *poller) inBatches(ctx context.Context, records []Record) error {
	for len(records) > 0 {
		n, bytes := 0, 0
		for n < min(p.BatchSize, len(records)) {
			if bytes += len(records[n].JSON) + 1; bytes > maxEvent && n > 0 {
				break
			}
			n++
		}
		if err := p.process(ctx, records[:n]); err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}
