package differential

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// expressions draws the expressions of one request, and collects what they refer to.
type expressions struct {
	t      *rapid.T
	schema *schema
	names  map[string]string
	values object
	broken bool // some of what is drawn shall be wrong
}

func newExpressions(t *rapid.T, s *schema) *expressions {
	return &expressions{t: t, schema: s, names: map[string]string{}, values: object{}, broken: chance(t, "broken", 25)}
}

// attach adds the names and values to a request.
func (x *expressions) attach(request object) {
	if x.broken {
		switch pick(x.t, "placeholders", 0, 0, 0, 0, 1, 2, 3, 4) {
		case 1:
			x.names["#unused"] = "unused"
		case 2:
			x.values[":unused"] = object{"S": "unused"}
		case 3:
			for name := range x.names {
				if len(x.names) == 1 {
					delete(x.names, name)
				}
			}
		case 4:
			if len(x.values) == 1 {
				x.values = object{}
			}
		}
	}
	if len(x.names) > 0 {
		request["ExpressionAttributeNames"] = x.names
	}
	if len(x.values) > 0 {
		request["ExpressionAttributeValues"] = x.values
	}
}

// name writes an attribute's name, sometimes by a placeholder.
func (x *expressions) name(name string) string {
	if strings.ContainsAny(name, " -.") || chance(x.t, "by placeholder", 40) {
		placeholder := "#" + strings.Map(func(r rune) rune {
			if r == ' ' {
				return '_'
			}
			return r
		}, name)
		x.names[placeholder] = name
		return placeholder
	}
	return name
}

// value defines a value and writes its placeholder.
func (x *expressions) value(v object) string {
	if x.broken && chance(x.t, "undefined", 3) {
		return ":undefined"
	}
	placeholder := fmt.Sprintf(":v%d", len(x.values))
	x.values[placeholder] = v
	return placeholder
}

// path writes a document path.
func (x *expressions) path() string {
	names := append(attributes[:len(attributes):len(attributes)], attributes...)
	if chance(x.t, "key path", 15) {
		names = []string{"p", "s", "l", "g", "h", "zz"}
	}
	path := x.name(pick(x.t, "path", names...))
	for chance(x.t, "deeper", 30) {
		if rapid.Bool().Draw(x.t, "index") {
			path += fmt.Sprintf("[%d]", pick(x.t, "position", 0, 0, 1, 2, 7))
		} else {
			path += "." + x.name(pick(x.t, "member", "a", "b", "c", "x y"))
		}
	}
	return path
}

// operand writes what can be compared.
func (x *expressions) operand(kind string) string {
	switch pick(x.t, "operand", 0, 0, 0, 1, 1, 1, 2) {
	case 0:
		return x.path()
	case 1:
		return x.value(x.typed(kind))
	}
	return "size(" + x.path() + ")"
}

// typed draws a value, mostly of a type.
func (x *expressions) typed(kind string) object {
	if kind == "" || chance(x.t, "any type", 10) {
		return value(x.t, 1)
	}
	return scalar(x.t, kind)
}

