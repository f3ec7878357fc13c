package client_test

import (
	"testing"
	"time"

	"github.com/duet-chat/duet/client"
)

// The list costs one full sync at most, and none when the first sync was full.
func TestConversationsAreKeptUpToDateByWhatComesIn(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		u := s.start()
		defer u.Close()
		c := s.accept()
		carol := object{"conversation": "alice~carol", "peer": "carol", "last_seq": 3, "unread": 0, "at": 500}
		c.sync("e", summary(2, 2), carol)
		c.answer(c.next("history"), page(false, 1, 2))
		u.shows(1, 2)
		list := func(peers ...string) []client.Conversation {
			t.Helper()
			list, err := u.Conversations(t.Context())
			if err != nil || len(list) != len(peers) {
				t.Fatalf("Conversations() = %+v, %v, want %v", list, err, peers)
			}
			for i, peer := range peers {
				if list[i].Peer != peer {
					t.Fatalf("Conversations() = %+v, want %v", list, peers)
				}
			}
			return list
		}
		if got := list("bob", "carol")[0]; got.Unread != 2 || got.LastSeq != 2 {
			t.Errorf("Conversations()[0] = %+v, want 2 unread of 2", got)
		}
		c.write(push(3))
		u.shows(3)
		if got := list("bob", "carol")[0]; got.Unread != 3 || got.LastSeq != 3 || got.Last.Text != text(3) || !got.At.Equal(time.UnixMilli(3000)) {
			t.Errorf("Conversations()[0] = %+v, want 3 unread", got)
		}
		// The user's own message, by another device, answers all of them.
		p := u.enqueue("a")[0]
		c.sent(c.next("send"), 4)
		u.isSent(p, 4)
		u.shows(4)
		if got := list("bob", "carol")[0]; got.Unread != 0 {
			t.Errorf("Conversations()[0] = %+v, want nothing unread", got)
		}
		c.write(object{"type": "message", "conversation": "alice~carol", "seq": 4, "from": "carol", "device": "d", "n": 1, "at": 9000, "kind": "text", "text": "x"})
		u.shows(4)
		if got := list("carol", "bob")[0]; got.Unread != 1 {
			t.Errorf("Conversations()[0] = %+v, want 1 unread", got)
		}
		c.none(10 * time.Second)
	})
}

func TestConversationsOfAnOlderStateCostOneFullSync(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		state := client.NewMemoryState()
		if err := state.Save(client.Change{Device: "d", Epoch: "e", Since: "t"}); err != nil {
			t.Fatal(err)
		}
		u := s.start(func(cfg *client.Config) { cfg.State = state })
		defer u.Close()
		c := s.accept()
		if f := c.sync("e"); f["since"] != "t" {
			t.Errorf("the client asked %v, want what is new", f)
		}
		all := make(chan []client.Conversation, 1)
		get := func() {
			list, err := u.Conversations(t.Context())
			if err != nil {
				t.Error(err)
			}
			all <- list
		}
		go get()
		f := c.next("sync")
		first := summary(8, 0)
		c.answer(f, object{"type": "synced", "epoch": "e", "conversations": []object{first}, "since": "p", "more": true})
		f = c.next("sync")
		if f["since"] != "p" {
			t.Errorf("the client asked %v, want the next page", f)
		}
		carol := object{"conversation": "alice~carol", "peer": "carol", "last_seq": 3, "unread": 0, "at": 500}
		c.answer(f, object{"type": "synced", "epoch": "e", "conversations": []object{carol}, "since": "q", "more": false})
		if list := <-all; len(list) != 2 || list[0].Peer != "bob" || list[1].Peer != "carol" {
			t.Errorf("Conversations() = %+v, want both", list)
		}
		// The server counts as told what it told a list: what it could not deliver is asked for.
		if f = c.sync("e"); f["since"] == nil {
			t.Errorf("the client asked %v, want what is new", f)
		}
		go get()
		<-all
		c.none(10 * time.Second)
	})
}
