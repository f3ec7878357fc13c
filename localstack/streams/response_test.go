package streams_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/streams"
)

// The rows of "Success and failure conditions" in AWS's guide, each on a batch of records 1 to 3.
func TestReportedFailures(t *testing.T) {
	const all, none = "invoke 1 2 3\ninvoke 1 2 3", "invoke 1 2 3"
	tests := []struct {
		name   string
		first  lambda.Result
		second string // what is invoked in all
		off    bool   // ReportBatchItemFailures is not set
	}{
		{name: "an empty list is a success", first: lambda.Result{Payload: []byte(`{"batchItemFailures":[]}`)}, second: none},
		{name: "an empty list with a space is a success", first: lambda.Result{Payload: []byte(`{ "batchItemFailures" : [ ] }`)}, second: none},
		{name: "a null list is a success", first: lambda.Result{Payload: []byte(`{"batchItemFailures":null}`)}, second: none},
		{name: "an empty object is a success", first: lambda.Result{Payload: []byte(`{}`)}, second: none},
		{name: "null is a success", first: lambda.Result{Payload: []byte(`null`)}, second: none},
		{name: "nothing is a success", first: lambda.Result{}, second: none},
		{name: "another name of the list is a success", first: lambda.Result{Payload: []byte(`{"BatchItemFailures":[{"itemIdentifier":"2"}]}`)}, second: none},
		{name: "a number fails its record and those after it", first: reports("2"), second: "invoke 1 2 3\ninvoke 2 3"},
		{name: "the last record alone fails", first: reports("3"), second: "invoke 1 2 3\ninvoke 3"},
		{name: "the lowest of several counts", first: reports("3", "2"), second: "invoke 1 2 3\ninvoke 2 3"},
		{name: "the first record fails all", first: reports("1"), second: all},
		{name: "an empty identifier fails all", first: lambda.Result{Payload: []byte(`{"batchItemFailures":[{"itemIdentifier":""}]}`)}, second: all},
		{name: "a null identifier fails all", first: lambda.Result{Payload: []byte(`{"batchItemFailures":[{"itemIdentifier":null}]}`)}, second: all},
		{name: "another name of the identifier fails all", first: lambda.Result{Payload: []byte(`{"batchItemFailures":[{"ItemIdentifier":"2"}]}`)}, second: all},
		{name: "an unknown number fails all", first: reports("9"), second: all},
		{name: "an unknown number among known ones fails all", first: reports("3", "9"), second: all},
		{name: "a list of another type fails all", first: lambda.Result{Payload: []byte(`{"batchItemFailures":"2"}`)}, second: all},
		{name: "what is no object fails all", first: lambda.Result{Payload: []byte(`"ok"`)}, second: all},
		{name: "a function error fails all", first: functionError(), second: all},
		{name: "without the setting a report means nothing", first: reports("2"), second: none, off: true},
		{name: "without the setting a function error fails all", first: functionError(), second: all, off: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source, log, at := newStream("a"), &journal{}, &memory{}
				for range 3 {
					source.put("a", 1)
				}
				m := mapping()
				m.ReportBatchItemFailures = !test.off
				stop := start(t, m, streams.Options{Source: source, Checkpoints: at, Invoker: log.noted(func(call int, s []string) (lambda.Result, error) {
					if call == 1 {
						return test.first, nil
					}
					return ok(call, s)
				})})
				time.Sleep(time.Minute) // of the test's own time: until nothing is left to happen
				stop()
				if diff := cmp.Diff(test.second, log.String()); diff != "" {
					t.Error(diff)
				}
				if got := at.at("a"); got != "3" {
					t.Errorf("checkpoint = %q, want 3", got)
				}
			})
		})
	}
}

// Throttling is no failure of the function's: with no retries allowed the batch still gets through.
func TestThrottlesCostNoRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, log, failed := newStream("a"), &journal{}, &queue{}
		source.put("a", 1)
		m := mapping()
		m.MaximumRetryAttempts, m.FailureQueueARN = 0, "arn:q"
		stop := start(t, m, streams.Options{Source: source, Failures: failed, Invoker: log.noted(func(call int, s []string) (lambda.Result, error) {
			if call <= 3 {
				return lambda.Result{}, lambda.ErrThrottled
			}
			return ok(call, s)
		})})
		time.Sleep(time.Minute)
		stop()
		if got, want := log.String(), "invoke 1\ninvoke 1\ninvoke 1\ninvoke 1"; got != want || len(failed.messages) > 0 {
			t.Errorf("invoked:\n%s\nwant:\n%s\nfailures: %v", got, want, failed.messages)
		}
	})
}

func TestRetriesBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newStream("a")
		source.put("a", 1)
		var pauses []time.Duration
		last := time.Now()
		stop := start(t, mapping(), streams.Options{Source: source, Invoker: (&journal{}).noted(func(call int, _ []string) (lambda.Result, error) {
			pauses = append(pauses, time.Since(last))
			last = time.Now()
			if call == 10 {
				return lambda.Result{}, nil
			}
			return functionError(), nil
		})})
		time.Sleep(time.Hour)
		stop()
		ms := time.Millisecond
		want := []time.Duration{0, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 10000 * ms, 10000 * ms}
		if diff := cmp.Diff(want, pauses); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRetriesAreBounded(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*streams.Mapping)
		poison  string // the record that fails
		reports bool   // it is reported, rather than the function failing
		invokes string
		given   []message
	}{
		{"no retries", func(m *streams.Mapping) { m.MaximumRetryAttempts = 0 }, "2", false,
			"invoke 1 2 3 4", []message{gaveUp("RetryAttemptsExhausted", 1, "1", "4", 4)}},
		{"two retries", func(m *streams.Mapping) { m.MaximumRetryAttempts = 2 }, "2", false,
			"invoke 1 2 3 4\ninvoke 1 2 3 4\ninvoke 1 2 3 4", []message{gaveUp("RetryAttemptsExhausted", 3, "1", "4", 4)}},
		{"bisecting isolates the record and costs no retry", func(m *streams.Mapping) { m.MaximumRetryAttempts, m.BisectOnError = 1, true }, "2", false,
			"invoke 1 2 3 4\ninvoke 1 2\ninvoke 1\ninvoke 2\ninvoke 2\ninvoke 3 4", []message{gaveUp("RetryAttemptsExhausted", 4, "2", "2", 1)}},
		{"a report cuts at its record", func(m *streams.Mapping) { m.MaximumRetryAttempts = 1 }, "2", true,
			"invoke 1 2 3 4\ninvoke 2 3 4", []message{gaveUp("RetryAttemptsExhausted", 2, "2", "4", 3)}},
		{"G10: with bisecting a reported record is alone in the end", func(m *streams.Mapping) { m.MaximumRetryAttempts, m.BisectOnError = 1, true }, "2", true,
			"invoke 1 2 3 4\ninvoke 2 3 4\ninvoke 2\ninvoke 2\ninvoke 3 4", []message{gaveUp("RetryAttemptsExhausted", 4, "2", "2", 1)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source, log, failed, at := newStream("a"), &journal{}, &queue{refuse: 2}, &memory{}
				for range 4 {
					source.put("a", 1)
				}
				m := mapping()
				m.ReportBatchItemFailures, m.FailureQueueARN = true, "arn:q"
				test.change(&m)
				stop := start(t, m, streams.Options{Source: source, Failures: failed, Checkpoints: at, Invoker: log.noted(func(call int, sequences []string) (lambda.Result, error) {
					for _, s := range sequences {
						switch {
						case s == test.poison && test.reports:
							return reports(s), nil
						case s == test.poison:
							return functionError(), nil
						}
					}
					return ok(call, sequences)
				})})
				time.Sleep(time.Hour)
				stop()
				if diff := cmp.Diff(test.invokes, log.String()); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(test.given, failed.messages); diff != "" {
					t.Error(diff)
				}
				if got := at.at("a"); got != "4" {
					t.Errorf("checkpoint = %q, want 4", got)
				}
			})
		})
	}
}

func gaveUp(condition string, invokes int, first, last string, size int) message {
	var m message
	m.RequestContext.Condition, m.RequestContext.ApproximateInvokeCount = condition, invokes
	m.DDBStreamBatchInfo.ShardID, m.DDBStreamBatchInfo.BatchSize = "a", size
	m.DDBStreamBatchInfo.StartSequenceNumber, m.DDBStreamBatchInfo.EndSequenceNumber = first, last
	return m
}

func TestOldRecordsAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, log, failed := newStream("a"), &journal{}, &queue{}
		source.put("a", 1)
		source.put("a", 1)
		time.Sleep(50 * time.Second)
		source.put("a", 1)
		m := mapping()
		m.MaximumRecordAge, m.FailureQueueARN = time.Minute, "arn:q"
		stop := start(t, m, streams.Options{Source: source, Failures: failed, Invoker: log.noted(func(_ int, s []string) (lambda.Result, error) {
			if s[0] == "3" {
				return lambda.Result{}, nil
			}
			return functionError(), nil
		})})
		time.Sleep(time.Hour)
		stop()
		// After 0.1+0.2+…+3.2 s six tries, then 6.4 s: older than a minute by then.
		if diff := cmp.Diff([]message{gaveUp("RecordAgeExceeded", 7, "1", "2", 2)}, failed.messages); diff != "" {
			t.Error(diff)
		}
		if got, want := log.lines[len(log.lines)-1], "invoke 3"; got != want {
			t.Errorf("last %q, want %q", got, want)
		}
	})
}

// The shape of the example in AWS's guide.
func TestFailureMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where it is midnight of 2000-01-01
		source, failed := newStream("shardId-1"), &queue{}
		source.put("shardId-1", 1)
		source.put("shardId-1", 1)
		m := mapping()
		m.MaximumRetryAttempts, m.FailureQueueARN = 0, "arn:q"
		stop := start(t, m, streams.Options{Source: source, Failures: failed, Invoker: function(
			func(context.Context, []string) (lambda.Result, error) { return functionError(), nil })})
		time.Sleep(time.Second)
		stop()
		want := `{"requestContext":{"requestId":"r-1","functionArn":"arn:aws:lambda:us-east-1:000000000000:function:Fn","condition":"RetryAttemptsExhausted","approximateInvokeCount":1},` +
			`"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"version":"1.0","timestamp":"2000-01-01T00:00:00.000Z",` +
			`"DDBStreamBatchInfo":{"shardId":"shardId-1","startSequenceNumber":"1","endSequenceNumber":"2","approximateArrivalOfFirstRecord":"2000-01-01T00:00:00Z",` +
			`"approximateArrivalOfLastRecord":"2000-01-01T00:00:00Z","batchSize":2,"streamArn":"arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/2026-01-01T00:00:00.000"}}`
		if diff := cmp.Diff([]string{want}, failed.raw); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBrokenStoreStopsTheMapping(t *testing.T) {
	source := newStream("a")
	source.put("a", 1)
	full := errors.New("disk is full")
	err := streams.Run(t.Context(), mapping(), streams.Options{
		Source: source, Invoker: (&journal{}).noted(ok), Checkpoints: broken{full}, Log: discard,
	})
	if !errors.Is(err, full) {
		t.Errorf("Run = %v, want %v", err, full)
	}
}
