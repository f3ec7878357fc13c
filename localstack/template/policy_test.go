package template_test

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/iam"
	"github.com/duet-chat/duet/localstack/template"
)

// A function may touch the tables that its variables name, and no others; it may post exactly if it
// knows where to.
func TestPoliciesMatchVariables(t *testing.T) {
	stack, err := template.Load(product, options(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range stack.Functions {
		known, allowed := map[string]bool{}, map[string]bool{}
		for name, value := range f.Env {
			if strings.HasSuffix(name, "_TABLE") {
				known[value] = true
			}
		}
		posts := false
		for _, s := range stack.Policies.Roles[f.Name].Statements {
			for _, resource := range s.Resources {
				if _, table, ok := strings.Cut(resource, ":table/"); ok && !strings.Contains(table, "/stream/") {
					table, _, _ = strings.Cut(table, "/")
					allowed[table] = true
				}
				posts = posts || strings.Contains(resource, "/@connections/")
			}
		}
		if !maps.Equal(known, allowed) {
			t.Errorf("%s knows the tables %v, but may use %v", f.Name, slices.Sorted(maps.Keys(known)), slices.Sorted(maps.Keys(allowed)))
		}
		if knows := f.Env["CALLBACK_URL"] != ""; knows != posts {
			t.Errorf("%s has a callback URL: %v, may post: %v", f.Name, knows, posts)
		}
	}
	ping := stack.Policies.Roles["PingFunction"].Statements
	if len(ping) != 1 || !slices.Equal(ping[0].Actions, []string{"dynamodb:GetItem"}) ||
		!slices.Equal(ping[0].Resources, []string{"arn:aws:dynamodb:us-east-1:000000000000:table/duet-ConnectionsTable"}) {
		t.Errorf("PingFunction's policy = %+v, want GetItem on the connections", ping)
	}
}

// SAM's policy templates and AWS's managed policies stand for the statements that their documentation has.
func TestNamedPolicies(t *testing.T) {
	const arn = "arn:aws:dynamodb:us-east-1:000000000000:table/"
	for _, test := range []struct {
		name, policies   string
		action, resource string
		want             bool
	}{
		{"read by a policy template", "[{ DynamoDBReadPolicy: { TableName: T } }]", "dynamodb:Query", arn + "T/index/by-x", true},
		{"written by it", "[{ DynamoDBReadPolicy: { TableName: T } }]", "dynamodb:PutItem", arn + "T", false},
		{"another table", "[{ DynamoDBCrudPolicy: { TableName: T } }]", "dynamodb:PutItem", arn + "T2", false},
		{"everything with a table", "[{ DynamoDBCrudPolicy: { TableName: !Ref Name } }]", "dynamodb:ConditionCheckItem", arn + "T", true},
		{"a queue", "[{ SQSSendMessagePolicy: { QueueName: Q } }]", "sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:Q", true},
		{"with a service that is not here", "[{ SNSPublishMessagePolicy: { TopicName: T } }, CloudWatchFullAccess]", "dynamodb:GetItem", arn + "T", false},
		{"reshaped by a policy template", "[{ DynamoDBReconfigurePolicy: { TableName: T } }]", "dynamodb:UpdateTable", arn + "T", true},
		{"everything with functions", "[AWSLambda_FullAccess]", "lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:F", true},
		{"a managed policy by name", "AmazonAPIGatewayInvokeFullAccess", "execute-api:ManageConnections", "arn:aws:execute-api:x", true},
		{"a managed policy by ARN", "[arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess]", "dynamodb:Scan", arn + "T", true},
		{"what that does not allow", "[arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess]", "dynamodb:PutItem", arn + "T", false},
		{"logs alone", "AWSLambdaBasicExecutionRole", "dynamodb:GetItem", arn + "T", false},
		{"a denial beats them", "[AmazonDynamoDBFullAccess, { Statement: { Effect: Deny, Action: 'dynamodb:Delete*', Resource: '*' } }]", "dynamodb:DeleteItem", arn + "T", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "template.yaml")
			text := "Parameters: { Name: { Type: String, Default: T } }\nResources:\n  Work:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: functions/work\n      Runtime: provided.al2023\n      Policies: " + test.policies + "\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			stack, err := template.Load(file, options(nil))
			if err != nil {
				t.Fatal(err)
			}
			g := iam.New(iam.Options{Region: "us-east-1", Account: "000000000000", Log: slog.New(slog.DiscardHandler)})
			g.Set(stack.Policies)
			if err := g.Check("Work", test.action, test.resource); (err == nil) != test.want {
				t.Errorf("Check = %v, want allowed: %v", err, test.want)
			}
		})
	}
}

