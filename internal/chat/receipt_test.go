package chat_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/duet-chat/duet/internal/chat"
)

// memShelf is alice's and bob's chat.Shelf over one log in memory.
type memShelf struct {
	log *memLog

	mu    sync.Mutex // guards the fields below
	rows  map[chat.User]*chat.Membership
	noted map[chat.User]chat.Bucket // the newest day on which the conversation is listed as changed
	notes int
	read  int64 // entries passed by counting
	// fault, if set, is asked before each call.
	fault func(call string) error
}

func newMemShelf(l *memLog) *memShelf {
	s := &memShelf{log: l, rows: map[chat.User]*chat.Membership{}, noted: map[chat.User]chat.Bucket{}}
	for _, u := range []chat.User{"alice", "bob"} {
		s.rows[u] = &chat.Membership{Conversation: ab}
	}
	return s
}

func (s *memShelf) asked(call string) error {
	if s.fault == nil {
		return nil
	}
	return s.fault(call)
}

func (s *memShelf) Standing(ctx context.Context, u chat.User, c chat.ConversationID) (*chat.Head, *chat.Membership, error) {
	head, err := s.log.Head(ctx, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(err, s.asked("standing")); err != nil {
		return nil, nil, err
	}
	if c != ab || s.rows[u] == nil {
		return head, nil, nil
	}
	own := *s.rows[u]
	return head, &own, nil
}

func (s *memShelf) Advance(_ context.Context, u chat.User, from, to chat.Membership) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.asked("advance"); err != nil {
		return err
	}
	row := s.rows[u]
	if row.Receipt() != from.Receipt() {
		return &chat.Moved{Actual: *row}
	}
	*row = to
	return s.asked("advanced")
}

func (s *memShelf) NoteChange(_ context.Context, u chat.User, _ chat.ConversationID, day chat.Bucket) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.asked("note"); err != nil {
		return err
	}
	s.notes++
	s.noted[u] = max(s.noted[u], day)
	return nil
}

func (s *memShelf) Texts(ctx context.Context, c chat.ConversationID, from chat.User, first, last int64) (int64, error) {
	found, err := s.log.Entries(ctx, c, first, last, 1<<20, false)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.asked("texts"); err != nil {
		return 0, err
	}
	s.read += int64(len(found))
	return int64(len(slices.DeleteFunc(found, func(m chat.Message) bool { return m.From != from || m.Kind != chat.KindText }))), err
}

// reading is bob's log with alice, whose entries are given as "a" and "b" for a text of each, "e" and "u"
// for an edit and an unsend of alice's first text, "r" for alice's reaction to it.
func reading(t testing.TB, entries string) (*memLog, *memShelf, *chat.Receipts) {
	t.Helper()
	l := newMemLog("alice", "bob")
	s := newSender(l)
	n := map[rune]int64{}
	for _, e := range entries {
		who := 'a'
		if e == 'b' {
			who = 'b'
		}
		n[who]++
		switch e {
		case 'a':
			talk(t, s, draft("alice", "a1", n[who], 0))
		case 'b':
			talk(t, s, draft("bob", "b1", n[who], 0))
		case 'e':
			talk(t, s, amends(chat.KindEdit, n[who], 1, fmt.Sprint("edit ", n[who])))
		case 'u':
			talk(t, s, amends(chat.KindUnsend, n[who], 1, ""))
		case 'r':
			talk(t, s, amends(chat.KindReaction, n[who], 1, "👍"))
		}
	}
	shelf := newMemShelf(l)
	return l, shelf, &chat.Receipts{Shelf: shelf, Now: func() time.Time { return day }}
}

func TestReceiptsMoveForward(t *testing.T) {
	_, shelf, r := reading(t, "aaaaaaaa")
	steps := []struct {
		name string
		ack  chat.Receipt
		want chat.Acked
	}{
		{"delivered", chat.Receipt{Delivered: 5}, chat.Acked{Receipt: chat.Receipt{Delivered: 5}, Tell: true, TellPeer: true}},
		{"read", chat.Receipt{Read: 3}, chat.Acked{Receipt: chat.Receipt{Delivered: 5, Read: 3}, Tell: true, TellPeer: true}},
		{"read what was not delivered: it is now", chat.Receipt{Read: 6}, chat.Acked{Receipt: chat.Receipt{Delivered: 6, Read: 6}, Tell: true, TellPeer: true}},
		{"repeated: told again", chat.Receipt{Read: 6}, chat.Acked{Receipt: chat.Receipt{Delivered: 6, Read: 6}, Tell: true, TellPeer: true}},
		{"back", chat.Receipt{Delivered: 4, Read: 2}, chat.Acked{Receipt: chat.Receipt{Delivered: 6, Read: 6}}},
		{"one forward, one back", chat.Receipt{Delivered: 8, Read: 1}, chat.Acked{Receipt: chat.Receipt{Delivered: 8, Read: 6}, Tell: true, TellPeer: true}},
	}
	for _, step := range steps {
		got, err := r.Ack(t.Context(), "bob", ab, step.ack)
		if err != nil || got != step.want {
			t.Errorf("%s: Ack(%+v) = %+v, %v, want %+v", step.name, step.ack, got, err, step.want)
		}
	}
	if shelf.notes != 1 {
		t.Errorf("the change was noted %d times for the peer, want once a day", shelf.notes)
	}
}

