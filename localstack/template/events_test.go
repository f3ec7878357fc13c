package template_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/localstack/events"
	"github.com/duet-chat/duet/localstack/template"
)

// Buses and rules are read with the names and ARNs that CloudFormation gives them.
func TestEventBusesAndRules(t *testing.T) {
	stack, err := template.Load("testdata/bell.yaml", options(nil))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"doorbell"}; !slices.Equal(stack.EventBuses, want) {
		t.Errorf("buses = %q, want %q", stack.EventBuses, want)
	}
	const queue = "arn:aws:sqs:us-east-1:000000000000:duet-Visits"
	want := []events.Rule{
		{Name: "duet-ToQueue", Bus: "doorbell", Pattern: `{"detail":{"to":[{"prefix":"a"}]},"source":["duet"]}`, Targets: []string{queue, "arn:aws:lambda:us-east-1:000000000000:function:Ring"}},
		{Name: "off", Bus: "default", Pattern: `{"source":["duet"]}`, Disabled: true, Targets: []string{queue}},
	}
	if diff := cmp.Diff(want, stack.EventRules); diff != "" {
		t.Errorf("rules (-want +got)\n%s", diff)
	}
	if got, want := stack.Outputs["Bus"], "arn:aws:events:us-east-1:000000000000:event-bus/doorbell"; got != want {
		t.Errorf("the bus's ARN is %s, want %s", got, want)
	}
}
