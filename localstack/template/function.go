package template

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/duet-chat/duet/localstack/lambda"
)

// functionSchema is what SAM's and CloudFormation's functions have in common, and more.
func functionSchema(more schema) schema {
	return with(with(names(
		"Handler", "Runtime", "Architectures", "MemorySize", "Timeout", "Description", "FunctionName", "Role", "Tags", "LoggingConfig", "PackageType",
		"ReservedConcurrentExecutions", "EphemeralStorage", "KmsKeyArn", "RuntimeManagementConfig", "VpcConfig", "RecursiveLoop", "CodeSigningConfigArn",
	), schema{"Environment": names("Variables")}), more)
}

// functionKinds are the types of functions.
var functionKinds = []string{"AWS::Serverless::Function", "AWS::Lambda::Function"}

func (r *reader) readFunction(res *resource, p *node) error {
	f := lambda.Function{Name: res.ref, Env: map[string]string{}}
	if n := p.at("FunctionName"); n != nil && !functionNames.MatchString(res.ref) {
		return n.fail("a FunctionName is made of letters, digits, - and _, at most 64, %q is not", res.ref)
	}
	if err := r.readRuntime(res, p); err != nil {
		return err
	}
	if err := r.checkArchitecture(res, p); err != nil {
		return err
	}
	if err := r.readCode(&f, res, p); err != nil {
		return err
	}
	// Defaults: Lambda's. Source: Lambda API reference, CreateFunction.
	timeout, err := r.functionNumber(res, p, "Timeout", 3, 1, 900)
	if err != nil {
		return err
	}
	if f.MemoryMB, err = r.functionNumber(res, p, "MemorySize", 128, 128, 10_240); err != nil {
		return err
	}
	if err := r.readReserved(&f, res, p); err != nil {
		return err
	}
	f.Timeout = seconds(timeout)
	if err := r.readVariables(&f, res, p); err != nil {
		return err
	}
	if err := r.readRoleOf(f.Name, res, p); err != nil {
		return err
	}
	if slices.ContainsFunc(r.stack.Functions, func(other lambda.Function) bool { return other.Name == f.Name }) {
		return p.fail("another function is named %s already", f.Name)
	}
	r.stack.Functions = append(r.stack.Functions, f)
	return nil
}

// functionProperty is a property of a function, or its global value; nil without either.
func (r *reader) functionProperty(res *resource, p *node, name string) (*node, error) {
	n := p.at(name)
	if n != nil || res.kind != "AWS::Serverless::Function" || r.globals.at(name) == nil {
		return n, nil
	}
	return r.scope.of(res, r.globals.at(name))
}

// functionText is a property that is a string, with where it stands; "" without it.
func (r *reader) functionText(res *resource, p *node, name string) (string, *node, error) {
	n, err := r.functionProperty(res, p, name)
	if err != nil || n == nil {
		return "", p, err
	}
	if n.scalar == nil {
		return "", n, n.fail("%s must be a string, this is %s", name, n.kind())
	}
	return *n.scalar, n, nil
}

// functionNumber is a property that is an integer, from least to most.
func (r *reader) functionNumber(res *resource, p *node, name string, otherwise, least, most int) (int, error) {
	text, n, err := r.functionText(res, p, name)
	if err != nil || text == "" {
		return otherwise, err
	}
	i, err := strconv.Atoi(text)
	if err != nil {
		return 0, n.fail("%s must be an integer, not %q", name, text)
	}
	if i < least || i > most {
		return 0, n.fail("%s must be %d to %d, not %d", name, least, most, i)
	}
	return i, nil
}

// readReserved reads what concurrency a function has for itself. AWS leaves at least 100 to the
// functions that have none. Source: Lambda API reference, PutFunctionConcurrency.
func (r *reader) readReserved(f *lambda.Function, res *resource, p *node) error {
	const name, most = "ReservedConcurrentExecutions", lambda.DefaultConcurrent - 100
	n, err := r.functionProperty(res, p, name)
	if err != nil || n == nil {
		return err
	}
	reserved, err := r.functionNumber(res, p, name, 0, 0, most)
	if err != nil {
		return err
	}
	f.ReservedConcurrency = &reserved
	for _, other := range r.stack.Functions {
		if other.ReservedConcurrency != nil {
			reserved += *other.ReservedConcurrency
		}
	}
	if reserved > most {
		return n.fail("the functions reserve %d concurrent executions: of an account's %d they may reserve %d", reserved, lambda.DefaultConcurrent, most)
	}
	return nil
}

// runtimes are those of Go functions, with why AWS does not make functions of them any more.
var runtimes = map[string]string{
	"provided.al2023": "", "provided.al2": "",
	"go1.x":    "AWS retired the runtime go1.x on 8 January 2024: give it provided.al2023",
	"provided": "AWS retired the runtime provided on 8 January 2024: give it provided.al2023",
}

