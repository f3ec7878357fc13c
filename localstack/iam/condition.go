package iam

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Condition is one key under one operator of a statement's Condition. Make it with ParseCondition.
// Source: IAM user guide, "IAM JSON policy elements: Condition operators", "Set operators for
// multi-valued context keys".
type Condition struct {
	set      string // ForAllValues, ForAnyValue, or "" for a key of one value
	operator string
	ifExists bool
	key      string // in lower case
	values   []string
}

// operator compares a value of a request with one of a policy.
type operator struct {
	of      valueType // what it compares
	matches func(have, want string) bool
	negated bool
}

// valueType is what a context key's values are.
type valueType int

const (
	anything valueType = iota
	boolean
	number
	date
	arn
)

var operators = map[string]operator{
	"StringEquals":              {anything, func(have, want string) bool { return have == want }, false},
	"StringEqualsIgnoreCase":    {anything, strings.EqualFold, false},
	"StringLike":                {anything, func(have, want string) bool { return Match(want, have) }, false},
	"StringNotEquals":           {anything, func(have, want string) bool { return have == want }, true},
	"StringNotEqualsIgnoreCase": {anything, strings.EqualFold, true},
	"StringNotLike":             {anything, func(have, want string) bool { return Match(want, have) }, true},
	// ArnEquals and ArnLike behave identically, says their description.
	"ArnEquals":                {arn, matchARN, false},
	"ArnLike":                  {arn, matchARN, false},
	"ArnNotEquals":             {arn, matchARN, true},
	"ArnNotLike":               {arn, matchARN, true},
	"Bool":                     {boolean, strings.EqualFold, false},
	"Null":                     {anything, nil, false}, // asks whether there is a value
	"NumericEquals":            {number, compared(0), false},
	"NumericNotEquals":         {number, compared(0), true},
	"NumericLessThan":          {number, compared(-1), false},
	"NumericLessThanEquals":    {number, compared(-1, 0), false},
	"NumericGreaterThan":       {number, compared(1), false},
	"NumericGreaterThanEquals": {number, compared(1, 0), false},
	"DateEquals":               {date, compared(0), false},
	"DateNotEquals":            {date, compared(0), true},
	"DateLessThan":             {date, compared(-1), false},
	"DateLessThanEquals":       {date, compared(-1, 0), false},
	"DateGreaterThan":          {date, compared(1), false},
	"DateGreaterThanEquals":    {date, compared(1, 0), false},
}

// compared is a comparison of numbers and dates, true if it has one of some outcomes.
func compared(outcomes ...int) func(have, want string) bool {
	return func(have, want string) bool {
		a, ok := quantity(have)
		b, alike := quantity(want)
		if !ok || !alike {
			return false
		}
		outcome := 0
		switch {
		case a < b:
			outcome = -1
		case a > b:
			outcome = 1
		}
		return slices.Contains(outcomes, outcome)
	}
}

// quantity is a number, or a date as the number of its Unix seconds.
// Source: IAM user guide, "Date condition operators": W3C's form of ISO 8601, or epoch time.
func quantity(value string) (float64, bool) {
	if n, err := strconv.ParseFloat(value, 64); err == nil {
		return n, true
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02"} {
		if t, err := time.Parse(layout, value); err == nil {
			return float64(t.UnixMilli()) / 1000, true
		}
	}
	return 0, false
}

// matchARN compares the six parts of an ARN one by one, each with wildcards.
// Source: IAM user guide, "Amazon Resource Name (ARN) condition operators".
func matchARN(have, want string) bool {
	a, b := strings.SplitN(have, ":", 6), strings.SplitN(want, ":", 6)
	return slices.EqualFunc(a, b, func(part, pattern string) bool { return Match(pattern, part) })
}

// ParseCondition reads a condition. Its error says what the local cloud does not know about it, and
// what to do.
func ParseCondition(name, key string, values []string) (Condition, error) {
	c := Condition{operator: name, key: strings.ToLower(key), values: values}
	if set, rest, ok := strings.Cut(name, ":"); ok {
		if c.set, c.operator = set, rest; set != "ForAllValues" && set != "ForAnyValue" {
			return c, fmt.Errorf("the local cloud does not know %s: ForAllValues: or ForAnyValue: may stand before an operator", name)
		}
	}
	c.operator, c.ifExists = strings.CutSuffix(c.operator, "IfExists")
	o, ok := operators[c.operator]
	if !ok {
		return c, fmt.Errorf("the local cloud does not know the condition operator %s: it knows %s; say it with one of them, or leave the statement out here by a condition of the template",
			name, strings.Join(slices.Sorted(maps.Keys(operators)), ", "))
	}
	k, ok := contextKeys[c.key]
	switch {
	case !ok:
		var known []string
		for _, k := range contextKeys {
			known = append(known, k.name)
		}
		slices.Sort(known)
		return c, fmt.Errorf("the local cloud does not know the condition key %s: it knows %s; say it with one of them, or leave the statement out here by a condition of the template",
			key, strings.Join(known, ", "))
	case c.operator == "Null" && (c.set != "" || c.ifExists):
		return c, fmt.Errorf("%s: Null stands alone, without ForAllValues:, ForAnyValue: and IfExists", name)
	case k.many && c.set == "" && c.operator != "Null":
		return c, fmt.Errorf("%s may have several values in a request: put ForAllValues: or ForAnyValue: before %s", key, name)
	case o.of != anything && o.of != k.of && (o.of != number || k.of != date):
		return c, fmt.Errorf("%s never holds for %s, whose values are no %ss", name, key, typeNames[o.of])
	case len(values) == 0:
		return c, fmt.Errorf("%s has no values for %s", name, key)
	}
	for _, value := range values {
		_, isQuantity := quantity(value)
		isBool := strings.EqualFold(value, "true") || strings.EqualFold(value, "false")
		switch {
		case strings.Contains(value, "${"):
			return c, variable(value)
		case (o.of == boolean || c.operator == "Null") && !isBool:
			return c, fmt.Errorf("%s takes true or false, not %q", name, value)
		case (o.of == number || o.of == date) && !isQuantity:
			return c, fmt.Errorf("%s takes a %s, not %q", name, typeNames[o.of], value)
		case o.of == arn && strings.Count(value, ":") < 5:
			return c, fmt.Errorf("%s takes an ARN of six parts, not %q", name, value)
		}
	}
	return c, nil
}

var typeNames = map[valueType]string{boolean: "boolean", number: "number", date: "date", arn: "ARN"}

// values are what a request has for a context key, none if it lacks it.
type values func(key string) []string

// holds tells whether a request meets the condition.
func (c *Condition) holds(of values) bool {
	have := of(c.key)
	if c.operator == "Null" {
		return slices.ContainsFunc(c.values, func(want string) bool { return strings.EqualFold(want, "true") == (len(have) == 0) })
	}
	o := operators[c.operator]
	meets := func(value string) bool {
		return o.negated != slices.ContainsFunc(c.values, func(want string) bool { return o.matches(value, want) })
	}
	switch {
	case c.set == "ForAllValues": // of no values, too
		return !slices.ContainsFunc(have, func(value string) bool { return !meets(value) })
	case len(have) == 0:
		return c.ifExists || o.negated && c.set == ""
	}
	return slices.ContainsFunc(have, meets) // of a key without a set operator there is one
}
