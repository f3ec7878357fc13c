package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/duet-chat/duet/client"
)

// BenchmarkReceive and BenchmarkSend measure a client with a server that does nothing but write: the
// time includes both ends of a loopback connection.
func BenchmarkReceive(b *testing.B) {
	run(b, func(ws *websocket.Conn) {
		for seq := 1; seq <= b.N; seq++ {
			f := fmt.Appendf(nil, `{"type":"message","conversation":"alice~bob","seq":%d,"from":"bob","device":"phone","n":%d,"at":1790000000123,"kind":"text","text":"are you there? it is getting late"}`, seq, seq)
			if ws.Write(context.Background(), websocket.MessageText, f) != nil {
				return
			}
		}
	}, func(*client.Client) {})
}

func BenchmarkSend(b *testing.B) {
	run(b, nil, func(c *client.Client) {
		for range b.N {
			if _, err := c.Send(b.Context(), "bob", "are you there? it is getting late"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func run(b *testing.B, push func(*websocket.Conn), use func(*client.Client)) {
	b.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		for n := 0; ; {
			_, data, err := ws.Read(context.Background())
			if err != nil {
				return
			}
			_, rest, _ := strings.Cut(string(data), `"ref":"`)
			ref, _, _ := strings.Cut(rest, `"`)
			switch {
			case strings.Contains(string(data), `"send"`):
				n++
				ws.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, `{"type":"sent","ref":%q,"conversation":"alice~bob","n":%d,"seq":%d,"at":1790000000123}`, ref, n, n))
			case strings.Contains(string(data), `"sync"`):
				ws.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, `{"type":"synced","ref":%q,"epoch":"e","conversations":[],"since":"s","more":false}`, ref))
				if push != nil {
					go push(ws)
				}
			}
		}
	}))
	defer server.Close()
	shown, all := 0, make(chan struct{})
	c, err := client.New(client.Config{
		URL: strings.Replace(server.URL, "http", "ws", 1), User: "alice", Tokens: client.StaticToken("t", time.Time{}),
		OnMessage: func(client.Message) {
			if shown++; shown == b.N {
				close(all)
			}
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	go c.Run(b.Context())
	if err := c.WaitOnline(b.Context()); err != nil {
		b.Fatal(err)
	}
	use(c)
	<-all
	b.StopTimer()
	c.Close()
}
