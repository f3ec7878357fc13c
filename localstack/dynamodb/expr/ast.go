package expr

import "github.com/duet-chat/duet/localstack/dynamodb/attr"

// parsed is an expression without its placeholders' meaning, as the cache keeps it.
type parsed struct {
	names  []string // the #names in it, each once; elements refer to them by index
	values []string // the :values, likewise
	cond   *cond    // of conditions, filters and key conditions
	update *update
	paths  []path // of projections
}

// element is one step of a document path.
type element struct {
	name    string // when written out
	slot    int    // of a #name in parsed.names, otherwise -1
	index   int    // when isIndex
	isIndex bool
}

type path []element

// operandKind tells what an operand is.
type operandKind uint8

const (
	pathOperand operandKind = iota
	valueOperand
	callOperand
)

type operand struct {
	kind operandKind
	path path
	slot int   // of a :value in parsed.values
	call *call // size in conditions; if_not_exists, list_append, + and - in updates
}

// call is a function or arithmetic operator with its operands.
type call struct {
	fn   string
	args []operand
}

// cond is a node of a condition. Logical nodes have kids, the others args.
type cond struct {
	op   string // AND OR NOT, a comparator, BETWEEN, IN, or a function's name
	kids []*cond
	args []operand
}

// update is the four sections of an update expression.
type update struct {
	sets    []action // with value
	removes []action
	adds    []action // with value, a :value
	deletes []action // with value, a :value
	targets []path   // of all of them, as written
	indexed bool     // some target ends in a list index, so that order matters
}

type action struct {
	target path
	value  operand
}

// bound is an expression with the meaning of its placeholders in one request.
type bound struct {
	parsed *parsed
	names  []string     // of parsed.names
	values []attr.Value // of parsed.values
}

// name is the attribute or member that a step names.
func (b *bound) name(e element) string {
	if e.slot >= 0 {
		return b.names[e.slot]
	}
	return e.name
}

// lookup is the value at a path of an item, the zero Value if there is none.
func (b *bound) lookup(item attr.Item, p path) attr.Value {
	v, ok := item[b.name(p[0])]
	for _, e := range p[1:] {
		if !ok {
			return attr.Value{}
		}
		v, ok = b.step(v, e)
	}
	return v
}

// step is the member or element e of a map or list.
func (b *bound) step(v attr.Value, e element) (attr.Value, bool) {
	if !e.isIndex {
		v, ok := v.Map()[b.name(e)]
		return v, ok
	}
	if list := v.List(); e.index < len(list) {
		return list[e.index], true
	}
	return attr.Value{}, false
}
