package template_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

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
		for _, s := range stack.Policies[f.Name] {
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
	ping := stack.Policies["PingFunction"]
	if len(ping) != 1 || !slices.Equal(ping[0].Actions, []string{"dynamodb:GetItem"}) ||
		!slices.Equal(ping[0].Resources, []string{"arn:aws:dynamodb:us-east-1:000000000000:table/duet-ConnectionsTable"}) {
		t.Errorf("PingFunction's policy = %+v, want GetItem on the connections", ping)
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
		{"a member unknown", policies("{ Statement: [{ Effect: Allow, NotAction: x, Resource: y }] } #!"), "does not know NotAction"},
		{"an effect that is none", policies("{ Statement: { Effect: Maybe, Action: x, Resource: y } } #!"), "Allow or Deny"},
		{"no effect", policies("{ Statement: { Action: x, Resource: y } } #!"), "Effect is missing"},
		{"no resource", policies("{ Statement: { Effect: Allow, Action: x } } #!"), "no Resource"},
		{"actions no texts", policies("{ Statement: { Effect: Allow, Action: [{ a: b }], Resource: y } } #!"), "list of strings"},
		{"a table that is not there", policies("{ Statement: { Effect: Allow, Action: x, Resource: !GetAtt Log.Arn } } #!"), "no parameter or resource Log"},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, test.text, nil, test.want) })
	}
}
