package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/store"
)

// What receipts, blocks, presence and leaving take, as their doc comments say.
func TestStateTakesItsUnits(t *testing.T) {
	e := newEngine(t)
	tables := e.tables(t)
	users, conversations := stores(tables)
	members := store.NewMembers(tables.AWS, store.MemberTables{Conversations: tables.Conversations, Members: tables.Members, Messages: tables.Messages})
	connections, watchers := store.NewConnections(tables.AWS, tables.Connections), store.NewWatchers(tables.AWS, tables.Watchers)
	ctx := t.Context()
	const ab = chat.ConversationID("alice~bob")
	if err := errors.Join(users.RegisterUser(ctx, "alice", at), users.RegisterUser(ctx, "bob", at)); err != nil {
		t.Fatal(err)
	}
	for n := range int64(3) {
		err := conversations.Append(ctx, chat.Attempt{
			Message: chat.Message{
				Conversation: ab, Seq: n + 1, From: "alice", Device: "a1", N: n + 1, Kind: chat.KindText, Text: strings.Repeat("x", 700), At: at.UnixMilli(),
			},
			Create: n == 0, FirstHere: n == 0, Bucket: 10, EnterBucket: n == 0,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := connections.Add(ctx, chat.Connection{User: "bob", ID: "c=", Device: "b1", ConnectedAt: at.UnixMilli(), SessionEnd: at.Unix()}); err != nil {
		t.Fatal(err)
	}
	row := chat.Membership{Conversation: ab, Bucket: 10}
	advance := func(to int64, ms int64) func() error {
		return func() error {
			next := row
			next.Delivered, next.Read, next.ReadTexts, next.ChangedAt, next.Noted = to, to, to, ms, chat.BucketAt(ms)
			err := members.Advance(ctx, "bob", row, next)
			row = next
			return err
		}
	}
	const day = 24 * 3600 * 1000
	today := at.UnixMilli()
	block := func(on bool, ms int64) func() error {
		return func() error { return members.SetBlock(ctx, "bob", ab, on, ms) }
	}
	watcher := store.Watcher{Watched: "alice", User: "bob", Device: "b1", Connection: "c=", Until: at.Unix()}
	for _, tt := range []struct {
		name         string
		reads, write float64
		do           func() error
	}{
		{"standing", 2, 0, func() error { _, _, err := members.Standing(ctx, "bob", ab); return err }},
		{"the first receipt", 0, 2, advance(1, today)},
		{"the next receipt", 0, 1, advance(2, today+1)},
		{"the first receipt of a day", 0, 3, advance(3, today+day)},
		{"the first note for the peer", 0, 2, func() error { return members.NoteChange(ctx, "alice", ab, 10) }},
		{"a note of the same day", 0, 1, func() error { return members.NoteChange(ctx, "alice", ab, 10) }},
		{"a note of the next day", 0, 3, func() error { return members.NoteChange(ctx, "alice", ab, 11) }},
		{"counting texts", 1, 0, func() error { _, err := members.Texts(ctx, ab, "alice", 1, 3); return err }},
		{"counting no texts", 0, 0, func() error { _, err := members.Texts(ctx, ab, "alice", 3, 2); return err }},
		{"a block", 0, 4, block(true, today+day)},
		{"the end of a block", 0, 4, block(false, today+day)},
		{"a block on another day", 0, 8, block(true, today+2*day)},
		{"rows for typing", 1, 0, func() error { _, _, err := members.Rows(ctx, "bob", ab); return err }},
		{"who may know of one", 1, 0, func() error { _, err := members.May(ctx, "bob", []chat.User{"alice"}); return err }},
		{"a profile", 1, 0, func() error { _, err := users.Profile(ctx, "bob"); return err }},
		{"two profiles", 1, 0, func() error { _, err := users.Profiles(ctx, []chat.User{"alice", "bob"}); return err }},
		{"online", 0, 1, func() error { return users.SetOnline(ctx, "bob", 5) }},
		{"online for longer already", 0, 1, func() error { return users.SetOnline(ctx, "bob", 4) }},
		{"offline", 0, 1, func() error { return users.SetOffline(ctx, "bob", 5) }},
		{"a sign-out", 0, 1, func() error {
			return users.SetSignOuts(ctx, "bob", chat.SignOuts{}, chat.SignOuts{Before: 5, Ended: []chat.SessionID{"s"}})
		}},
		{"watching", 1, 0, func() error { _, _, err := connections.Watching(ctx, "bob", "c="); return err }},
		{"a list of one", 0, 1, func() error { return connections.SetWatching(ctx, "bob", "c=", []chat.User{"alice"}) }},
		{"a watcher comes", 0, 1, func() error { return watchers.Change(ctx, []store.Watcher{watcher}, nil) }},
		{"watchers of a user", 1, 0, func() error { _, err := watchers.Of(ctx, "alice", ""); return err }},
		{"a watcher is dropped", 0, 1, func() error { return watchers.Drop(ctx, watcher) }},
		{"some conversations", 1, 0, func() error { _, err := members.Some(ctx, "bob", 25); return err }},
		{"shutting for good", 0, 2, func() error { return members.ShutFor(ctx, "alice", ab) }},
		{"erasing three texts", 1, 3, func() error { return members.EraseTexts(ctx, ab, "alice") }},
		{"erasing them again", 1, 0, func() error { return members.EraseTexts(ctx, ab, "alice") }},
		{"leaving", 0, 3, func() error { return members.Leave(ctx, "bob", ab) }},
	} {
		used := func() (reads, writes float64) {
			for _, table := range []string{tables.Users, tables.Connections, tables.Watchers, tables.Conversations, tables.Members, tables.Messages} {
				reads, writes = reads+e.read(table), writes+e.written(table)
			}
			return reads, writes
		}
		reads, writes := used()
		if err := tt.do(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		r, w := used()
		if r-reads != tt.reads || w-writes != tt.write {
			t.Errorf("%s took %v read and %v write units, want %v and %v", tt.name, r-reads, w-writes, tt.reads, tt.write)
		}
	}
}

// An entry that retention removes while a conversation is erased holds nothing up.
func TestEraseTextsWhileRetentionRemoves(t *testing.T) {
	e := newEngine(t)
	tables := e.tables(t)
	users, conversations := stores(tables)
	members := store.NewMembers(tables.AWS, store.MemberTables{Conversations: tables.Conversations, Members: tables.Members, Messages: tables.Messages})
	ctx := t.Context()
	if err := errors.Join(users.RegisterUser(ctx, "alice", at), users.RegisterUser(ctx, "bob", at)); err != nil {
		t.Fatal(err)
	}
	for n := range int64(3) {
		err := conversations.Append(ctx, chat.Attempt{
			Message: chat.Message{Conversation: "alice~bob", Seq: n + 1, From: "alice", Device: "a1", N: n + 1, Kind: chat.KindText, Text: "secret", At: at.UnixMilli()},
			Create:  n == 0, FirstHere: n == 0, Bucket: 10, EnterBucket: n == 0,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	removed := false
	e.between = func(target string, _ []byte) *answer {
		if target == "DynamoDB_20120810.UpdateItem" && !removed {
			removed = true
			for _, seq := range []int{1, 2} {
				e.db.Do(context.Background(), "DynamoDB_20120810.DeleteItem", fmt.Appendf(nil, `{"TableName":%q,"Key":{"conversation":{"S":"alice~bob"},"seq":{"N":"%d"}}}`, tables.Messages, seq))
			}
		}
		return nil
	}
	if err := members.EraseTexts(ctx, "alice~bob", "alice"); err != nil || !removed {
		t.Fatalf("EraseTexts = %v, want the rest erased", err)
	}
	found, err := conversations.Entries(ctx, "alice~bob", 1, 10, 10, false)
	if err != nil || len(found) != 1 || found[0].Seq != 3 || found[0].Text != "" {
		t.Errorf("entries = %+v, %v, want the third alone, without its text", found, err)
	}
}
