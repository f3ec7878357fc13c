package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/internal/chat"
)

// text is a device's message number n at a place.
func text(seq int64, from chat.User, device chat.Device, n int64) chat.Message {
	return chat.Message{
		Conversation: ab, Seq: seq, From: from, Device: device, N: n, Kind: chat.KindText,
		Text: fmt.Sprintf("%s/%s %d", from, device, n), At: at + seq,
	}
}

// create, next and first are the attempts that a sender makes most.
func create(m chat.Message, bucket chat.Bucket) chat.Attempt {
	return chat.Attempt{Message: m, Create: true, FirstHere: true, NothingParked: true, Bucket: bucket, EnterBucket: true}
}

func next(m chat.Message, bucket chat.Bucket) chat.Attempt {
	return chat.Attempt{Message: m, Bucket: bucket}
}

func first(m chat.Message, bucket chat.Bucket) chat.Attempt {
	return chat.Attempt{Message: m, FirstHere: true, Bucket: bucket}
}

func (s *suite) register(t testing.TB, users ...chat.User) {
	t.Helper()
	for _, u := range users {
		if err := s.users.RegisterUser(t.Context(), u, time.UnixMilli(at)); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *suite) append(t testing.TB, attempts ...chat.Attempt) {
	t.Helper()
	for _, a := range attempts {
		if err := s.conversations.Append(t.Context(), a); err != nil {
			t.Fatalf("append %d of %s/%s at %d: %v", a.Message.N, a.Message.From, a.Message.Device, a.Message.Seq, err)
		}
	}
}

// full fills the head with the tails of eight devices of alice.
func (s *suite) full(t testing.TB) {
	t.Helper()
	s.register(t, "alice", "bob")
	s.append(t, create(text(1, "alice", "d1", 1), 10))
	for i := int64(2); i <= chat.MaxTails; i++ {
		s.append(t, first(text(i, "alice", chat.Device(fmt.Sprint("d", i)), 1), 10))
	}
}

func appendSucceeds(t *testing.T, s *suite) {
	s.register(t, "alice", "bob")
	check := func(step string, want *chat.Head) {
		t.Helper()
		got, err := s.conversations.Head(t.Context(), ab)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("head after %s: %v (-want +got)\n%s", step, err, diff)
		}
	}
	check("nothing", nil)

	reply := text(4, "alice", "a1", 2)
	reply.ReplyTo, reply.Text = 2, "„é😀\x01\" \n<&>"
	log := []chat.Message{
		text(1, "alice", "a1", 1), text(2, "bob", "b.1-_Z", 1), text(3, "bob", "b2", 1), reply, text(5, "bob", "b2", 2), text(6, "alice", "a1", 3),
	}
	s.append(t, create(log[0], 10))
	tails := map[chat.TailKey]chat.Tail{"alice/a1": {N: 1, Seq: 1}}
	check("the first message", &chat.Head{LastSeq: 1, At: at + 1, Bucket: 10, Tails: tails, Texts: [2]int64{1, 0}})

	blind := first(log[1], 10)
	blind.NothingParked = true
	s.append(t, blind)
	tails["bob/b.1-_Z"] = chat.Tail{N: 1, Seq: 2}
	check("the first one of another device", &chat.Head{LastSeq: 2, At: at + 2, Bucket: 10, Tails: tails, Texts: [2]int64{1, 1}, Saw: [2]int64{0, 1}})

	// A function whose clock is behind: the conversation stays where it is.
	s.append(t, first(log[2], 9))
	tails["bob/b2"] = chat.Tail{N: 1, Seq: 3}
	check("one from the day before", &chat.Head{LastSeq: 3, At: at + 3, Bucket: 10, Tails: tails, Texts: [2]int64{1, 2}, Saw: [2]int64{0, 1}})

	s.append(t, next(log[3], 10))
	tails["alice/a1"] = chat.Tail{N: 2, Seq: 4}
	check("the next one", &chat.Head{LastSeq: 4, At: at + 4, Bucket: 10, Tails: tails, Texts: [2]int64{2, 2}, Saw: [2]int64{2, 1}})

	enter := next(log[4], 11)
	enter.EnterBucket = true
	s.append(t, enter)
	tails["bob/b2"] = chat.Tail{N: 2, Seq: 5}
	check("the first one of a day", &chat.Head{LastSeq: 5, At: at + 5, Bucket: 11, Tails: tails, Texts: [2]int64{2, 3}, Saw: [2]int64{2, 2}})
	for _, u := range []chat.User{"alice", "bob"} {
		rows, complete, err := s.inbox.Active(t.Context(), u, 0, 0, 10)
		if want := []chat.Row{{Conversation: ab, Bucket: 11}}; err != nil || !complete || !cmp.Equal(rows, want) {
			t.Errorf("conversations of %s = %+v, %v, %v, want %+v", u, rows, complete, err, want)
		}
	}

	park := next(log[5], 11)
	park.Park = &chat.ParkedTail{Key: "bob/b.1-_Z", Tail: tails["bob/b.1-_Z"]}
	s.append(t, park)
	delete(tails, "bob/b.1-_Z")
	tails["alice/a1"] = chat.Tail{N: 3, Seq: 6}
	check("a tail was parked", &chat.Head{LastSeq: 6, At: at + 6, Bucket: 11, Tails: tails, Parked: true, Texts: [2]int64{3, 3}, Saw: [2]int64{3, 2}})
	for key, want := range map[chat.TailKey]chat.Tail{"bob/b.1-_Z": {N: 1, Seq: 2}, "alice/a1": {}, "carol/c": {}} {
		if got, err := s.conversations.Parked(t.Context(), ab, key); err != nil || got != want {
			t.Errorf("Parked(%s) = %+v, %v, want %+v", key, got, err, want)
		}
	}
	// A parked tail is no conversation.
	if head, err := s.conversations.Head(t.Context(), "alice~bob#x"); err != nil || head != nil {
		t.Errorf("Head of a parked tail's prefix = %+v, %v", head, err)
	}

	got, err := s.conversations.Entries(t.Context(), ab, 1, 100, 100, false)
	if diff := cmp.Diff(log, got); err != nil || diff != "" {
		t.Errorf("entries: %v (-want +got)\n%s", err, diff)
	}
}

