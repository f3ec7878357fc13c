package expr

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

// The checks of a bound expression, in the order in which AWS makes them:
// condition by condition from left to right, and in each first undefined
// placeholders, then numbers of operands, types, and operands that must differ.

const (
	textName     = "An expression attribute name used in the document path is not defined; attribute name: %s"
	textValue    = "An expression attribute value used in expression is not defined; attribute value: %s"
	textOperands = "Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d"
	textPath     = "Operator or function requires a document path; operator or function: %s"
	textType     = "Incorrect operand type for operator or function; operator or function: %s, operand type: %s"
	textDistinct = "The first operand must be distinct from the remaining operands for this operator or function; operator: %s, first operand: %s"
	textTypeName = "Invalid attribute type name found; type: %s, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
	textSameType = "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: %s, upper bound operand: AttributeValue: %s"
	textBounds   = "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: %s, upper bound operand: AttributeValue: %s"
	textSection  = "Incorrect operand type for operator or function; operator: %s, operand type: %s, typeSet: ALLOWED_FOR_%s_OPERAND"
	textOverlap  = "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: %s, path two: %s"
	textConflict = "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: %s, path two: %s"

	allTypes = "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}" // of an operand whose type is not known
)

func (b *bound) checkCondition(c *cond) *attr.Error {
	for _, kid := range c.kids {
		if err := b.checkCondition(kid); err != nil {
			return err
		}
	}
	if len(c.args) == 0 {
		return nil
	}
	if err := b.defined(c.args); err != nil {
		return err
	}
	if err := checkOperands(c.op, c.args); err != nil {
		return err
	}
	if err := b.checkTypes(c.op, c.args); err != nil {
		return err
	}
	return b.distinct(c.op, c.args)
}

