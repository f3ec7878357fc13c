package handler_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/handler/account"
	"github.com/duet-chat/duet/internal/handler/connect"
	"github.com/duet-chat/duet/internal/handler/disconnect"
	"github.com/duet-chat/duet/internal/handler/watch"
	"github.com/duet-chat/duet/internal/wire"
)

const eraseAlice = `{"action":"erase","user":"alice"}`

// answerType is the type of the answer to a frame.
func answerType(r *room, h lambda.Handler, p peer, frame string) string {
	r.Helper()
	var f struct{ Type string }
	if err := json.Unmarshal([]byte(r.frame(h, p, frame)), &f); err != nil {
		r.Fatal(err)
	}
	return f.Type
}

// A sign-out closes the sockets of the sessions that it ends, tells them why, and refuses their tokens.
func TestSignOutEndsSessions(t *testing.T) {
	for _, tt := range []struct {
		scope string
		told  []string
		lives []string
		codes map[string]int // $connect of the devices afterwards
		slept time.Duration  // until the second is over
	}{
		{"session", []string{"alice-phone closing signed_out"}, []string{"alice-laptop="}, map[string]int{"phone": 401, "laptop": 200}, 0},
		{"others", []string{"alice-laptop closing signed_out"}, []string{"alice-phone="}, map[string]int{"phone": 200, "laptop": 401}, 750 * time.Millisecond},
		{"all", []string{"alice-laptop closing signed_out", "alice-phone closing signed_out"}, nil, map[string]int{"phone": 401, "laptop": 401}, 750 * time.Millisecond},
	} {
		t.Run(tt.scope, func(t *testing.T) {
			r := newRoom(t)
			r.advance(250 * time.Millisecond)
			r.ok(r.function(account.New), r.alice, wire.TypeOK, `{"action":"signout","scope":"%s"}`, tt.scope)
			if r.slept != tt.slept {
				t.Errorf("it slept %v, want %v", r.slept, tt.slept)
			}
			r.expect("the sign-out", tt.told...)
			if got := r.rows("alice"); !slices.Equal(got, tt.lives) {
				t.Errorf("connections left: %q, want %q", got, tt.lives)
			}
			if len(r.rows("bob")) != 2 {
				t.Error("somebody else was signed out")
			}
			for _, p := range []peer{r.alice, r.alice2} {
				if open := slices.Contains(tt.lives, p.connection); r.gone[p.connection] == open {
					t.Errorf("socket of %s open: %v, want %v", p.device, !r.gone[p.connection], open)
				}
				p.connection, p.connectedAt = "again-"+p.device, r.now()
				if got := r.lifecycle(r.function(connect.New), p, nil); got.StatusCode != tt.codes[p.device] {
					t.Errorf("$connect of the %s = %+v, want %d", p.device, got, tt.codes[p.device])
				}
			}
		})
	}
}

