package template

import (
	"fmt"
	"slices"
	"strings"

	"github.com/duet-chat/duet/localstack/cognito"
)

// name gives a resource what others can refer to. A table's stream is known when it is made.
func (r *reader) name(res *resource) error {
	id := res.id
	arn := func(service, rest string) string {
		return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, r.Region, r.Account, rest)
	}
	res.ref, res.attributes = id, map[string]string{}
	switch res.kind {
	case "AWS::Serverless::Function":
		res.attributes["Arn"] = arn("lambda", "function:"+id)
	case "AWS::DynamoDB::Table":
		res.ref = r.nameOf(res, "TableName")
		res.attributes["Arn"] = arn("dynamodb", "table/"+res.ref)
	case "AWS::Serverless::WebSocketApi":
		res.ref = apiID(r.Stack, id)
		res.attributes["ApiEndpoint"] = fmt.Sprintf("wss://%s.execute-api.%s.%s", res.ref, r.Region, urlSuffix)
		res.attributes["ApiId"] = res.ref
		return r.nameRoutes(res)
	case "AWS::Cognito::UserPool":
		pool := cognito.PoolID(r.Region, r.Stack+"-"+id)
		host := fmt.Sprintf("cognito-idp.%s.%s/%s", r.Region, urlSuffix, pool)
		res.ref = pool
		res.attributes = map[string]string{
			"Arn": arn("cognito-idp", "userpool/"+pool), "UserPoolId": pool, "ProviderName": host, "ProviderURL": "https://" + host,
		}
	case "AWS::Cognito::UserPoolClient":
		res.ref = cognito.ClientID(r.Stack + "-" + id)
		res.attributes["ClientId"] = res.ref
	case "AWS::SQS::Queue":
		name := r.nameOf(res, "QueueName")
		res.ref = fmt.Sprintf("https://sqs.%s.%s/%s/%s", r.Region, urlSuffix, r.Account, name)
		res.attributes = map[string]string{"Arn": arn("sqs", name), "QueueName": name, "QueueUrl": res.ref}
	case "AWS::Logs::LogGroup":
		res.attributes["Arn"] = arn("logs", "log-group:"+id)
	}
	return nil
}

// nameOf is the name that a property gives a resource, or the one that it gets without.
func (r *reader) nameOf(res *resource, property string) string {
	if n := res.properties.members[property]; n != nil && n.scalar != nil {
		return *n.scalar
	}
	return r.Stack + "-" + res.id
}

// nameRoutes names what SAM makes of an API: a route resource for each route, and the stage. SAM
// takes letters and digits only, and lets a route replace another whose name is the same.
func (r *reader) nameRoutes(res *resource) error {
	if stage := res.properties.members["StageName"]; stage != nil && stage.scalar != nil {
		res.attributes["Stage"] = *stage.scalar
	}
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
		r.scope.resources[id] = &resource{id: id, kind: routeKind, ref: res.id + " " + key, node: n}
	}
	return nil
}

// routeKind is the type of the resources that SAM makes of an API's routes.
const routeKind = "AWS::ApiGatewayV2::Route"

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// apiID makes an API's id in the form of AWS's, always the same for the same stack.
func apiID(stack, id string) string {
	return cognito.ClientID("api " + stack + "-" + id)[:10]
}
