package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/store"
)

// profiles keep what is noted, and after an erasure nothing but the name, whoever notes something late.
func profiles(t *testing.T, s *suite) {
	ctx := t.Context()
	s.register(t, "alice")
	check := func(step string, want chat.Profile) {
		t.Helper()
		want.User = "alice"
		got, err := s.users.Profile(ctx, "alice")
		if err != nil || got == nil {
			t.Fatalf("%s: Profile = %v, %v", step, got, err)
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Fatalf("profile after %s (-want +got)\n%s", step, diff)
		}
		many, err := s.users.Profiles(ctx, []chat.User{"nobody", "alice"})
		if err != nil || len(many) != 1 || !cmp.Equal(*many["alice"], want) {
			t.Fatalf("%s: Profiles = %v, %v", step, many, err)
		}
	}
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	want := chat.Profile{RegisteredAt: at}
	check("registering", want)

	must(s.users.SetOnline(ctx, "alice", 100), s.users.SetOnline(ctx, "alice", 50))
	want.OnlineUntil = 100 // the later one stands, in whatever order they come
	check("coming online", want)
	must(s.users.SetOffline(ctx, "alice", 7))
	want.OnlineUntil, want.LastSeen = 0, 7
	check("going offline", want)
	must(s.users.SetOnline(ctx, "alice", 60), s.users.Hide(ctx, "alice", 8))
	want.OnlineUntil, want.LastSeen, want.Hidden = 60, 8, true
	check("hiding", want)
	must(s.users.Show(ctx, "alice"))
	want.Hidden = false
	check("showing", want)
	must(s.users.BeginErasing(ctx, "alice", 9), s.users.BeginErasing(ctx, "alice", 10))
	want.Erasing = 9
	check("beginning to erase, twice", want)

	late := func() {
		t.Helper()
		must(s.users.SetOnline(ctx, "alice", 200), s.users.SetOffline(ctx, "alice", 11), s.users.Hide(ctx, "alice", 12),
			s.users.Show(ctx, "alice"), s.users.BeginErasing(ctx, "alice", 13), s.users.RegisterUser(ctx, "alice", clock()))
	}
	must(s.users.Erase(ctx, "alice", 11))
	bare := s.everything(t)
	late()
	if diff := cmp.Diff(bare, s.everything(t)); diff != "" {
		t.Errorf("something was noted about an erased user (-before +after)\n%s", diff)
	}
	check("erasing", chat.Profile{Erased: true})

	if got, err := s.users.Profile(ctx, "nobody"); err != nil || got != nil {
		t.Errorf("Profile of nobody = %v, %v", got, err)
	}
	before := s.everything(t)
	must(s.users.SetOnline(ctx, "nobody", 5), s.users.SetOffline(ctx, "nobody", 5), s.users.Hide(ctx, "nobody", 5), s.users.BeginErasing(ctx, "nobody", 5))
	if diff := cmp.Diff(before, s.everything(t)); diff != "" {
		t.Errorf("something was noted about nobody (-before +after)\n%s", diff)
	}
	many := []chat.User{}
	for _, c := range peers(130) { // more than one call's worth
		peer, _ := c.Peer("alice")
		many = append(many, peer)
		s.register(t, peer)
	}
	if found, err := s.users.Profiles(ctx, many); err != nil || len(found) != len(many) {
		t.Errorf("Profiles = %d, %v, want %d", len(found), err, len(many))
	}
}