// Each refused attempt says why, and leaves nothing behind (G10).
func appendRefused(t *testing.T, s *suite) {
	two := func(t testing.TB) *chat.Head {
		s.register(t, "alice", "bob")
		s.append(t, create(text(1, "alice", "a1", 1), 10), first(text(2, "bob", "b1", 1), 10))
		return &chat.Head{LastSeq: 2, At: at + 2, Bucket: 10, Tails: map[chat.TailKey]chat.Tail{"alice/a1": {N: 1, Seq: 1}, "bob/b1": {N: 1, Seq: 2}}, Texts: [2]int64{1, 1}, Saw: [2]int64{0, 1}}
	}
	head := two(t)
	otherwise := func(a chat.Attempt, change func(*chat.Attempt)) chat.Attempt { change(&a); return a }
	in := func(c chat.ConversationID, a chat.Attempt) chat.Attempt { a.Message.Conversation = c; return a }
	tests := []struct {
		name string
		a    chat.Attempt
		head *chat.Head // of *chat.Lost
		err  error      // or another error
	}{
		{name: "it exists already", a: create(text(1, "alice", "a2", 1), 10), head: head},
		{name: "it does not exist", a: in("alice~carol", next(text(1, "alice", "a1", 1), 10)), head: nil},
		{name: "it does not exist, device unknown", a: in("alice~carol", first(text(1, "alice", "a1", 1), 10)), head: nil},
		{name: "the guess is too low", a: next(text(2, "alice", "a1", 2), 10), head: head},
		{name: "the guess is too high", a: next(text(4, "alice", "a1", 2), 10), head: head},
		{name: "n was accepted before", a: next(text(3, "alice", "a1", 1), 10), head: head},
		{name: "n is early", a: next(text(3, "alice", "a1", 3), 10), head: head},
		{name: "the device has no tail", a: next(text(3, "alice", "a2", 2), 10), head: head},
		{name: "the device has a tail", a: first(text(3, "alice", "a1", 1), 10), head: head},
		{name: "the day is a new one", a: next(text(3, "alice", "a1", 2), 11), head: head},
		{name: "the recipient is unknown", a: in("alice~nobody", create(text(1, "alice", "a1", 1), 10)), err: chat.ErrUnknownUser},
		{name: "parking lost as well", a: otherwise(first(text(9, "alice", "a9", 1), 10), func(a *chat.Attempt) {
			a.Park = &chat.ParkedTail{Key: "bob/b1", Tail: chat.Tail{N: 1, Seq: 2}}
		}), head: head},
		{name: "entering a day lost as well", a: otherwise(next(text(9, "alice", "a1", 2), 11), func(a *chat.Attempt) { a.EnterBucket = true }), head: head},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { s.refused(t, tt.a, tt.head, tt.err) })
	}

	t.Run("a tail is parked", func(t *testing.T) {
		park := first(text(3, "alice", "a2", 1), 10)
		park.Park = &chat.ParkedTail{Key: "alice/a1", Tail: chat.Tail{N: 1, Seq: 1}}
		s.append(t, park)
		blind := first(text(4, "alice", "a1", 1), 10)
		blind.NothingParked = true
		s.refused(t, blind, &chat.Head{LastSeq: 3, At: at + 3, Bucket: 10, Parked: true, Tails: map[chat.TailKey]chat.Tail{"alice/a2": {N: 1, Seq: 3}, "bob/b1": {N: 1, Seq: 2}}, Texts: [2]int64{2, 1}, Saw: [2]int64{1, 1}}, nil)
	})
	t.Run("the log is ahead of its head", func(t *testing.T) {
		s.putAll(t, s.Messages, []item{{"conversation": str(string(ab)), "seq": num(4), "text": str("stands already")}})
		before := s.everything(t)
		err := s.conversations.Append(t.Context(), next(text(4, "alice", "a2", 2), 10))
		var lost *chat.Lost
		if err == nil || errors.As(err, &lost) || errors.Is(err, chat.ErrBusy) || errors.Is(err, chat.ErrUnknownUser) {
			t.Errorf("Append = %v, want an error that is none of a sender's", err)
		}
		if diff := cmp.Diff(before, s.everything(t)); diff != "" {
			t.Errorf("something was written (-before +after)\n%s", diff)
		}
	})
}

