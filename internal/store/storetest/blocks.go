package storetest

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/internal/chat"
)

// blocks shut a conversation for both sides until the last one is taken back.
func blocks(t *testing.T, s *suite) {
	s.register(t, "alice", "bob")
	s.append(t, create(text(1, "alice", "a1", 1), 10))
	set := func(u chat.User, on bool, moment int64) {
		t.Helper()
		if err := s.members.SetBlock(t.Context(), u, ab, on, moment); err != nil {
			t.Fatal(err)
		}
	}
	check := func(step string, want chat.Shut, alice, bob bool) {
		t.Helper()
		head, own, err := s.members.Standing(t.Context(), "alice", ab)
		if err != nil || head.Shut != want || own.Blocks != alice {
			t.Fatalf("%s: shut = %+v, alice blocks: %v, %v, want %+v, %v", step, head.Shut, own.Blocks, err, want, alice)
		}
		mine, theirs, err := s.members.Rows(t.Context(), "bob", ab)
		if err != nil || mine.Blocks != bob || theirs.Blocks != alice {
			t.Fatalf("%s: rows = %+v, %+v, %v, want blocks %v, %v", step, mine, theirs, err, bob, alice)
		}
		err = s.conversations.Append(t.Context(), first(text(2, "bob", "b1", 1), 10))
		var lost *chat.Lost
		if want.Any() && (!errors.As(err, &lost) || lost.Head.Shut != want) {
			t.Fatalf("%s: Append = %v, want a loss that says why", step, err)
		}
	}
	for range 2 { // again is no more
		set("alice", true, at)
	}
	check("alice blocks", chat.Shut{Blocked: [2]bool{true, false}}, true, false)
	set("bob", true, at+1)
	check("bob too", chat.Shut{Blocked: [2]bool{true, true}}, true, true)
	for range 2 {
		set("alice", false, at+2)
	}
	check("alice no longer", chat.Shut{Blocked: [2]bool{false, true}}, false, true)
	set("bob", false, at+3)
	s.append(t, first(text(2, "bob", "b1", 1), 10))
	check("nobody", chat.Shut{}, false, false)
	for _, u := range []chat.User{"alice", "bob"} {
		if got, err := s.inbox.Changed(t.Context(), u, chat.BucketAt(at)); err != nil || !cmp.Equal(got, []chat.ConversationID{ab}) {
			t.Errorf("Changed for %s = %v, %v", u, got, err)
		}
	}
}

// blocksBeforeTheFirstMessage keep it out, and leave nothing that does so once they are gone.
func blocksBeforeTheFirstMessage(t *testing.T, s *suite) {
	s.register(t, "alice", "bob", "carol")
	before := s.everything(t)
	if err := s.members.SetBlock(t.Context(), "alice", "alice~carol", false, at); err != nil {
		t.Fatalf("unblock who was never blocked: %v", err)
	}
	if diff := cmp.Diff(before, s.everything(t)); diff != "" {
		t.Errorf("the end of a block that never was wrote something (-before +after)\n%s", diff)
	}
	m := text(1, "carol", "c1", 1)
	m.Conversation = "alice~carol"
	s.append(t, create(m, 10))

	if err := s.members.SetBlock(t.Context(), "alice", ab, true, at); err != nil {
		t.Fatal(err)
	}
	var lost *chat.Lost
	err := s.conversations.Append(t.Context(), create(text(1, "bob", "b1", 1), 10))
	want := &chat.Head{Tails: map[chat.TailKey]chat.Tail{}, Shut: chat.Shut{Blocked: [2]bool{true, false}}}
	if !errors.As(err, &lost) || !cmp.Equal(lost.Head, want) {
		t.Fatalf("Append to who blocks = %v, want the head that says so", err)
	}
	if err := s.members.SetBlock(t.Context(), "alice", ab, false, at); err != nil {
		t.Fatal(err)
	}
	begin := first(text(1, "bob", "b1", 1), 10)
	begin.EnterBucket = true
	s.append(t, begin)
	for _, u := range []chat.User{"alice", "bob"} {
		rows, _, err := s.inbox.Active(t.Context(), u, 0, 0, 10)
		if err != nil || rows[len(rows)-1].Conversation != ab && rows[0].Conversation != ab {
			t.Errorf("conversations of %s = %v, %v, want the one that began after the block among them", u, rows, err)
		}
	}
}

