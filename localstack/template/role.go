package template

import (
	"fmt"
	"slices"
	"strings"

	"github.com/duet-chat/duet/localstack/iam"
)

const (
	roleKind          = "AWS::IAM::Role"
	managedPolicyKind = "AWS::IAM::ManagedPolicy"
)

// role is an AWS::IAM::Role, or what SAM makes as one for a function that names none.
type role struct {
	iam.Role
	trust *node // AssumeRolePolicyDocument; nil for SAM's
}

// nameIAM names what has a path in its ARN. Source: IAM user guide, "IAM identifiers".
func (r *reader) nameIAM(res *resource, property, kind string) (err error) {
	if res.ref, err = r.ownName(res, property, r.Stack+"-"+res.id); err != nil {
		return err
	}
	path, err := r.ownName(res, "Path", "/")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(path, "/") || !strings.HasSuffix(path, "/") {
		return res.properties.members["Path"].fail("Path begins and ends with /, unlike %q", path)
	}
	res.attributes["Arn"] = fmt.Sprintf("arn:aws:iam::%s:%s%s%s", r.Account, kind, path, res.ref)
	return nil
}

// nameRole names the role that SAM makes for a function without one.
// Source: SAM developer guide, "Generated AWS CloudFormation resources", AWS::Serverless::Function.
func (r *reader) nameRole(function *resource) error {
	id := function.id + "Role"
	if r.scope.resources[id] != nil || isConstant(function.properties.at("Role")) {
		return nil
	}
	made := &resource{id: id, kind: roleKind, node: function.node, properties: &node{members: map[string]*node{}}, attributes: map[string]string{}, named: isNamed}
	if path := function.properties.at("RolePath"); path != nil {
		made.properties.members["Path"] = path
	}
	r.scope.resources[id] = made
	return r.nameIAM(made, "RoleName", "role")
}

// isConstant tells whether a property is there under all of the template's conditions.
func isConstant(n *node) bool { return n != nil && n.intrinsic != "If" }

// readRole reads a role. Source: CloudFormation template reference, AWS::IAM::Role.
func (r *reader) readRole(res *resource, p *node) error {
	made := &role{Role: iam.Role{Name: res.ref, ARN: res.attributes["Arn"]}, trust: p.at("AssumeRolePolicyDocument")}
	if made.trust == nil {
		return p.fail("AssumeRolePolicyDocument is missing: let lambda.amazonaws.com assume the role")
	}
	if err := noBoundary(p.at("PermissionsBoundary")); err != nil {
		return err
	}
	inline, err := p.maps("Policies")
	if err != nil {
		return err
	}
	for _, policy := range inline {
		statements, err := r.named(policy)
		if err != nil {
			return err
		}
		made.Statements = append(made.Statements, statements...)
	}
	if managed := p.at("ManagedPolicyArns"); managed != nil {
		if _, err := p.strings("ManagedPolicyArns"); err != nil {
			return err
		}
		for _, policy := range managed.list {
			if !strings.HasPrefix(*policy.scalar, "arn:") {
				return policy.fail("ManagedPolicyArns takes ARNs, as in arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole, not %q", *policy.scalar)
			}
			statements, err := r.managed(policy)
			if err != nil {
				return err
			}
			made.Statements = append(made.Statements, statements...)
		}
	}
	made.Statements = append(made.Statements, r.attached[made.Name]...)
	if r.roles[made.ARN] != nil {
		return p.fail("another role is named %s already", made.Name)
	}
	r.roles[made.ARN] = made
	return nil
}

func noBoundary(n *node) error {
	if n != nil {
		return n.fail("the local cloud knows no permissions boundaries: make it !Ref AWS::NoValue here, by a condition of the template")
	}
	return nil
}

// named reads the document of a policy that has a name.
func (r *reader) named(policy *node) ([]iam.Statement, error) {
	document := policy.at("PolicyDocument")
	if document == nil {
		return nil, policy.fail("PolicyDocument is missing")
	}
	return r.document(document)
}

// readManagedPolicy reads a managed policy of the template's, which may name roles that have it.
func (r *reader) readManagedPolicy(res *resource, p *node) error {
	statements, err := r.named(p)
	if err != nil {
		return err
	}
	r.managedPolicies[res.attributes["Arn"]] = statements
	return r.attach(p, statements)
}

// readRolesPolicy reads a policy that names the roles that have it.
func (r *reader) readRolesPolicy(_ *resource, p *node) error {
	statements, err := r.named(p)
	if err != nil {
		return err
	}
	if p.at("Roles") == nil {
		return p.fail("Roles is missing: the local cloud knows roles only, no users and groups")
	}
	return r.attach(p, statements)
}

// attach remembers what roles are allowed by policies that name them.
func (r *reader) attach(p *node, statements []iam.Statement) error {
	names, err := p.strings("Roles")
	if err != nil {
		return err
	}
	for i, name := range names {
		if !r.isRole(name) {
			return p.at("Roles").list[i].fail("there is no role %q in this template: name an AWS::IAM::Role by !Ref", name)
		}
		r.attached[name] = append(r.attached[name], statements...)
	}
	return nil
}

