package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	management "github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"
	"github.com/aws/smithy-go"
	"github.com/coder/websocket"

	"github.com/duet-chat/duet/localstack/gateway"
)

// connected starts a gateway with one client and returns its connection id.
func connected(t testing.TB, limits gateway.Limits) (*server, *websocket.Conn, string) {
	t.Helper()
	connect := record(answer(ok))
	s := startChat(t, chatFunctions().with("connect", connect.invoke), limits)
	c := s.dial(&websocket.DialOptions{HTTPHeader: http.Header{"User-Agent": {"tests/1"}}})
	return s, c, connect.nextRequest(t).RequestContext.ConnectionID
}

// AWS reference 2: statuses, bodies and error names.
func TestManagementAnswers(t *testing.T) {
	s, c, id := connected(t, gateway.Limits{})
	const unknown = "AAAAAAAAAAAAAAA="
	tests := []struct {
		method, path, body string
		status             int
		errorType, want    string
	}{
		{"POST", "/prod/@connections/" + id, "plain", 200, "", ""},
		{"POST", "/prod/@connections/" + strings.ReplaceAll(id, "=", "%3D"), "escaped", 200, "", ""},
		{"POST", "/prod/%40connections/" + strings.ReplaceAll(id, "=", "%3d"), "escaped more", 200, "", ""},
		{"POST", "/prod/@connections/" + id, strings.Repeat("x", 128<<10), 200, "", ""},
		{"POST", "/prod/@connections/" + id, strings.Repeat("x", 128<<10+1), 413, "PayloadTooLargeException", `{"message":"data is longer than 131072 bytes"}`},
		{"POST", "/prod/@connections/" + id, "\xff", 400, "BadRequestException", `{"message":"data is not valid UTF-8: messages of a WebSocket API are text"}`},
		{"POST", "/prod/@connections/" + unknown, "x", 410, "GoneException", ""},
		{"GET", "/prod/@connections/" + unknown, "", 410, "GoneException", ""},
		{"DELETE", "/prod/@connections/" + unknown, "", 410, "GoneException", ""},
		{"POST", "/prod/@connections/nonsense", "x", 400, "BadRequestException", `{"message":"Invalid connectionId: nonsense"}`},
		{"POST", "/prod/@connections/a/b", "x", 400, "BadRequestException", `{"message":"Invalid connectionId: a/b"}`},
		{"POST", "/dev/@connections/" + id, "x", 403, "ForbiddenException", `{"message":"Forbidden"}`},
		{"PUT", "/prod/@connections/" + id, "x", 403, "ForbiddenException", `{"message":"PUT is none of POST, GET and DELETE"}`},
	}
	for _, test := range tests {
		resp := s.management(test.method, test.path, test.body)
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != test.status || string(body) != test.want || resp.Header.Get("x-amzn-ErrorType") != test.errorType {
			t.Errorf("%s %s = %d %q %s, want %d %q %s", test.method, test.path, resp.StatusCode,
				resp.Header.Get("x-amzn-ErrorType"), body, test.status, test.errorType, test.want)
		}
		if test.status == 200 {
			wantRead(t, c, test.body)
		}
	}
}

func TestGetConnection(t *testing.T) {
	s, c, id := connected(t, gateway.Limits{})
	get := func() (connectedAt, lastActiveAt time.Time) {
		var info struct {
			ConnectedAt, LastActiveAt time.Time
			Identity                  map[string]string
		}
		if err := json.NewDecoder(s.management("GET", "/prod/@connections/"+id, "").Body).Decode(&info); err != nil {
			t.Fatal(err)
		}
		if info.Identity["sourceIp"] != "127.0.0.1" || info.Identity["userAgent"] != "tests/1" || len(info.Identity) != 2 {
			t.Errorf("identity %v", info.Identity)
		}
		return info.ConnectedAt, info.LastActiveAt
	}
	connectedAt, active := get()
	if time.Since(connectedAt) > time.Minute || active.Before(connectedAt) {
		t.Errorf("connectedAt %v, lastActiveAt %v", connectedAt, active)
	}
	for later := active; !later.After(active); _, later = get() {
		write(t, c, "x")
		wantRead(t, c, "fallback")
	}
}

// inProcess is an SDK client's way to the gateway without a network.
type inProcess struct{ http.Handler }

func (p inProcess) Do(r *http.Request) (*http.Response, error) {
	w := &answerWriter{header: http.Header{}, status: 200}
	p.ServeHTTP(w, r)
	return &http.Response{StatusCode: w.status, Header: w.header, Body: io.NopCloser(&w.body), Request: r}, nil
}

type answerWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *answerWriter) Header() http.Header         { return w.header }
func (w *answerWriter) WriteHeader(status int)      { w.status = status }
func (w *answerWriter) Write(p []byte) (int, error) { return w.body.Write(p) }