// condition writes a condition or filter.
func (x *expressions) condition(depth int) string {
	if depth > 0 && chance(x.t, "logic", 45) {
		switch pick(x.t, "logic", "AND", "OR", "NOT", "()") {
		case "AND":
			return x.condition(depth-1) + " AND " + x.condition(depth-1)
		case "OR":
			return x.condition(depth-1) + " OR " + x.condition(depth-1)
		case "NOT":
			return "NOT " + x.condition(depth-1)
		}
		return "(" + x.condition(depth-1) + ")"
	}
	kind := pick(x.t, "kind", "S", "N", "B", "")
	switch pick(x.t, "condition", "compare", "compare", "compare", "between", "in", "exists", "not_exists", "type", "begins", "contains") {
	case "compare":
		return x.operand(kind) + " " + pick(x.t, "comparator", "=", "<>", "<", "<=", ">", ">=") + " " + x.operand(kind)
	case "between":
		return x.operand(kind) + " BETWEEN " + x.operand(kind) + " AND " + x.operand(kind)
	case "in":
		operands := []string{x.operand(kind)}
		for range rapid.IntRange(0, 2).Draw(x.t, "more") {
			operands = append(operands, x.operand(kind))
		}
		return x.operand(kind) + " IN (" + strings.Join(operands, ", ") + ")"
	case "exists":
		return "attribute_exists(" + x.path() + ")"
	case "not_exists":
		return "attribute_not_exists(" + x.path() + ")"
	case "type":
		return "attribute_type(" + x.path() + ", " + x.value(object{"S": pick(x.t, "type", "S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "M", "L")}) + ")"
	case "begins":
		return "begins_with(" + x.path() + ", " + x.value(x.typed(pick(x.t, "prefix", "S", "S", "B"))) + ")"
	}
	return "contains(" + x.path() + ", " + x.operand(kind) + ")"
}

// projection writes paths.
func (x *expressions) projection() string {
	var paths []string
	for range rapid.IntRange(1, 4).Draw(x.t, "paths") {
		paths = append(paths, x.path())
	}
	return strings.Join(paths, ", ")
}

// update writes an update expression.
func (x *expressions) update() string {
	sections := map[string][]string{}
	for range rapid.IntRange(1, 3).Draw(x.t, "actions") {
		path := x.path()
		if !x.broken {
			// An attribute each, so that they do not overlap.
			path = x.name(fmt.Sprint(attributes[len(sections["SET"])+len(sections["REMOVE"])+len(sections["ADD"])+len(sections["DELETE"])])) + x.deeper()
		}
		switch section := pick(x.t, "section", "SET", "SET", "SET", "REMOVE", "ADD", "DELETE"); section {
		case "SET":
			sections[section] = append(sections[section], path+" = "+x.setValue())
		case "REMOVE":
			sections[section] = append(sections[section], path)
		case "ADD":
			v := pick(x.t, "added", object{"N": "1"}, object{"N": "-2.5"}, object{"SS": []string{"a", "z"}}, object{"NS": []string{"1", "9"}}, object{"BS": []string{"YQ=="}})
			if x.broken {
				v = value(x.t, 1)
			}
			sections[section] = append(sections[section], path+" "+x.value(v))
		case "DELETE":
			v := pick(x.t, "deleted", object{"SS": []string{"a", "b"}}, object{"NS": []string{"1"}}, object{"BS": []string{"YQ=="}})
			if x.broken {
				v = value(x.t, 1)
			}
			sections[section] = append(sections[section], path+" "+x.value(v))
		}
	}
	var parts []string
	for _, section := range []string{"SET", "REMOVE", "ADD", "DELETE"} {
		if actions := sections[section]; actions != nil {
			parts = append(parts, section+" "+strings.Join(actions, ", "))
		}
	}
	return strings.Join(parts, " ")
}

func (x *expressions) deeper() string {
	switch pick(x.t, "below", 0, 0, 0, 0, 1, 2, 3) {
	case 1:
		return "." + x.name("a")
	case 2:
		return "[0]"
	case 3:
		return "[1]." + x.name("b")
	}
	return ""
}

func (x *expressions) setValue() string {
	switch pick(x.t, "set", 0, 0, 0, 1, 2, 3, 4, 5) {
	case 0:
		return x.value(value(x.t, 2))
	case 1:
		return x.path()
	case 2:
		return "if_not_exists(" + x.path() + ", " + x.value(value(x.t, 1)) + ")"
	case 3:
		return x.path() + pick(x.t, "arithmetic", " + ", " - ") + x.value(object{"N": pick(x.t, "N", numbers...)})
	case 4:
		return "if_not_exists(" + x.path() + ", " + x.value(object{"N": "0"}) + ") + " + x.value(object{"N": "1"})
	}
	if rapid.Bool().Draw(x.t, "append") {
		return "list_append(" + x.path() + ", " + x.value(object{"L": []any{object{"N": "1"}}}) + ")"
	}
	return "list_append(if_not_exists(" + x.path() + ", " + x.value(object{"L": []any{}}) + "), " + x.value(object{"L": []any{value(x.t, 1)}}) + ")"
}

// keyCondition writes a key condition on keys.
func (x *expressions) keyCondition(keys []key) string {
	hash := x.name(keys[0].name) + " = " + x.value(x.typed(keys[0].kind))
	if len(keys) == 1 || chance(x.t, "partition only", 40) {
		if x.broken && chance(x.t, "twice", 10) {
			hash += " AND " + x.name(keys[0].name) + " = " + x.value(scalar(x.t, keys[0].kind))
		}
		return hash
	}
	name, kind := x.name(keys[1].name), keys[1].kind
	sort := ""
	switch op := pick(x.t, "sort condition", "=", "<", "<=", ">", ">=", "BETWEEN", "begins_with"); op {
	case "BETWEEN":
		sort = name + " BETWEEN " + x.value(x.typed(kind)) + " AND " + x.value(x.typed(kind))
	case "begins_with":
		sort = "begins_with(" + name + ", " + x.value(x.typed(kind)) + ")"
	default:
		sort = name + " " + op + " " + x.value(x.typed(kind))
	}
	if chance(x.t, "sort first", 15) {
		return sort + " AND " + hash
	}
	return hash + " AND " + sort
}

// tokens are what a broken expression may have where something else should stand.
var tokens = []string{
	"AND", "OR", "NOT", "IN", "BETWEEN", "(", ")", ",", "=", "<>", "<", "+", "-", ".", "[0]", "[", "]", "#n", ":v0", ":x", "SET", "REMOVE", "ADD",
	"DELETE", "size(a)", "attribute_exists", "attribute_exists(a)", "if_not_exists", "list_append", "a", "1", "name", "foo(a)", "$", "a.b", "a..b", "#", ":",
}

// spoil breaks an expression sometimes.
func (x *expressions) spoil(source string) string {
	if !x.broken || chance(x.t, "whole", 50) {
		return source
	}
	words := strings.Fields(source)
	at := rapid.IntRange(0, len(words)-1).Draw(x.t, "word")
	switch pick(x.t, "spoil", "replace", "insert", "delete", "double", "cut", "empty") {
	case "replace":
		words[at] = pick(x.t, "token", tokens...)
	case "insert":
		words[at] += " " + pick(x.t, "token", tokens...)
	case "delete":
		words[at] = ""
	case "double":
		words[at] += " " + words[at]
	case "cut":
		words = words[:at]
	case "empty":
		return pick(x.t, "empty", "", " ")
	}
	return strings.Join(words, " ")
}
