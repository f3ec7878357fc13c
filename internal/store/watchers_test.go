package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/store"
)

// Of a user's watchers those are told whose connection may still be there, and whose user is not denied.
func TestTold(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	watch := func(by chat.User, device chat.Device, until int64) store.Watcher {
		return store.Watcher{Watched: "alice", User: by, Device: device, Until: now.Unix() + until}
	}
	denial := store.NewDenial("alice", "bob", now.UnixMilli())
	for _, tt := range []struct {
		name     string
		watchers []store.Watcher
		want     string
	}{
		{"none", nil, "[]"},
		{"open ones", []store.Watcher{watch("bob", "d1", 1), watch("bob", "d2", 1), watch("carol", "d1", 1)}, "[bob/d1 bob/d2 carol/d1]"},
		{"those that have ended", []store.Watcher{watch("bob", "d1", 0), watch("bob", "d2", 1)}, "[bob/d2]"},
		{"who is denied", []store.Watcher{watch("ann", "d1", 1), denial, watch("bob", "d1", 1), watch("bob", "d2", 1), watch("carol", "d1", 1)}, "[ann/d1 carol/d1]"},
		{"a denial that has ended", []store.Watcher{watch("bob", "", 0), watch("bob", "d1", 1)}, "[bob/d1]"},
		{"one whose name begins alike", []store.Watcher{denial, watch("bob", "d1", 1), watch("bobby", "d1", 1)}, "[bobby/d1]"},
	} {
		got := []string{}
		for _, w := range store.Told(tt.watchers, now) {
			got = append(got, fmt.Sprintf("%s/%s", w.User, w.Device))
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("%s: %v are told, want %s", tt.name, got, tt.want)
		}
	}
	if left := time.Unix(denial.Until, 0).Sub(now); left <= chat.MaxConnectionAge {
		t.Errorf("a denial lasts %v, and a connection up to %v", left, chat.MaxConnectionAge)
	}
}

// Denials stand before the devices of their user, and go by themselves.
func TestDenialsAmongWatchers(t *testing.T) {
	e := newEngine(t)
	tables := e.tables(t)
	watchers := store.NewWatchers(tables.AWS, tables.Watchers)
	now := time.Now()
	denial := store.NewDenial("alice", "bob", now.UnixMilli())
	all := []store.Watcher{denial}
	for _, w := range []struct {
		by     chat.User
		device chat.Device
	}{{"bob", "-"}, {"bob", "0"}, {"bob", "a"}, {"bob-", "a"}, {"bob.", "a"}, {"bobby", "a"}} {
		all = append(all, store.Watcher{Watched: "alice", User: w.by, Device: w.device, Connection: "c", Until: denial.Until})
	}
	if err := watchers.Change(t.Context(), all, nil); err != nil {
		t.Fatal(err)
	}
	found, err := watchers.Of(t.Context(), "alice", "")
	if err != nil || len(found) != len(all) {
		t.Fatalf("watchers = %v, %v, want %d", found, err, len(all))
	}
	for _, w := range store.Told(found, now) {
		if w.User == "bob" {
			t.Errorf("%s/%s is told in spite of the denial", w.User, w.Device)
		}
	}
	if got := len(store.Told(found, now)); got != 3 {
		t.Errorf("%d are told, want 3", got)
	}
}