// A policy that cannot be read is refused: what a function may do is written out.
func TestBadPolicies(t *testing.T) {
	policies := func(text string) string {
		return "Resources:\n  Work:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: functions/work\n      Runtime: provided.al2023\n      Policies: " + text + "\n"
	}
	for _, test := range []struct{ name, text, want string }{
		{"a managed policy that is not known", policies("AdministratorAccess #!"), "write out"},
		{"managed policies that are not known", policies("\n        - AdministratorAccess #!"), "write out"},
		{"SAM's template that is not known", policies("\n        - EC2DescribePolicy: {} #!"), "write out"},
		{"SAM's template without its parameter", policies("\n        - DynamoDBCrudPolicy: {} #!"), "TableName is missing"},
		{"a member unknown", policies("{ Statement: [{ Effect: Allow, Principal: x, Action: 'a:b', Resource: '*' }] } #!"), "does not know Principal"},
		{"an effect that is none", policies("{ Statement: { Effect: Maybe, Action: 'a:b', Resource: '*' } } #!"), "Allow or Deny"},
		{"no effect", policies("{ Statement: { Action: 'a:b', Resource: '*' } } #!"), "Effect is missing"},
		{"no resource", policies("{ Statement: { Effect: Allow, Action: 'a:b' } } #!"), "no Resource"},
		{"resource and all but it", policies("{ Statement: { Effect: Allow, Action: 'a:b', Resource: '*', NotResource: '*' } } #!"), "not both"},
		{"actions no texts", policies("{ Statement: { Effect: Allow, Action: [{ a: b }], Resource: '*' } } #!"), "list of strings"},
		{"an action of no service", policies("{ Statement: { Effect: Allow, Resource: '*', Action: [\n          'a:b',\n          GetItem ] } } #!"), "prefaced by a vendor"},
		{"a name for an ARN", policies("{ Statement: { Effect: Allow, Action: 'a:b', Resource: !Ref Work } } #!"), "resource Work must be in ARN format"},
		{"a variable", policies("{ Statement: { Effect: Allow, Action: 'a:b', Resource: 'arn:aws:dynamodb:::table/${!aws:username}' } } #!"), "no policy variables"},
		{"another version", policies("{ Version: '2012-10-18', Statement: { Effect: Allow, Action: 'a:b', Resource: '*' } } #!"), "2012-10-17"},
		{"a table that is not there", policies("{ Statement: { Effect: Allow, Action: 'a:b', Resource: !GetAtt Log.Arn } } #!"), "no parameter or resource Log"},
		{"an operator unknown", policies("\n        Statement:\n          Effect: Allow\n          Action: a:b\n          Resource: '*'\n          Condition:\n            IpAddress:\n              aws:SourceIp: 10.0.0.0/8 #!"), "condition operator IpAddress"},
		{"a key unknown", policies("\n        Statement:\n          Effect: Allow\n          Action: a:b\n          Resource: '*'\n          Condition:\n            StringEquals:\n              aws:PrincipalTag/team: a #!"), "condition key aws:PrincipalTag/team"},
		{"conditions no map", policies("{ Statement: { Effect: Allow, Action: 'a:b', Resource: '*', Condition: [a] } } #!"), "map of operators"},
		{"an operator without keys", policies("{ Statement: { Effect: Allow, Action: 'a:b', Resource: '*', Condition: { Bool: a } } } #!"), "map of condition keys"},
		{"a boundary", policies("[]\n      PermissionsBoundary: arn:aws:iam::000000000000:policy/all #!"), "no permissions boundaries"},
		{"policies for all", "Globals:\n  Function:\n    Policies: [AmazonSQSFullAccess] #!\nResources:" + function, "SAM takes no Policies in Globals"},
		{"a table's own policy", "Resources:\n  Log:\n    Type: AWS::DynamoDB::Table\n    Properties:\n      ResourcePolicy: {} #!\n", "does not know ResourcePolicy"},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, test.text, nil, test.want) })
	}
}
