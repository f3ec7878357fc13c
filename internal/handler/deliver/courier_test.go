package deliver_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/handler/deliver"
	"github.com/duet-chat/duet/internal/post"
	"github.com/duet-chat/duet/internal/wire"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// world is the connections and sockets that a courier sees, with a journal of what it does.
type world struct {
	mu       sync.Mutex // guards what follows
	rows     map[chat.User][]chat.Connection
	lookups  map[chat.User]int
	posted   map[chat.ConnectionID][]string
	changes  []string // rows that were changed, sockets that were closed
	unread   map[chat.User]error
	unmarked error // what notes about connections fail with

	// onPost, if set, answers a post; it may wait. It is called without mu.
	onPost func(id chat.ConnectionID, frame string) error
}

func newWorld(connections ...chat.Connection) *world {
	w := &world{
		rows: map[chat.User][]chat.Connection{}, lookups: map[chat.User]int{}, posted: map[chat.ConnectionID][]string{}, unread: map[chat.User]error{},
	}
	for _, c := range connections {
		w.rows[c.User] = append(w.rows[c.User], c)
	}
	return w
}

// connection is a connection of a device that is an hour old and lasts for another.
func connection(u chat.User, d chat.Device) chat.Connection {
	return chat.Connection{
		User: u, ID: chat.ConnectionID(string(u) + "/" + string(d)), Device: d,
		ConnectedAt: now.Add(-time.Hour).UnixMilli(), SessionEnd: now.Add(time.Hour).Unix(),
	}
}

func (w *world) Of(_ context.Context, u chat.User) ([]chat.Connection, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lookups[u]++
	return slices.Clone(w.rows[u]), w.unread[u]
}

func (w *world) change(err error, format string, args ...any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes = append(w.changes, fmt.Sprintf(format, args...))
	return err
}

func (w *world) Remove(_ context.Context, _ chat.User, id chat.ConnectionID) error {
	return w.change(w.unmarked, "remove %s", id)
}

func (w *world) MarkBehind(_ context.Context, _ chat.User, id chat.ConnectionID) error {
	return w.change(w.unmarked, "behind %s", id)
}

func (w *world) Close(_ context.Context, id chat.ConnectionID) error {
	return w.change(nil, "close %s", id)
}

