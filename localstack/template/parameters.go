package template

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// readParameters gives each parameter its value: the given one, or its default.
func (r *reader) readParameters(root *node) error {
	given := maps.Clone(r.Parameters)
	if given == nil {
		given = map[string]string{}
	}
	suggested := r.Suggested
	if p := root.members["Parameters"]; p != nil {
		if p.members == nil {
			return p.fail("Parameters must be a map, this is %s", p.kind())
		}
		for _, name := range p.keys {
			n := p.members[name]
			if err := known(n, "a parameter", "Type", "Default", "Description", "AllowedValues", "AllowedPattern", "MinValue", "MaxValue", "MinLength", "MaxLength", "NoEcho", "ConstraintDescription"); err != nil {
				return err
			}
			kind, err := n.need("Type")
			if err != nil {
				return err
			}
			if !parameterTypes.MatchString(kind) {
				return n.at("Type").fail("the type of a parameter is String, Number, List<Number>, CommaDelimitedList or one of AWS's, as AWS::EC2::VPC::Id, not %q", kind)
			}
			value, ok := given[name]
			delete(given, name)
			if !ok {
				value, ok = suggested[name]
			}
			// The default of these names a value in AWS's Parameter Store.
			stored := strings.HasPrefix(kind, "AWS::SSM::Parameter::")
			if d := n.members["Default"]; !ok && !stored && d != nil && d.scalar != nil {
				value, ok = *d.scalar, true
			}
			if !ok && stored {
				return n.fail("the parameter %s is %s, and there is no Parameter Store here: give it with --parameter %s=VALUE", name, kind, name)
			}
			if !ok {
				return n.fail("the parameter %s has no default: give it with --parameter %s=VALUE", name, name)
			}
			if err := n.checkParameter(name, value); err != nil {
				return err
			}
			r.scope.parameters[name] = parameterValue(n, kind, value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		return root.fail("the template has no parameter %s: it has %s", name, listed(slices.Sorted(maps.Keys(r.scope.parameters))))
	}
	return nil
}

// parameterTypes are those that AWS takes: see checkParameter.
var parameterTypes = regexp.MustCompile(`^(String|Number|CommaDelimitedList|List<(Number|AWS::[\w:]+)>|AWS::[\w:]+(<(String|CommaDelimitedList|List<String>|AWS::[\w:]+|List<AWS::[\w:]+>)>)?)$`)

// listed is names for a message.
func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// parameterValue is what a parameter stands for: a string, or by its type a list of strings.
func parameterValue(n *node, kind, value string) *node {
	if kind != "CommaDelimitedList" && !strings.HasPrefix(kind, "List<") {
		return &node{file: n.file, line: n.line, scalar: &value}
	}
	list := &node{file: n.file, line: n.line, list: []*node{}}
	for part := range strings.SplitSeq(value, ",") {
		part = strings.TrimSpace(part)
		list.list = append(list.list, &node{file: n.file, line: n.line, scalar: &part})
	}
	return list
}

// checkParameter holds a value against the parameter's own rules.
// Source: CloudFormation user guide, "CloudFormation template Parameters syntax".
func (n *node) checkParameter(name, value string) error {
	allowed, err := n.strings("AllowedValues")
	if err != nil {
		return err
	}
	if n.members["AllowedValues"] != nil && !slices.Contains(allowed, value) {
		return n.fail("the parameter %s is %q, but must be one of %s", name, value, strings.Join(allowed, ", "))
	}
	if pattern, err := n.str("AllowedPattern", ""); err != nil {
		return err
	} else if pattern != "" {
		whole, err := regexp.Compile("^(?:" + pattern + ")$")
		if err != nil {
			return n.members["AllowedPattern"].fail("AllowedPattern cannot be checked here: %v", err)
		}
		if !whole.MatchString(value) {
			return n.fail("the parameter %s is %q, but must match %s", name, value, pattern)
		}
	}
	length := len([]rune(value))
	least, err := n.integer("MinLength", 0)
	if err != nil {
		return err
	}
	most, err := n.integer("MaxLength", length)
	if err != nil {
		return err
	}
	switch {
	case length < least:
		return n.fail("the parameter %s is %q, but must have at least %d characters", name, value, least)
	case length > most:
		return n.fail("the parameter %s is %q, but must have at most %d characters", name, value, most)
	}
	kind, err := n.need("Type")
	if err != nil || kind != "Number" {
		return err
	}
	number, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return n.fail("the parameter %s is %q, but must be a number", name, value)
	}
	for rule, broken := range map[string]func(bound float64) bool{
		"MinValue": func(least float64) bool { return number < least },
		"MaxValue": func(most float64) bool { return number > most },
	} {
		text, err := n.str(rule, "")
		if err != nil || text == "" {
			if err != nil {
				return err
			}
			continue
		}
		bound, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil:
			return n.members[rule].fail("%s must be a number, not %q", rule, text)
		case broken(bound):
			return n.fail("the parameter %s is %s, but must be at %s %s", name, value, map[string]string{"MinValue": "least", "MaxValue": "most"}[rule], text)
		}
	}
	return nil
}