func (r *reader) readRuntime(res *resource, p *node) error {
	packaging, at, err := r.functionText(res, p, "PackageType")
	if err != nil {
		return err
	}
	if packaging == "Image" {
		return at.fail("the function %s is a container image: the local cloud runs Go functions from their code, with PackageType Zip and CodeUri", res.id)
	}
	for _, name := range []string{"InlineCode", "ImageUri"} {
		if n := p.at(name); n != nil {
			return n.fail("the function %s has %s: the local cloud runs Go functions from their code, with CodeUri", res.id, name)
		}
	}
	runtime, at, err := r.functionText(res, p, "Runtime")
	if err != nil {
		return err
	}
	why, known := runtimes[runtime]
	switch {
	case runtime == "":
		return p.fail("the function %s has no Runtime: give it provided.al2023", res.id)
	case !known:
		return at.fail("the function %s has the runtime %s: the local cloud runs Go functions only, of the runtimes provided.al2023, provided.al2 and go1.x", res.id, runtime)
	case why != "":
		r.warn(at, "the function %s is run as one of provided.al2023: %s", res.id, why)
	}
	return nil
}

// checkArchitecture: a function is built for this machine, whatever the architecture is on AWS.
func (r *reader) checkArchitecture(res *resource, p *node) error {
	n, err := r.functionProperty(res, p, "Architectures")
	if err != nil || n == nil {
		return err
	}
	if len(n.list) != 1 || n.list[0].scalar == nil || !slices.Contains([]string{"arm64", "x86_64"}, *n.list[0].scalar) {
		return n.fail("Architectures must be [arm64] or [x86_64]")
	}
	return nil
}

// readCode finds a function's code, and how its binary is made of it.
func (r *reader) readCode(f *lambda.Function, res *resource, p *node) error {
	property := "CodeUri"
	if res.kind == "AWS::Lambda::Function" {
		property = "Code"
	}
	if n := p.at(property); n != nil && n.scalar == nil {
		return n.fail("the code of the function %s is packaged already, or inline: the local cloud builds it from a folder, give that as %s", res.id, property)
	}
	uri, at, err := r.functionText(res, p, property)
	switch {
	case err != nil:
		return err
	case uri == "":
		return p.fail("%s is missing: give the function %s the folder of its code", property, res.id)
	case strings.Contains(uri, "://") || strings.HasSuffix(uri, ".zip"):
		return at.fail("%s is %q: the local cloud builds functions from a folder", property, uri)
	}
	f.Folder = path.Clean(uri)
	f.At = fmt.Sprintf("%s:%d", at.file, at.line)
	if f.Handler, _, err = r.functionText(res, p, "Handler"); err != nil {
		return err
	}
	if f.Handler == "" {
		r.warn(res.node, "the function %s has no Handler: AWS refuses it, give it bootstrap", res.id)
	}
	if method := res.node.members["Metadata"].at("BuildMethod"); method != nil && method.scalar != nil {
		switch *method.scalar {
		case "go1.x":
		case "makefile":
			f.MakeTarget = "build-" + res.id
		default:
			return method.fail("the local cloud builds Go functions only, with the BuildMethod go1.x or makefile, not %q", *method.scalar)
		}
	}
	return nil
}

// Source: Lambda API reference, CreateFunction, FunctionName; Environment, Variables; developer guide, "Defined runtime environment
// variables", those that are reserved.
var (
	functionNames     = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	variableNames     = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]+$`)
	reservedVariables = []string{
		"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
		"AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
		"AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API",
		"LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
	}
)

// readVariables reads a function's environment; its own variables beat the global ones.
func (r *reader) readVariables(f *lambda.Function, res *resource, p *node) error {
	sources := []*node{p.at("Environment").at("Variables")}
	if global := r.globals.at("Environment").at("Variables"); global != nil && res.kind == "AWS::Serverless::Function" {
		evaluated, err := r.scope.of(res, global)
		if err != nil {
			return err
		}
		sources = []*node{evaluated, sources[0]}
	}
	for _, source := range sources {
		if source == nil {
			continue
		}
		if source.members == nil {
			return source.fail("Variables must be a map, this is %s", source.kind())
		}
		for _, key := range source.keys {
			value, err := source.str(key, "")
			if err != nil {
				return err
			}
			if !variableNames.MatchString(key) {
				return source.members[key].fail("%q is no name of a variable: it begins with a letter and has letters, digits and _, 2 at least", key)
			}
			if slices.Contains(reservedVariables, key) {
				return source.members[key].fail("Lambda sets the variable %s itself, and takes no other value for it: give yours another name", key)
			}
			f.Env[key] = r.local(value)
		}
	}
	return nil
}

// functionOf is the name in a function's ARN, with an alias or without, or in its Ref; it must be one
// of the stack's.
func (r *reader) functionOf(n *node, name string) (string, error) {
	v, err := n.need(name)
	if err != nil {
		return "", err
	}
	function, ok := r.functionNamed(v)
	if !ok {
		return "", n.at(name).fail("%s is %q, which is no function of this template: it has %s", name, v, listed(r.functionNames()))
	}
	return function, nil
}

func (r *reader) functionNamed(v string) (string, bool) {
	if _, after, ok := strings.Cut(v, ":function:"); ok {
		v = after
	}
	v, _, _ = strings.Cut(v, ":") // an alias, or a version: here there is only the newest
	return v, slices.Contains(r.functionNames(), v)
}

func (r *reader) functionNames() []string {
	all := map[string]bool{}
	for _, res := range r.resources {
		if slices.Contains(functionKinds, res.kind) {
			all[res.ref] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}
