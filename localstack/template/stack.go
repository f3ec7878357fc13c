// Package template reads a SAM template and says what of it the local cloud runs: the API, the
// functions with their environment, the tables, the stream's mapping, the user pools, the outputs.
// It knows what a stack like Duet's is made of. Whatever else a template has is refused by name,
// with its line: nothing is silently left out.
package template

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/duet-chat/duet/localstack/cognito"
	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/events"
	"github.com/duet-chat/duet/localstack/gateway"
	"github.com/duet-chat/duet/localstack/iam"
	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/sqs"
	"github.com/duet-chat/duet/localstack/streams"
)

// urlSuffix is AWS::URLSuffix. URLs of services that the local cloud stands in for are made local
// after evaluation, so that they can be recognized.
const urlSuffix = "amazonaws.com"

// Options of reading a template.
type Options struct {
	// Parameters by name override the template's defaults.
	Parameters map[string]string
	// Suggested are values for parameters that the template may have or not.
	Suggested              map[string]string
	Stack, Region, Account string
	// Host is where the local cloud answers, as in localhost:4566.
	Host string
	// CreateTable makes a table or plans it, or finds it: its stream's ARN is needed to go on.
	CreateTable func(dynamodb.TableSpec) (dynamodb.TableInfo, error)
	// UserPools are those that are elsewhere.
	UserPools UserPools
	// CheckTables says what is wrong with the tables as a whole, once all are known; may be nil.
	CheckTables func() error
}

// UserPools are user pools that are elsewhere, and so have ids of their own.
type UserPools struct {
	IDs     map[string]string // of pools and clients, by their names in the template
	Issuers map[string]string // of tokens, by the pool's id
}

// Stack is what the local cloud runs.
type Stack struct {
	API       *gateway.API // nil if there is none
	Functions []lambda.Function
	// Policies are what each function may do.
	Policies iam.Policies
	Mappings []streams.Mapping
	Queues   []sqs.Queue
	Pools    []cognito.Pool
	// EventBuses are the names of EventBridge's buses besides the default one.
	EventBuses []string
	EventRules []events.Rule
	Outputs    map[string]string
	// Declared is where each resource stands, in the order of the template.
	Declared []Declared
	// Warnings say what is run differently than it stands there, each with its file and line.
	Warnings []string
}

// Declared is a resource that is made.
type Declared struct {
	ID, Kind string
	At       string // as in template.yaml:17
}

// Where is where a resource of a type stands, or the first of the types if it has no id.
func (s *Stack) Where(id string, kinds ...string) string {
	for _, d := range s.Declared {
		if d.ID == id || id == "" && slices.Contains(kinds, d.Kind) {
			return d.At
		}
	}
	return ""
}

// FunctionNamed finds a function by its name.
func (s *Stack) FunctionNamed(name string) (lambda.Function, bool) {
	i := slices.IndexFunc(s.Functions, func(f lambda.Function) bool { return f.Name == name })
	if i < 0 {
		return lambda.Function{}, false
	}
	return s.Functions[i], true
}

// reader is a template being read.
type reader struct {
	Options
	scope     *scope
	resources []*resource // that are made, in the order of the template
	globals   *node       // of functions; nil without
	stack     *Stack

	roles           map[string]*role           // by ARN
	managedPolicies map[string][]iam.Statement // of the template, by ARN
	attached        map[string][]iam.Statement // by the name of the role that a policy names
	streams         map[string]string          // by ARN: the ARN that policies are compared with, see iam.Guard.Own
}

// Load reads a template.
func Load(file string, o Options) (*Stack, error) {
	root, err := parse(file)
	if err != nil {
		return nil, err
	}
	r := &reader{Options: o, stack: &Stack{Outputs: map[string]string{}, Policies: iam.Policies{Roles: map[string]iam.Role{}, PartitionKeys: map[string]string{}}},
		roles: map[string]*role{}, managedPolicies: map[string][]iam.Statement{}, attached: map[string][]iam.Statement{}, streams: map[string]string{}}
	r.scope = &scope{
		parameters: map[string]*node{}, conditions: map[string]*node{}, resources: map[string]*resource{},
		region: o.Region, account: o.Account, stack: o.Stack, deciding: map[string]bool{},
		name: r.name,
	}
	if err := known(root, "a template", "AWSTemplateFormatVersion", "Transform", "Description", "Metadata", "Parameters", "Mappings", "Conditions", "Globals", "Resources", "Outputs"); err != nil {
		return nil, err
	}
	for _, read := range []func(*node) error{readVersionOf, r.readTransform, r.readParameters, r.readMappings, r.readConditions, r.readGlobals, r.readResources, r.readOutputs} {
		if err := read(root); err != nil {
			return nil, err
		}
	}
	return r.stack, nil
}

