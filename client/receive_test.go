package client_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/duet-chat/duet/client"
)

// within runs a test in a bubble of its own time, with a server.
func within(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		defer s.close()
		test(t, s)
	})
}

func TestG7DuplicatePushIsShownOnce(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		c.sync("e")
		c.write(push(1))
		c.write(push(1))
		c.write(push(2))
		c.write(push(1))
		u.shows(1, 2)
		u.showsNothing(time.Minute)
	})
}

func TestG3ReversedPushesAreShownInOrder(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		c.sync("e")
		c.write(push(3))
		c.write(push(2))
		u.showsNothing(200 * time.Millisecond)
		c.write(push(1))
		u.shows(1, 2, 3)
		// The gap closed by itself.
		c.none(10 * time.Second)
	})
}

func TestG5GapIsFetchedAfter300ms(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		c.sync("e")
		c.write(push(1))
		u.shows(1)
		at := time.Now()
		c.write(push(5))
		h := c.next("history")
		if waited := time.Since(at); waited != 300*time.Millisecond {
			t.Errorf("the gap was fetched after %v, want 300ms", waited)
		}
		if h["after"] != 1.0 || h["conversation"] != "alice~bob" {
			t.Errorf("the client asked for %v, want after 1", h)
		}
		c.answer(h, page(true, 2, 3))
		h = c.next("history")
		if h["after"] != 3.0 {
			t.Errorf("the client asked for %v, want after 3", h)
		}
		c.answer(h, page(false, 4, 5))
		u.shows(2, 3, 4, 5)
	})
}

func TestExpiredMessagesAreSkippedWhenAPageLeavesThemOutTwice(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start(func(cfg *client.Config) { cfg.FromBeginning = true })
		defer u.Close()
		c := s.accept()
		c.sync("e", summary(9, 9))
		c.answer(c.next("history"), page(false, 7, 9))
		u.showsNothing(10 * time.Millisecond)
		c.answer(c.next("history"), page(false, 7, 8, 9))
		u.shows(7, 8, 9)
	})
}

func TestFreshDeviceBeginsWithWhatIsUnread(t *testing.T) {
	for _, test := range []struct {
		name          string
		fromBeginning bool
		after         float64
		shown         []int64
	}{
		{"unread only", false, 7, []int64{8, 9}},
		{"from the beginning", true, 0, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9}},
	} {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(t *testing.T, s *server) {
				u := s.start(func(cfg *client.Config) { cfg.FromBeginning = test.fromBeginning })
				defer u.Close()
				c := s.accept()
				// It comes before the client knows where to begin.
				c.write(push(9))
				c.sync("e", summary(9, 2))
				h := c.next("history")
				if h["after"] != test.after {
					t.Errorf("the client asked for %v, want after %v", h, test.after)
				}
				var seqs []int
				for _, seq := range test.shown {
					seqs = append(seqs, int(seq))
				}
				c.answer(h, page(false, seqs...))
				u.shows(test.shown...)
				// A conversation that appears later is shown from its start.
				other := push(2)
				other["conversation"], other["from"] = "alice~carol", "carol"
				c.write(other)
				if h := c.next("history"); h["after"] != 0.0 || h["conversation"] != "alice~carol" {
					t.Errorf("the client asked for %v, want alice~carol after 0", h)
				}
			})
		})
	}
}

func TestG6BehindSyncs(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		c.sync("e")
		if err := u.WaitOnline(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.write(object{"type": "behind"})
		if y := c.sync("e", summary(2, 2)); y["since"] != "since e" {
			t.Errorf("the client asked %v, want since of the last sync", y)
		}
		c.answer(c.next("history"), page(false, 1, 2))
		u.shows(1, 2)
		// After 30 s of silence, a pong says the same.
		c.answer(c.next("ping"), object{"type": "pong", "behind": true})
		c.sync("e", summary(3, 3))
		c.answer(c.next("history"), page(false, 3))
		u.shows(3)
	})
}

func TestSyncReadsAllPagesAndLooksAgain(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		c.answer(c.next("sync"), object{"type": "synced", "epoch": "e", "conversations": []object{}, "since": "second page", "more": true})
		y := c.next("sync")
		if y["since"] != "second page" {
			t.Errorf("the client asked %v, want the second page", y)
		}
		c.answer(y, object{"type": "synced", "epoch": "e", "conversations": []object{}, "since": "end", "more": false})
		// What the server could not deliver between the pages counts as told.
		if y := c.sync("e"); y["since"] != "end" {
			t.Errorf("the client asked %v, want since end", y)
		}
	})
}

func TestSlowReaderHoldsBackMessagesButNotAnswers(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		release := make(chan struct{})
		u := s.start(func(cfg *client.Config) {
			show := cfg.OnMessage
			cfg.OnMessage = func(m client.Message) { <-release; show(m) }
		})
		defer u.Close()
		c := s.accept()
		c.sync("e")
		const all = 1000
		for seq := 1; seq <= all; seq++ {
			c.write(push(seq))
		}
		p := u.enqueue("hello")[0]
		c.sent(c.next("send"), all+1)
		u.isSent(p, all+1)
		close(release)
		var want []int64
		for seq := int64(1); seq <= all+1; seq++ {
			want = append(want, seq)
		}
		c.serve(func(f object) {
			if f["action"] != "history" {
				return
			}
			first := int(f["after"].(float64)) + 1
			var seqs []int
			for seq := first; seq <= all+1 && seq < first+100; seq++ {
				seqs = append(seqs, seq)
			}
			c.answer(f, page(false, seqs...))
		})
		u.shows(want...)
	})
}

func TestSilenceIsBrokenByPingsAtDoublingDistance(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		c.sync("e")
		at := time.Now()
		for _, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 565 * time.Second, 565 * time.Second} {
			p := c.next("ping")
			if got := time.Since(at); got != want {
				t.Errorf("a ping came after %v, want %v", got, want)
			}
			at = time.Now()
			c.answer(p, object{"type": "pong"})
		}
		// Without a pong, the connection is dead.
		c.next("ping")
		at = time.Now()
		c.ended()
		if got := time.Since(at); got != 10*time.Second {
			t.Errorf("the connection was dropped after %v, want 10s", got)
		}
		s.accept().sync("e")
	})
}

func TestPingAnswersAndReconnects(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		c.sync("e")
		done := make(chan error, 2)
		go func() { done <- u.Ping(t.Context()) }()
		c.answer(c.next("ping"), object{"type": "pong"})
		if err := <-done; err != nil {
			t.Errorf("Ping() = %v, want nil", err)
		}
		go func() { done <- u.Ping(t.Context()) }()
		c.next("ping")
		if err := <-done; err == nil {
			t.Error("Ping() = nil without a pong, want an error")
		}
		s.accept().sync("e")
	})
}
