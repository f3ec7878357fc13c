package test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// raw sends a frame as it stands and returns the answer to it: the one with its ref, or, where an
// answer cannot have one, the next frame that comes.
func (c *conn) raw(text, ref string) frame {
	c.t.Helper()
	if ref == "" {
		c.mu.Lock()
		already := len(c.pushed)
		c.mu.Unlock()
		if err := c.write(text); err != nil {
			c.t.Fatal(err)
		}
		return c.pushes("an answer without ref", func(all []frame) bool { return len(all) > already })[already]
	}
	answer := make(chan frame, 1)
	c.mu.Lock()
	c.waiting[ref] = answer
	c.mu.Unlock()
	if err := c.write(text); err != nil {
		c.t.Fatal(err)
	}
	f, err := c.await(answer)
	if err != nil {
		c.t.Fatalf("%.100s: %v", text, err)
	}
	return f
}

// tables is all that stands in the tables of users' data, where nobody else writes to them.
func (d *target) tables(t testing.TB) string {
	t.Helper()
	if !d.own {
		return ""
	}
	var all strings.Builder
	for _, table := range []string{"ConversationsTable", "MembersTable", "MessagesTable", "UsersTable"} {
		request := map[string]any{"TableName": d.outputs[table], "ConsistentRead": true}
		if table == "UsersTable" { // presence is written whenever connections come and go
			request["ProjectionExpression"], request["ExpressionAttributeNames"] = "#user, registered_at, begun", map[string]string{"#user": "user"}
		}
		for {
			page := d.dynamodb(t, "Scan", request)
			all.Write(page)
			var next struct{ LastEvaluatedKey map[string]any }
			if err := json.Unmarshal(page, &next); err != nil {
				t.Fatal(err)
			}
			if next.LastEvaluatedKey == nil {
				break
			}
			request["ExclusiveStartKey"] = next.LastEvaluatedKey
		}
	}
	return all.String()
}

