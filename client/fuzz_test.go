package client

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// FuzzReceive takes any frames in a row, as a connection that is being synced, with two sends under
// way: none may end the program, or break what every later step relies on.
func FuzzReceive(f *testing.F) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ws, err := websocket.Accept(w, r, nil); err == nil {
			<-r.Context().Done()
			ws.CloseNow()
		}
	}))
	defer server.Close()
	ws, _, err := websocket.Dial(f.Context(), server.URL, nil)
	if err != nil {
		f.Fatal(err)
	}
	defer ws.CloseNow()

	golden, err := filepath.Glob("../internal/wire/testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range golden {
		frame, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame, frame, frame)
	}
	synced := []byte(`{"type":"synced","ref":"1","epoch":"e","since":"s","conversations":[{"conversation":"alice~bob","peer":"bob","last_seq":9,"unread":9}]}`)
	for _, second := range []string{
		`{"type":"sent","ref":"2","conversation":"alice~bob","n":1,"seq":10,"at":1}`,
		`{"type":"error","ref":"2","code":"out_of_order","retry":true,"last_n":0}`,
		`{"type":"error","ref":"2","code":"out_of_order","retry":true,"last_n":-1}`,
		`{"type":"error","ref":"2","code":"too_large","field":"text"}`,
		`{"type":"error","ref":"2","code":"conflict","last_n":7}`,
		`{"type":"page","ref":"3","conversation":"alice~bob","messages":[{"seq":1},{"seq":3},{"seq":2}]}`,
		`{"type":"message","conversation":"alice~bob","seq":12,"from":"bob","kind":"text","text":"x"}`,
		`{"type":"message","seq":-1}`,
		`{"type":"synced","ref":"1","epoch":"other","more":true}`,
		`{"message": "Internal server error", "connectionId":"x", "requestId":"y"}`,
		`{"type":"closing","reason":"session_expired"}`,
	} {
		f.Add(synced, []byte(second), []byte(`{"type":"behind"}`))
	}
	f.Fuzz(func(t *testing.T, first, second, third []byte) {
		now := time.Unix(1700000000, 0)
		shown := map[string]int64{}
		c, err := New(Config{
			URL: "ws://localhost", User: "alice", Tokens: StaticToken("t", time.Time{}), Window: MaxInFlight,
			Now:  func() time.Time { return now },
			Rand: func() float64 { return 0.5 },
			OnMessage: func(m Message) {
				if last, ok := shown[m.Conversation]; ok && m.Seq <= last {
					t.Errorf("%s: %d is shown after %d", m.Conversation, m.Seq, last)
				}
				shown[m.Conversation] = m.Seq
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.goroutines.Wait()
		defer c.mu.Unlock()
		c.mu.Lock()
		l := &link{ws: ws, device: c.device, opened: now}
		c.cur, c.heard, c.pingEvery = l, now, pingFirst
		c.startSync()
		c.mu.Unlock()
		for _, text := range []string{"one", "two"} {
			if _, err := c.Enqueue("bob", text); err != nil {
				t.Fatal(err)
			}
		}
		c.mu.Lock()
		for _, data := range [][]byte{first, second, third} {
			if frame, err := decode(data); err == nil {
				c.receive(l, frame)
			}
			now = now.Add(time.Second)
			c.tick(now)
			c.startFetches()
			out := c.startRequests(now, nil)
			c.startSends(now, out)
			c.pendingChange(now, false)
			for id, v := range c.convs {
				if v.shown > v.taken {
					t.Errorf("%s: shown %d, taken %d", id, v.shown, v.taken)
				}
				for i := 1; i < len(v.pending); i++ {
					if v.pending[i].unsent.N <= v.pending[i-1].unsent.N {
						t.Errorf("%s: number %d is pending after %d", id, v.pending[i].unsent.N, v.pending[i-1].unsent.N)
					}
				}
			}
		}
	})
}