func (w *world) Post(_ context.Context, id chat.ConnectionID, frame []byte) error {
	line := briefly(frame)
	if w.onPost != nil {
		if err := w.onPost(id, line); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.posted[id] = append(w.posted[id], line)
	return nil
}

// briefly is a frame as "alice~bob 3", "behind" or "closing session_expired".
func briefly(frame []byte) string {
	var f struct {
		Type, Conversation, Reason string
		Seq                        int64
	}
	if err := json.Unmarshal(frame, &f); err != nil {
		return "not JSON: " + string(frame)
	}
	if wire.Type(f.Type) == wire.TypeMessage {
		return fmt.Sprint(f.Conversation, " ", f.Seq)
	}
	return strings.TrimSpace(f.Type + " " + f.Reason)
}

func (w *world) courier() *deliver.Courier {
	return &deliver.Courier{Connections: w, Gateway: w, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
}

// changed are the changes in an order that does not depend on who was first.
func (w *world) changed() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(slices.Values(w.changes))
}

func message(c chat.ConversationID, seq int64, from chat.User, d chat.Device) chat.Message {
	return chat.Message{Conversation: c, Seq: seq, From: from, Device: d, N: seq, Kind: chat.KindText, Text: "hi", At: now.UnixMilli()}
}

const ab, ac = chat.ConversationID("alice~bob"), chat.ConversationID("alice~carol")

func TestG5_EveryDeviceButTheSendersGetsTheMessage(t *testing.T) {
	w := newWorld(connection("alice", "a1"), connection("alice", "a2"), connection("bob", "b1"), connection("bob", "b2"), connection("carol", "c1"))
	for _, err := range w.courier().Deliver(t.Context(), []chat.Message{message(ab, 1, "alice", "a1"), message(ab, 2, "bob", "b2")}) {
		if err != nil {
			t.Error(err)
		}
	}
	want := map[chat.ConnectionID][]string{
		"alice/a1": {"alice~bob 2"}, "alice/a2": {"alice~bob 1", "alice~bob 2"},
		"bob/b1": {"alice~bob 1", "alice~bob 2"}, "bob/b2": {"alice~bob 1"},
	}
	if diff := gocmp.Diff(want, w.posted); diff != "" {
		t.Errorf("posted (-want +got)\n%s", diff)
	}
	if w.lookups["alice"] != 1 || w.lookups["bob"] != 1 || len(w.lookups) != 2 {
		t.Errorf("looked up %v, want each user once", w.lookups)
	}
	if len(w.changed()) > 0 {
		t.Errorf("changed %v, want nothing", w.changes)
	}
}

// A device's name alone says nothing: the peer may have one of the same.
func TestSameDeviceNameOfThePeerIsServed(t *testing.T) {
	w := newWorld(connection("alice", "phone"), connection("bob", "phone"))
	w.courier().Deliver(t.Context(), []chat.Message{message(ab, 1, "alice", "phone")})
	if diff := gocmp.Diff(map[chat.ConnectionID][]string{"bob/phone": {"alice~bob 1"}}, w.posted); diff != "" {
		t.Error(diff)
	}
}

// A stream keeps the order of one item only: a batch may hold a conversation's messages reversed.
func TestOneConnectionGetsAConversationInTheOrderOfSeq(t *testing.T) {
	w := newWorld(connection("alice", "a1"), connection("bob", "b1"), connection("carol", "c1"))
	var batch []chat.Message
	for _, seq := range []int64{3, 1, 12, 2, 11} {
		batch = append(batch, message(ab, seq, "bob", "b1"), message(ac, seq, "carol", "c1"))
	}
	w.courier().Deliver(t.Context(), batch)
	got := w.posted["alice/a1"]
	for _, c := range []chat.ConversationID{ab, ac} {
		var seqs []string
		for _, line := range got {
			if rest, ok := strings.CutPrefix(line, string(c)+" "); ok {
				seqs = append(seqs, rest)
			}
		}
		if fmt.Sprint(seqs) != "[1 2 3 11 12]" {
			t.Errorf("%s came in the order %v", c, seqs)
		}
	}
}

// G10: one slow reader does not hold up the others, of the same user or of others.
func TestG10_ABlockedConnectionHoldsUpNobody(t *testing.T) {
	w := newWorld(connection("alice", "slow"), connection("alice", "a1"), connection("bob", "b1"), connection("carol", "c1"))
	release, served := make(chan struct{}), make(chan string, 16)
	w.onPost = func(id chat.ConnectionID, frame string) error {
		if id == "alice/slow" {
			<-release
		} else {
			served <- string(id) + " " + frame
		}
		return nil
	}
	done := make(chan []error)
	go func() {
		done <- w.courier().Deliver(context.Background(), []chat.Message{
			message(ab, 1, "bob", "b9"), message(ab, 2, "bob", "b9"), message(ac, 1, "carol", "c9"),
		})
	}()
	var got []string
	for range 6 {
		got = append(got, <-served)
	}
	slices.Sort(got)
	want := []string{"alice/a1 alice~bob 1", "alice/a1 alice~bob 2", "alice/a1 alice~carol 1", "bob/b1 alice~bob 1", "bob/b1 alice~bob 2", "carol/c1 alice~carol 1"}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("while one is blocked (-want +got)\n%s", diff)
	}
	select {
	case <-done:
		t.Error("Deliver returned while a post was under way: AWS would freeze it")
	default:
	}
	close(release)
	for _, err := range <-done {
		if err != nil {
			t.Error(err)
		}
	}
	if n := len(w.posted["alice/slow"]); n != 3 {
		t.Errorf("the slow one got %d messages in the end, want 3", n)
	}
}

// Many users at once, more than there are slots: everything is posted, and nothing waits for ever.
func TestManyUsersInOneBatch(t *testing.T) {
	w := newWorld()
	var batch []chat.Message
	for i := range 300 {
		a, b := chat.User(fmt.Sprintf("a%03d", i)), chat.User(fmt.Sprintf("b%03d", i))
		w.rows[a] = []chat.Connection{connection(a, "d1"), connection(a, "d2")}
		w.rows[b] = []chat.Connection{connection(b, "d1"), connection(b, "d2")}
		batch = append(batch, message(chat.Between(a, b), 1, a, "d1"))
	}
	for _, err := range w.courier().Deliver(t.Context(), batch) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(w.posted) != 900 {
		t.Errorf("%d connections were served, want 900", len(w.posted))
	}
}

