package handler_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/handler/fallback"
	"github.com/duet-chat/duet/internal/handler/history"
	"github.com/duet-chat/duet/internal/handler/ping"
	"github.com/duet-chat/duet/internal/handler/send"
	"github.com/duet-chat/duet/internal/handler/sync"
	"github.com/duet-chat/duet/internal/wire"
)

// wrote sends a text and fails the test if it is not stored.
func (c *cloud) wrote(h lambda.Handler, p peer, to string, n int, text string) wire.Sent {
	c.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		c.Fatal(err)
	}
	return answer[wire.Sent](c, h, p, fmt.Sprintf(`{"action":"send","ref":"s","to":%q,"n":%d,"text":%s}`, to, n, quoted))
}

// registered makes users known.
func (c *cloud) registered(users ...string) {
	c.Helper()
	for _, u := range users {
		if err := c.users.RegisterUser(c.Context(), chat.User(u), c.now()); err != nil {
			c.Fatal(err)
		}
	}
}

func TestSendAnswers(t *testing.T) {
	c := newCloud(t)
	c.registered("alice", "bob")
	alice, h := c.peer("alice", "phone"), c.function(send.New)
	want := wire.Sent{Type: wire.TypeSent, Ref: "s", Conversation: "alice~bob", N: 1, Seq: 1, At: c.now().UnixMilli()}
	if got := c.wrote(h, alice, "bob", 1, "hello"); got != want {
		t.Errorf("send = %+v, want %+v", got, want)
	}
	c.advance(time.Hour - time.Second)
	want.Duplicate = true
	if got := c.wrote(h, alice, "bob", 1, "hello"); got != want {
		t.Errorf("a repeat = %+v, want %+v", got, want)
	}
	for frame, code := range map[string]chat.Code{
		`{"action":"send","ref":"s","to":"nobody","n":1,"text":"x"}`:            chat.UnknownUser,
		`{"action":"send","ref":"s","to":"bob","n":1,"text":"other"}`:           chat.Conflict,
		`{"action":"send","ref":"s","to":"bob","n":99,"text":"x"}`:              chat.OutOfOrder,
		`{"action":"send","ref":"s","to":"bob","n":2,"text":"x","reply_to":99}`: chat.BadRequest,
		`{"action":"send","ref":"s","to":"bob","n":2}`:                          chat.BadRequest,
	} {
		if got := answer[wire.Error](c, h, alice, frame); got.Code != code || got.Ref != "s" || got.Type != wire.TypeError {
			t.Errorf("%s = %+v, want %s", frame, got, code)
		}
	}
	if strings.Contains(c.log.String(), "hello") {
		t.Error("the text is in the log")
	}
}

func TestFallbackRefusesEverything(t *testing.T) {
	c := newCloud(t)
	h := c.function(fallback.New)
	for frame, ref := range map[string]string{`{"action":"dance","ref":"r"}`: "r", `{"ref":"r"}`: "r", `[1]`: "", ``: "", `{"action":{},"ref":7}`: ""} {
		if got := answer[wire.Error](c, h, c.peer("alice", "phone"), frame); got.Code != chat.UnknownAction || got.Field != "action" || got.Ref != ref || got.Retry {
			t.Errorf("%s = %+v, want unknown_action", frame, got)
		}
	}
}

// G6: a heartbeat tells a connection that it is behind, until it syncs; one that is not known any more
// is told to connect again, for nothing is delivered to it.
func TestG6_PingTellsWhoIsBehind(t *testing.T) {
	c := newCloud(t)
	alice, h := c.connected(c.peer("alice", "phone")), c.function(ping.New)
	pong := func(behind bool) {
		t.Helper()
		want := wire.Pong{Type: wire.TypePong, Ref: "p", Behind: behind, At: c.now().UnixMilli()}
		if got := answer[wire.Pong](c, h, alice, `{"action":"ping","ref":"p"}`); got != want {
			t.Errorf("ping = %+v, want %+v", got, want)
		}
	}
	pong(false)
	if err := c.connections.MarkBehind(t.Context(), "alice", chat.ConnectionID(alice.connection)); err != nil {
		t.Fatal(err)
	}
	pong(true)
	pong(true)
	c.called()
	answer[wire.Synced](c, c.function(sync.New), alice, `{"action":"sync"}`)
	// What is missed while the sync reads is marked anew: so the mark goes before anything is read.
	if calls := c.called(); !strings.HasPrefix(calls, "GetItem, UpdateItem, Query") {
		t.Errorf("calls of a sync = %s", calls)
	}
	pong(false)
	if err := c.connections.Remove(t.Context(), "alice", chat.ConnectionID(alice.connection)); err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]lambda.Handler{"ping": h, "sync": c.function(sync.New)} {
		if got := answer[wire.Error](c, h, alice, `{"ref":"p"}`); got.Code != chat.SessionExpired || got.Ref != "p" {
			t.Errorf("%s on a connection that is not known = %+v, want session_expired", name, got)
		}
	}
	if rows := c.rows("alice"); len(rows) != 0 {
		t.Errorf("a row came back: %v", rows)
	}
}