// leaving takes away what a user wrote and the user's row, step by step; each can be made again.
func leaving(t *testing.T, s *suite) {
	s.register(t, "alice", "bob")
	of := func(seq int64, u chat.User, n int64, kind chat.Kind) chat.Message {
		m := text(seq, u, chat.Device(u[:1])+"1", n)
		if m.Kind = kind; kind == chat.KindReaction {
			m.Text, m.Emoji, m.Target = "", "👍", 1
		}
		if kind == chat.KindEdit {
			m.Target = 1
		}
		return m
	}
	edit := next(of(4, "alice", 2, chat.KindEdit), 10)
	edit.Amend = &chat.Amendment{Target: 1}
	s.append(t, create(of(1, "alice", 1, chat.KindText), 10), first(of(2, "bob", 1, chat.KindText), 10),
		next(of(3, "bob", 2, chat.KindReaction), 10), edit, next(of(5, "alice", 3, chat.KindReaction), 10))
	if err := s.members.NoteChange(t.Context(), "alice", ab, 10); err != nil {
		t.Fatal(err)
	}
	step := func() {
		t.Helper()
		for range 2 {
			if err := errors.Join(s.members.ShutFor(t.Context(), "alice", ab), s.members.EraseTexts(t.Context(), ab, "alice")); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.members.Leave(t.Context(), "alice", ab); err != nil {
			t.Fatal(err)
		}
	}
	if some, err := s.members.Some(t.Context(), "alice", 5); err != nil || !slices.Equal(some, []chat.ConversationID{ab}) {
		t.Fatalf("Some = %v, %v", some, err)
	}
	step()
	head, err := s.conversations.Head(t.Context(), ab)
	if want := (chat.Shut{Gone: [2]bool{true, false}}); err != nil || head.Shut != want || head.LastSeq != 5 {
		t.Errorf("head = %+v, %v, want shut for alice, where it was", head, err)
	}
	found, err := s.conversations.Entries(t.Context(), ab, 1, 10, 10, false)
	if err != nil || len(found) != 5 {
		t.Fatalf("%d entries, %v, want all places to stay (G3)", len(found), err)
	}
	for _, m := range found {
		if mine := m.From == "alice"; mine == (m.Text != "" || m.Emoji != "") || mine != (m.Unsent > 0) {
			t.Errorf("entry %d is %+v", m.Seq, m)
		}
	}
	if own, peer, err := s.members.Rows(t.Context(), "alice", ab); err != nil || own != nil || peer == nil {
		t.Errorf("rows = %v, %v, %v, want the peer's alone", own, peer, err)
	}
	for name, index := range map[string]func() (int, error){
		"by-activity": func() (int, error) {
			rows, _, err := s.inbox.Active(t.Context(), "alice", 0, 0, 10)
			return len(rows), err
		},
		"by-change": func() (int, error) {
			ids, err := s.inbox.Changed(t.Context(), "alice", 0)
			return len(ids), err
		},
	} {
		if n, err := index(); err != nil || n != 0 {
			t.Errorf("%s still has %d rows of alice, %v", name, n, err)
		}
	}
	step() // a repeat finds nothing to do
	if some, err := s.members.Some(t.Context(), "alice", 5); err != nil || len(some) != 0 {
		t.Errorf("Some = %v, %v, want none", some, err)
	}
}

// watchers are told apart by device: a newer connection takes the place of the former one, whose end
// does not take the newer one away.
func watchers(t *testing.T, s *suite) {
	row := func(by chat.User, d chat.Device, id chat.ConnectionID) store.Watcher {
		return store.Watcher{Watched: "bob", User: by, Device: d, Connection: id, Until: at / 1000}
	}
	of := func(by chat.User) []store.Watcher {
		t.Helper()
		found, err := s.watchers.Of(t.Context(), "bob", by)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	old, other, far := row("alice", "a1", "old"), row("alice", "a2", "c2"), row("alicex", "a1", "c3")
	if err := s.watchers.Change(t.Context(), []store.Watcher{old, other, far}, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]store.Watcher{old, other}, of("alice")); diff != "" {
		t.Errorf("of alice (-want +got)\n%s", diff)
	}
	if got := of(""); len(got) != 3 {
		t.Errorf("of anybody: %+v", got)
	}
	newer := row("alice", "a1", "new")
	if err := s.watchers.Change(t.Context(), []store.Watcher{newer}, nil); err != nil {
		t.Fatal(err)
	}
	for _, w := range []store.Watcher{old, row("carol", "c1", "never")} { // the former connection is found gone only now
		if err := s.watchers.Drop(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]store.Watcher{newer, other}, of("alice")); diff != "" {
		t.Errorf("after the end of the former connection (-want +got)\n%s", diff)
	}
	if err := errors.Join(s.watchers.Drop(t.Context(), newer), s.watchers.Change(t.Context(), nil, []store.Watcher{other, far})); err != nil {
		t.Fatal(err)
	}
	if got := of(""); len(got) != 0 {
		t.Errorf("left: %+v", got)
	}
	// More than one call's worth, by one who watches with many devices.
	var many []store.Watcher
	for i := range 60 {
		many = append(many, row("alice", chat.Device(fmt.Sprintf("d%02d", i)), "c"))
	}
	if err := s.watchers.Change(t.Context(), many, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(many, of("alice")); diff != "" {
		t.Errorf("many (-want +got)\n%s", diff)
	}
}

// signOuts are noted on top of those that were read: of two at once, one has to look again.
func signOuts(t *testing.T, s *suite) {
	s.register(t, "alice")
	read := func() chat.SignOuts {
		t.Helper()
		p, err := s.users.Profile(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		return p.SignOuts
	}
	none := read()
	all := chat.SignOuts{Before: 100, Ended: []chat.SessionID{"s1", "s2"}}
	if err := s.users.SetSignOuts(t.Context(), "alice", none, all); err != nil || !cmp.Equal(read(), all) {
		t.Fatalf("SetSignOuts = %v, %+v", err, read())
	}
	for _, stale := range []chat.SignOuts{none, {Before: 100, Ended: []chat.SessionID{"s1"}}, {Before: 99, Ended: all.Ended}} {
		if err := s.users.SetSignOuts(t.Context(), "alice", stale, chat.SignOuts{Ended: []chat.SessionID{"s3"}}); !errors.Is(err, chat.ErrBusy) || !cmp.Equal(read(), all) {
			t.Errorf("SetSignOuts on top of %+v = %v, %+v, want ErrBusy, and no change", stale, err, read())
		}
	}
	more := chat.SignOuts{Before: 200, Kept: "s9", Ended: []chat.SessionID{"s1", "s2", "s3"}}
	if err := s.users.SetSignOuts(t.Context(), "alice", all, more); err != nil || !cmp.Equal(read(), more) {
		t.Errorf("SetSignOuts = %v, %+v", err, read())
	}
}

// retention: what has ended is not read any more, however long DynamoDB takes to remove it; and each entry
// says when that is.
func retention(t *testing.T, s *suite) {
	s.register(t, "alice", "bob")
	now := clock().Unix()
	for i, until := range []int64{now - 1, now, now + 1, 0} {
		m := text(int64(i+1), "alice", "a1", int64(i+1))
		m.Until = until
		a := next(m, 10)
		if i == 0 {
			a = create(m, 10)
		}
		s.append(t, a)
	}
	for _, descending := range []bool{false, true} {
		for limit := 1; limit <= 3; limit++ {
			found, err := s.conversations.Entries(t.Context(), ab, 1, 10, limit, descending)
			want := []int64{3, 4}
			if descending {
				want = []int64{4, 3}
			}
			var got []int64
			for _, m := range found {
				got = append(got, m.Seq)
			}
			if err != nil || !slices.Equal(got, want[:min(limit, 2)]) {
				t.Errorf("Entries, at most %d, descending %v = %v, %v, want %v", limit, descending, got, err, want[:min(limit, 2)])
			}
		}
	}
	for seq, want := range map[int64]bool{1: false, 2: false, 3: true, 4: true} {
		found, err := s.inbox.At(t.Context(), map[chat.ConversationID]int64{ab: seq})
		if _, there := found[ab]; err != nil || there != want {
			t.Errorf("At(%d) = %v, %v, want it there: %v", seq, found, err, want)
		}
		out, err := s.db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &s.Messages, Key: item{"conversation": str(string(ab)), "seq": num(seq)}})
		if err != nil {
			t.Fatal(err)
		}
		if _, has := out.Item["ttl"]; has != (seq < 4) {
			t.Errorf("entry %d has a ttl: %v", seq, has)
		}
	}
}