func TestG6_WhatBecomesOfAFailedPost(t *testing.T) {
	gone := fmt.Errorf("post to: %w", post.ErrGone)
	slow := errors.New("429: the send buffer is full")
	old := connection("alice", "a1")
	young := old
	young.ConnectedAt = now.Add(-chat.Birth + time.Second).UnixMilli()
	justGrown := old
	justGrown.ConnectedAt = now.Add(-chat.Birth).UnixMilli()
	behind := old
	behind.Behind = true
	expired := old
	expired.SessionEnd = now.Unix()
	lasting := old
	lasting.SessionEnd = now.Unix() + 1
	tests := []struct {
		name    string
		to      chat.Connection
		fail    map[string]error // by frame
		posted  []string
		changed []string
	}{
		{"all is well", old, nil, []string{"alice~bob 1", "alice~bob 2", "alice~bob 3"}, nil},
		{"410 of an old one", old, map[string]error{"alice~bob 1": gone}, nil, []string{"remove alice/a1"}},
		{"410 of one being born", young, map[string]error{"alice~bob 1": gone}, nil, []string{"behind alice/a1"}},
		{"410 a minute after the handshake", justGrown, map[string]error{"alice~bob 1": gone}, nil, []string{"remove alice/a1"}},
		{"410 in the middle", old, map[string]error{"alice~bob 2": gone}, []string{"alice~bob 1"}, []string{"remove alice/a1"}},
		{"slow reader: the rest is left to its sync", old, map[string]error{"alice~bob 2": slow}, []string{"alice~bob 1"}, []string{"behind alice/a1"}},
		{"behind already: told first", behind, nil, []string{"behind", "alice~bob 1", "alice~bob 2", "alice~bob 3"}, nil},
		{"behind already and slow: marked already", behind, map[string]error{"alice~bob 2": slow}, []string{"behind", "alice~bob 1"}, nil},
		{"behind already and cannot be told", behind, map[string]error{"behind": slow}, nil, nil},
		{"behind already and gone", behind, map[string]error{"behind": gone}, nil, []string{"remove alice/a1"}},
		{"session over: told, closed, forgotten", expired, nil, []string{"closing session_expired"}, []string{"close alice/a1", "remove alice/a1"}},
		{"session over and slow", expired, map[string]error{"closing session_expired": slow}, nil, []string{"close alice/a1", "remove alice/a1"}},
		{"session over in a second", lasting, nil, []string{"alice~bob 1", "alice~bob 2", "alice~bob 3"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(tt.to, connection("bob", "b1"))
			w.onPost = func(id chat.ConnectionID, frame string) error {
				if id == tt.to.ID {
					return tt.fail[frame]
				}
				return nil
			}
			batch := []chat.Message{message(ab, 1, "bob", "b9"), message(ab, 2, "bob", "b9"), message(ab, 3, "bob", "b9")}
			for _, err := range w.courier().Deliver(t.Context(), batch) {
				if err != nil {
					t.Errorf("Deliver = %v: a failed post is no failed record", err)
				}
			}
			if diff := gocmp.Diff(tt.posted, w.posted[tt.to.ID]); diff != "" {
				t.Errorf("posted (-want +got)\n%s", diff)
			}
			if diff := gocmp.Diff(tt.changed, w.changed()); diff != "" {
				t.Errorf("changed (-want +got)\n%s", diff)
			}
			if n := len(w.posted["bob/b1"]); n != 3 {
				t.Errorf("the other connection got %d messages, want 3", n)
			}
		})
	}
}