func TestAckRefusals(t *testing.T) {
	_, shelf, r := reading(t, "aa")
	delete(shelf.rows, "alice")
	tests := []struct {
		name  string
		user  chat.User
		c     chat.ConversationID
		ack   chat.Receipt
		code  chat.Code
		field string
	}{
		{"delivered beyond the end", "bob", ab, chat.Receipt{Delivered: 3}, chat.BadRequest, "delivered"},
		{"read beyond the end", "bob", ab, chat.Receipt{Delivered: 1, Read: 3}, chat.BadRequest, "read"},
		{"only delivered is beyond the end", "bob", ab, chat.Receipt{Delivered: 3, Read: 2}, chat.BadRequest, "delivered"},
		{"a conversation that has not begun", "bob", "bob~carol", chat.Receipt{Read: 1}, chat.NotFound, "conversation"},
		{"a user without a row", "alice", ab, chat.Receipt{Read: 1}, chat.NotFound, "conversation"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := r.Ack(t.Context(), tt.user, tt.c, tt.ack)
			if e := refusal(t, err, tt.code); e.Field != tt.field {
				t.Errorf("field = %q, want %q", e.Field, tt.field)
			}
		})
	}
	if *shelf.rows["bob"] != (chat.Membership{Conversation: ab}) {
		t.Errorf("a refused ack wrote %+v (G10)", shelf.rows["bob"])
	}
}

// Unread counts the peer's texts behind what was read: amendments are none, and an unsent one stays one.
// Of what is read and what is left, the shorter part is counted.
func TestUnreadAfterAPart(t *testing.T) {
	for _, entries := range []string{"aaaaaaaaaa", "aeraeraera", "abrabrabra", "aaaauaaaaa", "aeeeeeeeea", "bbbbbabbba"} {
		for read := int64(1); read <= int64(len(entries)); read++ {
			for then := read; then <= int64(len(entries)); then++ {
				l, shelf, r := reading(t, entries)
				l.heads[ab].Saw = [2]int64{} // what writing says about reading is another matter
				for _, to := range []int64{read, then} {
					if _, err := r.Ack(t.Context(), "bob", ab, chat.Receipt{Read: to}); err != nil {
						t.Fatal(err)
					}
					want := int64(0)
					for _, m := range l.entries[ab][to:] {
						if m.From == "alice" && m.Kind == chat.KindText {
							want++
						}
					}
					if got := l.heads[ab].Unread(1, shelf.rows["bob"].ReadTexts); got != want {
						t.Fatalf("%s: %d unread after reading to %d by way of %d, want %d", entries, got, to, read, want)
					}
				}
				if most := int64(len(entries)); shelf.read > most {
					t.Errorf("%s: %d entries were counted", entries, shelf.read)
				}
			}
		}
	}
	l, shelf, r := reading(t, "aaaaaaaaaa")
	if _, err := r.Ack(t.Context(), "bob", ab, chat.Receipt{Read: 9}); err != nil || shelf.read != 1 {
		t.Errorf("%d entries were counted, %v, want the one that is left", shelf.read, err)
	}
	if _, err := r.Ack(t.Context(), "bob", ab, chat.Receipt{Read: 10}); err != nil || shelf.read != 1 || l.heads[ab].Unread(1, shelf.rows["bob"].ReadTexts) != 0 {
		t.Errorf("%d entries were counted, %v, want none for all that there is", shelf.read, err)
	}
}

