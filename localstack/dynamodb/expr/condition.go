package expr

import (
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

// Condition is a bound condition or filter expression.
type Condition struct{ bound }

// Eval reports whether the item fulfils the condition; an item that does not
// exist is nil. Operands that are missing or of the wrong type make a comparison
// false, except that of <>, which they make true.
func (c *Condition) Eval(item attr.Item) bool { return c.eval(c.parsed.cond, item) }

// Attributes are the top-level attributes that the condition names, without repeats.
func (c *Condition) Attributes() []string {
	var names []string
	c.walk(c.parsed.cond, func(p path) { names = addOnce(names, c.name(p[0])) })
	return names
}

// LooksInto reports whether the condition looks into a top-level attribute, by . or
// []. An engine refuses that of keys, which are scalars.
func (c *Condition) LooksInto(name string) bool {
	found := false
	c.walk(c.parsed.cond, func(p path) { found = found || len(p) > 1 && c.name(p[0]) == name })
	return found
}

func addOnce(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// walk calls visit for each path of a condition.
func (b *bound) walk(c *cond, visit func(path)) {
	for _, kid := range c.kids {
		b.walk(kid, visit)
	}
	walkOperands(c.args, visit)
}

func walkOperands(args []operand, visit func(path)) {
	for _, a := range args {
		walkOperand(a, visit)
	}
}

func walkOperand(a operand, visit func(path)) {
	switch a.kind {
	case pathOperand:
		visit(a.path)
	case callOperand:
		walkOperands(a.call.args, visit)
	}
}

func (b *bound) eval(c *cond, item attr.Item) bool {
	switch c.op {
	case "AND":
		return b.eval(c.kids[0], item) && b.eval(c.kids[1], item)
	case "OR":
		return b.eval(c.kids[0], item) || b.eval(c.kids[1], item)
	case "NOT":
		return !b.eval(c.kids[0], item)
	case "attribute_exists":
		return !b.operand(c.args[0], item).IsZero()
	case "attribute_not_exists":
		return b.operand(c.args[0], item).IsZero()
	case "IN":
		v := b.operand(c.args[0], item)
		return !v.IsZero() && slices.ContainsFunc(c.args[1:], func(a operand) bool { return attr.Equal(v, b.operand(a, item)) })
	}
	x, y := b.operand(c.args[0], item), b.operand(c.args[1], item)
	switch c.op {
	case "=":
		return !x.IsZero() && attr.Equal(x, y)
	case "<>":
		return x.IsZero() || !attr.Equal(x, y)
	case "attribute_type":
		return x.Type().String() == y.Text()
	case "begins_with":
		return x.Type() == y.Type() && (x.Type() == attr.S || x.Type() == attr.B) && strings.HasPrefix(x.Text(), y.Text())
	case "contains":
		return contains(x, y)
	case "BETWEEN":
		return ordered(x, ">=", y) && ordered(x, "<=", b.operand(c.args[2], item))
	}
	return ordered(x, c.op, y)
}

// operand is the value of an operand, the zero Value if it has none.
func (b *bound) operand(a operand, item attr.Item) attr.Value {
	switch a.kind {
	case valueOperand:
		return b.values[a.slot]
	case pathOperand:
		return b.lookup(item, a.path)
	}
	return size(b.operand(a.call.args[0], item))
}

// ordered reports whether "x op y" holds for values that have an order.
func ordered(x attr.Value, op string, y attr.Value) bool {
	order, ok := attr.Compare(x, y)
	if !ok {
		return false
	}
	switch op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// size is the function size: characters (UTF-16 units, as DynamoDB Local counts),
// bytes, or elements. Other types have none.
func size(v attr.Value) attr.Value {
	n := 0
	switch t := v.Type(); {
	case t == attr.S:
		for _, r := range v.Text() {
			n += utf16.RuneLen(r)
		}
	case t == attr.B:
		n = len(v.Text())
	case t == attr.M:
		n = len(v.Map())
	case t == attr.L:
		n = len(v.List())
	case t.Set():
		n = len(v.Members())
	default:
		return attr.Value{}
	}
	return attr.Int(int64(n))
}

// contains is the function contains: a substring, a member or an element.
func contains(x, y attr.Value) bool {
	switch x.Type() {
	case attr.S, attr.B:
		return x.Type() == y.Type() && strings.Contains(x.Text(), y.Text())
	case attr.L:
		return slices.ContainsFunc(x.List(), func(e attr.Value) bool { return attr.Equal(e, y) })
	case attr.SS, attr.NS, attr.BS:
		return y.Type() == x.Type().Element() && slices.Contains(x.Members(), y.Text())
	}
	return false
}
