package client_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/client"
)

// states opens a state, and opens it again as a restarted program would.
var states = map[string]func(t *testing.T) (reopen func() client.State){
	"memory": func(*testing.T) func() client.State {
		s := client.NewMemoryState()
		return func() client.State { return s }
	},
	"file": func(t *testing.T) func() client.State {
		path := filepath.Join(t.TempDir(), "state.json")
		return func() client.State {
			s, err := client.OpenFileState(path)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	},
}

func TestStateKeepsWhatWasSaved(t *testing.T) {
	for name, open := range states {
		t.Run(name, func(t *testing.T) {
			reopen := open(t)
			save := func(c client.Change) {
				t.Helper()
				if err := reopen().Save(c); err != nil {
					t.Fatal(err)
				}
			}
			holds := func(want client.Saved) {
				t.Helper()
				got, err := reopen().Load()
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("Load() differs (-want +got):\n%s", diff)
				}
			}
			holds(client.Saved{})
			bob := client.SavedConversation{Cursor: 4, NextN: 3, Unsent: []client.Unsent{{N: 2, Text: "hello", ReplyTo: 1}}}
			carol := client.SavedConversation{Cursor: -1, NextN: 1}
			save(client.Change{Device: "d", Epoch: "e", Since: "s", Conversations: map[string]client.SavedConversation{"alice~bob": bob}})
			save(client.Change{Device: "d", Epoch: "e", Since: "t", Conversations: map[string]client.SavedConversation{"alice~carol": carol}})
			holds(client.Saved{Device: "d", Epoch: "e", Since: "t", Conversations: map[string]client.SavedConversation{"alice~bob": bob, "alice~carol": carol}})
			save(client.Change{Reset: true, Device: "d2", Epoch: "f", Conversations: map[string]client.SavedConversation{"alice~carol": carol}})
			holds(client.Saved{Device: "d2", Epoch: "f", Conversations: map[string]client.SavedConversation{"alice~carol": carol}})
		})
	}
}

func TestFileStateLeavesOneFileThatOnlyTheOwnerReads(t *testing.T) {
	dir := t.TempDir()
	s, err := client.OpenFileState(filepath.Join(dir, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.Save(client.Change{Device: "d"}); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("the folder holds %v (%v), want the state alone", files, err)
	}
	if info, err := files[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the state has mode %v (%v), want 0600", info.Mode(), err)
	}
}

func TestDamagedFileStateIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	if err := os.WriteFile(path, []byte(`{"device":"d",`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client.OpenFileState(path); err == nil {
		t.Error("OpenFileState() = nil for half a file, want an error")
	}
}

func TestG2RestartedProgramSendsOn(t *testing.T) {
	for name, open := range states {
		t.Run(name, func(t *testing.T) {
			reopen := open(t)
			within(t, func(t *testing.T, s *server) {
				state := func(cfg *client.Config) { cfg.State = reopen() }
				u := s.start(state)
				c := s.accept()
				u.begin(c)
				c.write(push(2))
				u.shows(2)
				u.enqueue("a")
				isSend(t, c.next("send"), 2, "a")
				u.Close()

				u = s.start(state)
				defer u.Close()
				c = s.accept()
				if got := c.header.Get("X-Duet-Device"); got != "device-1" {
					t.Errorf("the client came back as %q, want device-1", got)
				}
				if y := c.sync("e"); y["since"] != "since e" {
					t.Errorf("the client asked %v, want since the last sync", y)
				}
				unsent := u.Unsent()
				if len(unsent) != 1 || unsent[0].Text() != "a" || unsent[0].To() != "bob" {
					t.Fatalf("Unsent() = %v, want a", unsent)
				}
				f := c.next("send")
				isSend(t, f, 2, "a")
				c.sent(f, 3)
				u.isSent(unsent[0], 3)
				// 1 and 2 were shown before.
				u.shows(3)
				p := u.enqueue("b")[0]
				f = c.next("send")
				isSend(t, f, 3, "b")
				c.sent(f, 4)
				u.isSent(p, 4)
			})
		})
	}
}

func TestSinceIsSavedOnlyWhenEverythingBeforeItWasShown(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		state := client.NewMemoryState()
		since := func() string {
			saved, err := state.Load()
			if err != nil {
				t.Fatal(err)
			}
			return saved.Since
		}
		u := s.start(func(cfg *client.Config) { cfg.State = state })
		defer u.Close()
		c := s.accept()
		c.sync("e", summary(2, 2))
		h := c.next("history")
		time.Sleep(2 * time.Second) // in the bubble: what is saved lazily is saved
		if got := since(); got != "" {
			t.Errorf("since %q was saved while messages are missing", got)
		}
		c.answer(h, page(false, 1, 2))
		u.shows(1, 2)
		time.Sleep(2 * time.Second)
		if got := since(); got != "since e" {
			t.Errorf("since %q was saved, want that of the last sync", got)
		}
	})
}

func TestMessagesAreSavedBeforeTheyAreWritten(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		state := client.NewMemoryState()
		u := s.start(func(cfg *client.Config) { cfg.State = state })
		defer u.Close()
		c := s.accept()
		u.begin(c)
		u.enqueue("a")
		c.next("send")
		saved, err := state.Load()
		if err != nil {
			t.Fatal(err)
		}
		want := []client.Unsent{{N: 2, Text: "a"}}
		if got := saved.Conversations["alice~bob"].Unsent; !cmp.Equal(got, want) {
			t.Errorf("saved are %v when the frame is on the wire, want %v", got, want)
		}
	})
}

// A program that crashes while it starts over in a new epoch decides about its unsure messages after
// the restart.
func TestUnsureMessagesAreDecidedAfterARestart(t *testing.T) {
	within(t, func(t *testing.T, s *server) {
		state := client.NewMemoryState()
		unsent := func(text string) client.SavedConversation {
			return client.SavedConversation{Cursor: -1, NextN: 2, Unsent: []client.Unsent{{N: 1, Text: text, Unsure: true}}}
		}
		if err := state.Save(client.Change{Device: "d", Epoch: "e", Conversations: map[string]client.SavedConversation{
			"alice~bob": unsent("to bob"), "alice~carol": unsent("to carol"),
		}}); err != nil {
			t.Fatal(err)
		}
		u := s.start(func(cfg *client.Config) { cfg.State = state })
		defer u.Close()
		pending := map[string]*client.Pending{}
		for _, p := range u.Unsent() {
			pending[p.To()] = p
		}
		c := s.accept()
		c.sync("e", object{"conversation": "alice~carol", "peer": "carol", "last_seq": 3, "unread": 0, "at": 3000})
		f := c.next("send")
		isSend(t, f, 1, "to bob")
		c.sent(f, 1)
		u.isSent(pending["bob"], 1)
		u.isRefused(pending["carol"], client.ErrNewEpoch)
	})
}
