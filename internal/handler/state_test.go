package handler_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/handler/acknowledge"
	"github.com/duet-chat/duet/internal/handler/block"
	"github.com/duet-chat/duet/internal/handler/presence"
	"github.com/duet-chat/duet/internal/handler/typing"
	"github.com/duet-chat/duet/internal/handler/watch"
	"github.com/duet-chat/duet/internal/wire"
)

const (
	readTwo  = `{"action":"ack","conversation":"alice~bob","read":2}`
	typingOn = `{"action":"typing","conversation":"alice~bob","on":true}`
	watchBob = `{"action":"presence","users":["bob"]}`
)

// A receipt goes to the peer and to the own other devices, again when it is repeated, and to nobody else.
func TestReceiptsAreTold(t *testing.T) {
	r := newRoom(t)
	h := r.function(acknowledge.New)
	for range 2 {
		r.ok(h, r.alice, wire.TypeAcked, readTwo)
		r.expect("a receipt", "alice-laptop receipt of alice 2", "bob-laptop receipt of alice 2", "bob-phone receipt of alice 2")
	}
	r.ok(h, r.alice2, wire.TypeAcked, `{"action":"ack","conversation":"alice~bob","delivered":1}`)
	r.expect("one that is behind")
	r.refuse(h, r.carol, chat.Forbidden, readTwo)
	r.expect("a stranger's")
}

// Typing goes to the peer alone, leaves nothing behind, and a peer without a connection gets nothing.
func TestTypingIsTold(t *testing.T) {
	r := newRoom(t)
	h := r.function(typing.New)
	r.ok(h, r.alice, wire.TypeOK, typingOn)
	r.expect("typing", "bob-laptop typing of alice true", "bob-phone typing of alice true")
	r.refuse(h, r.carol, chat.Forbidden, typingOn)
	r.refuse(h, r.carol, chat.NotFound, `{"action":"typing","conversation":"bob~carol","on":true}`)
	r.expect("a stranger's")
	if got, want := r.called(), "BatchGetItem, Query, POST bob-laptop=, POST bob-phone="; got != want && got != "BatchGetItem, Query, POST bob-phone=, POST bob-laptop=" {
		// What the refused ones did comes after.
		if len(got) < len(want) {
			t.Errorf("typing called %s", got)
		}
	}
}

// What cannot be posted: a connection that is gone loses its row, unless it is just being born; one that is slow,
// or fails, is behind if what it missed is kept. The request is answered all the same.
func TestPushesThatFail(t *testing.T) {
	for _, tt := range []struct {
		name         string
		status       int
		born         bool
		ack, typings string // the peer's phone afterwards
	}{
		{"gone", http.StatusGone, false, "", ""},
		{"being born", http.StatusGone, true, "bob-phone= behind", "bob-phone="},
		{"slow", http.StatusTooManyRequests, false, "bob-phone= behind", "bob-phone="},
		{"forbidden", http.StatusForbidden, false, "bob-phone= behind", "bob-phone="},
		{"faulty", http.StatusInternalServerError, false, "bob-phone= behind", "bob-phone="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for frame, want := range map[string]string{readTwo: tt.ack, typingOn: tt.typings} {
				r := newRoom(t)
				if tt.born {
					p := r.bob
					p.connectedAt = r.now()
					r.connected(p)
				}
				if r.status["bob-phone="] = tt.status; tt.status == http.StatusGone {
					r.gone["bob-phone="] = true
				}
				if frame == readTwo {
					r.ok(r.function(acknowledge.New), r.alice, wire.TypeAcked, readTwo)
				} else {
					r.ok(r.function(typing.New), r.alice, wire.TypeOK, typingOn)
				}
				rows := r.rows("bob")
				wanted := []string{"bob-laptop="}
				if want != "" {
					wanted = append(wanted, want)
				}
				if !slices.Equal(rows, wanted) {
					t.Errorf("after %s bob's connections are %q, want %q", frame, rows, wanted)
				}
			}
		})
	}
}

// Nothing is pushed to a connection whose session has ended (G9).
func TestG9_ExpiredConnectionsAreToldNothing(t *testing.T) {
	r := newRoom(t)
	p := r.bob
	p.end = r.now()
	r.connected(p)
	r.ok(r.function(typing.New), r.alice, wire.TypeOK, typingOn)
	r.expect("typing", "bob-laptop typing of alice true")
}

