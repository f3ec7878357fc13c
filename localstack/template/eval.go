package template

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// scope is what intrinsic functions refer to.
type scope struct {
	parameters map[string]*node // each a scalar, or a list of them
	mappings   *node            // nil without
	conditions map[string]*node
	resources  map[string]*resource
	region     string
	account    string
	stack      string
	// deciding holds the conditions under way, to find circles.
	deciding map[string]bool
	// name gives a resource its names when the first one asks for them.
	name func(*resource) error
	// using is the resource whose properties are being evaluated; nil outside of resources.
	using *resource
}

// resource is a resource of the stack with what can be referred to.
type resource struct {
	id         string
	kind       string
	node       *node
	properties *node
	ref        string
	attributes map[string]string
	// parts are what SAM makes beside it, by their names after a dot, as in !Ref Function.Alias.
	parts map[string]string
	named naming
	// needs are the resources that this one refers to, each with a place where it does.
	needs map[string]*node
}

// naming is how far a resource's names are known.
type naming int

const (
	unnamed naming = iota
	beingNamed
	isNamed
)

// noValue is what AWS::NoValue stands for: the property is not there.
const noValue = "\x00AWS::NoValue"

// eval replaces the intrinsic functions in a node.
func (s *scope) eval(n *node) (*node, error) {
	switch {
	case n.intrinsic != "":
		return s.apply(n)
	case n.list != nil:
		out := &node{file: n.file, line: n.line, list: []*node{}}
		for _, e := range n.list {
			v, err := s.eval(e)
			if err != nil {
				return nil, err
			}
			if v.scalar == nil || *v.scalar != noValue {
				out.list = append(out.list, v)
			}
		}
		return out, nil
	case n.members != nil:
		out := &node{file: n.file, line: n.line, members: map[string]*node{}}
		for _, key := range n.keys {
			v, err := s.eval(n.members[key])
			if err != nil {
				return nil, err
			}
			if v.scalar != nil && *v.scalar == noValue {
				continue
			}
			out.keys = append(out.keys, key)
			out.members[key] = v
		}
		return out, nil
	}
	if n.scalar != nil && strings.Contains(*n.scalar, "{{resolve:") {
		return nil, n.fail("the local cloud resolves no dynamic references, there is no Parameter Store or Secrets Manager: make %q a parameter and give it with --parameter NAME=VALUE", *n.scalar)
	}
	return n, nil
}

// of evaluates the properties of a resource.
func (s *scope) of(res *resource, n *node) (*node, error) {
	outer := s.using
	s.using = res
	defer func() { s.using = outer }()
	return s.eval(n)
}

