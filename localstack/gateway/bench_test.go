package gateway_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/gateway"
)

const benchMessage = `{"action":"two","ref":"r1","to":"bob","n":17,"seen":41,"text":"See you at seven, then. I bring the bread and the cheese."}`

// One message there and its reply back, over a socket, the client's work included.
func BenchmarkRoundTrip(b *testing.B) {
	api := chatAPI()
	api.Routes["two"] = gateway.Route{Function: "fallback", Reply: true}
	benchRoundTrip(b, startChatAPI(b, api).raw())
}

func benchRoundTrip(b *testing.B, c rawConn) {
	b.Helper()
	_ = c.SetDeadline(time.Time{})
	out, in := text(benchMessage), make([]byte, 2+len("fallback"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(out); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, in); err != nil {
			b.Fatal(err)
		}
	}
}

// Sixteen messages in flight, as clients pipeline them; per message.
func BenchmarkPipelined(b *testing.B) {
	api := chatAPI()
	api.Routes["two"] = gateway.Route{Function: "fallback", Reply: true}
	c := startChatAPI(b, api).raw()
	_ = c.SetDeadline(time.Time{})
	const depth = 16
	out, in := bytes.Repeat(text(benchMessage), depth), make([]byte, depth*(2+len("fallback")))
	b.ReportAllocs()
	for n := 0; n < b.N; n += depth {
		if _, err := c.Write(out); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, in); err != nil {
			b.Fatal(err)
		}
	}
}

// A post without a network before the gateway, until it is queued; the client reads.
func BenchmarkPost(b *testing.B) {
	s, id := benchConnected(b)
	data := []byte(`{"type":"message","conversation":"alice~bob","seq":42,"from":"alice","device":"d1","n":17,"at":1763900000000,"kind":"text","text":"See you at seven."}`)
	w := &discardWriter{header: http.Header{}}
	r := &http.Request{Method: "POST", URL: &url.URL{Path: "/prod/@connections/" + id}, ContentLength: int64(len(data))}
	body := bytes.NewReader(nil)
	r.Body = io.NopCloser(body)
	b.ReportAllocs()
	full := 0
	for b.Loop() {
		body.Reset(data)
		s.ServeHTTP(w, r)
		if w.status != 200 {
			full++
		}
	}
	b.ReportMetric(float64(full)/float64(b.N), "refused/op")
}

type discardWriter struct {
	header http.Header
	status int
}

func (w *discardWriter) Header() http.Header         { return w.header }
func (w *discardWriter) WriteHeader(status int)      { w.status = status }
func (w *discardWriter) Write(p []byte) (int, error) { return len(p), nil }

func startChatAPI(b *testing.B, api gateway.API) *server {
	b.Helper()
	return start(b, api, gateway.Options{Invoker: chatFunctions(), Limits: gateway.Limits{NoThrottling: true}})
}

// benchConnected has one client that reads all that comes.
func benchConnected(b *testing.B) (*server, string) {
	b.Helper()
	connect := record(answer(ok))
	s := startChat(b, chatFunctions().with("connect", connect.invoke), gateway.Limits{NoThrottling: true})
	c := s.raw()
	_ = c.SetDeadline(time.Time{})
	go func() { _, _ = io.Copy(io.Discard, struct{ io.Reader }{c}) }()
	return s, connect.nextRequest(b).RequestContext.ConnectionID
}