// G10: each refused frame gets one typed error that names the field and repeats the ref, the
// connection lives on, and nothing is written.
func TestBadFramesAreRefused(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	users := d.users(t, "alice", "bob", "carol", "dave")
	alice, bob, carol, dave := users[0], users[1], users[2], users[3]
	carol.connect(t, "phone").send(dave, 1, "for dave only")
	others, own := carol.with(dave), alice.with(bob)

	// A frame with the members of a good request but for what is given.
	request := func(action, members string) string {
		return `{"ref":"r","action":"` + action + `",` + members + `}`
	}
	send := func(members string) string { return request("send", members) }
	to := `"to":"` + bob.name + `",`
	good := to + `"n":1,"text":"x",`
	with := func(n string) string { return send(to + `"text":"x","n":` + n) }
	text := func(s string) string { return send(to + `"n":1,"text":` + s) }
	sync := func(members string) string { return request("sync", members) }
	history := func(members string) string { return request("history", members) }
	ours := `"conversation":"` + own + `"`
	const noRef = "" // the answer cannot repeat a ref
	tests := []struct {
		name, frame, ref, code, field string
	}{
		{"empty", ``, noRef, "unknown_action", "action"},
		{"no JSON", `hello`, noRef, "unknown_action", "action"},
		{"half a JSON", `{"ref":"r","action":"send"`, noRef, "unknown_action", "action"},
		{"two JSONs", `{"ref":"r","action":"ping"} {"ref":"r","action":"ping"}`, noRef, "unknown_action", "action"},
		{"a number", `17`, noRef, "unknown_action", "action"},
		{"a string", `"send"`, noRef, "unknown_action", "action"},
		{"null", `null`, noRef, "unknown_action", "action"},
		{"a list", `[{"action":"ping"}]`, noRef, "unknown_action", "action"},
		{"deep nesting", strings.Repeat("[", 15000) + strings.Repeat("]", 15000), noRef, "unknown_action", "action"},
		{"no action", `{"ref":"r"}`, "r", "unknown_action", "action"},
		{"action null", `{"ref":"r","action":null}`, "r", "unknown_action", "action"},
		{"action of a number", `{"ref":"r","action":17}`, "r", "unknown_action", "action"},
		{"action of an object", `{"ref":"r","action":{"a":1}}`, "r", "unknown_action", "action"},
		{"action empty", `{"ref":"r","action":""}`, "r", "unknown_action", "action"},
		{"action unknown", `{"ref":"r","action":"shout"}`, "r", "unknown_action", "action"},
		{"action in capitals", `{"ref":"r","action":"Send"}`, "r", "unknown_action", "action"},
		{"field names in capitals", `{"ref":"r","Action":"ping"}`, "r", "unknown_action", "action"},
		{"action very long", `{"ref":"r","action":"` + strings.Repeat("x", 20000) + `"}`, "r", "unknown_action", "action"},
		{"$connect", `{"ref":"r","action":"$connect"}`, "r", "unknown_action", "action"},
		{"$disconnect", `{"ref":"r","action":"$disconnect"}`, "r", "unknown_action", "action"},
		{"$default", `{"ref":"r","action":"$default"}`, "r", "unknown_action", "action"},
		{"edit without a target", request("edit", ours+`,"n":1,"text":"x"`), "r", "bad_request", "target"},
		{"edit of a text that is not there", request("edit", ours+`,"n":1,"target":9,"text":"x"`), "r", "not_found", "target"},
		{"unsend of a text that is not there", request("unsend", ours+`,"n":1,"target":9`), "r", "not_found", "target"},
		{"react without an emoji", request("react", ours+`,"n":1,"target":1`), "r", "bad_request", "emoji"},
		{"typing to a user", request("typing", `"to":"x"`), "r", "bad_request", "conversation"},
		{"typing without on", request("typing", ours), "r", "bad_request", "on"},
		{"ack of nothing", request("ack", ours), "r", "bad_request", "read"},
		{"ack in a conversation that is not there", request("ack", ours+`,"read":9`), "r", "not_found", "conversation"},
		{"presence without users", request("presence", `"x":1`), "r", "bad_request", "users"},
		{"presence of oneself", request("presence", `"users":["`+alice.name+`"]`), "r", "bad_request", "users"},
		{"block of nobody", request("block", `"x":1`), "r", "bad_request", "user"},
		{"block of a stranger", request("block", `"user":"nobody-at-all"`), "r", "unknown_user", "user"},
		{"unblock of oneself", request("unblock", `"user":"`+alice.name+`"`), "r", "bad_request", "user"},
		{"signout of what is not there", request("signout", `"scope":"planet"`), "r", "bad_request", "scope"},
		{"erase without a name", request("erase", `"x":1`), "r", "bad_request", "user"},
		{"erase of another", request("erase", `"user":"`+bob.name+`"`), "r", "forbidden", "user"},

		{"ref of a number", `{"ref":17,"action":"ping"}`, noRef, "bad_request", "ref"},
		{"ref of 65 bytes", `{"ref":"` + strings.Repeat("r", 65) + `","action":"ping"}`, noRef, "bad_request", "ref"},
		{"ref of 65 bytes, few characters", `{"ref":"` + strings.Repeat("é", 33) + `","action":"ping"}`, noRef, "bad_request", "ref"},

		{"no to", send(`"n":1,"text":"x"`), "r", "bad_request", "to"},
		{"to null", send(`"to":null,"n":1,"text":"x"`), "r", "bad_request", "to"},
		{"to of a number", send(`"to":17,"n":1,"text":"x"`), "r", "bad_request", "to"},
		{"to of a list", send(`"to":["` + bob.name + `"],"n":1,"text":"x"`), "r", "bad_request", "to"},
		{"to empty", send(`"to":"","n":1,"text":"x"`), "r", "bad_request", "to"},
		{"to in capitals", send(`"to":"` + strings.ToUpper(bob.name) + `","n":1,"text":"x"`), "r", "bad_request", "to"},
		{"to with a tilde", send(`"to":"` + own + `","n":1,"text":"x"`), "r", "bad_request", "to"},
		{"to of 37 bytes", send(`"to":"` + strings.Repeat("b", 37) + `","n":1,"text":"x"`), "r", "bad_request", "to"},
		{"to unknown", send(`"to":"nobody-` + d.run + `","n":1,"text":"x"`), "r", "unknown_user", "to"},
		{"to yourself", send(`"to":"` + alice.name + `","n":1,"text":"x"`), "r", "bad_request", "to"},
		{"to and conversation", send(good + ours), "r", "bad_request", "to"},
		{"conversation of one", send(`"conversation":"` + bob.name + `","n":1,"text":"x"`), "r", "bad_request", "conversation"},
		{"conversation with yourself", send(`"conversation":"` + alice.name + "~" + alice.name + `","n":1,"text":"x"`), "r", "bad_request", "conversation"},
		{"conversation unsorted", send(`"conversation":"` + bob.name + "~" + alice.name + `","n":1,"text":"x"`), "r", "bad_request", "conversation"},
		{"conversation of others", send(`"conversation":"` + others + `","n":1,"text":"x"`), "r", "forbidden", "conversation"},

		{"no text", send(to + `"n":1`), "r", "bad_request", "text"},
		{"text null", text(`null`), "r", "bad_request", "text"},
		{"text empty", text(`""`), "r", "bad_request", "text"},
		{"text of a number", text(`17`), "r", "bad_request", "text"},
		{"text of a list", text(`["x"]`), "r", "bad_request", "text"},
		{"text of 4,097 bytes", text(`"` + strings.Repeat("x", 4097) + `"`), "r", "too_large", "text"},
		{"text of 4,098 bytes in 1,366 characters", text(`"` + strings.Repeat("€", 1366) + `"`), "r", "too_large", "text"},
		{"text of 30,000 bytes", text(`"` + strings.Repeat("x", 30000) + `"`), "r", "too_large", "text"},
		{"text with half a character", text(`"\ud800"`), "r", "bad_request", "text"},
		{"text with halves reversed", text(`"\ude00\ud83d"`), "r", "bad_request", "text"},

		{"no n", send(to + `"text":"x"`), "r", "bad_request", "n"},
		{"n null", with(`null`), "r", "bad_request", "n"},
		{"n of 0", with(`0`), "r", "bad_request", "n"},
		{"n negative", with(`-1`), "r", "bad_request", "n"},
		{"n of 1.5", with(`1.5`), "r", "bad_request", "n"},
		{"n of 1.0", with(`1.0`), "r", "bad_request", "n"},
		{"n of 1e0", with(`1e0`), "r", "bad_request", "n"},
		{"n of a string", with(`"1"`), "r", "bad_request", "n"},
		{"n of true", with(`true`), "r", "bad_request", "n"},
		{"n over 2^53", with(`9007199254740992`), "r", "bad_request", "n"},
		{"n over 2^64", with(`18446744073709551617`), "r", "bad_request", "n"},
		{"n without end", with(strings.Repeat("9", 5000)), "r", "bad_request", "n"},
		{"n of 18", with(`18`), "r", "out_of_order", "n"},
		{"n in the far future", with(`9007199254740991`), "r", "out_of_order", "n"},

		{"reply_to of 0", send(good + `"reply_to":0`), "r", "bad_request", "reply_to"},
		{"reply_to of a string", send(good + `"reply_to":"1"`), "r", "bad_request", "reply_to"},
		{"reply_to no message", send(good + `"reply_to":1`), "r", "bad_request", "reply_to"},
		{"reply_to no message, guessed", send(good + `"reply_to":7,"seen":9`), "r", "bad_request", "reply_to"},
		{"reply_to of the far future", send(good + `"reply_to":9007199254740991`), "r", "bad_request", "reply_to"},
		{"seen negative", send(good + `"seen":-1`), "r", "bad_request", "seen"},
		{"seen of 1.5", send(good + `"seen":1.5`), "r", "bad_request", "seen"},
		{"seen of a string", send(good + `"seen":"0"`), "r", "bad_request", "seen"},

		{"cursors of a list", sync(`"cursors":[]`), "r", "bad_request", "cursors"},
		{"cursors of a string", sync(`"cursors":"x"`), "r", "bad_request", "cursors"},
		{"cursor negative", sync(`"cursors":{"` + own + `":-1}`), "r", "bad_request", "cursors"},
		{"cursor of 1.5", sync(`"cursors":{"` + own + `":1.5}`), "r", "bad_request", "cursors"},
		{"cursor of a string", sync(`"cursors":{"` + own + `":"1"}`), "r", "bad_request", "cursors"},
		{"cursor over 2^53", sync(`"cursors":{"` + own + `":9007199254740992}`), "r", "bad_request", "cursors"},
		{"cursor of no conversation", sync(`"cursors":{"` + bob.name + `":1}`), "r", "bad_request", "cursors"},
		{"cursor of others' conversation", sync(`"cursors":{"` + others + `":0}`), "r", "forbidden", "cursors"},
		{"since of a number", sync(`"since":17`), "r", "bad_request", "since"},
		{"since of 513 bytes", sync(`"since":"` + strings.Repeat("s", 513) + `"`), "r", "bad_request", "since"},
		{"since made up", sync(`"since":"yesterday"`), "r", "bad_request", "since"},

		{"no conversation", history(`"after":0`), "r", "bad_request", "conversation"},
		{"history of a number", history(`"conversation":17,"after":0`), "r", "bad_request", "conversation"},
		{"history of a name", history(`"conversation":"` + bob.name + `","after":0`), "r", "bad_request", "conversation"},
		{"history of others", history(`"conversation":"` + others + `","after":0`), "r", "forbidden", "conversation"},
		{"neither after nor before", history(ours), "r", "bad_request", "after"},
		{"after and before", history(ours + `,"after":0,"before":9`), "r", "bad_request", "after"},
		{"after negative", history(ours + `,"after":-1`), "r", "bad_request", "after"},
		{"after of a string", history(ours + `,"after":"0"`), "r", "bad_request", "after"},
		{"before of 0", history(ours + `,"before":0`), "r", "bad_request", "before"},
		{"limit of 0", history(ours + `,"after":0,"limit":0`), "r", "bad_request", "limit"},
		{"limit of 101", history(ours + `,"after":0,"limit":101`), "r", "bad_request", "limit"},
		{"limit negative", history(ours + `,"after":0,"limit":-1`), "r", "bad_request", "limit"},
		{"limit of a string", history(ours + `,"after":0,"limit":"5"`), "r", "bad_request", "limit"},
	}
	c := alice.connect(t, "laptop")
	before := d.tables(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := c.raw(test.frame, test.ref)
			if f.Type != "error" || f.Ref != test.ref || f.Code != test.code || f.Field != test.field || f.Message == "" {
				t.Errorf("%.200s\n= %s\nwant an error %s of field %s with ref %q", test.frame, f.raw, test.code, test.field, test.ref)
			}
			if want := test.code == "out_of_order"; f.Retry != want || (f.LastN != nil) != want {
				t.Errorf("%.200s = %s, want retry and last_n: %v", test.frame, f.raw, want)
			}
			if f.size > 2048 {
				t.Errorf("%.200s = %d bytes, want a short error", test.frame, f.size)
			}
		})
	}
	if got := d.tables(t); got != before {
		t.Errorf("refused frames changed the tables from\n%s\nto\n%s", before, got)
	}
	if log := c.log(own, 0); len(log) != 0 {
		t.Errorf("refused frames left %v in the log", log)
	}
	if all, _ := c.sync(nil, ""); len(all) != 0 {
		t.Errorf("refused frames made conversations %v", all)
	}
	// And the same device's first number is still free.
	if f := c.send(bob, 1, "good"); f.Seq != 1 || f.Duplicate {
		t.Errorf("the first good message = %s, want seq 1", f.raw)
	}
	if log := carol.connect(t, "tablet").log(others, 0); len(log) != 1 {
		t.Errorf("the others' conversation has %d messages, want 1", len(log))
	}
}

