package template_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/gateway"
	"github.com/duet-chat/duet/localstack/template"
)

const raw = "testdata/raffle.yaml"

// An API without SAM is the same API: routes, integrations, authorizer and stage find each other.
func TestRawAPI(t *testing.T) {
	o := options(nil)
	var made []dynamodb.TableSpec
	create := o.CreateTable
	o.CreateTable = func(spec dynamodb.TableSpec) (dynamodb.TableInfo, error) {
		made = append(made, spec)
		return create(spec)
	}
	stack, err := template.Load(raw, o)
	if err != nil {
		t.Fatal(err)
	}
	want := &gateway.API{
		ID: stack.API.ID, Name: "Raffle", Stage: "dev", RouteSelectionExpression: "$request.body.action",
		Authorizer: &gateway.Authorizer{Function: "raffle-guard-dev", IdentitySources: []string{"route.request.querystring.ticket"}},
		Routes: map[string]gateway.Route{
			"$connect": {Function: "Enter"},
			"draw":     {Function: "Draw", Timeout: 5 * time.Second, Reply: true},
			"$default": {Function: "Draw"},
		},
	}
	if diff := cmp.Diff(want, stack.API); diff != "" {
		t.Errorf("API (-want +got)\n%s", diff)
	}
	draw, _ := stack.FunctionNamed("Draw")
	if want := map[string]string{"TABLE": "tickets-dev", "MEMORY": "small", "LIMITS": "3;5", "API": "http://localhost:4566/dev"}; !maps.Equal(draw.Env, want) {
		t.Errorf("Draw's variables = %v, want %v", draw.Env, want)
	}
	if draw.Folder != "cmd/draw" || draw.MakeTarget != "build-Draw" || draw.At != raw+":79" {
		t.Errorf("Draw = %+v", draw)
	}
	guard, _ := stack.FunctionNamed("raffle-guard-dev")
	if guard.Folder != "cmd/guard" || guard.MemoryMB != 512 || guard.Handler != "guard" {
		t.Errorf("guard = %+v", guard)
	}
	if len(stack.Warnings) != 1 || !strings.HasPrefix(stack.Warnings[0], raw+":") || !strings.Contains(stack.Warnings[0], "go1.x") {
		t.Errorf("warnings = %q, want one of the retired runtime", stack.Warnings)
	}
	i := slices.IndexFunc(made, func(s dynamodb.TableSpec) bool { return s.TableName == "duet-Winners" })
	wantTable := dynamodb.TableSpec{
		TableName: "duet-Winners", BillingMode: "PAY_PER_REQUEST",
		AttributeDefinitions: []dynamodb.AttributeDefinition{{AttributeName: "number", AttributeType: "N"}},
		KeySchema:            []dynamodb.KeyElement{{AttributeName: "number", KeyType: "HASH"}},
	}
	if i < 0 || !cmp.Equal(made[i], wantTable) {
		t.Errorf("tables = %+v, want %+v among them", made, wantTable)
	}
	if len(stack.Mappings) != 1 || stack.Mappings[0].Name != "DrawTickets" || stack.Mappings[0].Function != "Draw" || stack.Mappings[0].BatchSize != 7 {
		t.Errorf("mappings = %+v", stack.Mappings)
	}
	if want := map[string]string{"Url": "ws://localhost:4566/dev"}; !maps.Equal(stack.Outputs, want) {
		t.Errorf("outputs = %v, want %v", stack.Outputs, want)
	}
}

// The same template in JSON is the same stack.
func TestJSONTemplate(t *testing.T) {
	file, _ := write(t, "{\n\t\"Resources\": {\n\t\t\"Work\": {\n\t\t\t\"Type\": \"AWS::Serverless::Function\",\n\t\t\t\"Properties\": {\"CodeUri\": \"work/\", \"Runtime\": \"provided.al2023\", \"Timeout\": 7}\n\t\t}\n\t},\n"+
		"\t\"Outputs\": {\"Arn\": {\"Value\": {\"Fn::GetAtt\": [\"Work\", \"Arn\"]}}}\n}\n")
	stack, err := template.Load(file, options(nil))
	if err != nil {
		t.Fatal(err)
	}
	work, _ := stack.FunctionNamed("Work")
	if work.Folder != "work" || work.Timeout != 7*time.Second || !strings.HasSuffix(stack.Outputs["Arn"], ":function:Work") {
		t.Errorf("Work = %+v, outputs = %v", work, stack.Outputs)
	}
}

