package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/coder/websocket"

	"github.com/duet-chat/duet/localstack/gateway"
	"github.com/duet-chat/duet/localstack/lambda"
)

// TestMain fails the run when goroutines of the gateway outlive their tests.
func TestMain(m *testing.M) {
	if runIdleClients() {
		return
	}
	code := m.Run()
	if leaked := leakedGoroutines(5 * time.Second); code == 0 && leaked != "" {
		fmt.Fprintf(os.Stderr, "goroutines leaked:\n%s\n", leaked)
		code = 1
	}
	os.Exit(code)
}

func leakedGoroutines(patience time.Duration) string {
	deadline := time.Now().Add(patience)
	for {
		buf := make([]byte, 1<<20)
		buf = buf[:runtime.Stack(buf, true)]
		leaked := ""
		for g := range strings.SplitSeq(string(buf), "\n\n") {
			if strings.Contains(g, "localstack/gateway.") {
				leaked += g + "\n\n"
			}
		}
		if leaked == "" || time.Now().After(deadline) {
			return leaked
		}
		runtime.Gosched()
	}
}

// functions is an Invoker of plain Go functions by name.
type functions map[string]func(ctx context.Context, event []byte) (lambda.Result, error)

func (f functions) Invoke(ctx context.Context, name string, event []byte) (lambda.Result, error) {
	fn := f[name]
	if fn == nil {
		return lambda.Result{}, fmt.Errorf("no function %q", name)
	}
	return fn(ctx, event)
}

// with returns the functions with one replaced.
func (f functions) with(name string, fn func(context.Context, []byte) (lambda.Result, error)) functions {
	g := functions{}
	for k, v := range f {
		g[k] = v
	}
	g[name] = fn
	return g
}

type request = events.APIGatewayWebsocketProxyRequest

// answer is a function that always gives the same payload.
func answer(payload string) func(context.Context, []byte) (lambda.Result, error) {
	return func(context.Context, []byte) (lambda.Result, error) {
		return lambda.Result{Payload: []byte(payload)}, nil
	}
}

func failing(errorType, message string) func(context.Context, []byte) (lambda.Result, error) {
	return func(context.Context, []byte) (lambda.Result, error) {
		return lambda.Result{FunctionError: "Unhandled", ErrorType: errorType, ErrorMessage: message}, nil
	}
}

// recorder keeps the events that a function was given.
type recorder struct {
	events chan []byte
	then   func(context.Context, []byte) (lambda.Result, error)
}

func record(then func(context.Context, []byte) (lambda.Result, error)) *recorder {
	return &recorder{events: make(chan []byte, 1000), then: then}
}

func (r *recorder) invoke(ctx context.Context, event []byte) (lambda.Result, error) {
	r.events <- bytes.Clone(event)
	return r.then(ctx, event)
}

func (r *recorder) next(t testing.TB) []byte {
	t.Helper()
	select {
	case e := <-r.events:
		return e
	case <-time.After(5 * time.Second):
		t.Fatal("the function was not invoked")
		return nil
	}
}

func (r *recorder) nextRequest(t testing.TB) request {
	t.Helper()
	var req request
	if err := json.Unmarshal(r.next(t), &req); err != nil {
		t.Fatal(err)
	}
	return req
}

func (r *recorder) none(t testing.TB) {
	t.Helper()
	select {
	case e := <-r.events:
		t.Fatalf("the function was invoked with %s", e)
	default:
	}
}

// echo answers a message with its own body.
func echo(_ context.Context, event []byte) (lambda.Result, error) {
	var req request
	if err := json.Unmarshal(event, &req); err != nil {
		return lambda.Result{}, err
	}
	payload, err := json.Marshal(events.APIGatewayProxyResponse{StatusCode: 200, Body: req.Body})
	return lambda.Result{Payload: payload}, err
}

const ok = `{"statusCode":200}`