// refused makes an attempt that must fail with *chat.Lost and this head, or with err.
func (s *suite) refused(t testing.TB, a chat.Attempt, head *chat.Head, want error) {
	t.Helper()
	before := s.everything(t)
	err := s.conversations.Append(t.Context(), a)
	var lost *chat.Lost
	switch {
	case want != nil:
		if !errors.Is(err, want) {
			t.Errorf("Append = %v, want %v", err, want)
		}
	case !errors.As(err, &lost):
		t.Errorf("Append = %v, want *chat.Lost", err)
	default:
		if diff := cmp.Diff(head, lost.Head); diff != "" {
			t.Errorf("the head that came back (-want +got)\n%s", diff)
		}
	}
	if diff := cmp.Diff(before, s.everything(t)); diff != "" {
		t.Errorf("something was written (-before +after)\n%s", diff)
	}
}

// appendAtOnce makes the same attempt from many sides: one wins (G3).
func appendAtOnce(t *testing.T, s *suite) {
	s.full(t)
	t.Run("a full head", func(t *testing.T) {
		head, err := s.conversations.Head(t.Context(), ab)
		if err != nil || len(head.Tails) != chat.MaxTails {
			t.Fatalf("Head = %+v, %v, want %d tails", head, err, chat.MaxTails)
		}
		blind := first(text(chat.MaxTails+1, "bob", "b1", 1), 10)
		blind.NothingParked = true
		s.refused(t, blind, head, nil)
	})
	const sides = 8
	for seq := int64(chat.MaxTails + 1); seq <= chat.MaxTails+10; seq++ {
		var wg sync.WaitGroup
		won := make(chan string, sides)
		for side := range sides {
			wg.Go(func() {
				m := text(seq, "alice", "d1", seq-chat.MaxTails+1)
				m.Text = fmt.Sprint("from side ", side)
				for {
					err := s.conversations.Append(t.Context(), next(m, 10))
					var lost *chat.Lost
					switch {
					case errors.Is(err, chat.ErrBusy):
						continue // said to be possible, and to have written nothing
					case err == nil:
						won <- m.Text
					case !errors.As(err, &lost) || lost.Head == nil || lost.Head.LastSeq != seq:
						t.Errorf("Append at %d = %v, want *chat.Lost with the head of the winner", seq, err)
					}
					return
				}
			})
		}
		wg.Wait()
		close(won)
		found, err := s.conversations.Entries(t.Context(), ab, seq, seq, 2, false)
		if err != nil || len(found) != 1 || len(won) != 1 {
			t.Fatalf("%d winners, entries %+v, %v, want one of each", len(won), found, err)
		}
		if winner := <-won; found[0].Text != winner {
			t.Errorf("entry %d is %q, but %q won", seq, found[0].Text, winner)
		}
	}
}
