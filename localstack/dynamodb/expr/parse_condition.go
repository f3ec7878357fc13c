package expr

// conditionFunctions are the functions of condition expressions, true, and those
// of update expressions.
var conditionFunctions = map[string]bool{
	"attribute_exists": true, "attribute_not_exists": true, "attribute_type": true,
	"begins_with": true, "contains": true, "size": true,
	"if_not_exists": false, "list_append": false,
}

// term is what a rule of the condition grammar has read: a condition, or inside of
// parentheses possibly only an operand, as in (a) = :x.
type term struct {
	cond      *cond
	operand   operand
	parens    bool // written in parentheses
	redundant bool // in more than one pair of them
}

// or = and { OR and }. With inParens a lone operand is fine if ")" follows.
func (p *parser) or(inParens bool) term {
	return p.logical("OR", inParens, func(inParens bool) term {
		return p.logical("AND", inParens, p.not)
	})
}

// logical reads operators of one precedence, which associate to the left.
func (p *parser) logical(op string, inParens bool, side func(inParens bool) term) term {
	left := side(inParens)
	for left.cond != nil && p.take(op) {
		p.operator()
		right := side(false)
		left = term{cond: &cond{op: op, kids: []*cond{left.cond, right.cond}}}
	}
	return left
}

// not = NOT not | comparison
func (p *parser) not(inParens bool) term {
	if !p.take("NOT") {
		return p.comparison(inParens)
	}
	p.operator()
	return term{cond: &cond{op: "NOT", kids: []*cond{p.not(false).cond}}}
}

// comparison = primary | primary comparator operand
// | primary BETWEEN operand AND operand | primary IN "(" operand { "," operand } ")"
func (p *parser) comparison(inParens bool) term {
	left := p.primary()
	if p.err != nil || left.cond != nil {
		return left
	}
	tok := p.peek()
	compares := tok.kind == tokPunct && comparator(tok.text) || tok.kind == tokKeyword && (tok.text == "BETWEEN" || tok.text == "IN")
	if left.redundant && compares { // otherwise its standing alone is the error
		p.redundantParens()
	}
	switch {
	case tok.kind == tokPunct && comparator(tok.text):
		p.next()
		return p.compared(tok.text, left.operand, p.operand())
	case p.take("BETWEEN"):
		low := p.operand()
		p.want("AND")
		return p.compared("BETWEEN", left.operand, low, p.operand())
	case p.take("IN"):
		p.want("(")
		list := p.operandList()
		if len(list) > maxInOperands {
			note(&p.bounds, "The IN operator is provided with too many operands; number of operands: %d", len(list))
		}
		return p.compared("IN", append([]operand{left.operand}, list...)...)
	case inParens && p.isPunct(")"):
		return left
	case left.operand.kind == callOperand:
		return p.predicate(left.operand.call)
	}
	p.unexpected()
	return term{}
}

// primary = "(" or ")" | operand
func (p *parser) primary() term {
	if !p.take("(") {
		return term{operand: p.bareOperand()}
	}
	inner := p.or(true)
	p.want(")")
	if inner.parens && (inner.cond != nil || inner.operand.kind == callOperand) {
		p.redundantParens()
	}
	inner.redundant = inner.parens
	inner.parens = true
	return inner
}

func comparator(text string) bool {
	switch text {
	case "=", "<>", "<", "<=", ">", ">=":
		return true
	}
	return false
}

// compared is a comparison of operands, among which the only function is size.
func (p *parser) compared(op string, args ...operand) term {
	p.operator()
	p.onlySize(args)
	return term{cond: &cond{op: op, args: args}}
}

// predicate is a function that is a condition by itself.
func (p *parser) predicate(c *call) term {
	if c.fn == "size" {
		p.misuse(c.fn)
	}
	p.onlySize(c.args)
	return term{cond: &cond{op: c.fn, args: c.args}}
}

func (p *parser) onlySize(args []operand) {
	for _, a := range args {
		if a.kind != callOperand {
			continue
		}
		if a.call.fn != "size" {
			p.misuse(a.call.fn)
		}
		p.onlySize(a.call.args)
	}
}
