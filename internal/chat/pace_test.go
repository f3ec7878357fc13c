package chat_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/duet-chat/duet/internal/chat"
)

// limited is a sender with limits, and a clock to set.
func limited(l *memLog, now *time.Time) *chat.Sender {
	s := newSender(l)
	s.PerMinute, s.NewPerDay = 3, 2
	s.Now = func() time.Time { return *now }
	return s
}

// A side's entries of a minute of the clock are counted, each once; the wait that a refusal names
// ends with the minute.
func TestPaceOfAMinute(t *testing.T) {
	l := newMemLog("alice", "bob")
	now := day.Add(59*time.Second + 990*time.Millisecond)
	s := limited(l, &now)
	for n := range int64(3) { // the one that begins the conversation is counted
		if _, err := s.Send(t.Context(), draft("alice", "a1", n+1, n)); err != nil {
			t.Fatal(err)
		}
	}
	for _, seen := range []int64{0, 3} {
		_, err := s.Send(t.Context(), draft("alice", "a1", 4, seen))
		if e := refusal(t, err, chat.RateLimited); !e.Retry || e.RetryAfter != 10*time.Millisecond {
			t.Errorf("refusal = %+v, want to try again in 10ms", e)
		}
	}
	other := draft("alice", "a2", 1, 3)
	if _, err := s.Send(t.Context(), other); err == nil {
		t.Error("another device of the same user has a limit of its own")
	}
	if sent, err := s.Send(t.Context(), draft("alice", "a1", 2, 3)); err != nil || !sent.Duplicate {
		t.Errorf("a repeat beyond the limit = %+v, %v, want a duplicate", sent, err)
	}
	if _, err := s.Send(t.Context(), draft("bob", "b1", 1, 3)); err != nil {
		t.Errorf("the peer's own limit: %v", err)
	}
	now = now.Add(10 * time.Millisecond)
	for n := range int64(3) {
		if _, err := s.Send(t.Context(), draft("alice", "a1", n+4, n+4)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Send(t.Context(), draft("alice", "a1", 7, 7))
	if e := refusal(t, err, chat.RateLimited); e.RetryAfter != time.Minute {
		t.Errorf("refusal at the first moment of a minute = %+v, want a minute", e)
	}
	if got := len(l.entries[ab]); got != 7 {
		t.Errorf("%d entries, want 7", got)
	}
}

// Every kind of entry counts, and one whose answer was lost counts once.
func TestPaceCountsEachEntryOnce(t *testing.T) {
	l := newMemLog("alice", "bob")
	now := day
	s := limited(l, &now)
	l.fault = func(_ chat.Attempt, done bool) error {
		if done {
			return errors.New("the network failed")
		}
		return nil
	}
	for i, d := range []chat.Draft{
		draft("alice", "a1", 1, 0),
		amends(chat.KindReaction, 2, 1, "👍"),
		amends(chat.KindEdit, 3, 1, "again"),
	} {
		if sent, err := s.Send(t.Context(), d); err != nil || sent.Duplicate || sent.Seq != int64(i+1) {
			t.Fatalf("entry %d = %+v, %v", i+1, sent, err)
		}
	}
	if got := l.heads[ab].Pace[0]; got != (chat.Pace{Slot: chat.PaceSlot(day.UnixMilli()), Count: 3}) {
		t.Errorf("pace = %+v, want 3 counted", got)
	}
	_, err := s.Send(t.Context(), amends(chat.KindUnsend, 4, 1, ""))
	refusal(t, err, chat.RateLimited)
}

// Minutes are told apart by slots, which come round.
func TestPaceSlots(t *testing.T) {
	l := newMemLog("alice", "bob")
	now := day
	s := limited(l, &now)
	n := int64(0)
	for minute := range chat.PaceSlots {
		now = day.Add(time.Duration(minute) * time.Minute)
		for range 3 {
			if _, err := s.Send(t.Context(), draft("alice", "a1", n+1, n)); err != nil {
				t.Fatalf("minute %d: %v", minute, err)
			}
			n++
		}
		if _, err := s.Send(t.Context(), draft("alice", "a1", n+1, n)); err == nil {
			t.Fatalf("minute %d: a fourth was taken", minute)
		}
	}
	// A whole round later an entry of another minute has emptied the slot.
	now = day.Add(chat.PaceSlots * time.Minute)
	if _, err := s.Send(t.Context(), draft("alice", "a1", n+1, n)); err != nil {
		t.Errorf("a round of the slots later: %v", err)
	}
	for i, at := range []int64{0, 59_999, 60_000, 8*60_000 - 1, 8 * 60_000} {
		if got, want := chat.PaceSlot(at), []int{0, 0, 1, 7, 0}[i]; got != want {
			t.Errorf("PaceSlot(%d) = %d, want %d", at, got, want)
		}
	}
}

// begin is alice's first message to a peer.
func begin(peer chat.User) chat.Draft {
	d := draft("alice", "a1", 1, 0)
	d.Conversation = chat.Between("alice", peer)
	return d
}

// A user begins so many conversations on a day, UTC; the refusal says when the next day is.
func TestQuotaOfADay(t *testing.T) {
	l := newMemLog("alice", "bob", "carol", "dave", "erin", "frank")
	now := day.Add(11*time.Hour + 59*time.Minute)
	s := limited(l, &now)
	for _, peer := range []chat.User{"bob", "carol"} {
		if _, err := s.Send(t.Context(), begin(peer)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Send(t.Context(), begin("dave"))
	if e := refusal(t, err, chat.RateLimited); !e.Retry || e.RetryAfter != time.Minute {
		t.Errorf("refusal = %+v, want to try again in a minute, at midnight", e)
	}
	if l.heads["alice~dave"] != nil {
		t.Error("a refused message began a conversation")
	}
	// What goes on, or repeats, is not begun; what others begin is theirs.
	for _, d := range []chat.Draft{begin("bob"), draft("alice", "a1", 2, 1), draft("alice", "a2", 1, 0)} {
		if _, err := s.Send(t.Context(), d); err != nil {
			t.Errorf("%+v: %v", d, err)
		}
	}
	theirs := begin("dave")
	theirs.From, theirs.Device = "dave", "d1"
	if _, err := s.Send(t.Context(), theirs); err != nil {
		t.Errorf("the peer begins: %v", err)
	}
	now = now.Add(time.Minute)
	for _, peer := range []chat.User{"erin", "frank"} {
		if _, err := s.Send(t.Context(), begin(peer)); err != nil {
			t.Errorf("on the next day: %v", err)
		}
	}
}

// A conversation whose answer was lost is counted once.
func TestQuotaCountsEachConversationOnce(t *testing.T) {
	l := newMemLog("alice", "bob", "carol", "dave")
	now := day
	s := limited(l, &now)
	l.fault = func(_ chat.Attempt, done bool) error {
		if done {
			return errors.New("the network failed")
		}
		return nil
	}
	for _, peer := range []chat.User{"bob", "carol"} {
		for range 2 {
			if sent, err := s.Send(t.Context(), begin(peer)); err != nil || sent.Seq != 1 {
				t.Fatalf("begin with %s = %+v, %v", peer, sent, err)
			}
		}
	}
	if got, want := l.begun["alice"], (chat.Quota{Day: chat.BucketAt(day.UnixMilli()), Begun: 2}); got != want {
		t.Errorf("quota = %+v, want %+v", got, want)
	}
}

// A block that was taken back leaves a head without messages: the first one begins the conversation.
func TestQuotaCountsWhatABlockCameBefore(t *testing.T) {
	l := newMemLog("alice", "bob", "carol", "dave")
	now := day
	s := limited(l, &now)
	for i, peer := range []chat.User{"bob", "carol", "dave"} {
		l.heads[chat.Between("alice", peer)] = &chat.Head{Tails: map[chat.TailKey]chat.Tail{}}
		_, err := s.Send(t.Context(), begin(peer))
		if i < s.NewPerDay && err != nil {
			t.Fatal(err)
		}
		if i == s.NewPerDay {
			refusal(t, err, chat.RateLimited)
		}
	}
}

// Around midnight the functions' clocks differ: what one has counted on the new day already, counts there.
func TestQuotaWhereAnotherClockIsAhead(t *testing.T) {
	l := newMemLog("alice", "bob", "carol", "dave")
	now := day.Add(12*time.Hour - time.Millisecond)
	s := limited(l, &now)
	tomorrow := chat.BucketAt(now.UnixMilli()) + 1
	l.begun["alice"] = chat.Quota{Day: tomorrow, Begun: 1}
	if _, err := s.Send(t.Context(), begin("bob")); err != nil {
		t.Fatal(err)
	}
	if got, want := l.begun["alice"], (chat.Quota{Day: tomorrow, Begun: 2}); got != want {
		t.Errorf("quota = %+v, want %+v", got, want)
	}
	_, err := s.Send(t.Context(), begin("carol"))
	if e := refusal(t, err, chat.RateLimited); e.RetryAfter != 24*time.Hour+time.Millisecond {
		t.Errorf("refusal = %+v, want until the end of the day that is full", e)
	}
}

// Attempts that meet on the same count lose, and count on.
func TestQuotaOfConversationsBegunAtOnce(t *testing.T) {
	var peers []chat.User
	for i := range 20 {
		peers = append(peers, chat.User(fmt.Sprint("peer", i)))
	}
	l := newMemLog(peers...)
	now := day
	s := limited(l, &now)
	s.NewPerDay = 12
	outcomes := make(chan error)
	for _, peer := range peers {
		go func() {
			_, err := s.Send(t.Context(), begin(peer))
			outcomes <- err
		}()
	}
	begun := 0
	for range peers {
		var e *chat.Error
		switch err := <-outcomes; {
		case err == nil:
			begun++
		case !errors.As(err, &e) || e.Code != chat.RateLimited:
			t.Errorf("begin = %v, want it begun or rate_limited", err)
		}
	}
	if begun != s.NewPerDay || l.begun["alice"].Begun != int64(s.NewPerDay) {
		t.Errorf("%d begun, %d counted, want %d", begun, l.begun["alice"].Begun, s.NewPerDay)
	}
}
