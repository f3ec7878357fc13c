package streams

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/meter"
)

// Options of a running mapping.
type Options struct {
	Source      Source
	Invoker     lambda.Invoker
	Checkpoints Checkpoints
	Failures    FailureQueue // may be nil when the mapping names no queue
	Meter       *meter.Meter // may be nil
	Log         *slog.Logger

	// Poll is how often each shard is asked for records, AWSPoll as on AWS; 0 hands them over at once.
	// A record then waits up to this long, and more of them come in one batch. It costs nothing
	// while the stream is silent, whatever its value.
	Poll time.Duration
	// Now is the clock; nil for time.Now.
	Now func() time.Time
	// Sleep waits, or returns the context's error when that ends first; nil for the machine's time.
	Sleep func(context.Context, time.Duration) error
	// Jitter draws a duration of at most the given one, which is positive; nil for an even
	// distribution.
	Jitter func(time.Duration) time.Duration
}

// AWSPoll is how often Lambda polls each shard. Source: Lambda developer guide, "Process DynamoDB records
// with Lambda", polling and batching streams: a base rate of 4 times per second.
const AWSPoll = 250 * time.Millisecond

// Run processes the stream until ctx ends, and then returns nil. Batches that are under way are not
// waited for; what was not processed comes again at the next start. An error means that the
// mapping cannot work, as when its settings are wrong or the store is broken.
//
// It costs nothing while the stream is silent.
func Run(ctx context.Context, m Mapping, o Options) error {
	if err := m.Check(); err != nil {
		return fmt.Errorf("event source mapping %s: %w", m.Name, err)
	}
	if m.FailureQueueARN != "" && o.Failures == nil {
		return fmt.Errorf("event source mapping %s: there is no queue %s", m.Name, m.FailureQueueARN)
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
	if err := runShards(ctx, m, o); err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		o.Log.ErrorContext(ctx, "event source mapping stopped", "mapping", m.Name, "error", err)
		return fmt.Errorf("event source mapping %s: %w", m.Name, err)
	}
	return nil
}

// PropertyError says what is wrong with a property of an AWS::Lambda::EventSourceMapping.
type PropertyError struct{ Property, Reason string }

func (e *PropertyError) Error() string { return e.Property + " " + e.Reason }

// Check says what is wrong with a mapping, if anything is, as a *PropertyError: what Lambda would
// refuse to deploy.
// Source: Lambda API reference, "CreateEventSourceMapping".
func (m Mapping) Check() error {
	wrong := func(property, format string, args ...any) error {
		return &PropertyError{property, fmt.Sprintf(format, args...)}
	}
	switch {
	case m.BatchSize < 1 || m.BatchSize > 10_000:
		return wrong("BatchSize", "must be 1 to 10000, not %d", m.BatchSize)
	case m.ParallelizationFactor < 1 || m.ParallelizationFactor > 10:
		return wrong("ParallelizationFactor", "must be 1 to 10, not %d", m.ParallelizationFactor)
	case m.BatchingWindow < 0 || m.BatchingWindow > 300*time.Second:
		return wrong("MaximumBatchingWindowInSeconds", "must be 0 to 300, not %v", m.BatchingWindow.Seconds())
	case m.MaximumRetryAttempts < -1 || m.MaximumRetryAttempts > 10_000:
		return wrong("MaximumRetryAttempts", "must be -1 to 10000, not %d", m.MaximumRetryAttempts)
	case m.MaximumRecordAge != 0 && (m.MaximumRecordAge < time.Minute || m.MaximumRecordAge > 7*24*time.Hour):
		return wrong("MaximumRecordAgeInSeconds", "must be -1 or 60 to 604800, not %v", m.MaximumRecordAge.Seconds())
	case len(m.Filters) > 5:
		return wrong("FilterCriteria", "must have at most 5 patterns, not %d", len(m.Filters))
	case m.StartingPosition != TrimHorizon && m.StartingPosition != Latest:
		return wrong("StartingPosition", "must be %s or %s, not %q", TrimHorizon, Latest, m.StartingPosition)
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
