package streams

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duet-chat/duet/localstack/lambda"
)

// Options of a running mapping.
type Options struct {
	Source      Source
	Invoker     lambda.Invoker
	Checkpoints Checkpoints
	Failures    FailureQueue // may be nil when the mapping names no queue
	Log         *slog.Logger

	// Now is the clock; nil for time.Now.
	Now func() time.Time
	// Sleep waits, or returns the context's error when that ends first; nil for the machine's time.
	Sleep func(context.Context, time.Duration) error
	// Jitter draws a duration of at most the given one, which is positive; nil for an even
	// distribution.
	Jitter func(time.Duration) time.Duration
}

// Run processes the stream until ctx ends, and then returns nil. Batches that are under way are not
// waited for; what was not processed comes again at the next start. An error means that the
// mapping cannot work, as when its settings are wrong or the store is broken.
//
// It costs nothing while the stream is silent.
func Run(ctx context.Context, m Mapping, o Options) error {
	if err := m.Check(o); err != nil {
		return err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Jitter == nil {
		o.Jitter = func(most time.Duration) time.Duration { return rand.N(most) + 1 }
	}
	group, running := errgroup.WithContext(ctx)
	for _, id := range o.Source.Shards() {
		group.Go(func() error {
			s := &shard{Mapping: m, Options: o, id: id, functionARN: functionARN(m)}
			if err := s.run(running); err != nil {
				return fmt.Errorf("event source mapping %s, shard %s: %w", m.Name, id, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		o.Log.ErrorContext(ctx, "event source mapping stopped", "mapping", m.Name, "error", err)
		return err
	}
	return nil
}

// Check says what is wrong with a mapping, if anything is: what Lambda would refuse to deploy.
// Source: Lambda API reference, "CreateEventSourceMapping".
func (m Mapping) Check(o Options) error {
	if err := m.check(o); err != nil {
		return fmt.Errorf("event source mapping %s: %w", m.Name, err)
	}
	return nil
}

func (m Mapping) check(o Options) error {
	switch {
	case m.BatchSize < 1 || m.BatchSize > 10_000:
		return fmt.Errorf("BatchSize must be 1 to 10000, not %d", m.BatchSize)
	case m.ParallelizationFactor < 1 || m.ParallelizationFactor > 10:
		return fmt.Errorf("ParallelizationFactor must be 1 to 10, not %d", m.ParallelizationFactor)
	case m.BatchingWindow < 0 || m.BatchingWindow > 300*time.Second:
		return fmt.Errorf("MaximumBatchingWindowInSeconds must be 0 to 300, not %v", m.BatchingWindow.Seconds())
	case m.MaximumRetryAttempts < -1 || m.MaximumRetryAttempts > 10_000:
		return fmt.Errorf("MaximumRetryAttempts must be -1 to 10000, not %d", m.MaximumRetryAttempts)
	case m.MaximumRecordAge != 0 && (m.MaximumRecordAge < time.Minute || m.MaximumRecordAge > 7*24*time.Hour):
		return fmt.Errorf("MaximumRecordAgeInSeconds must be -1 or 60 to 604800, not %v", m.MaximumRecordAge.Seconds())
	case len(m.Filters) > 5:
		return fmt.Errorf("FilterCriteria must have at most 5 patterns, not %d", len(m.Filters))
	case m.FailureQueueARN != "" && o.Failures == nil:
		return fmt.Errorf("there is no queue %s", m.FailureQueueARN)
	case m.StartingPosition != TrimHorizon && m.StartingPosition != Latest:
		return fmt.Errorf("StartingPosition must be %s or %s, not %q", TrimHorizon, Latest, m.StartingPosition)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// functionARN is the function's ARN in the Region and account of the stream's.
func functionARN(m Mapping) string {
	parts := strings.SplitN(m.StreamARN, ":", 6) // arn:aws:dynamodb:REGION:ACCOUNT:table/…
	if len(parts) < 6 {
		return m.Function
	}
	return strings.Join([]string{"arn:aws:lambda", parts[3], parts[4], "function", m.Function}, ":")
}