func (s *scope) apply(n *node) (*node, error) {
	argument := n.list[0]
	text := func(v string, err error) (*node, error) {
		return &node{file: n.file, line: n.line, scalar: &v}, err
	}
	switch n.intrinsic {
	case "Ref":
		if argument.scalar == nil {
			return nil, n.fail("Ref takes a name, not %s", argument.kind())
		}
		if p := s.parameters[*argument.scalar]; p != nil {
			return s.literal(n, p), nil
		}
		return text(s.ref(n, *argument.scalar))
	case "GetAtt":
		name := ""
		switch {
		case argument.scalar != nil:
			name = *argument.scalar
		case len(argument.list) == 2 && argument.list[0].scalar != nil && argument.list[1].scalar != nil:
			name = *argument.list[0].scalar + "." + *argument.list[1].scalar
		default:
			return nil, n.fail("GetAtt takes Resource.Attribute")
		}
		return text(s.attribute(n, name))
	case "Sub":
		return s.sub(n, argument)
	case "If":
		if len(argument.list) != 3 || argument.list[0].scalar == nil {
			return nil, n.fail("If takes a condition's name and two values")
		}
		holds, err := s.condition(n, *argument.list[0].scalar)
		if err != nil {
			return nil, err
		}
		if holds {
			return s.eval(argument.list[1])
		}
		return s.eval(argument.list[2])
	case "Join":
		if len(argument.list) != 2 {
			return nil, n.fail("Join takes a separator and a list")
		}
		separator, err := s.text(argument.list[0])
		if err != nil {
			return nil, err
		}
		list, err := s.eval(argument.list[1])
		if err != nil {
			return nil, err
		}
		var parts []string
		for _, e := range list.list {
			if e.scalar == nil {
				return nil, e.fail("Join takes a list of strings, this is %s", e.kind())
			}
			parts = append(parts, *e.scalar)
		}
		return text(strings.Join(parts, separator), nil)
	case "Split":
		if len(argument.list) != 2 {
			return nil, n.fail("Split takes a separator and a string")
		}
		separator, err := s.text(argument.list[0])
		if err != nil {
			return nil, err
		}
		whole, err := s.text(argument.list[1])
		if err != nil {
			return nil, err
		}
		out := &node{file: n.file, line: n.line, list: []*node{}}
		for _, part := range strings.Split(whole, separator) {
			out.list = append(out.list, &node{file: n.file, line: n.line, scalar: &part})
		}
		return out, nil
	case "Select":
		if len(argument.list) != 2 {
			return nil, n.fail("Select takes an index and a list")
		}
		index, err := s.text(argument.list[0])
		if err != nil {
			return nil, err
		}
		list, err := s.eval(argument.list[1])
		if err != nil {
			return nil, err
		}
		i, err := strconv.Atoi(index)
		if err != nil || i < 0 || i >= len(list.list) {
			return nil, n.fail("Select: there is no element %q in a list of %d", index, len(list.list))
		}
		return list.list[i], nil
	case "FindInMap":
		return s.findInMap(n, argument)
	case "Base64":
		plain, err := s.text(argument)
		return text(base64.StdEncoding.EncodeToString([]byte(plain)), err)
	}
	return nil, n.fail("%s can stand in Conditions only", n.intrinsic)
}

func (s *scope) text(n *node) (string, error) {
	v, err := s.eval(n)
	if err != nil {
		return "", err
	}
	if v.scalar == nil {
		return "", n.fail("a string is needed here, this is %s", v.kind())
	}
	return *v.scalar, nil
}

func (s *scope) ref(at *node, name string) (string, error) {
	switch name {
	case "AWS::Region":
		return s.region, nil
	case "AWS::AccountId":
		return s.account, nil
	case "AWS::Partition":
		return "aws", nil
	case "AWS::URLSuffix":
		return urlSuffix, nil
	case "AWS::StackName":
		return s.stack, nil
	case "AWS::StackId":
		return fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/local", s.region, s.account, s.stack), nil
	case "AWS::NoValue":
		return noValue, nil
	}
	if v := s.parameters[name]; v != nil {
		if v.scalar == nil {
			return "", at.fail("the parameter %s is a list, and a string is needed here: use Join or Select", name)
		}
		return *v.scalar, nil
	}
	if id, part, ok := strings.Cut(name, "."); ok && s.resources[id] != nil {
		r, err := s.resource(at, id)
		if err != nil {
			return "", err
		}
		if v, ok := r.parts[part]; ok {
			return v, nil
		}
	}
	r, err := s.resource(at, name)
	if err != nil {
		return "", err
	}
	return r.ref, nil
}

func (s *scope) attribute(at *node, name string) (string, error) {
	id, attribute, _ := strings.Cut(name, ".")
	r, err := s.resource(at, id)
	if err != nil {
		return "", err
	}
	v, ok := r.attributes[attribute]
	if !ok {
		v, ok = r.parts[attribute]
	}
	if !ok {
		return "", at.fail("the local cloud does not know the attribute %s of %s (%s)", attribute, id, r.kind)
	}
	return v, nil
}

func (s *scope) resource(at *node, name string) (*resource, error) {
	r := s.resources[name]
	if r == nil {
		return nil, at.fail("there is no parameter or resource %s in this template, or its condition does not hold", name)
	}
	if s.using != nil {
		s.using.need(name, at)
	}
	return r, s.name(r)
}

