package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/duet-chat/duet/client"
)

func Example() {
	stack := exampleStack()
	defer stack.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	c, err := client.New(client.Config{
		URL:    strings.Replace(stack.URL, "http", "ws", 1),
		User:   "alice",
		Tokens: client.StaticToken("an access token", time.Time{}),
		OnMessage: func(m client.Message) {
			fmt.Printf("%d %s: %s\n", m.Seq, m.From, m.Text)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	go c.Run(ctx)

	sent, err := c.Send(ctx, "bob", "hello")
	if err != nil {
		log.Fatal(err)
	}
	page, err := c.History(ctx, "bob", 0, 0, 10)
	if err != nil {
		log.Fatal(err)
	}
	c.Close()
	fmt.Println("stored at", sent.Seq, "of", len(page.Messages))
	// Output:
	// 1 alice: hello
	// stored at 1 of 1
}

// exampleStack stands for a stack: it stores one message.
func exampleStack() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		answers := map[string]string{
			"sync":    `{"type":"synced","ref":%q,"epoch":"e","conversations":[],"since":"s","more":false}`,
			"send":    `{"type":"sent","ref":%q,"conversation":"alice~bob","n":1,"seq":1,"at":1790000000123}`,
			"history": `{"type":"page","ref":%q,"conversation":"alice~bob","messages":[{"conversation":"alice~bob","seq":1,"from":"alice","device":"d","n":1,"at":1790000000123,"kind":"text","text":"hello"}],"more":false}`,
		}
		for {
			_, data, err := ws.Read(context.Background())
			if err != nil {
				return
			}
			var request struct{ Action, Ref string }
			if json.Unmarshal(data, &request) != nil {
				return
			}
			_ = ws.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, answers[request.Action], request.Ref))
		}
	}))
}
