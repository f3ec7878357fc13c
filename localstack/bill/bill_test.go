package bill_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/duet-chat/duet/localstack/bill"
	"github.com/duet-chat/duet/localstack/meter"
)

// A million of everything, computed by hand from the price list.
func TestBill(t *testing.T) {
	p, err := bill.Current()
	if err != nil {
		t.Fatal(err)
	}
	const million = 1e6
	b := p.Of(meter.Usage{
		"apigateway": {"duet": {"messages_in": million, "replies_out": million, "posts_out": million, "connection_seconds": 60 * million, "throttled": million}},
		"dynamodb":   {"Messages": {"write_units": 4 * million, "read_units": 2 * million, "requests.PutItem": million}},
		"lambda":     {"Send": {"invocations": million, "gb_seconds": 1000, "errors": 5}},
		"sqs":        {"Failures": {"requests": million}},
	})
	want := map[string]float64{
		"messages_in": 1, "replies_out": 1, "posts_out": 1, "connection_seconds": 0.25,
		"write_units": 2.5, "read_units": 0.25, "invocations": 0.20, "gb_seconds": 0.0133334,
	}
	if len(b.Lines) != len(want) {
		t.Errorf("%d lines, want %d: what is not billed has none", len(b.Lines), len(want))
	}
	sum := 0.0
	for _, line := range b.Lines {
		if math.Abs(line.USD-want[line.Metric]) > 1e-9 {
			t.Errorf("%s costs %v, want %v", line.Metric, line.USD, want[line.Metric])
		}
		sum += want[line.Metric]
	}
	if math.Abs(b.USD-sum) > 1e-9 || math.Abs(b.PerMillion-sum) > 1e-9 || b.Messages != million {
		t.Errorf("bill = %v, %v per million of %v, want %v", b.USD, b.PerMillion, b.Messages, sum)
	}
}

// Each function has its invocations and its share of each table; what the owner reads is nobody's.
func TestBillByFunction(t *testing.T) {
	p, err := bill.Current()
	if err != nil {
		t.Fatal(err)
	}
	const million = 1e6
	got := p.Of(meter.Usage{
		"dynamodb": {"Messages": {"write_units": 5 * million, "read_units": 8 * million}, "a.b": {"write_units": million}},
		"dynamodb_by_function": {
			"Send": {"write_units.Messages": 4 * million, "read_units.Messages": 0, "requests.Messages": million, "write_units.a.b": million},
			"Sync": {"read_units.Messages": 8 * million, "requests.Messages": million},
			"Idle": {"read_units.Messages": 0},
		},
		"lambda": {"Send": {"invocations": million, "gb_seconds": 1000}, "Sync": {"invocations": million, "gb_seconds": 0}, "Warm": {"invocations": 0}},
	})
	want := []bill.Function{
		{Name: "Send", Lambda: 0.2133334, Tables: map[string]float64{"Messages": 2.5, "a.b": 0.625}, USD: 3.3383334},
		{Name: "Sync", Lambda: 0.2, Tables: map[string]float64{"Messages": 1}, USD: 1.2},
	}
	if diff := cmp.Diff(want, got.Functions, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("functions (-want +got)\n%s", diff)
	}
	if math.Abs(got.USD-5.1633334) > 1e-9 {
		t.Errorf("the total is %v, want 5.1633334: shares are no part of it", got.USD)
	}
}

func TestBillOfNothing(t *testing.T) {
	p, err := bill.Current()
	if err != nil {
		t.Fatal(err)
	}
	if b := p.Of(meter.Usage{}); b.USD != 0 || b.PerMillion != 0 || b.Lines == nil || b.Functions == nil {
		t.Errorf("bill = %+v", b)
	}
}
