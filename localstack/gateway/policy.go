package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// policy is what an authorizer may answer of IAM's policy language.
type policy struct {
	Statement statements
}

type statement struct {
	Effect      string
	Action      texts
	Resource    texts
	NotAction   json.RawMessage
	NotResource json.RawMessage
	Condition   json.RawMessage
}

// statements and texts may be written as one element without a list.
type (
	statements []statement
	texts      []string
)

func (s *statements) UnmarshalJSON(b []byte) error { return oneOrMany(b, (*[]statement)(s)) }
func (t *texts) UnmarshalJSON(b []byte) error      { return oneOrMany(b, (*[]string)(t)) }

func oneOrMany[T any](b []byte, list *[]T) error {
	if bytes.HasPrefix(b, []byte("[")) {
		return json.Unmarshal(b, list)
	}
	*list = make([]T, 1)
	return json.Unmarshal(b, &(*list)[0])
}

const invokeAction = "execute-api:Invoke"

// allows reports whether a policy lets arn be invoked: some statement allows it
// and none denies it. What it cannot evaluate is an error rather than a guess.
func (p policy) allows(arn string) (bool, error) {
	if len(p.Statement) == 0 {
		return false, errors.New("the policy has no statements")
	}
	allowed, denied := false, false
	for i, s := range p.Statement {
		if len(s.NotAction)+len(s.NotResource)+len(s.Condition) > 0 {
			return false, fmt.Errorf("policy statement %d: NotAction, NotResource and Condition are not known here; use Action and Resource", i)
		}
		if s.Effect != "Allow" && s.Effect != "Deny" {
			return false, fmt.Errorf("policy statement %d: effect %q is neither Allow nor Deny", i, s.Effect)
		}
		if !s.covers(arn) {
			continue
		}
		if s.Effect == "Deny" {
			denied = true
		} else {
			allowed = true
		}
	}
	return allowed && !denied, nil
}

func (s statement) covers(arn string) bool {
	action := false
	for _, pattern := range s.Action {
		action = action || glob(strings.ToLower(pattern), strings.ToLower(invokeAction))
	}
	if !action {
		return false
	}
	for _, pattern := range s.Resource {
		if glob(pattern, arn) {
			return true
		}
	}
	return false
}

// glob matches with * for any run of characters, slashes too, and ? for one. It
// takes time proportional to the product of both lengths at worst.
func glob(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
