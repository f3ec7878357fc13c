package streams

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Filter is one pattern of a mapping's FilterCriteria: every name in it must be matched, by any of
// the name's values. On records as DynamoDB's typed JSON it knows what Lambda knows but for numeric:
// equality, equals-ignore-case, prefix, suffix, exists, anything-but, and $or of several places.
// Source: Lambda developer guide, "Control which events Lambda sends to your function".
type Filter struct {
	root    *rule
	pattern string // as it was read
}

// Equal tells whether two filters have the same pattern.
func (f Filter) Equal(other Filter) bool { return f.pattern == other.pattern }

// rule is what a pattern says of one place: of its members, or of the value itself.
type rule struct {
	members      []namedRule // all of them
	alternatives []*rule     // any of them; $or
	tests        []test      // any of them
}

type namedRule struct {
	name string
	rule *rule
}

// test says whether a value matches, which is not there when present is false.
type test func(value []byte, present bool) bool

// maxPattern bounds a pattern, in bytes. Source: Lambda API reference, Filter.
const maxPattern = 4096

// ParseFilter reads a pattern. What it does not know it refuses by name and place.
func ParseFilter(pattern string) (Filter, error) {
	if len(pattern) > maxPattern {
		return Filter{}, fmt.Errorf("filter pattern has %d bytes, Lambda takes at most %d", len(pattern), maxPattern)
	}
	if !json.Valid([]byte(pattern)) {
		return Filter{}, fmt.Errorf("filter pattern is not JSON: %s", pattern)
	}
	root, err := parseRule("pattern", json.RawMessage(pattern))
	if err != nil {
		return Filter{}, fmt.Errorf("filter %s: %w", pattern, err)
	}
	if root.tests != nil {
		return Filter{}, fmt.Errorf("filter %s: a pattern must be an object", pattern)
	}
	return Filter{root, pattern}, nil
}

// Match reports whether a record, which must be valid JSON, matches. A pattern of one name costs
// less than a microsecond a record, and no allocation.
func (f Filter) Match(record []byte) bool { return f.root.match(record, true) }

func (r *rule) match(value []byte, present bool) bool {
	for _, m := range r.members {
		v, ok := member(value, m.name)
		if !m.rule.match(v, ok) {
			return false
		}
	}
	if r.alternatives != nil && !slices.ContainsFunc(r.alternatives, func(a *rule) bool { return a.match(value, present) }) {
		return false
	}
	if r.tests == nil {
		return true
	}
	for _, t := range r.tests {
		if t(value, present) {
			return true
		}
		if present && value[0] == '[' && anyElement(value, func(e []byte) bool { return t(e, true) }) {
			return true
		}
	}
	return false
}

func parseRule(place string, raw json.RawMessage) (*rule, error) {
	var members map[string]json.RawMessage
	var values []json.RawMessage
	switch {
	case json.Unmarshal(raw, &members) == nil && members != nil:
		if len(members) == 0 {
			return nil, fmt.Errorf("%s is an empty object: name what must match", place)
		}
		r := &rule{}
		for name, v := range members {
			if name == "$or" {
				var err error
				if r.alternatives, err = parseAlternatives(place, v); err != nil {
					return nil, err
				}
				continue
			}
			inner, err := parseRule(place+"."+name, v)
			if err != nil {
				return nil, err
			}
			r.members = append(r.members, namedRule{name, inner})
		}
		slices.SortFunc(r.members, func(a, b namedRule) int { return strings.Compare(a.name, b.name) })
		return r, nil
	case json.Unmarshal(raw, &values) == nil && len(values) > 0:
		r := &rule{}
		for _, v := range values {
			t, err := parseTest(place, v)
			if err != nil {
				return nil, err
			}
			r.tests = append(r.tests, t)
		}
		return r, nil
	}
	return nil, fmt.Errorf("%s must be an object or a list of values, not %s", place, raw)
}

// parseAlternatives reads what stands under $or: rules of the place itself.
func parseAlternatives(place string, raw json.RawMessage) (alternatives []*rule, err error) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) < 2 {
		return nil, fmt.Errorf("%s.$or must be a list of two objects or more, not %s", place, raw)
	}
	for _, one := range list {
		r, err := parseRule(place, one)
		if err != nil {
			return nil, err
		}
		if r.tests != nil {
			return nil, fmt.Errorf("%s.$or must be a list of objects, not %s", place, raw)
		}
		alternatives = append(alternatives, r)
	}
	return alternatives, nil
}

func parseTest(place string, raw json.RawMessage) (test, error) {
	raw = bytes.TrimSpace(raw)
	switch raw[0] {
	case '[':
		return nil, fmt.Errorf("%s: a value must not be a list", place)
	case '{':
		return parseOperator(place, raw)
	}
	return equals(raw), nil
}

func parseOperator(place string, raw json.RawMessage) (test, error) {
	var operator map[string]json.RawMessage
	if err := json.Unmarshal(raw, &operator); err != nil || len(operator) != 1 {
		return nil, fmt.Errorf("%s: an operator must have one name, not %s", place, raw)
	}
	for name, argument := range operator {
		switch name {
		case "prefix":
			return parseText(place, name, argument, strings.HasPrefix)
		case "suffix":
			return parseText(place, name, argument, strings.HasSuffix)
		case "equals-ignore-case":
			return parseText(place, name, argument, strings.EqualFold)
		case "numeric":
			return nil, fmt.Errorf("%s: numeric matches nothing, for numbers in DynamoDB's records are strings: filter by another attribute, or in the function", place)
		case "exists":
			var exists bool
			if err := json.Unmarshal(argument, &exists); err != nil {
				return nil, fmt.Errorf("%s: exists must be true or false, not %s", place, argument)
			}
			return func(value []byte, present bool) bool {
				leaf := present && value[0] != '{' // Lambda looks at leaves only
				return leaf == exists
			}, nil
		case "anything-but":
			return parseAnythingBut(place, argument)
		default:
			return nil, fmt.Errorf("%s: the local cloud does not know the operator %s: it knows prefix, suffix, equals-ignore-case, exists and anything-but", place, name)
		}
	}
	return nil, nil // not reached: there is one
}

// parseText is an operator on strings.
func parseText(place, name string, argument json.RawMessage, matches func(value, argument string) bool) (test, error) {
	var wanted string
	if err := json.Unmarshal(argument, &wanted); err != nil {
		return nil, fmt.Errorf("%s: %s must be a string, not %s", place, name, argument)
	}
	return func(value []byte, present bool) bool {
		content, ok := text(value)
		return present && ok && matches(string(content), wanted)
	}, nil
}

func parseAnythingBut(place string, argument json.RawMessage) (test, error) {
	var values []json.RawMessage
	if json.Unmarshal(argument, &values) != nil {
		values = []json.RawMessage{argument}
	}
	var refused []test
	for _, v := range values {
		t, err := parseTest(place, v)
		if err != nil {
			return nil, err
		}
		refused = append(refused, t)
	}
	return func(value []byte, present bool) bool {
		return present && value[0] != '{' && value[0] != '[' && !slices.ContainsFunc(refused, func(t test) bool { return t(value, true) })
	}, nil
}

// equals compares strings by content, and numbers, true, false and null as they are written.
func equals(wanted json.RawMessage) test {
	if content, ok := text(wanted); ok {
		s := string(content)
		return func(value []byte, present bool) bool { return present && isString(value, s) }
	}
	return func(value []byte, present bool) bool { return present && bytes.Equal(value, wanted) }
}
