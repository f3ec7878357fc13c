package streams_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/streams"
)

// Whatever fails, the records of an item are processed in their order, and each one is processed at
// least once or described in the failure queue (G6, G10). Functions fail, time out, report and
// misreport; invocations are throttled; the queue refuses; mappings end and start again with
// checkpoints that a crash took a part of.
func TestEveryRecordIsProcessedInOrderOrGivenUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := mapping()
		m.BatchSize = rapid.SampledFrom([]int{1, 2, 3, 10, 100}).Draw(rt, "batch size")
		m.ParallelizationFactor = rapid.IntRange(1, 4).Draw(rt, "lanes")
		m.MaximumRetryAttempts = rapid.SampledFrom([]int{-1, 0, 1, 3}).Draw(rt, "retries")
		m.MaximumRecordAge = rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(rt, "age")
		m.BatchingWindow = rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(rt, "window")
		m.BisectOnError = rapid.Bool().Draw(rt, "bisect")
		m.ReportBatchItemFailures = rapid.Bool().Draw(rt, "report")
		m.FailureQueueARN = "arn:q"
		runs := rapid.IntRange(1, 3).Draw(rt, "runs")
		records := rapid.IntRange(1, 60).Draw(rt, "records of a run")
		items := rapid.IntRange(1, 8).Draw(rt, "items")
		failing := rapid.Float64Range(0, 0.6).Draw(rt, "failing")
		seed := rapid.Uint64().Draw(rt, "seed")

		w := &world{m: m, items: items, failing: failing, random: rand.New(rand.NewPCG(seed, 0)), source: newStream("a", "b"),
			of: map[string]place{}, done: map[string]bool{}, active: map[uint64]bool{}}
		synctest.Test(t, func(t *testing.T) { w.run(t, runs, records) })
		if len(w.problems) > 0 {
			rt.Fatalf("%v", w.problems)
		}
	})
}

// world is what the mapping runs in, and the observer that checks it.
type world struct {
	m       streams.Mapping
	items   int
	failing float64
	source  *stream

	mu       sync.Mutex // guards what follows
	random   *rand.Rand
	of       map[string]place    // of each record
	shards   map[string][]string // the records, in order
	done     map[string]bool     // processed at least once, or given up
	active   map[uint64]bool     // items that are being processed
	saves    []memorySave
	problems []string
}

type place struct {
	shard string
	item  uint64
}

type memorySave struct{ shard, after string }

func (w *world) run(t *testing.T, runs, records int) {
	w.shards = map[string][]string{}
	checkpoints := &memory{saved: map[string]string{}}
	for range runs {
		stop := start(t, w.m, streams.Options{Source: w.source, Invoker: function(w.invoke), Failures: w, Checkpoints: saving{checkpoints, w}})
		for range records {
			w.put()
			if w.chance(0.2) {
				time.Sleep(time.Duration(w.draw(3000)) * time.Millisecond)
			}
		}
		stop()
		// A crash takes the newest checkpoints, as those are not waited for.
		w.mu.Lock()
		w.saves = w.saves[:len(w.saves)-w.random.IntN(len(w.saves)/4+1)]
		checkpoints.saved = map[string]string{}
		for _, s := range w.saves {
			checkpoints.saved["Map/"+s.shard] = s.after
		}
		clear(w.active)
		w.mu.Unlock()
	}
	w.mu.Lock()
	w.failing = min(w.failing, 0.3) // so that it ends
	w.mu.Unlock()
	stop := start(t, w.m, streams.Options{Source: w.source, Invoker: function(w.invoke), Failures: w, Checkpoints: saving{checkpoints, w}})
	time.Sleep(24 * time.Hour)
	stop()
	for shard, sequences := range w.shards {
		for _, s := range sequences {
			if !w.done[s] {
				w.problem("record %s was neither processed nor given up", s)
			}
		}
		if last := sequences[len(sequences)-1]; checkpoints.at(shard) != last {
			w.problem("checkpoint of %s = %q, want %s", shard, checkpoints.at(shard), last)
		}
	}
}

