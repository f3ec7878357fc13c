// Package template reads a SAM template and says what of it the local cloud runs: the API, the
// functions with their environment, the tables, the stream's mapping, the user pools, the outputs.
// It knows what a stack like Duet's is made of. Whatever else a template has is refused by name,
// with its line: nothing is silently left out.
package template

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/duet-chat/duet/localstack/cognito"
	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/gateway"
	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/streams"
)

// urlSuffix is AWS::URLSuffix. URLs of services that the local cloud stands in for are made local
// after evaluation, so that they can be recognized.
const urlSuffix = "amazonaws.com"

// Options of reading a template.
type Options struct {
	// Parameters by name override the template's defaults.
	Parameters             map[string]string
	Stack, Region, Account string
	// Host is where the local cloud answers, as in localhost:4566.
	Host string
	// CreateTable makes a table, or finds it: its stream's ARN is needed to go on.
	CreateTable func(dynamodb.TableSpec) (dynamodb.TableInfo, error)
}

// Stack is what the local cloud runs.
type Stack struct {
	API       *gateway.API // nil if there is none
	Functions []lambda.Function
	Mappings  []streams.Mapping
	Queues    []string // ARNs
	Pools     []cognito.Pool
	Outputs   map[string]string
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
}

// Load reads a template.
func Load(file string, o Options) (*Stack, error) {
	root, err := parse(file)
	if err != nil {
		return nil, err
	}
	r := &reader{Options: o, stack: &Stack{Outputs: map[string]string{}}}
	r.scope = &scope{
		parameters: map[string]string{}, conditions: map[string]*node{}, resources: map[string]*resource{},
		region: o.Region, account: o.Account, stack: o.Stack, deciding: map[string]bool{},
	}
	if err := known(root, "template", "AWSTemplateFormatVersion", "Transform", "Description", "Metadata", "Parameters", "Mappings", "Conditions", "Globals", "Resources", "Outputs"); err != nil {
		return nil, err
	}
	if m := root.members["Mappings"]; m != nil {
		return nil, m.fail("the local cloud does not know Mappings: use Parameters or Conditions")
	}
	for _, read := range []func(*node) error{r.readParameters, r.readConditions, r.readGlobals, r.readResources, r.readOutputs} {
		if err := read(root); err != nil {
			return nil, err
		}
	}
	return r.stack, nil
}

