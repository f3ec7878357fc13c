package client_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/duet-chat/duet/client"
)

// tokens is a source of tokens that are refreshed when the server refuses them, or they expire.
type tokens struct {
	mu      sync.Mutex
	life    time.Duration
	number  int
	current string
	expires time.Time
	stuck   bool // gives the same token for ever
}

func (s *tokens) Token(context.Context) (string, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == "" || !s.stuck && time.Until(s.expires) < s.life/2 {
		s.number++
		s.current, s.expires = "token-"+string(rune('0'+s.number)), time.Now().Add(s.life)
	}
	return s.current, s.expires, nil
}

func (s *tokens) Invalidate(access string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stuck && access == s.current {
		s.current = ""
	}
}

func TestRefusedTokenIsRefreshedOnce(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		s.refuseNext(401)
		u := s.start(func(cfg *client.Config) { cfg.Tokens = &tokens{life: time.Hour} })
		defer u.Close()
		c := s.accept()
		if got := c.header.Get("Authorization"); got != "Bearer token-2" {
			t.Errorf("the client came with %q, want a refreshed token", got)
		}
		c.sync("e")
	})
}

func TestFinalRefusalsEndRun(t *testing.T) {
	for _, test := range []struct {
		name     string
		statuses []int
		want     error
	}{
		{"401 twice", []int{401, 401}, client.ErrUnauthorized},
		{"403", []int{403}, client.ErrRefused},
		{"400", []int{400}, client.ErrRefused},
		{"403 after passing faults", []int{429, 500, 503, 403}, client.ErrRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(t *testing.T, s *server) {
				s.refuseNext(test.statuses...)
				u := s.start(func(cfg *client.Config) { cfg.Tokens = &tokens{life: time.Hour} })
				p, err := u.Enqueue("bob", "never") // Run may have ended already
				u.endsWith(test.want)
				if err == nil {
					u.isRefused(p, client.ErrClosed)
				}
				if err := u.WaitOnline(t.Context()); err == nil {
					t.Error("WaitOnline() = nil after Run's end, want why")
				}
				if _, err := u.Enqueue("bob", "x"); err != client.ErrClosed {
					t.Errorf("Enqueue() = %v after Run's end, want ErrClosed", err)
				}
				if _, err := u.History(t.Context(), "bob", 0, 0, 0); err != client.ErrClosed {
					t.Errorf("History() = %v after Run's end, want ErrClosed", err)
				}
			})
		})
	}
}

func TestReconnectsWithFullJitter(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		s.refuseNext(500, 500, 500, 500, 500, 500, 500, 500)
		at := time.Now()
		u := s.start()
		defer u.Close()
		s.accept().sync("e")
		// Half of 0.5, 1, 2, 4, 8, 16, 30 and 30 s.
		if got, want := time.Since(at), 45750*time.Millisecond; got != want {
			t.Errorf("the client was back after %v, want %v", got, want)
		}
	})
}

func TestReplacedEndsRun(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		c := s.accept()
		c.sync("e")
		c.write(object{"type": "closing", "reason": "replaced"})
		u.endsWith(client.ErrReplaced)
	})
}

func TestNextConnectionIsOpenedBeforeTheTokenEnds(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		source := &tokens{life: time.Hour}
		u := s.start(func(cfg *client.Config) { cfg.Tokens = source })
		defer u.Close()
		old := s.accept()
		u.begin(old)
		old.pongs()
		at := time.Now()
		c := s.accept()
		if got := time.Since(at); got != 59*time.Minute {
			t.Errorf("the next connection came after %v, want 59m", got)
		}
		if got := c.header.Get("Authorization"); got != "Bearer token-2" {
			t.Errorf("the next connection came with %q, want token-2", got)
		}
		// The server ends the old one; that is expected, and what is on its way still counts.
		p := u.enqueue("a")[0]
		old.write(push(2))
		u.shows(2)
		old.write(refusal("session_expired", false))
		old.write(object{"type": "closing", "reason": "replaced"})
		old.cut()
		c.sync("e")
		f := c.next("send")
		isSend(t, f, 2, "a")
		c.sent(f, 3)
		u.isSent(p, 3)
		u.shows(3)
		for len(u.statuses) > 0 {
			if st := <-u.statuses; st.Phase == client.Offline {
				t.Errorf("OnStatus(%+v), want online all the time", st)
			}
		}
	})
}

// $connect ends the older connection of its device before the handshake is over. That is no time offline, unless
// the handshake then fails.
func TestNextConnectionReplacesTheOldOneWithinItsHandshake(t *testing.T) {
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprintf("fails %v", fails), func(t *testing.T) {
			within(t, func(t *testing.T, s *server) {
				u := s.start(func(cfg *client.Config) { cfg.Tokens = &tokens{life: time.Hour} })
				defer u.Close()
				old := s.accept()
				u.begin(old)
				old.pongs()
				s.inNext(func() {
					old.write(object{"type": "closing", "reason": "replaced"})
					old.cut()
					time.Sleep(time.Second) // until the client knows
					if fails {
						s.refuseNext(500)
					}
				})
				c := s.accept()
				c.sync("e")
				p := u.enqueue("a")[0]
				f := c.next("send")
				isSend(t, f, 2, "a")
				c.sent(f, 2)
				u.isSent(p, 2)
				offline := 0
				for len(u.statuses) > 0 {
					if st := <-u.statuses; st.Phase == client.Offline {
						offline++
					}
				}
				if want := map[bool]int{true: 1}[fails]; offline != want {
					t.Errorf("offline %d times, want %d", offline, want)
				}
			})
		})
	}
}