// literal is a value of the template where it is used.
func (s *scope) literal(at, value *node) *node {
	out := &node{file: at.file, line: at.line, scalar: value.scalar}
	if value.list != nil {
		out.list = []*node{}
	}
	for _, e := range value.list {
		out.list = append(out.list, s.literal(at, e))
	}
	return out
}

// sub replaces ${Name}, ${Name.Attribute} and the variables of its second argument; ${!X} is ${X}.
func (s *scope) sub(n, argument *node) (*node, error) {
	source, variables := argument, map[string]*node{}
	if len(argument.list) == 2 && argument.intrinsic == "" && argument.list[1].members != nil {
		source, variables = argument.list[0], argument.list[1].members
	}
	if source.scalar == nil {
		return nil, n.fail("Sub takes a string, or a string and a map of variables")
	}
	var out strings.Builder
	rest := *source.scalar
	for {
		before, after, found := strings.Cut(rest, "${")
		out.WriteString(before)
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return nil, n.fail("Sub: ${%s is not closed", after)
		}
		rest = tail
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			out.WriteString("${" + literal + "}")
			continue
		}
		value, err := s.variable(n, strings.TrimSpace(name), variables)
		if err != nil {
			return nil, err
		}
		out.WriteString(value)
	}
	v := out.String()
	return &node{file: n.file, line: n.line, scalar: &v}, nil
}

func (s *scope) variable(n *node, name string, variables map[string]*node) (string, error) {
	if v := variables[name]; v != nil {
		return s.text(v)
	}
	if strings.Contains(name, ".") && !strings.Contains(name, "::") {
		return s.attribute(n, name)
	}
	return s.ref(n, name)
}

// made tells whether a resource or an output is made: it is, unless it names a condition that does
// not hold.
func (s *scope) made(n *node) (bool, error) {
	c := n.members["Condition"]
	if c == nil {
		return true, nil
	}
	if c.scalar == nil {
		return false, c.fail("Condition takes the name of a condition, not %s", c.kind())
	}
	return s.condition(c, *c.scalar)
}

// condition decides a condition of the template.
func (s *scope) condition(at *node, name string) (bool, error) {
	n := s.conditions[name]
	if n == nil {
		return false, at.fail("there is no condition %s in this template", name)
	}
	if s.deciding[name] {
		return false, at.fail("the condition %s depends on itself", name)
	}
	s.deciding[name] = true
	defer delete(s.deciding, name)
	return s.decide(n)
}

func (s *scope) decide(n *node) (bool, error) {
	if len(n.keys) == 1 && n.keys[0] == "Condition" && n.members["Condition"].scalar != nil {
		return s.condition(n, *n.members["Condition"].scalar)
	}
	if n.intrinsic == "" {
		return false, n.fail("a condition is one of Equals, Not, And, Or, Condition")
	}
	argument := n.list[0]
	switch n.intrinsic {
	case "Condition":
		if argument.scalar == nil {
			return false, n.fail("Condition takes a name")
		}
		return s.condition(n, *argument.scalar)
	case "Equals":
		if len(argument.list) != 2 {
			return false, n.fail("Equals takes two values")
		}
		a, err := s.text(argument.list[0])
		if err != nil {
			return false, err
		}
		b, err := s.text(argument.list[1])
		return a == b, err
	case "Not", "And", "Or":
		if n.intrinsic == "Not" && len(argument.list) != 1 {
			return false, n.fail("Not takes one condition, in a list")
		}
		if n.intrinsic != "Not" && len(argument.list) < 2 {
			return false, n.fail("%s takes a list of at least two conditions", n.intrinsic)
		}
		for _, e := range argument.list {
			holds, err := s.decide(e)
			switch {
			case err != nil:
				return false, err
			case n.intrinsic == "Not":
				return !holds, nil
			case holds == (n.intrinsic == "Or"):
				return holds, nil
			}
		}
		return n.intrinsic == "And", nil
	}
	return false, n.fail("a condition is one of Equals, Not, And, Or, Condition, not %s", n.intrinsic)
}
