package template

import (
	"strings"

	"github.com/duet-chat/duet/localstack/gateway"
)

func (r *reader) readAPI(res *resource, p *node) error {
	if r.stack.API != nil {
		return res.node.fail("the local cloud runs one WebSocket API, and %s is there already", r.stack.API.Name)
	}
	selection, err := p.routeSelection()
	if err != nil {
		return err
	}
	stage, err := p.stageName("default")
	if err != nil {
		return err
	}
	api := &gateway.API{ID: res.ref, Name: res.id, Stage: stage, RouteSelectionExpression: selection, Routes: map[string]gateway.Route{}}
	if auth := p.at("Auth"); auth != nil {
		if api.Authorizer, err = r.readAuth(auth); err != nil {
			return err
		}
	}
	routes := p.at("Routes")
	if routes == nil || len(routes.keys) == 0 {
		return p.fail("%s has no Routes", res.id)
	}
	for _, key := range routes.keys {
		n := routes.members[key]
		if err := known(n, "a route", "FunctionArn", "IntegrationTimeout", "RouteResponseSelectionExpression", "OperationName", "ApiKeyRequired"); err != nil {
			return err
		}
		if err := n.noAPIKey(); err != nil {
			return err
		}
		function, err := r.functionOf(n, "FunctionArn")
		if err != nil {
			return err
		}
		timeout, err := n.integrationTimeout("IntegrationTimeout")
		if err != nil {
			return err
		}
		api.Routes[key] = gateway.Route{Function: function, Timeout: timeout}
	}
	if err := readThrottles(p, api); err != nil {
		return err
	}
	if domain := p.at("Domain"); domain != nil {
		r.warn(domain, "the domain of %s is only deployed; here clients use the address that is told at the start", res.id)
	}
	r.stack.API = api
	// Replies need a selection expression and a route response: see readRouteResponse.
	for _, other := range r.resources {
		if other.kind != "AWS::ApiGatewayV2::RouteResponse" {
			continue
		}
		response, err := r.scope.eval(other.properties)
		if err != nil {
			return err
		}
		route, err := response.need("RouteId")
		if err != nil {
			return err
		}
		key, ok := strings.CutPrefix(route, res.id+" ")
		if !ok {
			continue
		}
		if n := routes.at(key).at("RouteResponseSelectionExpression"); n == nil || n.scalar == nil || *n.scalar != "$default" {
			return other.node.fail("the route %s has a route response, but no RouteResponseSelectionExpression $default: API Gateway would send no reply", key)
		}
		with := api.Routes[key]
		with.Reply = true
		api.Routes[key] = with
	}
	return nil
}

// noAPIKey refuses a route that is for holders of API keys only.
func (n *node) noAPIKey() error {
	needs, err := n.boolean("ApiKeyRequired", false)
	if err == nil && needs {
		err = n.at("ApiKeyRequired").fail("the local cloud knows no API keys: set ApiKeyRequired to false")
	}
	return err
}

// routeSelection is the expression by which the gateway finds a message's route.
func (n *node) routeSelection() (string, error) {
	expression, err := n.need("RouteSelectionExpression")
	if err != nil {
		return "", err
	}
	if err := gateway.CheckRouteSelection(expression); err != nil {
		return "", n.at("RouteSelectionExpression").fail("%v", err)
	}
	return expression, nil
}

// identitySources are what an authorizer needs of a handshake.
func (n *node) identitySources() ([]string, error) {
	sources, err := n.strings("IdentitySource")
	if err != nil {
		return nil, err
	}
	if err := gateway.CheckIdentitySources(sources); err != nil {
		return nil, n.at("IdentitySource").fail("%v", err)
	}
	return sources, nil
}

func (r *reader) readAuth(auth *node) (*gateway.Authorizer, error) {
	if err := known(auth, "AWS::Serverless::WebSocketApi.Auth", "AuthType", "AuthArn", "IdentitySource", "InvokeRole", "Name"); err != nil {
		return nil, err
	}
	kind, err := auth.need("AuthType")
	if err != nil {
		return nil, err
	}
	switch kind {
	case "NONE":
		return nil, nil
	case "CUSTOM":
	case "AWS_IAM":
		return nil, auth.at("AuthType").fail("the local cloud does not check who signs a handshake: it knows the AuthTypes CUSTOM and NONE, not AWS_IAM")
	default:
		return nil, auth.at("AuthType").fail("the local cloud knows the AuthTypes CUSTOM and NONE, in upper case, not %q: SAM makes an open API of any other spelling", kind)
	}
	function, err := r.functionOf(auth, "AuthArn")
	if err != nil {
		return nil, err
	}
	sources, err := auth.identitySources()
	return &gateway.Authorizer{Function: function, IdentitySources: sources}, err
}

// readRouteResponse checks one; readAPI puts it to use.
func (r *reader) readRouteResponse(_ *resource, p *node) error {
	key, err := p.need("RouteResponseKey")
	if err != nil {
		return err
	}
	if key != "$default" {
		return p.at("RouteResponseKey").fail("API Gateway knows the RouteResponseKey $default only, not %q", key)
	}
	route, err := p.need("RouteId")
	if err != nil {
		return err
	}
	for _, other := range r.scope.resources {
		if other.kind == routeKind && other.ref == route {
			return nil
		}
	}
	return p.at("RouteId").fail("RouteId is %q, which is no route of this template: refer to one by the name that SAM gives it, as in !Ref ChatSendRoute", route)
}
