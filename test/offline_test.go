package test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
)

// G5: offline for 5,000 messages in 50 conversations. One sync tells of exactly these, newest
// first, with the right unread numbers, and history brings them.
func TestOfflineForFiveThousandMessages(t *testing.T) {
	t.Parallel()
	d := newTarget(t, unthrottled)
	bob := d.user(t, "bob")
	// What bob knew before: two conversations, in one of which he has answered.
	known, answered := d.user(t, "known"), d.user(t, "answered")
	was := bob.connect(t, "phone")
	known.connect(t, "laptop").send(bob, 1, "known already")
	answered.connect(t, "laptop").send(bob, 1, "will be answered")
	was.send(answered, 1, "the answer")
	was.messages(bob.with(known), 1)
	_, last := was.sync(nil, "")
	since, epoch := last.Since, last.Epoch
	cursors := map[string]int64{bob.with(known): 1, bob.with(answered): 2}
	was.drop()

	const conversations = 50
	// 51, 53, … 149 messages: 5,000 in all, or 300. Every third text grows sixfold in JSON, and all
	// are longer than what a summary shows.
	fewest, more := times(51, 51, 6), times(2, 2, 0)
	count := func(i int) int { return fewest + more*i }
	total := conversations*fewest + more*conversations*(conversations-1)/2
	text := func(i int, n int64) string {
		filler := "€"
		if i%3 == 0 {
			filler = "\x01"
		}
		return fmt.Sprintf("%d/%d %s", i, n, strings.Repeat(filler, 150))
	}
	senders := make([]*user, conversations)
	for i := range conversations {
		switch senders[i] = answered; i {
		case 7:
		default:
			senders[i] = d.user(t, fmt.Sprintf("sender%d", i))
		}
	}
	sending := new(errgroup.Group)
	sending.SetLimit(10)
	for i, sender := range senders {
		c, first := sender.connect(t, "laptop"), int64(1)
		if sender == answered {
			first = 2
		}
		sending.Go(func() error {
			defer c.drop()
			for n := range int64(count(i)) {
				if f, err := c.ask(message(bob, first+n, text(i, n+1))); err != nil || f.Type != "sent" {
					return fmt.Errorf("%s: n %d: %s %w", c, first+n, f.raw, err)
				}
			}
			return nil
		})
	}
	if err := sending.Wait(); err != nil {
		t.Fatal(err)
	}

	c := bob.connect(t, "phone")
	all, last := c.sync(cursors, since)
	if last.Epoch != epoch {
		t.Errorf("the epoch changed from %s to %s", epoch, last.Epoch)
	}
	if !slices.IsSortedFunc(all, func(a, b summary) int { return cmp.Compare(b.At, a.At) }) {
		t.Error("the summaries are not newest first")
	}
	found := map[string]summary{}
	for _, s := range all {
		if _, twice := found[s.Conversation]; twice {
			t.Errorf("%s is listed twice", s.Conversation)
		}
		found[s.Conversation] = s
	}
	if len(found) != conversations {
		t.Errorf("%d conversations are listed, want the %d with news", len(found), conversations)
	}
	messages := 0
	for i, sender := range senders {
		id := bob.with(sender)
		s, ok := found[id]
		if !ok {
			t.Fatalf("%s is not listed", id)
		}
		before := cursors[id]
		want := summary{Conversation: id, Peer: sender.name, LastSeq: before + int64(count(i)), Unread: int64(count(i)), At: s.At}
		last := s.Last
		s.Last = nil
		if s != want {
			t.Errorf("summary = %+v, want %+v", s, want)
		}
		whole := text(i, int64(count(i)))
		if last == nil || last.Seq != want.LastSeq || len(last.Text) > 120 || !strings.HasPrefix(whole, last.Text) ||
			len(last.Text) < 120-utf8.UTFMax || !utf8.ValidString(last.Text) {
			t.Errorf("%s: the last message is %+v, want the start of %q", id, last, whole)
		}
		log := c.log(id, before)
		messages += len(log)
		for k, m := range log {
			if m.Seq != before+int64(k)+1 || m.From != sender.name || m.Text != text(i, int64(k)+1) {
				t.Fatalf("%s: message %d is %+v", id, k+1, m)
			}
		}
		cursors[id] = want.LastSeq
	}
	if messages != total {
		t.Errorf("history brought %d messages, want %d", messages, total)
	}

	// Nothing is new now; then exactly what is.
	if all, _ := c.sync(cursors, last.Since); len(all) != 0 {
		t.Errorf("with everything there, sync lists %d conversations", len(all))
	}
	newest := senders[3].connect(t, "laptop")
	newest.send(bob, int64(count(3))+1, "one more")
	all, _ = c.sync(cursors, last.Since)
	if len(all) != 1 || all[0].Peer != senders[3].name || all[0].Unread != int64(count(3))+1 {
		t.Errorf("after one more message, sync lists %+v", all)
	}
	// Who answers has read it.
	c.send(senders[3], 1, "thanks")
	all, _ = c.sync(nil, last.Since)
	i := slices.IndexFunc(all, func(s summary) bool { return s.Peer == senders[3].name })
	if i != 0 || all[0].Unread != 0 {
		t.Errorf("after an answer, sync begins with %+v, want it first with nothing unread", all[0])
	}
	// Without since and cursors: everything.
	if all, _ := bob.connect(t, "tablet").sync(nil, ""); len(all) != conversations+1 {
		t.Errorf("a new device is told of %d conversations, want %d", len(all), conversations+1)
	}
}

