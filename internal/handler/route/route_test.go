package route_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/route"
	"github.com/duet-chat/duet/internal/wire"
)

// connectedAt is that of the recorded events.
var connectedAt = time.UnixMilli(1705751697419)

// env is a function's environment whose log is kept; its clock stands a minute after the connection.
func env() (function.Env, *bytes.Buffer) {
	log := &bytes.Buffer{}
	return function.Env{
		Now: func() time.Time { return connectedAt.Add(time.Minute) },
		Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, log
}

// recorded is an event of a real API with an authorizer's context, changed as wanted.
func recorded(t testing.TB, name string, authorizer map[string]any, change func(map[string]any)) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var e map[string]any
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	if authorizer != nil {
		e["requestContext"].(map[string]any)["authorizer"] = authorizer
	}
	if change != nil {
		change(e)
	}
	out, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// alice is an authorizer's context for a session that lasts until end.
func alice(end time.Time) map[string]any {
	return map[string]any{
		"principalId": "alice", "integrationLatency": 12, "user": "alice", "device": "phone", "session_end": fmt.Sprint(end.Unix()),
	}
}

func saying(frame string) func(map[string]any) { return func(e map[string]any) { e["body"] = frame } }

// frame is the body of a proxy response, which is all that API Gateway sends on.
func frame(t testing.TB, out []byte, err error) wire.Error {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var response events.APIGatewayProxyResponse
	d := json.NewDecoder(bytes.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&response); err != nil || response.StatusCode != 200 {
		t.Fatalf("response %s: %v: API Gateway refuses unknown keys", out, err)
	}
	var e wire.Error
	if err := json.Unmarshal([]byte(response.Body), &e); err != nil {
		t.Fatalf("frame %s: %v", response.Body, err)
	}
	return e
}

// G9: who sent a frame is what the authorizer found, and API Gateway says; nothing comes from the frame.
func TestG9_WhoSentAFrame(t *testing.T) {
	end := connectedAt.Add(time.Hour)
	event := recorded(t, "message", alice(end), saying(`{"action":"send","user":"mallory","requestContext":{"authorizer":{"user":"mallory"}}}`))
	var proxy events.APIGatewayWebsocketProxyRequest
	if err := json.Unmarshal(event, &proxy); err != nil {
		t.Fatal(err)
	}
	e, _ := env()
	var got route.Request
	h := route.New(e, func(_ context.Context, r route.Request) (string, any, error) {
		got = r
		return "r1", wire.Behind{Type: wire.TypeBehind}, nil
	})
	if f := answered(t, h, event); f.Type != wire.TypeBehind {
		t.Errorf("answer = %+v", f)
	}
	want := route.Session{
		User: "alice", Device: "phone", Connection: chat.ConnectionID(proxy.RequestContext.ConnectionID),
		ConnectedAt: proxy.RequestContext.ConnectedAt, End: end.Unix(),
	}
	if got.Session != want || string(got.Frame) != proxy.Body {
		t.Errorf("request = %+v with %s, want %+v with %s", got.Session, got.Frame, want, proxy.Body)
	}
}

type invoker interface {
	Invoke(context.Context, []byte) ([]byte, error)
}

func answered(t testing.TB, h invoker, event []byte) wire.Error {
	t.Helper()
	out, err := h.Invoke(t.Context(), event)
	return frame(t, out, err)
}

// An API whose $connect has no authorizer must not work at all.
func TestG9_EventsWithoutAuthorizer(t *testing.T) {
	without := func(name string) map[string]any {
		a := alice(connectedAt.Add(time.Hour))
		delete(a, name)
		return a
	}
	numeric := alice(connectedAt.Add(time.Hour))
	numeric["session_end"] = "soon"
	tests := []struct {
		name  string
		event []byte
	}{
		{"no authorizer", recorded(t, "message", nil, nil)},
		{"no user", recorded(t, "message", without("user"), nil)},
		{"no session end", recorded(t, "message", without("session_end"), nil)},
		{"a session end that is no number", recorded(t, "message", numeric, nil)},
		{"no connection", recorded(t, "message", alice(connectedAt.Add(time.Hour)), func(e map[string]any) {
			delete(e["requestContext"].(map[string]any), "connectionId")
		})},
		{"not JSON", []byte("nope")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, _ := env()
			h := route.New(e, func(context.Context, route.Request) (string, any, error) {
				t.Error("the frame was handled")
				return "", nil, nil
			})
			if out, err := h.Invoke(t.Context(), tt.event); err == nil {
				t.Errorf("Invoke = %s, want an error", out)
			}
			l := route.NewLifecycle(e, func(context.Context, route.Lifecycle) (route.Response, error) {
				t.Error("the connection was handled")
				return route.Response{}, nil
			})
			if out, err := l.Invoke(t.Context(), tt.event); err == nil {
				t.Errorf("Invoke = %s, want an error", out)
			}
		})
	}
}

