package expr

// updateFunctions are the functions of update expressions, true, and those of
// condition expressions.
var updateFunctions = map[string]bool{
	"if_not_exists": true, "list_append": true,
	"attribute_exists": false, "attribute_not_exists": false, "attribute_type": false,
	"begins_with": false, "contains": false, "size": false,
}

// updateSections = section { section }
func (p *parser) updateSections() *update {
	u := &update{}
	used := map[string]bool{}
	for more := true; more; more = p.err == nil && p.peek().kind == tokKeyword {
		section := p.peek().text
		switch {
		case p.take("SET"):
			u.sets = append(u.sets, p.actions(u, p.set)...)
		case p.take("REMOVE"):
			u.removes = append(u.removes, p.actions(u, p.remove)...)
		case p.take("ADD"):
			u.adds = append(u.adds, p.actions(u, p.withValue)...)
		case p.take("DELETE"):
			u.deletes = append(u.deletes, p.actions(u, p.withValue)...)
		default:
			p.unexpected()
		}
		if used[section] {
			note(&p.section, `The "%s" section can only be used once in an update expression;`, section)
		}
		used[section] = true
	}
	return u
}

// actions = action { "," action }
func (p *parser) actions(u *update, one func() action) []action {
	var list []action
	for {
		a := one()
		u.targets = append(u.targets, a.target)
		u.indexed = u.indexed || a.target[len(a.target)-1].isIndex
		list = append(list, a)
		if !p.take(",") {
			return list
		}
	}
}

// set = path "=" setValue
func (p *parser) set() action {
	a := action{target: p.path()}
	p.want("=")
	a.value = p.setValue()
	return a
}

func (p *parser) remove() action { return action{target: p.path()} }

// withValue = path :value
func (p *parser) withValue() action {
	a := action{target: p.path()}
	if p.peek().kind != tokValue {
		p.unexpected()
		return a
	}
	a.value = p.bareOperand()
	return a
}

// setValue = "(" setValue ")" | operand [ ("+" | "-") operand ]
func (p *parser) setValue() operand {
	value, _ := p.setTerm()
	return value
}

// setTerm reads a set value; parens tells whether all of it was in parentheses.
func (p *parser) setTerm() (value operand, parens bool) {
	if p.take("(") {
		var redundant bool
		value, redundant = p.setTerm()
		if p.want(")"); redundant {
			p.redundantParens()
		}
		parens = true
	} else {
		value = p.bareOperand()
		p.checkNested(value)
	}
	sign := p.peek().text
	if sum := p.isPunct("+") || p.isPunct("-"); !sum || isSum(value) {
		return value, parens
	}
	p.next()
	right := p.operand()
	p.checkNested(right)
	args := []operand{value, right}
	p.noListAppend(args)
	return operand{kind: callOperand, call: &call{fn: sign, args: args}}, false
}

// isSum reports whether op is an addition or subtraction, which cannot be added to.
func isSum(op operand) bool {
	return op.kind == callOperand && (op.call.fn == "+" || op.call.fn == "-")
}

// checkNested refuses list_append as an operand of another function.
func (p *parser) checkNested(op operand) {
	if op.kind != callOperand {
		return
	}
	p.noListAppend(op.call.args)
	for _, a := range op.call.args {
		p.checkNested(a)
	}
}

func (p *parser) noListAppend(args []operand) {
	for _, a := range args {
		if a.kind == callOperand && a.call.fn == "list_append" {
			p.misuse(a.call.fn)
		}
	}
}
