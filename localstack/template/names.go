package template

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/duet-chat/duet/localstack/cognito"
)

// name gives a resource what others can refer to, once. A table's stream is known when it is made.
func (r *reader) name(res *resource) error {
	switch res.named {
	case isNamed:
		return nil
	case beingNamed:
		return res.node.fail("the name of %s depends on itself: write it out", res.id)
	}
	res.named = beingNamed
	defer func() { res.named = isNamed }()
	return r.nameNow(res)
}

func (r *reader) nameNow(res *resource) (err error) {
	id := res.id
	arn := func(service, rest string) string {
		return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, r.Region, r.Account, rest)
	}
	res.ref, res.attributes = id, map[string]string{}
	switch res.kind {
	case "AWS::Serverless::Function", "AWS::Lambda::Function":
		if res.ref, err = r.ownName(res, "FunctionName", id); err != nil {
			return err
		}
		res.attributes["Arn"] = arn("lambda", "function:"+res.ref)
		if res.kind == "AWS::Serverless::Function" {
			if err := r.nameAlias(res); err != nil {
				return err
			}
			return r.nameRole(res)
		}
	case versionKind, aliasKind:
		return r.nameVersion(res)
	case roleKind:
		return r.nameIAM(res, "RoleName", "role")
	case managedPolicyKind:
		if err := r.nameIAM(res, "ManagedPolicyName", "policy"); err != nil {
			return err
		}
		res.ref = res.attributes["Arn"]
	case "AWS::DynamoDB::Table", "AWS::Serverless::SimpleTable":
		if res.ref, err = r.ownName(res, "TableName", r.Stack+"-"+id); err != nil {
			return err
		}
		res.attributes["Arn"] = arn("dynamodb", "table/"+res.ref)
	case "AWS::Serverless::WebSocketApi", "AWS::ApiGatewayV2::Api":
		res.ref = apiID(r.Stack, id)
		res.attributes["ApiEndpoint"] = fmt.Sprintf("wss://%s.execute-api.%s.%s", res.ref, r.Region, urlSuffix)
		res.attributes["ApiId"] = res.ref
		if res.kind == "AWS::Serverless::WebSocketApi" {
			return r.nameRoutes(res)
		}
	case routeKind:
		res.attributes["RouteId"] = id
	case integrationKind:
		res.attributes["IntegrationId"] = id
	case authorizerKind:
		res.attributes["AuthorizerId"] = id
	case deploymentKind:
		res.attributes["DeploymentId"] = id
	case stageKind:
		if res.ref, err = r.ownName(res, "StageName", ""); err != nil {
			return err
		}
	case "AWS::Cognito::UserPool":
		pool := cmp.Or(r.UserPools.IDs[id], cognito.PoolID(r.Region, r.Stack+"-"+id))
		host := fmt.Sprintf("cognito-idp.%s.%s/%s", r.Region, urlSuffix, pool)
		res.ref = pool
		res.attributes = map[string]string{
			"Arn": arn("cognito-idp", "userpool/"+pool), "UserPoolId": pool, "ProviderName": host, "ProviderURL": "https://" + host,
		}
	case "AWS::Cognito::UserPoolClient":
		res.ref = cmp.Or(r.UserPools.IDs[id], cognito.ClientID(r.Stack+"-"+id))
		res.attributes["ClientId"] = res.ref
	case "AWS::SQS::Queue":
		name, err := r.ownName(res, "QueueName", r.Stack+"-"+id)
		if err != nil {
			return err
		}
		res.ref = fmt.Sprintf("https://sqs.%s.%s/%s/%s", r.Region, urlSuffix, r.Account, name)
		res.attributes = map[string]string{"Arn": arn("sqs", name), "QueueName": name, "QueueUrl": res.ref}
	case eventBusKind, eventRuleKind:
		name, err := r.ownName(res, "Name", r.Stack+"-"+id)
		if err != nil {
			return err
		}
		res.ref = name
		res.attributes = map[string]string{"Arn": arn("events", map[string]string{eventBusKind: "event-bus/", eventRuleKind: "rule/"}[res.kind]+name), "Name": name}
	default:
		if d, ok := deployedOnly[res.kind]; ok {
			return r.nameDeployedOnly(res, d)
		}
	}
	return nil
}

// ownName is the name that a resource's property gives it, or the one that it has without.
func (r *reader) ownName(res *resource, property, otherwise string) (string, error) {
	n := res.properties.members[property]
	if n == nil {
		return otherwise, nil
	}
	v, err := r.scope.of(res, n)
	switch {
	case err != nil:
		return "", err
	case v.scalar == nil:
		return "", v.fail("%s must be a string, this is %s", property, v.kind())
	case *v.scalar == noValue:
		return otherwise, nil
	}
	return *v.scalar, nil
}

// nameRoutes names what SAM makes of an API: a route resource for each route, and the stage. SAM
// takes letters and digits only, and lets a route replace another whose name is the same.
func (r *reader) nameRoutes(res *resource) error {
	stage, err := r.ownName(res, "StageName", "default")
	if err != nil {
		return err
	}
	res.attributes["Stage"] = stage
	routes := res.properties.members["Routes"]
	if routes == nil {
		return nil
	}
	named := map[string]string{}
	for _, key := range routes.keys {
		n := routes.members[key]
		short := strings.TrimPrefix(key, "$")
		switch {
		case short == "" || strings.Trim(short, alphanumeric) != "":
			return n.fail("the route key %q is none of $connect, $disconnect, $default, letters and digits: SAM refuses it", key)
		case short != key && !slices.Contains([]string{"$connect", "$disconnect", "$default"}, key):
			return n.fail("the route key %q is none of $connect, $disconnect, $default: API Gateway reserves what begins with $", key)
		}
		id := res.id + strings.ToUpper(short[:1]) + short[1:] + "Route"
		if other, ok := named[id]; ok {
			return n.fail("the routes %s and %s are both named %s by SAM, which lets one replace the other: rename one", other, key, id)
		}
		named[id] = key
		r.scope.resources[id] = &resource{id: id, kind: routeKind, ref: res.id + " " + key, node: n, named: isNamed}
	}
	return nil
}

// Types that an API is made of without SAM; SAM makes routes of its own kind of API.
const (
	routeKind       = "AWS::ApiGatewayV2::Route"
	integrationKind = "AWS::ApiGatewayV2::Integration"
	authorizerKind  = "AWS::ApiGatewayV2::Authorizer"
	deploymentKind  = "AWS::ApiGatewayV2::Deployment"
	stageKind       = "AWS::ApiGatewayV2::Stage"
)

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// apiID makes an API's id in the form of AWS's, always the same for the same stack.
func apiID(stack, id string) string {
	return cognito.ClientID("api " + stack + "-" + id)[:10]
}
