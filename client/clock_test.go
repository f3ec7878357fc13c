package client_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/duet-chat/duet/client"
)

// issuer gives tokens that are good for an hour of the server's time, and is asked by a device that
// has its own.
type issuer struct {
	device func() time.Time // the device's clock

	mu     sync.Mutex // guards what follows
	number int
	good   string // the newest token
	ends   time.Time
	kept   string // by the device
}

// Token is asked for by the device, which keeps a token until its own clock says that it has ended.
func (i *issuer) Token(context.Context) (string, time.Time, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.kept == "" || !i.device().Before(i.ends) {
		i.number++
		i.good, i.ends = fmt.Sprint("token-", i.number), time.Now().Add(time.Hour)
		i.kept = i.good
	}
	return i.kept, i.ends, nil
}

// Invalidate is what the device does with a token that was refused.
func (i *issuer) Invalidate(string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.kept = ""
}

// end is when a token ends; the zero time for one of which it is not known any more.
func (i *issuer) end(token string) time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	if token != i.good {
		return time.Time{}
	}
	return i.ends
}

// A device whose clock is wrong chats on, however long: everything is stored once and in order, with
// the server's time, and it connects as often as its tokens end, no matter when it believes that they do.
func TestWrongClock(t *testing.T) {
	for _, wrong := range []time.Duration{
		-30 * 24 * time.Hour, -72 * time.Hour, -2 * time.Hour, -50 * time.Minute, 0,
		50 * time.Minute, time.Hour - time.Second, time.Hour, 61 * time.Minute, 2 * time.Hour, 72 * time.Hour, 30 * 24 * time.Hour,
	} {
		t.Run(wrong.String(), func(t *testing.T) {
			within(t, func(t *testing.T, s *server) {
				now := func() time.Time { return time.Now().Add(wrong).Round(0) }
				tokens := &issuer{device: now}
				s.good = func(token string) bool { return time.Now().Before(tokens.end(token)) }
				u := s.start(func(cfg *client.Config) { cfg.Now, cfg.Tokens = now, tokens })
				defer u.Close()
				const hours = 24
				s.chats(tokens, 10*hours) // with a right clock, one a minute before the end of each token
				for hour := 1; hour <= hours; hour++ {
					sent, err := u.Send(t.Context(), "bob", fmt.Sprint(hour))
					// It may be called a duplicate: sent at the very moment when the next connection takes over,
					// it goes out on both, and the answer on the second can come first.
					if err != nil || sent.Seq != int64(hour) {
						t.Fatalf("message %d: %+v, %v, want it stored as number %[1]d", hour, sent, err)
					}
					if age := time.Since(sent.At); age < 0 || age > time.Second {
						t.Errorf("message %d is %v old, want the server's time", hour, age)
					}
					time.Sleep(time.Hour)
				}
				for seq := range hours {
					u.shows(int64(seq + 1))
				}
			})
		})
	}
}

// chats serves at most so many connections as the real server does, each until its token ends.
func (s *server) chats(tokens *issuer, most int) {
	var mu sync.Mutex
	count, seqs := 0, map[any]int{} // by n
	began := time.Now()
	s.serveAll(func(c *conn) {
		ends := tokens.end(c.token())
		if count++; count == most {
			s.t.Errorf("%d connections in %v", most, time.Since(began))
			s.refuseNext(http.StatusForbidden)
		}
		c.serve(func(f object) {
			mu.Lock()
			defer mu.Unlock()
			var answer object
			switch {
			case !time.Now().Before(ends):
				answer = refusal("session_expired", false)
			case f["action"] == "sync":
				answer = object{"type": "synced", "epoch": "e", "conversations": []object{}, "since": "s", "more": false}
			case f["action"] == "ping":
				answer = object{"type": "pong"}
			case f["action"] == "send":
				seq, stored := seqs[f["n"]]
				if !stored {
					seq = len(seqs) + 1
					seqs[f["n"]] = seq
				}
				answer = object{"type": "sent", "conversation": "alice~bob", "n": f["n"], "seq": seq, "at": time.Now().UnixMilli(), "duplicate": stored}
			default:
				s.t.Errorf("the client wrote %v", f)
			}
			answer["ref"] = f["ref"]
			_ = c.tryWrite(answer) // the client may have gone
		})
	})
}
