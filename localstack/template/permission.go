package template

import (
	"fmt"
	"strings"

	"github.com/duet-chat/duet/localstack/gateway"
	"github.com/duet-chat/duet/localstack/iam"
)

// permission lets somebody invoke a function. Sources: CloudFormation template reference,
// AWS::Lambda::Permission; Lambda developer guide, "Using resource-based policies".
type permission struct {
	function            string // its name, and :ALIAS if it is for one
	action, principal   string
	source, fromAccount string // "" for any
}

const permissionKind = "AWS::Lambda::Permission"

// readPermission checks that the function which AWS may invoke is there.
func (r *reader) readPermission(_ *resource, p *node) error {
	_, err := r.functionOf(p, "FunctionName")
	return err
}

// permissions are all of the template's.
func (r *reader) permissions() ([]permission, error) {
	var all []permission
	for _, res := range r.resources {
		if res.kind != permissionKind {
			continue
		}
		p, err := r.evaluated(res)
		if err != nil {
			return nil, err
		}
		if _, err := r.functionOf(p, "FunctionName"); err != nil {
			return nil, err
		}
		var one permission
		for name, to := range map[string]*string{
			"FunctionName": &one.function, "Action": &one.action, "Principal": &one.principal, "SourceArn": &one.source, "SourceAccount": &one.fromAccount,
		} {
			if *to, err = p.str(name, ""); err != nil {
				return nil, err
			}
		}
		one.function = qualified(one.function)
		all = append(all, one)
	}
	return all, nil
}

// qualified is a function's name, with :ALIAS if it has one, in what names it: an ARN, or a name already.
func qualified(name string) string {
	if _, after, ok := strings.Cut(name, ":function:"); ok {
		return after
	}
	return name
}

// allows tells whether API Gateway may invoke a function for something of an API. What is allowed for a
// function is not for its aliases, and the reverse.
func (p permission) allows(function, source, account string) bool {
	return p.function == function && iam.Match(p.action, "lambda:InvokeFunction") &&
		(p.principal == "apigateway.amazonaws.com" || p.principal == "*") &&
		(p.source == "" || iam.Match(p.source, source)) && (p.fromAccount == "" || p.fromAccount == account)
}

// readAllowed finds out what of an API without SAM may invoke its function: by a permission of the
// function's, or by a role of the integration's. SAM makes the permissions of its own kind of API.
// Source: API Gateway developer guide, "Set up a WebSocket API integration request", permissions.
func (r *reader) readAllowed(routes []part, api *gateway.API) error {
	all, err := r.permissions()
	if err != nil {
		return err
	}
	denied := func(p *node, uri, credentials, source string) (string, error) {
		if p.at(credentials) != nil {
			return "", nil
		}
		function, err := p.need(uri)
		if err != nil {
			return "", err
		}
		function = qualified(strings.TrimSuffix(function, "/invocations"))
		source = fmt.Sprintf("arn:aws:execute-api:%s:%s:%s/%s", r.Region, r.Account, api.ID, source)
		for _, one := range all {
			if one.allows(function, source, r.Account) {
				return "", nil
			}
		}
		why := fmt.Sprintf("no %s lets apigateway.amazonaws.com invoke %s from %s", permissionKind, function, source)
		r.warn(p.at(uri), "%s: it fails, as on AWS", why)
		return why, nil
	}
	for _, part := range routes {
		key := *part.p.at("RouteKey").scalar
		integration := r.scope.resources[strings.TrimPrefix(*part.p.at("Target").scalar, "integrations/")]
		p, err := r.evaluated(integration)
		if err != nil {
			return err
		}
		route := api.Routes[key]
		if route.Denied, err = denied(p, "IntegrationUri", "CredentialsArn", api.Stage+"/"+key); err != nil {
			return err
		}
		api.Routes[key] = route
		if key != "$connect" || api.Authorizer == nil {
			continue
		}
		authorizer := *part.p.at("AuthorizerId").scalar
		if p, err = r.evaluated(r.scope.resources[authorizer]); err != nil {
			return err
		}
		if api.Authorizer.Denied, err = denied(p, "AuthorizerUri", "AuthorizerCredentialsArn", "authorizers/"+authorizer); err != nil {
			return err
		}
	}
	return nil
}