func TestNextConnectionIsOpenedBeforeTwoHours(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		old := s.accept()
		old.sync("e")
		old.pongs()
		at := time.Now()
		c := s.accept()
		if got, want := time.Since(at), 2*time.Hour-3*time.Minute-90*time.Second; got != want {
			t.Errorf("the next connection came after %v, want %v", got, want)
		}
		c.sync("e")
		// The server leaves the old one open: the client does not.
		old.ended()
	})
}

func TestExpiredSessionIsRenewedAtOnce(t *testing.T) {
	for _, how := range []string{"closing", "answer"} {
		t.Run(how, func(t *testing.T) {
			within(t, func(t *testing.T, s *server) {
				u := s.start()
				defer u.Close()
				c := s.accept()
				u.begin(c)
				c.none(20 * time.Second)
				at := time.Now()
				p := u.enqueue("a")[0]
				f := c.next("send")
				if how == "answer" {
					c.answer(f, refusal("session_expired", false))
				} else {
					c.write(object{"type": "closing", "reason": "session_expired"})
				}
				c = s.accept()
				if got := time.Since(at); got != 0 {
					t.Errorf("the next connection came after %v, want at once", got)
				}
				c.sync("e")
				f = c.next("send")
				isSend(t, f, 2, "a")
				c.sent(f, 2)
				u.isSent(p, 2)
			})
		})
	}
}

func TestSessionThatCannotBeRenewedEnds(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start(func(cfg *client.Config) { cfg.Tokens = &tokens{life: time.Hour, stuck: true} })
		c := s.accept()
		c.sync("e")
		c.pongs()
		s.refuseNext(401)
		at := time.Now()
		u.endsWith(client.ErrUnauthorized)
		if got := time.Since(at); got < 59*time.Minute || got > time.Hour+time.Second {
			t.Errorf("Run ended after %v, want with the token, after 1h", got)
		}
	})
}

func TestNewEpochStartsOverAsANewDevice(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		u.begin(c)
		lost, err := u.Enqueue("carol", "to carol")
		if err != nil {
			t.Fatal(err)
		}
		c.next("send")
		kept := u.enqueue("to bob")[0]
		c.next("send")
		c.cut()
		late := u.enqueue("later")[0]
		c = s.accept()
		c.sync("another")
		c = s.accept()
		if got := c.header.Get("X-Duet-Device"); got != "device-2" {
			t.Errorf("the client came back as %q, want device-2", got)
		}
		y := c.next("sync")
		if y["since"] != nil || y["cursors"] != nil {
			t.Errorf("the client asked %v, want everything", y)
		}
		// There is no conversation with bob in this epoch, so what was sent to him is not stored.
		// There is one with carol: it may be.
		c.answer(y, object{"type": "synced", "epoch": "another", "since": "s", "more": false, "conversations": []object{
			{"conversation": "alice~carol", "peer": "carol", "last_seq": 3, "unread": 0, "at": 3000},
		}})
		u.isRefused(lost, client.ErrNewEpoch)
		f := c.next("send")
		isSend(t, f, 1, "to bob")
		c.sent(f, 1)
		f = c.next("send")
		isSend(t, f, 2, "later")
		c.sent(f, 2)
		u.isSent(kept, 1)
		u.isSent(late, 2)
		u.shows(1, 2)
	})
}

func TestRequestsOfTheProgramSurviveAReconnect(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		c.sync("e")
		pages := make(chan client.Page, 1)
		go func() {
			p, err := u.History(t.Context(), "bob", 9, -1, 2)
			if err != nil {
				t.Error(err)
			}
			pages <- p
		}()
		h := c.next("history")
		if h["before"] != 9.0 || h["limit"] != 2.0 || h["after"] != nil {
			t.Errorf("the client asked %v, want 2 before 9", h)
		}
		c.cut()
		c = s.accept()
		// It need not wait for the sync.
		var y object
		for range 2 {
			select {
			case f := <-c.frames:
				if f["action"] == "sync" {
					y = f
				} else {
					c.answer(f, page(true, 7, 8))
				}
			case <-time.After(time.Hour):
				t.Fatal("the client asked too little")
			}
		}
		p := <-pages
		if len(p.Messages) != 2 || !p.More || p.Messages[1].Seq != 8 || p.Messages[1].Text != text(8) {
			t.Errorf("History() = %+v, want 7 and 8", p)
		}
		c.answer(y, object{"type": "synced", "epoch": "e", "conversations": []object{}, "since": "s", "more": false})
	})
}