// A block takes the watches of both away at once, and from then on nothing of either arrives; its end lets
// both through again.
func TestBlockSilencesBoth(t *testing.T) {
	r := newRoom(t)
	watches, acks, types, blocks := r.function(watch.New), r.function(acknowledge.New), r.function(typing.New), r.function(block.New)
	r.ok(watches, r.alice, wire.TypePresence, watchBob)
	r.ok(watches, r.bob2, wire.TypePresence, `{"action":"presence","users":["alice"]}`)
	r.ok(blocks, r.alice, wire.TypeOK, `{"action":"block","user":"bob"}`)
	r.expect("a block", "alice-laptop behind", "alice-phone presence of bob false", "bob-laptop presence of alice false")
	if left := r.watches(); len(left) != 0 {
		t.Errorf("watches left: %s", left)
	}
	for _, p := range []peer{r.alice, r.bob} {
		r.refuse(types, p, chat.Blocked, typingOn)
		r.expect("typing while blocked")
	}
	r.ok(acks, r.alice, wire.TypeAcked, readTwo)
	r.expect("a receipt while blocked", "alice-laptop receipt of alice 2")
	r.ok(acks, r.bob, wire.TypeAcked, readTwo)
	r.expect("the blocked one's receipt", "bob-laptop receipt of bob 2")
	r.ok(watches, r.bob, wire.TypePresence, `{"action":"presence","users":["alice"]}`)
	if left := r.watches(); len(left) != 0 {
		t.Errorf("a blocked user watches: %s", left)
	}
	r.refuse(blocks, r.alice, chat.UnknownUser, `{"action":"block","user":"nobody"}`)
	for range 2 {
		r.ok(blocks, r.alice, wire.TypeOK, `{"action":"unblock","user":"bob"}`)
		r.expect("its end", "alice-laptop behind")
	}
	r.ok(types, r.bob, wire.TypeOK, typingOn)
	r.expect("typing again", "alice-laptop typing of bob true", "alice-phone typing of bob true")
}

// A watch that is being allowed while its user is blocked is told nothing, wherever the block falls.
func TestBlockWhileAWatchIsAllowed(t *testing.T) {
	for _, during := range []string{"GetItem", "BatchGetItem", "UpdateItem", "BatchWriteItem"} {
		t.Run("after "+during, func(t *testing.T) {
			r := newRoom(t)
			watches, blocks, stream := r.function(watch.New), r.function(block.New), r.function(presence.New)
			comes := func(what string, want ...string) {
				t.Helper()
				if err := r.users.SetOffline(t.Context(), "alice", 1); err != nil {
					t.Fatal(err)
				}
				if _, err := stream.Invoke(t.Context(), []byte(`{"Records":[{"eventName":"INSERT","dynamodb":{"Keys":{"user":{"S":"alice"}}}}]}`)); err != nil {
					t.Fatal(err)
				}
				r.expect(what, want...)
			}
			r.after[during] = func() { r.ok(blocks, r.alice, wire.TypeOK, `{"action":"block","user":"bob"}`) }
			r.ok(watches, r.bob, wire.TypePresence, `{"action":"presence","users":["alice"]}`)
			r.told()
			comes("a blocker comes")
			r.ok(blocks, r.alice, wire.TypeOK, `{"action":"unblock","user":"bob"}`)
			r.ok(watches, r.bob, wire.TypePresence, `{"action":"presence","users":["alice"]}`)
			r.told()
			comes("who blocks no more comes", "bob-phone presence of alice true")
		})
	}
}

// A block that failed half-way is finished by its repeat.
func TestBlockInterruptedAnywhere(t *testing.T) {
	for k := 1; ; k++ {
		r := newRoom(t)
		r.ok(r.function(watch.New), r.bob2, wire.TypePresence, `{"action":"presence","users":["alice"]}`)
		h := r.function(block.New)
		r.failAt = k
		first := answerType(r, h, r.alice, `{"action":"block","user":"bob"}`)
		if made := r.failAt == 0; !made {
			r.failAt = 0
			if k < 4 {
				t.Errorf("a block makes %d calls only", k-1)
			}
			return // the block makes fewer calls
		}
		if first == string(wire.TypeError) {
			r.ok(h, r.alice, wire.TypeOK, `{"action":"block","user":"bob"}`)
		}
		if left := r.watches(); len(left) != 0 {
			t.Errorf("interrupted at call %d: watches left: %s", k, left)
		}
		r.told()
		r.refuse(r.function(typing.New), r.bob, chat.Blocked, typingOn)
		r.expect("typing")
	}
}

