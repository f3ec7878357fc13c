package streams

import (
	"context"
	"time"
)

// maxEvent bounds the payload of a batch, records without their envelope.
// Source: Lambda developer guide, "Lambda quotas", invocation payload.
const maxEvent = 6<<20 - 64

// lane processes its records in order, one batch at a time.
type lane struct {
	*shard
	queue chan []entry
	rest  []entry // taken from the queue, not yet in a batch
}

// run processes what comes until the queue is closed, or until ctx ends.
func (l *lane) run(ctx context.Context) error {
	for {
		batch, err := l.gather(ctx)
		if err != nil || len(batch) == 0 {
			return err
		}
		if err := l.process(ctx, batch, 0); err != nil {
			return err
		}
	}
}

// gather waits for a record and returns it with those after it: what is there, or what comes within
// the batching window, up to BatchSize records and maxEvent bytes. No record means that none will come.
func (l *lane) gather(ctx context.Context) ([]entry, error) {
	if len(l.rest) == 0 {
		select {
		case more, open := <-l.queue:
			if !open {
				return nil, nil
			}
			l.rest = more
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if l.full() == 0 {
		if l.BatchingWindow == 0 {
			l.takeThere()
		} else if err := l.takeWithin(ctx, l.BatchingWindow); err != nil {
			return nil, err
		}
	}
	n := l.full()
	if n == 0 {
		n = len(l.rest)
	}
	batch := l.rest[:n:n]
	if l.rest = l.rest[n:]; len(l.rest) == 0 {
		l.rest = nil // so that an idle lane holds no records
	}
	return batch, nil
}

// takeThere takes what is queued, until the batch is full.
func (l *lane) takeThere() {
	for l.full() == 0 {
		select {
		case more, open := <-l.queue:
			if !open {
				return
			}
			l.rest = append(l.rest, more...)
		default:
			return
		}
	}
}

// takeWithin takes what comes within a time, until the batch is full.
func (l *lane) takeWithin(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan error, 1)
	go func() { over <- l.Sleep(ctx, d) }()
	for l.full() == 0 {
		select {
		case more, open := <-l.queue:
			if !open {
				return nil
			}
			l.rest = append(l.rest, more...)
		case err := <-over:
			return err
		}
	}
	return nil
}

// full is how many records of the rest make a full batch, 0 when it does not fill one.
func (l *lane) full() int {
	bytes := 0
	for n, e := range l.rest {
		if bytes += len(e.JSON) + 1; n == l.BatchSize || n > 0 && bytes > maxEvent {
			return n
		}
	}
	if len(l.rest) == l.BatchSize {
		return l.BatchSize
	}
	return 0
}
