package client_test

import (
	"testing"
	"time"

	"github.com/duet-chat/duet/client"
)

// isAmend checks a frame about another entry.
func isAmend(t *testing.T, f object, n, target int, key string, value any) {
	t.Helper()
	if f["n"] != float64(n) || f["target"] != float64(target) || f["conversation"] != "alice~bob" || key != "" && f[key] != value {
		t.Fatalf("the client wrote %v, want n %d about %d with %s %q", f, n, target, key, value)
	}
}

func (u *user) must(p *client.Pending, err error) *client.Pending {
	u.t.Helper()
	if err != nil {
		u.t.Fatal(err)
	}
	return p
}

// G2, G4: what is about other entries goes the way of texts: in their order, under numbers of its own, and
// again after the connection broke.
func TestG4AmendmentsAreOrderedWithTextsAndSentAgain(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		u.begin(c)
		all := []*client.Pending{
			u.enqueue("a")[0],
			u.must(u.Edit("bob", 1, "the first")),
			u.must(u.React("bob", 1, "👍")),
			u.must(u.React("bob", 1, "")),
			u.must(u.Unsend("bob", 1)),
			u.enqueue("b")[0],
		}
		check := func(c *conn) (frames []object) {
			for _, action := range []string{"send", "edit", "react", "react", "unsend", "send"} {
				frames = append(frames, c.next(action))
			}
			isSend(t, frames[0], 2, "a")
			isAmend(t, frames[1], 3, 1, "text", "the first")
			isAmend(t, frames[2], 4, 1, "emoji", "👍")
			isAmend(t, frames[3], 5, 1, "emoji", "")
			isAmend(t, frames[4], 6, 1, "", nil)
			isSend(t, frames[5], 7, "b")
			return frames
		}
		check(c)
		c.cut()
		c = s.accept()
		c.sync("e")
		for i, f := range check(c) {
			c.sent(f, i+2)
		}
		for i, p := range all {
			u.isSent(p, int64(i+2))
		}
		for _, kind := range []string{client.KindText, client.KindEdit, client.KindReaction, client.KindReaction, client.KindUnsend, client.KindText} {
			if m := <-u.messages; m.Kind != kind || !m.Own || kind != client.KindText && m.Target != 1 {
				t.Errorf("OnMessage(%+v), want an own %s", m, kind)
			}
		}
	})
}

func TestAmendmentsSurviveARestart(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		state := client.NewMemoryState()
		with := func(cfg *client.Config) { cfg.State = state }
		u := s.start(with)
		c := s.accept()
		u.begin(c)
		u.must(u.Edit("bob", 1, "better"))
		u.must(u.React("bob", 1, "👍"))
		c.next("edit")
		c.next("react")
		u.Close()
		u = s.start(with)
		defer u.Close()
		waiting := u.Unsent()
		if len(waiting) != 2 || waiting[0].Kind() != client.KindEdit || waiting[0].Text() != "better" || waiting[1].Kind() != client.KindReaction || waiting[1].Target() != 1 {
			t.Fatalf("Unsent() = %v, want the edit and the reaction", waiting)
		}
		c = s.accept()
		c.sync("e")
		f := c.next("edit")
		isAmend(t, f, 2, 1, "text", "better")
		c.sent(f, 2)
		f = c.next("react")
		isAmend(t, f, 3, 1, "emoji", "👍")
		c.sent(f, 3)
		u.isSent(waiting[0], 2)
		u.isSent(waiting[1], 3)
	})
}

// What an edit is about is another text in a new life of the data, or none.
func TestAmendmentsEndWithTheEpoch(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		u.begin(c)
		c.cut()
		p := u.must(u.Edit("bob", 1, "better"))
		text := u.enqueue("a")[0]
		s.accept().sync("f")
		u.isRefused(p, client.ErrNewEpoch)
		c = s.accept()
		c.sync("f")
		f := c.next("send")
		isSend(t, f, 1, "a")
		c.sent(f, 1)
		u.isSent(text, 1)
	})
}

func TestRefusedAmendmentLeavesOthersInOrder(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		u.begin(c)
		edit, next := u.must(u.Edit("bob", 9, "x")), u.enqueue("a")[0]
		c.answer(c.next("edit"), refusal("not_found", false, object{"field": "target"}))
		u.isRefused(edit, client.ErrNotFound)
		f := c.next("send")
		c.answer(f, refusal("out_of_order", true, object{"last_n": 1}))
		f = c.next("send")
		isSend(t, f, 2, "a")
		c.sent(f, 2)
		u.isSent(next, 2)
	})
}

func TestRateLimitedWaitsAndKeepsTheOrder(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		u.begin(c)
		p := u.enqueue("a", "b")
		at := time.Now()
		a, b := c.next("send"), c.next("send")
		c.answer(a, refusal("rate_limited", true, object{"retry_after_ms": 41000}))
		c.answer(b, refusal("rate_limited", true, object{"retry_after_ms": 41000}))
		c.none(40 * time.Second)
		if err := p[0].Delay(); err == nil || err.(*client.Error).RetryAfter != 41*time.Second {
			t.Errorf("Delay() = %v, want 41s", err)
		}
		for n, text := range []string{"a", "b"} {
			f := c.next("send")
			isSend(t, f, n+2, text)
			c.sent(f, n+2)
		}
		if got := time.Since(at); got != 41*time.Second {
			t.Errorf("it was sent again after %v, want 41s", got)
		}
		u.isSent(p[0], 2)
		u.isSent(p[1], 3)
	})
}

func TestAmendmentsAreCheckedBeforeTheyAreSent(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		s.accept().sync("e")
		long := make([]byte, client.MaxEmoji+1)
		for field, err := range map[string]error{
			"to":     second(u.Edit("alice", 1, "x")),
			"target": second(u.Unsend("bob", 0)),
			"text":   second(u.Edit("bob", 1, "")),
			"emoji":  second(u.React("bob", 1, string(long))),
		} {
			if e, ok := err.(*client.Error); !ok || e.Code != "bad_request" || e.Field != field {
				t.Errorf("%v, want a refusal of %s", err, field)
			}
		}
	})
}

func second[A any](_ A, err error) error { return err }