// Presence follows the connections' stream: it is told to who may watch, once, whichever device comes and goes.
func TestPresenceIsTold(t *testing.T) {
	r := newRoom(t)
	watches, stream := r.function(watch.New), r.function(presence.New)
	event := func(name string) []byte {
		return []byte(`{"Records":[{"eventName":"` + name + `","dynamodb":{"ApproximateCreationDateTime":1.7e9,"Keys":{"user":{"S":"bob"},"connection":{"S":"x"}}}}]}`)
	}
	refresh := func(name string) {
		t.Helper()
		if _, err := stream.Invoke(t.Context(), event(name)); err != nil {
			t.Fatal(err)
		}
	}
	r.ok(watches, r.alice, wire.TypePresence, watchBob)
	r.ok(watches, r.carol, wire.TypePresence, watchBob) // who has no conversation with him
	refresh("INSERT")
	r.expect("bob comes", "alice-phone presence of bob true")
	refresh("INSERT")
	r.expect("the same again")
	remove := func(p peer) {
		t.Helper()
		if err := r.connections.Remove(t.Context(), chat.User(p.user), chat.ConnectionID(p.connection)); err != nil {
			t.Fatal(err)
		}
	}
	remove(r.bob)
	refresh("REMOVE")
	r.expect("one device of two goes")
	remove(r.bob2)
	refresh("MODIFY")
	r.expect("a change that is none")
	refresh("REMOVE")
	r.expect("the last one goes", "alice-phone presence of bob false")

	// A failure is retried by Lambda: nothing is lost with it.
	r.connected(r.bob)
	r.refused = "UpdateItem"
	if _, err := stream.Invoke(t.Context(), event("INSERT")); err == nil {
		t.Error("a batch that failed is taken for done")
	}
	r.refused = ""
	refresh("INSERT")
	r.expect("the retry", "alice-phone presence of bob true")

	// A watcher whose connection is gone is dropped; one that only fails is told the next time.
	r.gone["alice-phone="] = true
	remove(r.bob)
	refresh("REMOVE")
	if left := r.watches(); len(left) != 0 {
		t.Errorf("watches left: %s", left)
	}
}

// Invisible mode shows who hides as offline, at once, and tells nothing of coming and going.
func TestInvisibleMode(t *testing.T) {
	r := newRoom(t)
	watches, stream := r.function(watch.New), r.function(presence.New)
	arrive := []byte(`{"Records":[{"eventName":"INSERT","dynamodb":{"Keys":{"user":{"S":"bob"}}}}]}`)
	if _, err := stream.Invoke(t.Context(), arrive); err != nil {
		t.Fatal(err)
	}
	see := func(want bool) {
		t.Helper()
		if got := answer[wire.Presence](r.cloud, watches, r.alice, watchBob); len(got.Users) != 1 || got.Users[0].Online != want {
			t.Errorf("presence = %+v, want online %v", got, want)
		}
	}
	see(true)
	r.ok(watches, r.bob, wire.TypePresence, `{"action":"presence","users":[],"visible":false}`)
	r.expect("hiding", "alice-phone presence of bob false")
	see(false)
	for _, p := range []peer{r.bob, r.bob2} {
		if err := r.connections.Remove(t.Context(), "bob", chat.ConnectionID(p.connection)); err != nil {
			t.Fatal(err)
		}
	}
	r.advance(time.Hour / 2)
	if _, err := stream.Invoke(t.Context(), arrive); err != nil {
		t.Fatal(err)
	}
	r.expect("going while hidden")
	r.connected(r.bob)
	if _, err := stream.Invoke(t.Context(), arrive); err != nil {
		t.Fatal(err)
	}
	r.expect("coming while hidden")
	r.ok(watches, r.bob, wire.TypePresence, `{"action":"presence","users":[],"visible":true}`)
	r.expect("showing", "alice-phone presence of bob true")
}

// A list takes the place of the one before, whatever step of it fails.
func TestWatchReplacesItsListWhereverItFails(t *testing.T) {
	for k := 1; ; k++ {
		r := newRoom(t)
		h := r.function(watch.New)
		r.ok(h, r.alice, wire.TypePresence, watchBob)
		r.failAt = k
		first := answerType(r, h, r.alice, `{"action":"presence","users":[]}`)
		if made := r.failAt == 0; !made {
			r.failAt = 0
			return
		}
		if first == string(wire.TypeError) {
			r.ok(h, r.alice, wire.TypePresence, `{"action":"presence","users":[]}`)
		}
		if left := r.watches(); len(left) != 0 {
			t.Errorf("interrupted at call %d: watches left: %s", k, left)
		}
		if watched, known, err := r.connections.Watching(t.Context(), "alice", "alice-phone="); err != nil || !known || len(watched) != 0 {
			t.Errorf("interrupted at call %d: the connection watches %v, %v", k, watched, err)
		}
	}
}
