package expr

import (
	"math"
	"slices"
	"strconv"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

// AWS's bounds of one expression ("Service quotas", expressions).
const (
	maxOperators  = 300
	maxInOperands = 100
	maxPathLevels = 32
	maxListIndex  = math.MaxInt32
)

// parser is what the grammars of conditions, updates and projections share. It
// collects the errors that AWS reports only when the syntax is right, the first
// of each sort, because AWS ranks them by sort and not by place.
type parser struct {
	tokens
	out       parsed
	functions map[string]bool // false: it exists, but not in this kind of expression
	elsewhere string          // the text for those

	function, misused, reserved, section, bounds *attr.Error
	operators                                    int
}

func note(slot **attr.Error, format string, args ...any) {
	if *slot == nil {
		*slot = attr.Invalid(format, args...)
	}
}

// parse parses an expression of any kind. Its errors do not depend on placeholders.
func parse(kind Kind, src string) (*parsed, *attr.Error) {
	if src == "" {
		return nil, attr.Invalid("The expression can not be empty;")
	}
	if len(src) > MaxSize {
		return nil, attr.Invalid("Expression size has exceeded the maximum allowed size; expression size: %d", len(src))
	}
	p := &parser{tokens: tokens{src: src, toks: lex(src)}}
	switch kind {
	case UpdateExpression:
		p.functions, p.elsewhere = updateFunctions, "The function is not allowed in an update expression; function: %s"
		p.out.update = p.updateSections()
	case ProjectionExpression:
		p.out.paths = p.pathList()
	default:
		p.functions, p.elsewhere = conditionFunctions, "The function is not allowed in a condition expression; function: %s"
		p.out.cond = p.or(false).cond
	}
	if p.peek().kind != tokEOF {
		p.unexpected()
	}
	order := []*attr.Error{p.err, p.function, p.misused, p.reserved, p.bounds}
	if kind == UpdateExpression {
		order = []*attr.Error{p.err, p.reserved, p.function, p.section, p.misused, p.bounds}
	}
	for _, err := range order {
		if err != nil {
			return nil, err
		}
	}
	return &p.out, nil
}

// slot is the index of a placeholder in a list of them, where it is added if new.
func slot(list *[]string, placeholder string) int {
	if i := slices.Index(*list, placeholder); i >= 0 {
		return i
	}
	*list = append(*list, placeholder)
	return len(*list) - 1
}

// path = name { "." name | "[" int "]" }
func (p *parser) path() path {
	result := path{p.pathName()}
	for {
		switch {
		case p.take("."):
			result = append(result, p.pathName())
		case p.take("["):
			result = append(result, p.pathIndex())
			p.want("]")
		default:
			if len(result) > maxPathLevels {
				note(&p.bounds, "The document path has too many nesting levels; nesting levels: %d", len(result))
			}
			return result
		}
	}
}

func (p *parser) pathName() element {
	switch tok := p.peek(); tok.kind {
	case tokIdent:
		p.next()
		if reserved(tok.text) {
			note(&p.reserved, "Attribute name is a reserved keyword; reserved keyword: %s", tok.text)
		}
		return element{name: tok.text, slot: -1}
	case tokName:
		p.next()
		return element{slot: slot(&p.out.names, tok.text)}
	}
	p.unexpected()
	return element{slot: -1}
}

func (p *parser) pathIndex() element {
	tok := p.peek()
	if tok.kind != tokInt {
		p.unexpected()
		return element{slot: -1, isIndex: true}
	}
	p.next()
	n, err := strconv.Atoi(tok.text)
	if err != nil || n > maxListIndex {
		note(&p.bounds, "List index is not within the allowable range; index: [%s]", tok.text)
	}
	return element{slot: -1, index: n, isIndex: true}
}

// pathList = path { "," path }
func (p *parser) pathList() []path {
	list := []path{p.path()}
	for p.take(",") {
		list = append(list, p.path())
	}
	return list
}

// operand = "(" operand ")" | function "(" operand { "," operand } ")" | :value | path
func (p *parser) operand() operand {
	if p.take("(") {
		redundant := p.isPunct("(")
		op := p.operand()
		if p.want(")"); redundant {
			p.redundantParens()
		}
		return op
	}
	return p.bareOperand()
}

func (p *parser) bareOperand() operand {
	tok := p.peek()
	switch tok.kind {
	case tokValue:
		p.next()
		return operand{kind: valueOperand, slot: slot(&p.out.values, tok.text)}
	case tokIdent:
		if after := p.toks[p.pos+1]; after.kind == tokPunct && after.text == "(" {
			return operand{kind: callOperand, call: p.callExpression()}
		}
		fallthrough
	case tokName:
		return operand{kind: pathOperand, path: p.path()}
	}
	p.unexpected()
	return operand{}
}

func (p *parser) callExpression() *call {
	name := p.next().text
	switch allowed, known := p.functions[name]; {
	case !known:
		note(&p.function, "Invalid function name; function: %s", name)
	case !allowed:
		note(&p.function, p.elsewhere, name)
	}
	p.operator()
	p.want("(")
	return &call{fn: name, args: p.operandList()}
}

// operandList = operand { "," operand } ")"
func (p *parser) operandList() []operand {
	list := []operand{p.operand()}
	for p.take(",") {
		list = append(list, p.operand())
	}
	p.want(")")
	return list
}

func (p *parser) isPunct(text string) bool {
	tok := p.peek()
	return tok.kind == tokPunct && tok.text == text
}

// redundantParens counts as a syntax error: the first of them is reported.
func (p *parser) redundantParens() {
	p.fail(attr.Invalid("The expression has redundant parentheses;"))
}

// operator counts an operator or function.
func (p *parser) operator() {
	if p.operators++; p.operators > maxOperators {
		note(&p.bounds, "The expression contains too many operators; operator count: %d", p.operators)
	}
}

func (p *parser) misuse(fn string) {
	note(&p.misused, "The function is not allowed to be used this way in an expression; function: %s", fn)
}
