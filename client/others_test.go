package client_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/duet-chat/duet/client"
)

func TestTypingIsSentAtMostEvery3s(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		u.begin(c)
		typed := func(on bool) {
			t.Helper()
			if err := u.Typing("bob", on); err != nil {
				t.Fatal(err)
			}
		}
		sends := func(on bool) {
			t.Helper()
			f := c.next("typing")
			if f["conversation"] != "alice~bob" || f["on"] != on {
				t.Fatalf("the client wrote %v, want on %v", f, on)
			}
			c.answer(f, object{"type": "ok"})
		}
		typed(false) // nobody was told that the user writes
		for range 29 {
			typed(true)
			time.Sleep(100 * time.Millisecond)
		}
		sends(true)
		c.none(100 * time.Millisecond)
		typed(true)
		sends(true)
		typed(false)
		sends(false)
		typed(false)
		c.none(time.Second)
		// A message ends it, and the next word begins anew.
		typed(true)
		sends(true)
		p := u.enqueue("a")[0]
		c.sent(c.next("send"), 2)
		u.isSent(p, 2)
		typed(false)
		typed(true)
		sends(true)
		// Nothing is said again that nobody waits for any more.
		time.Sleep(6 * time.Second)
		typed(false)
		c.none(time.Minute)
		typed(true)
		c.answer(c.next("typing"), refusal("unavailable", true))
		c.none(time.Minute)
		if err := u.Typing("carol", true); err != nil { // no conversation
			t.Fatal(err)
		}
		c.none(time.Second)
	})
}

func TestTypingOfAPeerExpiresAfter6s(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		h, listening := listen()
		u := s.start(listening, func(cfg *client.Config) { cfg.NoDelivered = true })
		defer u.Close()
		c := s.accept()
		u.begin(c)
		typing := func(on bool) object {
			return object{"type": "typing", "conversation": "alice~bob", "user": "bob", "on": on}
		}
		on, off := client.Typing{Conversation: "alice~bob", User: "bob", On: true}, client.Typing{Conversation: "alice~bob", User: "bob"}
		c.write(typing(true))
		isNext(t, h.typing, on)
		time.Sleep(5 * time.Second)
		c.write(typing(true))
		at := time.Now()
		isNext(t, h.typing, off)
		if got := time.Since(at); got != 6*time.Second {
			t.Errorf("it ended after %v, want 6s", got)
		}
		c.write(typing(true))
		isNext(t, h.typing, on)
		c.write(typing(false))
		isNext(t, h.typing, off)
		c.write(typing(false))
		c.write(typing(true))
		isNext(t, h.typing, on)
		c.write(push(2))
		isNext(t, h.typing, off)
		u.shows(2)
		time.Sleep(time.Minute)
		isSilent(t, h.typing)
	})
}

// watched answers the next watch.
func (c *conn) watched(visible any, users ...string) (f object) {
	c.t.Helper()
	f = c.next("presence")
	var asked []string
	for _, u := range f["users"].([]any) {
		asked = append(asked, u.(string))
	}
	if !slices.Equal(asked, users) || f["visible"] != visible {
		c.t.Fatalf("the client wrote %v, want users %v, visible %v", f, users, visible)
	}
	return f
}

func online(user string) object { return object{"user": user, "online": true} }

func TestPresenceIsWatchedAgainOnEachConnection(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		h, listening := listen()
		u := s.start(listening)
		defer u.Close()
		if err := u.Watch("bob", "carol"); err != nil {
			t.Fatal(err)
		}
		c := s.accept()
		c.sync("e")
		bob, carol := client.Presence{User: "bob", Online: true}, client.Presence{User: "carol", LastSeen: time.UnixMilli(5000)}
		away := object{"user": "carol", "online": false, "last_seen": 5000}
		c.answer(c.watched(nil, "bob", "carol"), object{"type": "presence", "users": []object{online("bob"), away}, "visible": true})
		isNext(t, h.presence, bob)
		isNext(t, h.presence, carol)
		c.write(object{"type": "presence", "user": "carol", "online": true})
		carol = client.Presence{User: "carol", Online: true}
		isNext(t, h.presence, carol)
		c.write(object{"type": "presence", "user": "dave", "online": true}) // watched by nobody
		c.cut()
		c = s.accept()
		c.sync("e")
		// Only what has changed is told.
		c.answer(c.watched(nil, "bob", "carol"), object{"type": "presence", "users": []object{online("bob"), away}, "visible": true})
		carol = client.Presence{User: "carol", LastSeen: time.UnixMilli(5000)}
		isNext(t, h.presence, carol)
		if err := u.Watch(); err != nil {
			t.Fatal(err)
		}
		f := c.next("presence")
		if users := f["users"].([]any); len(users) != 0 {
			t.Errorf("the client wrote %v, want nobody", f)
		}
		c.answer(f, object{"type": "presence", "users": []object{}, "visible": true})
		c.none(time.Minute)
		isSilent(t, h.presence)
		if err := u.Watch(make([]string, client.MaxWatched+1)...); err == nil {
			t.Error("Watch(51 users) = nil, want a refusal")
		}
	})
}

// The server drops those whom it does not tell of, until there is a conversation.
func TestPresenceIsWatchedAgainWhenAConversationBegins(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		_, listening := listen()
		u := s.start(listening, func(cfg *client.Config) { cfg.NoDelivered = true })
		defer u.Close()
		if err := u.Watch("bob"); err != nil {
			t.Fatal(err)
		}
		c := s.accept()
		c.sync("e")
		c.answer(c.watched(nil, "bob"), object{"type": "presence", "users": []object{{"user": "bob", "online": false}}, "visible": true})
		c.write(push(1))
		c.answer(c.watched(nil, "bob"), object{"type": "presence", "users": []object{online("bob")}, "visible": true})
		c.none(time.Minute)
	})
}

