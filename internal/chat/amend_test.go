package chat_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duet-chat/duet/internal/chat"
)

// amends is alice's draft about another message. said is the emoji of a reaction, otherwise the text.
func amends(kind chat.Kind, n, target int64, said string) chat.Draft {
	d := chat.Draft{Conversation: ab, From: "alice", Device: "a1", N: n, Kind: kind, Target: target, Text: said}
	if kind == chat.KindReaction {
		d.Text, d.Emoji = "", said
	}
	return d
}

// by gives a draft another author.
func by(d chat.Draft, u chat.User, device chat.Device) chat.Draft {
	d.From, d.Device = u, device
	return d
}

// refusal is the refusal that an error is.
func refusal(t testing.TB, err error, code chat.Code) *chat.Error {
	t.Helper()
	var e *chat.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("error = %v, want %s", err, code)
	}
	return e
}

// talk sends drafts that must all be taken, one after another.
func talk(t testing.TB, s *chat.Sender, drafts ...chat.Draft) []chat.Sent {
	t.Helper()
	var all []chat.Sent
	for i, d := range drafts {
		sent, err := s.Send(t.Context(), d)
		if err != nil || sent.Duplicate {
			t.Fatalf("draft %d (%+v) = %+v, %v", i, d, sent, err)
		}
		all = append(all, sent)
	}
	return all
}

// shown is the log as "kind text emoji edited unsent".
func shown(l *memLog) string {
	var lines []string
	for _, m := range l.entries[ab] {
		lines = append(lines, fmt.Sprintf("%s %q%s %d %d", m.Kind, m.Text, m.Emoji, m.Edited, m.Unsent))
	}
	return strings.Join(lines, "; ")
}

// An amendment is an entry in the one order of all kinds; no more than two copies of a text exist, and
// none once it is unsent.
func TestAmendmentsAreEntries(t *testing.T) {
	l := newMemLog("alice", "bob")
	s := newSender(l)
	steps := []struct {
		draft chat.Draft
		want  string
	}{
		{draft("alice", "a1", 1, 0), `text "alice/a1 1" 0 0`},
		{amends(chat.KindEdit, 2, 1, "two"), `text "two" 2 0; edit "two" 0 0`},
		{by(amends(chat.KindReaction, 1, 1, "👍"), "bob", "b1"), `text "two" 2 0; edit "two" 0 0; reaction ""👍 0 0`},
		{by(amends(chat.KindEdit, 1, 1, "four"), "alice", "a2"), `text "four" 4 0; edit "" 0 0; reaction ""👍 0 0; edit "four" 0 0`},
		{by(amends(chat.KindReaction, 2, 1, ""), "bob", "b1"), `text "four" 4 0; edit "" 0 0; reaction ""👍 0 0; edit "four" 0 0; reaction "" 0 0`},
		{amends(chat.KindUnsend, 3, 1, ""), `text "" 4 6; edit "" 0 0; reaction ""👍 0 0; edit "" 0 0; reaction "" 0 0; unsend "" 0 0`},
	}
	for i, step := range steps {
		talk(t, s, step.draft)
		if got := shown(l); got != step.want {
			t.Fatalf("after %d: %s, want %s", i+1, got, step.want)
		}
	}
	// However late it repeats, every entry is answered with its place.
	for i, step := range steps {
		sent, err := s.Send(t.Context(), step.draft)
		if err != nil || !sent.Duplicate || sent.Seq != int64(i+1) {
			t.Errorf("repeat of %d = %+v, %v", i+1, sent, err)
		}
	}
	if got := shown(l); got != steps[len(steps)-1].want {
		t.Errorf("repeats changed the log: %s", got)
	}
	if head := l.heads[ab]; head.Texts != [2]int64{1, 0} {
		t.Errorf("texts = %v, want the one text", head.Texts)
	}
}

