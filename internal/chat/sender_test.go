package chat_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/duet-chat/duet/internal/chat"
	"pgregory.net/rapid"
)

const ab = chat.ConversationID("alice~bob")

var day = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newSender(l *memLog) *chat.Sender {
	return &chat.Sender{
		Log: l,
		Now: func() time.Time { return day },
		Sleep: func(ctx context.Context, _ time.Duration) error {
			runtime.Gosched()
			return ctx.Err()
		},
	}
}

func draft(from chat.User, device chat.Device, n int64, seen int64) chat.Draft {
	return chat.Draft{
		Conversation: ab, From: from, Device: device, N: n, Seen: seen,
		Text: fmt.Sprintf("%s/%s %d", from, device, n),
	}
}

// A send is answered after one attempt when the guess is right, after two when it is not.
func TestSendRoundTrips(t *testing.T) {
	tests := []struct {
		name     string
		before   []chat.Draft
		draft    chat.Draft
		attempts int
		seq      int64
	}{
		{"first message of a conversation", nil, draft("alice", "a1", 1, 0), 1, 1},
		{"next of the same device", []chat.Draft{draft("alice", "a1", 1, 0)}, draft("alice", "a1", 2, 1), 1, 2},
		{"next of the same device, no guess", []chat.Draft{draft("alice", "a1", 1, 0)}, draft("alice", "a1", 2, 0), 1, 2},
		{"first of the peer", []chat.Draft{draft("alice", "a1", 1, 0)}, draft("bob", "b1", 1, 1), 1, 2},
		{"first of the peer, no guess", []chat.Draft{draft("alice", "a1", 1, 0)}, draft("bob", "b1", 1, 0), 2, 2},
		{"guess too low", []chat.Draft{draft("alice", "a1", 1, 0), draft("bob", "b1", 1, 1)}, draft("alice", "a1", 2, 1), 2, 3},
		{"guess too high", []chat.Draft{draft("alice", "a1", 1, 0)}, draft("alice", "a1", 2, 77), 2, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newMemLog("alice", "bob")
			s := newSender(l)
			for _, d := range tt.before {
				if _, err := s.Send(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			l.attempts, l.reads = 0, 0
			sent, err := s.Send(t.Context(), tt.draft)
			if err != nil || sent.Seq != tt.seq || sent.Duplicate {
				t.Fatalf("Send = %+v, %v, want seq %d", sent, err, tt.seq)
			}
			if l.attempts != tt.attempts || l.reads != 0 {
				t.Errorf("%d attempts and %d reads, want %d and 0", l.attempts, l.reads, tt.attempts)
			}
		})
	}
}

func TestSendRefusals(t *testing.T) {
	answering := func(d chat.Draft, to int64) chat.Draft { d.ReplyTo = to; return d }
	saying := func(d chat.Draft, text string) chat.Draft { d.Text = text; return d }
	tests := []struct {
		name  string
		draft chat.Draft
		code  chat.Code
		field string
		lastN int64 // -1: none
	}{
		{"n in the far future", draft("alice", "a1", 1000, 3), chat.OutOfOrder, "n", 2},
		{"n early and its predecessor never comes", draft("alice", "a1", 4, 3), chat.OutOfOrder, "n", 2},
		{"early in a conversation that does not exist", chat.Draft{Conversation: "alice~carol", From: "alice", Device: "a1", N: 2, Text: "x"}, chat.OutOfOrder, "n", 0},
		{"recipient not registered", chat.Draft{Conversation: "alice~nobody", From: "alice", Device: "a1", N: 1, Text: "x"}, chat.UnknownUser, "to", -1},
		{"reply to a message that is not there", answering(draft("alice", "a1", 3, 3), 4), chat.BadRequest, "reply_to", -1},
		{"a reset device numbers from the start again", saying(draft("alice", "a1", 1, 3), "new words"), chat.Conflict, "n", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newMemLog("alice", "bob", "carol")
			s := newSender(l)
			for _, d := range []chat.Draft{draft("alice", "a1", 1, 0), draft("bob", "b1", 1, 1), draft("alice", "a1", 2, 2)} {
				if _, err := s.Send(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			before := len(l.entries[ab])
			_, err := s.Send(t.Context(), tt.draft)
			var e *chat.Error
			if !errors.As(err, &e) || e.Code != tt.code || e.Field != tt.field {
				t.Fatalf("Send = %v, want %s (%s)", err, tt.code, tt.field)
			}
			if got := e.LastN; (got == nil) != (tt.lastN < 0) || got != nil && *got != tt.lastN {
				t.Errorf("last_n = %v, want %d", got, tt.lastN)
			}
			if len(l.entries[ab]) != before {
				t.Error("a refused send wrote something (G10)")
			}
		})
	}
}

// G2: however often and late a device repeats a send, the message stands once, and every repeat is
// answered with its place.
func TestG2_RepeatOfEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newMemLog("alice", "bob")
		s := newSender(l)
		ctx := context.Background()
		next := map[string]int64{}
		var sent []chat.Draft
		var seqs []int64
		for range rapid.IntRange(1, 300).Draw(t, "messages") {
			from := rapid.SampledFrom([]chat.User{"alice", "bob"}).Draw(t, "from")
			device := chat.Device(fmt.Sprint("d", rapid.IntRange(0, 6).Draw(t, "device")))
			key := string(from) + string(device)
			next[key]++
			d := draft(from, device, next[key], int64(rapid.IntRange(0, len(sent)+1).Draw(t, "seen")))
			r, err := s.Send(ctx, d)
			if err != nil || r.Duplicate || r.Seq != int64(len(sent)+1) {
				t.Fatalf("send %+v = %+v, %v", d, r, err)
			}
			sent, seqs = append(sent, d), append(seqs, r.Seq)
		}
		if len(l.heads[ab].Tails) > chat.MaxTails {
			t.Fatalf("%d tails in the head, want at most %d", len(l.heads[ab].Tails), chat.MaxTails)
		}
		for _, u := range []chat.User{"alice", "bob"} {
			unread := int64(0)
			for _, m := range l.entries[ab] {
				if unread++; m.From == u {
					unread = 0
				}
			}
			if got := l.heads[ab].Unread(ab.Side(u), 0); got != unread {
				t.Fatalf("%d unread by %s, want %d", got, u, unread)
			}
		}
		for i, d := range sent {
			r, err := s.Send(ctx, d)
			if err != nil || !r.Duplicate || r.Seq != seqs[i] {
				t.Fatalf("repeat %+v = %+v, %v, want seq %d", d, r, err, seqs[i])
			}
		}
		if len(l.entries[ab]) != len(sent) {
			t.Fatalf("%d entries after repeats, want %d", len(l.entries[ab]), len(sent))
		}
	})
}

