package iam_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/caller"
	"github.com/duet-chat/duet/localstack/iam"
)

func guard(policies ...iam.Statement) *iam.Guard {
	g := iam.New(iam.Options{Region: "us-east-1", Account: "000000000000", Log: slog.New(slog.DiscardHandler)})
	set(g, policies...)
	return g
}

// set puts policies of Send in force.
func set(g *iam.Guard, policies ...iam.Statement) {
	g.Set(iam.Policies{Roles: map[string]iam.Role{"Send": {Name: "duet-SendRole", ARN: "arn:aws:iam::000000000000:role/duet-SendRole", Statements: policies}}})
}

func allow(action string, resources ...string) iam.Statement {
	return iam.Statement{Actions: []string{action}, Resources: resources}
}

func TestPatterns(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true}, {"*", "anything", true}, {"a*c", "abc", true}, {"a*c", "ac", true}, {"a*c", "abcd", false},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"table/x", "table/x", true}, {"table/x", "table/xy", false},
		{"table/x/index/*", "table/x", false}, {"a*b*c", "a1b2b3c", true}, {"**", "x", true}, {"", "x", false},
		{"*/POST/@connections/*", "api/prod/POST/@connections/AbC=", true}, {"*/POST/@connections/*", "api/prod/DELETE/@connections/AbC=", false},
	} {
		if got := iam.Match(test.pattern, test.text); got != test.want {
			t.Errorf("Match(%q, %q) = %v", test.pattern, test.text, got)
		}
	}
}

// A denial beats what is allowed, and what nothing allows is denied.
func TestPolicyEvaluation(t *testing.T) {
	const messages = "arn:aws:dynamodb:us-east-1:000000000000:table/Messages"
	deny := iam.Statement{Deny: true, Actions: []string{"dynamodb:Delete*"}, Resources: []string{"*"}}
	for _, test := range []struct {
		name, function, action string
		policies               []iam.Statement
		want                   string // "" is allowed
	}{
		{"allowed", "Send", "dynamodb:PutItem", []iam.Statement{allow("dynamodb:PutItem", messages)}, ""},
		{"actions in any case", "Send", "dynamodb:PutItem", []iam.Statement{allow("DynamoDB:putitem", messages)}, ""},
		{"resources in their own case", "Send", "dynamodb:PutItem", []iam.Statement{allow("dynamodb:PutItem", strings.ToLower(messages))}, "because no identity-based policy allows the dynamodb:PutItem action"},
		{"another action", "Send", "dynamodb:Scan", []iam.Statement{allow("dynamodb:PutItem", messages)}, "because no identity-based policy allows the dynamodb:Scan action"},
		{"another table", "Send", "dynamodb:PutItem", []iam.Statement{allow("dynamodb:PutItem", messages+"2")}, "because no identity-based policy"},
		{"denied although allowed", "Send", "dynamodb:DeleteItem", []iam.Statement{allow("*", "*"), deny}, "with an explicit deny in an identity-based policy"},
		{"all actions but some", "Send", "dynamodb:PutItem", []iam.Statement{{NotActions: []string{"dynamodb:Delete*", "SQS:*"}, Resources: []string{"*"}}}, ""},
		{"an excluded action", "Send", "dynamodb:DeleteItem", []iam.Statement{{NotActions: []string{"dynamodb:delete*"}, Resources: []string{"*"}}}, "because no identity-based policy"},
		{"all resources but some", "Send", "dynamodb:PutItem", []iam.Statement{{Actions: []string{"dynamodb:*"}, NotResources: []string{messages + "2"}}}, ""},
		{"an excluded resource", "Send", "dynamodb:PutItem", []iam.Statement{{Actions: []string{"dynamodb:*"}, NotResources: []string{messages}}}, "because no identity-based policy"},
		{"denied but for one action", "Send", "dynamodb:DeleteItem", []iam.Statement{allow("*", "*"), {Deny: true, NotActions: []string{"dynamodb:Get*"}, Resources: []string{"*"}}}, "with an explicit deny"},
		{"denied elsewhere", "Send", "dynamodb:PutItem", []iam.Statement{allow("*", "*"), {Deny: true, Actions: []string{"*"}, NotResources: []string{messages}}}, ""},
		{"a function without policies", "Other", "dynamodb:PutItem", []iam.Statement{allow("*", "*")}, "because no identity-based policy"},
		{"the owner", "", "dynamodb:DeleteTable", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := guard(test.policies...)
			for range 2 { // the second answer is a remembered one
				err := g.Check(test.function, test.action, messages)
				if test.want == "" {
					if err != nil {
						t.Errorf("Check = %v, want it allowed", err)
					}
					continue
				}
				begin := "User: arn:aws:sts::000000000000:assumed-role/" + map[string]string{"Send": "duet-SendRole", "Other": "OtherRole"}[test.function] + "/" + test.function + " is not authorized to perform: " + test.action + " on resource: " + messages + " "
				if err == nil || !strings.HasPrefix(err.Error(), begin+test.want) {
					t.Errorf("Check = %v, want %s", err, begin+test.want)
				}
			}
		})
	}
}

