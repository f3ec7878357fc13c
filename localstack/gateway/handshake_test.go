package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/coder/websocket"

	"github.com/duet-chat/duet/localstack/gateway"
	"github.com/duet-chat/duet/localstack/lambda"
)

func withHeader(name, value string) *websocket.DialOptions {
	return &websocket.DialOptions{HTTPHeader: http.Header{name: {value}}}
}

// shortTimeout is for the case in which a function never returns.
func shortTimeout(name string) gateway.Limits {
	if name == "timeout" {
		return gateway.Limits{IntegrationTimeout: 30 * time.Millisecond}
	}
	return gateway.Limits{}
}

// AWS reference 1.2: what $connect answers decides the handshake.
func TestConnectAnswerDecidesHandshake(t *testing.T) {
	tests := map[string]struct {
		connect func(context.Context, []byte) (lambda.Result, error)
		status  int
		body    string
	}{
		"301 passes through":  {answer(`{"statusCode":301}`), 301, `{"message":"Moved Permanently"}`},
		"400 passes through":  {answer(`{"statusCode":400}`), 400, `{"message":"Bad Request"}`},
		"401 passes through":  {answer(`{"statusCode":401,"body":"why"}`), 401, `{"message":"Unauthorized"}`},
		"403 passes through":  {answer(`{"statusCode":403}`), 403, `{"message":"Forbidden"}`},
		"501 passes through":  {answer(`{"statusCode":501}`), 501, `{"message":"Not Implemented"}`},
		"function error":      {failing("errorString", "no"), 502, `{"message":"Internal server error"}`},
		"Lambda refuses":      {nil, 500, `{"message":"Internal server error"}`},
		"null":                {answer(`null`), 502, `{"message":"Internal server error"}`},
		"no status":           {answer(`{}`), 502, `{"message":"Internal server error"}`},
		"unknown key":         {answer(`{"statusCode":200,"Data":1}`), 502, `{"message":"Internal server error"}`},
		"status out of range": {answer(`{"statusCode":101}`), 502, `{"message":"Internal server error"}`},
		"header injection":    {answer(`{"statusCode":200,"headers":{"sec-websocket-protocol":"a\r\nX: y"}}`), 502, `{"message":"Internal server error"}`},
		"timeout": {func(ctx context.Context, _ []byte) (lambda.Result, error) {
			<-ctx.Done()
			return lambda.Result{}, ctx.Err()
		}, 504, `{"message":"Endpoint request timed out"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disconnect := record(answer(ok))
			f := chatFunctions().with("connect", test.connect).with("disconnect", disconnect.invoke)
			s := startChat(t, f, shortTimeout(name))
			status, body := s.refusal("/prod", nil)
			if status != test.status || body != test.body {
				t.Errorf("handshake = %d %s, want %d %s", status, body, test.status, test.body)
			}
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			disconnect.none(t)
		})
	}
	for _, status := range []string{"200", "201", "299"} {
		s := startChat(t, chatFunctions().with("connect", answer(`{"statusCode":`+status+`}`)), gateway.Limits{})
		write(t, s.dial(nil), "x")
	}
}

// A timed-out $connect answers 504 even when the function does not stop.
func TestConnectTimeoutDoesNotWaitForFunction(t *testing.T) {
	hold := newGate()
	f := chatFunctions().with("connect", func(context.Context, []byte) (lambda.Result, error) {
		<-hold.open
		return lambda.Result{Payload: []byte(ok)}, nil
	})
	s := startChat(t, f, gateway.Limits{IntegrationTimeout: 20 * time.Millisecond})
	if status, _ := s.refusal("/prod", nil); status != 504 {
		t.Errorf("status %d, want 504", status)
	}
	hold.release()
}

// AWS reference 1.2: only the response's own header selects a subprotocol.
func TestSubprotocolComesFromConnectResponse(t *testing.T) {
	offer := &websocket.DialOptions{Subprotocols: []string{"duet.v1", "bearer.secret"}}
	for payload, want := range map[string]string{
		ok: "",
		`{"statusCode":200,"headers":{"Sec-WebSocket-Protocol":"duet.v1"}}`:                            "duet.v1",
		`{"statusCode":200,"headers":{"sec-websocket-protocol":"duet.v1"}}`:                            "duet.v1",
		`{"statusCode":200,"headers":null,"multiValueHeaders":{"Sec-WebSocket-Protocol":["duet.v1"]}}`: "duet.v1",
	} {
		s := startChat(t, chatFunctions().with("connect", answer(payload)), gateway.Limits{})
		if got := s.dial(offer).Subprotocol(); got != want {
			t.Errorf("subprotocol after %s = %q, want %q", payload, got, want)
		}
	}
}

// AWS reference 1.1, column CONNECT.
func TestConnectEvent(t *testing.T) {
	connect := record(answer(ok))
	s := startChat(t, chatFunctions().with("connect", connect.invoke), gateway.Limits{})
	c, _, err := websocket.Dial(t.Context(), "ws://"+s.host+"/prod?a=1&a=2&b=%26", &websocket.DialOptions{
		HTTPHeader: http.Header{"User-Agent": {"tests/1"}, "X-Duet-Device": {"d1"}}, Subprotocols: []string{"duet.v1", "x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	raw := connect.next(t)
	var req request
	if err := json.Unmarshal(raw, &req); err != nil {
		t.Fatal(err)
	}
	rc := req.RequestContext
	for what, pair := range map[string][2]any{
		"routeKey": {rc.RouteKey, "$connect"}, "eventType": {rc.EventType, "CONNECT"}, "direction": {rc.MessageDirection, "IN"},
		"stage": {rc.Stage, "prod"}, "apiId": {rc.APIID, "abcdef1234"}, "domainName": {rc.DomainName, s.host},
		"sourceIp": {rc.Identity.SourceIP, "127.0.0.1"}, "userAgent": {rc.Identity.UserAgent, "tests/1"},
		"extendedRequestId": {rc.ExtendedRequestID, rc.RequestID}, "messageId": {rc.MessageID, nil}, "authorizer": {rc.Authorizer, nil},
		"query": {req.QueryStringParameters["a"], "2"}, "multi query": {len(req.MultiValueQueryStringParameters["a"]), 2},
		"escaped query": {req.QueryStringParameters["b"], "&"}, "Host": {req.Headers["Host"], s.host},
		"protocol": {req.Headers["Sec-WebSocket-Protocol"], "duet.v1,x"}, "device": {req.Headers["X-Duet-Device"], "d1"},
		"multi header": {req.MultiValueHeaders["X-Duet-Device"][0], "d1"}, "forwarded": {req.Headers["X-Forwarded-For"], "127.0.0.1"},
		"proto": {req.Headers["X-Forwarded-Proto"], "http"}, "Upgrade": {req.Headers["Upgrade"], ""},
		"Connection": {req.Headers["Connection"], ""}, "body": {req.Body, ""}, "base64": {req.IsBase64Encoded, false},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s = %v, want %v", what, pair[0], pair[1])
		}
	}
	if len(rc.ConnectionID) != 16 || !strings.HasSuffix(rc.ConnectionID, "=") {
		t.Errorf("connectionId %q is not 16 characters with a trailing =", rc.ConnectionID)
	}
	if _, err := time.Parse("02/Jan/2006:15:04:05 +0000", rc.RequestTime); err != nil {
		t.Error(err)
	}
	if time.Since(time.UnixMilli(rc.ConnectedAt)) > time.Minute || time.Since(time.UnixMilli(rc.RequestTimeEpoch)) > time.Minute {
		t.Errorf("connectedAt %d, requestTimeEpoch %d: not now in milliseconds", rc.ConnectedAt, rc.RequestTimeEpoch)
	}
	var keys map[string]any
	_ = json.Unmarshal(raw, &keys)
	for _, key := range []string{"body", "stageVariables", "resource", "path", "httpMethod"} {
		if _, there := keys[key]; there {
			t.Errorf("CONNECT event has %q", key)
		}
	}
}

const allow = `{"principalId":"alice","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Allow","Resource":"*"}]}`

func guarded() gateway.API {
	api := chatAPI()
	api.Authorizer = &gateway.Authorizer{Function: "authorize", IdentitySources: []string{"route.request.header.Authorization"}}
	return api
}

// AWS reference 1.6: what the authorizer answers decides before $connect runs.
func TestAuthorizerDecidesHandshake(t *testing.T) {
	policy := func(effect, resource string) string {
		return `{"principalId":"a","policyDocument":{"Statement":[{"Action":"execute-api:Invoke","Effect":"` + effect + `","Resource":"` + resource + `"}]}}`
	}
	const arn = "arn:aws:execute-api:us-east-1:000000000000:abcdef1234/prod/"
	tests := map[string]struct {
		authorize func(context.Context, []byte) (lambda.Result, error)
		status    int
	}{
		"explicit deny":         {answer(policy("Deny", "*")), 403},
		"implicit deny":         {answer(policy("Allow", "arn:aws:execute-api:*:*:other/*")), 403},
		"REST-style resource":   {answer(policy("Allow", arn+"*/*")), 403},
		"error Unauthorized":    {failing("errorString", "Unauthorized"), 401},
		"another error":         {failing("errorString", "unauthorized"), 500},
		"function missing":      {nil, 500},
		"not JSON":              {answer(`oops`), 500},
		"no principal":          {answer(`{"policyDocument":{"Statement":[]}}`), 500},
		"simple response":       {answer(`{"isAuthorized":true}`), 500},
		"condition":             {answer(`{"principalId":"a","policyDocument":{"Statement":{"Action":"*","Effect":"Allow","Resource":"*","Condition":{}}}}`), 500},
		"object in the context": {answer(allow + `,"context":{"x":{}}}`), 500},
		"more than 8 KB":        {answer(allow + `,"context":{"x":"` + strings.Repeat("x", 8192) + `"}}`), 500},
		"timeout": {func(ctx context.Context, _ []byte) (lambda.Result, error) {
			<-ctx.Done()
			return lambda.Result{}, ctx.Err()
		}, 500},
	}
	texts := map[int]string{401: "Unauthorized", 403: "Forbidden", 500: "Internal server error"}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connect := record(answer(ok))
			f := chatFunctions().with("connect", connect.invoke).with("authorize", test.authorize)
			s := start(t, guarded(), gateway.Options{Invoker: f, Limits: shortTimeout(name)})
			status, body := s.refusal("/prod", withHeader("Authorization", "Bearer t"))
			if want := `{"message":"` + texts[test.status] + `"}`; status != test.status || body != want {
				t.Errorf("handshake = %d %s, want %d %s", status, body, test.status, want)
			}
			connect.none(t)
		})
	}
	for _, resource := range []string{"*", arn + "$connect", arn + "*", "arn:aws:execute-api:us-east-1:000000000000:abcdef1234/*"} {
		f := chatFunctions().with("authorize", answer(policy("Allow", resource)))
		s := start(t, guarded(), gateway.Options{Invoker: f})
		s.dial(withHeader("authorization", "Bearer t"))
	}
}

// AWS reference 1.6: a missing identity source is 401 and asks nobody.
func TestMissingIdentitySourceIs401(t *testing.T) {
	authorize := record(answer(allow + "}"))
	api := guarded()
	api.Authorizer.IdentitySources = append(api.Authorizer.IdentitySources, "route.request.querystring.v")
	s := start(t, api, gateway.Options{Invoker: chatFunctions().with("authorize", authorize.invoke)})
	for _, path := range []string{"/prod", "/prod?v=", "/prod?v=1"} {
		opts := withHeader("Authorization", "t")
		if path == "/prod?v=1" {
			opts = withHeader("Authorization", "")
		}
		if status, body := s.refusal(path, opts); status != 401 || body != `{"message":"Unauthorized"}` {
			t.Errorf("%s: %d %s, want 401", path, status, body)
		}
	}
	authorize.none(t)
}

// AWS reference 1.6: the authorizer's event, and its context as strings in all later events.
func TestAuthorizerEventAndContext(t *testing.T) {
	authorize := record(answer(allow + `,"context":{"user":"alice","n":123,"on":true,"gone":null,"quote":"a\"b"}}`))
	connect, message, disconnect := record(answer(ok)), record(echo), record(answer(ok))
	var logs bytes.Buffer
	f := chatFunctions().with("authorize", authorize.invoke).with("connect", connect.invoke).
		with("echo", message.invoke).with("disconnect", disconnect.invoke)
	s := start(t, guarded(), gateway.Options{Invoker: f, Log: slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	c := s.dial(withHeader("Authorization", "Bearer secret"))

	raw := authorize.next(t)
	var event events.APIGatewayCustomAuthorizerRequestTypeRequest
	var loose struct {
		StageVariables map[string]string
		RequestContext struct{ ConnectionID, RouteKey, EventType, DomainName string }
		Body           any
	}
	if err := errors.Join(json.Unmarshal(raw, &event), json.Unmarshal(raw, &loose)); err != nil {
		t.Fatal(err)
	}
	if event.Type != "REQUEST" || event.MethodArn != "arn:aws:execute-api:us-east-1:000000000000:abcdef1234/prod/$connect" {
		t.Errorf("type %q, methodArn %q", event.Type, event.MethodArn)
	}
	if event.Headers["Authorization"] != "Bearer secret" || event.Headers["Upgrade"] != "websocket" || event.Headers["Connection"] != "Upgrade" ||
		event.Headers["content-length"] != "0" || event.MultiValueHeaders["Upgrade"][0] != "websocket" {
		t.Errorf("headers %v", event.Headers)
	}
	if loose.StageVariables == nil || loose.Body != nil || loose.RequestContext.RouteKey != "$connect" || loose.RequestContext.EventType != "CONNECT" {
		t.Errorf("event %s", raw)
	}

	write(t, c, `{"action":"echo"}`)
	read(t, c)
	_ = c.Close(websocket.StatusNormalClosure, "")
	for _, e := range []request{connect.nextRequest(t), message.nextRequest(t), disconnect.nextRequest(t)} {
		got := e.RequestContext.Authorizer.(map[string]any)
		latency, isNumber := got["integrationLatency"].(float64)
		if got["principalId"] != "alice" || got["user"] != "alice" || got["n"] != "123" || got["on"] != "true" || got["quote"] != `a"b` ||
			!isNumber || latency < 0 || len(got) != 6 {
			t.Errorf("%s authorizer = %v", e.RequestContext.EventType, got)
		}
		if e.RequestContext.ConnectionID != loose.RequestContext.ConnectionID {
			t.Errorf("%s has another connectionId", e.RequestContext.EventType)
		}
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if logs.Len() == 0 || strings.Contains(logs.String(), "secret") {
		t.Errorf("logs are empty or show the token:\n%s", logs.String())
	}
}