func TestAmendRefusals(t *testing.T) {
	l := newMemLog("alice", "bob")
	s := newSender(l)
	talk(t, s,
		draft("alice", "a1", 1, 0), draft("bob", "b1", 1, 1), amends(chat.KindEdit, 2, 1, "edited"), draft("alice", "a1", 3, 3),
		amends(chat.KindUnsend, 4, 4, ""), amends(chat.KindReaction, 5, 2, "👍"),
	)
	before := shown(l)
	tests := []struct {
		name  string
		draft chat.Draft
		code  chat.Code
		field string
	}{
		{"an edit of the peer's text", amends(chat.KindEdit, 6, 2, "x"), chat.Forbidden, "target"},
		{"an unsend of the peer's text", amends(chat.KindUnsend, 6, 2, ""), chat.Forbidden, "target"},
		{"an edit of what was unsent", amends(chat.KindEdit, 6, 4, "x"), chat.NotFound, "target"},
		{"an unsend of what was unsent", amends(chat.KindUnsend, 6, 4, ""), chat.NotFound, "target"},
		{"a reaction to what was unsent", amends(chat.KindReaction, 6, 4, "👍"), chat.NotFound, "target"},
		{"an edit of an edit", amends(chat.KindEdit, 6, 3, "x"), chat.BadRequest, "target"},
		{"an unsend of an unsend", amends(chat.KindUnsend, 6, 5, ""), chat.BadRequest, "target"},
		{"a reaction to a reaction", amends(chat.KindReaction, 6, 6, "👍"), chat.BadRequest, "target"},
		{"a message that is not there yet", amends(chat.KindReaction, 6, 7, "👍"), chat.NotFound, "target"},
		{"a conversation that has not begun", func() chat.Draft {
			d := amends(chat.KindEdit, 1, 1, "x")
			d.Conversation = "alice~carol"
			return d
		}(), chat.NotFound, "target"},
		{"an n for another kind", amends(chat.KindEdit, 5, 2, "x"), chat.Conflict, "n"},
		{"an n for another target", amends(chat.KindReaction, 5, 1, "👍"), chat.Conflict, "n"},
		{"an n for another emoji", amends(chat.KindReaction, 5, 2, "👎"), chat.Conflict, "n"},
		{"an n for another edit of a text that stands", amends(chat.KindEdit, 2, 1, "other words"), chat.Conflict, "n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := s.Send(t.Context(), tt.draft)
			if e := refusal(t, err, tt.code); e.Field != tt.field || e.Retry {
				t.Errorf("refusal = %+v, want field %q, not to be tried again", e, tt.field)
			}
			if got := shown(l); got != before {
				t.Errorf("a refused amendment wrote: %s (G10)", got)
			}
		})
	}
}

// An edit that another device's edit overtakes, between its reading and its writing, is made on top of it.
func TestEditThatWasOvertaken(t *testing.T) {
	l := newMemLog("alice", "bob")
	s := newSender(l)
	talk(t, s, draft("alice", "a1", 1, 0))
	overtaken := false
	l.fault = nil
	meanwhile := &overtaking{memLog: l}
	meanwhile.before = func() {
		if !overtaken {
			overtaken = true
			talk(t, newSender(l), by(amends(chat.KindEdit, 1, 1, "theirs"), "alice", "a2"))
		}
	}
	s.Log = meanwhile
	sent, err := s.Send(t.Context(), amends(chat.KindEdit, 2, 1, "mine"))
	if err != nil || sent.Seq != 3 || sent.Duplicate || !overtaken {
		t.Fatalf("Send = %+v, %v, want seq 3", sent, err)
	}
	if got, want := shown(l), `text "mine" 3 0; edit "" 0 0; edit "mine" 0 0`; got != want {
		t.Errorf("log = %s, want %s", got, want)
	}
}

// An edit that an unsend overtakes brings nothing back.
func TestEditThatAnUnsendOvertook(t *testing.T) {
	l := newMemLog("alice", "bob")
	s := newSender(l)
	talk(t, s, draft("alice", "a1", 1, 0))
	done := false
	s.Log = &overtaking{memLog: l, before: func() {
		if !done {
			done = true
			talk(t, newSender(l), by(amends(chat.KindUnsend, 1, 1, ""), "alice", "a2"))
		}
	}}
	_, err := s.Send(t.Context(), amends(chat.KindEdit, 2, 1, "back again"))
	refusal(t, err, chat.NotFound)
	if strings.Contains(shown(l), "back again") {
		t.Errorf("the unsent text is back: %s", shown(l))
	}
}

