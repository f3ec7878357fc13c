package main_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/coder/websocket"

	"github.com/duet-chat/duet/localstack/cloudtest"
)

// patience bounds each wait of these tests: a first invocation starts a process.
const patience = 30 * time.Second

// output is one of the stack's outputs.
func output(t *testing.T, base, name string) string {
	t.Helper()
	resp, err := http.Get(base + "/_local/outputs")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var outputs map[string]string
	if err := json.NewDecoder(resp.Body).Decode(&outputs); err != nil {
		t.Fatal(err)
	}
	if outputs[name] == "" {
		t.Fatalf("there is no output %s in %v", name, outputs)
	}
	return outputs[name]
}

func dial(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func say(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c *websocket.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, data, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A chat room as the best-known samples are written runs as it is: its API spelled out, a retired
// runtime, a Makefile, addresses that its code makes itself, a stage that throttles a route.
// In plain CloudFormation, too, with a role for all functions, and an alias in the place of one.
func TestLobby(t *testing.T) {
	for _, file := range []string{"template.yaml", "plain.yaml"} {
		t.Run(file, func(t *testing.T) { visitLobby(t, "localstack/testdata/lobby/"+file) })
	}
}

// visitLobby lets ann and ben talk in the lobby.
func visitLobby(t *testing.T, file string) {
	p := cloudtest.StartProcess(t, t.TempDir(), "--template", file)
	url := output(t, p.URL(), "WebSocketURI")
	ann, ben := dial(t, url), dial(t, url)
	say(t, ann, `{"message":"say","data":"hello"}`)
	for name, c := range map[string]*websocket.Conn{"ann": ann, "ben": ben} {
		if got := hear(t, c); got != "hello" {
			t.Errorf("%s hears %q, want hello", name, got)
		}
	}
	if err := ben.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	say(t, ann, `{"message":"say","data":"bye"}`)
	if got := hear(t, ann); got != "bye" {
		t.Errorf("ann hears %q, want bye", got)
	}
	// Its stage lets two through, and another in a quarter of an hour.
	say(t, ann, `{"message":"say","data":"again"}`)
	if got := hear(t, ann); !strings.HasPrefix(got, `{"message": "Too Many Requests", `) {
		t.Errorf("ann hears %q at her third message, want that the route is throttled", got)
	}
	db := dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(p.URL()), Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	for began := time.Now(); ; {
		people, err := db.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("lobby_people")})
		if err != nil {
			t.Fatal(err)
		}
		if people.Count == 1 {
			break
		}
		if time.Since(began) > patience {
			t.Fatalf("%d people are in the lobby, want ann alone", people.Count)
		}
	}
}

// A stack of SAM's API and a function's event runs, though its folders are named as the product's.
func TestTally(t *testing.T) {
	p := cloudtest.StartProcess(t, t.TempDir(), "--template", "localstack/testdata/tally/template.json")
	c := dial(t, output(t, p.URL(), "Url"))
	for _, want := range []string{"1", "2"} {
		say(t, c, `{"do":"vote","for":"ann"}`)
		heard := map[string]bool{hear(t, c): true, hear(t, c): true} // in any order
		if !heard[`{"counted":true}`] || !heard[`{"for":"ann","votes":`+want+`}`] {
			t.Errorf("heard %v, want a confirmation and %s votes", heard, want)
		}
	}
	say(t, c, `{"do":"vote"}`)
	if got := hear(t, c); got != `{"error":"for whom?"}` {
		t.Errorf("heard %s, want a refusal", got)
	}
}