// G9: an expired session is told so, by the ref of its request, and nothing is done for it.
func TestG9_ExpiredSessions(t *testing.T) {
	now := connectedAt.Add(time.Minute)
	for end, want := range map[time.Time]chat.Code{now.Add(time.Second): "", now: chat.SessionExpired, now.Add(-time.Hour): chat.SessionExpired} {
		e, _ := env()
		e.Now = func() time.Time { return now.Truncate(time.Second) }
		handled := false
		h := route.New(e, func(context.Context, route.Request) (string, any, error) {
			handled = true
			return "r7", wire.Error{Ref: "r7"}, nil
		})
		f := answered(t, h, recorded(t, "message", alice(end.Truncate(time.Second)), saying(`{"action":"send","ref":"r7"}`)))
		if f.Code != want || f.Ref != "r7" || f.Retry || handled != (want == "") {
			t.Errorf("session until %v: %+v, handled %v, want %q", end.Sub(now), f, handled, want)
		}
	}
}

// The one table from errors to frames.
func TestErrorsBecomeFrames(t *testing.T) {
	lastN := int64(5)
	full := &chat.Error{Code: chat.OutOfOrder, Field: "n", Message: "send again from 6", Retry: true, RetryAfter: 1500 * time.Millisecond, LastN: &lastN, Cause: errors.New("inner secret")}
	tests := []struct {
		name string
		err  error
		want wire.Error
	}{
		{"refusal", chat.Refuse(chat.BadRequest, "n", "n is missing"), wire.Error{Code: chat.BadRequest, Field: "n", Message: "n is missing"}},
		{"everything", full, wire.Error{Code: chat.OutOfOrder, Field: "n", Message: "send again from 6", Retry: true, RetryAfterMS: 1500, LastN: &lastN}},
		{"wrapped", fmt.Errorf("inner secret: %w", full), wire.Error{Code: chat.OutOfOrder, Field: "n", Message: "send again from 6", Retry: true, RetryAfterMS: 1500, LastN: &lastN}},
		{"unknown", errors.New("inner secret"), wire.Error{Code: chat.Unavailable, Retry: true}},
		{"busy", fmt.Errorf("inner secret: %w", chat.ErrBusy), wire.Error{Code: chat.Unavailable, Retry: true}},
		{"out of time", context.DeadlineExceeded, wire.Error{Code: chat.Unavailable, Retry: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, log := env()
			h := route.New(e, func(context.Context, route.Request) (string, any, error) { return "r1", wire.Sent{}, tt.err })
			out, err := h.Invoke(t.Context(), recorded(t, "message", alice(connectedAt.Add(time.Hour)), nil))
			if strings.Contains(string(out), "inner secret") {
				t.Errorf("the client is told %s", out)
			}
			got := frame(t, out, err)
			if tt.want.Message == "" {
				if tt.want.Message = got.Message; got.Message == "" {
					t.Error("no message for people")
				}
			}
			tt.want.Type, tt.want.Ref = wire.TypeError, "r1"
			if (got.LastN == nil) != (tt.want.LastN == nil) || got.LastN != nil && *got.LastN != *tt.want.LastN {
				t.Errorf("last_n = %v, want %v", got.LastN, tt.want.LastN)
			}
			got.LastN, tt.want.LastN = nil, nil
			if got != tt.want {
				t.Errorf("frame = %+v, want %+v", got, tt.want)
			}
			if level := `"level":"ERROR"`; strings.Contains(log.String(), level) != (got.Code == chat.Unavailable) {
				t.Errorf("log %s: an error is what somebody may have to act on", log)
			}
			if tt.want.Code == chat.Unavailable && !strings.Contains(log.String(), tt.err.Error()) {
				t.Errorf("log %s does not say why", log)
			}
		})
	}
}

