// Package iam lets a function do only what its role in the template allows, so that a missing
// permission fails here as it would on AWS. The account's owner, who is everybody else, may do all.
// Source: IAM user guide, "Policy evaluation logic".
package iam

import (
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Guard.
type Options struct {
	Region, Account string
	Now             func() time.Time // nil for time.Now
	Log             *slog.Logger
}

// Policies are what is in force.
type Policies struct {
	// Roles are what functions act as, by the functions' names.
	Roles map[string]Role
	// PartitionKeys are the names of tables' partition keys, by the tables' names, and those of their
	// indexes by TABLE/index/INDEX.
	PartitionKeys map[string]string
}

// Guard decides what functions may do. It is safe for concurrent use.
type Guard struct {
	Options
	rules atomic.Pointer[rules]

	mu     sync.Mutex // guards what follows
	denied map[string]map[Right]bool
}

// rules are the policies of one deployment, with what was decided by them.
type rules struct {
	functions     map[string]*function
	partitionKeys map[string]string
	decided       sync.Map // of request to verdict
}

// function is what a function acts as.
type function struct {
	role  Role
	rules []*rule
}

// request is an action of a function on a resource.
type request struct{ function, action, resource string }

type verdict int

const (
	implicitlyDenied verdict = iota
	explicitlyDenied
	allowed
	conditional // is decided for each request
)

// New makes a Guard by which no function may do anything yet.
func New(o Options) *Guard {
	if o.Now == nil {
		o.Now = time.Now
	}
	g := &Guard{Options: o, denied: map[string]map[Right]bool{}}
	g.rules.Store(&rules{})
	return g
}

// Set puts other policies in force. What was used of those before is remembered.
func (g *Guard) Set(p Policies) {
	before := g.Rights()
	next := &rules{functions: map[string]*function{}, partitionKeys: maps.Clone(p.PartitionKeys)}
	for name, role := range p.Roles {
		f := &function{role: role}
		for i := range role.Statements {
			f.rules = append(f.rules, newRule(&role.Statements[i]))
		}
		f.remember(before[name].Used)
		next.functions[name] = f
	}
	g.rules.Store(next)
}

// Denied reports an action that a function's policies do not allow. Its text is AWS's.
type Denied struct {
	Function, Action, Resource string
	text                       string
}

func (d *Denied) Error() string { return d.text }

// Check returns a *Denied if a function may not do something; "" is the owner.
func (g *Guard) Check(function, action, resource string) error {
	return g.check(function, function, action, resource, itemRequest{})
}

// check is Check of a request, for conditions. It is made by the function, or by "", that is Lambda,
// with its role.
func (g *Guard) check(function, by, action, resource string, items itemRequest) error {
	if function == "" {
		return nil
	}
	q := request{function, action, resource}
	r := g.rules.Load()
	f := r.functions[function]
	known, ok := r.decided.Load(q)
	v, _ := known.(verdict)
	if !ok || v == conditional {
		var changing bool
		v, changing = f.decide(action, resource, g.context(by, f, items))
		// Tables and queues are few.
		if !ok && len(resource) < 256 && !strings.Contains(resource, connections) {
			if changing {
				r.decided.Store(q, conditional)
			} else {
				r.decided.Store(q, v)
			}
		}
	}
	if v == allowed {
		return nil
	}
	because := "because no identity-based policy allows the " + action + " action"
	if v == explicitlyDenied {
		because = "with an explicit deny in an identity-based policy"
	}
	role := function + "Role" // of a function that is not in the template any more
	if f != nil {
		role = f.role.Name
	}
	g.noteDenied(function, action, resource)
	g.Log.Warn("access denied: add the action to the function's policies in the template, if it should have it",
		"function", function, "action", action, "resource", resource)
	return &Denied{Function: function, Action: action, Resource: resource, text: fmt.Sprintf(
		"User: arn:aws:sts::%s:assumed-role/%s/%s is not authorized to perform: %s on resource: %s %s",
		g.Account, role, function, action, resource, because)}
}

// connections is in the ARN of every connection.
const connections = "/@connections/"

// decide tells whether something is allowed, and whether that may be otherwise for another request of
// the same action on the same resource.
func (f *function) decide(action, resource string, context values) (v verdict, changing bool) {
	if f == nil {
		return implicitlyDenied, false
	}
	action = strings.ToLower(action)
	var allow []*rule
	for _, r := range f.rules {
		if !r.covers(action, resource) {
			continue
		}
		changing = changing || len(r.Conditions) > 0
		switch {
		case !r.holds(context):
		case r.Deny:
			v = explicitlyDenied
		default:
			allow = append(allow, r)
		}
	}
	if v == explicitlyDenied || len(allow) == 0 {
		return v, changing
	}
	for _, r := range allow {
		r.use(action, resource)
	}
	return allowed, changing
}

// holds tells whether a request meets all of the rule's conditions.
func (r *rule) holds(context values) bool {
	for i := range r.Conditions {
		if !r.Conditions[i].holds(context) {
			return false
		}
	}
	return true
}
