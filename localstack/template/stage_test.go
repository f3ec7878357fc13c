package template_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/localstack/gateway"
	"github.com/duet-chat/duet/localstack/template"
)

// A route's throttle is its own settings over the stage's, number by number; without either it is the
// account's. Both ways of writing an API say it alike.
func TestThrottles(t *testing.T) {
	settings := func(indent string) string {
		return strings.ReplaceAll(`
DefaultRouteSettings: { ThrottlingRateLimit: 12.5, ThrottlingBurstLimit: 30, LoggingLevel: INFO }
RouteSettings:
  say: { ThrottlingBurstLimit: 0 }`, "\n", "\n"+indent)
	}
	sam := "Resources:" + function + "  Chat:\n    Type: AWS::Serverless::WebSocketApi\n    Properties:\n      RouteSelectionExpression: $request.body.action\n" +
		"      Routes: { say: { FunctionArn: !GetAtt Work.Arn }, other: { FunctionArn: !GetAtt Work.Arn } }" + settings("      ") + "\n"
	plain := rawAPI("    Properties: { ApiId: !Ref Room, StageName: dev, AutoDeploy: true }",
		"    Properties:\n      ApiId: !Ref Room\n      StageName: dev"+settings("      ")) +
		"  Other:\n    Type: AWS::ApiGatewayV2::Route\n    Properties: { ApiId: !Ref Room, RouteKey: other, Target: !Sub 'integrations/${ToWork}' }\n"
	for name, test := range map[string]struct {
		text       string
		say, other gateway.Throttle
	}{
		"SAM":          {sam, gateway.Throttle{Rate: new(12.5), Burst: new(0)}, gateway.Throttle{Rate: new(12.5), Burst: new(30)}},
		"without SAM":  {plain, gateway.Throttle{Rate: new(12.5), Burst: new(0)}, gateway.Throttle{Rate: new(12.5), Burst: new(30)}},
		"no settings":  {rawAPI(), gateway.Throttle{}, gateway.Throttle{}},
		"logging only": {api("DefaultRouteSettings: { DataTraceEnabled: true }"), gateway.Throttle{}, gateway.Throttle{}},
	} {
		t.Run(name, func(t *testing.T) {
			file, _ := write(t, test.text)
			stack, err := template.Load(file, options(nil))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]gateway.Throttle{"say": stack.API.Routes["say"].Throttle, "other": stack.API.Routes["other"].Throttle}
			if diff := cmp.Diff(map[string]gateway.Throttle{"say": test.say, "other": test.other}, got); diff != "" {
				t.Errorf("throttles (-want +got)\n%s", diff)
			}
		})
	}
}

// What AWS refuses to deploy is refused with its line.
func TestBadStages(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"settings misspelt", api("DefaultRouteSettings: { ThrottlingRate: 1 } #!"), "does not know ThrottlingRate in DefaultRouteSettings"},
		{"settings no map", api("DefaultRouteSettings: 5 #!"), "must be a map"},
		{"settings of a list", api("RouteSettings: [send] #!"), "must be a map of route keys"},
		{"settings of no route", api("RouteSettings: { sned: { ThrottlingRateLimit: 1 } } #!"), "a route sned, which is not there: it must be one of "},
		{"log level unknown", api("DefaultRouteSettings: { LoggingLevel: DEBUG } #!"), `LoggingLevel must be one of ERROR, INFO, OFF, not "DEBUG"`},
		{"trace no boolean", api("RouteSettings: { send: { DataTraceEnabled: often } } #!"), `DataTraceEnabled must be true or false, not "often"`},
		{"metrics no boolean", rawAPI("AutoDeploy: true }", "DefaultRouteSettings: { DetailedMetricsEnabled: 2 } } #!"), `DetailedMetricsEnabled must be true or false, not "2"`},
		{"rate no number", api("DefaultRouteSettings: { ThrottlingRateLimit: fast } #!"), "must be a number"},
		{"rate infinite", api("DefaultRouteSettings: { ThrottlingRateLimit: inf } #!"), "must be a number"},
		{"rate negative", api("DefaultRouteSettings: { ThrottlingRateLimit: -1 } #!"), "at least 0"},
		{"burst broken", api("RouteSettings: { send: { ThrottlingBurstLimit: 1.5 } } #!"), "must be an integer"},
		{"burst negative", api("RouteSettings: { send: { ThrottlingBurstLimit: -1 } } #!"), "at least 0"},
		{"settings of a plain stage", rawAPI("AutoDeploy: true }", "RouteSettings: { shout: {} } } #!"), "a route shout, which is not there: it must be one of say"},
		{"rate of a plain stage", rawAPI("AutoDeploy: true }", "DefaultRouteSettings: { ThrottlingRateLimit: -0.5 } } #!"), "at least 0, not -0.5"},
		{"burst of a plain stage", rawAPI("AutoDeploy: true }", "RouteSettings: { say: { ThrottlingBurstLimit: many } } } #!"), `must be an integer, not "many"`},
		{"stage name with a slash", api("StageName: a/b #!"), "letters, digits, - and _"},
		{"stage name too long", rawAPI("StageName: dev, AutoDeploy: true }", "StageName: "+strings.Repeat("x", 129)+" } #!"), "at most 128"},
		{"timeout too short", api("Routes:\n        send: { FunctionArn: !GetAtt Work.Arn, IntegrationTimeout: 49 } #!"), "must be 50 to 29000 milliseconds, not 49"},
		{"timeout too long", rawAPI("IntegrationType: AWS_PROXY", "IntegrationType: AWS_PROXY\n      TimeoutInMillis: 29001 #!"), "must be 50 to 29000 milliseconds, not 29001"},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, test.text, nil, test.want) })
	}
}