// readVersionOf refuses what is no version of templates: there has been one only.
func readVersionOf(root *node) error {
	const only = "2010-09-09"
	v, err := root.str("AWSTemplateFormatVersion", only)
	if err == nil && v != only {
		err = root.at("AWSTemplateFormatVersion").fail("AWSTemplateFormatVersion must be %s, not %q", only, v)
	}
	return err
}

// readTransform refuses macros other than SAM: what they make of the template cannot be known here.
func (r *reader) readTransform(root *node) error {
	t := root.members["Transform"]
	if t == nil {
		return nil
	}
	all := []*node{t}
	if t.list != nil {
		all = t.list
	}
	for _, n := range all {
		if n.scalar == nil || *n.scalar != "AWS::Serverless-2016-10-31" {
			return n.fail("the local cloud knows the Transform AWS::Serverless-2016-10-31 only: write out what another one makes")
		}
	}
	return nil
}

func (r *reader) readConditions(root *node) error {
	if c := root.members["Conditions"]; c != nil {
		if c.members == nil {
			return c.fail("Conditions must be a map, this is %s", c.kind())
		}
		r.scope.conditions = c.members
		for _, name := range c.keys {
			if _, err := r.scope.condition(c, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) readGlobals(root *node) error {
	g := root.members["Globals"]
	if g == nil {
		return nil
	}
	// Those of types that no template here can have mean nothing, as on AWS.
	if err := known(g, "Globals", "Function", "SimpleTable", "Api", "HttpApi", "StateMachine", "LayerVersion"); err != nil {
		return err
	}
	if r.globals = g.members["Function"]; r.globals == nil {
		return nil
	}
	for _, name := range []string{"Policies", "Role", "Events"} { // SAM refuses them
		if n := r.globals.at(name); n != nil {
			return n.fail("SAM takes no %s in Globals.Function: write it with each function", name)
		}
	}
	return kinds["AWS::Serverless::Function"].properties.check(r.globals, "Globals.Function")
}

func (r *reader) readResources(root *node) error {
	all := root.members["Resources"]
	if all != nil && all.members == nil {
		return all.fail("Resources must be a map, this is %s", all.kind())
	}
	if all == nil || len(all.keys) == 0 {
		return root.fail("the template has no Resources")
	}
	sam := root.members["Transform"] != nil
	for _, id := range all.keys {
		n := all.members[id]
		if strings.Trim(id, alphanumeric) != "" {
			return n.fail("the name %q of a resource must be made of letters and digits", id)
		}
		if err := known(n, "a resource", "Type", "Properties", "Condition", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "Metadata"); err != nil {
			return err
		}
		if holds, err := r.scope.made(n); err != nil || !holds {
			if err != nil {
				return err
			}
			continue
		}
		if n.members["Type"] == nil || n.members["Type"].scalar == nil {
			return n.fail("the resource %s has no Type", id)
		}
		kind := *n.members["Type"].scalar
		if kinds[kind].read == nil {
			return n.members["Type"].fail("%s", unknownKind(kind))
		}
		if !sam && strings.HasPrefix(kind, "AWS::Serverless::") {
			sam = true // said once
			r.warn(n.members["Type"], "AWS knows %s in templates with Transform: AWS::Serverless-2016-10-31 only, and this one has none", kind)
		}
		res := &resource{id: id, kind: kind, node: n, properties: n.members["Properties"]}
		if res.properties == nil {
			res.properties = &node{file: n.file, line: n.line, members: map[string]*node{}}
		}
		if err := known(res.properties, kind, slices.Collect(maps.Keys(kinds[kind].properties))...); err != nil {
			return err
		}
		r.resources = append(r.resources, res)
		r.scope.resources[id] = res
		r.stack.Declared = append(r.stack.Declared, Declared{ID: id, Kind: kind, At: fmt.Sprintf("%s:%d", n.file, n.line)})
	}
	for _, res := range r.resources {
		if err := r.name(res); err != nil {
			return err
		}
	}
	for _, res := range r.resources {
		if err := r.readDependsOn(res, all.keys); err != nil {
			return err
		}
	}
	// What others refer to is read first: tables have streams, functions use all of them.
	for _, phase := range []int{tables, policies, roles, functions, rest} {
		if phase == policies && r.CheckTables != nil {
			if err := r.CheckTables(); err != nil {
				return all.fail("%v", err)
			}
		}
		if phase == functions {
			if err := r.readMadeRoles(); err != nil {
				return err
			}
		}
		if phase == rest {
			if err := r.readAllEvents(); err != nil {
				return err
			}
		}
		for _, res := range r.resources {
			if kinds[res.kind].phase != phase {
				continue
			}
			properties, err := r.evaluated(res)
			if err != nil {
				return err
			}
			if err := kinds[res.kind].properties.check(properties, res.kind); err != nil {
				return err
			}
			if err := kinds[res.kind].read(r, res, properties); err != nil {
				return err
			}
		}
	}
	return r.checkCircles()
}

// unknownKind says that a type of resources is not known, and which ones of its service are.
func unknownKind(kind string) string {
	service := kind[:max(0, strings.LastIndex(kind, "::"))]
	var known []string
	for _, other := range slices.Sorted(maps.Keys(kinds)) {
		if name, ok := strings.CutPrefix(other, service+"::"); ok {
			known = append(known, name)
		}
	}
	if len(known) == 0 {
		return fmt.Sprintf("the local cloud does not know resources of type %s, and it knows nothing else of that service: take it out, or give it a Condition that does not hold here", kind)
	}
	return fmt.Sprintf("the local cloud does not know resources of type %s: it knows %s of %s; take it out, or give it a Condition that does not hold here", kind, listed(known), service)
}

// warn notes what is run differently than it stands there.
func (r *reader) warn(at *node, format string, args ...any) {
	r.stack.Warnings = append(r.stack.Warnings, fmt.Sprintf("%s:%d: ", at.file, at.line)+fmt.Sprintf(format, args...))
}

// evaluated is a resource's properties without intrinsic functions.
func (r *reader) evaluated(res *resource) (*node, error) { return r.scope.of(res, res.properties) }

// Phases of reading.
const (
	tables = iota
	policies
	roles
	functions
	rest
)

// local makes the URLs of services that this process stands in for local ones.
func (r *reader) local(value string) string {
	if rest, ok := strings.CutPrefix(value, fmt.Sprintf("https://cognito-idp.%s.%s", r.Region, urlSuffix)); ok {
		if issuer := r.UserPools.Issuers[strings.TrimPrefix(rest, "/")]; issuer != "" {
			return issuer
		}
		return "http://" + r.Host + rest
	}
	if rest, ok := strings.CutPrefix(value, fmt.Sprintf("https://sqs.%s.%s", r.Region, urlSuffix)); ok {
		return "http://" + r.Host + rest
	}
	scheme, rest, ok := strings.Cut(value, "://")
	host, stage, _ := strings.Cut(rest, "/")
	if !ok || !strings.HasSuffix(host, fmt.Sprintf(".execute-api.%s.%s", r.Region, urlSuffix)) {
		return value
	}
	switch scheme {
	case "wss":
		return "ws://" + r.Host + "/" + stage
	case "https":
		return "http://" + r.Host + "/" + stage
	}
	return value
}

func (r *reader) readOutputs(root *node) error {
	outputs := root.members["Outputs"]
	if outputs == nil {
		return nil
	}
	if outputs.members == nil {
		return outputs.fail("Outputs must be a map, this is %s", outputs.kind())
	}
	for _, name := range outputs.keys {
		n := outputs.members[name]
		if err := known(n, "an output", "Value", "Description", "Condition", "Export"); err != nil {
			return err
		}
		if holds, err := r.scope.made(n); err != nil || !holds {
			if err != nil {
				return err
			}
			continue
		}
		if n.members["Value"] == nil {
			return n.fail("the output %s has no Value", name)
		}
		value, err := r.scope.text(n.members["Value"])
		if err != nil {
			return err
		}
		r.stack.Outputs[name] = r.local(value)
	}
	return nil
}
