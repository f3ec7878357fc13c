package gateway

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/localstack/lambda"
)

type nobody struct{}

func (nobody) Invoke(context.Context, string, []byte) (lambda.Result, error) {
	return lambda.Result{}, nil
}

func testAPI() API {
	return API{ID: "abcdef1234", Name: "chat", Stage: "prod", RouteSelectionExpression: "$request.body.action",
		Routes: map[string]Route{"send": {Function: "send", Reply: true}, "$default": {Function: "fallback"},
			"$connect": {Function: "connect"}, "$disconnect": {Function: "disconnect"}}}
}

func testGateway(t testing.TB) *Gateway {
	t.Helper()
	g, err := New(testAPI(), Options{
		Invoker: nobody{},
		Now:     func() time.Time { return time.Date(2024, 1, 20, 11, 55, 0, 453e6, time.FixedZone("", 3600)) },
		NewID:   func() string { return "R1kmxc2VNjMCFIA=" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func testSession(t testing.TB, g *Gateway) *session {
	t.Helper()
	r := httptest.NewRequest("GET", "http://api.example.com/prod", nil)
	r.RemoteAddr = "[2001:db8::1]:4711"
	r.Header.Set("User-Agent", "agent \"1\" \xff <&>")
	s := g.newSession(r)
	s.fixContext(g.api, authorizerAnswer{PrincipalID: "alice", Context: map[string]json.RawMessage{
		"user": json.RawMessage(`"al\"ice"`), "n": json.RawMessage(`123`), "on": json.RawMessage(`true`),
	}}.object(7*time.Millisecond))
	return s
}

// The appended event equals one that is encoded the slow way, field by field, and
// aws-lambda-go reads it.
func TestMessageEventEqualsEncodedOne(t *testing.T) {
	g := testGateway(t)
	s := testSession(t, g)
	controls := ""
	for r := rune(0); r < 0x180; r++ {
		controls += string(r)
	}
	for _, body := range []string{"", `{"action":"send","text":"hi"}`, controls, "\u2028\u2029\uFFFD\U0001F600</script>&"} {
		got := s.messageEvent("send", "request=", "message=", g.now(), []byte(body))
		slow, err := json.Marshal(map[string]any{
			"requestContext": map[string]any{
				"routeKey": "send", "messageId": "message=", "eventType": "MESSAGE", "extendedRequestId": "request=",
				"requestTime": "20/Jan/2024:10:55:00 +0000", "messageDirection": "IN", "stage": "prod",
				"connectedAt": 1705748100453, "requestTimeEpoch": 1705748100453,
				"identity":   map[string]any{"userAgent": "agent \"1\" \uFFFD <&>", "sourceIp": "2001:db8::1"},
				"requestId":  "request=",
				"authorizer": map[string]any{"principalId": "alice", "integrationLatency": 7, "user": `al"ice`, "n": "123", "on": "true"},
				"domainName": "api.example.com", "connectionId": "R1kmxc2VNjMCFIA=", "apiId": "abcdef1234",
			},
			"body": body, "isBase64Encoded": false,
		})
		if err != nil {
			t.Fatal(err)
		}
		var gotAny, slowAny any
		var gotRequest, slowRequest events.APIGatewayWebsocketProxyRequest
		for _, err := range []error{json.Unmarshal(got, &gotAny), json.Unmarshal(slow, &slowAny), json.Unmarshal(got, &gotRequest), json.Unmarshal(slow, &slowRequest)} {
			if err != nil {
				t.Fatalf("%v in %s", err, got)
			}
		}
		if diff := cmp.Diff(slowAny, gotAny); diff != "" {
			t.Errorf("event of %q (-encoded +appended):\n%s", body, diff)
		}
		if diff := cmp.Diff(slowRequest, gotRequest); diff != "" {
			t.Errorf("aws-lambda-go's event of %q (-encoded +appended):\n%s", body, diff)
		}
	}
}

// A recorded $disconnect event of AWS has the same members (aws-lambda-go's
// apigw-websocket-request-disconnect.json, but for the authorizer).
func TestDisconnectEventHasRecordedMembers(t *testing.T) {
	g := testGateway(t)
	var got map[string]any
	if err := json.Unmarshal(testSession(t, g).disconnectEvent("request=", g.now(), 1001, ""), &got); err != nil {
		t.Fatal(err)
	}
	context := got["requestContext"].(map[string]any)
	if context["disconnectStatusCode"] != 1001.0 || context["disconnectReason"] != "" {
		t.Errorf("context %v", context)
	}
	for _, key := range []string{"routeKey", "eventType", "extendedRequestId", "requestTime", "messageDirection", "stage", "connectedAt",
		"requestTimeEpoch", "identity", "requestId", "domainName", "connectionId", "apiId", "authorizer", "disconnectStatusCode", "disconnectReason"} {
		if _, there := context[key]; !there {
			t.Errorf("requestContext has no %q", key)
		}
		delete(context, key)
	}
	delete(got, "headers")
	delete(got, "multiValueHeaders")
	delete(got, "requestContext")
	if len(context) != 0 || len(got) != 1 || got["isBase64Encoded"] != false {
		t.Errorf("more members: %v, %v", got, context)
	}
}

func BenchmarkMessageEvent(b *testing.B) {
	g := testGateway(b)
	s := testSession(b, g)
	body := []byte(`{"action":"send","ref":"r1","to":"bob","n":17,"seen":41,"text":"See you at seven, then. I bring the bread and the \"good\" cheese."}`)
	b.ReportAllocs()
	for b.Loop() {
		key, _ := g.route(body)
		s.messageEvent(key, "R1knPH17NjMFftw=", "R1knPc2ntjMCFIA=", g.now(), body)
	}
}