// Of two sign-outs at once none takes the other back: the one that lost looks again.
func TestSignOutsAtOnce(t *testing.T) {
	r := newRoom(t)
	h := r.function(account.New)
	done := make(chan string)
	for _, p := range []peer{r.alice, r.alice2} {
		go func() { done <- r.frame(h, p, `{"action":"signout","scope":"session"}`) }()
	}
	for range 2 {
		if got := <-done; !strings.Contains(got, `"ok"`) {
			t.Errorf("answer = %s", got)
		}
	}
	p, err := r.users.Profile(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []peer{r.alice, r.alice2} {
		if !p.SignOuts.Ends(chat.Token{Session: chat.SessionID(q.session)}) {
			t.Errorf("the session of the %s goes on, by %+v", q.device, p.SignOuts)
		}
	}
}

// erased checks that nothing of alice is left but her name and the places of what she wrote, and what a
// connection that went by itself watched, until the next presence finds it gone.
func (r *room) erased(step string, went ...string) {
	r.Helper()
	for _, table := range []string{r.tables.Users, r.tables.Members, r.tables.Connections, r.tables.Watchers} {
		for _, it := range r.items(table) {
			var fields map[string]map[string]any
			if err := json.Unmarshal([]byte(it), &fields); err != nil {
				r.Fatal(err)
			}
			switch {
			case fields["user"]["S"] == "alice" && table == r.tables.Users:
				if len(fields) != 2 || fields["erased_at"] == nil {
					r.Errorf("%s: her row is %s", step, it)
				}
			case table == r.tables.Watchers && slices.Contains(went, fmt.Sprint(fields["connection"]["S"])):
			case fields["user"]["S"] == "alice" || table == r.tables.Watchers:
				r.Errorf("%s: %s still has %s", step, table, it)
			}
		}
	}
	messages := r.items(r.tables.Messages)
	if len(messages) != 3 {
		r.Errorf("%s: %d entries, want every place to stay", step, len(messages))
	}
	for _, it := range messages {
		if hers := strings.Contains(it, `"from":{"S":"alice"}`); hers == strings.Contains(it, "secret") {
			r.Errorf("%s: entry %s", step, it)
		}
	}
}

// watched lets alice and bob watch each other.
func (r *room) watched() {
	r.Helper()
	h := r.function(watch.New)
	r.ok(h, r.alice, wire.TypePresence, watchBob)
	r.ok(h, r.alice2, wire.TypePresence, watchBob)
	r.ok(h, r.bob, wire.TypePresence, `{"action":"presence","users":["alice"]}`)
}

func TestEraseLeavesTheNameAlone(t *testing.T) {
	r := newRoom(t)
	r.watched()
	h := r.function(account.New)
	r.refuse(h, r.bob, chat.Forbidden, eraseAlice)
	for range 2 { // the answer may be lost
		if got := answer[wire.Erased](r.cloud, h, r.alice, eraseAlice); !got.Done {
			t.Fatalf("erased = %+v, want it done", got)
		}
		r.erased("at once")
		calls := r.called()
		if row, answer := strings.LastIndex(calls, "DeleteItem"), strings.Index(calls, "POST "+r.alice.connection); answer < row || row < 0 {
			t.Errorf("calls = %s: the answer must come when all is done", calls)
		}
	}
	if !r.gone[r.alice2.connection] || !r.gone[r.alice.connection] {
		t.Errorf("sockets gone: %v, want both of hers", r.gone)
	}
	if got := r.posted[r.alice.connection]; len(got) != 1 || got[0] != `{"type":"erased","done":true}` {
		t.Errorf("the asking connection was posted %q, want the answer before its end", got)
	}
	p := r.alice
	p.connection, p.connectedAt = "again", r.now()
	if got := r.lifecycle(r.function(connect.New), p, nil); got.StatusCode != http.StatusForbidden {
		t.Errorf("$connect = %+v, want 403", got)
	}
	r.erased("after an attempt to come back")
}

// An erasure that stopped at any call is finished by its repeat, from the same connection or a new one. Where no
// new one is let in any more, nothing was left to do.
func TestEraseInterruptedAnywhere(t *testing.T) {
	for k := 1; ; k++ {
		if k > 200 {
			t.Fatal("an erasure makes no end of calls")
		}
		for _, again := range []bool{false, true} {
			r := newRoom(t)
			r.watched()
			h := r.function(account.New)
			r.failAt = k
			first := answerType(r, h, r.alice, eraseAlice)
			if made := r.failAt == 0; !made {
				r.failAt = 0
				t.Logf("an erasure makes %d calls", k-1)
				return
			}
			p, went := r.alice, ""
			if first == string(wire.TypeError) && again {
				p.connection, p.connectedAt = "again", r.now()
				r.lifecycle(r.function(disconnect.New), r.alice, nil)
				went = r.alice.connection
				if got := r.lifecycle(r.function(connect.New), p, nil); got.StatusCode != http.StatusOK {
					r.erased("stopped at a call, and refused a new connection", went)
					continue
				}
			}
			if got := answer[wire.Erased](r.cloud, h, p, eraseAlice); !got.Done {
				t.Fatalf("stopped at call %d, erased = %+v, want it done", k, got)
			}
			r.erased("stopped at a call, and repeated", went)
			if t.Failed() {
				t.Fatalf("stopped at call %d", k)
			}
		}
	}
}