// may tells of those alone with whom a user talks, and whom neither has blocked.
func may(t *testing.T, s *suite) {
	row := func(u, peer chat.User, blocks bool) item {
		it := memberItem(u, chat.Between(u, peer), 10)
		if blocks {
			it["blocks"] = &types.AttributeValueMemberBOOL{Value: true}
		}
		return it
	}
	s.putAll(t, s.Members, []item{
		row("alice", "bob", false), row("bob", "alice", false),
		row("alice", "carol", true), row("carol", "alice", false),
		row("alice", "dave", false), row("dave", "alice", true),
		row("alice", "erin", true), row("erin", "alice", true),
		row("alice", "frank", false), // frank has left
		row("bob", "grace", false), row("grace", "bob", false),
	})
	others := []chat.User{"bob", "carol", "dave", "erin", "frank", "grace", "nobody"}
	got, err := s.members.May(t.Context(), "alice", others)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range others {
		if want := u == "bob"; got[u] != want {
			t.Errorf("alice may know of %s: %v, want %v", u, got[u], want)
		}
	}
	// More than one call's worth of keys.
	var items []item
	others = nil
	for _, c := range peers(120) {
		peer, _ := c.Peer("alice")
		others = append(others, peer)
		items = append(items, row("alice", peer, false), row(peer, "alice", false))
	}
	s.putAll(t, s.Members, items)
	if got, err = s.members.May(t.Context(), "alice", others); err != nil {
		t.Fatal(err)
	}
	for _, u := range others {
		if !got[u] {
			t.Errorf("alice may not know of %s", u)
		}
	}
}

// erasedUsers takes no new conversations: neither with one whose account is gone, or going, nor of one.
func erasedUsers(t *testing.T, s *suite) {
	s.register(t, "alice", "bob", "carol")
	if err := errors.Join(s.users.BeginErasing(t.Context(), "bob", at), s.users.Erase(t.Context(), "carol", at)); err != nil {
		t.Fatal(err)
	}
	for _, peer := range []chat.User{"bob", "carol", "nobody"} {
		m := text(1, "alice", "a1", 1)
		m.Conversation = chat.Between("alice", peer)
		if err := s.conversations.Append(t.Context(), create(m, 10)); !errors.Is(err, chat.ErrUnknownUser) {
			t.Errorf("begin with %s = %v, want ErrUnknownUser", peer, err)
		}
		// A block, and its end, made the head before.
		if err := errors.Join(s.members.SetBlock(t.Context(), "alice", m.Conversation, true, at), s.members.SetBlock(t.Context(), "alice", m.Conversation, false, at)); err != nil {
			t.Fatal(err)
		}
		a := first(m, 10)
		a.EnterBucket = true
		if err := s.conversations.Append(t.Context(), a); !errors.Is(err, chat.ErrUnknownUser) {
			t.Errorf("begin with %s after a block = %v, want ErrUnknownUser", peer, err)
		}
	}
	for _, from := range []chat.User{"bob", "carol"} {
		m := text(1, from, "d1", 1)
		m.Conversation = chat.Between(from, from+"x")
		s.register(t, from+"x")
		a := create(m, 10)
		a.Quota = &chat.Quota{Day: 10}
		if err := s.conversations.Append(t.Context(), a); !errors.Is(err, chat.ErrErased) {
			t.Errorf("%s, whose account is gone, begins a conversation = %v, want ErrErased", from, err)
		}
	}
}
