package fault

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Plan is what is to fail.
type Plan struct {
	Seed  uint64 // 0 draws one
	Rules []*Rule
}

// Read reads a plan: YAML, or JSON, which is YAML too. name is what errors call it; they are one line
// with the place.
//
//	seed: 42
//	rules:                # hold all the time
//	  - dynamodb p=0.02 error=ThrottlingException
//	phases:               # hold one after the other; the last may go on
//	  - for: 10s
//	  - for: 5s
//	    rules: [connections/POST error=LimitExceededException, now cut]
func Read(name string, text []byte, names Names) (Plan, error) {
	d := document{name: name, names: names}
	tree, err := parser.ParseBytes(text, 0)
	var located yaml.Error
	switch {
	case errors.As(err, &located) && located.GetToken() != nil:
		return Plan{}, fmt.Errorf("%s:%d: this is not YAML: %s", name, located.GetToken().Position.Line, located.GetMessage())
	case err != nil:
		return Plan{}, fmt.Errorf("%s is not YAML: %w", name, err)
	case len(tree.Docs) != 1 || tree.Docs[0].Body == nil:
		return Plan{}, fmt.Errorf("%s: it must be one YAML document with the members seed, rules or phases", name)
	}
	err = d.members(tree.Docs[0].Body, "a plan of faults", map[string]func(ast.Node) error{
		"seed": d.seed,
		"rules": func(n ast.Node) error {
			rules, err := d.rules(n)
			d.plan.Rules = append(d.plan.Rules, rules...)
			return err
		},
		"phases": d.phases,
	})
	return d.plan, err
}

// document is a plan being read.
type document struct {
	name  string
	names Names
	plan  Plan
	phase time.Duration // when the next phase begins
}

func (d *document) fail(n ast.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", d.name, n.GetToken().Position.Line, fmt.Errorf(format, args...))
}

// members reads a map whose keys are known.
func (d *document) members(n ast.Node, what string, known map[string]func(ast.Node) error) error {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		return d.fail(n, "%s must be a map with the members %s", what, list(sortedKeys(known)))
	}
	for _, v := range values {
		key := v.Key.GetToken().Value
		read := known[key]
		if read == nil {
			return d.fail(v.Key, "%w", oneOf("member of "+what, key, sortedKeys(known)))
		}
		if err := read(v.Value); err != nil {
			return err
		}
	}
	return nil
}

func (d *document) seed(n ast.Node) (err error) {
	text := n.GetToken().Value
	if d.plan.Seed, err = strconv.ParseUint(text, 0, 64); err != nil {
		return d.fail(n, "seed %q is no number from 0 to 2^64-1", text)
	}
	return nil
}

func (d *document) sequence(n ast.Node, what string) ([]ast.Node, error) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		return nil, d.fail(n, "%s must be a list", what)
	}
	return s.Values, nil
}

func (d *document) rules(n ast.Node) (rules []*Rule, err error) {
	values, err := d.sequence(n, "rules")
	if err != nil {
		return nil, err
	}
	for _, v := range values {
		text, ok := v.(*ast.StringNode)
		if !ok {
			return nil, d.fail(v, "a rule is one line of text, as in: - dynamodb/PutItem p=0.1 error=ThrottlingException")
		}
		rule, err := Parse(text.Value, d.names)
		if err != nil {
			return nil, d.fail(v, "%w", err)
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func (d *document) phases(n ast.Node) error {
	values, err := d.sequence(n, "phases")
	if err != nil {
		return err
	}
	for i, v := range values {
		var lasts time.Duration
		var rules []*Rule
		err := d.members(v, "a phase", map[string]func(ast.Node) error{
			"for": func(n ast.Node) (err error) {
				if lasts, err = duration("for", n.GetToken().Value); err != nil || lasts == 0 {
					return d.fail(n, "for: %s is no duration, as in 250ms or 2s", n.GetToken().Value)
				}
				return nil
			},
			"rules": func(n ast.Node) (err error) { rules, err = d.rules(n); return err },
		})
		switch {
		case err != nil:
			return err
		case lasts == 0 && i < len(values)-1:
			return d.fail(v, "only the last phase may go on for ever: say for how long, as in for: 10s")
		}
		for _, r := range rules {
			r.within(d.phase, lasts)
		}
		d.plan.Rules = slices.Concat(d.plan.Rules, rules)
		d.phase += lasts
	}
	return nil
}

// within limits a rule to a phase that begins at a time and lasts for another, 0 for ever. The
// rule's own times count from the phase's beginning.
func (r *Rule) within(begin, lasts time.Duration) {
	r.from += begin
	if r.until > 0 {
		r.until += begin
	}
	if end := begin + lasts; lasts > 0 && (r.until == 0 || r.until > end) {
		r.until = end
	}
}
