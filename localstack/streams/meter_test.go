package streams_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/meter"
	"github.com/duet-chat/duet/localstack/streams"
)

func TestMetering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, m := newStream("a"), mapping()
		m.MaximumRetryAttempts = 2
		insert, err := streams.ParseFilter(`{"eventName":["INSERT"]}`)
		if err != nil {
			t.Fatal(err)
		}
		m.Filters = []streams.Filter{insert}
		source.put("a", 1)
		source.put("a", 2)
		source.putJSON("a", 3, func(sequence string) string {
			return fmt.Sprintf(`{"eventName":"REMOVE","dynamodb":{"SequenceNumber":%q}}`, sequence)
		})
		counts := meter.New()
		stop := start(t, m, streams.Options{Source: source, Meter: counts, Invoker: function(func(context.Context, []string) (lambda.Result, error) {
			return lambda.Result{FunctionError: "Unhandled"}, nil
		})})
		time.Sleep(time.Hour)
		stop()
		// Two records that are wanted, in one batch, which is tried three times.
		want := map[string]float64{"records": 3, "filtered_records": 1, "batches": 3, "failed_batches": 3, "given_up_records": 2}
		if got := counts.Usage()["event_source_mapping"][m.Name]; !maps.Equal(got, want) {
			t.Errorf("usage = %v, want %v", got, want)
		}
	})
}
