// Package handler_test runs the functions as Lambda does, with API Gateway's and the stream's
// events, on the local cloud's DynamoDB and on sockets in memory.
package handler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/store"
	"github.com/duet-chat/duet/internal/store/storetest"
	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/storage"
)

// cloud is what the functions stand on. Its clock is set by hand.
type cloud struct {
	testing.TB
	db          *dynamodb.DB
	tables      storetest.Tables
	users       *store.Users
	connections *store.Connections
	variables   map[string]string

	mu      sync.Mutex // guards what follows
	time    time.Time
	slept   time.Duration
	log     bytes.Buffer
	calls   []string            // operations and posts, in order
	posted  map[string][]string // frames, by connection
	gone    map[string]bool     // connections without a socket
	refused string              // an operation that DynamoDB throttles
	failAt  int                 // of the calls to DynamoDB from now on, the one that fails; 0 is none
	status  map[string]int      // what posts to a connection are answered, other than 200
	after   map[string]func()   // what happens right after the next call of an operation
}

func newCloud(t testing.TB) *cloud {
	t.Helper()
	kept, err := storage.Open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	c := &cloud{TB: t, time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), posted: map[string][]string{}, gone: map[string]bool{}, status: map[string]int{}, after: map[string]func(){}}
	c.db, err = dynamodb.New(dynamodb.Options{
		Store: kept, Region: "us-east-1", Account: "000000000000", Now: c.now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.db.Close() })
	c.tables = storetest.Create(t, c.config(), "duet-")
	c.users = store.NewUsers(c.config(), c.tables.Users)
	c.connections = store.NewConnections(c.config(), c.tables.Connections)
	c.variables = map[string]string{
		"MESSAGES_PER_MINUTE": "0", "NEW_CONVERSATIONS_PER_DAY": "0", "RETENTION_DAYS": "0",
		"USERS_TABLE": c.tables.Users, "CONNECTIONS_TABLE": c.tables.Connections, "CONVERSATIONS_TABLE": c.tables.Conversations,
		"WATCHERS_TABLE": c.tables.Watchers, "GRACE_SECONDS": "0",
		"MEMBERS_TABLE": c.tables.Members, "MESSAGES_TABLE": c.tables.Messages,
		"CALLBACK_URL": "http://gateway/prod", "MAX_CONNECTIONS_PER_USER": "3", "EPOCH": "arn:stream/1",
	}
	c.calls = nil
	return c
}

func (c *cloud) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *cloud) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}

// sleep passes the time, of which slept keeps the sum.
func (c *cloud) sleep(ctx context.Context, d time.Duration) error {
	c.advance(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slept += d
	return ctx.Err()
}

func (c *cloud) config() aws.Config {
	return aws.Config{
		Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, HTTPClient: c, BaseEndpoint: aws.String("http://dynamodb"),
		RetryMaxAttempts: 1, // so that a fault is not mended on the way
	}
}

// Write implements io.Writer: it takes the functions' log.
func (c *cloud) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Write(p)
}

// Do implements aws.HTTPClient.
func (c *cloud) Do(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	status, header, response := http.StatusOK, http.Header{}, []byte(nil)
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		_, operation, _ := strings.Cut(target, ".")
		c.mu.Lock()
		c.calls = append(c.calls, operation)
		throttled := c.refused == operation || c.failAt == 1
		c.failAt = max(0, c.failAt-1)
		c.mu.Unlock()
		if throttled {
			status, response = 400, []byte(`{"__type":"com.amazon.coral.availability#ThrottlingException","message":"inner secret"}`)
		} else {
			status, response = c.db.Do(r.Context(), target, body)
		}
		c.mu.Lock()
		then := c.after[operation]
		delete(c.after, operation)
		c.mu.Unlock()
		if then != nil {
			then()
		}
	} else {
		id, err := url.PathUnescape(r.URL.EscapedPath()[strings.LastIndex(r.URL.EscapedPath(), "/")+1:])
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		c.calls = append(c.calls, r.Method+" "+id)
		switch {
		case c.gone[id]:
			status = http.StatusGone
			header.Set("x-amzn-ErrorType", "GoneException")
		case r.Method == http.MethodPost && c.status[id] != 0:
			status = c.status[id]
		case r.Method == http.MethodDelete:
			status = http.StatusNoContent
			c.gone[id] = true
		default:
			c.posted[id] = append(c.posted[id], string(body))
		}
		c.mu.Unlock()
	}
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: header,
		Body: io.NopCloser(bytes.NewReader(response)), ContentLength: int64(len(response)), Request: r,
	}, nil
}