// known refuses members that nobody knows.
func known(n *node, what string, names ...string) error {
	if n.members == nil {
		return n.fail("%s must be a map, this is %s", what, n.kind())
	}
	for _, key := range n.keys {
		if !slices.Contains(names, key) {
			slices.Sort(names)
			return n.members[key].fail("the local cloud does not know %s in a %s: it knows %s", key, what, strings.Join(names, ", "))
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
	if err := known(g, "Globals section", "Function", "WebSocketApi"); err != nil {
		return err
	}
	if r.globals = g.members["Function"]; r.globals == nil {
		return nil
	}
	return known(r.globals, "Globals section's Function", kinds["AWS::Serverless::Function"].properties...)
}

func (r *reader) readResources(root *node) error {
	all := root.members["Resources"]
	if all == nil || len(all.keys) == 0 {
		return root.fail("the template has no Resources")
	}
	for _, id := range all.keys {
		n := all.members[id]
		if err := known(n, "resource", "Type", "Properties", "Condition", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "Metadata"); err != nil {
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
			return n.members["Type"].fail("the local cloud does not know resources of type %s: it knows %s", kind, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
		}
		res := &resource{id: id, kind: kind, node: n, properties: n.members["Properties"]}
		if res.properties == nil {
			res.properties = &node{file: n.file, line: n.line, members: map[string]*node{}}
		}
		if err := known(res.properties, kind, kinds[kind].properties...); err != nil {
			return err
		}
		r.name(res)
		r.resources = append(r.resources, res)
		r.scope.resources[id] = res
	}
	// What others refer to is read first: tables have streams, functions use all of them.
	for _, phase := range []int{tables, functions, rest} {
		for _, res := range r.resources {
			if kinds[res.kind].phase != phase {
				continue
			}
			properties, err := r.scope.eval(res.properties)
			if err != nil {
				return err
			}
			if err := kinds[res.kind].read(r, res, properties); err != nil {
				return err
			}
		}
	}
	return r.check()
}

// Phases of reading.
const (
	tables = iota
	functions
	rest
)

// name gives a resource what others can refer to. A table's stream is known when it is made.
func (r *reader) name(res *resource) {
	id := res.id
	arn := func(service, rest string) string {
		return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, r.Region, r.Account, rest)
	}
	res.ref, res.attributes = id, map[string]string{}
	switch res.kind {
	case "AWS::Serverless::Function":
		res.attributes["Arn"] = arn("lambda", "function:"+id)
	case "AWS::DynamoDB::Table":
		res.ref = r.tableName(res)
		res.attributes["Arn"] = arn("dynamodb", "table/"+res.ref)
	case "AWS::Serverless::WebSocketApi":
		res.ref = apiID(r.Stack, id)
		res.attributes["ApiEndpoint"] = fmt.Sprintf("wss://%s.execute-api.%s.%s", res.ref, r.Region, urlSuffix)
		res.attributes["ApiId"] = res.ref
		r.nameRoutes(res)
	case "AWS::Cognito::UserPool":
		pool := cognito.PoolID(r.Region, r.Stack+"-"+id)
		host := fmt.Sprintf("cognito-idp.%s.%s/%s", r.Region, urlSuffix, pool)
		res.ref = pool
		res.attributes = map[string]string{
			"Arn": arn("cognito-idp", "userpool/"+pool), "UserPoolId": pool, "ProviderName": host, "ProviderURL": "https://" + host,
		}
	case "AWS::Cognito::UserPoolClient":
		res.ref = cognito.ClientID(r.Stack + "-" + id)
		res.attributes["ClientId"] = res.ref
	case "AWS::SQS::Queue":
		res.ref = fmt.Sprintf("https://sqs.%s.%s/%s/%s", r.Region, urlSuffix, r.Account, r.Stack+"-"+id)
		res.attributes = map[string]string{"Arn": arn("sqs", r.Stack+"-"+id), "QueueName": r.Stack + "-" + id, "QueueUrl": res.ref}
	case "AWS::Logs::LogGroup":
		res.attributes["Arn"] = arn("logs", "log-group:"+id)
	}
}

func (r *reader) tableName(res *resource) string {
	if n := res.properties.members["TableName"]; n != nil && n.scalar != nil {
		return *n.scalar
	}
	return r.Stack + "-" + res.id
}

// nameRoutes names what SAM makes of an API: a route resource for each route, and the stage.
func (r *reader) nameRoutes(res *resource) {
	routes := res.properties.members["Routes"]
	if routes == nil || routes.members == nil {
		return
	}
	for _, key := range routes.keys {
		short := strings.TrimPrefix(key, "$")
		if short == "" {
			continue
		}
		id := res.id + strings.ToUpper(short[:1]) + short[1:] + "Route"
		r.scope.resources[id] = &resource{id: id, kind: "AWS::ApiGatewayV2::Route", ref: res.id + " " + key, node: routes.members[key]}
	}
	if stage := res.properties.members["StageName"]; stage != nil && stage.scalar != nil {
		res.attributes["Stage"] = *stage.scalar
	}
}

// apiID makes an API's id in the form of AWS's, always the same for the same stack.
func apiID(stack, id string) string {
	return cognito.ClientID("api " + stack + "-" + id)[:10]
}

// local makes the URLs of services that this process stands in for local ones.
func (r *reader) local(value string) string {
	if rest, ok := strings.CutPrefix(value, fmt.Sprintf("https://cognito-idp.%s.%s", r.Region, urlSuffix)); ok {
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
	for _, name := range outputs.keys {
		n := outputs.members[name]
		if err := known(n, "output", "Value", "Description", "Condition", "Export"); err != nil {
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

// check looks at what only the whole stack shows.
func (r *reader) check() error {
	for _, m := range r.stack.Mappings {
		if _, ok := r.stack.FunctionNamed(m.Function); !ok {
			return fmt.Errorf("event source mapping %s: there is no function %s in this template", m.Name, m.Function)
		}
	}
	return nil
}

// ---- Typed access to evaluated properties ---------------------------------------------------------

func (n *node) at(name string) *node {
	if n == nil || n.members == nil {
		return nil
	}
	return n.members[name]
}

func (n *node) str(name, otherwise string) (string, error) {
	v := n.at(name)
	if v == nil {
		return otherwise, nil
	}
	if v.scalar == nil {
		return "", v.fail("%s must be a string, this is %s", name, v.kind())
	}
	return *v.scalar, nil
}

func (n *node) need(name string) (string, error) {
	v, err := n.str(name, "")
	if err == nil && v == "" {
		err = n.fail("%s is missing", name)
	}
	return v, err
}

func (n *node) integer(name string, otherwise int) (int, error) {
	v, err := n.str(name, strconv.Itoa(otherwise))
	if err != nil {
		return 0, err
	}
	i, err := strconv.Atoi(v)
	if err != nil {
		return 0, n.at(name).fail("%s must be an integer, not %q", name, v)
	}
	return i, nil
}

func (n *node) boolean(name string, otherwise bool) (bool, error) {
	v, err := n.str(name, strconv.FormatBool(otherwise))
	if err != nil {
		return false, err
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, n.at(name).fail("%s must be true or false, not %q", name, v)
	}
	return b, nil
}

func (n *node) strings(name string) ([]string, error) {
	v := n.at(name)
	if v == nil {
		return nil, nil
	}
	var all []string
	for _, e := range v.list {
		if e.scalar == nil {
			return nil, e.fail("%s must be a list of strings, this is %s", name, e.kind())
		}
		all = append(all, *e.scalar)
	}
	return all, nil
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// functionOf is the name in a function's ARN or Ref; it must be one of the stack's.
func (r *reader) functionOf(n *node, name string) (string, error) {
	v, err := n.need(name)
	if err != nil {
		return "", err
	}
	id := v[strings.LastIndexByte(v, ':')+1:]
	if res := r.scope.resources[id]; res == nil || res.kind != "AWS::Serverless::Function" {
		return "", n.at(name).fail("%s is %q, which is no function of this template", name, v)
	}
	return id, nil
}

// folder is the last element of a function's CodeUri.
func folder(codeURI string) string { return path.Base(strings.TrimSuffix(codeURI, "/")) }
