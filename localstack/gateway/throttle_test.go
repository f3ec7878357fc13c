package gateway_test

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"

	"github.com/duet-chat/duet/localstack/gateway"
	"github.com/duet-chat/duet/localstack/meter"
)

// clock is a time that passes only when told to.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.UnixMilli(1790000000000)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

const echoed = `{"action":"echo"}`

var tooMany = regexp.MustCompile(`^\{"message": "Too Many Requests", "connectionId":"[\w-]{15}=", "requestId":"[\w-]{15}="\}$`)

// AWS reference 3 and "Protect your WebSocket APIs in API Gateway": a route's bucket holds its burst,
// is filled at its rate, and is the route's alone. What it refuses gets a frame, runs nothing and is
// not billed; the connection stays open.
func TestRouteThrottle(t *testing.T) {
	m, c := meter.New(), newClock()
	api := chatAPI()
	api.Routes["echo"] = gateway.Route{Function: "echo", Reply: true, Throttle: gateway.Throttle{Rate: new(10.0), Burst: new(3)}}
	invoked := record(echo)
	s := start(t, api, gateway.Options{Invoker: chatFunctions().with("echo", invoked.invoke), Meter: m, Now: c.now})
	ws, other := s.dial(nil), s.dial(nil)
	taken := func(n int) {
		t.Helper()
		for range n {
			write(t, ws, echoed)
			wantRead(t, ws, echoed)
			invoked.next(t)
		}
	}
	refused := func() {
		t.Helper()
		write(t, other, echoed)
		if got := read(t, other); !tooMany.MatchString(got) {
			t.Errorf("frame %q, want Too Many Requests", got)
		}
		invoked.none(t)
	}
	taken(3)
	refused()
	write(t, other, "another route")
	wantRead(t, other, "fallback")
	c.pass(99 * time.Millisecond)
	refused()
	c.pass(time.Millisecond)
	taken(1)
	refused()
	c.pass(time.Hour) // no more than the burst is saved up
	taken(3)
	refused()
	if got := m.Usage()["apigateway"]["chat"]; got["throttled"] != 4 || got["messages_in"] != 8 || got["replies_out"] != 8 {
		t.Errorf("usage %v, want 4 throttled, 8 in, 8 out", got)
	}
}

// A burst without a rate, and the reverse, take the other from the account. Zero lets nothing through.
func TestRouteThrottleOfOneNumber(t *testing.T) {
	for name, test := range map[string]struct {
		throttle      gateway.Throttle
		atOnce, later int // messages that are taken, at first and after a second
	}{
		"burst alone":       {gateway.Throttle{Burst: new(2)}, 2, 2},
		"rate alone":        {gateway.Throttle{Rate: new(1.0)}, 9, 1}, // of its 10; the tenth the account refused
		"burst of zero":     {gateway.Throttle{Rate: new(100.0), Burst: new(0)}, 0, 0},
		"rate of zero":      {gateway.Throttle{Rate: new(0.0), Burst: new(100)}, 0, 0},
		"neither":           {gateway.Throttle{}, 9, 10},
		"more than account": {gateway.Throttle{Rate: new(1e6), Burst: new(1 << 20)}, 9, 10},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			api := chatAPI()
			api.Routes["echo"] = gateway.Route{Function: "echo", Reply: true, Throttle: test.throttle}
			s := start(t, api, gateway.Options{Invoker: chatFunctions(), Now: c.now, Limits: gateway.Limits{Requests: 1000, RequestBurst: 10}})
			ws := s.dial(nil) // takes one of the account's
			taken := func(want int) {
				t.Helper()
				got := 0
				for write(t, ws, echoed); read(t, ws) == echoed; write(t, ws, echoed) {
					got++
				}
				if got != want {
					t.Errorf("%d messages were taken, want %d", got, want)
				}
			}
			taken(test.atOnce)
			c.pass(time.Second)
			taken(test.later)
		})
	}
}

