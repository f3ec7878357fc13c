package test

import (
	"fmt"
	"strings"
	"testing"
)

// about is a request about another entry: an edit, an unsend or a reaction.
func about(action, conversation string, n, target int64, more ...string) map[string]any {
	r := map[string]any{"action": action, "conversation": conversation, "n": n, "target": target}
	for i := 0; i < len(more); i += 2 {
		r[more[i]] = more[i+1]
	}
	return r
}

// Edits, unsends and reactions are entries with a seq of their own: every device of both users gets them
// live, in one order, and by history; a repeat is answered like the first time (G2, G3, G5).
func TestAmendmentsAreEntries(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	laptop, phone, b := alice.connect(t, "laptop"), alice.connect(t, "phone"), bob.connect(t, "laptop")
	c := alice.with(bob)

	laptop.send(bob, 1, "helo")
	b.send(alice, 1, "hi")
	steps := []struct {
		by      *conn
		request map[string]any
		want    entry
	}{
		{laptop, about("edit", c, 2, 1, "text", "hello"), entry{Seq: 3, From: alice.name, Kind: "edit", Target: 1, Text: "hello"}},
		{b, about("react", c, 2, 1, "emoji", "👍🏽"), entry{Seq: 4, From: bob.name, Kind: "reaction", Target: 1, Emoji: "👍🏽"}},
		{laptop, about("edit", c, 3, 1, "text", "hello, bob"), entry{Seq: 5, From: alice.name, Kind: "edit", Target: 1, Text: "hello, bob"}},
		{b, about("react", c, 3, 1, "emoji", ""), entry{Seq: 6, From: bob.name, Kind: "reaction", Target: 1}},
		{b, about("unsend", c, 4, 2), entry{Seq: 7, From: bob.name, Kind: "unsend", Target: 2}},
	}
	for _, step := range steps {
		f := step.by.must("sent", step.request)
		if f.Seq != step.want.Seq || f.Duplicate {
			t.Fatalf("%v = %s, want seq %d", step.request, f.raw, step.want.Seq)
		}
		if again := step.by.must("sent", step.request); again.Seq != f.Seq || again.At != f.At || !again.Duplicate {
			t.Errorf("%v again = %s, want the same as a duplicate: %s", step.request, again.raw, f.raw)
		}
	}
	live := phone.messages(c, len(steps)+2)
	for _, step := range steps {
		got := live[step.want.Seq]
		if got.From != step.want.From || got.Kind != step.want.Kind || got.Target != step.want.Target || got.Text != step.want.Text || got.Emoji != step.want.Emoji {
			t.Errorf("live, %d = %+v, want %+v", step.want.Seq, got, step.want)
		}
	}
	b.messages(c, 3)
	log := b.log(c, 0)
	checkLog(t, log)
	for _, want := range []entry{
		{Seq: 1, Kind: "text", Text: "hello, bob", Edited: 5},
		{Seq: 2, Kind: "text", Unsent: 7},
		{Seq: 3, Kind: "edit", Target: 1}, // a newer edit has the text
		{Seq: 4, Kind: "reaction", Target: 1, Emoji: "👍🏽"},
		{Seq: 5, Kind: "edit", Target: 1, Text: "hello, bob"},
		{Seq: 6, Kind: "reaction", Target: 1},
		{Seq: 7, Kind: "unsend", Target: 2},
	} {
		got := log[want.Seq-1]
		got.Conversation, got.From, got.Device, got.N, got.At = "", "", "", 0, 0
		if got != want {
			t.Errorf("history, %d = %+v, want %+v", want.Seq, got, want)
		}
	}
}

