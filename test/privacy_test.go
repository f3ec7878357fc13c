package test

import (
	"strings"
	"testing"
)

// A third user, who knows all names, is told nothing of two others' conversation by any action (G9).
func TestThirdUserLearnsNothing(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	users := d.users(t, "alice", "bob", "eve")
	alice, bob, eve := users[0], users[1], users[2]
	a, b, e := alice.connect(t, "laptop"), bob.connect(t, "laptop"), eve.connect(t, "laptop")
	c := alice.with(bob)
	e.must("presence", watch(alice, bob))
	a.send(bob, 1, "secret")
	a.must("ok", typing(c, true))
	b.must("acked", ack(c, 0, 1))
	b.must("sent", about("react", c, 1, 1, "emoji", "🤫"))
	a.must("sent", about("edit", c, 2, 1, "text", "secret!"))
	for _, request := range []map[string]any{
		{"action": "send", "conversation": c, "n": 1, "text": "x"},
		about("edit", c, 1, 1, "text", "x"), about("unsend", c, 1, 1), about("react", c, 1, 1, "emoji", "x"),
		{"action": "history", "conversation": c, "after": 0}, ack(c, 1, 1), typing(c, true),
	} {
		f := e.refused("forbidden", "conversation", request)
		if strings.Contains(f.raw, "secret") {
			t.Errorf("%v tells %s", request, f.raw)
		}
	}
	if f, err := e.ask(map[string]any{"action": "sync", "cursors": map[string]int64{c: 0}}); err != nil || strings.Contains(f.raw, "secret") || len(f.Conversations) > 0 {
		t.Errorf("sync = %s %v, want nothing", f.raw, err)
	}
	e.refused("forbidden", "user", map[string]any{"action": "erase", "user": alice.name})
	// The two go on, and the third has been pushed nothing.
	a.drop()
	a = alice.connect(t, "laptop")
	a.send(eve, 1, "hello, eve")
	e.messages(alice.with(eve), 1)
	for _, f := range e.pushes("", func([]frame) bool { return true }) {
		if f.Conversation != alice.with(eve) && f.Type != "presence" || f.Type == "presence" && (f.Online || f.LastSeen != 0) {
			t.Errorf("eve was told %s", f.raw)
		}
	}
}

// Blocking tells the blocked nothing that a peer who is merely away would not show, but for the code.
func TestBlockedUserLearnsNothingMore(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "has no grace", grace(0))
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	a, b := alice.connect(t, "laptop"), bob.connect(t, "laptop")
	c := alice.with(bob)
	a.send(bob, 1, "1")
	b.must("acked", ack(c, 0, 1))
	a.expect(1, "receipt")
	b.must("ok", block("block", alice))
	b.must("acked", ack(c, 1, 1))
	hide := watch()
	hide["visible"] = false
	b.must("presence", hide)
	b.drop()
	bob.connect(t, "laptop")
	if f := a.must("pong", map[string]any{"action": "ping"}); f.Behind {
		t.Error("the blocked user's connection is behind: there is nothing for it")
	}
	for _, f := range a.pushes("", func([]frame) bool { return true }) {
		if f.Type != "receipt" && f.Type != "presence" || f.Type == "presence" && (f.Online || f.LastSeen != 0) {
			t.Errorf("alice was told %s", f.raw)
		}
	}
	if got := a.expect(1, "receipt"); len(got) != 1 {
		t.Errorf("alice has the receipts %v, want that of before", got)
	}
}
