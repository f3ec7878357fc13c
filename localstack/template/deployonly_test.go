package template_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/template"
)

// sam is the first line of a template with types of SAM's.
const sam = "Transform: AWS::Serverless-2016-10-31\n"

// What is only deployed is there for others to refer to, by what AWS would call it, and what a function
// would miss of it is told.
func TestDeployedOnly(t *testing.T) {
	file, _ := write(t, sam+`Resources:`+function+`
  Alarms:
    Type: AWS::SNS::Topic
  Errors:
    Type: AWS::CloudWatch::Alarm
    Properties: { AlarmActions: [!Ref Alarms], ActionsEnabled: true, Threshold: 1 }
  Logs:
    Type: AWS::Logs::LogGroup
    Properties: { LogGroupName: !Sub '/aws/lambda/${Work}', RetentionInDays: 7 }
  Where:
    Type: AWS::SSM::Parameter
    Properties: { Name: /where, Type: String, Value: !Ref Alarms }
  Account:
    Type: AWS::ApiGateway::Account
    Properties: { CloudWatchRoleArn: 'arn:aws:iam::000000000000:role/logs' }
Outputs:
  Topic: { Value: !Ref Alarms }
  TopicName: { Value: !GetAtt Alarms.TopicName }
  Alarm: { Value: !GetAtt Errors.Arn }
  Logs: { Value: !GetAtt Logs.Arn }
  LogsName: { Value: !Ref Logs }
`)
	stack, err := template.Load(file, options(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Topic":     "arn:aws:sns:us-east-1:000000000000:duet-Alarms",
		"TopicName": "duet-Alarms",
		"Alarm":     "arn:aws:cloudwatch:us-east-1:000000000000:alarm:duet-Errors",
		"Logs":      "arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/Work:*",
		"LogsName":  "/aws/lambda/Work",
	}
	if !maps.Equal(stack.Outputs, want) {
		t.Errorf("outputs = %v, want %v", stack.Outputs, want)
	}
	if len(stack.Warnings) != 2 || !strings.Contains(stack.Warnings[0], "Alarms (AWS::SNS::Topic) is only deployed; here functions cannot publish") ||
		!strings.Contains(stack.Warnings[1], "Where (AWS::SSM::Parameter)") {
		t.Errorf("warnings = %q, want that functions cannot use the topic and the parameter", stack.Warnings)
	}
}

// Types of resources that are not there are told apart from those whose service is known.
func TestUnknownTypes(t *testing.T) {
	for _, test := range []struct{ kind, want string }{
		{"AWS::S3::Bucket", "type AWS::S3::Bucket, and it knows nothing else of that service: take it out, or give it a Condition"},
		{"AWS::Serverless::HttpApi", "type AWS::Serverless::HttpApi: it knows Function, SimpleTable, WebSocketApi of AWS::Serverless; take it out"},
		{"AWS::SNS::Topics", "it knows Subscription, Topic, TopicPolicy of AWS::SNS"},
		{"Bucket", "type Bucket, and it knows nothing else"},
	} {
		refused(t, "Resources:"+function+"  More:\n    Type: "+test.kind+" #!\n", nil, test.want)
	}
	refused(t, "Resources:"+function+"  More:\n    Type: AWS::SNS::Topic\n    Properties: { Name: x } #!\n", nil, "does not know Name in AWS::SNS::Topic")
}

// Versions and aliases can be referred to, made by SAM or not; all are the function.
func TestVersionsAndAliases(t *testing.T) {
	text := rawAPI("Handler: bootstrap }", "Handler: bootstrap, AutoPublishAlias: live }", "${Work.Arn}/invocations", "${WorkAliaslive}/invocations", "FunctionName: !Ref Work,", "FunctionName: !Ref Work.Alias,") + `  Version:
    Type: AWS::Lambda::Version
    Properties: { FunctionName: !Ref Work }
  Beta:
    Type: AWS::Lambda::Alias
    Properties: { FunctionName: !GetAtt Work.Arn, FunctionVersion: !GetAtt Version.Version, Name: beta }
  Allow:
    Type: AWS::Lambda::Permission
    Properties: { Action: lambda:InvokeFunction, Principal: apigateway.amazonaws.com, FunctionName: !Ref Work.Alias }
Outputs:
  Live: { Value: !Ref Work.Alias }
  Number: { Value: !Sub '${Work.Version}' }
  Beta: { Value: !Ref Beta }
  Version: { Value: !Ref Version }
`
	if !strings.Contains(text, "AutoPublishAlias") {
		t.Fatal("the function looks otherwise now")
	}
	file, _ := write(t, text)
	stack, err := template.Load(file, options(nil))
	if err != nil {
		t.Fatal(err)
	}
	const work = "arn:aws:lambda:us-east-1:000000000000:function:Work"
	if want := map[string]string{"Live": work + ":live", "Number": work + ":1", "Beta": work + ":beta", "Version": work + ":1"}; !maps.Equal(stack.Outputs, want) {
		t.Errorf("outputs = %v, want %v", stack.Outputs, want)
	}
	if got := stack.API.Routes["say"].Function; got != "Work" {
		t.Errorf("the route invokes %q, want Work", got)
	}
	refused(t, strings.Replace(text, "Name: beta }", "Name: beta, RoutingConfig: {} } #!", 1), nil, "take RoutingConfig out")
	refused(t, strings.Replace(text, "FunctionName: !Ref Work }\n  Beta", "FunctionName: Wrok } #!\n  Beta", 1), nil, "no function of this template: it has Work")
}

// A property of all functions is each one's, the alias too; and editors may put a mark first.
func TestAliasOfAllFunctions(t *testing.T) {
	file, _ := write(t, "\ufeff"+sam+"Globals: { Function: { AutoPublishAlias: live } }\nResources:"+function+"Outputs: { Live: { Value: !Ref Work.Alias } }\n")
	stack, err := template.Load(file, options(nil))
	if err != nil {
		t.Fatal(err)
	}
	if want := "arn:aws:lambda:us-east-1:000000000000:function:Work:live"; stack.Outputs["Live"] != want {
		t.Errorf("the alias is %s, want %s", stack.Outputs["Live"], want)
	}
}

// A stage has what was there when its deployment was made: AWS would leave out routes that the
// deployment does not wait for, and all of them without a deployment.
func TestWhatWouldNotBeDeployed(t *testing.T) {
	const auto = "AutoDeploy: true }"
	deployment := func(more string) string {
		return "DeploymentId: !Ref Ready }\n  Ready:\n    Type: AWS::ApiGatewayV2::Deployment\n    Properties: { ApiId: !Ref Room }" + more
	}
	const other = "  Other:\n    Type: AWS::ApiGatewayV2::Route\n    Properties: { ApiId: !Ref Room, RouteKey: other, Target: !Sub 'integrations/${ToWork}' }\n"
	for name, test := range map[string]struct {
		text string
		want []string // parts of a warning
	}{
		"deploys itself":       {rawAPI(), nil},
		"no deployment":        {rawAPI(auto, "Description: d }"), []string{"the stage Stage has neither a DeploymentId nor AutoDeploy"}},
		"waits for no route":   {rawAPI(auto, deployment("")), []string{"the deployment Ready may be made before Say, and"}},
		"waits for its route":  {rawAPI(auto, deployment("\n    DependsOn: Say")), nil},
		"waits for one of two": {rawAPI(auto, deployment("\n    DependsOn: [Say]")) + other, []string{"the deployment Ready may be made before Other, and"}},
		"waits for both":       {rawAPI(auto, deployment("\n    DependsOn: [Say, Other]")) + other, nil},
		"waits by another":     {rawAPI(auto, deployment("\n    DependsOn: Other")) + other + "    DependsOn: Say\n", nil},
		"makes the stage": {rawAPI("  Stage:\n    Type: AWS::ApiGatewayV2::Stage\n    Properties: { ApiId: !Ref Room, StageName: dev, AutoDeploy: true }",
			"  Ready:\n    Type: AWS::ApiGatewayV2::Deployment\n    Properties: { ApiId: !Ref Room, StageName: dev }"), []string{"the deployment Ready may be made before Say, and"}},
	} {
		t.Run(name, func(t *testing.T) {
			file, _ := write(t, sam+test.text)
			stack, err := template.Load(file, options(nil))
			if err != nil {
				t.Fatal(err)
			}
			if len(stack.Warnings) != len(test.want) || !slices.EqualFunc(stack.Warnings, test.want, strings.Contains) {
				t.Errorf("warnings = %q, want %q", stack.Warnings, test.want)
			}
		})
	}
	refused(t, rawAPI(auto, "DeploymentId: abc } #!"), nil, "no deployment of this template")
	refused(t, rawAPI("IntegrationType: AWS_PROXY", "IntegrationType: AWS_PROXY\n      RequestTemplates: {} #!"), nil, "RequestTemplates has no effect")
}
