package streams_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/streams"
)

// Records of one item keep their order across shards: the parent's last batch is over before a child
// begins, however long it takes, and even if the child has been there all the time.
// Source: DynamoDB developer guide, "Change data capture for DynamoDB Streams", reading and processing.
func TestChildShardsBeginAfterTheirParent(t *testing.T) {
	for _, window := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			source, log, at := newStream("a"), &journal{}, &memory{}
			m := mapping()
			m.ParallelizationFactor, m.BatchingWindow = 2, window
			source.put("a", 1)
			source.put("a", 2)
			source.split("a", "b", "c")
			source.put("b", 1)
			stop := start(t, m, streams.Options{Source: source, Checkpoints: at, Invoker: function(func(_ context.Context, s []string) (lambda.Result, error) {
				log.add("begin %s", s[0])
				time.Sleep(time.Minute)
				log.add("end %s", s[0])
				return lambda.Result{}, nil
			})})
			time.Sleep(90 * time.Second)
			source.split("b", "d") // while its record is being processed
			source.put("d", 1)
			time.Sleep(5 * time.Minute)
			stop()
			// Items 1 and 2 are in two lanes of one shard.
			want := map[string]bool{
				"begin 2\nbegin 1\nend 2\nend 1\nbegin 3\nend 3\nbegin 4\nend 4": true, "begin 1\nbegin 2\nend 1\nend 2\nbegin 3\nend 3\nbegin 4\nend 4": true,
				"begin 2\nbegin 1\nend 1\nend 2\nbegin 3\nend 3\nbegin 4\nend 4": true, "begin 1\nbegin 2\nend 2\nend 1\nbegin 3\nend 3\nbegin 4\nend 4": true,
			}
			if got := log.String(); !want[got] {
				t.Errorf("with a window of %v:\n%s", window, got)
			}
			if got := at.at("a") + at.at("b") + at.at("c") + at.at("d"); got != "234" {
				t.Errorf("checkpoints = %q, want 2 for a, 3 for b, 4 for d", got)
			}
		})
	}
}

// A child waits for a parent whose function fails; another family goes on.
func TestChildShardsWaitForAFailingParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, log := newStream("a", "x"), &journal{}
		source.put("a", 1)
		source.put("x", 2)
		for _, parent := range []string{"a", "x"} {
			source.split(parent, parent+"1")
			source.put(parent+"1", 3)
		}
		stop := start(t, mapping(), streams.Options{Source: source, Invoker: function(func(_ context.Context, s []string) (lambda.Result, error) {
			if s[0] == "1" {
				return functionError(), nil
			}
			log.add("done %s", s[0])
			return lambda.Result{}, nil
		})})
		time.Sleep(time.Hour)
		stop()
		if got, want := log.String(), "done 2\ndone 4"; got != want {
			t.Errorf("processed %q, want %q", got, want)
		}
	})
}

// After a restart an ended shard is not processed again, and its children go on where they were.
func TestEndedShardsAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, log, at := newStream("a"), &journal{}, &memory{}
		source.put("a", 1)
		source.split("a", "b")
		source.put("b", 1)
		for range 2 {
			stop := start(t, mapping(), streams.Options{Source: source, Invoker: log.noted(ok), Checkpoints: at})
			synctest.Wait()
			stop()
			source.put("b", 1)
		}
		if got, want := log.String(), "invoke 1\ninvoke 2\ninvoke 3"; got != want {
			t.Errorf("invoked %q, want %q", got, want)
		}
	})
}

// With LATEST, only what was there when the mapping was made is passed over: shards that come later
// are newer as a whole, even when nothing runs while they come.
func TestLatestReadsLaterShardsFromTheirBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, log, at := newStream("a"), &journal{}, &memory{}
		source.put("a", 1)
		m := mapping()
		m.StartingPosition = streams.Latest
		stop := start(t, m, streams.Options{Source: source, Invoker: log.noted(ok), Checkpoints: at})
		synctest.Wait()
		source.put("a", 1)
		source.split("a", "b")
		source.put("b", 1)
		synctest.Wait()
		stop()
		source.split("b", "c")
		source.put("c", 1)
		stop = start(t, m, streams.Options{Source: source, Invoker: log.noted(ok), Checkpoints: at})
		synctest.Wait()
		stop()
		if got, want := log.String(), "invoke 2\ninvoke 3\ninvoke 4"; got != want {
			t.Errorf("invoked %q, want %q", got, want)
		}
	})
}