// G4, G10: an early frame waits for its predecessors, and is refused when they do not come.
func TestEarlyFrameIsRefusedInTheEnd(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	c := alice.connect(t, "laptop")
	c.send(bob, 1, "one")
	answers := map[int64]<-chan frame{}
	for _, n := range []int64{3, 17} {
		answer, err := c.start(message(bob, n, "early"))
		if err != nil {
			t.Fatal(err)
		}
		answers[n] = answer
	}
	for n, answer := range answers {
		f, err := c.await(answer)
		if err != nil {
			t.Fatal(err)
		}
		if f.Type != "error" || f.Code != "out_of_order" || f.Field != "n" || !f.Retry || f.LastN == nil || *f.LastN != 1 {
			t.Errorf("n of %d after 1 = %s, want out_of_order with last_n 1", n, f.raw)
		}
	}
	if log := c.log(alice.with(bob), 0); len(log) != 1 {
		t.Errorf("the log has %d messages, want 1", len(log))
	}
}

// protocol.md, Limits: what is still allowed at the edge.
func TestFramesAtTheLimitsAreTaken(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	c := alice.connect(t, "laptop")
	ref := strings.Repeat("é", 32)
	if f := c.raw(`{"action":"ping","ref":"`+ref+`"}`, ref); f.Type != "pong" {
		t.Errorf("ping with a ref of 64 bytes = %s", f.raw)
	}
	texts := map[string]string{
		"4,096 bytes":               strings.Repeat("x", 4096),
		"4,096 bytes of characters": strings.Repeat("€", 1365) + "x",
		"4,096 control characters":  strings.Repeat("\x01", 4096),
		"4,096 angle brackets":      strings.Repeat("<", 4096),
		"one byte":                  "x",
		"a NUL":                     "\x00",
		"beyond the basic plane":    "\U0001F600",
		"quotes and line breaks":    "\"\\\r\n\t\u2028",
		"looks like a frame":        `{"action":"send"}`,
	}
	n := int64(0)
	for name, text := range texts {
		n++
		f := c.send(bob, n, text)
		if got := c.log(alice.with(bob), f.Seq-1); len(got) != 1 || got[0].Text != text {
			t.Errorf("%s: the log has %.100v, want what was sent", name, got)
		}
	}
	extras := map[string]string{
		"unknown fields":      `"colour":"red","deep":{"a":[1,{}]}`,
		"nulls":               `"reply_to":null,"seen":null,"conversation":null`,
		"a guess too high":    `"seen":9007199254740991`,
		"a guess too low":     `"seen":0`,
		"answers its last":    `"reply_to":1`,
		"escaped surrogates":  `"note":"\ud83d\ude00"`,
		"a frame of 32 KB":    `"padding":"` + strings.Repeat("p", 32<<10-200) + `"`,
		"fields given escape": `"\u006eote":1`,
	}
	for name, extra := range extras {
		n++
		f := c.raw(fmt.Sprintf(`{"ref":"r","action":"send","to":%q,"n":%d,"text":"x",%s}`, bob.name, n, extra), "r")
		if f.Type != "sent" || f.Seq != n {
			t.Errorf("%s: %s, want sent with seq %d", name, f.raw, n)
		}
	}
	checkLog(t, c.log(alice.with(bob), 0))
}