// An attempt whose head is right may still meet a text that has changed: it looks again, at both.
func TestAmendedMeanwhileLooksAgain(t *testing.T) {
	l := newMemLog("alice", "bob")
	s := newSender(l)
	talk(t, s, draft("alice", "a1", 1, 0))
	refuse := 2
	l.fault = func(_ chat.Attempt, done bool) error {
		if !done && refuse > 0 {
			refuse--
			return chat.ErrAmended
		}
		return nil
	}
	if sent, err := s.Send(t.Context(), amends(chat.KindEdit, 2, 1, "x")); err != nil || sent.Seq != 2 || sent.Duplicate {
		t.Errorf("Send = %+v, %v, want seq 2", sent, err)
	}
	l.fault = func(chat.Attempt, bool) error { return chat.ErrAmended }
	_, err := s.Send(t.Context(), amends(chat.KindEdit, 3, 1, "y"))
	if e := refusal(t, err, chat.Unavailable); !e.Retry {
		t.Errorf("without end = %+v, want to be tried again", e)
	}
}

// overtaking lets something happen between an attempt's reading and its writing.
type overtaking struct {
	*memLog
	before func()
}

func (o *overtaking) Append(ctx context.Context, a chat.Attempt) error {
	o.before()
	return o.memLog.Append(ctx, a)
}

// Devices of one user edit the same text at once, answers are lost, others write: each edit stands once,
// the last one in the log is what the text says, and no older copy is left.
func TestEditsAtOnce(t *testing.T) {
	const devices, each = 4, 12
	l := newMemLog("alice", "bob")
	talk(t, newSender(l), by(draft("alice", "a0", 1, 0), "alice", "a0"))
	turn := 0
	l.fault = func(_ chat.Attempt, done bool) error {
		if turn++; turn%5 == 0 {
			return errors.New("the network failed")
		}
		return nil
	}
	s := newSender(l)
	var wg sync.WaitGroup
	for i := range devices {
		wg.Go(func() {
			device := chat.Device(fmt.Sprint("d", i))
			for n := range int64(each) {
				d := by(amends(chat.KindEdit, n+1, 1, fmt.Sprint(device, " ", n)), "alice", device)
				if n%3 == 2 {
					d = by(draft("bob", device, n/3+1, 0), "bob", device)
				} else {
					d.N = n - n/3 + 1
				}
				for {
					_, err := s.Send(context.Background(), d)
					if err == nil {
						break
					}
					var e *chat.Error
					if !errors.As(err, &e) || !e.Retry {
						t.Errorf("%+v: %v", d, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	log := l.entries[ab]
	if len(log) != 1+devices*each {
		t.Fatalf("%d entries, want %d", len(log), 1+devices*each)
	}
	text, copies := log[0], 0
	for _, m := range log[1:] {
		if m.Kind == chat.KindEdit && m.Text != "" {
			copies++
			if m.Seq != text.Edited || m.Text != text.Text {
				t.Errorf("entry %d still says %q", m.Seq, m.Text)
			}
		}
	}
	if copies != 1 {
		t.Errorf("%d edits still hold a text, want the newest alone", copies)
	}
}

// An edit is kept at least as long as the text that it is about: without its newest edit a text can
// neither be edited nor unsent.
func TestEditsAreKeptWithTheirTexts(t *testing.T) {
	kept := func(d time.Duration) int64 { return day.Add(d).Unix() }
	tests := []struct {
		name          string
		before, after time.Duration // the retention
		kind          chat.Kind
		want          int64
	}{
		{"the same retention", time.Hour, time.Hour, chat.KindEdit, kept(time.Hour)},
		{"retention was begun", 0, time.Hour, chat.KindEdit, 0},
		{"retention was made shorter", 24 * time.Hour, time.Hour, chat.KindEdit, kept(24 * time.Hour)},
		{"retention was made longer", time.Hour, 24 * time.Hour, chat.KindEdit, kept(24 * time.Hour)},
		{"retention was ended", time.Hour, 0, chat.KindEdit, 0},
		{"a reaction has its own", 0, time.Hour, chat.KindReaction, kept(time.Hour)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newMemLog("alice", "bob")
			s := newSender(l)
			s.Retention = tt.before
			talk(t, s, draft("alice", "a1", 1, 0))
			s.Retention = tt.after
			talk(t, s, amends(tt.kind, 2, 1, "x"))
			if got := l.entries[ab][1].Until; got != tt.want {
				t.Errorf("the entry is kept until %d, want %d", got, tt.want)
			}
		})
	}
}