func sdk(s *server) *management.Client {
	return management.New(management.Options{
		BaseEndpoint: aws.String("http://" + s.host + "/prod"), Region: "us-east-1",
		HTTPClient: inProcess{s}, Credentials: aws.AnonymousCredentials{}, RetryMaxAttempts: 1,
	})
}

// AWS reference 2: the Go SDK understands every answer, in-process too.
func TestSDKClient(t *testing.T) {
	s, c, id := connected(t, gateway.Limits{})
	client, ctx := sdk(s), t.Context()
	post := func(id string, data []byte) error {
		_, err := client.PostToConnection(ctx, &management.PostToConnectionInput{ConnectionId: &id, Data: data})
		return err
	}
	for _, text := range []string{"hello", ""} {
		if err := post(id, []byte(text)); err != nil {
			t.Fatal(err)
		}
		wantRead(t, c, text)
	}
	info, err := client.GetConnection(ctx, &management.GetConnectionInput{ConnectionId: &id})
	if err != nil || *info.Identity.SourceIp != "127.0.0.1" || info.ConnectedAt.IsZero() || info.LastActiveAt.IsZero() {
		t.Errorf("GetConnection = %+v, %v", info, err)
	}
	var large *types.PayloadTooLargeException
	if err := post(id, make([]byte, 200<<10)); !errors.As(err, &large) {
		t.Errorf("post of 200 KB: %v", err)
	}
	var generic *smithy.GenericAPIError
	if err := post("nonsense", []byte("x")); !errors.As(err, &generic) || generic.Code != "BadRequestException" {
		t.Errorf("post to nonsense: %v", err)
	}
	if _, err := client.DeleteConnection(ctx, &management.DeleteConnectionInput{ConnectionId: &id}); err != nil {
		t.Error(err)
	}
	if code, reason := closeOf(t, c); code != 1000 || reason != "Connection Closed Normally" {
		t.Errorf("close %d %q", code, reason)
	}
	var gone *types.GoneException
	if err := post(id, []byte("x")); !errors.As(err, &gone) {
		t.Errorf("post after DELETE: %v", err)
	}
}

// G6: a slow reader's full buffer is told to whoever posts, and holds up nobody.
// What was answered 200 arrives, in order.
func TestPostToSlowReader(t *testing.T) {
	s, c, id := connected(t, gateway.Limits{SendBufferBytes: 64 << 10})
	client := sdk(s)
	data := bytes.Repeat([]byte("x"), 16<<10)
	posted := 0
	for {
		_, err := client.PostToConnection(t.Context(), &management.PostToConnectionInput{
			ConnectionId: &id, Data: append(fmt.Appendf(nil, "%d ", posted), data...)})
		var full *types.LimitExceededException
		if errors.As(err, &full) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if posted++; posted > 10000 {
			t.Fatal("no post was ever refused")
		}
	}
	for n := range posted {
		if got := read(t, c); !strings.HasPrefix(got, fmt.Sprintf("%d ", n)) {
			t.Fatalf("frame %d starts with %.10q", n, got)
		}
	}
	// The buffer counts as full until the writer has seen that the client took all.
	for deadline := time.Now().Add(5 * time.Second); ; runtime.Gosched() {
		_, err := client.PostToConnection(t.Context(), &management.PostToConnectionInput{ConnectionId: &id, Data: []byte("again")})
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("post to an empty buffer: %v", err)
		}
	}
	wantRead(t, c, "again")
}

// A client that takes in nothing is not read from and dropped in the end.
func TestClientThatNeverReads(t *testing.T) {
	disconnect := record(answer(ok))
	s := startChat(t, chatFunctions().with("disconnect", disconnect.invoke), gateway.Limits{WriteTimeout: 100 * time.Millisecond})
	c := s.raw()
	message := text(`{"action":"echo","x":"` + strings.Repeat("x", 30<<10) + `"}`)
	go func() {
		for {
			if _, err := c.Write(message); err != nil {
				return
			}
		}
	}()
	wantDisconnect(t, disconnect, 1006, "")
}

// Posts in a row arrive in a row, also between replies.
func TestPostsKeepOrder(t *testing.T) {
	s, c, id := connected(t, gateway.Limits{})
	const posts = 2000
	go func() {
		client := sdk(s)
		for n := range posts {
			for {
				_, err := client.PostToConnection(context.Background(), &management.PostToConnectionInput{ConnectionId: &id, Data: fmt.Append(nil, n)})
				if err == nil {
					break
				}
			}
		}
	}()
	for n := 0; n < posts; {
		if n%100 == 0 {
			write(t, c, "x")
		}
		got := read(t, c)
		if got == "fallback" {
			continue
		}
		if got != fmt.Sprint(n) {
			t.Fatalf("frame %q, want %d", got, n)
		}
		n++
	}
}
