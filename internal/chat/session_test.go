package chat_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/duet-chat/duet/internal/chat"
)

// token is one of a session that began so many seconds after day.
func token(session chat.SessionID, after int64) chat.Token {
	return chat.Token{Session: session, SignedIn: day.Unix() + after}
}

func TestSignOutsEndSessions(t *testing.T) {
	over := int64(1) // the second in which it is over
	for _, tt := range []struct {
		name  string
		scope chat.Scope
		ended map[chat.Token]bool
	}{
		{"this session", chat.ThisSession, map[chat.Token]bool{
			token("own", -100): true, token("own", 100): true, token("tablet", -100): false, token("away", -100): false, token("new", 1): false,
		}},
		{"the others", chat.OtherSessions, map[chat.Token]bool{
			token("own", -100): false, token("own", 0): false, token("tablet", -100): true, token("away", -100): true, token("away", -1): true,
			token("late", 0): true, token("new", over): false, // begun in this very second, or when it is over
			{Session: "untold"}: true, // a token that does not tell counts as begun long ago
		}},
		{"all", chat.AllSessions, map[chat.Token]bool{
			token("own", -100): true, token("own", 0): true, token("tablet", -100): true, token("away", -1): true, token("late", 0): true,
			token("new", over): false,
		}},
	} {
		s := chat.SignOuts{}.With(tt.scope, "own", day.Add(999*time.Millisecond))
		for token, want := range tt.ended {
			if got := s.Ends(token); got != want {
				t.Errorf("%s: Ends(%+v) = %v, want %v, by %+v", tt.name, token, got, want, s)
			}
		}
		if got := chat.SignOutOver(day.Add(999 * time.Millisecond)); got.Unix() != day.Unix()+over {
			t.Errorf("a sign-out is over at %v", got)
		}
		if len(slices.Compact(slices.Sorted(slices.Values(s.Ended)))) != len(s.Ended) {
			t.Errorf("%s: %v names a session twice", tt.name, s.Ended)
		}
	}
}

// What has ended stays so, whatever ends after it, and wherever the next function's clock stands.
func TestSignOutsAddUp(t *testing.T) {
	type step struct {
		scope chat.Scope
		own   chat.SessionID
		after time.Duration
	}
	for _, tt := range []struct {
		name  string
		steps []step
		ended []chat.Token
		lives []chat.Token
	}{
		{"the one that was kept is not kept by the next", []step{{chat.OtherSessions, "a", 10 * time.Second}, {chat.OtherSessions, "b", 20 * time.Second}},
			[]chat.Token{token("a", 0), token("c", 15)}, []chat.Token{token("b", 15)}},
		{"all, by a function whose clock is behind", []step{{chat.AllSessions, "a", 10 * time.Second}, {chat.AllSessions, "b", 5 * time.Second}},
			[]chat.Token{token("c", 7)}, nil},
		{"the others, by a function whose clock is behind", []step{{chat.AllSessions, "a", 10 * time.Second}, {chat.OtherSessions, "b", 5 * time.Second}},
			[]chat.Token{token("c", 7)}, []chat.Token{token("b", 20)}},
		{"the kept one goes by itself", []step{{chat.OtherSessions, "a", 10 * time.Second}, {chat.ThisSession, "a", 20 * time.Second}},
			[]chat.Token{token("a", 0)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := chat.SignOuts{}
			for _, step := range tt.steps {
				s = s.With(step.scope, step.own, day.Add(step.after))
			}
			check := func(when string) {
				for _, token := range tt.ended {
					if !s.Ends(token) {
						t.Errorf("%s: %+v is let in, by %+v", when, token, s)
					}
				}
				for _, token := range tt.lives {
					if s.Ends(token) {
						t.Errorf("%s: %+v is refused, by %+v", when, token, s)
					}
				}
			}
			check("at once")
			for i := range chat.MaxEnded {
				s = s.With(chat.ThisSession, chat.SessionID(fmt.Sprint("s", i)), day.Add(time.Hour))
			}
			check("after many others")
		})
	}
}

// The list of single sessions is bounded; the newest stay, and s itself is not changed.
func TestSignOutsAreBounded(t *testing.T) {
	s := chat.SignOuts{}
	for i := range chat.MaxEnded + 5 {
		before := len(s.Ended)
		next := s.With(chat.ThisSession, chat.SessionID(fmt.Sprint("s", i)), day)
		if len(s.Ended) != before {
			t.Fatal("With changed its receiver")
		}
		s = next
	}
	if len(s.Ended) != chat.MaxEnded || s.Ended[0] != "s5" || s.Ends(token("s4", 0)) || !s.Ends(token("s36", 0)) {
		t.Errorf("ended = %v, want the newest %d", s.Ended, chat.MaxEnded)
	}
	again := s.With(chat.ThisSession, "s36", day)
	if !slices.Equal(again.Ended, s.Ended) {
		t.Errorf("a repeat made %v of %v", again.Ended, s.Ended)
	}
}
