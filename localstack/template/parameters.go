package template

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// readParameters gives each parameter its value: the given one, or its default.
func (r *reader) readParameters(root *node) error {
	given := maps.Clone(r.Parameters)
	if p := root.members["Parameters"]; p != nil {
		if p.members == nil {
			return p.fail("Parameters must be a map, this is %s", p.kind())
		}
		for _, name := range p.keys {
			n := p.members[name]
			if err := known(n, "a parameter", "Type", "Default", "Description", "AllowedValues", "MinValue", "MaxValue", "NoEcho", "ConstraintDescription"); err != nil {
				return err
			}
			value, ok := given[name]
			delete(given, name)
			if d := n.members["Default"]; !ok && d != nil && d.scalar != nil {
				value, ok = *d.scalar, true
			}
			if !ok {
				return n.fail("the parameter %s has no default: give it with --parameter %s=VALUE", name, name)
			}
			if err := n.checkParameter(name, value); err != nil {
				return err
			}
			r.scope.parameters[name] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		return root.fail("the template has no parameter %s", name)
	}
	return nil
}

// checkParameter holds a value against the parameter's own rules.
// Source: CloudFormation user guide, "CloudFormation template Parameters syntax".
func (n *node) checkParameter(name, value string) error {
	allowed, err := n.strings("AllowedValues")
	if err != nil {
		return err
	}
	if n.members["AllowedValues"] != nil && !slices.Contains(allowed, value) {
		return n.fail("the parameter %s is %q, but must be one of %s", name, value, strings.Join(allowed, ", "))
	}
	kind, err := n.need("Type")
	if err != nil || kind != "Number" {
		return err
	}
	number, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return n.fail("the parameter %s is %q, but must be a number", name, value)
	}
	for rule, broken := range map[string]func(bound float64) bool{
		"MinValue": func(least float64) bool { return number < least },
		"MaxValue": func(most float64) bool { return number > most },
	} {
		text, err := n.str(rule, "")
		if err != nil || text == "" {
			if err != nil {
				return err
			}
			continue
		}
		bound, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil:
			return n.members[rule].fail("%s must be a number, not %q", rule, text)
		case broken(bound):
			return n.fail("the parameter %s is %s, but must be at %s %s", name, value, map[string]string{"MinValue": "least", "MaxValue": "most"}[rule], text)
		}
	}
	return nil
}