func TestInvisibleIsSaidUntilItIsAnswered(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		c.sync("e")
		done := make(chan error, 1)
		go func() { done <- u.SetVisible(context.Background(), false) }()
		f := c.next("presence")
		if f["visible"] != false {
			t.Fatalf("the client wrote %v, want visible false", f)
		}
		c.cut()
		c = s.accept()
		c.sync("e")
		f = c.next("presence")
		if f["visible"] != false {
			t.Fatalf("the client wrote %v, want visible false again", f)
		}
		c.answer(f, object{"type": "presence", "users": []object{}, "visible": false})
		if err := <-done; err != nil {
			t.Errorf("SetVisible() = %v", err)
		}
		c.none(time.Minute)
	})
}

func TestSignedOutEndsRunAndForgetsTheTokens(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		source := &forgetful{}
		u := s.start(func(cfg *client.Config) { cfg.Tokens = source })
		c := s.accept()
		c.sync("e")
		c.write(object{"type": "closing", "reason": "signed_out"})
		u.endsWith(client.ErrSignedOut)
		if !source.forgot {
			t.Error("the tokens were not forgotten")
		}
	})
}

type forgetful struct{ forgot bool }

func (*forgetful) Token(context.Context) (string, time.Time, error) {
	return "token", time.Time{}, nil
}
func (f *forgetful) Forget() { f.forgot = true }

func TestSignOutOfThisSessionSucceedsWithoutAnAnswer(t *testing.T) {
	for scope, want := range map[client.Scope]error{client.ThisSession: nil, client.AllSessions: nil, client.OtherSessions: client.ErrClosed} {
		t.Run(string(scope), func(t *testing.T) {
			within(t, func(t *testing.T, s *server) {
				u := s.start()
				c := s.accept()
				c.sync("e")
				done := make(chan error, 1)
				go func() { done <- u.SignOut(context.Background(), scope) }()
				if f := c.next("signout"); f["scope"] != string(scope) {
					t.Errorf("the client wrote %v, want scope %s", f, scope)
				}
				c.write(object{"type": "closing", "reason": "signed_out"})
				u.endsWith(client.ErrSignedOut)
				if err := <-done; err != want {
					t.Errorf("SignOut() = %v, want %v", err, want)
				}
			})
		})
	}
}

// The user of the program sees nothing of it: no status changes.
func TestExpiredSessionIsRenewedWithoutAVisibleBreak(t *testing.T) {
	for _, after := range []time.Duration{time.Second, time.Minute} {
		t.Run(after.String(), func(t *testing.T) {
			within(t, func(t *testing.T, s *server) {
				u := s.start(func(cfg *client.Config) { cfg.Tokens = &tokens{life: time.Hour} })
				defer u.Close()
				c := s.accept()
				c.sync("e")
				c.none(after)
				for len(u.statuses) > 0 {
					<-u.statuses
				}
				c.write(object{"type": "closing", "reason": "session_expired"})
				c.cut()
				at := time.Now()
				c = s.accept()
				if got := time.Since(at); got != 0 {
					t.Errorf("the next connection came after %v, want at once", got)
				}
				p := u.enqueue("a")[0]
				c.sync("e")
				c.sent(c.next("send"), 1)
				u.isSent(p, 1)
				isSilent(t, u.statuses)
			})
		})
	}
}

// A server that takes no session must not be asked without end.
func TestSessionThatExpiresAtOnceIsNotRenewedWithoutEnd(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		at := time.Now()
		for range 10 {
			c := s.accept()
			c.sync("e")
			c.write(object{"type": "closing", "reason": "session_expired"})
			c.cut()
		}
		if got := time.Since(at); got < 10*time.Second {
			t.Errorf("10 connections within %v, want backoff", got)
		}
	})
}

func TestBlockIsListedAndAsked(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		c.sync("e", summary(8, 3))
		blocked := func(do func(context.Context, string) error, action string, want bool) {
			t.Helper()
			done := make(chan error, 1)
			go func() { done <- do(context.Background(), "bob") }()
			f := c.next(action)
			if f["user"] != "bob" {
				t.Errorf("the client wrote %v, want bob", f)
			}
			c.answer(f, object{"type": "ok"})
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if list, err := u.Conversations(t.Context()); err != nil || len(list) != 1 || list[0].Blocked != want {
				t.Errorf("Conversations() = %+v, %v, want blocked %v", list, err, want)
			}
		}
		h := c.next("history")
		c.answer(h, page(false, 6, 7, 8))
		blocked(u.Block, "block", true)
		blocked(u.Unblock, "unblock", false)
	})
}

func TestEraseGoesOnUntilItIsDone(t *testing.T) {
	for _, lost := range []bool{false, true} { // the last answer
		t.Run(fmt.Sprint("its answer is lost: ", lost), func(t *testing.T) {
			within(t, func(t *testing.T, s *server) {
				u := s.start()
				c := s.accept()
				c.sync("e")
				done := make(chan error, 1)
				go func() { done <- u.Erase(context.Background()) }()
				c.answer(c.next("erase"), object{"type": "erased", "done": false})
				c.next("erase")
				c.cut()
				c = s.accept()
				var f object
				for f["action"] != "erase" { // it need not wait for the sync
					f = <-c.frames
				}
				if f["user"] != "alice" {
					t.Errorf("the client wrote %v, want alice", f)
				}
				s.refuseNext(http.StatusForbidden)
				if !lost {
					c.answer(f, object{"type": "erased", "done": true})
				}
				c.cut() // as the server does
				if err := <-done; err != nil {
					t.Errorf("Erase() = %v", err)
				}
				u.endsWith(client.ErrErased)
			})
		})
	}
}