// engine counts the operations that reach it.
type engine struct{ operations int }

func (e *engine) Do(context.Context, string, []byte) (int, []byte) {
	e.operations++
	return http.StatusOK, []byte("{}")
}

// What each operation needs.
// Source: Service authorization reference, "Actions, resources, and condition keys for Amazon DynamoDB".
func TestDynamoDBOperations(t *testing.T) {
	const arn = "arn:aws:dynamodb:us-east-1:000000000000:table/"
	for _, test := range []struct {
		name, target, body string
		needs              []iam.Statement
	}{
		{"an item", "DynamoDB_20120810.GetItem", `{"TableName":"T"}`, []iam.Statement{allow("dynamodb:GetItem", arn+"T")}},
		{"a table by its ARN", "DynamoDB_20120810.GetItem", `{"TableName":"` + arn + `T"}`, []iam.Statement{allow("dynamodb:GetItem", arn+"T")}},
		{"an index", "DynamoDB_20120810.Query", `{"TableName":"T","IndexName":"by-x"}`, []iam.Statement{allow("dynamodb:Query", arn+"T/index/by-x")}},
		{"a batch of two tables", "DynamoDB_20120810.BatchGetItem", `{"RequestItems":{"T":{},"U":{}}}`, []iam.Statement{allow("dynamodb:BatchGetItem", arn+"T"), allow("dynamodb:BatchGetItem", arn+"U")}},
		{"a transaction", "DynamoDB_20120810.TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"T"}},{"Update":{"TableName":"U"}},{"Delete":{"TableName":"V"}},{"ConditionCheck":{"TableName":"W"}}]}`, []iam.Statement{
			allow("dynamodb:PutItem", arn+"T"), allow("dynamodb:UpdateItem", arn+"U"), allow("dynamodb:DeleteItem", arn+"V"), allow("dynamodb:ConditionCheckItem", arn+"W"),
		}},
		{"a transaction that reads", "DynamoDB_20120810.TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"T"}}]}`, []iam.Statement{allow("dynamodb:GetItem", arn+"T")}},
		{"what has no table", "DynamoDB_20120810.ListTables", `{}`, []iam.Statement{allow("dynamodb:ListTables", "*")}},
		{"a stream", "DynamoDBStreams_20120810.DescribeStream", `{"StreamArn":"` + arn + `T/stream/1"}`, []iam.Statement{allow("dynamodb:DescribeStream", arn+"T/stream/1")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := caller.With(t.Context(), "Send")
			e := &engine{}
			if status, response := guard(test.needs...).DynamoDB(e).Do(ctx, test.target, []byte(test.body)); status != 200 || e.operations != 1 {
				t.Errorf("with all it needs: %d %s", status, response)
			}
			for i := range test.needs {
				less := append(append([]iam.Statement{}, test.needs[:i]...), test.needs[i+1:]...)
				status, response := guard(less...).DynamoDB(e).Do(ctx, test.target, []byte(test.body))
				var refusal struct {
					Type    string `json:"__type"`
					Message string
				}
				if err := json.Unmarshal(response, &refusal); err != nil || status != 400 || !strings.HasSuffix(refusal.Type, "#AccessDeniedException") ||
					!strings.Contains(refusal.Message, test.needs[i].Actions[0]) {
					t.Errorf("without %v: %d %s, want AccessDeniedException", test.needs[i], status, response)
				}
			}
			if e.operations != 1 {
				t.Errorf("%d operations reached the engine, want those that are allowed only", e.operations)
			}
			if status, _ := guard().DynamoDB(e).Do(t.Context(), test.target, []byte(test.body)); status != 200 {
				t.Error("the owner was refused")
			}
		})
	}
}

