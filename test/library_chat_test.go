package test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/duet-chat/duet/client"
)

// watcher lets what a program is told besides messages be awaited.
type watcher struct {
	t        testing.TB
	receipts chan client.Receipt
	typing   chan client.Typing
	presence chan client.Presence
}

func watching(t testing.TB) (*watcher, func(*client.Config)) {
	w := &watcher{t, make(chan client.Receipt, 1000), make(chan client.Typing, 1000), make(chan client.Presence, 1000)}
	return w, func(c *client.Config) {
		c.OnReceipt = func(r client.Receipt) { w.receipts <- r }
		c.OnTyping = func(y client.Typing) { w.typing <- y }
		c.OnPresence = func(p client.Presence) { w.presence <- p }
	}
}

// until waits for something that a program is told.
func until[E any](t testing.TB, told <-chan E, what string, is func(E) bool) {
	t.Helper()
	for limit := timeout(); ; {
		select {
		case e := <-told:
			if is(e) {
				return
			}
		case <-limit:
			t.Fatalf("nothing told of %s", what)
		}
	}
}

func stored(t testing.TB) func(*client.Pending, error) client.Sent {
	return func(p *client.Pending, err error) client.Sent {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		sent, err := p.Wait(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return sent
	}
}

// items are what a program shows, without what differs by whose it is.
func items(entries []client.Message) []client.Item {
	var thread client.Thread
	for _, m := range entries {
		thread.Apply(m)
	}
	all := thread.Items()
	for i := range all {
		all[i].Own = false
	}
	return all
}

// G3, G5: who was there sees the same in the end as who comes later, whatever was changed.
func TestLibraryShowsAmendmentsAlikeEverywhere(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	a, b := alice.program(t, "laptop"), bob.program(t, "phone")
	sent := stored(t)
	sent(a.Enqueue(bob.name, "helo"))
	sent(a.Edit(bob.name, 1, "hallo"))
	sent(a.Edit(bob.name, 1, "hello"))
	b.await(3)
	sent(b.React(alice.name, 1, "👍"))
	sent(b.Enqueue(alice.name, "secret", client.ReplyTo(1)))
	sent(b.Unsend(alice.name, 5))
	for what, p := range map[string]*client.Pending{
		"edit of another's":   first(a.Edit(bob.name, 5, "x")),
		"unsend of another's": first(a.Unsend(bob.name, 5)),
		"edit of nothing":     first(a.Edit(bob.name, 99, "x")),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if _, err := p.Wait(ctx); !errors.Is(err, client.ErrForbidden) && !errors.Is(err, client.ErrNotFound) {
			t.Errorf("%s: %v, want a refusal", what, err)
		}
		cancel()
	}
	live := items(a.await(6))
	if len(live) != 2 || live[0].Text != "hello" || len(live[0].Reactions) != 1 || live[1].Text != "" || live[1].Unsent != 6 || live[1].ReplyTo != 1 {
		t.Errorf("alice is shown %+v", live)
	}
	fresh := bob.program(t, "desktop")
	for device, shown := range map[string][]client.Item{
		"bob's phone": items(b.await(6)), "bob's desktop": items(fresh.await(6)),
	} {
		if !reflect.DeepEqual(shown, live) {
			t.Errorf("%s shows %+v\nalice's laptop %+v", device, shown, live)
		}
	}
	var out bytes.Buffer
	if err := b.Export(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	var export struct {
		User          string
		Account       struct{ User string }
		Conversations []struct {
			Peer     string
			Messages []map[string]any
		}
	}
	if err := json.Unmarshal(out.Bytes(), &export); err != nil {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	if export.User != bob.name || export.Account.User != bob.name || len(export.Conversations) != 1 || export.Conversations[0].Peer != alice.name || len(export.Conversations[0].Messages) != 6 {
		t.Errorf("the export is %s", out.Bytes())
	}
	if bytes.Contains(out.Bytes(), []byte("secret")) || bytes.Contains(out.Bytes(), []byte("hallo")) {
		t.Error("the export has a text that is gone")
	}
}

func first(p *client.Pending, _ error) *client.Pending { return p }

// What goes on besides messages: presence, typing, receipts on all devices, unread, blocks, sign-out.
func TestLibraryTellsWhatGoesOn(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	wa, onA := watching(t)
	wb, onB := watching(t)
	other, onOther := watching(t)
	a, b := alice.program(t, "laptop", onA), bob.program(t, "phone", onB)
	second := bob.program(t, "tablet", onOther)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sent := stored(t)
	if err := a.Watch(bob.name); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		sent(a.Enqueue(bob.name, "hello"))
	}
	until(t, wa.presence, "bob's presence", func(p client.Presence) bool { return p.User == bob.name && p.Online })
	b.await(3)
	second.await(3)
	until(t, wa.receipts, "bob's device having all", func(r client.Receipt) bool { return r.User == bob.name && r.Delivered == 3 })
	list, err := b.Conversations(ctx)
	if err != nil || len(list) != 1 || list[0].Unread != 3 {
		t.Fatalf("bob's list = %+v, %v, want 3 unread", list, err)
	}
	if err := b.MarkRead(alice.name, 3); err != nil {
		t.Fatal(err)
	}
	until(t, wa.receipts, "bob having read", func(r client.Receipt) bool { return r.User == bob.name && r.Read == 3 })
	until(t, other.receipts, "bob having read elsewhere", func(r client.Receipt) bool { return r.User == bob.name && r.Read == 3 })
	if list, err := second.Conversations(ctx); err != nil || len(list) != 1 || list[0].Unread != 0 {
		t.Errorf("the list on bob's tablet = %+v, %v, want nothing unread", list, err)
	}
	if err := a.Typing(bob.name, true); err != nil {
		t.Fatal(err)
	}
	until(t, wb.typing, "alice writing", func(y client.Typing) bool { return y.User == alice.name && y.On })
	sent(a.Enqueue(bob.name, "there"))
	until(t, wb.typing, "alice having written", func(y client.Typing) bool { return y.User == alice.name && !y.On })

	if err := b.Block(ctx, alice.name); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Send(ctx, bob.name, "still there?"); !errors.Is(err, client.ErrBlocked) {
		t.Errorf("Send to one who has blocked = %v, want ErrBlocked", err)
	}
	if err := b.Unblock(ctx, alice.name); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Send(ctx, bob.name, "again"); err != nil {
		t.Errorf("Send after the block = %v", err)
	}
	if err := b.SetVisible(ctx, false); err != nil {
		t.Fatal(err)
	}
	if account, err := b.Account(ctx); err != nil || account.Visible || account.User != bob.name || len(account.Connections) != 2 {
		t.Errorf("Account() = %+v, %v, want invisible on two connections", account, err)
	}
	if err := b.SignOut(ctx, client.AllSessions); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*program{b, second} {
		select {
		case err := <-p.ended:
			if !errors.Is(err, client.ErrSignedOut) {
				t.Errorf("%s ended with %v, want ErrSignedOut", p.Device(), err)
			}
		case <-timeout():
			t.Errorf("%s goes on after the sign-out", p.Device())
		}
	}
}
