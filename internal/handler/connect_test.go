package handler_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/handler/account"
	"github.com/duet-chat/duet/internal/handler/connect"
	"github.com/duet-chat/duet/internal/handler/disconnect"
)

// G8: the row is there before $connect answers.
func TestG8_ConnectWritesTheRowBeforeItAnswers(t *testing.T) {
	c := newCloud(t)
	p := c.peer("alice", "phone")
	if got := c.lifecycle(c.function(connect.New), p, nil); got.StatusCode != http.StatusOK || got.Headers != nil || got.Body != "" {
		t.Errorf("$connect = %+v, want 200", got)
	}
	found, err := c.connections.Of(t.Context(), "alice")
	want := chat.Connection{
		User: "alice", ID: chat.ConnectionID(p.connection), Device: "phone", ConnectedAt: p.connectedAt.UnixMilli(), SessionEnd: p.end.Unix(),
	}
	if err != nil || len(found) != 1 || found[0] != want {
		t.Errorf("connections = %+v, %v, want %+v", found, err, want)
	}
	if got := c.lifecycle(c.function(disconnect.New), p, nil); got.StatusCode != http.StatusOK || len(c.rows("alice")) != 0 {
		t.Errorf("$disconnect = %+v, rows %v", got, c.rows("alice"))
	}
	if got := c.lifecycle(c.function(disconnect.New), p, nil); got.StatusCode != http.StatusOK {
		t.Errorf("a second $disconnect = %+v", got)
	}
}

func TestConnectAnswersTheSubprotocolOnlyIfItIsOffered(t *testing.T) {
	tests := []struct {
		offer string
		want  map[string]string
	}{
		{"", nil},
		{"duet.v1, bearer.token", map[string]string{"Sec-WebSocket-Protocol": "duet.v1"}},
		{"bearer.token,duet.v1", map[string]string{"Sec-WebSocket-Protocol": "duet.v1"}},
		{"bearer.token", nil},
		{"duet.v2", nil},
	}
	c := newCloud(t)
	h := c.function(connect.New)
	for _, tt := range tests {
		got := c.lifecycle(h, c.peer("alice", "phone"), map[string][]string{"Sec-WebSocket-Protocol": {tt.offer}})
		if got.StatusCode != 200 || fmt.Sprint(got.Headers) != fmt.Sprint(tt.want) {
			t.Errorf("offer %q = %+v, want %v", tt.offer, got, tt.want)
		}
	}
}

func TestConnectRefuses(t *testing.T) {
	t.Run("without a device", func(t *testing.T) {
		c := newCloud(t)
		got := c.lifecycle(c.function(connect.New), c.peer("alice", ""), nil)
		if got.StatusCode != http.StatusBadRequest || !strings.Contains(got.Body, "X-Duet-Device") || len(c.rows("alice")) != 0 {
			t.Errorf("$connect = %+v, rows %v", got, c.rows("alice"))
		}
	})
	t.Run("too many other devices", func(t *testing.T) {
		c := newCloud(t)
		h := c.function(connect.New)
		for i := range 3 {
			c.connected(c.peer("alice", fmt.Sprint("d", i)))
		}
		c.connected(c.peer("bob", "d9"))
		before := c.rows("alice")
		got := c.lifecycle(h, c.peer("alice", "d3"), nil)
		if got.StatusCode != http.StatusTooManyRequests || !slices.Equal(c.rows("alice"), before) {
			t.Errorf("$connect = %+v, rows %v", got, c.rows("alice"))
		}
		// The one that it replaces does not count.
		again := c.peer("alice", "d1")
		again.connection = "new="
		if got := c.lifecycle(h, again, nil); got.StatusCode != 200 || len(c.rows("alice")) != 3 {
			t.Errorf("$connect of a device that is there = %+v, rows %v", got, c.rows("alice"))
		}
		// Rows that outlived every connection do not count either.
		c.advance(chat.MaxConnectionAge)
		if got := c.lifecycle(h, c.peer("alice", "d3"), nil); got.StatusCode != 200 {
			t.Errorf("$connect beside rows of the dead = %+v", got)
		}
	})
	t.Run("a handshake that was overtaken", func(t *testing.T) {
		c := newCloud(t)
		late := c.peer("alice", "phone")
		c.advance(time.Second)
		newer := c.peer("alice", "phone")
		newer.connection = "newer="
		c.connected(newer)
		got := c.lifecycle(c.function(connect.New), late, nil)
		if got.StatusCode != http.StatusConflict || !slices.Equal(c.rows("alice"), []string{"newer="}) || len(c.posted) > 0 {
			t.Errorf("$connect = %+v, rows %v, posted %v: the newer one must stay", got, c.rows("alice"), c.posted)
		}
	})
	t.Run("when the table cannot be read", func(t *testing.T) {
		c := newCloud(t)
		c.refused = "Query"
		if got := c.lifecycle(c.function(connect.New), c.peer("alice", "phone"), nil); got.StatusCode != http.StatusServiceUnavailable || got.Body != "" {
			t.Errorf("$connect = %+v, want 503", got)
		}
	})
}

