package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/duet-chat/duet/localstack/gateway"
	"github.com/duet-chat/duet/localstack/lambda"
)

// AWS reference 1.1, column MESSAGE, and 1.3: the event names the chosen route.
func TestMessageEvent(t *testing.T) {
	connect, message, fallback := record(answer(ok)), record(echo), record(answer(ok))
	s := startChat(t, chatFunctions().with("connect", connect.invoke).with("echo", message.invoke).with("fallback", fallback.invoke), gateway.Limits{})
	c := s.dial(nil)
	body := "{\"action\":\"echo\",\r\n\"text\":\"<b> \\\" \u00e9 \U0001F600 \\u0000 \"}"
	write(t, c, body)
	wantRead(t, c, body)
	raw := message.next(t)
	var req request
	if err := json.Unmarshal(raw, &req); err != nil {
		t.Fatal(err)
	}
	opened := connect.nextRequest(t).RequestContext
	rc := req.RequestContext
	for what, pair := range map[string][2]any{
		"body": {req.Body, body}, "routeKey": {rc.RouteKey, "echo"}, "eventType": {rc.EventType, "MESSAGE"},
		"connectedAt": {rc.ConnectedAt, opened.ConnectedAt}, "connectionId": {rc.ConnectionID, opened.ConnectionID},
		"domainName": {rc.DomainName, s.host}, "extendedRequestId": {rc.ExtendedRequestID, rc.RequestID},
		"same identity": {rc.Identity, opened.Identity}, "headers": {len(req.Headers), 0},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s = %v, want %v", what, pair[0], pair[1])
		}
	}
	if id, _ := rc.MessageID.(string); len(id) != 16 || id == rc.RequestID {
		t.Errorf("messageId %v, requestId %q", rc.MessageID, rc.RequestID)
	}
	var keys map[string]any
	_ = json.Unmarshal(raw, &keys)
	if len(keys) != 3 {
		t.Errorf("MESSAGE event has keys %v, want requestContext, body, isBase64Encoded", keys)
	}
	for _, text := range []string{"", "text", `{"action":"unknown"}`, `{"action":"$connect"}`, `[]`} {
		write(t, c, text)
		if e := fallback.nextRequest(t); e.RequestContext.RouteKey != "$default" || e.Body != text {
			t.Errorf("message %q: route %q, body %q", text, e.RequestContext.RouteKey, e.Body)
		}
	}
}

// What the API may not invoke is not invoked, and fails as on AWS: the route alone, or every handshake.
func TestWhatMayNotBeInvoked(t *testing.T) {
	const why = "no permission"
	invoked := record(echo)
	deny := func(key string) gateway.API {
		api := guarded()
		r := api.Routes[key]
		r.Denied = why
		api.Routes[key] = r
		return api
	}
	token := withHeader("Authorization", "t")
	f := chatFunctions().with("authorize", answer(allow+"}"))

	s := start(t, deny("echo"), gateway.Options{Invoker: f.with("echo", invoked.invoke)})
	c := s.dial(token)
	write(t, c, `{"action":"echo"}`)
	if got := read(t, c); !strings.HasPrefix(got, `{"message": "Internal server error", "connectionId":"`) {
		t.Errorf("frame %q", got)
	}
	write(t, c, "another route")
	wantRead(t, c, "fallback")

	s = start(t, deny("$connect"), gateway.Options{Invoker: f.with("connect", invoked.invoke)})
	if status, body := s.refusal("/prod", token); status != 500 || body != `{"message":"Internal server error"}` {
		t.Errorf("without $connect: handshake %d %s, want 500", status, body)
	}
	api := guarded()
	api.Authorizer.Denied = why
	s = start(t, api, gateway.Options{Invoker: f.with("authorize", invoked.invoke)})
	if status, _ := s.refusal("/prod", token); status != 500 {
		t.Errorf("without the authorizer: handshake %d, want 500", status)
	}
	invoked.none(t)
}