// One line a frame, without what people write and without tokens.
func TestLogHoldsNoTextAndNoToken(t *testing.T) {
	const secret = "very-secret"
	decode := func(_ context.Context, r route.Request) (string, any, error) {
		q, err := wire.DecodeSend(r.Frame, r.User)
		return q.Ref, wire.Sent{}, err
	}
	end := connectedAt.Add(time.Hour)
	for _, body := range []string{
		`{"action":"send","to":"bob","n":1,"text":"very-secret"}`,
		`{"action":"send","to":"bob","n":0,"text":"very-secret"}`,
		`{"action":"send","to":"bob","n":1,"text":["very-secret"]}`,
		`{"action":"send","to":"bob","n":1,"text":"very-secret \ud800"}`,
		`{"action":"send","to":"bob","n":1,"text":"` + strings.Repeat("very-secret", 400) + `"}`,
		`very-secret`,
	} {
		e, log := env()
		answered(t, route.New(e, decode), recorded(t, "message", alice(end), saying(body)))
		if got := log.String(); strings.Count(got, "\n") != 1 || strings.Contains(got, secret) {
			t.Errorf("log of %.60s is %s, want one line without the text", body, got)
		}
		for _, part := range []string{`"user":"alice"`, `"route":"$default"`, `"request_id":"R1knPH17NjMFftw="`, `"connection":"R1kmxc2VNjMCFIA="`, `"outcome":`, `"ms":`} {
			if !strings.Contains(log.String(), part) {
				t.Errorf("log %s lacks %s", log, part)
			}
		}
	}
	e, log := env()
	h := route.NewLifecycle(e, func(context.Context, route.Lifecycle) (route.Response, error) {
		return route.Response{}, errors.New("fault")
	})
	_, err := h.Invoke(t.Context(), recorded(t, "disconnect", alice(end), func(e map[string]any) {
		e["multiValueHeaders"] = map[string][]string{"Authorization": {"Bearer " + secret}, "Sec-WebSocket-Protocol": {"duet.v1, bearer." + secret}}
	}))
	if err != nil || strings.Contains(log.String(), secret) {
		t.Errorf("log of a handshake is %s (%v)", log, err)
	}
}

// The client gets an answer of ours before the gateway's time is over.
func TestHandlersEndBeforeTheFunctionsDeadline(t *testing.T) {
	deadline := time.Now().Add(time.Hour)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	e, _ := env()
	h := route.New(e, func(ctx context.Context, _ route.Request) (string, any, error) {
		got, ok := ctx.Deadline()
		if left := deadline.Sub(got); !ok || left < 100*time.Millisecond || left > time.Second {
			t.Errorf("the handler ends %v before the function, want a margin to answer in", left)
		}
		return "", wire.Behind{}, nil
	})
	if _, err := h.Invoke(ctx, recorded(t, "message", alice(connectedAt.Add(time.Hour)), nil)); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	h = route.New(e, func(ctx context.Context, _ route.Request) (string, any, error) {
		<-ctx.Done()
		return "r1", nil, ctx.Err()
	})
	out, err := h.Invoke(over, recorded(t, "message", alice(connectedAt.Add(time.Hour)), nil))
	if f := frame(t, out, err); f.Code != chat.Unavailable || f.Ref != "r1" {
		t.Errorf("out of time: %+v, want unavailable", f)
	}
}

func TestLifecycleReadsTheHandshake(t *testing.T) {
	end := connectedAt.Add(time.Hour)
	tests := []struct {
		name    string
		headers map[string][]string
		offers  bool
	}{
		{"nothing", nil, false},
		{"duet.v1", map[string][]string{"Sec-WebSocket-Protocol": {"duet.v1"}}, true},
		{"in a list, in any case of the name", map[string][]string{"sec-websocket-protocol": {"bearer.x , duet.v1"}}, true},
		{"in a second header", map[string][]string{"Sec-WebSocket-Protocol": {"bearer.x", "duet.v1"}}, true},
		{"another version", map[string][]string{"Sec-WebSocket-Protocol": {"duet.v2, duet.v11"}}, false},
		{"elsewhere", map[string][]string{"X-Protocol": {"duet.v1"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, _ := env()
			h := route.NewLifecycle(e, func(_ context.Context, l route.Lifecycle) (route.Response, error) {
				if l.User != "alice" || l.Device != "phone" || l.End != end.Unix() || l.ConnectedAt != connectedAt.UnixMilli() {
					t.Errorf("session = %+v", l.Session)
				}
				if got := l.Offers(wire.Subprotocol); got != tt.offers {
					t.Errorf("Offers = %v, want %v", got, tt.offers)
				}
				return route.Response{StatusCode: 201, Headers: map[string]string{"X": "y"}, Body: "b"}, nil
			})
			out, err := h.Invoke(t.Context(), recorded(t, "disconnect", alice(end), func(e map[string]any) { e["multiValueHeaders"] = tt.headers }))
			if want := `{"statusCode":201,"headers":{"X":"y"},"body":"b"}`; err != nil || string(out) != want {
				t.Errorf("Invoke = %s, %v, want %s", out, err, want)
			}
		})
	}
	t.Run("a fault is a 503 without a reason", func(t *testing.T) {
		e, log := env()
		h := route.NewLifecycle(e, func(context.Context, route.Lifecycle) (route.Response, error) {
			return route.Response{StatusCode: 200, Body: "half done"}, errors.New("inner secret")
		})
		out, err := h.Invoke(t.Context(), recorded(t, "disconnect", alice(end), nil))
		if want := `{"statusCode":503}`; err != nil || string(out) != want {
			t.Errorf("Invoke = %s, %v, want %s", out, err, want)
		}
		if !strings.Contains(log.String(), "inner secret") || !strings.Contains(log.String(), `"level":"ERROR"`) {
			t.Errorf("log %s does not say why", log)
		}
	})
}
