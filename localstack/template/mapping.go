package template

import (
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/duet-chat/duet/localstack/iam"
	"github.com/duet-chat/duet/localstack/streams"
)

// mappingSchema is what a mapping and a function's event have in common.
func mappingSchema() schema {
	return with(names(
		"StartingPosition", "BatchSize", "MaximumBatchingWindowInSeconds", "ParallelizationFactor", "FunctionResponseTypes",
		"BisectBatchOnFunctionError", "MaximumRetryAttempts", "MaximumRecordAgeInSeconds", "Enabled",
	), schema{
		"DestinationConfig": {"OnFailure": names("Type", "Destination")}, "FilterCriteria": {"Filters": names("Pattern")},
	})
}

func (r *reader) readMapping(res *resource, p *node) error {
	function, err := r.functionOf(p, "FunctionName")
	if err != nil {
		return err
	}
	return r.addMapping(res.id, function, "EventSourceArn", p)
}

// readAllEvents reads the functions' events, once tables, functions and queues are known.
func (r *reader) readAllEvents() error {
	for _, res := range r.resources {
		if res.kind != "AWS::Serverless::Function" || res.properties.at("Events") == nil {
			continue
		}
		p, err := r.evaluated(res)
		if err != nil {
			return err
		}
		if err := r.readEvents(res, res.ref, p); err != nil {
			return err
		}
	}
	return nil
}

// readEvents reads what a function is invoked by. Each event makes a mapping of its own, as SAM names it.
// Source: SAM developer guide, "DynamoDB" under EventSource.
func (r *reader) readEvents(res *resource, function string, p *node) error {
	events := p.at("Events")
	if events == nil {
		return nil
	}
	if events.members == nil {
		return events.fail("Events must be a map, this is %s", events.kind())
	}
	for _, name := range events.keys {
		n := events.members[name]
		if err := known(n, "an event", "Type", "Properties"); err != nil {
			return err
		}
		kind, err := n.need("Type")
		if err != nil {
			return err
		}
		if kind != "DynamoDB" {
			return n.at("Type").fail("the local cloud knows events of type DynamoDB, not %s: the routes of a WebSocket API stand with the API", kind)
		}
		properties := n.at("Properties")
		if properties == nil {
			return n.fail("the event %s has no Properties", name)
		}
		if err := with(names("Stream"), mappingSchema()).check(properties, "a DynamoDB event"); err != nil {
			return err
		}
		if err := r.addMapping(res.id+name, function, "Stream", properties); err != nil {
			return err
		}
	}
	return nil
}

// addMapping adds a mapping of the stream in a property to a function.
func (r *reader) addMapping(name, function, stream string, p *node) error {
	m := streams.Mapping{Name: name, Function: function}
	var err error
	if m.StreamARN, err = p.need(stream); err != nil {
		return err
	}
	if !strings.Contains(m.StreamARN, ":dynamodb:") {
		return p.at(stream).fail("the local cloud knows mappings of DynamoDB streams only, not of %s", m.StreamARN)
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
	switch {
	case age == 0: // which a Mapping takes for none
		return p.at("MaximumRecordAgeInSeconds").fail("MaximumRecordAgeInSeconds must be -1 or 60 to 604800, not 0")
	case age != -1:
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
	if err := m.Check(); err != nil {
		var wrong *streams.PropertyError
		if errors.As(err, &wrong) && p.at(wrong.Property) != nil {
			return p.at(wrong.Property).fail("%v", err)
		}
		return p.fail("%v", err)
	}
	if err := r.checkMappingsRole(m, stream, p); err != nil {
		return err
	}
	for _, other := range r.stack.Mappings {
		// Source: Lambda API reference, CreateEventSourceMapping, ResourceConflictException.
		if other.Function == m.Function && other.StreamARN == m.StreamARN {
			return p.fail("%s and %s are both mappings of %s to %s, of which Lambda takes one", other.Name, name, m.StreamARN, m.Function)
		}
	}
	if enabled, err := p.boolean("Enabled", true); err != nil || !enabled {
		return err
	}
	r.stack.Mappings = append(r.stack.Mappings, m)
	return nil
}

// checkMappingsRole checks what Lambda checks when a mapping is made: it acts with the function's role.
// Source: Lambda API reference, CreateEventSourceMapping, whose texts these are.
func (r *reader) checkMappingsRole(m streams.Mapping, stream string, p *node) error {
	guard := iam.New(iam.Options{Region: r.Region, Account: r.Account, Log: slog.New(slog.DiscardHandler)})
	guard.Set(r.stack.Policies)
	if err := guard.CheckStream(m.Function, guard.Own(m.StreamARN)); err != nil {
		return p.at(stream).fail("Cannot access stream %s. Please ensure the role can perform the GetRecords, GetShardIterator, DescribeStream, and ListStreams Actions on your stream in IAM. (%v)", m.StreamARN, err)
	}
	if m.FailureQueueARN == "" {
		return nil
	}
	if err := guard.CheckQueue(m.Function, m.FailureQueueARN); err != nil {
		return p.at("DestinationConfig").at("OnFailure").at("Destination").fail("The provided execution role does not have permissions to call SendMessage on SQS: allow it to the function's role; SAM does so for a destination of Type SQS. (%v)", err)
	}
	return nil
}
