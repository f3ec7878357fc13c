package streams_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/streams"
)

// Records wait for the next poll of their shard, and come together. What one poll could not take is
// read at once. Source: Lambda developer guide, "Process DynamoDB records with Lambda", polling and
// batching streams.
func TestPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, log := newStream("a"), &journal{}
		begin := time.Now()
		m := mapping()
		m.BatchSize = 3
		noted := log.noted(ok)
		stop := start(t, m, streams.Options{Source: source, Poll: streams.AWSPoll, Invoker: function(func(ctx context.Context, s []string) (lambda.Result, error) {
			log.add("after %v", time.Since(begin))
			return noted(ctx, s)
		})})
		at := func(d time.Duration, records int) {
			time.Sleep(time.Until(begin.Add(d)))
			for range records {
				source.put("a", 1)
			}
		}
		at(10*time.Millisecond, 1)
		at(200*time.Millisecond, 1)
		at(251*time.Millisecond, 1)
		at(time.Hour+time.Millisecond, 5) // after a long silence: the polls are where they were
		time.Sleep(time.Second)
		stop()
		want := "after 250ms\ninvoke 1 2\nafter 500ms\ninvoke 3\nafter 1h0m0.25s\ninvoke 4 5 6\nafter 1h0m0.25s\ninvoke 7 8"
		if diff := cmp.Diff(want, log.String()); diff != "" {
			t.Error(diff)
		}
	})
}

// A window begins when the first record has been polled.
func TestPollsAndWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, log := newStream("a"), &journal{}
		begin := time.Now()
		m := mapping()
		m.BatchingWindow = 2500 * time.Millisecond
		noted := log.noted(ok)
		stop := start(t, m, streams.Options{Source: source, Poll: time.Second, Invoker: function(func(ctx context.Context, s []string) (lambda.Result, error) {
			log.add("after %v", time.Since(begin))
			return noted(ctx, s)
		})})
		for i := range 4 { // polled after 1, 2, 3 and 4 s
			time.Sleep(time.Until(begin.Add(time.Duration(i)*time.Second + 500*time.Millisecond)))
			source.put("a", 1)
		}
		time.Sleep(time.Minute)
		stop()
		want := "after 3.5s\ninvoke 1 2 3\nafter 6.5s\ninvoke 4"
		if diff := cmp.Diff(want, log.String()); diff != "" {
			t.Error(diff)
		}
	})
}
