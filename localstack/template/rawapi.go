package template

import (
	"slices"
	"strings"

	"github.com/duet-chat/duet/localstack/gateway"
)

// An API without SAM is spread over many resources: the API itself, a route and an integration for
// each key, an authorizer, a stage and its deployment. readRawAPI gathers them; readRawPart sees to
// it that each belongs to an API of the template.

func (r *reader) readRawAPI(res *resource, p *node) error {
	protocol, err := p.need("ProtocolType")
	if err != nil {
		return err
	}
	if protocol != "WEBSOCKET" {
		return p.at("ProtocolType").fail("the local cloud runs WebSocket APIs only: ProtocolType must be WEBSOCKET, not %s", protocol)
	}
	if r.stack.API != nil {
		return res.node.fail("the local cloud runs one WebSocket API, and %s is there already", r.stack.API.Name)
	}
	api := &gateway.API{ID: res.ref, Name: res.id, Routes: map[string]gateway.Route{}}
	if api.RouteSelectionExpression, err = p.routeSelection(); err != nil {
		return err
	}
	stage, err := r.readStage(res, api)
	if err != nil {
		return err
	}
	routes, err := r.partsOf(res, routeKind)
	if err != nil {
		return err
	}
	if len(routes) == 0 {
		return res.node.fail("%s has no routes: give it a %s for each", res.id, routeKind)
	}
	for _, part := range routes {
		if err := r.readRawRoute(part, api); err != nil {
			return err
		}
	}
	if err := readThrottles(stage.p, api); err != nil {
		return err
	}
	if err := r.warnOfUndeployed(stage, routes); err != nil {
		return err
	}
	if err := r.readAllowed(routes, api); err != nil {
		return err
	}
	r.stack.API = api
	return r.readRawResponses(res, routes, api)
}

// part is a resource of an API, with its properties.
type part struct {
	*resource
	p *node
}

// partsOf finds the resources of a type that belong to an API.
func (r *reader) partsOf(api *resource, kind string) ([]part, error) {
	var found []part
	for _, res := range r.resources {
		if res.kind != kind {
			continue
		}
		p, err := r.evaluated(res)
		if err != nil {
			return nil, err
		}
		if err := kinds[kind].properties.check(p, kind); err != nil {
			return nil, err
		}
		if id := p.at("ApiId"); id != nil && id.scalar != nil && *id.scalar == api.ref {
			found = append(found, part{res, p})
		}
	}
	return found, nil
}

// readRawPart checks that a part belongs to an API.
func (r *reader) readRawPart(res *resource, p *node) error {
	id, err := p.need("ApiId")
	if err != nil {
		return err
	}
	isAPI := func(other *resource) bool { return other.kind == "AWS::ApiGatewayV2::Api" && other.ref == id }
	if !slices.ContainsFunc(r.resources, isAPI) {
		return p.at("ApiId").fail("ApiId is %q, which is no AWS::ApiGatewayV2::Api of this template", id)
	}
	return nil
}

// readStage finds the one stage, which is a resource or is made by a deployment.
func (r *reader) readStage(res *resource, api *gateway.API) (stage part, err error) {
	stages, err := r.partsOf(res, stageKind)
	if err != nil {
		return stage, err
	}
	deployments, err := r.partsOf(res, deploymentKind)
	if err != nil {
		return stage, err
	}
	for _, deployment := range deployments {
		if deployment.p.at("StageName") != nil {
			stages = append(stages, deployment)
		}
	}
	switch {
	case len(stages) == 0:
		return stage, res.node.fail("%s has no stage, so that nobody could connect: give it an %s", res.id, stageKind)
	case len(stages) > 1:
		return stage, stages[1].node.fail("the local cloud runs one stage, and %s is there already: take one out, by a Condition perhaps", stages[0].id)
	}
	stage = stages[0]
	if v := stage.p.at("StageVariables"); v != nil && len(v.keys) > 0 {
		return stage, v.fail("the local cloud passes no StageVariables on: use the functions' Environment")
	}
	if _, err := stage.p.need("StageName"); err != nil {
		return stage, err
	}
	api.Stage, err = stage.p.stageName("")
	return stage, err
}

// warnOfUndeployed tells of what the local cloud runs and AWS would not: a stage has the routes that
// there were when its deployment was made, or all if it deploys by itself.
// Source: API Gateway developer guide, "Deploy WebSocket APIs in API Gateway".
func (r *reader) warnOfUndeployed(stage part, routes []part) error {
	byItself, err := stage.p.boolean("AutoDeploy", false)
	if err != nil || byItself {
		return err
	}
	deployment := stage.resource // a deployment can make its stage
	if stage.kind == stageKind {
		id, err := stage.p.str("DeploymentId", "")
		if err != nil {
			return err
		}
		if id == "" {
			r.warn(stage.node, "the stage %s has neither a DeploymentId nor AutoDeploy: on AWS nothing is deployed to it", stage.id)
			return nil
		}
		if deployment = r.scope.resources[id]; deployment == nil || deployment.kind != deploymentKind {
			return stage.p.at("DeploymentId").fail("DeploymentId is %q, which is no deployment of this template", id)
		}
	}
	after := r.neededBy(deployment)
	var forgotten []string
	for _, route := range routes {
		if !after[route.id] {
			forgotten = append(forgotten, route.id)
		}
	}
	if len(forgotten) > 0 {
		r.warn(deployment.node, "the deployment %s may be made before %s, and then is without: on AWS name all routes in its DependsOn", deployment.id, listed(forgotten))
	}
	return nil
}