// G3, G4: devices of both users pipeline at once, frames overtake each other, attempts meet other
// transactions and replies are lost after the commit; still there is one gapless log with every
// device's messages in the order of n.
func TestG3_G4_EverybodyAtOnce(t *testing.T) {
	const devices, each, inFlight = 3, 60, 8
	l := newMemLog("alice", "bob")
	rng := rand.New(rand.NewPCG(1, 2))
	l.fault = func(_ chat.Attempt, done bool) error {
		switch rng.IntN(10) {
		case 0:
			if !done {
				return chat.ErrBusy
			}
		case 1:
			return errors.New("the network failed") // before or after the commit: unknown to the caller
		}
		return nil
	}
	s := newSender(l)
	var wg sync.WaitGroup
	for _, user := range []chat.User{"alice", "bob"} {
		for i := range devices {
			device := chat.Device(fmt.Sprint("d", i))
			frames := make(chan int64)
			wg.Go(func() {
				for n := range int64(each) {
					frames <- n + 1
				}
				close(frames)
			})
			for range inFlight {
				wg.Go(func() {
					for n := range frames {
						for {
							_, err := s.Send(context.Background(), draft(user, device, n, 0))
							if err == nil {
								break
							}
							var e *chat.Error
							if !errors.As(err, &e) || !e.Retry {
								t.Errorf("%s/%s %d: %v", user, device, n, err)
								return
							}
						}
					}
				})
			}
		}
	}
	wg.Wait()
	last := map[chat.TailKey]int64{}
	for i, m := range l.entries[ab] {
		if m.Seq != int64(i+1) {
			t.Fatalf("entry %d has seq %d", i+1, m.Seq)
		}
		key := chat.NewTailKey(m.From, m.Device)
		if m.N != last[key]+1 {
			t.Fatalf("%s: n %d after %d", key, m.N, last[key])
		}
		last[key] = m.N
	}
	if got, want := len(l.entries[ab]), 2*devices*each; got != want {
		t.Errorf("%d entries, want %d", got, want)
	}
}

// What was stored by a request itself, though an answer on the way was lost, is no duplicate; what an
// earlier request stored is one.
func TestOwnLostAnswerIsNoDuplicate(t *testing.T) {
	l := newMemLog("alice", "bob")
	lost := 0
	l.fault = func(_ chat.Attempt, done bool) error {
		if done && lost == 0 {
			lost++
			return errors.New("the network failed")
		}
		return nil
	}
	s := newSender(l)
	sent, err := s.Send(t.Context(), draft("alice", "a1", 1, 0))
	if err != nil || sent.Seq != 1 || sent.Duplicate || lost != 1 {
		t.Errorf("Send = %+v, %v after %d lost answers, want seq 1, not a duplicate, after one", sent, err, lost)
	}
	again, err := s.Send(t.Context(), draft("alice", "a1", 1, 0))
	if err != nil || again.Seq != 1 || !again.Duplicate || again.At != sent.At {
		t.Errorf("Send again = %+v, %v, want a duplicate of %+v", again, err, sent)
	}
}

// A busy conversation ends in an answer that says when to try again, not in an endless wait.
func TestSendGivesUpBounded(t *testing.T) {
	l := newMemLog("alice", "bob")
	l.fault = func(chat.Attempt, bool) error { return chat.ErrBusy }
	_, err := newSender(l).Send(t.Context(), draft("alice", "a1", 1, 0))
	var e *chat.Error
	if !errors.As(err, &e) || e.Code != chat.Unavailable || !e.Retry || e.RetryAfter <= 0 {
		t.Fatalf("Send = %v, want unavailable with a time to try again", err)
	}
	if len(l.entries[ab]) != 0 {
		t.Error("something was written")
	}
}

// The first message of a day moves the conversation to that day's bucket, later ones do not.
func TestBucketIsEnteredOncePerDay(t *testing.T) {
	l := newMemLog("alice", "bob")
	s := newSender(l)
	now := day
	s.Now = func() time.Time { return now }
	var entered []bool
	l.fault = func(a chat.Attempt, done bool) error {
		if done {
			entered = append(entered, a.EnterBucket)
		}
		return nil
	}
	for i, at := range []time.Time{day, day.Add(time.Hour), day.Add(24 * time.Hour), day.Add(25 * time.Hour)} {
		now = at
		if _, err := s.Send(t.Context(), draft("alice", "a1", int64(i+1), int64(i))); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := fmt.Sprint(entered), "[true false true false]"; got != want {
		t.Errorf("entered = %s, want %s", got, want)
	}
	if l.attempts != 5 {
		t.Errorf("%d attempts, want 5: one lost guess, at the change of day", l.attempts)
	}
}
