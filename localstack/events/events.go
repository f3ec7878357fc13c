// Package events is Amazon EventBridge for a stack: what is put on a bus goes to the targets of the rules
// whose pattern it matches, queues and functions of the template, and can be looked at. Buses and rules are
// made by the template alone; the bus "default" is always there. Archives, schedules, input transformers,
// dead-letter queues and other targets are not known.
// Source: EventBridge user guide and API reference.
package events

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	smithyrand "github.com/aws/smithy-go/rand"

	"github.com/duet-chat/duet/localstack/meter"
	"github.com/duet-chat/duet/localstack/streams"
)

// DefaultBus is the bus that every account has.
const DefaultBus = "default"

// Rule is an AWS::Events::Rule.
type Rule struct {
	Name, Bus string
	Pattern   string // an event pattern, as JSON
	Disabled  bool
	Targets   []string // ARNs of queues and functions
}

// Options of a service.
type Options struct {
	Region, Account string
	Now             func() time.Time
	Log             *slog.Logger
	Meter           *meter.Meter // may be nil; counts events by bus
	// Send puts an event into a queue, Invoke hands it to a function, which may take its time.
	Send   func(ctx context.Context, queueARN string, event []byte) error
	Invoke func(functionARN string, event []byte)
}

// maxKept bounds the events that are kept to be looked at, of all buses together.
const maxKept = 1000

// Service holds the buses. It is safe for concurrent use, and needs no closing.
type Service struct {
	Options
	buses map[string]bool
	rules []rule

	mu   sync.Mutex
	kept []json.RawMessage // guarded by mu; oldest first
}

type rule struct {
	Rule
	pattern streams.Filter // the language of patterns is the one of mappings' filters
}

// New makes the buses and rules of a stack.
func New(o Options, buses []string, rules []Rule) (*Service, error) {
	s := &Service{Options: o, buses: map[string]bool{}}
	for _, name := range append([]string{DefaultBus}, buses...) {
		s.buses[name] = true
		if o.Meter != nil {
			o.Meter.Counter("events", name, "events")
		}
	}
	for _, r := range rules {
		pattern, err := streams.ParseFilter(r.Pattern)
		if err != nil {
			return nil, fmt.Errorf("rule %s: %w", r.Name, err)
		}
		if !s.buses[r.Bus] {
			return nil, fmt.Errorf("rule %s: there is no event bus %q", r.Name, r.Bus)
		}
		s.rules = append(s.rules, rule{r, pattern})
	}
	return s, nil
}

// BusName is the name of a bus that is given by its name or ARN; "" is the default one.
func BusName(nameOrARN string) string {
	if _, name, ok := strings.Cut(nameOrARN, ":event-bus/"); ok {
		return name
	}
	if nameOrARN == "" {
		return DefaultBus
	}
	return nameOrARN
}

// Kept are the newest events, oldest first, as targets get them: for people.
func (s *Service) Kept() []json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]json.RawMessage{}, s.kept...)
}

// event is what targets get.
// Source: EventBridge user guide, "Event structure reference".
type event struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       string          `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

// publish gives an event to the targets of a bus. A target that fails is logged: EventBridge would try
// again for a day.
func (s *Service) publish(ctx context.Context, bus string, e entry) (id string, err error) {
	at := s.Now()
	if e.Time != nil {
		at = time.UnixMilli(int64(*e.Time * 1000))
	}
	if id, err = smithyrand.NewUUID(rand.Reader).GetUUID(); err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	of := event{
		Version: "0", ID: id, DetailType: e.DetailType, Source: e.Source, Account: s.Account,
		Time: at.UTC().Format(time.RFC3339), Region: s.Region, Resources: append([]string{}, e.Resources...), Detail: json.RawMessage(e.Detail),
	}
	body, err := json.Marshal(of)
	if err != nil {
		return "", fmt.Errorf("encode event: %w", err)
	}
	s.mu.Lock()
	s.kept = append(s.kept, body)
	s.kept = s.kept[max(0, len(s.kept)-maxKept):]
	s.mu.Unlock()
	if s.Meter != nil {
		s.Meter.Counter("events", bus, "events").Add(int64((len(e.Detail) + billedBytes - 1) / billedBytes))
	}
	for _, r := range s.rules {
		if r.Disabled || r.Bus != bus || !r.pattern.Match(body) {
			continue
		}
		for _, target := range r.Targets {
			s.deliver(ctx, r.Name, target, body)
		}
	}
	return id, nil
}

// billedBytes of a detail are one event on the bill. Source: EventBridge pricing.
const billedBytes = 64 << 10

func (s *Service) deliver(ctx context.Context, rule, target string, body []byte) {
	if strings.HasPrefix(target, "arn:aws:lambda:") {
		s.Invoke(target, body)
		return
	}
	if err := s.Send(ctx, target, body); err != nil {
		s.Log.ErrorContext(ctx, "an event does not reach its target", "rule", rule, "target", target, "error", err)
	}
}