func (r *reader) readRawRoute(route part, api *gateway.API) error {
	key, err := route.p.need("RouteKey")
	if err != nil {
		return err
	}
	if _, ok := api.Routes[key]; ok {
		return route.p.at("RouteKey").fail("there is a route %s already", key)
	}
	if err := route.p.noAPIKey(); err != nil {
		return err
	}
	target, err := route.p.need("Target")
	if err != nil {
		return err
	}
	integration, err := r.integrationOf(route, target)
	if err != nil {
		return err
	}
	if api.Routes[key], err = r.readIntegration(integration); err != nil {
		return err
	}
	return r.readRouteAuth(route, key, api)
}

// integrationOf finds the integration in a route's target, which is integrations/ID.
func (r *reader) integrationOf(route part, target string) (*resource, error) {
	id, ok := strings.CutPrefix(target, "integrations/")
	res := r.scope.resources[id]
	if !ok || res == nil || res.kind != integrationKind {
		return nil, route.p.at("Target").fail("Target is %q, which is no integration of this template: it must be integrations/ID, as in !Sub integrations/${SendIntegration}", target)
	}
	return res, nil
}

func (r *reader) readIntegration(res *resource) (gateway.Route, error) {
	p, err := r.evaluated(res)
	if err != nil {
		return gateway.Route{}, err
	}
	kind, err := p.need("IntegrationType")
	if err != nil {
		return gateway.Route{}, err
	}
	if kind != "AWS_PROXY" {
		return gateway.Route{}, p.at("IntegrationType").fail("the local cloud knows integrations of type AWS_PROXY only, that is with functions, not %s", kind)
	}
	for _, name := range []string{"TemplateSelectionExpression", "RequestTemplates"} {
		if v := p.at(name); v != nil {
			return gateway.Route{}, v.fail("an integration of type AWS_PROXY passes the whole message on, so that %s has no effect: take it out", name)
		}
	}
	function, err := r.functionOfURI(p, "IntegrationUri")
	if err != nil {
		return gateway.Route{}, err
	}
	timeout, err := p.integrationTimeout("TimeoutInMillis")
	return gateway.Route{Function: function, Timeout: timeout}, err
}

// functionOfURI is the function in the URI by which API Gateway invokes it, or in its ARN.
// Source: API Gateway developer guide, "Set up a WebSocket API integration request".
func (r *reader) functionOfURI(p *node, name string) (string, error) {
	uri, err := p.need(name)
	if err != nil {
		return "", err
	}
	if _, after, ok := strings.Cut(uri, "/functions/"); ok {
		invoked, ok := strings.CutSuffix(after, "/invocations")
		if !ok || !strings.HasPrefix(uri, "arn:aws:apigateway:") || !strings.Contains(uri, ":lambda:path/2015-03-31/") {
			return "", p.at(name).fail("%s is %q: it must be arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/ARN/invocations", name, uri)
		}
		uri = invoked
	}
	function, ok := r.functionNamed(uri)
	if !ok {
		return "", p.at(name).fail("%s invokes %q, which is no function of this template: it has %s", name, uri, listed(r.functionNames()))
	}
	return function, nil
}

// readRouteAuth reads who may use a route: only $connect can be guarded.
// Source: API Gateway developer guide, "Control access to WebSocket APIs with REQUEST authorizers".
func (r *reader) readRouteAuth(route part, key string, api *gateway.API) error {
	kind, err := route.p.str("AuthorizationType", "NONE")
	if err != nil {
		return err
	}
	switch {
	case kind == "NONE":
		return nil
	case kind != "CUSTOM":
		return route.p.at("AuthorizationType").fail("the local cloud knows the AuthorizationTypes NONE and CUSTOM, not %s", kind)
	case key != "$connect":
		return route.p.at("AuthorizationType").fail("only $connect can have an authorizer, not %s", key)
	}
	id, err := route.p.need("AuthorizerId")
	if err != nil {
		return err
	}
	res := r.scope.resources[id]
	if res == nil || res.kind != authorizerKind {
		return route.p.at("AuthorizerId").fail("AuthorizerId is %q, which is no authorizer of this template", id)
	}
	p, err := r.evaluated(res)
	if err != nil {
		return err
	}
	if kind, err = p.need("AuthorizerType"); err != nil {
		return err
	}
	if kind != "REQUEST" {
		return p.at("AuthorizerType").fail("a WebSocket API's authorizer is of type REQUEST, not %s", kind)
	}
	authorizer := &gateway.Authorizer{}
	if authorizer.Function, err = r.functionOfURI(p, "AuthorizerUri"); err != nil {
		return err
	}
	authorizer.IdentitySources, err = p.identitySources()
	api.Authorizer = authorizer
	return err
}

// readRawResponses lets the routes reply that have a selection expression and a route response.
func (r *reader) readRawResponses(res *resource, routes []part, api *gateway.API) error {
	responses, err := r.partsOf(res, "AWS::ApiGatewayV2::RouteResponse")
	if err != nil {
		return err
	}
	for _, response := range responses {
		id, err := response.p.need("RouteId")
		if err != nil {
			return err
		}
		i := slices.IndexFunc(routes, func(route part) bool { return route.ref == id })
		if i < 0 {
			return response.p.at("RouteId").fail("RouteId is %q, which is no route of %s", id, res.id)
		}
		route := routes[i].p
		if n := route.at("RouteResponseSelectionExpression"); n == nil || n.scalar == nil || *n.scalar != "$default" {
			return response.node.fail("the route %s has a route response, but no RouteResponseSelectionExpression $default: API Gateway would send no reply", routes[i].id)
		}
		key := *route.at("RouteKey").scalar
		with := api.Routes[key]
		with.Reply = true
		api.Routes[key] = with
	}
	return nil
}
