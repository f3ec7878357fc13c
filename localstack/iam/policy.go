package iam

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// Statement is a statement of an identity-based policy. Actions and resources are patterns, in which
// * stands for anything and ? for one character. Of Actions and NotActions one has something, and of
// Resources and NotResources. It holds for a request for which all of its conditions do.
// Source: IAM user guide, "IAM JSON policy elements reference".
type Statement struct {
	Deny                    bool
	Actions, NotActions     []string
	Resources, NotResources []string
	Conditions              []Condition
}

// CheckAction says what IAM would refuse in a statement's action, if anything is; its texts are CreatePolicy's.
// Source: IAM user guide, "IAM JSON policy elements: Action".
func CheckAction(action string) error {
	if action != "*" && !strings.Contains(action, ":") {
		return fmt.Errorf("actions must be prefaced by a vendor, as in dynamodb:GetItem, unlike %q", action)
	}
	return nil
}

// CheckResource says what IAM would refuse in a statement's resource, if anything is.
// Source: IAM user guide, "IAM JSON policy elements: Resource".
func CheckResource(resource string) error {
	switch {
	case resource != "*" && !strings.HasPrefix(resource, "arn:"):
		return fmt.Errorf("resource %s must be in ARN format or \"*\": give the resource's Arn, as in !GetAtt Table.Arn", resource)
	case strings.Contains(resource, "${"):
		return variable(resource)
	}
	return nil
}

func variable(value string) error {
	return fmt.Errorf("the local cloud knows no policy variables, as in %s: write the value out, or leave the $ away if a template's function was meant", value)
}

// Role is what a function acts as.
type Role struct {
	Name, ARN  string
	Statements []Statement
}

// Right is something that a statement allows: an action on a resource, both as they stand in the policy.
type Right struct {
	Action   string `json:"action"`
	Resource string `json:"resource"`
}

// rule is a statement that is in force, and what of it was used: for each of its actions all of its
// resources.
type rule struct {
	*Statement
	actions []string // of Actions or NotActions, in lower case: actions are compared without regard to it
	used    []atomic.Bool
}

func newRule(s *Statement) *rule {
	r := &rule{Statement: s}
	for _, a := range append(s.Actions, s.NotActions...) {
		r.actions = append(r.actions, strings.ToLower(a))
	}
	if !s.Deny {
		r.used = make([]atomic.Bool, len(r.rights()))
	}
	return r
}

// rights are what the rule allows, in the order of what was used.
func (r *rule) rights() []Right {
	var all []Right
	for _, action := range parts(r.Actions, r.NotActions) {
		for _, resource := range parts(r.Resources, r.NotResources) {
			all = append(all, Right{action, resource})
		}
	}
	return all
}

// parts are patterns one by one; those that are excluded stand together, for nothing less is allowed.
func parts(included, excluded []string) []string {
	if excluded == nil {
		return included
	}
	return []string{"all but " + strings.Join(excluded, ", ")}
}

// covers tells whether the rule is about an action, in lower case, on a resource.
func (r *rule) covers(action, resource string) bool {
	return (r.NotActions == nil) == matchesAny(r.actions, action) &&
		(r.NotResources == nil && matchesAny(r.Resources, resource) || r.NotResources != nil && !matchesAny(r.NotResources, resource))
}

func matchesAny(patterns []string, text string) bool {
	for _, p := range patterns {
		if Match(p, text) {
			return true
		}
	}
	return false
}

// use notes that an action, in lower case, on a resource was allowed by the rule, which covers it.
func (r *rule) use(action, resource string) {
	resources := 1
	if r.NotResources == nil {
		resources = len(r.Resources)
	}
	for i := range len(r.used) {
		a, b := i/resources, i%resources
		if (r.NotActions != nil || Match(r.actions[a], action)) && (r.NotResources != nil || Match(r.Resources[b], resource)) && !r.used[i].Load() {
			r.used[i].Store(true)
		}
	}
}

// Match tells whether a text matches a pattern with * and ?.
func Match(pattern, text string) bool {
	star, mark := -1, 0
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