// syncAll asks for all pages and returns the peers in their order, and the last since.
func (c *cloud) syncAll(h lambda.Handler, p peer, since, cursors string) (peers []string, pages int, next string) {
	c.Helper()
	for {
		frame := fmt.Sprintf(`{"action":"sync","ref":"y","since":%q,"cursors":%s}`, since, cursors)
		body := c.frame(h, p, frame)
		if len(body) > wire.MaxFrameBytes {
			c.Errorf("synced has %d bytes, want at most %d", len(body), wire.MaxFrameBytes)
		}
		page := answer[wire.Synced](c, h, p, frame)
		if page.Type != wire.TypeSynced || page.Ref != "y" || page.Epoch == "" || len(page.Since) > wire.MaxSinceBytes || page.Since == "" {
			c.Fatalf("synced = %+v", page)
		}
		for _, s := range page.Conversations {
			peers = append(peers, s.Peer)
		}
		pages++
		if !page.More {
			return peers, pages, page.Since
		}
		if len(page.Conversations) == 0 || pages > 100 {
			c.Fatalf("page %d is empty, and there is more", pages)
		}
		since = page.Since
	}
}

// G5, G8: what changed since the last sync began is listed, once, newest first; nothing else is.
func TestG5_SinceLeadsFromSyncToSync(t *testing.T) {
	c := newCloud(t)
	const count = 130
	alice, h, write := c.connected(c.peer("alice", "phone")), c.function(sync.New), c.function(send.New)
	alice.end = c.now().Add(1000 * time.Hour)
	c.registered("alice")
	for i := range count {
		peer := fmt.Sprintf("u%03d", i)
		c.registered(peer)
		c.wrote(write, c.peer(peer, "d"), "alice", 1, strings.Repeat("\x01", 600))
		c.advance(10 * time.Minute) // over two days: several buckets
	}
	peers, pages, since := c.syncAll(h, alice, "", "{}")
	if len(peers) != count || pages < 3 {
		t.Fatalf("%d conversations in %d pages, want %d in several", len(peers), pages, count)
	}
	for i, peer := range peers {
		if want := fmt.Sprintf("u%03d", count-1-i); peer != want {
			t.Fatalf("conversation %d is with %s, want %s", i, peer, want)
		}
	}
	c.advance(2 * chat.ClockSkew)
	if peers, _, _ := c.syncAll(h, alice, since, "{}"); len(peers) != 0 {
		t.Errorf("after nothing happened: %v", peers)
	}
	c.wrote(write, c.peer("u007", "d"), "alice", 2, "again")
	c.wrote(write, alice, "u009", 1, "answer")
	peers, _, next := c.syncAll(h, alice, since, "{}")
	if fmt.Sprint(peers) != "[u007 u009]" || next == since {
		t.Errorf("after two messages: %v, since %s", peers, next)
	}
	if peers, _, _ := c.syncAll(h, alice, since, `{"alice~u007":2}`); fmt.Sprint(peers) != "[u009]" {
		t.Errorf("with a cursor: %v", peers)
	}
	got := answer[wire.Synced](c, h, alice, fmt.Sprintf(`{"since":%q}`, since)).Conversations
	if len(got) != 2 || got[0].Unread != 2 || got[0].Last.Text != "again" || got[0].LastSeq != 2 || got[1].Unread != 0 {
		t.Errorf("summaries = %+v", got)
	}
}

func TestSinceOfAnotherEpochOrForm(t *testing.T) {
	c := newCloud(t)
	alice, h := c.connected(c.peer("alice", "phone")), c.function(sync.New)
	c.registered("alice", "bob")
	c.wrote(c.function(send.New), c.peer("bob", "d"), "alice", 1, "hi")
	first := answer[wire.Synced](c, h, alice, `{"action":"sync"}`)
	c.advance(10 * time.Minute)

	// Tables that were restored have another stream, and with it another epoch.
	c.variables["EPOCH"] = "arn:stream/2"
	restored := c.function(sync.New)
	got := answer[wire.Synced](c, restored, alice, fmt.Sprintf(`{"since":%q}`, first.Since))
	if got.Epoch == first.Epoch || len(got.Conversations) != 1 || got.More {
		t.Errorf("synced in another epoch = %+v, want everything under another epoch than %s", got, first.Epoch)
	}
	if same := answer[wire.Synced](c, restored, alice, `{}`); same.Epoch != got.Epoch {
		t.Errorf("epoch = %s and %s within one", got.Epoch, same.Epoch)
	}

	e := first.Epoch
	for _, token := range []string{
		"x", "1", "1 " + e, "2 " + e + " 5", "1 " + e + " x", "1 " + e + " -5", "1 " + e + " 5 6", "1 " + e + " 5 6 7 8 nonsense",
		"1 " + e + " 5 6 7 8", "1 " + e + " 5 6 x 8 alice~bob", "1 " + e + " 5 6 7 8 alice~bob 9", "1  " + e + " 5", "1 " + e + " 99999999999999999999",
	} {
		if got := answer[wire.Error](c, h, alice, fmt.Sprintf(`{"ref":"y","since":%q}`, token)); got.Code != chat.BadRequest || got.Field != "since" || got.Ref != "y" {
			t.Errorf("since %q = %+v, want bad_request", token, got)
		}
	}
}