// protocol.md, sync: more conversations than a page holds come in pages, each once, also while
// conversations change between the pages.
func TestSyncInPages(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice := d.user(t, "alice")
	c := alice.connect(t, "laptop")
	const peers = 130
	var users []*user
	for i := range peers {
		u := &user{target: d, name: fmt.Sprintf("peer%d-%s", i, d.run)}
		d.cognito(t, "SignUp", map[string]any{"ClientId": d.outputs["UserPoolClientId"], "Username": u.name, "Password": password})
		c.send(u, 1, strings.Repeat("\x02", 200))
		users = append(users, u)
	}
	pages, seen, since := 0, map[string]int{}, ""
	var order []summary
	for {
		request := map[string]any{"action": "sync"}
		if since != "" {
			request["since"] = since
		}
		f := c.must("synced", request)
		if f.size > 32<<10 {
			t.Errorf("page %d has %d bytes, want at most 32768", pages+1, f.size)
		}
		for _, s := range f.Conversations {
			seen[s.Conversation]++
			if s.Unread != 0 || s.LastSeq < 1 {
				t.Errorf("summary %+v, want nothing unread of one's own", s)
			}
		}
		order = append(order, f.Conversations...)
		pages++
		since = f.Since
		if !f.More {
			break
		}
	}
	for _, u := range users {
		if seen[alice.with(u)] != 1 {
			t.Errorf("%s is listed %d times in %d pages, want once", u.name, seen[alice.with(u)], pages)
		}
	}
	if !slices.IsSortedFunc(order, func(a, b summary) int { return cmp.Compare(b.At, a.At) }) {
		t.Error("the summaries are not newest first")
	}
	if pages < 3 {
		t.Errorf("%d conversations of about 900 bytes came in %d pages, want at least 3", peers, pages)
	}

	// The same, while each page is followed by news in a conversation of the last pages: it may be
	// listed again, or by the next sync, but is never missing, and none of the others is.
	seen, since = map[string]int{}, ""
	changed := map[string]int64{}
	for round := int64(2); ; round++ {
		request := map[string]any{"action": "sync"}
		if since != "" {
			request["since"] = since
		}
		f := c.must("synced", request)
		for _, s := range f.Conversations {
			seen[s.Conversation] = int(s.LastSeq)
		}
		since = f.Since
		if !f.More {
			break
		}
		oldest := users[round]
		c.send(oldest, 2, "news")
		changed[alice.with(oldest)] = 2
	}
	all, _ := c.sync(nil, since)
	for _, s := range all {
		seen[s.Conversation] = int(s.LastSeq)
	}
	for _, u := range users {
		want := max(1, int(changed[alice.with(u)]))
		if seen[alice.with(u)] != want {
			t.Errorf("%s: last_seq %d was listed, want %d", u.name, seen[alice.with(u)], want)
		}
	}
	if len(changed) == 0 {
		t.Error("there was one page only: nothing was tried")
	}
}