// Requests that are no WebSocket handshake are told so.
func TestRequestsThatAreNoHandshake(t *testing.T) {
	s := startChat(t, chatFunctions(), gateway.Limits{})
	const upgrade = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"
	const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	for name, test := range map[string]struct {
		request string
		status  int
	}{
		"plain GET":   {"GET /prod HTTP/1.1\r\nHost: h\r\n\r\n", 426},
		"POST":        {"POST /prod HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 400},
		"old version": {"GET /prod HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n\r\n", 426},
		"no key":      {"GET /prod HTTP/1.1\r\nHost: h\r\n" + upgrade + "\r\n", 400},
		"bad key":     {"GET /prod HTTP/1.1\r\nHost: h\r\n" + upgrade + "Sec-WebSocket-Key: abc\r\n\r\n", 400},
		"other stage": {"GET /dev HTTP/1.1\r\nHost: h\r\n\r\n", 403},
		"deeper path": {"GET /prod/x HTTP/1.1\r\nHost: h\r\n\r\n", 403},
		"long URL":    {"GET /prod?" + strings.Repeat("x", 4096-5) + " HTTP/1.1\r\nHost: h\r\n" + upgrade + key, 414},
		"longest URL": {"GET /prod?" + strings.Repeat("x", 4096-6) + " HTTP/1.1\r\nHost: h\r\n" + upgrade + key, 101},
		"good":        {"GET /prod/ HTTP/1.1\r\nHost: h\r\n" + upgrade + key, 101},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", s.host)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = conn.Write([]byte(test.request))
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != test.status {
				t.Errorf("status %d, want %d", resp.StatusCode, test.status)
			}
			// RFC 6455, 1.3 gives this key and its answer.
			if test.status == 101 && resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
				t.Errorf("headers %v", resp.Header)
			}
		})
	}
}