func TestSyncIsUnavailableWhileATableIs(t *testing.T) {
	c := newCloud(t)
	alice, h := c.connected(c.peer("alice", "phone")), c.function(sync.New)
	for _, operation := range []string{"GetItem", "Query"} {
		c.refused = operation
		body := c.frame(h, alice, `{"ref":"y"}`)
		if !strings.Contains(body, `"code":"unavailable"`) || !strings.Contains(body, `"retry":true`) || strings.Contains(body, "secret") {
			t.Errorf("while %s is throttled: %s", operation, body)
		}
	}
}

func TestHistoryReadsBothWays(t *testing.T) {
	c := newCloud(t)
	c.registered("alice", "bob")
	alice, write, h := c.peer("alice", "phone"), c.function(send.New), c.function(history.New)
	for n := 1; n <= 10; n++ {
		c.wrote(write, alice, "bob", n, fmt.Sprint("message ", n))
	}
	tests := []struct {
		ask  string
		want string
		more bool
	}{
		{`"after":0`, "1 2 3 4 5 6 7 8 9 10", false},
		{`"after":0,"limit":10`, "1 2 3 4 5 6 7 8 9 10", false},
		{`"after":0,"limit":9`, "1 2 3 4 5 6 7 8 9", true},
		{`"after":7`, "8 9 10", false},
		{`"after":10`, "", false},
		{`"after":99`, "", false},
		{`"before":11`, "1 2 3 4 5 6 7 8 9 10", false},
		{`"before":11,"limit":3`, "8 9 10", true},
		{`"before":4,"limit":3`, "1 2 3", false},
		{`"before":5,"limit":3`, "2 3 4", true},
		{`"before":1`, "", false},
		{`"before":9007199254740991,"limit":1`, "10", true},
		{`"after":9007199254740991`, "", false},
	}
	for _, tt := range tests {
		page := answer[wire.Page](c, h, c.peer("bob", "web"), `{"action":"history","ref":"h","conversation":"alice~bob",`+tt.ask+`}`)
		if page.Type != wire.TypePage || page.Ref != "h" || page.Conversation != "alice~bob" || page.Messages == nil {
			t.Fatalf("page = %+v", page)
		}
		var seqs []string
		for _, m := range page.Messages {
			seqs = append(seqs, fmt.Sprint(m.Seq))
			if m.Text != fmt.Sprint("message ", m.Seq) || m.From != "alice" || m.Device != "phone" || m.N != m.Seq || m.Type != "" {
				t.Errorf("message = %+v", m)
			}
		}
		if got := strings.Join(seqs, " "); got != tt.want || page.More != tt.more {
			t.Errorf("history %s = %s, more %v, want %s, %v", tt.ask, got, page.More, tt.want, tt.more)
		}
	}
	if got := answer[wire.Error](c, h, c.peer("carol", "web"), `{"conversation":"alice~bob","after":0}`); got.Code != chat.Forbidden {
		t.Errorf("history of others = %+v, want forbidden (G9)", got)
	}
}

// Pages are cut so that none exceeds one metered message, and following them finds everything,
// whichever way.
func TestG5_HistoryPagesStayWithinAFrame(t *testing.T) {
	c := newCloud(t)
	c.registered("alice", "bob")
	const count = 40
	alice, write, h := c.peer("alice", "phone"), c.function(send.New), c.function(history.New)
	texts := []string{strings.Repeat("x", 4096), strings.Repeat("\x01", 4096), "short", strings.Repeat("é", 2048)}
	for n := 1; n <= count; n++ {
		c.wrote(write, alice, "bob", n, texts[n%len(texts)])
	}
	for _, back := range []bool{false, true} {
		var seqs []int64
		ask := `"after":0`
		if back {
			ask = `"before":9007199254740991`
		}
		for pages := 1; ; pages++ {
			body := c.frame(h, alice, `{"ref":"h","conversation":"alice~bob",`+ask+`}`)
			if len(body) > wire.MaxFrameBytes {
				t.Fatalf("a page has %d bytes, want at most %d", len(body), wire.MaxFrameBytes)
			}
			var page wire.Page
			if err := json.Unmarshal([]byte(body), &page); err != nil || len(page.Messages) == 0 {
				t.Fatalf("page %d: %v, %d messages", pages, err, len(page.Messages))
			}
			var found []int64
			for _, m := range page.Messages {
				found = append(found, m.Seq)
			}
			if back {
				seqs = append(found, seqs...)
				ask = fmt.Sprintf(`"before":%d`, found[0])
			} else {
				seqs = append(seqs, found...)
				ask = fmt.Sprintf(`"after":%d`, found[len(found)-1])
			}
			if !page.More {
				break
			}
		}
		for i, seq := range seqs {
			if seq != int64(i+1) {
				t.Fatalf("back %v: place %d holds %d", back, i+1, seq)
			}
		}
		if len(seqs) != count {
			t.Errorf("back %v: %d messages, want %d", back, len(seqs), count)
		}
	}
}