// Whoever is not the author cannot change a text, nor can the author change what is unsent or no text.
func TestAmendmentsAreRefused(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	users := d.users(t, "alice", "bob", "carol")
	alice, bob, carol := users[0], users[1], users[2]
	a, b, x := alice.connect(t, "laptop"), bob.connect(t, "laptop"), carol.connect(t, "laptop")
	c := alice.with(bob)
	a.send(bob, 1, "mine")
	a.must("sent", about("react", c, 2, 1, "emoji", "🎉"))
	a.send(bob, 3, "unsent soon")
	a.must("sent", about("unsend", c, 4, 3))
	before := d.tables(t)
	for _, test := range []struct {
		name        string
		by          *conn
		request     map[string]any
		code, field string
	}{
		{"another's edit", b, about("edit", c, 1, 1, "text", "yours"), "forbidden", "target"},
		{"another's unsend", b, about("unsend", c, 1, 1), "forbidden", "target"},
		{"a third user's edit", x, about("edit", c, 1, 1, "text", "ours"), "forbidden", "conversation"},
		{"a third user's reaction", x, about("react", c, 1, 1, "emoji", "👀"), "forbidden", "conversation"},
		{"edit of a reaction", a, about("edit", c, 5, 2, "text", "x"), "bad_request", "target"},
		{"edit of what is unsent", a, about("edit", c, 5, 3, "text", "x"), "not_found", "target"},
		{"unsend of what is unsent", a, about("unsend", c, 5, 3), "not_found", "target"},
		{"reaction to what is unsent", b, about("react", c, 1, 3, "emoji", "👀"), "not_found", "target"},
		{"edit of nothing", a, about("edit", c, 5, 99, "text", "x"), "not_found", "target"},
		{"an empty edit", a, about("edit", c, 5, 1, "text", ""), "bad_request", "text"},
		{"an edit too long", a, about("edit", c, 5, 1, "text", strings.Repeat("x", 4097)), "too_large", "text"},
		{"an emoji too long", b, about("react", c, 1, 1, "emoji", strings.Repeat("👀", 17)), "bad_request", "emoji"},
		{"too early an n", a, about("edit", c, 55, 1, "text", "x"), "out_of_order", "n"},
		{"an n of another entry", a, about("edit", c, 3, 1, "text", "x"), "conflict", "n"},
	} {
		t.Run(test.name, func(t *testing.T) { test.by.refused(test.code, test.field, test.request) })
	}
	if after := d.tables(t); after != before {
		t.Errorf("refused requests changed the tables from\n%s\nto\n%s", before, after)
	}
	a.send(bob, 5, "the number is still free")
}

// An unsent text is gone from storage: from its entry, from its edits and from every index.
func TestUnsentTextIsGone(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "looks into the tables")
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	a, b := alice.connect(t, "laptop"), bob.connect(t, "laptop")
	c := alice.with(bob)
	for i, text := range []string{"regret-1", "regret-2", "regret-3"} {
		if i == 0 {
			a.send(bob, 1, text)
		} else {
			a.must("sent", about("edit", c, int64(i+1), 1, "text", text))
		}
	}
	if copies := strings.Count(d.tables(t), "regret-"); copies != 2 {
		t.Errorf("an edited text stands in the tables %d times, want twice: where it was sent, and in its newest edit", copies)
	}
	a.must("sent", about("unsend", c, 4, 1))
	if left := d.tables(t); strings.Contains(left, "regret-") {
		t.Errorf("the unsent text is still in the tables:\n%s", left)
	}
	for _, m := range append(b.log(c, 0), a.log(c, 0)...) {
		if m.Text != "" {
			t.Errorf("history has %+v", m)
		}
	}
	all, _ := bob.connect(t, "phone").sync(nil, "")
	if len(all) != 1 || all[0].Last == nil || all[0].Last.Text != "" || all[0].LastSeq != 4 {
		t.Errorf("the summary is %+v, want the unsend as its last entry", all)
	}
}

// Two devices of the author edit one text at once, many times: each edit has its seq, and the text is that
// of the newest (G3).
func TestEditsRace(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	c := alice.with(bob)
	devices := []*conn{alice.connect(t, "laptop"), alice.connect(t, "phone")}
	devices[0].send(bob, 1, "first")
	devices[1].send(bob, 1, "second")
	const rounds = 30
	done := make(chan error)
	for i, conn := range devices {
		go func() {
			for n := range int64(rounds) {
				f, err := conn.ask(about("edit", c, n+2, 1, "text", fmt.Sprintf("%d of %s", n, conn.device)))
				if err != nil || f.Type != "sent" {
					done <- fmt.Errorf("edit %d of device %d: %s %v", n, i, f.raw, err)
					return
				}
			}
			done <- nil
		}()
	}
	for range devices {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	log := devices[0].log(c, 0)
	checkLog(t, log)
	newest := log[len(log)-1]
	if len(log) != 2*rounds+2 || log[0].Text != newest.Text || log[0].Edited != newest.Seq {
		t.Errorf("%d entries, the text is %+v, the newest edit %+v", len(log), log[0], newest)
	}
	for _, m := range log[2 : len(log)-1] {
		if m.Text != "" {
			t.Errorf("an older edit still has its text: %+v", m)
		}
	}
}

// What was written once for one device is applied once, whatever is lost on the way: an edit whose answer
// is lost is sent again on a new connection.
func TestAmendmentsSurviveLostAnswers(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	c := alice.with(bob)
	a := alice.connect(t, "laptop")
	a.send(bob, 1, "text")
	edit := func() map[string]any { return about("edit", c, 2, 1, "text", "edited") }
	answer, err := a.start(edit())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.await(answer); err != nil {
		t.Fatal(err)
	}
	a.drop()
	again := alice.connect(t, "laptop")
	if f := again.must("sent", edit()); f.Seq != 2 || !f.Duplicate {
		t.Errorf("the edit again = %s, want the first one", f.raw)
	}
	if log := again.log(c, 0); len(log) != 2 || log[0].Text != "edited" {
		t.Errorf("log = %+v", log)
	}
}
