package template

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/duet-chat/duet/localstack/events"
	"github.com/duet-chat/duet/localstack/streams"
)

const (
	eventBusKind  = "AWS::Events::EventBus"
	eventRuleKind = "AWS::Events::Rule"
)

func (r *reader) readEventBus(res *resource, p *node) error {
	name, err := p.need("Name")
	if err != nil {
		return err
	}
	r.stack.EventBuses = append(r.stack.EventBuses, name)
	return nil
}

// readEventRule reads a rule by a pattern. Its targets are queues and functions of the template.
// Source: CloudFormation template reference, AWS::Events::Rule.
func (r *reader) readEventRule(res *resource, p *node) error {
	bus, err := p.str("EventBusName", "")
	if err != nil {
		return err
	}
	state, err := p.str("State", "ENABLED")
	if err != nil {
		return err
	}
	if p.at("ScheduleExpression") != nil {
		return p.at("ScheduleExpression").fail("the local cloud runs no schedules: give an EventPattern")
	}
	pattern := p.at("EventPattern")
	if pattern == nil {
		return p.fail("the rule %s has no EventPattern", res.id)
	}
	text, err := json.Marshal(pattern.plain())
	if err != nil {
		return pattern.fail("EventPattern: %v", err)
	}
	if pattern.scalar != nil { // written as JSON
		text = []byte(*pattern.scalar)
	}
	if _, err := streams.ParseFilter(string(text)); err != nil {
		return pattern.fail("EventPattern: %v", err)
	}
	rule := events.Rule{Name: res.ref, Bus: events.BusName(bus), Pattern: string(text), Disabled: state == "DISABLED"}
	if rule.Bus != events.DefaultBus && !slices.ContainsFunc(r.resources, func(other *resource) bool {
		return other.kind == eventBusKind && other.ref == rule.Bus
	}) {
		return p.at("EventBusName").fail("there is no event bus %s in this template", rule.Bus)
	}
	targets, err := p.maps("Targets")
	if err != nil {
		return err
	}
	for _, t := range targets {
		arn, err := t.need("Arn")
		if err != nil {
			return err
		}
		if !r.isTarget(arn) {
			return t.at("Arn").fail("%s is neither a queue nor a function of this template: the local EventBridge knows no other targets", arn)
		}
		rule.Targets = append(rule.Targets, arn)
	}
	r.stack.EventRules = append(r.stack.EventRules, rule)
	return nil
}

func (r *reader) isTarget(arn string) bool {
	return slices.ContainsFunc(r.resources, func(res *resource) bool {
		return res.attributes["Arn"] == arn && (res.kind == queueKind || strings.HasSuffix(res.kind, "::Function"))
	})
}