// Devices of one user acknowledge at once: the receipt never goes back, and ends where the furthest is.
func TestAcksAtOnce(t *testing.T) {
	const devices = 6
	l, shelf, r := reading(t, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	last := chat.Receipt{}
	shelf.fault = func(call string) error {
		if now := shelf.rows["bob"].Receipt(); call == "advanced" && (now.Read < last.Read || now.Delivered < last.Delivered) {
			t.Errorf("the receipt went back from %+v to %+v", last, now)
		} else if call == "advanced" {
			last = now
		}
		return nil
	}
	var wg sync.WaitGroup
	for i := range int64(devices) {
		wg.Go(func() {
			for seq := i%3 + 1; seq <= 30; seq += 3 {
				ack := chat.Receipt{Delivered: seq}
				if i < 3 {
					ack = chat.Receipt{Read: seq}
				}
				for {
					got, err := r.Ack(context.Background(), "bob", ab, ack)
					var e *chat.Error
					if errors.As(err, &e) && e.Retry {
						continue // more went through than one waits for
					}
					if err != nil || got.Receipt.Delivered < seq {
						t.Errorf("Ack(%+v) = %+v, %v", ack, got, err)
					}
					break
				}
			}
		})
	}
	wg.Wait()
	if got := shelf.rows["bob"]; got.Receipt() != (chat.Receipt{Delivered: 30, Read: 30}) || got.ReadTexts != l.heads[ab].Texts[0] {
		t.Errorf("row = %+v, want all read", got)
	}
}

// An ack that fails anywhere can be repeated: the peer's sync is told of the change, whichever step failed.
func TestAckThatFailedHalfWayIsFinishedByItsRepeat(t *testing.T) {
	for _, step := range []string{"standing", "texts", "advance", "advanced", "note"} {
		t.Run(step, func(t *testing.T) {
			_, shelf, r := reading(t, "aaaa")
			failed := false
			shelf.fault = func(call string) error {
				if call == step && !failed {
					failed = true
					return errors.New("the network failed")
				}
				return nil
			}
			if _, err := r.Ack(t.Context(), "bob", ab, chat.Receipt{Read: 1}); err == nil || !failed {
				t.Fatalf("Ack = %v, want the fault", err)
			}
			got, err := r.Ack(t.Context(), "bob", ab, chat.Receipt{Read: 1})
			if want := (chat.Acked{Receipt: chat.Receipt{Delivered: 1, Read: 1}, Tell: true, TellPeer: true}); err != nil || got != want {
				t.Errorf("repeat = %+v, %v, want %+v", got, err, want)
			}
			if got, want := shelf.noted["alice"], chat.BucketAt(day.UnixMilli()); got != want {
				t.Errorf("the change is listed for the peer on day %d, want %d", got, want)
			}
			if got := *shelf.rows["bob"]; got.ReadTexts != 1 {
				t.Errorf("row = %+v, want one text read", got)
			}
		})
	}
}

// While the conversation is shut, whoever shut it, a receipt moves, for the own devices alone: the peer is
// not told, neither live nor by a sync.
func TestShutConversationsTellThePeerNothing(t *testing.T) {
	for name, shut := range map[string]chat.Shut{
		"by the peer": {Blocked: [2]bool{true, false}}, "by the user": {Blocked: [2]bool{false, true}}, "the peer is gone": {Gone: [2]bool{true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			l, shelf, r := reading(t, "aaaa")
			l.heads[ab].Shut = shut
			for range 2 {
				got, err := r.Ack(t.Context(), "bob", ab, chat.Receipt{Read: 2})
				if want := (chat.Acked{Receipt: chat.Receipt{Delivered: 2, Read: 2}, Tell: true}); err != nil || got != want {
					t.Errorf("Ack = %+v, %v, want %+v", got, err, want)
				}
			}
			if shelf.notes != 0 {
				t.Error("the change is listed for the peer")
			}
			// Once it is open again, the next receipt is listed, on the same day too.
			l.heads[ab].Shut = chat.Shut{}
			if _, err := r.Ack(t.Context(), "bob", ab, chat.Receipt{Read: 3}); err != nil || shelf.notes != 1 {
				t.Errorf("%d changes noted, %v, want one", shelf.notes, err)
			}
		})
	}
}

// A block changes the row as well: it must not pass for a receipt that the peer was told of.
func TestReceiptOnTheDayOfABlockIsListedForThePeer(t *testing.T) {
	_, shelf, r := reading(t, "aaaa")
	shelf.rows["bob"].ChangedAt = day.UnixMilli() // as the end of a block leaves it
	if _, err := r.Ack(t.Context(), "bob", ab, chat.Receipt{Read: 3}); err != nil || shelf.noted["alice"] == 0 {
		t.Errorf("noted = %v, %v, want the change listed for the peer", shelf.noted, err)
	}
}

// The first receipt of each day is listed.
func TestReceiptsAreListedOncePerDay(t *testing.T) {
	_, shelf, r := reading(t, "aaaaaa")
	now := day
	r.Now = func() time.Time { return now }
	for i, at := range []time.Time{day, day.Add(time.Hour), day.Add(24 * time.Hour), day.Add(25 * time.Hour), day.Add(72 * time.Hour)} {
		now = at
		if _, err := r.Ack(t.Context(), "bob", ab, chat.Receipt{Read: int64(i + 1)}); err != nil {
			t.Fatal(err)
		}
		if got, want := shelf.noted["alice"], chat.BucketAt(at.UnixMilli()); got != want {
			t.Errorf("receipt %d is listed on day %d, want %d", i+1, got, want)
		}
	}
	if shelf.notes != 3 {
		t.Errorf("noted %d times, want 3", shelf.notes)
	}
}
