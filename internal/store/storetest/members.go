package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/internal/chat"
)

// receipts advance from what is expected, and say what stands there otherwise.
func receipts(t *testing.T, s *suite) {
	s.register(t, "alice", "bob")
	s.append(t, create(text(1, "alice", "a1", 1), 10), first(text(2, "bob", "b1", 1), 10))
	if head, own, err := s.members.Standing(t.Context(), "alice", "alice~carol"); err != nil || head != nil || own != nil {
		t.Errorf("Standing of nothing = %v, %v, %v", head, own, err)
	}
	head, own, err := s.members.Standing(t.Context(), "alice", ab)
	if want := (&chat.Membership{Conversation: ab, Bucket: 10}); err != nil || !cmp.Equal(own, want) || head == nil || head.LastSeq != 2 {
		t.Fatalf("Standing = %+v, %+v, %v", head, own, err)
	}
	row := *own
	for _, step := range []chat.Membership{
		{Delivered: 1, ChangedAt: at},
		{Delivered: 2, Read: 1, ReadTexts: 0, ChangedAt: at + 1, Noted: 10},
		{Delivered: 2, Read: 2, ReadTexts: 1, ChangedAt: at + 2, Noted: 10},
	} {
		step.Conversation, step.Bucket = ab, 10
		if err := s.members.Advance(t.Context(), "alice", row, step); err != nil {
			t.Fatal(err)
		}
		if _, own, err = s.members.Standing(t.Context(), "alice", ab); err != nil || *own != step {
			t.Fatalf("Standing = %+v, %v, want %+v", own, err, step)
		}
		var moved *chat.Moved
		if err := s.members.Advance(t.Context(), "alice", row, step); !errors.As(err, &moved) || moved.Actual != step {
			t.Fatalf("Advance from what is no longer so = %v", err)
		}
		row = step
	}
	var moved *chat.Moved
	if err := s.members.Advance(t.Context(), "carol", chat.Membership{Conversation: ab}, chat.Membership{Conversation: ab, Delivered: 1}); !errors.As(err, &moved) {
		t.Errorf("Advance of somebody else = %v, want Moved", err)
	}
}