// protocol.md, Close codes: what API Gateway itself refuses ends the connection with its code, and
// only that one; nothing is written.
func TestGatewayClosesWhatItCannotTake(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	other := alice.connect(t, "other")
	send := func(text string) string {
		return fmt.Sprintf(`{"ref":"r","action":"send","to":%q,"n":1,"text":"%s"}`, bob.name, text)
	}
	tests := map[string]struct {
		kind websocket.MessageType
		data string
		code websocket.StatusCode
	}{
		"a binary frame":      {websocket.MessageBinary, send("x"), websocket.StatusUnsupportedData},
		"invalid UTF-8":       {websocket.MessageText, send("\xff\xfe"), websocket.StatusInvalidFramePayloadData},
		"a surrogate's UTF-8": {websocket.MessageText, send("\xed\xa0\x80"), websocket.StatusInvalidFramePayloadData},
		"a frame of 33 KB":    {websocket.MessageText, send(strings.Repeat("x", 33<<10)), websocket.StatusMessageTooBig},
		"a frame of 200 KB":   {websocket.MessageText, send(strings.Repeat("x", 200<<10)), websocket.StatusMessageTooBig},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := alice.connect(t, "laptop")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			// The gateway may hang up before everything is written.
			_ = c.ws.Write(ctx, test.kind, []byte(test.data))
			if got := c.closed(); got != test.code {
				t.Errorf("closed with %d (%v), want %d", got, c.err, test.code)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.pushed) != 0 {
				t.Errorf("and said %s, want nothing", c.pushed[0].raw)
			}
		})
	}
	if log := other.log(alice.with(bob), 0); len(log) != 0 {
		t.Errorf("%v was written", log)
	}
}