// called returns what was called since it was last asked, and forgets it.
func (c *cloud) called() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := strings.Join(c.calls, ", ")
	c.calls = nil
	return s
}

// function builds a function.
func (c *cloud) function(build function.Constructor) lambda.Handler {
	c.Helper()
	h, err := build(function.Env{
		Getenv: func(key string) string { return c.variables[key] }, AWS: c.config(), Now: c.now, Sleep: c.sleep, Log: slog.New(slog.NewJSONHandler(c, nil)),
	})
	if err != nil {
		c.Fatal(err)
	}
	return h
}

// peer is one connection of a user's device.
type peer struct {
	user, device, connection string
	connectedAt              time.Time
	end                      time.Time
	session                  string // "" for an issuer that does not tell
}

func (c *cloud) peer(user, device string) peer {
	return peer{user: user, device: device, connection: user + "-" + device + "=", connectedAt: c.now(), end: c.now().Add(time.Hour)}
}

// connected writes the peer's row, as $connect does.
func (c *cloud) connected(p peer) peer {
	c.Helper()
	err := c.connections.Add(c.Context(), chat.Connection{
		User: chat.User(p.user), ID: chat.ConnectionID(p.connection), Device: chat.Device(p.device),
		ConnectedAt: p.connectedAt.UnixMilli(), SessionEnd: p.end.Unix(), Session: chat.SessionID(p.session),
	})
	if err != nil {
		c.Fatal(err)
	}
	return p
}

func (p peer) requestContext(route string) map[string]any {
	return map[string]any{
		"routeKey": route, "requestId": "req-1", "connectionId": p.connection, "connectedAt": p.connectedAt.UnixMilli(),
		"authorizer": map[string]any{"principalId": p.user, "user": p.user, "device": p.device, "session": p.session, "session_end": fmt.Sprint(p.end.Unix())},
	}
}

// lifecycle is the answer to $connect or $disconnect.
type lifecycle struct {
	StatusCode int
	Headers    map[string]string
	Body       string
}

func (c *cloud) lifecycle(h lambda.Handler, p peer, headers map[string][]string) lifecycle {
	c.Helper()
	event, err := json.Marshal(map[string]any{"multiValueHeaders": headers, "requestContext": p.requestContext("$connect")})
	if err != nil {
		c.Fatal(err)
	}
	out, err := h.Invoke(c.Context(), event)
	if err != nil {
		c.Fatal(err)
	}
	var response lifecycle
	if err := json.Unmarshal(out, &response); err != nil {
		c.Fatalf("%s: %v", out, err)
	}
	return response
}

// frame sends a frame through a route's function and returns the frame that comes back.
func (c *cloud) frame(h lambda.Handler, p peer, frame string) string {
	c.Helper()
	event, err := json.Marshal(map[string]any{"body": frame, "requestContext": p.requestContext("route")})
	if err != nil {
		c.Fatal(err)
	}
	out, err := h.Invoke(context.Background(), event)
	if err != nil {
		c.Fatal(err)
	}
	var response struct {
		StatusCode int
		Body       string
	}
	if err := json.Unmarshal(out, &response); err != nil || response.StatusCode != 200 || response.Body == "" {
		c.Fatalf("response %s: %v", out, err)
	}
	return response.Body
}

// answer is frame's answer, read into a type.
func answer[T any](c *cloud, h lambda.Handler, p peer, frame string) T {
	c.Helper()
	body := c.frame(h, p, frame)
	var v T
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		c.Fatalf("answer to %s is %s: %v", frame, body, err)
	}
	return v
}

// rows are a user's connections.
func (c *cloud) rows(u chat.User) []string {
	c.Helper()
	found, err := c.connections.Of(context.Background(), u)
	if err != nil {
		c.Fatal(err)
	}
	var ids []string
	for _, row := range found {
		id := string(row.ID)
		if row.Behind {
			id += " behind"
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// streamARN is the ARN of the messages' stream.
func (c *cloud) streamARN() string {
	c.Helper()
	status, response := c.db.Do(c.Context(), "DynamoDB_20120810.DescribeTable", fmt.Appendf(nil, `{"TableName":%q}`, c.tables.Messages))
	var out struct {
		Table struct{ LatestStreamArn string }
	}
	if err := json.Unmarshal(response, &out); err != nil || status != 200 {
		c.Fatalf("%s: %v", response, err)
	}
	return out.Table.LatestStreamArn
}

func (c *cloud) discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