func (w *world) put() {
	w.mu.Lock()
	item := uint64(w.random.IntN(w.items))
	w.mu.Unlock()
	shard := []string{"a", "b"}[item%2]
	item /= 2
	w.mu.Lock() // before the mapping can see the record
	sequence := fmt.Sprint(len(w.of) + 1)
	w.of[sequence] = place{shard, item}
	w.shards[shard] = append(w.shards[shard], sequence)
	w.mu.Unlock()
	if got := w.source.put(shard, item); got != sequence {
		panic("sequence numbers do not agree")
	}
}

func (w *world) invoke(ctx context.Context, sequences []string) (lambda.Result, error) {
	if w.chance(0.1) {
		return lambda.Result{}, lambda.ErrThrottled
	}
	w.enter(sequences)
	select {
	case <-time.After(time.Duration(w.draw(500)) * time.Millisecond):
	case <-ctx.Done():
		return lambda.Result{}, ctx.Err()
	}
	result, processed := w.outcome(sequences)
	w.leave(sequences, processed)
	return result, nil
}

// enter checks that the batch may be processed now.
func (w *world) enter(sequences []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(sequences) > w.m.BatchSize {
		w.problem("batch of %d records", len(sequences))
	}
	before := map[string]bool{}
	for _, s := range sequences {
		p := w.of[s]
		for _, earlier := range w.shards[p.shard] {
			if earlier == s {
				break
			}
			if w.of[earlier].item == p.item && !w.done[earlier] && !before[earlier] {
				w.problem("record %s came before %s of the same item", s, earlier)
			}
		}
		before[s] = true
	}
	for s := range before {
		if key := w.key(s); w.active[key] {
			w.problem("two batches of item %v at a time", w.of[s])
		}
	}
	for s := range before {
		w.active[w.key(s)] = true
	}
}

func (w *world) key(sequence string) uint64 {
	p := w.of[sequence]
	return p.item*2 + uint64(p.shard[0]-'a')
}

// outcome draws how the function ends, and how many records that processes.
func (w *world) outcome(sequences []string) (lambda.Result, int) {
	if !w.chance(w.failing) {
		return lambda.Result{Payload: []byte("null")}, len(sequences)
	}
	if !w.m.ReportBatchItemFailures || w.chance(0.3) {
		return functionError(), 0
	}
	if w.chance(0.2) {
		return reports(sequences[0], "unknown"), 0
	}
	first := w.draw(len(sequences))
	return reports(sequences[len(sequences)-1], sequences[first]), first
}

func (w *world) leave(sequences []string, processed int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, s := range sequences {
		delete(w.active, w.key(s))
		if i < processed {
			w.done[s] = true
		}
	}
}

// Send takes a batch that is given up: the records of one lane, from the first to the last.
func (w *world) Send(ctx context.Context, arn string, body []byte) error {
	if w.chance(0.3) {
		return fmt.Errorf("queue is away")
	}
	q := &queue{}
	if err := q.Send(ctx, arn, body); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	info := q.messages[0].DDBStreamBatchInfo
	lanes := uint64(w.m.ParallelizationFactor)
	n := 0
	for _, s := range w.shards[info.ShardID] {
		if number(s) >= number(info.StartSequenceNumber) && number(s) <= number(info.EndSequenceNumber) &&
			w.of[s].item%lanes == w.of[info.StartSequenceNumber].item%lanes {
			w.done[s] = true
			n++
		}
	}
	if n != info.BatchSize {
		w.problem("message tells of %d records from %s to %s, there are %d", info.BatchSize, info.StartSequenceNumber, info.EndSequenceNumber, n)
	}
	return nil
}

func (w *world) chance(p float64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.Float64() < p
}

func (w *world) draw(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(n)
}

// problem notes what went wrong; w.mu is held, or nothing else runs.
func (w *world) problem(format string, args ...any) {
	if p := fmt.Sprintf(format, args...); len(w.problems) < 5 && !slices.Contains(w.problems, p) {
		w.problems = append(w.problems, p)
	}
}

// saving notes the order of the saves, and checks that none goes back.
type saving struct {
	*memory
	w *world
}

func (s saving) Save(mapping, shard, after string) error {
	s.w.mu.Lock()
	if before := s.at(shard); number(after) < number(before) {
		s.w.problem("checkpoint went back from %s to %s", before, after)
	}
	s.w.saves = append(s.w.saves, memorySave{shard, after})
	s.w.mu.Unlock()
	return s.memory.Save(mapping, shard, after)
}