// A device that connects twice keeps the newer connection; the older one is told, and closed.
func TestConnectReplacesTheOlderConnectionOfItsDevice(t *testing.T) {
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprint("gone already: ", gone), func(t *testing.T) {
			c := newCloud(t)
			older := c.connected(c.peer("alice", "phone"))
			c.connected(c.peer("alice", "web"))
			c.connected(c.peer("bob", "phone"))
			c.gone[older.connection] = gone
			c.advance(time.Second)
			newer := c.peer("alice", "phone")
			newer.connection = "newer="
			c.called()
			if got := c.lifecycle(c.function(connect.New), newer, nil); got.StatusCode != 200 {
				t.Fatalf("$connect = %+v", got)
			}
			if got, want := c.rows("alice"), []string{"alice-web=", "newer="}; !slices.Equal(got, want) {
				t.Errorf("rows = %v, want %v", got, want)
			}
			// The new row stands before the old one falls, so that no message falls in between (G8).
			if calls := c.called(); strings.Index(calls, "PutItem") > strings.Index(calls, "DeleteItem") || !strings.Contains(calls, "DELETE "+older.connection) {
				t.Errorf("calls = %s", calls)
			}
			want := []string{`{"type":"closing","reason":"replaced"}`}
			if gone {
				want = nil
			}
			if got := c.posted[older.connection]; !slices.Equal(got, want) || len(c.posted) != len(want) {
				t.Errorf("posted %v, want %v to the older one alone", c.posted, want)
			}
		})
	}
}

// G9: whoever has a valid token can be written to, also where sign-up's trigger failed, or the
// issuer is not our user pool.
func TestG9_ConnectRegistersWhoIsNot(t *testing.T) {
	c := newCloud(t)
	h := c.function(connect.New)
	for _, want := range []string{"GetItem, PutItem, Query, PutItem, GetItem", "GetItem, Query, PutItem, GetItem"} {
		c.called()
		p := c.peer("alice", "phone")
		if got := c.lifecycle(h, p, nil); got.StatusCode != 200 {
			t.Fatalf("$connect = %+v", got)
		}
		if got := c.called(); got != want {
			t.Errorf("calls = %s, want %s", got, want)
		}
		if err := c.connections.Remove(t.Context(), "alice", chat.ConnectionID(p.connection)); err != nil {
			t.Fatal(err)
		}
	}
	if known, err := c.users.IsRegistered(t.Context(), "alice"); err != nil || !known {
		t.Errorf("registered = %v, %v", known, err)
	}
}

// A sign-out or an erasure during a handshake ends it too, wherever in the handshake it falls: none of them
// overlooks the other.
func TestG9_ConnectWhileTheSessionEnds(t *testing.T) {
	for _, end := range []struct {
		frame  string
		status int
	}{
		{`{"action":"signout","scope":"others"}`, http.StatusUnauthorized},
		{`{"action":"signout","scope":"all"}`, http.StatusUnauthorized},
		{eraseAlice, http.StatusForbidden},
	} {
		for _, during := range []string{"GetItem", "Query", "PutItem"} {
			t.Run(end.frame+" after "+during, func(t *testing.T) {
				r := newRoom(t)
				p := r.peer("alice", "tablet")
				p.session = "another"
				h := r.function(account.New)
				r.after[during] = func() { r.frame(h, r.alice, end.frame) }
				if got := r.lifecycle(r.function(connect.New), p, nil); got.StatusCode != end.status {
					t.Errorf("$connect = %+v, want %d", got, end.status)
				}
				if rows := r.rows("alice"); slices.Contains(rows, p.connection) {
					t.Errorf("rows = %q: the ended session is delivered to", rows)
				}
			})
		}
	}
	t.Run("and the table fails", func(t *testing.T) {
		c := newCloud(t)
		if err := c.users.RegisterUser(t.Context(), "alice", c.now()); err != nil {
			t.Fatal(err)
		}
		p := c.peer("alice", "phone")
		c.after["PutItem"] = func() { c.failAt = 1 }
		if got := c.lifecycle(c.function(connect.New), p, nil); got.StatusCode != http.StatusServiceUnavailable || len(c.rows("alice")) > 0 {
			t.Errorf("$connect = %+v, rows %v, want 503 and none", got, c.rows("alice"))
		}
	})
}