// defined reports the first placeholder in the operands that is not defined.
func (b *bound) defined(args []operand) *attr.Error {
	for _, a := range args {
		var err *attr.Error
		switch a.kind {
		case pathOperand:
			err = b.definedPath(a.path)
		case valueOperand:
			err = b.definedValue(a.slot)
		case callOperand:
			err = b.defined(a.call.args)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bound) definedPath(p path) *attr.Error {
	for _, e := range p {
		if e.slot >= 0 && b.names[e.slot] == "" {
			return attr.Invalid(textName, b.parsed.names[e.slot])
		}
	}
	return nil
}

func (b *bound) definedValue(slot int) *attr.Error {
	if b.values[slot].IsZero() {
		return attr.Invalid(textValue, b.parsed.values[slot])
	}
	return nil
}

// operands is how many operands a function takes; 0 means any number.
func operands(fn string) int {
	switch fn {
	case "attribute_exists", "attribute_not_exists", "size":
		return 1
	case "attribute_type", "begins_with", "contains", "if_not_exists", "list_append":
		return 2
	}
	return 0
}

func checkOperands(op string, args []operand) *attr.Error {
	for _, a := range args {
		if a.kind != callOperand {
			continue
		}
		if err := checkOperands(a.call.fn, a.call.args); err != nil {
			return err
		}
	}
	if want := operands(op); want != 0 && want != len(args) {
		return attr.Invalid(textOperands, op, len(args))
	}
	return nil
}

// distinct refuses a condition that compares a path with itself.
func (b *bound) distinct(op string, args []operand) *attr.Error {
	if args[0].kind != pathOperand {
		return nil
	}
	first := args[0].path
	for _, a := range args[1:] {
		if a.kind == pathOperand && len(a.path) == len(first) && b.relate(first, a.path) == overlap {
			return attr.Invalid(textDistinct, op, b.pathText(first))
		}
	}
	return nil
}

// typeOf is the type of an operand as far as it is known without an item.
func (b *bound) typeOf(a operand) attr.Type {
	switch a.kind {
	case valueOperand:
		return b.values[a.slot].Type()
	case callOperand:
		if a.call.fn == "size" {
			return attr.N
		}
	}
	return 0
}

// checkTypes checks the operands of a comparison or function, and of the
// functions among them.
func (b *bound) checkTypes(op string, args []operand) *attr.Error {
	for _, a := range args {
		if a.kind != callOperand {
			continue
		}
		if err := b.checkTypes(a.call.fn, a.call.args); err != nil {
			return err
		}
	}
	switch op {
	case "attribute_exists", "attribute_not_exists":
		if args[0].kind != pathOperand {
			return attr.Invalid(textPath, op)
		}
	case "if_not_exists":
		if args[0].kind != pathOperand {
			return attr.Invalid(textPath, op)
		}
		return b.distinct(op, args)
	case "attribute_type":
		return b.checkTypeName(op, args[1])
	case "begins_with":
		return b.all(op, args, func(t attr.Type) bool { return t == attr.S || t == attr.B })
	case "size":
		return b.all(op, args, func(t attr.Type) bool { return t != attr.N && t != attr.BOOL && t != attr.NULL })
	case "<", "<=", ">", ">=":
		return b.all(op, args, attr.Type.Scalar)
	case "BETWEEN":
		if err := b.all(op, args, attr.Type.Scalar); err != nil {
			return err
		}
		return b.checkBounds(args[1], args[2])
	case "list_append":
		return b.all(op, args, func(t attr.Type) bool { return t == attr.L })
	case "+", "-":
		return b.all(op, args, func(t attr.Type) bool { return t == attr.N })
	}
	return nil
}

// all reports the first operand whose type is known and not allowed.
func (b *bound) all(op string, args []operand, allowed func(attr.Type) bool) *attr.Error {
	for _, a := range args {
		if t := b.typeOf(a); t != 0 && !allowed(t) {
			return attr.Invalid(textType, op, t)
		}
	}
	return nil
}

func (b *bound) checkTypeName(op string, a operand) *attr.Error {
	switch t := b.typeOf(a); t {
	case attr.S:
		name := b.values[a.slot].Text()
		if _, ok := attr.ParseType(name); !ok {
			return attr.Invalid(textTypeName, name)
		}
		return nil
	case 0:
		return attr.Invalid(textType, op, allTypes)
	default:
		return attr.Invalid(textType, op, t)
	}
}

func (b *bound) checkBounds(low, high operand) *attr.Error {
	if low.kind != valueOperand || high.kind != valueOperand {
		return nil
	}
	l, h := b.values[low.slot], b.values[high.slot]
	switch order, ok := attr.Compare(l, h); {
	case !ok:
		return attr.Invalid(textSameType, valueText(l), valueText(h))
	case order > 0:
		return attr.Invalid(textBounds, valueText(l), valueText(h))
	}
	return nil
}

// valueText is a scalar as AWS shows it in errors: {N:5}.
func valueText(v attr.Value) string {
	text := v.Text()
	if v.Type() == attr.B {
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	return "{" + v.Type().String() + ":" + text + "}"
}

// checkUpdate checks a whole update: first its targets, also against each other,
// then the placeholders of its values, then types.
func (b *bound) checkUpdate() *attr.Error {
	u := b.parsed.update
	if err := b.checkPaths(u.targets); err != nil {
		return err
	}
	for _, section := range [][]action{u.sets, u.adds, u.deletes} {
		for _, a := range section {
			if err := b.defined([]operand{a.value}); err != nil {
				return err
			}
		}
	}
	if err := b.checkSection("ADD", u.adds); err != nil {
		return err
	}
	if err := b.checkSection("DELETE", u.deletes); err != nil {
		return err
	}
	for _, a := range u.sets {
		if a.value.kind != callOperand {
			continue
		}
		if err := checkOperands(a.value.call.fn, a.value.call.args); err != nil {
			return err
		}
		if err := b.checkTypes(a.value.call.fn, a.value.call.args); err != nil {
			return err
		}
	}
	return nil
}

// checkSection checks the values of ADD (numbers and sets) or DELETE (sets).
func (b *bound) checkSection(section string, actions []action) *attr.Error {
	for _, a := range actions {
		t := b.typeOf(a.value)
		if t.Set() || section == "ADD" && t == attr.N {
			continue
		}
		return attr.Invalid(textSection, section, longTypeName(t), section)
	}
	return nil
}

func longTypeName(t attr.Type) string {
	switch t {
	case attr.S:
		return "STRING"
	case attr.N:
		return "NUMBER"
	case attr.B:
		return "BINARY"
	case attr.BOOL:
		return "BOOLEAN"
	case attr.M:
		return "MAP"
	case attr.L:
		return "LIST"
	}
	return t.String()
}

// relation is how two document paths stand to each other.
type relation uint8

const (
	separate relation = iota
	overlap           // one is the beginning of the other
	conflict          // one takes for a map what the other takes for a list
)

func (b *bound) relate(x, y path) relation {
	for i := range min(len(x), len(y)) {
		switch {
		case x[i].isIndex != y[i].isIndex:
			return conflict
		case x[i].isIndex && x[i].index != y[i].index:
			return separate
		case !x[i].isIndex && b.name(x[i]) != b.name(y[i]):
			return separate
		}
	}
	return overlap
}

// checkPaths refuses paths of one projection or update that are undefined,
// overlap or conflict. Of two such errors, an overlap counts first.
func (b *bound) checkPaths(paths []path) *attr.Error {
	for _, p := range paths {
		if err := b.definedPath(p); err != nil {
			return err
		}
	}
	var conflicting *attr.Error
	for i, two := range paths {
		for _, one := range paths[:i] {
			switch b.relate(one, two) {
			case overlap:
				return attr.Invalid(textOverlap, b.pathText(one), b.pathText(two))
			case conflict:
				note(&conflicting, textConflict, b.pathText(one), b.pathText(two))
			}
		}
	}
	return conflicting
}

// pathText is a path as AWS shows it in errors: [a, b, [0]].
func (b *bound) pathText(p path) string {
	parts := make([]string, len(p))
	for i, e := range p {
		if parts[i] = b.name(e); e.isIndex {
			parts[i] = "[" + strconv.Itoa(e.index) + "]"
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
