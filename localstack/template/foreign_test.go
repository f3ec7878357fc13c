package template_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/gateway"
	"github.com/duet-chat/duet/localstack/template"
)

const foreign = "testdata/whiteboard.yaml"

// Nothing in the reader is about Duet: another stack on the same services loads, however it is spelt.
func TestForeignTemplate(t *testing.T) {
	var made []dynamodb.TableSpec
	o := options(nil)
	o.CreateTable = func(spec dynamodb.TableSpec) (dynamodb.TableInfo, error) {
		made = append(made, spec)
		return dynamodb.TableInfo{Name: spec.TableName}, nil
	}
	stack, err := template.Load(foreign, o)
	if err != nil {
		t.Fatal(err)
	}
	wantAPI := &gateway.API{
		ID: stack.API.ID, Name: "Board", Stage: "v1", RouteSelectionExpression: "${request.body.kind}",
		Routes: map[string]gateway.Route{"$connect": {Function: "Join"}, "draw": {Function: "Draw", Timeout: 3 * time.Second}},
	}
	if diff := cmp.Diff(wantAPI, stack.API); diff != "" {
		t.Errorf("API (-want +got)\n%s", diff)
	}
	wantTable := []dynamodb.TableSpec{{
		TableName: "strokes", BillingMode: "PAY_PER_REQUEST",
		AttributeDefinitions: []dynamodb.AttributeDefinition{{AttributeName: "board", AttributeType: "S"}, {AttributeName: "at", AttributeType: "N"}, {AttributeName: "author", AttributeType: "S"}},
		KeySchema:            []dynamodb.KeyElement{{AttributeName: "board", KeyType: "HASH"}, {AttributeName: "at", KeyType: "RANGE"}},
		GlobalSecondaryIndexes: []dynamodb.IndexSpec{{
			IndexName: "by-author", KeySchema: []dynamodb.KeyElement{{AttributeName: "author", KeyType: "HASH"}},
			Projection: dynamodb.ProjectionSpec{ProjectionType: "INCLUDE", NonKeyAttributes: []string{"colour"}},
		}},
	}}
	if diff := cmp.Diff(wantTable, made); diff != "" {
		t.Errorf("tables (-want +got)\n%s", diff)
	}
	draw, _ := stack.FunctionNamed("Draw")
	if want := map[string]string{"TABLE": "strokes", "BACK": "http://localhost:4566/v1"}; !maps.Equal(draw.Env, want) {
		t.Errorf("Draw's variables = %v, want %v", draw.Env, want)
	}
	join, _ := stack.FunctionNamed("Join")
	if join.Folder != "functions/join" || join.Timeout != 3*time.Second || join.MemoryMB != 128 {
		t.Errorf("Join = %+v, want Lambda's defaults", join)
	}
	if want := map[string]string{"Url": "ws://localhost:4566/v1"}; !maps.Equal(stack.Outputs, want) {
		t.Errorf("outputs = %v, want %v", stack.Outputs, want)
	}
	o.Parameters = map[string]string{"Stage": "live"}
	if stack, err = template.Load(foreign, o); err != nil {
		t.Fatal(err)
	}
	if draw, _ = stack.FunctionNamed("Draw"); draw.Env["KEEP"] != "yes" {
		t.Errorf("KEEP = %q where the condition holds, want yes", draw.Env["KEEP"])
	}
}

// What a foreign template has that the local cloud has not is named, with its line.
func TestForeignTemplateThatLacks(t *testing.T) {
	data, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, old, new, want string }{
		{"an HTTP API", "Type: AWS::Serverless::WebSocketApi", "Type: AWS::Serverless::HttpApi #!", "AWS::Serverless::HttpApi: it knows"},
		{"another event", "      Timeout: 5", "      Events: { Nightly: { Type: Schedule #!\n } }", "events of type DynamoDB, not Schedule"},
		{"another language", "Runtime: provided.al2\n", "Runtime: nodejs24.x #!\n", "has the runtime nodejs24.x: the local cloud runs Go functions only"},
		{"code in a bucket", "CodeUri: ./functions/join/", "CodeUri: s3://code/join.zip #!", "builds functions from a folder"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(string(data), test.old, test.new, 1)
			if text == string(data) {
				t.Fatalf("%s has no %q any more", filepath.Base(foreign), test.old)
			}
			refused(t, text, nil, test.want)
		})
	}
}

const hall = "testdata/hall.yaml"

// What people add to the samples is taken: sections, spellings, and resources that are only deployed.
func TestSampleWithAdditions(t *testing.T) {
	for _, test := range []struct {
		parameters map[string]string
		stage      string
		memory     int
		level      string
		warnings   []string // parts of each
	}{
		{nil, "dev", 128, "DEBUG", []string{"retired the runtime go1.x"}},
		{map[string]string{"Stage": "prod", "AlarmEmail": "ann@example.com"}, "prod", 512, "WARN", []string{"retired the runtime go1.x", "Topic (AWS::SNS::Topic) is only deployed"}},
	} {
		stack, err := template.Load(hall, options(test.parameters))
		if err != nil {
			t.Fatal(err)
		}
		throttle := gateway.Throttle{Rate: new(50.0), Burst: new(100)}
		want := &gateway.API{
			ID: stack.API.ID, Name: "HallApi", Stage: test.stage, RouteSelectionExpression: "$request.body.action",
			Routes: map[string]gateway.Route{
				"$connect":    {Function: "duet-onconnect", Throttle: throttle},
				"$disconnect": {Function: "OnDisconnectFunction", Throttle: throttle},
				"sendmessage": {Function: "SendMessageFunction", Throttle: throttle, Reply: true},
			},
		}
		if diff := cmp.Diff(want, stack.API); diff != "" {
			t.Errorf("API (-want +got)\n%s", diff)
		}
		connect, _ := stack.FunctionNamed("duet-onconnect")
		if connect.MemoryMB != test.memory || connect.Folder != "onconnect" || connect.Env["LOG_LEVEL"] != test.level {
			t.Errorf("duet-onconnect = %+v, want %d MB and level %s", connect, test.memory, test.level)
		}
		const api = "://localhost:4566/"
		if url := stack.Outputs["WebSocketURI"]; url != "ws"+api+test.stage || url != stack.Outputs["ConnectionUrl"] {
			t.Errorf("outputs = %v, want ws%s%s in two spellings", stack.Outputs, api, test.stage)
		}
		if role := stack.Outputs["OnConnectFunctionIamRole"]; !strings.HasPrefix(role, "arn:aws:iam::000000000000:role/") {
			t.Errorf("the role is %q, want the one that SAM makes", role)
		}
		if len(stack.Warnings) != len(test.warnings) || !slices.EqualFunc(stack.Warnings, test.warnings, strings.Contains) {
			t.Errorf("warnings = %q, want %q", stack.Warnings, test.warnings)
		}
	}
}
