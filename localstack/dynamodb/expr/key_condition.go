package expr

import (
	"strings"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

// Key is a key attribute of a table or index.
type Key struct {
	Name string
	Type attr.Type // S, N or B
}

// Op is the operator of a condition on a sort key.
type Op uint8

// The operators of a sort key condition; Any is its absence.
const (
	Any Op = iota
	Equal
	Less
	LessOrEqual
	Greater
	GreaterOrEqual
	Between    // Low <= key <= High
	BeginsWith // S and B only; the prefix is Low
)

// KeyCondition is a bound key condition: one partition key value and a range of
// the sort key.
type KeyCondition struct {
	Partition attr.Value
	Sort      Op
	Low       attr.Value // the operand; of Between the lower one
	High      attr.Value // of Between only
}

// Match reports whether a sort key value is within the range.
func (k KeyCondition) Match(sort attr.Value) bool {
	switch k.Sort {
	case Any:
		return true
	case Equal:
		return attr.Equal(sort, k.Low)
	case Less:
		return ordered(sort, "<", k.Low)
	case LessOrEqual:
		return ordered(sort, "<=", k.Low)
	case Greater:
		return ordered(sort, ">", k.Low)
	case GreaterOrEqual:
		return ordered(sort, ">=", k.Low)
	case Between:
		return ordered(sort, ">=", k.Low) && ordered(sort, "<=", k.High)
	}
	return sort.Type() == k.Low.Type() && strings.HasPrefix(sort.Text(), k.Low.Text())
}

// keyPart is the condition on one key attribute.
type keyPart struct {
	name      string
	nested    bool
	op        Op
	low, high attr.Value
}

// keyCondition reads a condition as one on the key pk, sk.
func (b *bound) keyCondition(pk, sk Key) (KeyCondition, error) {
	parts, err := b.keyParts(nil, b.parsed.cond)
	if err != nil {
		return KeyCondition{}, err
	}
	if len(parts) > 2 {
		return KeyCondition{}, attr.Invalid("Conditions can be of length 1 or 2 only")
	}
	var hash, sort *keyPart
	for i := range parts {
		part := &parts[i]
		isKey := true
		switch part.name {
		case pk.Name:
			hash = part
		case sk.Name:
			sort = part
		default:
			isKey = false
		}
		switch {
		case part.nested && isKey:
			return KeyCondition{}, attr.Invalid("Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: %s", part.name)
		case part.nested:
			return KeyCondition{}, attr.Invalid("KeyConditionExpressions cannot have conditions on nested attributes")
		}
	}
	switch {
	case hash == nil:
		return KeyCondition{}, attr.Invalid("Query condition missed key schema element: %s", pk.Name)
	case len(parts) == 2 && sk.Name == "", hash.op != Equal:
		return KeyCondition{}, attr.Invalid("Query key condition not supported")
	case len(parts) == 2 && sort == nil:
		return KeyCondition{}, attr.Invalid("Query condition missed key schema element: %s", sk.Name)
	}
	k := KeyCondition{Partition: hash.low}
	if err := hash.check(pk); err != nil {
		return KeyCondition{}, err
	}
	if sort != nil {
		if err := sort.check(sk); err != nil {
			return KeyCondition{}, err
		}
		k.Sort, k.Low, k.High = sort.op, sort.low, sort.high
	}
	return k, nil
}

// check compares the operands' types with the schema.
func (p *keyPart) check(k Key) error {
	if p.low.Type() != k.Type {
		return attr.Invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
	}
	if p.op == Equal && k.Type != attr.N && p.low.Text() == "" {
		kind := "string"
		if k.Type == attr.B {
			kind = "binary"
		}
		return attr.Invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", kind, k.Name)
	}
	return nil
}

// keyParts appends the conditions that are joined by AND.
func (b *bound) keyParts(parts []keyPart, c *cond) ([]keyPart, error) {
	switch c.op {
	case "AND":
		parts, err := b.keyParts(parts, c.kids[0])
		if err != nil {
			return nil, err
		}
		return b.keyParts(parts, c.kids[1])
	case "OR", "NOT", "IN", "<>", "attribute_exists", "attribute_not_exists", "attribute_type", "contains":
		return nil, attr.Invalid("Invalid operator used in KeyConditionExpression: %s", c.op)
	}
	part, err := b.keyPart(c)
	if err != nil {
		return nil, err
	}
	for _, other := range parts {
		if other.name == part.name {
			return nil, attr.Invalid("KeyConditionExpressions must only contain one condition per key")
		}
	}
	return append(parts, part), nil
}

// keyPart reads one comparison of an attribute with values.
func (b *bound) keyPart(c *cond) (keyPart, error) {
	at := -1 // which operand is the attribute
	for i, a := range c.args {
		switch {
		case a.kind == callOperand:
			return keyPart{}, attr.Invalid("KeyConditionExpressions cannot contain nested operations")
		case a.kind == pathOperand && at >= 0:
			return keyPart{}, attr.Invalid("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
		case a.kind == pathOperand:
			at = i
		}
	}
	ranged := c.op == "BETWEEN" || c.op == "begins_with"
	if ranged && c.args[0].kind != pathOperand {
		return keyPart{}, attr.Invalid("Invalid condition in KeyConditionExpression: %s operator must have the key attribute as its first operand", c.op)
	}
	if at < 0 {
		return keyPart{}, attr.Invalid("Invalid condition in KeyConditionExpression: No key attribute specified")
	}
	key := c.args[at].path
	part := keyPart{name: b.name(key[0]), nested: len(key) > 1}
	switch c.op {
	case "BETWEEN":
		part.op, part.low, part.high = Between, b.values[c.args[1].slot], b.values[c.args[2].slot]
	case "begins_with":
		part.op, part.low = BeginsWith, b.values[c.args[1].slot]
	default:
		part.op, part.low = keyOp(c.op, at == 1), b.values[c.args[1-at].slot]
	}
	return part, nil
}

// keyOp is the operator of a comparison; turned if the key stands on its right.
func keyOp(op string, turned bool) Op {
	switch {
	case op == "=":
		return Equal
	case op == "<" && !turned, op == ">" && turned:
		return Less
	case op == "<=" && !turned, op == ">=" && turned:
		return LessOrEqual
	case op == ">" && !turned, op == "<" && turned:
		return Greater
	}
	return GreaterOrEqual
}
