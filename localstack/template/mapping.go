package template

import (
	"slices"
	"strings"

	"github.com/duet-chat/duet/localstack/streams"
)

func (r *reader) readMapping(res *resource, p *node) error {
	m := streams.Mapping{Name: res.id}
	var err error
	if m.Function, err = r.functionOf(p, "FunctionName"); err != nil {
		return err
	}
	if m.StreamARN, err = p.need("EventSourceArn"); err != nil {
		return err
	}
	if !strings.Contains(m.StreamARN, ":dynamodb:") {
		return p.at("EventSourceArn").fail("the local cloud knows mappings of DynamoDB streams only, not of %s", m.StreamARN)
	}
	start, err := p.need("StartingPosition")
	if err != nil {
		return err
	}
	m.StartingPosition = streams.StartingPosition(start)
	window, age := 0, 0
	// Defaults: Lambda's. Source: Lambda API reference, CreateEventSourceMapping.
	for name, field := range map[string]struct {
		to        *int
		otherwise int
	}{
		"BatchSize": {&m.BatchSize, 100}, "ParallelizationFactor": {&m.ParallelizationFactor, 1},
		"MaximumRetryAttempts": {&m.MaximumRetryAttempts, -1}, "MaximumBatchingWindowInSeconds": {&window, 0},
		"MaximumRecordAgeInSeconds": {&age, -1},
	} {
		if *field.to, err = p.integer(name, field.otherwise); err != nil {
			return err
		}
	}
	m.BatchingWindow = seconds(window)
	if age > 0 {
		m.MaximumRecordAge = seconds(age)
	}
	if m.BisectOnError, err = p.boolean("BisectBatchOnFunctionError", false); err != nil {
		return err
	}
	responses, err := p.strings("FunctionResponseTypes")
	if err != nil {
		return err
	}
	for _, response := range responses {
		if response != "ReportBatchItemFailures" {
			return p.at("FunctionResponseTypes").fail("FunctionResponseTypes must be ReportBatchItemFailures, not %q", response)
		}
		m.ReportBatchItemFailures = true
	}
	if d := p.at("DestinationConfig").at("OnFailure"); d != nil {
		if m.FailureQueueARN, err = d.need("Destination"); err != nil {
			return err
		}
		if !slices.ContainsFunc(r.resources, func(res *resource) bool { return res.kind == queueKind && res.attributes["Arn"] == m.FailureQueueARN }) {
			return d.at("Destination").fail("Destination is %q, which is no SQS queue of this template", m.FailureQueueARN)
		}
	}
	filters, err := p.at("FilterCriteria").maps("Filters")
	if err != nil {
		return err
	}
	for _, filter := range filters {
		pattern, err := filter.need("Pattern")
		if err != nil {
			return err
		}
		parsed, err := streams.ParseFilter(pattern)
		if err != nil {
			return filter.fail("%v", err)
		}
		m.Filters = append(m.Filters, parsed)
	}
	if enabled, err := p.boolean("Enabled", true); err != nil || !enabled {
		return err
	}
	r.stack.Mappings = append(r.stack.Mappings, m)
	return nil
}