// changed lists what changed on a day or later, once, however often it changed.
func changed(t *testing.T, s *suite) {
	var items []item
	ids := peers(60)
	for _, c := range ids {
		items = append(items, memberItem("alice", c, 10))
	}
	s.putAll(t, s.Members, items)
	for i, c := range ids {
		for range 2 {
			if err := s.members.NoteChange(t.Context(), "alice", c, chat.Bucket(20+i%3)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.members.NoteChange(t.Context(), "alice", c, 5); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.members.NoteChange(t.Context(), "alice", "alice~stranger", 30); err != nil {
		t.Fatal(err)
	}
	for lowest, want := range map[chat.Bucket]int{0: 60, 20: 60, 21: 40, 22: 20, 23: 0} {
		got, err := s.inbox.Changed(t.Context(), "alice", lowest)
		slices.Sort(got)
		if err != nil || len(got) != want || len(slices.Compact(got)) != want {
			t.Errorf("Changed from %d on: %d, %v, want %d", lowest, len(got), err, want)
		}
	}
}

// amend changes a text in one step with the entry that says so, and takes every older copy away.
func amend(t *testing.T, s *suite) {
	s.register(t, "alice", "bob")
	s.append(t, create(text(1, "alice", "a1", 1), 10), first(text(2, "bob", "b1", 1), 10))
	about := func(seq, n int64, kind chat.Kind, text string) chat.Message {
		return chat.Message{Conversation: ab, Seq: seq, From: "alice", Device: "a1", N: n, Kind: kind, Target: 1, Text: text, At: at + seq}
	}
	amended := func(m chat.Message, a chat.Amendment) chat.Attempt {
		return chat.Attempt{Message: m, Bucket: 10, Amend: &a}
	}
	refused := func(name string, a chat.Attempt) {
		t.Helper()
		before := s.everything(t)
		if err := s.conversations.Append(t.Context(), a); !errors.Is(err, chat.ErrAmended) {
			t.Errorf("%s: Append = %v, want ErrAmended", name, err)
		}
		if diff := cmp.Diff(before, s.everything(t)); diff != "" {
			t.Errorf("%s: something was written (-before +after)\n%s", name, diff)
		}
	}
	refused("an edit that is not there", amended(about(3, 2, chat.KindEdit, "x"), chat.Amendment{Target: 1, Edited: 2}))
	refused("somebody else's text", amended(about(3, 2, chat.KindEdit, "x"), chat.Amendment{Target: 2}))
	s.append(t, amended(about(3, 2, chat.KindEdit, "second"), chat.Amendment{Target: 1}))
	refused("edited meanwhile", amended(about(4, 3, chat.KindEdit, "x"), chat.Amendment{Target: 1}))
	s.append(t, amended(about(4, 3, chat.KindEdit, "third"), chat.Amendment{Target: 1, Edited: 3}))
	check := func(want map[int64]string) {
		t.Helper()
		found, err := s.conversations.Entries(t.Context(), ab, 1, 10, 10, false)
		if err != nil || len(found) != len(want) {
			t.Fatalf("%d entries, %v", len(found), err)
		}
		for _, m := range found {
			if got := fmt.Sprint(m.Kind, " ", m.Text, m.Edited, m.Unsent); got != want[m.Seq] {
				t.Errorf("entry %d is %q, want %q", m.Seq, got, want[m.Seq])
			}
		}
	}
	check(map[int64]string{1: "text third4 0", 2: "text bob/b1 10 0", 3: "edit 0 0", 4: "edit third0 0"})
	s.append(t, amended(about(5, 4, chat.KindUnsend, ""), chat.Amendment{Target: 1, Edited: 4, Erase: true}))
	check(map[int64]string{1: "text 4 5", 2: "text bob/b1 10 0", 3: "edit 0 0", 4: "edit 0 0", 5: "unsend 0 0"})
	refused("unsent", amended(about(6, 5, chat.KindEdit, "x"), chat.Amendment{Target: 1, Edited: 4}))
	head, err := s.conversations.Head(t.Context(), ab)
	if err != nil || head.Texts != [2]int64{1, 1} || head.Saw != [2]int64{1, 1} {
		t.Errorf("head = %+v, %v, want a text of each, which the other has seen", head, err)
	}
}

// quota counts a user's new conversations of a day.
func quota(t *testing.T, s *suite) {
	s.register(t, "alice", "bob", "carol", "dave", "erin")
	begin := func(peer chat.User, q chat.Quota) error {
		m := text(1, "alice", "a1", 1)
		m.Conversation = chat.Between("alice", peer)
		a := create(m, 10)
		a.Quota = &q
		return s.conversations.Append(t.Context(), a)
	}
	for _, step := range []struct {
		peer chat.User
		q    chat.Quota
		lost *chat.Quota
	}{
		{"bob", chat.Quota{Day: 10}, nil},
		{"carol", chat.Quota{Day: 10}, &chat.Quota{Day: 10, Begun: 1}},
		{"carol", chat.Quota{Day: 10, Begun: 2}, &chat.Quota{Day: 10, Begun: 1}},
		{"carol", chat.Quota{Day: 10, Begun: 1}, nil},
		{"dave", chat.Quota{Day: 9}, &chat.Quota{Day: 10, Begun: 2}},
		{"dave", chat.Quota{Day: 11}, nil},
		{"erin", chat.Quota{Day: 11, Begun: 2}, &chat.Quota{Day: 11, Begun: 1}},
	} {
		err := begin(step.peer, step.q)
		var lost *chat.QuotaLost
		switch {
		case step.lost == nil && err != nil:
			t.Errorf("begin with %s (%+v) = %v", step.peer, step.q, err)
		case step.lost != nil && (!errors.As(err, &lost) || lost.Actual != *step.lost):
			t.Errorf("begin with %s (%+v) = %v, want %+v", step.peer, step.q, err, *step.lost)
		}
	}
}
