package client_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/duet-chat/duet/client"
)

// begin connects and sends a first message, so that the pipeline is open. The log has 1 message then.
func (u *user) begin(c *conn) {
	u.t.Helper()
	c.sync("e")
	p := u.enqueue("first")[0]
	c.sent(c.next("send"), 1)
	u.isSent(p, 1)
	u.shows(1)
}

// isSend checks the number and the text of a send.
func isSend(t *testing.T, f object, n int, text string) {
	t.Helper()
	if f["n"] != float64(n) || f["text"] != text {
		t.Fatalf("the client sent n %v %q, want n %d %q", f["n"], f["text"], n, text)
	}
}

func TestG2LostAnswerIsResentUnderTheSameNumber(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		u.begin(c)
		p := u.enqueue("a", "b")
		isSend(t, c.next("send"), 2, "a")
		isSend(t, c.next("send"), 3, "b")
		c.cut()
		c = s.accept()
		if got := c.header.Get("X-Duet-Device"); got != "device-1" {
			t.Errorf("the client came back as %q, want device-1", got)
		}
		c.sync("e", object{"conversation": "alice~bob", "peer": "bob", "last_seq": 2, "unread": 0, "at": 2000})
		h := c.next("history")
		own := page(false, 2)
		own["messages"].([]object)[0]["from"] = "alice"
		c.answer(h, own)
		f := c.next("send")
		isSend(t, f, 2, "a")
		c.answer(f, object{"type": "sent", "conversation": "alice~bob", "n": 2, "seq": 2, "at": 2000, "duplicate": true})
		f = c.next("send")
		isSend(t, f, 3, "b")
		c.sent(f, 3)
		u.isSent(p[0], 2)
		u.isSent(p[1], 3)
		u.shows(2, 3)
		u.showsNothing(time.Minute)
	})
}

func TestG4AtMost16AreUnderWay(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		c.sync("e")
		var texts []string
		for i := 1; i <= 40; i++ {
			texts = append(texts, fmt.Sprint("m", i))
		}
		p := u.enqueue(texts...)
		// The first one alone: it may be that there is no such user.
		f := c.next("send")
		isSend(t, f, 1, "m1")
		c.none(time.Second)
		c.sent(f, 1)
		var under []object
		for n := 2; n <= 17; n++ {
			f := c.next("send")
			isSend(t, f, n, texts[n-1])
			if f["seen"] != float64(n-1) {
				t.Errorf("send %d says seen %v, want %d", n, f["seen"], n-1)
			}
			under = append(under, f)
		}
		c.none(time.Second)
		// The answers come in any order.
		for i := len(under) - 1; i >= 0; i-- {
			c.sent(under[i], i+2)
		}
		for n := 18; n <= 40; n++ {
			f := c.next("send")
			isSend(t, f, n, texts[n-1])
			c.sent(f, n)
		}
		for i := range p {
			u.isSent(p[i], int64(i+1))
			u.shows(int64(i + 1))
		}
	})
}

func TestOwnMessagesTakeTheirPlaceInTheLog(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		u.begin(c)
		p := u.enqueue("mine")[0]
		f := c.next("send")
		c.sent(f, 3)
		u.isSent(p, 3)
		u.showsNothing(100 * time.Millisecond)
		c.write(push(2))
		u.shows(2)
		m := <-u.messages
		if m.Seq != 3 || !m.Own || m.Text != "mine" || m.From != "alice" || m.N != 2 || !m.At.Equal(time.UnixMilli(3000)) {
			t.Errorf("OnMessage(%+v), want alice's 3", m)
		}
	})
}

func TestOutOfOrderIsResentFromTheLastAcceptedOne(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		u.begin(c)
		p := u.enqueue("a", "b")
		a, b := c.next("send"), c.next("send")
		// The gateway throttles the first, so that the second waits in vain.
		c.write(object{"message": "Too Many Requests", "connectionId": "x", "requestId": "y"})
		c.answer(b, refusal("out_of_order", true, object{"last_n": 1, "field": "n"}))
		f := c.next("send")
		isSend(t, f, 2, "a")
		if f["ref"] != a["ref"] {
			t.Errorf("the resend has ref %v, want %v: any answer will do", f["ref"], a["ref"])
		}
		g := c.next("send")
		isSend(t, g, 3, "b")
		c.sent(f, 2)
		c.sent(g, 3)
		u.isSent(p[0], 2)
		u.isSent(p[1], 3)
		u.shows(2, 3)
	})
}