// protocol.md, history: any piece of the log, in ascending order, from either side.
func TestHistory(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	c := alice.connect(t, "laptop")
	id := alice.with(bob)
	if f := c.must("page", map[string]any{"action": "history", "conversation": id, "after": 0}); len(f.Messages) != 0 || f.More {
		t.Errorf("a conversation without messages = %s, want an empty page", f.raw)
	}
	const messages = 250
	c.burst(bob, 1, messages, func(n int64) string { return fmt.Sprint(n) })
	none := []int64{}
	for _, test := range []struct {
		request map[string]any
		first   int64
		last    int64 // below first: none
		more    bool
	}{
		{map[string]any{"after": 0}, 1, 100, true},
		{map[string]any{"after": 0, "limit": 100}, 1, 100, true},
		{map[string]any{"after": 0, "limit": 1}, 1, 1, true},
		{map[string]any{"after": 150}, 151, 250, false},
		{map[string]any{"after": 149}, 150, 249, true},
		{map[string]any{"after": 249, "limit": 5}, 250, 250, false},
		{map[string]any{"after": 250}, 0, -1, false},
		{map[string]any{"after": int64(1)<<53 - 1}, 0, -1, false},
		{map[string]any{"before": 251, "limit": 50}, 201, 250, true},
		{map[string]any{"before": int64(1)<<53 - 1, "limit": 50}, 201, 250, true},
		{map[string]any{"before": 101}, 1, 100, false},
		{map[string]any{"before": 102}, 2, 101, true},
		{map[string]any{"before": 2}, 1, 1, false},
		{map[string]any{"before": 1}, 0, -1, false},
	} {
		request := maps.Clone(test.request)
		request["action"], request["conversation"] = "history", id
		f := c.must("page", request)
		got := none
		for _, m := range f.Messages {
			got = append(got, m.Seq)
		}
		want := none
		for seq := test.first; seq <= test.last; seq++ {
			want = append(want, seq)
		}
		if !slices.Equal(got, want) || f.More != test.more || f.Conversation != id {
			t.Errorf("%v = seqs %v, more %v, want %d to %d, more %v", test.request, got, f.More, test.first, test.last, test.more)
		}
	}
	// Long messages make short pages.
	const long = 20
	c.burst(bob, messages+1, long, func(int64) string { return strings.Repeat("\x03", 4096) })
	log := c.log(id, 0) // checks the size of each page
	checkLog(t, log)
	if len(log) != messages+long {
		t.Errorf("the log has %d messages, want %d", len(log), messages+long)
	}
}

// protocol.md, Epoch: it stays while the data lives.
func TestEpoch(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	_, first := d.user(t, "alice").connect(t, "laptop").sync(nil, "")
	_, second := d.user(t, "bob").connect(t, "laptop").sync(nil, "")
	if first.Epoch == "" || first.Epoch != second.Epoch {
		t.Errorf("epochs %q and %q, want the same for everybody", first.Epoch, second.Epoch)
	}
	// A since of another epoch asks for everything, instead of being an error.
	c := d.user(t, "carol").connect(t, "laptop")
	c.send(d.user(t, "dave"), 1, "hello")
	_, last := c.sync(nil, "")
	other := strings.Replace(last.Since, last.Epoch, strings.Repeat("0", len(last.Epoch)), 1)
	if other == last.Since {
		t.Skip("since does not name its epoch in this deployment: nothing to try")
	}
	if all, _ := c.sync(nil, other); len(all) != 1 {
		t.Errorf("a since of another epoch lists %d conversations, want all", len(all))
	}
}
