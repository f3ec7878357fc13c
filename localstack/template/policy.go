package template

// Statement is a statement of a function's policy: what it allows, on what. Actions and resources are
// patterns, in which * stands for anything.
// Source: IAM user guide, "IAM JSON policy elements reference".
type Statement struct {
	Actions, Resources []string
}

// policySchema is of an inline policy.
var policySchema = schema{"Version": nil, "Statement": names("Sid", "Effect", "Action", "Resource")}

// readPolicies reads a function's policies. Managed policies and SAM's policy templates say nothing
// about what they allow, which a reader of the template, and this one, would have to know.
func readPolicies(p *node) ([]Statement, error) {
	policies := p.at("Policies")
	if policies == nil {
		return nil, nil
	}
	all := policies.list
	if policies.members != nil {
		all = []*node{policies} // SAM takes one without a list
	}
	if all == nil {
		return nil, policies.fail("Policies must be a list of policy documents, this is %s: write out what the function may do", policies.kind())
	}
	var found []Statement
	for _, policy := range all {
		if policy.at("Statement") == nil {
			return nil, policy.fail("the local cloud knows policy documents with a Statement only, not managed policies or SAM's templates: write out what the function may do")
		}
		if err := policySchema.check(policy, "a policy"); err != nil {
			return nil, err
		}
		statements := policy.members["Statement"]
		if statements.members != nil {
			statements = &node{file: statements.file, line: statements.line, list: []*node{statements}}
		}
		for _, n := range statements.list {
			s, err := n.statement()
			if err != nil {
				return nil, err
			}
			found = append(found, s)
		}
	}
	return found, nil
}

func (n *node) statement() (Statement, error) {
	effect, err := n.need("Effect")
	if err != nil {
		return Statement{}, err
	}
	if effect != "Allow" {
		return Statement{}, n.at("Effect").fail("the local cloud knows the Effect Allow only, not %q", effect)
	}
	var s Statement
	for name, to := range map[string]*[]string{"Action": &s.Actions, "Resource": &s.Resources} {
		if v := n.at(name); v != nil && v.scalar != nil {
			*to = []string{*v.scalar}
			continue
		}
		if *to, err = n.strings(name); err != nil {
			return Statement{}, err
		}
		if len(*to) == 0 {
			return Statement{}, n.fail("the statement has no %s", name)
		}
	}
	return s, nil
}