func TestGatewayFaultAndUnavailableAreRetried(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault func(c *conn, send object)
		pause time.Duration
	}{
		{"internal server error", func(c *conn, _ object) {
			c.write(object{"message": "Internal server error", "connectionId": "x", "requestId": "y"})
		}, 50 * time.Millisecond},
		{"throttled", func(c *conn, _ object) {
			c.write(object{"message": "Too Many Requests", "connectionId": "x", "requestId": "y"})
		}, time.Second},
		{"unavailable", func(c *conn, f object) { c.answer(f, refusal("unavailable", true)) }, 50 * time.Millisecond},
		{"rate limited", func(c *conn, f object) {
			c.answer(f, refusal("rate_limited", true, object{"retry_after_ms": 7000}))
		}, 7 * time.Second},
		{"a later version's", func(c *conn, f object) { c.answer(f, refusal("moon_phase", true)) }, 50 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			within(t, func(t *testing.T, s *server) {
				u := s.start()
				defer u.Close()
				c := s.accept()
				u.begin(c)
				p := u.enqueue("a")[0]
				f := c.next("send")
				at := time.Now()
				test.fault(c, f)
				f = c.next("send")
				if got := time.Since(at); got != test.pause {
					t.Errorf("sent again after %v, want %v", got, test.pause)
				}
				isSend(t, f, 2, "a")
				c.sent(f, 2)
				u.isSent(p, 2)
			})
		})
	}
}

func TestRefusedInTheMiddleOfAPipeline(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		u.begin(c)
		p := u.enqueue("a", "b", "c", "d")
		a, b, d, e := c.next("send"), c.next("send"), c.next("send"), c.next("send")
		c.sent(a, 2)
		c.answer(b, refusal("unknown_user", false, object{"field": "to"}))
		u.isRefused(p[1], client.ErrUnknownUser)
		c.answer(d, refusal("out_of_order", true, object{"last_n": 2}))
		// The server may still be working on the last one: number 3 is not given away before.
		late := u.enqueue("e")[0]
		c.none(time.Second)
		c.answer(e, refusal("out_of_order", true, object{"last_n": 2}))
		for i, text := range []string{"c", "d", "e"} {
			f := c.next("send")
			isSend(t, f, 3+i, text)
			c.sent(f, 3+i)
		}
		u.isSent(p[2], 3)
		u.isSent(p[3], 4)
		u.isSent(late, 5)
		u.shows(2, 3, 4, 5)
	})
}

func TestRefusedWhileTheOutcomeOfALaterOneIsUnknown(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		u.begin(c)
		p := u.enqueue("a", "b")
		a := c.next("send")
		c.next("send")
		at := time.Now()
		c.answer(a, refusal("bad_request", false, object{"field": "reply_to"}))
		u.isRefused(p[0], client.ErrBadRequest)
		c.cut()
		c = s.accept()
		c.sync("e")
		f := c.next("send")
		isSend(t, f, 2, "b")
		if got := time.Since(at); got != 30*time.Second {
			t.Errorf("number 2 was given away after %v, want 30s: until then the server may be at work", got)
		}
		c.sent(f, 2)
		u.isSent(p[1], 2)
	})
}

func TestUnknownUserFailsOnlyItsOwnSends(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		c.sync("e")
		first, err := u.Enqueue("nobody", "a")
		if err != nil {
			t.Fatal(err)
		}
		second, err := u.Enqueue("nobody", "b")
		if err != nil {
			t.Fatal(err)
		}
		f := c.next("send")
		isSend(t, f, 1, "a")
		c.answer(f, refusal("unknown_user", false))
		u.isRefused(first, client.ErrUnknownUser)
		f = c.next("send")
		isSend(t, f, 1, "b")
		c.answer(f, refusal("unknown_user", false))
		u.isRefused(second, client.ErrUnknownUser)
		p := u.enqueue("hello")[0]
		f = c.next("send")
		isSend(t, f, 1, "hello")
		c.sent(f, 1)
		u.isSent(p, 1)
	})
}

func TestConflictTakesANewDeviceID(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		c.sync("e", summary(5, 0))
		p := u.enqueue("a", "b")
		f := c.next("send")
		c.answer(f, refusal("conflict", false, object{"last_n": 4}))
		c.ended()
		c = s.accept()
		if got := c.header.Get("X-Duet-Device"); got != "device-2" {
			t.Errorf("the client came back as %q, want device-2", got)
		}
		c.sync("e")
		for i, text := range []string{"a", "b"} {
			f := c.next("send")
			isSend(t, f, i+1, text)
			c.sent(f, 6+i)
			u.isSent(p[i], int64(6+i))
		}
		u.shows(6, 7)
	})
}

func TestNotFoundCountsAsSent(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		u.begin(c)
		p := u.enqueue("a")[0]
		c.answer(c.next("send"), refusal("not_found", false, object{"last_n": 2}))
		u.isSent(p, 0)
	})
}

func TestArgumentsAreCheckedBeforeTheyAreSent(t *testing.T) {
	u, err := client.New(client.Config{URL: "ws://duet.test", User: "alice", Tokens: client.StaticToken("", time.Time{})})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for _, test := range []struct {
		to, text string
		field    string
	}{
		{"Bob", "hello", "to"},
		{"alice", "hello", "to"},
		{"bob", "", "text"},
		{"bob", "\xff", "text"},
		{"bob", string(make([]byte, client.MaxTextBytes+1)), "text"},
	} {
		_, err := u.Enqueue(test.to, test.text)
		var refusal *client.Error
		if refusal, _ = err.(*client.Error); refusal == nil || refusal.Field != test.field {
			t.Errorf("Enqueue(%q, %.10q) = %v, want a refusal of %s", test.to, test.text, err, test.field)
		}
	}
}
