package template

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Error says what is wrong with a template, where, and what to do.
type Error struct {
	File    string
	Line    int
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message) }

// node is a part of a template: a scalar, a list, a map, or an intrinsic function with its
// argument. It knows its line.
type node struct {
	file string
	line int

	intrinsic string // as in Ref, Sub, GetAtt; its argument is in list[0]
	scalar    *string
	list      []*node
	keys      []string // of a map, in order
	members   map[string]*node
}

func (n *node) fail(format string, args ...any) error {
	return &Error{n.file, n.line, fmt.Sprintf(format, args...)}
}

// parse reads a file as a tree of nodes.
func parse(file string) (*node, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the template cannot be read, name another with --template: %w", err)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // which some editors put first
	tree, err := parser.ParseBytes(data, 0)
	var located yaml.Error
	switch {
	case errors.As(err, &located) && located.GetToken() != nil:
		return nil, &Error{file, located.GetToken().Position.Line, "this is not YAML: " + located.GetMessage()}
	case err != nil:
		return nil, fmt.Errorf("%s is not YAML: %w", file, err)
	}
	if len(tree.Docs) == 0 || len(tree.Docs) == 1 && tree.Docs[0].Body == nil {
		return nil, &Error{file, 1, "the template is empty: it needs Resources at least"}
	}
	if len(tree.Docs) != 1 {
		return nil, fmt.Errorf("%s: a template is one YAML document, this file has %d", file, len(tree.Docs))
	}
	return convert(file, tree.Docs[0].Body)
}

// intrinsics are the functions that the local cloud evaluates, by their long names.
var intrinsics = map[string]string{
	"Ref": "Ref", "Condition": "Condition", "Fn::Sub": "Sub", "Fn::GetAtt": "GetAtt", "Fn::If": "If",
	"Fn::Equals": "Equals", "Fn::Not": "Not", "Fn::And": "And", "Fn::Or": "Or", "Fn::Join": "Join",
	"Fn::Select": "Select", "Fn::Split": "Split", "Fn::FindInMap": "FindInMap", "Fn::Base64": "Base64",
}

// unavailable are functions whose value only AWS has.
var unavailable = map[string]string{
	"ImportValue": "the exports of other stacks are not here: make it a parameter and give it with --parameter NAME=VALUE",
	"GetAZs":      "there are no Availability Zones here: leave out what needs them",
	"Transform":   "macros run on AWS only: write out what it makes",
}

func convert(file string, y ast.Node) (*node, error) {
	n := &node{file: file, line: y.GetToken().Position.Line}
	text := func(s string) (*node, error) {
		n.scalar = &s
		return n, nil
	}
	switch v := y.(type) {
	case *ast.MappingNode:
		return n.convertMap(v.Values)
	case *ast.MappingValueNode:
		return n.convertMap([]*ast.MappingValueNode{v})
	case *ast.SequenceNode:
		n.list = []*node{}
		for _, element := range v.Values {
			e, err := convert(file, element)
			if err != nil {
				return nil, err
			}
			n.list = append(n.list, e)
		}
		return n, nil
	case *ast.TagNode:
		name := strings.TrimPrefix(v.Start.Value, "!")
		argument, err := convert(file, v.Value)
		if err != nil {
			return nil, err
		}
		return n.call(name, argument)
	case *ast.StringNode:
		return text(v.Value)
	case *ast.LiteralNode:
		return text(v.Value.Value)
	case *ast.NullNode:
		return text("")
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		return text(y.GetToken().Value)
	case *ast.AnchorNode, *ast.AliasNode:
		return nil, n.fail("YAML anchors and aliases are not supported by CloudFormation: write it out")
	}
	return nil, n.fail("this YAML (%s) is not understood in a template", y.Type())
}

func (n *node) convertMap(values []*ast.MappingValueNode) (*node, error) {
	n.members = map[string]*node{}
	for _, v := range values {
		key := v.Key.GetToken().Value
		value, err := convert(n.file, v.Value)
		if err != nil {
			return nil, err
		}
		if n.members[key] != nil {
			return nil, (&node{file: n.file, line: v.Key.GetToken().Position.Line}).fail("%s is there twice", key)
		}
		value.line = v.Key.GetToken().Position.Line
		n.keys = append(n.keys, key)
		n.members[key] = value
	}
	if len(n.keys) == 1 {
		// {"Condition": …} is a function within conditions only, and a plain member elsewhere.
		if name := intrinsics[n.keys[0]]; name != "" && name != "Condition" {
			return n.call(name, n.members[n.keys[0]])
		}
		if name, ok := strings.CutPrefix(n.keys[0], "Fn::"); ok {
			return n.call(name, n.members[n.keys[0]])
		}
	}
	return n, nil
}

func (n *node) call(name string, argument *node) (*node, error) {
	known := false
	for _, short := range intrinsics {
		known = known || short == name
	}
	if why := unavailable[name]; why != "" {
		return nil, n.fail("the local cloud cannot evaluate %s: %s", name, why)
	}
	if !known {
		return nil, n.fail("the local cloud does not know the intrinsic function %s: it knows %s", name, strings.Join(sortedValues(intrinsics), ", "))
	}
	return &node{file: n.file, line: n.line, intrinsic: name, list: []*node{argument}}, nil
}

func sortedValues(m map[string]string) []string {
	var values []string
	for _, v := range m {
		values = append(values, v)
	}
	slices.Sort(values)
	return values
}

func sortedKeys(m map[string]*node) []string { return slices.Sorted(maps.Keys(m)) }

func (n *node) kind() string {
	switch {
	case n.intrinsic != "":
		return "the function " + n.intrinsic
	case n.scalar != nil:
		return "a scalar"
	case n.members != nil:
		return "a map"
	}
	return "a list"
}
