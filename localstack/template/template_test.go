package template_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/streams"
	"github.com/duet-chat/duet/localstack/template"
)

const product = "../../template.yaml"

func options(parameters map[string]string) template.Options {
	return template.Options{
		Parameters: parameters, Stack: "duet", Region: "us-east-1", Account: "000000000000", Host: "localhost:4566",
		CreateTable: func(spec dynamodb.TableSpec) (dynamodb.TableInfo, error) {
			info := dynamodb.TableInfo{Name: spec.TableName}
			if spec.StreamSpecification != nil {
				info.StreamARN = "arn:aws:dynamodb:us-east-1:000000000000:table/" + spec.TableName + "/stream/now"
			}
			return info, nil
		},
	}
}

// The stack that is deployed is the one that is run here.
func TestProductsTemplate(t *testing.T) {
	stack, err := template.Load(product, options(nil))
	if err != nil {
		t.Fatal(err)
	}
	pool := stack.Pools[0]
	wantOutputs := map[string]string{
		"WebSocketUrl": "ws://localhost:4566/prod", "UserPoolEndpoint": "http://localhost:4566/",
		"UserPoolId": pool.ID, "UserPoolClientId": pool.Clients[0].ID, "Issuer": "http://localhost:4566/" + pool.ID,
		"UsersTable": "duet-UsersTable", "ConnectionsTable": "duet-ConnectionsTable", "ConversationsTable": "duet-ConversationsTable",
		"MembersTable": "duet-MembersTable", "MessagesTable": "duet-MessagesTable", "WatchersTable": "duet-WatchersTable",
		"DeliverFailures": "http://localhost:4566/000000000000/duet-DeliverFailures",
	}
	if !maps.Equal(stack.Outputs, wantOutputs) {
		t.Errorf("outputs = %v, want %v", stack.Outputs, wantOutputs)
	}
	if stack.API == nil || stack.API.Stage != "prod" || stack.API.RouteSelectionExpression != "$request.body.action" ||
		stack.API.Authorizer == nil || stack.API.Authorizer.Function != "AuthorizeFunction" {
		t.Errorf("API = %+v", stack.API)
	}
	for key, route := range stack.API.Routes {
		if wantReply := key != "$connect" && key != "$disconnect"; route.Reply != wantReply {
			t.Errorf("route %s: reply %v, want %v", key, route.Reply, wantReply)
		}
		if _, ok := stack.FunctionNamed(route.Function); !ok {
			t.Errorf("route %s: there is no function %s", key, route.Function)
		}
	}
	folders, err := os.ReadDir("../../functions")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if !slices.ContainsFunc(stack.Functions, func(f lambda.Function) bool { return f.Folder == "functions/"+folder.Name() }) {
			t.Errorf("functions/%s is not in the template", folder.Name())
		}
	}
	send, _ := stack.FunctionNamed("SendFunction")
	if send.Timeout != 10*time.Second || send.MemoryMB != 256 || send.Env["MESSAGES_TABLE"] != "duet-MessagesTable" || send.Env["LOG_LEVEL"] != "INFO" {
		t.Errorf("SendFunction = %+v: globals and its own variables must both be there", send)
	}
	deliver, _ := stack.FunctionNamed("DeliverFunction")
	if deliver.Timeout != 60*time.Second || deliver.MemoryMB != 512 || deliver.Env["CALLBACK_URL"] != "http://localhost:4566/prod" {
		t.Errorf("DeliverFunction = %+v: its own values beat the globals, URLs are local", deliver)
	}
	authorize, _ := stack.FunctionNamed("AuthorizeFunction")
	if authorize.Env["ISSUER"] != stack.Outputs["Issuer"] || authorize.Env["AUDIENCE"] != stack.Outputs["UserPoolClientId"] || authorize.Env["USER_CLAIM"] != "username" {
		t.Errorf("AuthorizeFunction's variables = %v", authorize.Env)
	}
	deliveries := stack.Mappings[slices.IndexFunc(stack.Mappings, func(m streams.Mapping) bool { return m.Name == "DeliverMapping" })]
	if len(stack.Queues) != 1 || deliveries.FailureQueueARN != "arn:aws:sqs:us-east-1:000000000000:"+stack.Queues[0].Name || stack.Queues[0].Retention != 14*24*time.Hour ||
		!strings.HasSuffix(deliveries.StreamARN, "table/duet-MessagesTable/stream/now") || !deliveries.ReportBatchItemFailures {
		t.Errorf("mapping = %+v, queues = %v", deliveries, stack.Queues)
	}
	if pool.PreSignUp != "RegisterFunction" || pool.PostConfirmation != "RegisterFunction" || pool.CaseInsensitive || pool.Clients[0].AccessTokenValidity != time.Hour {
		t.Errorf("pool = %+v", pool)
	}
}

