package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/duet-chat/duet/client"
)

// heard collects what a client's functions were told of receipts, typing and presence.
type heard struct {
	receipts chan client.Receipt
	typing   chan client.Typing
	presence chan client.Presence
}

// listen lets a client's functions be heard, and acknowledges what is delivered.
func listen() (*heard, func(*client.Config)) {
	h := &heard{make(chan client.Receipt, 100), make(chan client.Typing, 100), make(chan client.Presence, 100)}
	return h, func(cfg *client.Config) {
		cfg.NoDelivered = false
		cfg.OnReceipt = func(r client.Receipt) { h.receipts <- r }
		cfg.OnTyping = func(t client.Typing) { h.typing <- t }
		cfg.OnPresence = func(p client.Presence) { h.presence <- p }
	}
}

// isNext checks the next thing that was told.
func isNext[E comparable](t *testing.T, told <-chan E, want E) {
	t.Helper()
	select {
	case got := <-told:
		if got != want {
			t.Fatalf("told %+v, want %+v", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("nothing was told, want %+v", want)
	}
}

func isSilent[E any](t *testing.T, told <-chan E) {
	t.Helper()
	select {
	case got := <-told:
		t.Fatalf("told %+v, want nothing", got)
	default:
	}
}

// ack waits for an acknowledgement and answers it.
func (c *conn) ack(delivered, read any) {
	c.t.Helper()
	f := c.next("ack")
	if f["conversation"] != "alice~bob" || f["delivered"] != delivered || f["read"] != read {
		c.t.Fatalf("the client wrote %v, want delivered %v and read %v", f, delivered, read)
	}
	acked := object{"type": "acked", "conversation": "alice~bob", "delivered": delivered, "read": 0}
	if read != nil {
		acked["read"] = read
	}
	c.answer(f, acked)
}

func TestDeliveredIsAcknowledgedOncePerWindow(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		_, listening := listen()
		u := s.start(listening)
		defer u.Close()
		c := s.accept()
		c.sync("e")
		at := time.Now()
		for seq := 1; seq <= 50; seq++ {
			c.write(push(seq))
		}
		c.ack(50.0, nil)
		if got := time.Since(at); got != time.Second {
			t.Errorf("it was acknowledged after %v, want 1s", got)
		}
		c.none(time.Minute)
		c.write(push(51))
		c.ack(51.0, nil)
		// What the user writes is delivered to nobody but others.
		p := u.enqueue("a")[0]
		c.sent(c.next("send"), 52)
		u.isSent(p, 52)
		c.none(time.Minute)
	})
}

func TestReadGoesWithDeliveredAndNeverBack(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		h, listening := listen()
		u := s.start(listening)
		defer u.Close()
		c := s.accept()
		c.sync("e")
		for seq := 1; seq <= 5; seq++ {
			c.write(push(seq))
		}
		u.shows(1, 2, 3, 4, 5)
		for _, seq := range []int64{3, 4, 2} {
			if err := u.MarkRead("bob", seq); err != nil {
				t.Fatal(err)
			}
		}
		c.ack(5.0, 4.0)
		if err := u.MarkRead("bob", 4); err != nil {
			t.Fatal(err)
		}
		c.none(time.Minute)
		isSilent(t, h.receipts)
		if err := u.MarkRead("bob", 0); err == nil {
			t.Error("MarkRead(0) = nil, want a refusal")
		}
	})
}

func TestUnansweredReceiptsAreSentAgainOnTheNextConnection(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		_, listening := listen()
		u := s.start(listening)
		defer u.Close()
		c := s.accept()
		c.sync("e")
		c.write(push(1))
		c.next("ack")
		c.cut()
		c = s.accept()
		c.sync("e")
		c.write(push(2))
		c.ack(2.0, nil)
		c.none(time.Minute)
	})
}

func TestUnansweredReceiptsSurviveARestart(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		_, listening := listen()
		state := client.NewMemoryState()
		with := func(cfg *client.Config) { cfg.State = state }
		u := s.start(listening, with)
		c := s.accept()
		c.sync("e")
		c.write(push(1))
		u.shows(1)
		if err := u.MarkRead("bob", 1); err != nil {
			t.Fatal(err)
		}
		u.Close()
		u = s.start(listening, with)
		defer u.Close()
		c = s.accept()
		c.sync("e")
		c.ack(1.0, 1.0)
		c.none(time.Minute)
	})
}

func TestReceiptsOfThePeerAndOfOwnDevicesAreTold(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		h, listening := listen()
		u := s.start(listening)
		defer u.Close()
		c := s.accept()
		listed := summary(0, 0)
		listed["peer_read"], listed["peer_delivered"], listed["last_seq"] = 0, 0, 0
		c.sync("e", listed)
		receipt := func(user string, delivered, read int) object {
			return object{"type": "receipt", "conversation": "alice~bob", "user": user, "delivered": delivered, "read": read}
		}
		c.write(push(1))
		c.write(push(2))
		u.shows(1, 2)
		c.ack(2.0, nil)
		told := func(user string, delivered, read int64) {
			t.Helper()
			isNext(t, h.receipts, client.Receipt{Conversation: "alice~bob", User: user, Mark: client.Mark{Delivered: delivered, Read: read}})
		}
		c.write(receipt("bob", 2, 1))
		told("bob", 2, 1)
		c.write(receipt("bob", 1, 1)) // late
		c.write(receipt("alice", 2, 2))
		told("alice", 2, 2)
		if list, err := u.Conversations(t.Context()); err != nil || list[0].Unread != 0 || list[0].Own.Read != 2 || list[0].Theirs.Read != 1 {
			t.Errorf("Conversations() = %+v, %v, want nothing unread", list, err)
		}
		// Read elsewhere: there is nothing to tell.
		if err := u.MarkRead("bob", 2); err != nil {
			t.Fatal(err)
		}
		c.none(time.Minute)
		// A sync tells what was missed.
		c.write(object{"type": "behind"})
		listed = summary(2, 0)
		listed["read"], listed["delivered"], listed["peer_read"], listed["peer_delivered"] = 2, 2, 2, 2
		c.sync("e", listed)
		told("bob", 2, 2)
		isSilent(t, h.receipts)
	})
}

func TestRefusedReceiptIsNotSentAgain(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		_, listening := listen()
		u := s.start(listening)
		defer u.Close()
		c := s.accept()
		c.sync("e")
		if err := u.MarkRead("bob", 9); err != nil {
			t.Fatal(err)
		}
		c.answer(c.next("ack"), refusal("bad_request", false, object{"field": "read"}))
		c.none(time.Minute)
	})
}

func TestFlushTellsReceiptsAtOnce(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		_, listening := listen()
		u := s.start(listening)
		defer u.Close()
		c := s.accept()
		c.sync("e")
		c.write(push(1))
		u.shows(1)
		if err := u.MarkRead("bob", 1); err != nil {
			t.Fatal(err)
		}
		at, flushed := time.Now(), make(chan error, 1)
		go func() { flushed <- u.Flush(context.Background()) }()
		c.ack(1.0, 1.0)
		if err := <-flushed; err != nil || time.Since(at) != 0 {
			t.Errorf("Flush() = %v after %v, want at once", err, time.Since(at))
		}
		if err := u.Flush(context.Background()); err != nil {
			t.Errorf("Flush() with nothing to tell = %v", err)
		}
	})
}