// chatAPI has a route of each kind; every function exists in chatFunctions.
func chatAPI() gateway.API {
	return gateway.API{
		ID: "abcdef1234", Name: "chat", Stage: "prod", RouteSelectionExpression: "$request.body.action",
		Routes: map[string]gateway.Route{
			"$connect":    {Function: "connect"},
			"$disconnect": {Function: "disconnect"},
			"$default":    {Function: "fallback", Reply: true},
			"echo":        {Function: "echo", Reply: true},
			"oneway":      {Function: "oneway"},
		},
	}
}

func chatFunctions() functions {
	return functions{
		"connect": answer(ok), "disconnect": answer(ok), "oneway": answer(`{"statusCode":200,"body":"dropped"}`),
		"fallback": answer(`{"statusCode":200,"body":"fallback"}`), "echo": echo,
	}
}

// server is a gateway behind a real HTTP server.
type server struct {
	*gateway.Gateway
	t    testing.TB
	http *httptest.Server
	host string
}

func start(t testing.TB, api gateway.API, opts gateway.Options) *server {
	t.Helper()
	g, err := gateway.New(api, opts)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(g)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = g.Shutdown(ctx) // tests of Shutdown look at its error
		s.Close()
	})
	return &server{Gateway: g, t: t, http: s, host: strings.TrimPrefix(s.URL, "http://")}
}

func startChat(t testing.TB, f functions, limits gateway.Limits) *server {
	t.Helper()
	return start(t, chatAPI(), gateway.Options{Invoker: f, Limits: limits})
}

// dial opens a connection that must succeed.
func (s *server) dial(opts *websocket.DialOptions) *websocket.Conn {
	s.t.Helper()
	c, _, err := websocket.Dial(context.Background(), "ws://"+s.host+"/prod", opts)
	if err != nil {
		s.t.Fatal(err)
	}
	c.SetReadLimit(1 << 20)
	s.t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

// refusal dials, must fail, and returns status and body.
func (s *server) refusal(path string, opts *websocket.DialOptions) (int, string) {
	s.t.Helper()
	c, resp, err := websocket.Dial(context.Background(), "ws://"+s.host+path, opts)
	if err == nil {
		_ = c.CloseNow()
		s.t.Fatal("the handshake succeeded")
	}
	if resp == nil {
		s.t.Fatal(err)
	}
	var body bytes.Buffer
	_, _ = body.ReadFrom(resp.Body)
	return resp.StatusCode, body.String()
}

func write(t testing.TB, c *websocket.Conn, text string) {
	t.Helper()
	if err := c.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, c *websocket.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	typ, data, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if typ != websocket.MessageText {
		t.Fatalf("frame type %v, want text", typ)
	}
	return string(data)
}

func wantRead(t testing.TB, c *websocket.Conn, want string) {
	t.Helper()
	if got := read(t, c); got != want {
		t.Fatalf("frame %q, want %q", got, want)
	}
}

// closeOf reads until the connection is closed and returns code and reason.
func closeOf(t testing.TB, c *websocket.Conn) (websocket.StatusCode, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for {
		if _, _, err := c.Read(ctx); err != nil {
			var ce websocket.CloseError
			if status := websocket.CloseStatus(err); status == -1 {
				t.Fatalf("connection ended without a close frame: %v", err)
			} else if !errors.As(err, &ce) {
				t.Fatal(err)
			}
			return ce.Code, ce.Reason
		}
	}
}

// management calls @connections over HTTP.
func (s *server) management(method, path string, body string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequest(method, s.http.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.http.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// gate lets a test hold invocations and let them go.
type gate struct {
	entered chan string
	open    chan struct{}
	once    sync.Once
}

func newGate() *gate { return &gate{entered: make(chan string, 10000), open: make(chan struct{})} }

func (g *gate) release() { g.once.Do(func() { close(g.open) }) }

// answer is a function that waits at the gate and then gives a payload.
func (g *gate) answer(payload string) func(context.Context, []byte) (lambda.Result, error) {
	return func(context.Context, []byte) (lambda.Result, error) {
		g.entered <- ""
		<-g.open
		return lambda.Result{Payload: []byte(payload)}, nil
	}
}
