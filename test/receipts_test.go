package test

import (
	"testing"
)

func ack(conversation string, delivered, read int64) map[string]any {
	r := map[string]any{"action": "ack", "conversation": conversation}
	if delivered > 0 {
		r["delivered"] = delivered
	}
	if read > 0 {
		r["read"] = read
	}
	return r
}

// the is the summary of a conversation in a whole sync.
func (c *conn) the(conversation string) summary {
	c.t.Helper()
	all, _ := c.sync(nil, "")
	for _, s := range all {
		if s.Conversation == conversation {
			return s
		}
	}
	c.t.Fatalf("%s: the sync lacks %s: %+v", c, conversation, all)
	return summary{}
}

// Receipts are cumulative, never go back, and reach the peer and the own other devices live.
func TestReceipts(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	a, laptop, phone := alice.connect(t, "laptop"), bob.connect(t, "laptop"), bob.connect(t, "phone")
	c := alice.with(bob)
	for n := int64(1); n <= 5; n++ {
		a.send(bob, n, "text")
	}
	for _, step := range []struct {
		delivered, read         int64 // that are acknowledged
		wantDelivered, wantRead int64
		told                    int // receipts that the others have then
	}{
		{3, 0, 3, 0, 1},
		{0, 2, 3, 2, 2},
		{2, 0, 3, 2, 2}, // going back changes nothing, and is told to nobody
		{0, 1, 3, 2, 2},
		{0, 5, 5, 5, 3}, // what is read is delivered
	} {
		f := laptop.must("acked", ack(c, step.delivered, step.read))
		if f.Conversation != c || f.Delivered != step.wantDelivered || f.Read != step.wantRead {
			t.Errorf("ack %d, %d = %s, want delivered %d and read %d", step.delivered, step.read, f.raw, step.wantDelivered, step.wantRead)
		}
		for _, other := range []*conn{a, phone} {
			all := other.expect(step.told, "receipt")
			if got := all[len(all)-1]; len(all) != step.told || got.User != bob.name || got.Conversation != c || got.Delivered != step.wantDelivered || got.Read != step.wantRead {
				t.Errorf("%s has %d receipts, the last %s, want %d with %d and %d", other, len(all), got.raw, step.told, step.wantDelivered, step.wantRead)
			}
		}
	}
	a.send(bob, 6, "after all receipts")
	laptop.messages(c, 6)
	if echoes := of(laptop.pushes("", func([]frame) bool { return true }), "receipt"); len(echoes) != 0 {
		t.Errorf("the acknowledging device was told its own receipts: %v", echoes)
	}
	if s := a.the(c); s.PeerRead != 5 || s.PeerDelivered != 5 || s.Unread != 0 {
		t.Errorf("alice's summary is %+v, want that the peer has read 5", s)
	}
	if s := phone.the(c); s.Read != 5 || s.Delivered != 5 || s.Unread != 1 {
		t.Errorf("bob's summary is %+v, want read 5 and 1 unread", s)
	}
}

// Unread are the peer's texts that the user has not read, the same on every device: not edits, not
// reactions, not the own texts.
func TestUnread(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	a, laptop, phone := alice.connect(t, "laptop"), bob.connect(t, "laptop"), bob.connect(t, "phone")
	c := alice.with(bob)
	n := int64(0)
	sends := func(texts ...string) {
		for _, text := range texts {
			n++
			a.send(bob, n, text)
		}
	}
	check := func(when string, want int64) {
		t.Helper()
		for _, device := range []*conn{laptop, phone} {
			if s := device.the(c); s.Unread != want {
				t.Errorf("%s: %s has %d unread, want %d", when, device, s.Unread, want)
			}
		}
	}
	sends("1", "2", "3")
	check("three texts", 3)
	n++
	a.must("sent", about("edit", c, n, 1, "text", "1!"))
	n++
	a.must("sent", about("react", c, n, 1, "emoji", "👍"))
	check("an edit and a reaction", 3)
	laptop.must("acked", ack(c, 5, 0))
	check("delivered", 3)
	laptop.must("acked", ack(c, 0, 2))
	check("read up to 2", 1)
	phone.must("acked", ack(c, 0, 4))
	check("read up to the edit, on the other device", 0)
	sends("6", "7", "8", "9")
	check("four more", 4)
	phone.must("acked", ack(c, 0, 7))
	check("read up to 7", 2)
	laptop.send(alice, 1, "10: who writes has read")
	check("an answer", 0)
	sends("11")
	check("one more", 1)
	if s := a.the(c); s.Unread != 0 {
		t.Errorf("alice has %d unread after her own text, want 0", s.Unread)
	}
	laptop.refused("bad_request", "read", ack(c, 0, 99))
	laptop.refused("bad_request", "delivered", ack(c, 99, 0))
	check("beyond the end", 1)
}

// A sync by since lists a conversation whose receipts have changed, and nothing that has not.
func TestSyncListsChangedReceipts(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	users := d.users(t, "alice", "bob", "carol", "dave")
	alice, bob := users[0], users[1]
	a, b := alice.connect(t, "laptop"), bob.connect(t, "laptop")
	for _, to := range users[1:] {
		a.send(to, 1, "hello")
	}
	_, synced := a.sync(nil, "")
	cursors := map[string]int64{}
	for _, to := range users[1:] {
		cursors[alice.with(to)] = 1
	}
	b.must("acked", ack(alice.with(bob), 0, 1))
	a.expect(1, "receipt")
	changed, _ := a.sync(cursors, synced.Since)
	if len(changed) == 0 || !hasReceipt(changed, alice.with(bob)) {
		t.Errorf("the sync since has %+v, want the conversation with bob, read up to 1", changed)
	}
	if again := a.the(alice.with(bob)); again.PeerRead != 1 {
		t.Errorf("the summary is %+v, want that bob has read 1", again)
	}
}

func hasReceipt(all []summary, conversation string) bool {
	for _, s := range all {
		if s.Conversation == conversation && s.PeerRead == 1 {
			return true
		}
	}
	return false
}

// Devices of a user acknowledge at once, in any order: the furthest stands.
func TestReceiptsRace(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	a := alice.connect(t, "laptop")
	c := alice.with(bob)
	const count = 24
	for n := int64(1); n <= count; n++ {
		a.send(bob, n, "text")
	}
	devices := []*conn{bob.connect(t, "d1"), bob.connect(t, "d2"), bob.connect(t, "d3")}
	done := make(chan error)
	for i, device := range devices {
		go func() {
			for seq := int64(1 + i); seq <= count; seq += int64(len(devices)) {
				if f, err := device.ask(ack(c, 0, seq)); err != nil || f.Type != "acked" || f.Read < seq {
					t.Errorf("%s: ack %d = %s %v", device, seq, f.raw, err)
				}
			}
			done <- nil
		}()
	}
	for range devices {
		<-done
	}
	for _, device := range devices {
		if s := device.the(c); s.Read != count || s.Unread != 0 {
			t.Errorf("%s: read %d, unread %d, want %d and 0", device, s.Read, s.Unread, count)
		}
	}
	if s := a.the(c); s.PeerRead != count {
		t.Errorf("peer_read is %d, want %d", s.PeerRead, count)
	}
}