// Only what another delivery mends is reported, for the messages that it concerns.
func TestDeliverReportsWhatMustComeAgain(t *testing.T) {
	throttled := errors.New("throttled")
	batch := []chat.Message{message(ab, 1, "alice", "a1"), message(ac, 1, "carol", "c1"), message("bob~carol", 1, "bob", "b1")}
	t.Run("a user's connections cannot be read", func(t *testing.T) {
		w := newWorld(connection("alice", "a2"), connection("bob", "b1"), connection("carol", "c1"))
		w.unread["bob"] = throttled
		errs := w.courier().Deliver(t.Context(), batch)
		for i, want := range []bool{true, false, true} {
			if got := errors.Is(errs[i], throttled); got != want {
				t.Errorf("error of message %d = %v, reported should be %v", i, errs[i], want)
			}
		}
		if got := w.posted["alice/a2"]; !slices.Equal(got, []string{"alice~bob 1", "alice~carol 1"}) {
			t.Errorf("alice got %v: the others must not wait", got)
		}
	})
	t.Run("it cannot be noted that a connection is behind", func(t *testing.T) {
		w := newWorld(connection("alice", "a2"), connection("bob", "b1"), connection("carol", "c1"))
		w.unmarked = throttled
		w.onPost = func(id chat.ConnectionID, _ string) error {
			if id == "alice/a2" {
				return errors.New("500")
			}
			return nil
		}
		errs := w.courier().Deliver(t.Context(), batch)
		for i, want := range []bool{true, true, false} {
			if got := errors.Is(errs[i], throttled); got != want {
				t.Errorf("error of message %d = %v, reported should be %v", i, errs[i], want)
			}
		}
	})
	t.Run("nothing to deliver", func(t *testing.T) {
		w := newWorld()
		if errs := w.courier().Deliver(t.Context(), nil); len(errs) != 0 || len(w.lookups) != 0 {
			t.Errorf("Deliver = %v after look-ups %v", errs, w.lookups)
		}
	})
	t.Run("nobody is connected", func(t *testing.T) {
		errs := newWorld().courier().Deliver(t.Context(), batch)
		if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 || len(errs) != len(batch) {
			t.Errorf("Deliver = %v", errs)
		}
	})
}

func BenchmarkDeliver(b *testing.B) {
	var connections []chat.Connection
	var batch []chat.Message
	for i := range 10 {
		peer := chat.User(fmt.Sprint("peer", i))
		connections = append(connections, connection(peer, "d1"))
		batch = append(batch, message(chat.Between("zoe", peer), int64(i+1), "zoe", "z1"))
	}
	slices.SortFunc(batch, func(x, y chat.Message) int { return cmp.Compare(y.Seq, x.Seq) })
	w := newWorld(connections...)
	c := w.courier()
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range c.Deliver(b.Context(), batch) {
			if err != nil {
				b.Fatal(err)
			}
		}
		clear(w.posted)
	}
}

// bell is a deliver.Notifier that notes what it is told.
type bell struct {
	told []int64
	err  error
}

func (b *bell) Notify(_ context.Context, messages []chat.Message) error {
	for _, m := range messages {
		b.told = append(b.told, m.Seq)
	}
	return b.err
}

// Somebody is told of the texts of others that wait for a user who has no connection that still lasts;
// that it fails holds up nobody, and comes again for nobody.
func TestNotifierIsToldOfTextsThatWait(t *testing.T) {
	expired := connection("bob", "b1")
	expired.SessionEnd = now.Unix()
	edit := message(ab, 3, "alice", "a1")
	edit.Kind = chat.KindEdit
	for _, test := range []struct {
		name string
		to   []chat.Connection
		want []int64
	}{
		{"no connection", nil, []int64{1, 2}},
		{"a connection", []chat.Connection{connection("bob", "b1")}, nil},
		{"an expired one", []chat.Connection{expired}, []int64{1, 2}},
		{"one of two", []chat.Connection{expired, connection("bob", "b2")}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(append(test.to, connection("alice", "a1"))...)
			c, b := w.courier(), &bell{err: errors.New("the bus is full")}
			c.Notifier = b
			failures := c.Deliver(t.Context(), []chat.Message{message(ab, 1, "alice", "a1"), message(ab, 2, "alice", "a1"), edit})
			if !slices.Equal(b.told, test.want) || errors.Join(failures...) != nil {
				t.Errorf("told of %v, failures %v, want %v and none", b.told, failures, test.want)
			}
		})
	}
}