// rawAPI is an API of one route, with more properties or resources; each part can be replaced.
func rawAPI(replace ...string) string {
	text := `Resources:` + function + `
  Room:
    Type: AWS::ApiGatewayV2::Api
    Properties: { Name: room, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }
  Say:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Room
      RouteKey: say
      Target: !Sub integrations/${ToWork}
  ToWork:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Room
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Work.Arn}/invocations
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { ApiId: !Ref Room, StageName: dev, AutoDeploy: true }
  Allowed:
    Type: AWS::Lambda::Permission
    Properties: { Action: lambda:InvokeFunction, FunctionName: !Ref Work, Principal: apigateway.amazonaws.com }
`
	return strings.NewReplacer(replace...).Replace(text)
}

func TestBadRawAPIs(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"an HTTP API", rawAPI("ProtocolType: WEBSOCKET", "ProtocolType: HTTP", "$request.body.action }", "$request.body.action } #!"), "must be WEBSOCKET, not HTTP"},
		{"a route to no integration", rawAPI("Target: !Sub integrations/${ToWork}", "Target: integrations/Other #!"), "no integration of this template"},
		{"a route to what is no integration", rawAPI("Target: !Sub integrations/${ToWork}", "Target: integrations/Work #!"), "no integration of this template"},
		{"a route without a target", rawAPI("Properties:\n      ApiId: !Ref Room\n      RouteKey: say\n      Target: !Sub integrations/${ToWork}", "Properties: { ApiId: !Ref Room, RouteKey: say } #!"), "Target is missing"},
		{"an integration with a missing function", rawAPI("${Work.Arn}/invocations", "arn:aws:lambda:us-east-1:000000000000:function:Gone/invocations #!"), `which is no function of this template: it has Work`},
		{"an integration with a function that is not declared", rawAPI("${Work.Arn}/invocations", "${Gone.Arn}/invocations #!"), "no parameter or resource Gone"},
		{"an integration by another path", rawAPI("/invocations", " #!"), "it must be arn:aws:apigateway:REGION:lambda:path"},
		{"an integration with a server", rawAPI("IntegrationType: AWS_PROXY", "IntegrationType: HTTP_PROXY #!"), "AWS_PROXY only"},
		{"a part of no API", rawAPI("ApiId: !Ref Room\n      IntegrationType", "ApiId: abc #!\n      IntegrationType"), "no AWS::ApiGatewayV2::Api of this template"},
		{"no stage", rawAPI("  Room:", "  Room: #!", "  Stage:\n    Type: AWS::ApiGatewayV2::Stage\n    Properties: { ApiId: !Ref Room, StageName: dev, AutoDeploy: true }\n", ""), "has no stage"},
		{"two stages", rawAPI() + "  Second: #!\n    Type: AWS::ApiGatewayV2::Stage\n    Properties: { ApiId: !Ref Room, StageName: live }\n", "one stage, and Stage is there already"},
		{"no routes", "Resources:" + function + "  Room: #!\n    Type: AWS::ApiGatewayV2::Api\n    Properties: { ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }\n  Stage:\n    Type: AWS::ApiGatewayV2::Stage\n    Properties: { ApiId: !Ref Room, StageName: dev }\n", "has no routes"},
		{"a route twice", rawAPI() + "  Again:\n    Type: AWS::ApiGatewayV2::Route\n    Properties:\n      ApiId: !Ref Room\n      Target: !Sub integrations/${ToWork}\n      RouteKey: say #!\n", "a route say already"},
		{"an API key", rawAPI("RouteKey: say", "RouteKey: say\n      ApiKeyRequired: true #!"), "no API keys"},
		{"IAM", rawAPI("RouteKey: say", "RouteKey: $connect\n      AuthorizationType: AWS_IAM #!"), "NONE and CUSTOM"},
		{"an authorizer of a message", rawAPI("RouteKey: say", "RouteKey: say\n      AuthorizationType: CUSTOM #!"), "only $connect"},
		{"an authorizer that is none", rawAPI("RouteKey: say", "RouteKey: $connect\n      AuthorizationType: CUSTOM\n      AuthorizerId: !Ref ToWork #!"), "no authorizer of this template"},
		{"an answer that would not be sent", rawAPI() + "  Answer: #!\n    Type: AWS::ApiGatewayV2::RouteResponse\n    Properties: { ApiId: !Ref Room, RouteId: !Ref Say, RouteResponseKey: $default }\n", "would send no reply"},
		{"stage variables", rawAPI("AutoDeploy: true }", "StageVariables: { a: b } } #!"), "no StageVariables"},
		{"a property unknown", rawAPI("RouteKey: say", "RouteKey: say\n      Models: x #!"), "does not know Models in AWS::ApiGatewayV2::Route"},
		{"a permission for a missing function", rawAPI() + "  Allow:\n    Type: AWS::Lambda::Permission\n    Properties: { Action: lambda:InvokeFunction, Principal: apigateway.amazonaws.com, FunctionName: Gone } #!\n", "no function of this template"},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, test.text, nil, test.want) })
	}
}
