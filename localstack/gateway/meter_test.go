package gateway_test

import (
	"bufio"
	"context"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/duet-chat/duet/localstack/gateway"
	"github.com/duet-chat/duet/localstack/meter"
)

// beforeWrite sees the instant before frames go to a client.
type beforeWrite func()

func (beforeWrite) Reply(context.Context, string, string) bool { return true }
func (beforeWrite) Disconnect(context.Context, string) bool    { return true }
func (see beforeWrite) Write(context.Context, string) bool     { see(); return true }

// What a client has received is metered already: who reads the bill after an
// answer finds the answer on it.
func TestMeteredBeforeTheClientHasIt(t *testing.T) {
	m := meter.New()
	replies, posts := m.Counter("apigateway", "chat", "replies_out"), m.Counter("apigateway", "chat", "posts_out")
	var mu sync.Mutex
	var replied, posted []float64 // as metered when frames were about to be written
	connect := record(answer(ok))
	s := start(t, chatAPI(), gateway.Options{
		Invoker: chatFunctions().with("connect", connect.invoke), Meter: m,
		Faults: beforeWrite(func() {
			mu.Lock()
			defer mu.Unlock()
			replied, posted = append(replied, replies.Value()), append(posted, posts.Value())
		}),
	})
	c := s.dial(nil)
	id := connect.nextRequest(t).RequestContext.ConnectionID
	const rounds = 50
	for range rounds {
		write(t, c, "x")
		wantRead(t, c, "fallback")
		s.management("POST", "/prod/@connections/"+id, "pushed")
		wantRead(t, c, "pushed")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(replied) != 2*rounds {
		t.Fatalf("%d writes, want one for each of %d frames", len(replied), 2*rounds)
	}
	for n := range replied {
		if want := float64(n/2 + 1); replied[n] != want || n%2 == 1 && posted[n] != want {
			t.Fatalf("before write %d: %g replies and %g posts metered, want %g", n, replied[n], posted[n], want)
		}
	}
}

// What the client never gets is not billed: nothing is metered that was not queued.
func TestNotMeteredAfterTheEnd(t *testing.T) {
	m := meter.New()
	connect, disconnect, hold := record(answer(ok)), record(answer(ok)), newGate()
	f := chatFunctions().with("connect", connect.invoke).with("disconnect", disconnect.invoke).
		with("fallback", hold.answer(`{"statusCode":200,"body":"late"}`))
	s := start(t, chatAPI(), gateway.Options{Invoker: f, Meter: m})
	c := s.dial(nil)
	id := connect.nextRequest(t).RequestContext.ConnectionID
	write(t, c, "x")
	<-hold.entered
	_ = c.Close(websocket.StatusNormalClosure, "")
	disconnect.next(t)
	hold.release()
	s.management("POST", "/prod/@connections/"+id, "x")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	got := m.Usage()["apigateway"]["chat"]
	if got["messages_in"] != 1 || got["replies_out"] != 0 || got["posts_out"] != 0 {
		t.Errorf("metered %v, want one message in and nothing out", got)
	}
}

// AWS reference 3, billing: connection time is summed, that of open connections too.
func TestConnectionSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meter.New()
		g, err := gateway.New(chatAPI(), gateway.Options{Invoker: chatFunctions(), Meter: m})
		if err != nil {
			t.Fatal(err)
		}
		want := func(connections, seconds float64) {
			t.Helper()
			synctest.Wait()
			got := m.Usage()["apigateway"]["chat"]
			if got["connections"] != connections || math.Abs(got["connection_seconds"]-seconds) > 1e-6 {
				t.Errorf("%g connections and %g seconds, want %g and %g", got["connections"], got["connection_seconds"], connections, seconds)
			}
		}
		time.Sleep(time.Hour) // nobody is there
		want(0, 0)
		first := pipe(t, g)
		time.Sleep(10 * time.Second)
		want(1, 10)
		second := pipe(t, g)
		time.Sleep(90 * time.Second)
		want(2, 10+2*90)
		_ = first.Close()
		want(1, 190)
		time.Sleep(time.Minute)
		want(1, 250)
		_ = second.Close()
		time.Sleep(time.Minute)
		want(0, 250)
		if err := g.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// pipe is a connection without a network, so that synctest's time passes for it.
func pipe(t *testing.T, g http.Handler) net.Conn {
	t.Helper()
	client, socket := net.Pipe()
	r := httptest.NewRequest("GET", "/prod", nil)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		r.Header.Set(name, value)
	}
	go g.ServeHTTP(&hijacked{httptest.NewRecorder(), socket}, r)
	resp, err := http.ReadResponse(bufio.NewReader(client), r)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %v, %v", resp, err)
	}
	return client
}

// hijacked is a response that hands over its connection.
type hijacked struct {
	*httptest.ResponseRecorder
	socket net.Conn
}

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.socket, bufio.NewReadWriter(bufio.NewReader(h.socket), bufio.NewWriter(h.socket)), nil
}

// AWS reference 3: messages are metered in steps of 32 KB, either way.
func TestMetering(t *testing.T) {
	m := meter.New()
	api := chatAPI()
	s := start(t, api, gateway.Options{Invoker: chatFunctions(), Meter: m})
	c := s.dial(nil)
	write(t, c, "small")
	wantRead(t, c, "fallback")
	big := `{"action":"echo","x":"` + strings.Repeat("x", 40<<10) + `"}`
	writeFragments(t, c, big, 16<<10)
	wantRead(t, c, big)
	if got := m.Usage()["apigateway"]["chat"]; got["connections"] != 1 {
		t.Errorf("connections = %v, want 1", got["connections"])
	}
	_ = c.Close(websocket.StatusNormalClosure, "")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	got := m.Usage()["apigateway"]["chat"]
	for metric, want := range map[string]float64{"messages_in": 3, "replies_out": 3, "posts_out": 0, "handshakes": 1, "throttled": 0, "connects": 1, "disconnects": 1, "connections": 0} {
		if got[metric] != want {
			t.Errorf("%s = %v, want %v", metric, got[metric], want)
		}
	}
}
