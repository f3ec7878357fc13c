package gateway_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"

	"github.com/duet-chat/duet/localstack/gateway"
	"github.com/duet-chat/duet/localstack/lambda"
)

func wantDisconnect(t *testing.T, disconnect *recorder, code int64, reason string) request {
	t.Helper()
	e := disconnect.nextRequest(t)
	rc := e.RequestContext
	if rc.DisconnectStatusCode != code || rc.DisconnectReason == nil || *rc.DisconnectReason != reason {
		got := "absent"
		if rc.DisconnectReason != nil {
			got = *rc.DisconnectReason
		}
		t.Errorf("$disconnect with %d %q, want %d %q", rc.DisconnectStatusCode, got, code, reason)
	}
	return e
}

// AWS reference 1.1, column DISCONNECT, and 3: each end has its code and reason,
// runs $disconnect once, and makes the connection gone.
func TestDisconnectCodes(t *testing.T) {
	closeFrame := func(code ws.StatusCode, reason string) []byte {
		return frame(ws.OpClose, true, string(ws.NewCloseFrameBody(code, reason)))
	}
	tests := map[string]struct {
		end    func(s *server, c rawConn, id string)
		limits gateway.Limits
		code   int64
		reason string
		frame  string // payload of the close frame that the client gets; "none" for none
	}{
		"client, normal":      {func(_ *server, c rawConn, _ string) { _, _ = c.Write(closeFrame(1000, "bye")) }, gateway.Limits{}, 1000, "bye", "\x03\xe8"},
		"client, page left":   {func(_ *server, c rawConn, _ string) { _, _ = c.Write(closeFrame(1001, "")) }, gateway.Limits{}, 1001, "", "\x03\xe9"},
		"client, its own":     {func(_ *server, c rawConn, _ string) { _, _ = c.Write(closeFrame(4123, "x")) }, gateway.Limits{}, 4123, "x", "\x10\x1b"},
		"client, no code":     {func(_ *server, c rawConn, _ string) { _, _ = c.Write(frame(ws.OpClose, true, "")) }, gateway.Limits{}, 1005, "Client-side close frame status not set", ""},
		"client vanished":     {func(_ *server, c rawConn, _ string) { _ = c.Close() }, gateway.Limits{}, 1006, "", "none"},
		"DELETE":              {func(s *server, _ rawConn, id string) { s.management("DELETE", "/prod/@connections/"+id, "") }, gateway.Limits{}, 1000, "Connection Closed Normally", "\x03\xe8Connection Closed Normally"},
		"idle":                {func(*server, rawConn, string) {}, gateway.Limits{Idle: 30 * time.Millisecond}, 1001, "Going away", "\x03\xe9Going away"},
		"2-hour limit":        {func(*server, rawConn, string) {}, gateway.Limits{Duration: 30 * time.Millisecond}, 1001, "Going away", "\x03\xe9Going away"},
		"binary":              {func(_ *server, c rawConn, _ string) { _, _ = c.Write(frame(ws.OpBinary, true, "x")) }, gateway.Limits{}, 1003, "binary frames are not supported", "\x03\xebbinary frames are not supported"},
		"long frame":          {func(_ *server, c rawConn, _ string) { _, _ = c.Write(text(strings.Repeat("x", 32<<10+1))) }, gateway.Limits{}, 1009, "frame is longer than the limit", "\x03\xf1frame is longer than the limit"},
		"long message":        {func(_ *server, c rawConn, _ string) { _, _ = c.Write(fragments(5, 32<<10)) }, gateway.Limits{}, 1009, "message is longer than the limit", "\x03\xf1message is longer than the limit"},
		"not text":            {func(_ *server, c rawConn, _ string) { _, _ = c.Write(text("\xff")) }, gateway.Limits{}, 1007, "text is not valid UTF-8", "\x03\xeftext is not valid UTF-8"},
		"Shutdown":            {func(s *server, _ rawConn, _ string) { go s.Shutdown(context.Background()) }, gateway.Limits{}, 1001, "Going away", "\x03\xe9Going away"},
		"end in a frame":      {func(_ *server, c rawConn, _ string) { _, _ = c.Write(text("hello")[:8]); _ = c.Close() }, gateway.Limits{}, 1006, "", "none"},
		"end within a header": {func(_ *server, c rawConn, _ string) { _, _ = c.Write(text("hello")[:1]); _ = c.Close() }, gateway.Limits{}, 1006, "", "none"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connect, disconnect := record(answer(ok)), record(answer(ok))
			s := startChat(t, chatFunctions().with("connect", connect.invoke).with("disconnect", disconnect.invoke), test.limits)
			c := s.raw()
			opened := connect.nextRequest(t).RequestContext
			test.end(s, c, opened.ConnectionID)
			e := wantDisconnect(t, disconnect, test.code, test.reason)
			if e.RequestContext.ConnectionID != opened.ConnectionID || e.RequestContext.RouteKey != "$disconnect" ||
				e.RequestContext.EventType != "DISCONNECT" || e.RequestContext.ConnectedAt != opened.ConnectedAt {
				t.Errorf("context %+v", e.RequestContext)
			}
			headers, _ := json.Marshal(e.Headers)
			if want := `{"Host":"` + s.host + `","X-Forwarded-For":"","x-api-key":"","x-restapi":""}`; string(headers) != want || len(e.MultiValueHeaders) != 4 {
				t.Errorf("headers %s, want %s", headers, want)
			}
			if status := s.management("POST", "/prod/@connections/"+opened.ConnectionID, "x").StatusCode; status != 410 {
				t.Errorf("post after the end = %d, want 410", status)
			}
			if test.frame != "none" {
				if op, payload := c.next(); op != ws.OpClose || payload != test.frame {
					t.Errorf("frame %d %q, want close %q", op, payload, test.frame)
				}
				_ = c.Close()
			}
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			disconnect.none(t)
		})
	}
}

