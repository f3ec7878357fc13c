package streams

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Filter is one pattern of a mapping's FilterCriteria, in EventBridge's syntax: an object whose
// leaves are lists of what matches there.
// Source: Lambda developer guide, "Control which events Lambda sends to your function".
type Filter struct{ pattern map[string]any }

// ParseFilter reads a pattern. Of the leaves it knows values, prefix, exists and anything-but.
func ParseFilter(pattern string) (Filter, error) {
	var f Filter
	if err := json.Unmarshal([]byte(pattern), &f.pattern); err != nil {
		return Filter{}, fmt.Errorf("filter pattern %s is not a JSON object: %w", pattern, err)
	}
	return f, checkPattern(f.pattern)
}

func checkPattern(pattern map[string]any) error {
	for key, value := range pattern {
		switch v := value.(type) {
		case map[string]any:
			if err := checkPattern(v); err != nil {
				return err
			}
		case []any:
			for _, leaf := range v {
				if err := checkLeaf(key, leaf); err != nil {
					return err
				}
			}
		default:
			return fmt.Errorf("filter pattern: %s must be an object or a list of values", key)
		}
	}
	return nil
}

func checkLeaf(key string, leaf any) error {
	rule, ok := leaf.(map[string]any)
	if !ok {
		return nil
	}
	for name := range rule {
		switch name {
		case "prefix", "exists", "anything-but":
		default:
			return fmt.Errorf("filter pattern: the local cloud does not know the comparison %q of %s: it knows values, prefix, exists and anything-but", name, key)
		}
	}
	return nil
}

// Match tells whether a record matches.
func (f Filter) Match(record []byte) bool {
	var event map[string]any
	return json.Unmarshal(record, &event) == nil && match(f.pattern, event)
}

func match(pattern, event map[string]any) bool {
	for key, want := range pattern {
		have, there := event[key]
		switch w := want.(type) {
		case map[string]any:
			inner, _ := have.(map[string]any)
			if !match(w, inner) {
				return false
			}
		case []any:
			if !matchAny(w, have, there) {
				return false
			}
		}
	}
	return true
}

func matchAny(leaves []any, have any, there bool) bool {
	for _, leaf := range leaves {
		rule, ok := leaf.(map[string]any)
		if !ok {
			if there && leaf == have {
				return true
			}
			continue
		}
		if matchRule(rule, have, there) {
			return true
		}
	}
	return false
}

func matchRule(rule map[string]any, have any, there bool) bool {
	for name, operand := range rule {
		switch name {
		case "exists":
			if operand != there {
				return false
			}
		case "prefix":
			text, _ := have.(string)
			prefix, _ := operand.(string)
			if !there || !strings.HasPrefix(text, prefix) {
				return false
			}
		case "anything-but":
			if !there || contains(operand, have) {
				return false
			}
		}
	}
	return true
}

func contains(operand, have any) bool {
	list, ok := operand.([]any)
	if !ok {
		return operand == have
	}
	for _, o := range list {
		if o == have {
			return true
		}
	}
	return false
}