func (r *reader) isRole(name string) bool {
	for _, res := range r.scope.resources {
		if res.kind == roleKind && res.ref == name {
			return true
		}
	}
	return false
}

// readMadeRoles reads the roles that SAM makes for functions that name none.
func (r *reader) readMadeRoles() error {
	for _, function := range r.resources {
		res := r.scope.resources[function.id+"Role"]
		if function.kind != "AWS::Serverless::Function" || res == nil || res.node != function.node {
			continue
		}
		p, err := r.evaluated(function)
		if err != nil {
			return err
		}
		if p.at("Role") != nil {
			continue
		}
		made := &role{Role: iam.Role{Name: res.ref, ARN: res.attributes["Arn"]}}
		if made.trust, err = r.functionProperty(function, p, "AssumeRolePolicyDocument"); err != nil {
			return err
		}
		if made.Statements, err = r.readPolicies(p); err != nil {
			return err
		}
		made.Statements = slices.Concat(made.Statements, eventPolicies(p), r.attached[made.Name])
		r.roles[made.ARN] = made
	}
	return nil
}

// eventPolicies are what SAM lets a function do for its events: reading the stream, and sending to the
// failure queue, but that only if the destination's Type says that it is one.
// Source: SAM developer guide, "DynamoDB" and "DestinationConfig"; samtranslator, model/eventsources/pull.py.
func eventPolicies(p *node) (all []iam.Statement) {
	events := p.at("Events")
	if events == nil || events.members == nil {
		return nil // whose reader says what is wrong
	}
	for _, name := range events.keys {
		event := events.members[name]
		if kind := event.at("Type"); kind == nil || kind.scalar == nil || *kind.scalar != "DynamoDB" {
			continue
		}
		all = append(all, readStreams...)
		failure := event.at("Properties").at("DestinationConfig").at("OnFailure")
		kind, err := failure.str("Type", "")
		if err != nil || kind != "SQS" {
			continue
		}
		if queue, err := failure.need("Destination"); err == nil {
			all = append(all, iam.Statement{Actions: []string{"sqs:SendMessage"}, Resources: []string{queue}})
		}
	}
	return all
}

// readRoleOf finds the role that a function acts as, and checks that Lambda can assume it.
func (r *reader) readRoleOf(function string, res *resource, p *node) error {
	boundary, err := r.functionProperty(res, p, "PermissionsBoundary")
	if err != nil {
		return err
	}
	if err := noBoundary(boundary); err != nil {
		return err
	}
	at, arn := p, ""
	if n := p.at("Role"); n != nil {
		if arn, err = p.need("Role"); err != nil {
			return err
		}
		at = n
		if policies := p.at("Policies"); policies != nil {
			r.warn(policies, "the function %s has a Role, so SAM ignores its Policies, and so does the local cloud", res.id)
		}
	} else if made := r.scope.resources[res.id+"Role"]; made != nil {
		arn = made.attributes["Arn"]
	}
	acts := r.roles[arn]
	switch {
	case res.kind == "AWS::Lambda::Function" && p.at("Role") == nil:
		return p.fail("Role is missing: give the function %s the ARN of an AWS::IAM::Role, as in !GetAtt %sRole.Arn", res.id, res.id)
	case acts == nil:
		return at.fail("Role is %q, which is no role of this template, so nobody here knows what it allows: give the ARN of an AWS::IAM::Role, as in !GetAtt %sRole.Arn; SAM makes a role of Policies alone", arn, res.id)
	}
	if ok, err := assumedByLambda(acts.trust); err != nil {
		return err
	} else if !ok {
		return acts.trust.fail("the role defined for the function cannot be assumed by Lambda: let the AssumeRolePolicyDocument of %s allow sts:AssumeRole to the Service lambda.amazonaws.com", acts.Name)
	}
	r.stack.Policies.Roles[function] = acts.Role
	return nil
}

// assumedByLambda tells whether a role's trust policy lets Lambda assume it; SAM's own does.
func assumedByLambda(trust *node) (bool, error) {
	if trust == nil {
		return true, nil
	}
	if err := (schema{"Version": nil, "Id": nil, "Statement": names("Sid", "Effect", "Principal", "Action")}).check(trust, "AssumeRolePolicyDocument"); err != nil {
		return false, err
	}
	all, err := statements(trust)
	if err != nil {
		return false, err
	}
	trusted := false
	for _, n := range all {
		deny, err := n.effect()
		if err != nil {
			return false, err
		}
		actions, err := n.oneOrMore("Action")
		if err != nil {
			return false, err
		}
		services, err := n.at("Principal").oneOrMore("Service")
		if err != nil {
			return false, err
		}
		if !slices.Contains(services, "lambda.amazonaws.com") || !slices.ContainsFunc(actions, func(a string) bool { return iam.Match(strings.ToLower(a), "sts:assumerole") }) {
			continue
		}
		if deny {
			return false, nil
		}
		trusted = true
	}
	return trusted, nil
}