// AWS reference 3: any message either way restarts the idle time; pings do not.
func TestMessagesKeepConnectionFromBeingIdle(t *testing.T) {
	const idle = 400 * time.Millisecond
	connect := record(answer(ok))
	s := startChat(t, chatFunctions().with("connect", connect.invoke), gateway.Limits{Idle: idle})
	talker, listener, pinger := s.raw(), s.raw(), s.raw()
	connect.next(t)
	id := connect.nextRequest(t).RequestContext.ConnectionID
	for end := time.Now().Add(2 * idle); time.Now().Before(end); {
		<-time.After(idle / 6) // the passing of time is what is tested
		_, _ = talker.Write(text(`{"action":"oneway"}`))
		_, _ = pinger.Write(frame(ws.OpPing, true, ""))
		if status := s.management("POST", "/prod/@connections/"+id, "x").StatusCode; status != 200 {
			t.Fatalf("post = %d: the listener was closed", status)
		}
	}
	_, _ = talker.Write(text("still here"))
	if op, payload := talker.next(); op != ws.OpText || payload != "fallback" {
		t.Errorf("talker got frame %d %q", op, payload)
	}
	if op, _ := listener.next(); op != ws.OpText {
		t.Errorf("listener got frame %d", op)
	}
	for {
		op, payload := pinger.next()
		if op == ws.OpPong {
			continue
		}
		if op != ws.OpClose || binary.BigEndian.Uint16([]byte(payload)) != 1001 {
			t.Errorf("pinger got frame %d %q, want close 1001", op, payload)
		}
		break
	}
}

// AWS reference 1.7: $disconnect overlaps with messages in flight, and waits for nobody.
func TestDisconnectOverlapsMessages(t *testing.T) {
	hold, disconnect := newGate(), record(answer(ok))
	f := chatFunctions().with("disconnect", disconnect.invoke).with("fallback", func(context.Context, []byte) (lambda.Result, error) {
		hold.entered <- ""
		<-hold.open
		return lambda.Result{Payload: []byte(`{"statusCode":200,"body":"nobody reads this"}`)}, nil
	})
	s := startChat(t, f, gateway.Limits{})
	c := s.dial(nil)
	write(t, c, "x")
	<-hold.entered
	_ = c.Close(websocket.StatusNormalClosure, "")
	wantDisconnect(t, disconnect, 1000, "")
	hold.release()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Shutdown tells every client, runs every $disconnect and lets nobody in.
func TestShutdown(t *testing.T) {
	disconnect := record(answer(ok))
	s := startChat(t, chatFunctions().with("disconnect", disconnect.invoke), gateway.Limits{Concurrency: 3})
	const clients = 40
	codes := make(chan websocket.StatusCode, clients)
	for range clients {
		c := s.dial(nil)
		go func() {
			_, _, err := c.Read(context.Background())
			codes <- websocket.CloseStatus(err)
		}()
	}
	silent := s.raw() // neither answers a close frame nor hangs up
	begun := time.Now()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("Shutdown took %v, more than a second", took)
	}
	if op, _ := silent.next(); op != ws.OpClose {
		t.Errorf("the silent client got frame %d, want a close", op)
	}
	wantDisconnect(t, disconnect, 1001, "Going away")
	for range clients {
		if code := <-codes; code != websocket.StatusGoingAway {
			t.Errorf("client saw close %d, want 1001", code)
		}
		wantDisconnect(t, disconnect, 1001, "Going away")
	}
	if status, _ := s.refusal("/prod", nil); status != 503 {
		t.Errorf("handshake after Shutdown = %d, want 503", status)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("second Shutdown: %v", err)
	}
}

// Shutdown ends with its context, whatever functions do, and cancels them.
func TestShutdownIsBounded(t *testing.T) {
	cancelled, entered := make(chan struct{}), make(chan struct{})
	s := startChat(t, chatFunctions().with("fallback", func(ctx context.Context, _ []byte) (lambda.Result, error) {
		close(entered)
		<-ctx.Done()
		close(cancelled)
		return lambda.Result{}, ctx.Err()
	}), gateway.Limits{})
	write(t, s.dial(nil), "x")
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown = %v, want that it ran out of time", err)
	}
	<-cancelled
}

// A close frame reaches a client that was still sending when the gateway closed.
func TestCloseFrameSurvivesUnreadBytes(t *testing.T) {
	s := startChat(t, chatFunctions(), gateway.Limits{})
	for range 20 {
		c := s.dial(nil)
		go func() {
			_ = c.Write(context.Background(), websocket.MessageText, []byte(strings.Repeat("x", 1<<20))) // fails when the gateway hangs up
		}()
		if code, _ := closeOf(t, c); code != websocket.StatusMessageTooBig {
			t.Fatalf("close %d, want 1009", code)
		}
		_ = c.CloseNow()
	}
}
