package dynamodb

import (
	"fmt"
	"testing"
	"time"
)

// A token whose life is over may be used again, while the memory of its first use is still waiting
// to be dropped: that must not take the second use with it.
func TestTokensForgetTheOldestUseOnly(t *testing.T) {
	s := newTokens()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	use := func(id string) {
		t.Helper()
		tok, repeat, err := s.begin(id, 1, now)
		if err != nil || repeat {
			t.Fatalf("begin(%s) = %v, %v, want a new token", id, repeat, err)
		}
		s.end(tok, true, now)
	}
	use("twice")
	now = now.Add(tokenLife + time.Second)
	running, repeat, err := s.begin("twice", 2, now)
	if err != nil || repeat {
		t.Fatalf("begin after its life = %v, %v, want a new token", repeat, err)
	}
	for i := range maxTokens {
		use(fmt.Sprint("other", i))
	}
	s.end(running, true, now)
	if _, repeat, err := s.begin("twice", 2, now); err != nil || !repeat {
		t.Errorf("begin again = %v, %v, want a repeat", repeat, err)
	}
	if len(s.known) > maxTokens+1 || len(s.order) > maxTokens {
		t.Errorf("%d tokens known, %d in order, want at most %d", len(s.known), len(s.order), maxTokens)
	}
}

func TestTokenThatFailedMayBeTriedAgain(t *testing.T) {
	s := newTokens()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tok, _, err := s.begin("t", 1, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.begin("t", 1, now); err == nil {
		t.Error("the same token was begun twice at once")
	}
	s.end(tok, false, now)
	if _, repeat, err := s.begin("t", 2, now); err != nil || repeat {
		t.Errorf("begin after a failure = %v, %v, want a new token", repeat, err)
	}
}