// AWS reference 3, account throttle: messages, handshakes and calls of @connections share one bucket.
func TestAccountThrottle(t *testing.T) {
	m, c := meter.New(), newClock()
	connect := record(answer(ok))
	s := start(t, chatAPI(), gateway.Options{
		Invoker: chatFunctions().with("connect", connect.invoke), Meter: m, Now: c.now,
		Limits: gateway.Limits{Requests: 1, RequestBurst: 4},
	})
	ws := s.dial(nil)
	id := connect.nextRequest(t).RequestContext.ConnectionID
	path := "/prod/@connections/" + id
	for _, method := range []string{"POST", "GET"} {
		if status := s.management(method, path, "pushed").StatusCode; status != 200 {
			t.Errorf("%s = %d, want 200", method, status)
		}
	}
	wantRead(t, ws, "pushed")
	write(t, ws, "x")
	wantRead(t, ws, "fallback")

	// The bucket is empty: for everybody.
	write(t, ws, "x")
	if got := read(t, ws); !tooMany.MatchString(got) {
		t.Errorf("frame %q, want Too Many Requests", got)
	}
	for _, method := range []string{"POST", "GET", "DELETE"} {
		resp := s.management(method, path, "x")
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 429 || resp.Header.Get("x-amzn-ErrorType") != "LimitExceededException" || string(body) != `{"message":"Too Many Requests"}` {
			t.Errorf("%s = %d %s %s, want 429 LimitExceededException", method, resp.StatusCode, resp.Header.Get("x-amzn-ErrorType"), body)
		}
	}
	var limited *types.LimitExceededException
	_, err := sdk(s).PostToConnection(t.Context(), &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &id, Data: []byte("x")})
	if !errors.As(err, &limited) {
		t.Errorf("SDK's post: %v, want LimitExceededException", err)
	}
	if status, body := s.refusal("/prod", nil); status != 429 || body != `{"message":"Too Many Requests"}` {
		t.Errorf("handshake = %d %s, want 429", status, body)
	}
	connect.none(t)

	c.pass(time.Second)
	write(t, ws, "x")
	wantRead(t, ws, "fallback")
	if got := m.Usage()["apigateway"]["chat"]; got["throttled"] != 6 || got["posts_out"] != 1 || got["handshakes"] != 2 || got["connects"] != 1 {
		t.Errorf("usage %v, want 6 throttled, 1 post, 2 handshakes, 1 connect", got)
	}
}

// AWS reference 3, new connections: the rate of handshakes is limited, open connections are not.
func TestConnectionRate(t *testing.T) {
	c := newClock()
	authorize := record(answer(allow + "}"))
	s := start(t, guarded(), gateway.Options{
		Invoker: chatFunctions().with("authorize", authorize.invoke), Now: c.now, Limits: gateway.Limits{NewConnections: 2},
	})
	token := withHeader("Authorization", "t")
	first := s.dial(token)
	s.dial(token)
	authorize.next(t)
	authorize.next(t)
	if status, _ := s.refusal("/prod", token); status != 429 {
		t.Errorf("third handshake in a second = %d, want 429", status)
	}
	authorize.none(t)
	for range 20 {
		write(t, first, "x")
		wantRead(t, first, "fallback")
	}
	c.pass(500 * time.Millisecond)
	s.dial(token)
}

// $connect has its route's throttle too.
func TestThrottleOfConnectRoute(t *testing.T) {
	api := chatAPI()
	api.Routes["$connect"] = gateway.Route{Function: "connect", Throttle: gateway.Throttle{Rate: new(1.0), Burst: new(1)}}
	s := start(t, api, gateway.Options{Invoker: chatFunctions(), Now: newClock().now})
	s.dial(nil)
	if status, _ := s.refusal("/prod", nil); status != 429 {
		t.Errorf("second handshake = %d, want 429", status)
	}
}

// Load tests take throttling away, all of it.
func TestNoThrottling(t *testing.T) {
	api := chatAPI()
	api.Routes["$default"] = gateway.Route{Function: "fallback", Reply: true, Throttle: gateway.Throttle{Rate: new(0.0), Burst: new(0)}}
	s := start(t, api, gateway.Options{Invoker: chatFunctions(), Now: newClock().now, Limits: gateway.Limits{
		NoThrottling: true, Requests: 1, RequestBurst: 1, NewConnections: 1,
	}})
	for range 3 {
		c := s.dial(nil)
		write(t, c, "x")
		wantRead(t, c, "fallback")
	}
}

// AWS reference 1.5, invoke refused: beyond Lambda's concurrency nothing is queued.
func TestBeyondLambdasConcurrency(t *testing.T) {
	hold := newGate()
	s := startChat(t, chatFunctions().with("fallback", hold.answer(ok)), gateway.Limits{Concurrency: 2})
	c, other := s.dial(nil), s.dial(nil)
	write(t, c, "1")
	write(t, c, "2")
	<-hold.entered
	<-hold.entered
	write(t, other, "3")
	if got := read(t, other); !strings.HasPrefix(got, `{"message": "Internal server error", "connectionId":"`) {
		t.Errorf("frame %q", got)
	}
	if status, body := s.refusal("/prod", nil); status != 500 || body != `{"message":"Internal server error"}` {
		t.Errorf("handshake %d %s, want 500", status, body)
	}
	hold.release()
}

// What throttling costs each message: two buckets, the route's and the account's.
func BenchmarkRoundTripThrottled(b *testing.B) {
	api := chatAPI()
	api.Routes["two"] = gateway.Route{Function: "fallback", Reply: true, Throttle: gateway.Throttle{Rate: new(1e9), Burst: new(1 << 30)}}
	s := start(b, api, gateway.Options{Invoker: chatFunctions(), Limits: gateway.Limits{Requests: 1 << 30, RequestBurst: 1 << 30}})
	benchRoundTrip(b, s.raw())
}