// AWS reference 1.2: the connection does not exist until $connect has answered,
// and exists at the instant in which the client knows that it is open.
func TestConnectionExistsFrom101On(t *testing.T) {
	var s *server
	ids := make(chan string, 1)
	during := make(chan int, 1)
	s = startChat(t, chatFunctions().with("connect", func(_ context.Context, event []byte) (lambda.Result, error) {
		var req request
		_ = json.Unmarshal(event, &req)
		during <- s.management("POST", "/prod/@connections/"+req.RequestContext.ConnectionID, "early").StatusCode
		ids <- req.RequestContext.ConnectionID
		return lambda.Result{Payload: []byte(ok)}, nil
	}), gateway.Limits{})
	for range 50 {
		c := s.dial(nil)
		if status := <-during; status != 410 {
			t.Fatalf("post inside $connect = %d, want 410", status)
		}
		if resp := s.management("POST", "/prod/@connections/"+<-ids, "hello"); resp.StatusCode != 200 {
			t.Fatalf("post right after the handshake = %d, want 200", resp.StatusCode)
		}
		wantRead(t, c, "hello")
		_ = c.CloseNow()
	}
}

// A client that leaves during $connect never was connected: no $disconnect.
func TestClientLeavesDuringHandshake(t *testing.T) {
	entered, left := make(chan struct{}), make(chan struct{})
	disconnect := record(answer(ok))
	f := chatFunctions().with("disconnect", disconnect.invoke).with("connect", func(context.Context, []byte) (lambda.Result, error) {
		close(entered)
		<-left
		return lambda.Result{Payload: []byte(ok)}, nil
	})
	g, err := gateway.New(chatAPI(), gateway.Options{Invoker: f})
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	s := start(t, chatAPI(), gateway.Options{Invoker: f})
	s.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stop := context.AfterFunc(r.Context(), func() { close(left) })
		defer stop()
		g.ServeHTTP(w, r)
	})
	go func() { <-entered; leave() }()
	if _, _, err := websocket.Dial(ctx, "ws://"+s.host+"/prod", nil); err == nil {
		t.Fatal("dial succeeded")
	}
	<-left
	if err := g.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	disconnect.none(t)
}