// protocol.md, Limits: a message in several WebSocket frames reaches the functions, which take
// 32,768 bytes.
func TestFragmentedMessages(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	c := alice.connect(t, "laptop")
	fragmented := func(text string) error {
		w, err := c.ws.Writer(t.Context(), websocket.MessageText)
		if err != nil {
			return err
		}
		for len(text) > 0 {
			part := min(len(text), 20<<10)
			if _, err := w.Write([]byte(text[:part])); err != nil {
				return err
			}
			text = text[part:]
		}
		return w.Close()
	}
	send := func(n int, padding int) string {
		return fmt.Sprintf(`{"action":"send","to":%q,"n":%d,"text":"x","padding":"%s"}`, bob.name, n, strings.Repeat("p", padding))
	}
	if err := fragmented(send(1, 40<<10)); err != nil {
		t.Fatal(err)
	}
	if f := c.pushes("an answer", func(all []frame) bool { return len(all) == 1 })[0]; f.Type != "error" || f.Code != "too_large" {
		t.Errorf("a message of 40 KB = %s, want too_large", f.raw)
	}
	if err := fragmented(send(1, 30<<10)); err != nil {
		t.Fatal(err)
	}
	if f := c.pushes("an answer", func(all []frame) bool { return len(all) == 2 })[1]; f.Type != "sent" || f.Seq != 1 {
		t.Errorf("a message of 30 KB = %s, want sent", f.raw)
	}
	// The gateway may close before the last frame is written, which then fails.
	_ = fragmented(send(2, 130<<10))
	if got := c.closed(); got != websocket.StatusMessageTooBig {
		t.Errorf("a message of 130 KB: closed with %d, want 1009", got)
	}
}

// G10: a user who sends nothing but nonsense does not slow the others' connection down for good,
// nor end it.
func TestNonsenseDoesNotStopOthers(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	mallory, alice, bob := d.user(t, "mallory"), d.user(t, "alice"), d.user(t, "bob")
	bad := mallory.connect(t, "laptop")
	c, receiver := alice.connect(t, "laptop"), bob.connect(t, "phone")
	const rounds = 200
	for n := int64(1); n <= rounds; n++ {
		for _, nonsense := range []string{`{`, `{"action":"send"}`, `{"action":"sync","since":17}`} {
			if err := bad.write(nonsense); err != nil {
				t.Fatal(err)
			}
		}
		c.send(bob, n, "sense")
	}
	receiver.messages(alice.with(bob), rounds)
	answers := bad.pushes("an error for each frame", func(all []frame) bool { return len(all) == 3*rounds })
	for _, f := range answers {
		if f.Type != "error" {
			t.Fatalf("nonsense = %s, want an error", f.raw)
		}
	}
}