// AWS reference 1.4 and 1.5: what the client sees of each outcome.
func TestReplies(t *testing.T) {
	long := strings.Repeat("x", 128<<10)
	tests := map[string]struct {
		fn    func(context.Context, []byte) (lambda.Result, error)
		reply string // of a two-way route; "" is none
		fails bool   // also on a one-way route
	}{
		"body":                 {answer(`{"statusCode":200,"headers":{"X":"y"},"multiValueHeaders":null,"body":"a\n\"\ud83d\ude00","isBase64Encoded":false}`), "a\n\"\U0001F600", false},
		"status does not show": {answer(`{"statusCode":500,"body":"b"}`), "b", false},
		"no body":              {answer(`{"statusCode":200}`), "", false},
		"null body":            {answer(`{"statusCode":200,"body":null}`), "", false},
		"longest body":         {answer(`{"statusCode":200,"body":"` + long + `"}`), long, false},
		"function error":       {failing("panic", "secret"), "Internal server error", true},
		"cannot be run":        {func(context.Context, []byte) (lambda.Result, error) { return lambda.Result{}, lambda.ErrThrottled }, "Internal server error", true},
		"unknown keys":         {answer(`{"statusCode":200,"Data":"x","ConnectionId":"y"}`), "Internal server error", true},
		"unknown key, then ok": {answer(`{"Data":"x","statusCode":200}`), "Internal server error", true},
		"no status":            {answer(`{"body":"x"}`), "Internal server error", true},
		"body is an object":    {answer(`{"statusCode":200,"body":{}}`), "Internal server error", true},
		"null":                 {answer(`null`), "Internal server error", true},
		"list":                 {answer(`[]`), "Internal server error", true},
		"nothing":              {answer(``), "Internal server error", true},
		"not UTF-8":            {answer("{\"statusCode\":200,\"body\":\"\xff\"}"), "Internal server error", true},
	}
	frame := regexp.MustCompile(`^\{"message": "Internal server error", "connectionId":"[\w-]{15}=", "requestId":"[\w-]{15}="\}$`)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := startChat(t, chatFunctions().with("fallback", test.fn).with("oneway", test.fn), gateway.Limits{})
			c := s.dial(nil)
			check := func(reply string) {
				t.Helper()
				if test.fails && !frame.MatchString(reply) || !test.fails && reply != test.reply {
					t.Errorf("frame %.200q, want %.200q", reply, test.reply)
				}
			}
			write(t, c, "two-way")
			if test.reply != "" {
				check(read(t, c))
			}
			write(t, c, `{"action":"oneway"}`)
			if test.fails {
				check(read(t, c))
			}
			// Nothing else came, and the connection lives on.
			write(t, c, `{"action":"echo"}`)
			wantRead(t, c, `{"action":"echo"}`)
		})
	}
	t.Run("too long", func(t *testing.T) {
		s := startChat(t, chatFunctions().with("fallback", answer(`{"statusCode":200,"body":"x`+long+`"}`)), gateway.Limits{})
		c := s.dial(nil)
		write(t, c, "x")
		if got := read(t, c); !frame.MatchString(got) {
			t.Errorf("frame %.100q", got)
		}
	})
}

// AWS reference 1.5: no route and no $default.
func TestForbiddenFrame(t *testing.T) {
	api := chatAPI()
	delete(api.Routes, "$default")
	s := start(t, api, gateway.Options{Invoker: chatFunctions()})
	c := s.dial(nil)
	write(t, c, `{"action":"nope"}`)
	if got := read(t, c); !regexp.MustCompile(`^\{"message": "Forbidden", "connectionId":"[\w-]{15}=", "requestId":"[\w-]{15}="\}$`).MatchString(got) {
		t.Errorf("frame %q", got)
	}
	write(t, c, `{"action":"echo"}`)
	wantRead(t, c, `{"action":"echo"}`)
}

// AWS reference 1.5: the integration timeout; the client hears of it even when
// the function goes on, and hears nothing more.
func TestIntegrationTimeout(t *testing.T) {
	cancelled, hold := make(chan error, 1), newGate()
	defer hold.release()
	f := chatFunctions().with("fallback", func(ctx context.Context, _ []byte) (lambda.Result, error) {
		<-ctx.Done()
		cancelled <- ctx.Err()
		<-hold.open
		return lambda.Result{Payload: []byte(`{"statusCode":200,"body":"late"}`)}, nil
	})
	api := chatAPI()
	api.Routes["$default"] = gateway.Route{Function: "fallback", Reply: true, Timeout: 20 * time.Millisecond}
	s := start(t, api, gateway.Options{Invoker: f})
	c := s.dial(nil)
	write(t, c, "x")
	if got := read(t, c); !strings.HasPrefix(got, `{"message": "Endpoint request timed out", "connectionId":"`) {
		t.Errorf("frame %q", got)
	}
	if err := <-cancelled; err != context.DeadlineExceeded {
		t.Errorf("function's context: %v", err)
	}
	hold.release()
	write(t, c, `{"action":"echo"}`)
	wantRead(t, c, `{"action":"echo"}`)
}

// AWS reference 1.7: frames of one connection run at the same time. They start
// in their order, so that order is lost only where functions lose it.
func TestFramesRunConcurrentlyAndStartInOrder(t *testing.T) {
	const frames = 500
	// On one processor the order is the gateway's alone: on several, two frames
	// that start at the same instant may note it in either order.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	hold := newGate()
	var started atomic.Int64
	var order [frames]int64 // by frame: as which it started
	f := chatFunctions().with("fallback", func(_ context.Context, event []byte) (lambda.Result, error) {
		at := started.Add(1) - 1
		var req request
		_ = json.Unmarshal(event, &req)
		var n int
		_, _ = fmt.Sscan(req.Body, &n)
		order[n] = at
		hold.entered <- req.Body
		<-hold.open
		return lambda.Result{Payload: []byte(ok)}, nil
	})
	s := startChat(t, f, gateway.Limits{})
	c := s.dial(nil)
	for n := range frames {
		write(t, c, fmt.Sprint(n))
	}
	for range frames {
		select {
		case <-hold.entered:
		case <-time.After(5 * time.Second):
			t.Fatalf("only %d of %d frames run at once", started.Load(), frames)
		}
	}
	hold.release()
	for n, at := range order {
		// A goroutine may lose its processor right before it starts; the
		// scheduler's own order is off by hundreds.
		if d := int(at) - n; d < -4 || d > 4 {
			t.Fatalf("frame %d started as number %d", n, at)
		}
	}
}

// writeFragments sends a message in frames of at most size bytes.
func writeFragments(t testing.TB, c *websocket.Conn, text string, size int) {
	t.Helper()
	w, err := c.Writer(context.Background(), websocket.MessageText)
	if err != nil {
		t.Fatal(err)
	}
	for len(text) > 0 {
		n := min(size, len(text))
		if _, err := w.Write([]byte(text[:n])); err != nil {
			t.Fatal(err)
		}
		text = text[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
