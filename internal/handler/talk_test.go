package handler_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/handler/send"
	"github.com/duet-chat/duet/internal/wire"
)

// room is a cloud where alice and bob have talked, with two devices each, and carol has not.
type room struct {
	*cloud
	alice, alice2, bob, bob2, carol peer
}

func newRoom(t testing.TB) *room {
	c := newCloud(t)
	r := &room{cloud: c}
	for _, u := range []chat.User{"alice", "bob", "carol"} {
		if err := c.users.RegisterUser(t.Context(), u, c.now()); err != nil {
			t.Fatal(err)
		}
	}
	open := func(user, device string) peer {
		p := c.peer(user, device)
		p.session = user + "'s " + device
		return c.connected(p)
	}
	r.alice, r.alice2 = open("alice", "phone"), open("alice", "laptop")
	r.bob, r.bob2 = open("bob", "phone"), open("bob", "laptop")
	r.carol = open("carol", "phone")
	h := c.function(send.New)
	for n, p := range []peer{r.alice, r.bob, r.alice2} {
		f := fmt.Sprintf(`{"action":"send","conversation":"alice~bob","n":1,"seen":%d,"text":"secret %d"}`, n, n)
		if got := answer[wire.Sent](c, h, p, f); got.Seq != int64(n+1) {
			t.Fatalf("sent = %+v", got)
		}
	}
	c.advance(2 * chat.Birth) // all sockets exist for certain
	c.called()
	return r
}

// told is what the connections got since it was last asked, as "alice-phone= type", sorted.
func (r *room) told() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for id, frames := range r.posted {
		for _, frame := range frames {
			var f struct {
				Type, User, Reason string
				On, Online         *bool
				Read               int64
			}
			if err := json.Unmarshal([]byte(frame), &f); err != nil {
				r.Fatalf("%s: %v", frame, err)
			}
			line := strings.TrimSuffix(id, "=") + " " + f.Type
			if f.User != "" {
				line += " of " + f.User
			}
			switch {
			case f.On != nil:
				line += fmt.Sprint(" ", *f.On)
			case f.Online != nil:
				line += fmt.Sprint(" ", *f.Online)
			case f.Read > 0:
				line += fmt.Sprint(" ", f.Read)
			case f.Reason != "":
				line += " " + f.Reason
			}
			all = append(all, line)
		}
	}
	clear(r.posted)
	slices.Sort(all)
	return all
}

// expect compares what was told.
func (r *room) expect(step string, want ...string) {
	r.Helper()
	if got := r.told(); !slices.Equal(got, want) {
		r.Errorf("%s told %q, want %q", step, got, want)
	}
}

// ok sends a frame that must be answered by a type.
func (r *room) ok(h lambda.Handler, p peer, typ wire.Type, format string, args ...any) {
	r.Helper()
	frame := fmt.Sprintf(format, args...)
	var f struct{ Type, Code string }
	if body := r.frame(h, p, frame); json.Unmarshal([]byte(body), &f) != nil || f.Type != string(typ) {
		r.Fatalf("answer to %s of %s is %s, want %s", frame, p.connection, body, typ)
	}
}

// refused sends a frame that must be refused with a code.
func (r *room) refuse(h lambda.Handler, p peer, code chat.Code, frame string) {
	r.Helper()
	if got := answer[wire.Error](r.cloud, h, p, frame); got.Code != code {
		r.Errorf("answer to %s of %s is %+v, want %s", frame, p.connection, got, code)
	}
}

// watches are the rows of who is told of whose presence: without the denials, which end by themselves.
func (r *room) watches() []string {
	return slices.DeleteFunc(r.items(r.tables.Watchers), func(it string) bool { return !strings.Contains(it, "connection") })
}

// items are those of a table, as JSON.
func (r *room) items(table string) []string {
	r.Helper()
	status, response := r.db.Do(r.Context(), "DynamoDB_20120810.Scan", fmt.Appendf(nil, `{"TableName":%q,"ConsistentRead":true}`, table))
	var out struct{ Items []json.RawMessage }
	if err := json.Unmarshal(response, &out); err != nil || status != 200 {
		r.Fatalf("%s: %v", response, err)
	}
	var all []string
	for _, it := range out.Items {
		all = append(all, string(it))
	}
	return all
}