func TestConnectionsNeedManageConnections(t *testing.T) {
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	post := allow("execute-api:ManageConnections", "arn:aws:execute-api:us-east-1:000000000000:api1/prod/POST/@connections/*")
	for _, test := range []struct {
		name, function, method, path string
		want                         int
	}{
		{"allowed", "Send", "POST", "/prod/@connections/AbC=", 200},
		{"another verb", "Send", "DELETE", "/prod/@connections/AbC=", 403},
		{"another function", "Other", "POST", "/prod/@connections/AbC=", 403},
		{"the owner", "", "DELETE", "/prod/@connections/AbC=", 200},
		{"a handshake", "Other", "GET", "/prod", 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, test.path, nil)
			if test.function != "" {
				r = r.WithContext(caller.With(r.Context(), test.function))
			}
			w := httptest.NewRecorder()
			guard(post).Connections("api1", next).ServeHTTP(w, r)
			if w.Code != test.want {
				t.Errorf("status %d %s, want %d", w.Code, w.Body, test.want)
			}
		})
	}
}

// What each operation of the other services needs.
// Source: Service authorization reference, of Amazon SQS, Amazon EventBridge, AWS Lambda, Amazon Cognito user pools.
func TestOtherServices(t *testing.T) {
	const function = "arn:aws:lambda:us-east-1:000000000000:function:Deliver"
	const pool = "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_abc"
	url := `{"QueueUrl":"http://localhost:4566/000000000000/Failures"}`
	sqs := func(g *iam.Guard, h http.Handler) http.Handler { return g.SQS(h) }
	lambda := func(g *iam.Guard, h http.Handler) http.Handler { return g.Lambda("/2015-03-31/functions", h) }
	const ownBus = "arn:aws:events:us-east-1:000000000000:event-bus/own"
	events := func(g *iam.Guard, h http.Handler) http.Handler { return g.Events(h) }
	cognito := func(g *iam.Guard, h http.Handler) http.Handler { return g.Cognito(h) }
	for _, test := range []struct {
		name               string
		guarded            func(*iam.Guard, http.Handler) http.Handler
		method, path, body string
		target             string
		needs              iam.Statement // nothing, if it has no actions
	}{
		{"a message", sqs, "POST", "/", url, "AmazonSQS.SendMessage", allow("sqs:SendMessage", queue)},
		{"a batch of messages", sqs, "POST", "/", url, "AmazonSQS.SendMessageBatch", allow("sqs:SendMessage", queue)},
		{"a queue by its name", sqs, "POST", "/", `{"QueueName":"Failures"}`, "AmazonSQS.GetQueueUrl", allow("sqs:GetQueueUrl", queue)},
		{"all queues", sqs, "POST", "/", "{}", "AmazonSQS.ListQueues", allow("sqs:ListQueues", "*")},
		{"an event", events, "POST", "/", `{"Entries":[{"EventBusName":"own"}]}`, "AWSEvents.PutEvents", allow("events:PutEvents", ownBus)},
		{"an event by the bus's ARN", events, "POST", "/", `{"Entries":[{"EventBusName":"` + ownBus + `"}]}`, "AWSEvents.PutEvents", allow("events:PutEvents", ownBus)},
		{"events on two buses", events, "POST", "/", `{"Entries":[{"EventBusName":"own"},{}]}`, "AWSEvents.PutEvents", allow("events:PutEvents", "arn:aws:events:us-east-1:000000000000:event-bus/*")},
		{"an invocation", lambda, "POST", "/2015-03-31/functions/Deliver/invocations", "{}", "", allow("lambda:InvokeFunction", function)},
		{"an invocation by ARN", lambda, "POST", "/2015-03-31/functions/" + function + "/invocations", "{}", "", allow("lambda:InvokeFunction", function)},
		{"a description", lambda, "GET", "/2015-03-31/functions/Deliver", "", "", allow("lambda:GetFunction", function)},
		{"administration of a pool", cognito, "POST", "/", `{"UserPoolId":"us-east-1_abc"}`, "AWSCognitoIdentityProviderService.AdminDeleteUser", allow("cognito-idp:AdminDeleteUser", pool)},
		{"a sign-in", cognito, "POST", "/", "{}", "AWSCognitoIdentityProviderService.InitiateAuth", iam.Statement{}},
		{"one's own account", cognito, "POST", "/", "{}", "AWSCognitoIdentityProviderService.DeleteUser", iam.Statement{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ask := func(caller func(context.Context) context.Context, policies ...iam.Statement) int {
				next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					// What the guard has read is still there for the service.
					if body, err := io.ReadAll(r.Body); err != nil || string(body) != test.body {
						t.Errorf("the service reads %q, %v, want %q", body, err, test.body)
					}
					w.WriteHeader(http.StatusOK)
				})
				r := httptest.NewRequest(test.method, test.path, strings.NewReader(test.body))
				r.Header.Set("X-Amz-Target", test.target)
				w := httptest.NewRecorder()
				test.guarded(guard(policies...), next).ServeHTTP(w, r.WithContext(caller(r.Context())))
				if w.Code != http.StatusOK && !strings.Contains(w.Body.String(), "is not authorized to perform: "+strings.Join(test.needs.Actions, "")) {
					t.Errorf("refused with %s", w.Body)
				}
				return w.Code
			}
			function := func(ctx context.Context) context.Context { return caller.With(ctx, "Send") }
			owner := func(ctx context.Context) context.Context { return ctx }
			if status := ask(function, test.needs); status != http.StatusOK {
				t.Errorf("with what it needs: %d", status)
			}
			if status := ask(function, allow("dynamodb:*", "*")); (status == http.StatusOK) != (test.needs.Actions == nil) {
				t.Errorf("without what it needs: %d", status)
			}
			if status := ask(owner); status != http.StatusOK {
				t.Errorf("the owner: %d", status)
			}
		})
	}
}

func BenchmarkTransaction(b *testing.B) {
	const arn = "arn:aws:dynamodb:us-east-1:000000000000:table/"
	d := guard(allow("dynamodb:UpdateItem", arn+"C"), allow("dynamodb:PutItem", arn+"M")).DynamoDB(&engine{})
	ctx := caller.With(b.Context(), "Send")
	body := []byte(`{"TransactItems":[{"Update":{"TableName":"C","Key":{"conversation":{"S":"alice~bob"}},"UpdateExpression":"` + strings.Repeat("x", 300) + `"}},{"Put":{"TableName":"M","Item":{"text":{"S":"` + strings.Repeat("x", 300) + `"}}}}]}`)
	b.ReportAllocs()
	for b.Loop() {
		if status, response := d.Do(ctx, "DynamoDB_20120810.TransactWriteItems", body); status != 200 {
			b.Fatal(string(response))
		}
	}
}
