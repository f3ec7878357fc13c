// Package iam lets a function do only what its policies in the template allow, so that a missing
// permission fails here as it would on AWS. The account's owner, who is everybody else, may do all.
// Source: IAM user guide, "Policy evaluation logic".
package iam

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
)

// Statement is a statement of an identity-based policy. Actions and resources are patterns, in which
// * stands for anything and ? for one character.
// Source: IAM user guide, "IAM JSON policy elements reference".
type Statement struct {
	Deny               bool
	Actions, Resources []string
}

func (s *Statement) covers(action, resource string) bool {
	for _, a := range s.Actions {
		// Actions are compared without regard to case, resources with it.
		if Match(strings.ToLower(a), strings.ToLower(action)) {
			for _, r := range s.Resources {
				if Match(r, resource) {
					return true
				}
			}
			return false
		}
	}
	return false
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

// Options of a Guard.
type Options struct {
	Stack, Region, Account string
	Log                    *slog.Logger
}

// Guard decides what functions may do. It is safe for concurrent use.
type Guard struct {
	Options
	rules atomic.Pointer[rules]
}

// rules are the policies of one deployment, with what was decided by them.
type rules struct {
	policies map[string][]Statement // by function
	decided  sync.Map               // of request to verdict
}

// request is an action of a function on a resource.
type request struct{ function, action, resource string }

type verdict int

const (
	implicitlyDenied verdict = iota
	explicitlyDenied
	allowed
)

// New makes a Guard by which no function may do anything yet.
func New(o Options) *Guard {
	g := &Guard{Options: o}
	g.Set(nil)
	return g
}

// Set puts other policies in force, by function.
func (g *Guard) Set(policies map[string][]Statement) { g.rules.Store(&rules{policies: policies}) }

// Denied reports an action that a function's policies do not allow. Its text is AWS's.
type Denied struct {
	Function, Action, Resource string
	text                       string
}

func (d *Denied) Error() string { return d.text }

// Check returns a *Denied if a function may not do something; "" is the owner.
func (g *Guard) Check(function, action, resource string) error {
	if function == "" {
		return nil
	}
	q := request{function, action, resource}
	r := g.rules.Load()
	v, ok := r.decided.Load(q)
	if !ok {
		decision := decide(r.policies[function], action, resource)
		if bounded := len(resource) < 256 && !strings.Contains(resource, "/@connections/"); bounded {
			r.decided.Store(q, decision) // tables and queues are few
		}
		v = decision
	}
	if v == allowed {
		return nil
	}
	because := "because no identity-based policy allows the " + action + " action"
	if v == explicitlyDenied {
		because = "with an explicit deny in an identity-based policy"
	}
	d := &Denied{Function: function, Action: action, Resource: resource, text: fmt.Sprintf(
		"User: arn:aws:sts::%s:assumed-role/%s-%sRole/%s is not authorized to perform: %s on resource: %s %s",
		g.Account, g.Stack, function, function, action, resource, because)}
	g.Log.Warn("access denied: add the action to the function's Policies in the template, if it should have it",
		"function", function, "action", action, "resource", resource)
	return d
}

func decide(policies []Statement, action, resource string) verdict {
	v := implicitlyDenied
	for i := range policies {
		if s := &policies[i]; s.covers(action, resource) {
			if s.Deny {
				return explicitlyDenied
			}
			v = allowed
		}
	}
	return v
}