// With an issuer of one's own there is no user pool, and nothing that refers to it.
func TestConditions(t *testing.T) {
	stack, err := template.Load(product, options(map[string]string{
		"OidcIssuer": "https://issuer.example", "OidcAudience": "duet", "OidcUserClaim": "nickname", "MaxConnectionsPerUser": "3",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if len(stack.Pools) != 0 {
		t.Errorf("pools = %+v, want none", stack.Pools)
	}
	for _, name := range []string{"UserPoolId", "UserPoolClientId", "UserPoolEndpoint"} {
		if value, ok := stack.Outputs[name]; ok {
			t.Errorf("output %s = %q, want none", name, value)
		}
	}
	if got := stack.Outputs["Issuer"]; got != "https://issuer.example" {
		t.Errorf("output Issuer = %q, want the parameter", got)
	}
	authorize, _ := stack.FunctionNamed("AuthorizeFunction")
	for name, want := range map[string]string{"ISSUER": "https://issuer.example", "AUDIENCE": "duet", "USER_CLAIM": "nickname"} {
		if authorize.Env[name] != want {
			t.Errorf("%s = %q, want %q", name, authorize.Env[name], want)
		}
	}
	connect, _ := stack.FunctionNamed("ConnectFunction")
	if got := connect.Env["MAX_CONNECTIONS_PER_USER"]; got != "3" {
		t.Errorf("MAX_CONNECTIONS_PER_USER = %q, want 3", got)
	}
}

// write makes a template file, and tells the line that its marker #! is on; 0 without one.
func write(t *testing.T, text string) (file string, line int) {
	t.Helper()
	before, _, marked := strings.Cut(text, "#!")
	if marked {
		line = 1 + strings.Count(before, "\n")
	}
	file = filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, line
}

// function is a resource that every other one can use.
const function = `
  Work:
    Type: AWS::Serverless::Function
    Properties: { CodeUri: functions/work, Runtime: provided.al2023, Handler: bootstrap }
`

// A template that the local cloud would run differently than AWS is refused, with the line at
// fault and what to do about it.
func TestBadTemplates(t *testing.T) {
	tests := []struct {
		name, text string
		parameters map[string]string
		want       string // part of the message
	}{
		{"unknown section", "Hooks: {} #!\nResources:" + function, nil, "does not know Hooks"},
		{"mappings no map", "Mappings: [A] #!\nResources:" + function, nil, "must be a map"},
		{"a mapping of one level", "Mappings:\n  Sizes:\n    small: 3 #!\nResources:" + function, nil, "a map of maps"},
		{"FindInMap without mappings", output("!FindInMap [Sizes, small, memory] #!"), nil, "no Mappings"},
		{"FindInMap of nothing", "Mappings: { Sizes: { small: { memory: 3 } } }\n" + output("!FindInMap [Sizes, large, memory] #!"), nil, `no "large", there are small`},
		{"another macro", "Transform: [AWS::Serverless-2016-10-31, AWS::LanguageExtensions] #!\nResources:" + function, nil, "AWS::Serverless-2016-10-31 only"},
		{"a value of AWS's", output("'{{resolve:ssm:/chat/key}}' #!"), nil, "no Parameter Store"},
		{"a parameter of AWS's", "Parameters:\n  Key: #!\n    Type: AWS::SSM::Parameter::Value<String>\n    Default: /chat/key\nResources:" + function, nil, "--parameter Key=VALUE"},
		{"a parameter too short", "Parameters:\n  Key: #!\n    Type: String\n    Default: ab\n    MinLength: 3\nResources:" + function, nil, "at least 3"},
		{"a parameter of another pattern", "Parameters:\n  Key: #!\n    Type: String\n    Default: a1\n    AllowedPattern: '[a-z]+'\nResources:" + function, nil, "must match [a-z]+"},
		{"a list where a string is", "Parameters: { Names: { Type: CommaDelimitedList, Default: 'a,b' } }\n" + output("!Sub '${Names}' #!"), nil, "use Join or Select"},
		{"depends on nothing", "Resources:" + function + "    DependsOn: Nothing #!\n", nil, "no resource of this template"},
		{"a name that depends on itself", "Resources:\n  Log: #!\n    Type: AWS::DynamoDB::Table\n    Properties:\n      TableName: !Sub '${Log}-2'\n", nil, "depends on itself"},
		{"a circle", "Resources:" + function + "    DependsOn: Other\n  Other:\n    Type: AWS::SQS::Queue\n    DependsOn: Third\n  Third:\n    Type: AWS::SQS::Queue\n    Properties:\n      QueueName: !Sub '${Work}-queue' #!\n", nil, "circular dependency: Work → Other → Third → Work"},
		{"no resources", "Description: nothing #!\n", nil, "has no Resources"},
		{"parameters no map", "Parameters: [A] #!\nResources:" + function, nil, "must be a map"},
		{"parameter without a value", "Parameters:\n  Size: #!\n    Type: String\nResources:" + function, nil, "--parameter Size=VALUE"},
		{"parameter with an unknown rule", "Parameters:\n  Size:\n    Type: String\n    Default: x\n    MinValues: 3 #!\nResources:" + function, nil, "does not know MinValues"},
		{"parameter not allowed", "Parameters:\n  Size: #!\n    Type: String\n    Default: small\n    AllowedValues: [small, big]\nResources:" + function,
			map[string]string{"Size": "huge"}, "one of small, big"},
		{"allowed values no list of strings", "Parameters:\n  Size:\n    Type: String\n    Default: small\n    AllowedValues: [{a: b}] #!\nResources:" + function,
			nil, "list of strings"},
		{"parameter no number", "Parameters:\n  Size: #!\n    Type: Number\n    Default: 3\nResources:" + function, map[string]string{"Size": "three"}, "must be a number"},
		{"parameter too small", "Parameters:\n  Size: #!\n    Type: Number\n    Default: 3\n    MinValue: 1\nResources:" + function, map[string]string{"Size": "0"}, "at least 1"},
		{"parameter too large", "Parameters:\n  Size: #!\n    Type: Number\n    Default: 3\n    MaxValue: 9\nResources:" + function, map[string]string{"Size": "10"}, "at most 9"},
		{"unknown parameter", "Description: x #!\nResources:" + function, map[string]string{"Sise": "3"}, "no parameter Sise"},
		{"globals unknown", "Globals:\n  Apis: {} #!\nResources:" + function, nil, "does not know Apis"},
		{"global property unknown", "Globals:\n  Function:\n    Layers: [x] #!\nResources:" + function, nil, "does not know Layers"},

		{"version of templates unknown", "AWSTemplateFormatVersion: 2011-09-09 #!\nResources:" + function, nil, "must be 2010-09-09"},
		{"resources in a list", "Resources: [Work] #!\n", nil, "Resources must be a map"},
		{"name of a resource", "Resources:\n  My-Work: #!\n    Type: AWS::SNS::Topic\n", nil, `"My-Work" of a resource must be made of letters and digits`},
		{"type of a parameter", "Parameters:\n  Size:\n    Type: Strin #!\n    Default: a\nResources:" + function, nil, "type of a parameter is String"},
		{"reserved variable", "Resources:\n  Work:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: functions/work\n      Runtime: provided.al2023\n      Environment:\n        Variables:\n          AWS_REGION: x #!\n", nil, "Lambda sets the variable AWS_REGION itself"},
		{"name of a variable", "Resources:\n  Work:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: functions/work\n      Runtime: provided.al2023\n      Environment:\n        Variables:\n          MY-TABLE: x #!\n", nil, `"MY-TABLE" is no name of a variable`},
		{"architecture unknown", "Resources:\n  Work:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: functions/work\n      Runtime: provided.al2023\n      Architectures: [arm] #!\n", nil, "[arm64] or [x86_64]"},
		{"selection by a header", rawAPI("$request.body.action }", "$request.header.action } #!"), nil, "it must be $request.body.path"},
		{"connections by IAM", api("Auth: { AuthType: AWS_IAM } #!"), nil, "does not check who signs a handshake"},
		{"an API key", api("Routes:\n        send: { FunctionArn: !GetAtt Work.Arn, ApiKeyRequired: true } #!"), nil, "no API keys"},
		{"name of a function", "Resources:\n  Work:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: functions/work\n      Runtime: provided.al2023\n      FunctionName: my work #!\n", nil, "letters, digits, - and _"},
		{"identity of a cookie", api("Auth:\n        AuthType: CUSTOM\n        AuthArn: !GetAtt Work.Arn\n        IdentitySource: [cookie] #!"), nil, "route.request.header.NAME"},
		{"type unknown", "Resources:\n  Bucket:\n    Type: AWS::S3::Bucket #!\n", nil, "does not know resources of type AWS::S3::Bucket"},
		{"type missing", "Resources:\n  Bucket: #!\n    Properties: {}\n", nil, "Bucket has no Type"},
		{"resource no map", "Resources:\n  Bucket: yes #!\n", nil, "must be a map"},
		{"resource's member unknown", "Resources:\n  Work:\n    Kind: x #!\n    Type: AWS::Serverless::Function\n", nil, "does not know Kind"},
		{"resource's condition no name", "Resources:" + function + "    Condition: [A] #!\n", nil, "name"},
		{"resource's condition unknown", "Resources:" + function + "    Condition: Sometimes #!\n", nil, "no condition Sometimes"},

		{"twice", "Resources:" + function + "  Work: {} #!\n", nil, "already defined"},
		{"anchor", "Resources: &r #!\n  A: {}\n", nil, "anchors"},
		{"function of CloudFormation unknown", "Resources:\n  Work:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: !ImportValue x #!\n", nil, "exports of other stacks are not here"},
		{"function in its long form unknown", "Resources:\n  Work:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri:\n        Fn::Cidr: [a, b, c] #!\n", nil, "does not know the intrinsic function Cidr"},
		{"Ref to nothing", output("!Ref Nothing #!"), nil, "no parameter or resource Nothing"},
		{"Ref of a list", output("!Ref [a] #!"), nil, "Ref takes a name"},
		{"GetAtt of nothing", output("!GetAtt Nothing.Arn #!"), nil, "no parameter or resource Nothing"},
		{"GetAtt unknown", output("!GetAtt Work.Colour #!"), nil, "attribute Colour of Work"},
		{"GetAtt of a map", output("!GetAtt { a: b } #!"), nil, "GetAtt takes Resource.Attribute"},
		{"Sub not closed", output(`!Sub "${Work" #!`), nil, "is not closed"},
		{"Sub of nothing", output(`!Sub "${Nothing}" #!`), nil, "no parameter or resource Nothing"},
		{"Sub of a list", output(`!Sub [a, b, c] #!`), nil, "Sub takes a string"},
		{"If without a condition", output("!If [Never, a, b] #!"), nil, "no condition Never"},
		{"If of two", output("!If [a, b] #!"), nil, "If takes"},
		{"Join of one", output("!Join [a] #!"), nil, "Join takes"},
		{"Join of lists", output("!Join [a, [[b]]] #!"), nil, "list of strings"},
		{"Split of one", output("!Split [a] #!"), nil, "Split takes"},
		{"Select beyond", output("!Select [3, [a, b]] #!"), nil, "no element"},
		{"Equals outside of conditions", output("!Equals [a, b] #!"), nil, "in Conditions only"},
		{"an output that is a list", output("[a, b] #!"), nil, "a string is needed"},
		{"an output without a value", "Resources:" + function + "Outputs:\n  Out: { Description: x } #!\n", nil, "Out has no Value"},
		{"an output's member unknown", "Resources:" + function + "Outputs:\n  Out:\n    Value: x\n    Colour: red #!\n", nil, "does not know Colour"},

		{"conditions no map", "Conditions: [A] #!\nResources:" + function, nil, "must be a map"},
		{"condition of a text", "Conditions:\n  A: yes #!\nResources:" + function, nil, "a condition is one of"},
		{"condition that needs itself", "Conditions:\n  A: !Not [!Condition B]\n  B: !Condition A #!\nResources:" + function, nil, "depends on itself"},
		{"condition of one value", "Conditions:\n  A: !Equals [x] #!\nResources:" + function, nil, "Equals takes two"},
		{"condition of no condition", "Conditions:\n  A: !And [x, y] #!\nResources:" + function, nil, "a condition is one of"},
		{"Not of two", "Conditions:\n  A: !Not [!Equals [x, y], !Equals [x, y]] #!\nResources:" + function, nil, "Not takes one"},

		{"function without code", "Resources:\n  Work:\n    Type: AWS::Serverless::Function\n    Properties: { Runtime: provided.al2023 } #!\n", nil, "CodeUri is missing"},
		{"function in Python", "Resources:\n  Work:\n    Type: AWS::Serverless::Function\n    Properties: { CodeUri: functions/work, Runtime: python3.13 } #!\n", nil, "Go functions only"},
		{"function's timeout", "Resources:" + function + "  Other:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: functions/other\n      Runtime: provided.al2023\n      Timeout: long #!\n", nil, "must be an integer"},
		{"function's property unknown", "Resources:\n  Work:\n    Type: AWS::Serverless::Function\n    Properties:\n      Layers: [] #!\n", nil, "does not know Layers"},
		{"function's layers", "Resources:\n  Work:\n    Type: AWS::Serverless::Function\n    Properties:\n      Layers: [x] #!\n", nil, "does not know Layers"},
		{"function's variables no map", "Resources:\n  Work:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: functions/work\n      Runtime: provided.al2023\n      Environment: { Variables: [a] } #!\n", nil, "Variables must be a map"},
		{"function's event unknown", "Resources:\n  Work:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: functions/work\n      Runtime: provided.al2023\n      Events:\n        Feed: { Type: Kinesis } #!\n", nil, "events of type DynamoDB, not Kinesis"},
		{"function's event without a stream", "Resources:\n  Work:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: functions/work\n      Runtime: provided.al2023\n      Events:\n        Feed:\n          Type: DynamoDB\n          Properties: { StartingPosition: LATEST } #!\n", nil, "Stream is missing"},
		{"function built for another language", "Resources:\n  Work:\n    Type: AWS::Serverless::Function\n    Metadata: { BuildMethod: rust-cargolambda } #!\n    Properties: { CodeUri: functions/work, Runtime: provided.al2023 }\n", nil, "go1.x or makefile"},
		{"two functions of one name", "Resources:" + function + "  Other:\n    Type: AWS::Serverless::Function\n    Properties: { FunctionName: Work, CodeUri: functions/work, Runtime: provided.al2023 } #!\n", nil, "named Work already"},

		{"authorizer in lower case", api("Auth: { AuthType: custom, AuthArn: !GetAtt Work.Arn } #!"), nil, "in upper case"},
		{"authorizer of nobody", api("Auth: { AuthType: CUSTOM, AuthArn: !GetAtt Chat.ApiId } #!"), nil, "no function of this template"},
		{"authorizer's member unknown", api("Auth:\n        AuthType: CUSTOM\n        Cache: 3 #!"), nil, "does not know Cache"},
		{"route to nobody", api("Routes:\n        send: { FunctionArn: elsewhere } #!"), nil, "no function of this template"},
		{"route's member unknown", api("Routes:\n        send:\n          FunctionArn: !GetAtt Work.Arn\n          Model: x #!"), nil, "does not know Model"},
		{"route's timeout", api("Routes:\n        send: { FunctionArn: !GetAtt Work.Arn, IntegrationTimeout: long } #!"), nil, "must be an integer"},
		{"no routes", "Resources:" + function + "  Chat:\n    Type: AWS::Serverless::WebSocketApi\n    Properties: { RouteSelectionExpression: $request.body.action } #!\n", nil, "has no Routes"},
		{"two APIs", api("Routes: { send: { FunctionArn: !GetAtt Work.Arn } }") +
			"  Second: #!\n    Type: AWS::Serverless::WebSocketApi\n    Properties: { RouteSelectionExpression: x, Routes: { a: { FunctionArn: !GetAtt Work.Arn } } }\n", nil, "one WebSocket API"},
		{"answer that would not be sent", api("Routes: { send: { FunctionArn: !GetAtt Work.Arn } }") +
			"  Answer: #!\n    Type: AWS::ApiGatewayV2::RouteResponse\n    Properties: { ApiId: !Ref Chat, RouteId: !Ref ChatSendRoute, RouteResponseKey: $default }\n", nil, "would send no reply"},
		{"answer of another key", api("Routes: { send: { FunctionArn: !GetAtt Work.Arn, RouteResponseSelectionExpression: $default } }") +
			"  Answer:\n    Type: AWS::ApiGatewayV2::RouteResponse\n    Properties: { ApiId: !Ref Chat, RouteId: !Ref ChatSendRoute, RouteResponseKey: ok } #!\n", nil, "$default only"},

		{"mapping without a stream", mapping("EventSourceArn: !GetAtt Log.StreamArn #!", ""), nil, "attribute StreamArn of Log"},
		{"mapping of a queue", mapping("EventSourceArn: arn:aws:sqs:us-east-1:000000000000:q #!", ""), nil, "DynamoDB streams only"},
		{"mapping to nobody", mapping("FunctionName: Nobody #!", stream), nil, "no function of this template"},
		{"mapping without a start", mapping("BatchSize: 10", stream) + "#!", nil, "StartingPosition is missing"},
		{"mapping's batch size", mapping("StartingPosition: LATEST\n      BatchSize: ten #!", stream), nil, "must be an integer"},
		{"mapping's response type", mapping("StartingPosition: LATEST\n      FunctionResponseTypes: [Report] #!", stream), nil, "must be ReportBatchItemFailures"},
		{"mapping's filter", mapping("StartingPosition: LATEST\n      FilterCriteria:\n        Filters:\n          - Pattern: not JSON #!", stream), nil, ""},

		{"client with a secret", poolClient("GenerateSecret: true #!"), nil, "public clients only"},
		{"client's validity", poolClient("AccessTokenValidity: an hour #!"), nil, "must be an integer"},
		{"client's unit", poolClient("TokenValidityUnits: { AccessToken: years } #!"), nil, "must be seconds, minutes, hours or days"},
		{"pool's trigger unknown", "Resources:" + function + "  Pool:\n    Type: AWS::Cognito::UserPool\n    Properties:\n      LambdaConfig:\n        PreAuthentication: !GetAtt Work.Arn #!\n", nil, "does not know PreAuthentication"},
		{"pool's trigger nobody", "Resources:" + function + "  Pool:\n    Type: AWS::Cognito::UserPool\n    Properties:\n      LambdaConfig:\n        PreSignUp: x #!\n", nil, "no function of this template"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			refused(t, test.text, test.parameters, test.want)
		})
	}
}

// refused checks that a template is, with a part of the message and the line of its marker #!.
func refused(t *testing.T, text string, parameters map[string]string, want string) {
	t.Helper()
	file, line := write(t, text)
	_, err := template.Load(file, options(parameters))
	var e *template.Error
	switch {
	case err == nil:
		t.Fatal("it loads, want an error")
	case !errors.As(err, &e):
		t.Fatalf("error = %v, want a template.Error", err)
	case e.File != file || !strings.Contains(e.Message, want):
		t.Errorf("error = %v, want %q", err, want)
	case e.Line != line:
		t.Errorf("error = %v\nwant line %d:\n%s", err, line, text)
	}
}

// output is a template with one output.
func output(value string) string {
	return "Resources:" + function + "Outputs:\n  Out:\n    Value: " + value + "\n"
}

// api is a template with an API that has one property of its own.
func api(property string) string {
	text := "Resources:" + function + "  Chat:\n    Type: AWS::Serverless::WebSocketApi\n    Properties:\n      RouteSelectionExpression: $request.body.action\n"
	if !strings.HasPrefix(property, "Routes") {
		text += "      Routes: { send: { FunctionArn: !GetAtt Work.Arn } }\n"
	}
	return text + "      " + property + "\n"
}

const stream = "StreamSpecification: { StreamViewType: NEW_IMAGE }"

// mapping is a template with a table and a mapping that has properties of its own.
func mapping(properties, table string) string {
	text := "Resources:" + strings.Replace(function, " }", ", Policies: [AWSLambdaDynamoDBExecutionRole, AmazonSQSFullAccess] }", 1) + `  Log:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
      ` + table + `
  Feed:
    Type: AWS::Lambda::EventSourceMapping
    `
	text += "Properties:"
	if strings.Contains(properties, "BatchSize: 10") {
		text += " #!" // what is missing is missing here
	}
	text += "\n"
	for name, value := range map[string]string{"FunctionName": "!GetAtt Work.Arn", "EventSourceArn": "!GetAtt Log.StreamArn"} {
		if !strings.HasPrefix(properties, name) {
			text += "      " + name + ": " + value + "\n"
		}
	}
	return text + "      " + properties + "\n"
}

// poolClient is a template with a user pool and a client that has one property of its own.
func poolClient(property string) string {
	return "Resources:\n  Pool:\n    Type: AWS::Cognito::UserPool\n  Client:\n    Type: AWS::Cognito::UserPoolClient\n    Properties:\n      UserPoolId: !Ref Pool\n      " + property + "\n"
}

// What is no template at all is refused by its file's name.
func TestNoTemplates(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "a text": "hello", "a list": "- a\n- b\n", "two documents": "A: b\n---\nC: d\n", "no YAML": "a: [b\n", "tabs": "a:\n\tb: c\n",
	} {
		t.Run(name, func(t *testing.T) {
			file, _ := write(t, text)
			if _, err := template.Load(file, options(nil)); err == nil || !strings.Contains(err.Error(), file) {
				t.Errorf("error = %v, want one that names %s", err, file)
			}
		})
	}
	if _, err := template.Load("nowhere/template.yaml", options(nil)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error = %v, want %v", err, os.ErrNotExist)
	}
}

// A table that cannot be made is told with its line.
func TestTableThatCannotBeMade(t *testing.T) {
	file, _ := write(t, "Resources:\n  Log: #!\n    Type: AWS::DynamoDB::Table\n")
	o := options(nil)
	o.CreateTable = func(dynamodb.TableSpec) (dynamodb.TableInfo, error) {
		return dynamodb.TableInfo{}, errors.New("it has other keys")
	}
	if _, err := template.Load(file, o); err == nil || err.Error() != file+":2: table Log: it has other keys" {
		t.Errorf("error = %v", err)
	}
}

// Tables that do not fit together are told with the line of the resources.
func TestTablesThatDoNotFit(t *testing.T) {
	file, _ := write(t, "Resources: #!\n  Log:\n    Type: AWS::DynamoDB::Table\n    Properties: {}\n")
	o := options(nil)
	o.CheckTables = func() error { return errors.New("they are another stack's") }
	if _, err := template.Load(file, o); err == nil || err.Error() != file+":1: they are another stack's" {
		t.Errorf("error = %v", err)
	}
}

// Intrinsic functions give what CloudFormation's give.
func TestFunctions(t *testing.T) {
	for value, want := range map[string]string{
		"plain":                                "plain",
		"17":                                   "17",
		"'0123'":                               "0123",
		"!Ref Work":                            "Work",
		"!Ref AWS::Region":                     "us-east-1",
		"!Ref AWS::Partition":                  "aws",
		"!GetAtt Work.Arn":                     "arn:aws:lambda:us-east-1:000000000000:function:Work",
		"!GetAtt [Work, Arn]":                  "arn:aws:lambda:us-east-1:000000000000:function:Work",
		"{ 'Fn::GetAtt': [Work, Arn] }":        "arn:aws:lambda:us-east-1:000000000000:function:Work",
		`!Sub "a ${Work} b ${AWS::AccountId}"`: "a Work b 000000000000",
		`!Sub "${Work.Arn}"`:                   "arn:aws:lambda:us-east-1:000000000000:function:Work",
		`!Sub "a ${!Work}"`:                    "a ${Work}",
		`!Sub ["${x}-${Work}", { x: !Ref Work }]`:                        "Work-Work",
		"!If [Always, !Ref Work, b]":                                     "Work",
		"!If [Never, a, b]":                                              "b",
		"!Join ['-', [a, !Ref Work, c]]":                                 "a-Work-c",
		"!Join ['-', [a, !Ref AWS::NoValue, c]]":                         "a-c",
		"!Select [1, [a, b]]":                                            "b",
		"!Select [1, !Split [',', 'a,b,c']]":                             "b",
		"!Join ['', !Split ['x', 'axbxc']]":                              "abc",
		"!Sub 'wss://x.execute-api.us-east-1.${AWS::URLSuffix}/prod'":    "ws://localhost:4566/prod",
		"!Sub 'https://x.execute-api.us-east-1.${AWS::URLSuffix}/prod'":  "http://localhost:4566/prod",
		"!Sub 'https://cognito-idp.us-east-1.${AWS::URLSuffix}/pool-id'": "http://localhost:4566/pool-id",
		"https://example.com/prod":                                       "https://example.com/prod",
	} {
		conditions := "Conditions:\n  Always: !Not [!Condition Never]\n  Never: !And [!Equals [a, a], !Or [!Equals [a, b], !Equals [b, c]]]\n"
		file, _ := write(t, conditions+output(value))
		stack, err := template.Load(file, options(nil))
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		if got := stack.Outputs["Out"]; got != want {
			t.Errorf("%s = %q, want %q", value, got, want)
		}
	}
}

// However a line of the template is broken, the template is refused or read, and nothing else.
func TestBrokenLines(t *testing.T) {
	for _, template := range []string{product, raw} {
		t.Run(filepath.Base(template), func(t *testing.T) { breakLines(t, template) })
	}
}

func breakLines(t *testing.T, whole string) {
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	values := []string{"[]", "{}", "~", "x", "[{ a: [b] }]", "{ a: [b] }", "!Ref Nothing", "!If [UseCognito, a, b]", "!Sub [a]", "-1", "true", "!GetAtt a", "[!Ref Chat]"}
	file := filepath.Join(t.TempDir(), "template.yaml")
	load := func(i int, line string) {
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("line %d as %q: panic: %v", i+1, line, p)
			}
		}()
		broken := strings.Join(slices.Concat(lines[:i], []string{line}, lines[i+1:]), "\n")
		if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _ = template.Load(file, options(nil))
	}
	for i, line := range lines {
		if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if key, _, ok := strings.Cut(line, ":"); ok {
			for j := range valuesPerLine {
				load(i, key+": "+values[(i*valuesPerLine+j)%len(values)])
			}
		} else if i%5 == 0 {
			load(i, "")
		}
	}
}

// valuesPerLine bounds how many of the bad values each line gets: a load takes milliseconds.
const valuesPerLine = 1
