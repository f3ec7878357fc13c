package test

import "testing"

func block(action string, u *user) map[string]any {
	return map[string]any{"action": action, "user": u.name}
}

func typing(conversation string, on bool) map[string]any {
	return map[string]any{"action": "typing", "conversation": conversation, "on": on}
}

// A blocked sender is told so, and nothing of theirs arrives: no text, no amendment, no receipt, no typing.
// Unblocking opens the conversation where it was.
func TestBlock(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	users := d.users(t, "alice", "bob", "carol")
	alice, bob, carol := users[0], users[1], users[2]
	a, laptop, phone, x := alice.connect(t, "laptop"), bob.connect(t, "laptop"), bob.connect(t, "phone"), carol.connect(t, "laptop")
	c := alice.with(bob)
	a.send(bob, 1, "1")
	a.send(bob, 2, "2")
	laptop.send(alice, 1, "3")
	laptop.must("ok", block("block", alice))
	phone.expect(1, "behind") // the own other devices learn of it by a sync
	if s := phone.the(c); !s.Blocked {
		t.Errorf("bob's summary is %+v, want blocked", s)
	}
	if s := a.the(c); s.Blocked || s.PeerRead != 0 || s.PeerDelivered != 0 {
		t.Errorf("alice's summary is %+v, want nothing of bob", s)
	}
	before := d.tables(t)
	for _, request := range []map[string]any{
		message(bob, 3, "let me in"), about("edit", c, 3, 1, "text", "edited"), about("unsend", c, 3, 1), about("react", c, 3, 3, "emoji", "😡"),
	} {
		a.refused("blocked", "to", request)
	}
	a.refused("blocked", "conversation", typing(c, true))
	laptop.refused("blocked", "to", message(alice, 2, "and I to you"))
	laptop.refused("blocked", "conversation", typing(c, true))
	if after := d.tables(t); after != before {
		t.Errorf("refused requests changed the tables from\n%s\nto\n%s", before, after)
	}
	if f := a.must("acked", ack(c, 0, 3)); f.Read != 3 {
		t.Errorf("ack = %s: what is the own may be noted", f.raw)
	}
	// Repeats of what stands in the log are answered as ever.
	if f := a.must("sent", message(bob, 2, "2")); f.Seq != 2 || !f.Duplicate {
		t.Errorf("a repeat = %s, want seq 2", f.raw)
	}
	x.send(bob, 1, "I may write")
	for _, device := range []*conn{laptop, phone} {
		device.messages(carol.with(bob), 1)
		if got := of(device.pushes("", func([]frame) bool { return true }), "receipt", "typing", "presence"); len(got) != 0 {
			t.Errorf("%s was told %v", device, got)
		}
	}
	laptop.must("ok", block("block", alice)) // blocking again changes nothing
	laptop.must("ok", block("unblock", alice))
	laptop.must("ok", block("unblock", alice))
	if f := a.send(bob, 3, "4"); f.Seq != 4 {
		t.Errorf("after the unblocking = %s, want seq 4", f.raw)
	}
	if s := phone.the(c); s.Blocked || s.PeerRead != 3 {
		t.Errorf("bob's summary is %+v, want that alice has read 3", s)
	}
}

// Who blocks the other, when both do, need not be blocked any more for either to write: both must unblock.
func TestBothBlock(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	a, b := alice.connect(t, "laptop"), bob.connect(t, "laptop")
	a.send(bob, 1, "1")
	a.must("ok", block("block", bob))
	b.must("ok", block("block", alice))
	a.must("ok", block("unblock", bob))
	a.refused("blocked", "to", message(bob, 2, "2"))
	b.refused("blocked", "to", message(alice, 1, "2"))
	b.must("ok", block("unblock", alice))
	a.send(bob, 2, "2")
}

// A stranger can be blocked before ever writing.
func TestBlockAStranger(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	a, b := alice.connect(t, "laptop"), bob.connect(t, "laptop")
	b.must("ok", block("block", alice))
	a.refused("blocked", "to", message(bob, 1, "hello"))
	b.must("ok", block("unblock", alice))
	if f := a.send(bob, 1, "hello"); f.Seq != 1 {
		t.Errorf("the first message = %s, want seq 1", f.raw)
	}
	b.messages(alice.with(bob), 1)
	if s := b.the(alice.with(bob)); s.LastSeq != 1 || s.Unread != 1 || s.Peer != alice.name {
		t.Errorf("the summary is %+v", s)
	}
	if s := a.the(alice.with(bob)); s.LastSeq != 1 {
		t.Errorf("the summary is %+v", s)
	}
}

// A block that races with messages leaves no half: each message is either refused or delivered.
func TestBlockRacesMessages(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	a, b := alice.connect(t, "laptop"), bob.connect(t, "laptop")
	a.send(bob, 1, "1")
	sent := make(chan int64)
	go func() {
		n := int64(2)
		for ; n < 500; n++ {
			f, err := a.ask(message(bob, n, "more"))
			if err != nil || f.Type != "sent" {
				if f.Code != "blocked" {
					t.Errorf("n %d = %s %v, want blocked", n, f.raw, err)
				}
				break
			}
		}
		sent <- n - 1
	}()
	b.messages(alice.with(bob), 10)
	b.must("ok", block("block", alice))
	last := <-sent
	log := b.log(alice.with(bob), 0)
	checkLog(t, log)
	if int64(len(log)) != last {
		t.Errorf("%d messages were acknowledged, %d stand in the log", last, len(log))
	}
	b.messages(alice.with(bob), int(last))
}

// Typing reaches the peer's devices, and nobody else's; nothing is stored.
func TestTyping(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	users := d.users(t, "alice", "bob", "carol")
	alice, bob, carol := users[0], users[1], users[2]
	a, own, laptop, phone, x := alice.connect(t, "laptop"), alice.connect(t, "phone"), bob.connect(t, "laptop"), bob.connect(t, "phone"), carol.connect(t, "laptop")
	c := alice.with(bob)
	a.refused("not_found", "conversation", typing(c, true))
	a.send(bob, 1, "1")
	before := d.tables(t)
	a.must("ok", typing(c, true))
	a.must("ok", typing(c, false))
	for _, device := range []*conn{laptop, phone} {
		got := device.expect(2, "typing")
		if got[0].User != alice.name || got[0].Conversation != c || !got[0].On || got[1].On {
			t.Errorf("%s was told %s, %s, want on, then off", device, got[0].raw, got[1].raw)
		}
	}
	x.refused("forbidden", "conversation", typing(c, true))
	if after := d.tables(t); after != before {
		t.Errorf("typing changed the tables from\n%s\nto\n%s", before, after)
	}
	a.send(bob, 2, "2")
	own.messages(c, 2)
	for _, device := range []*conn{own, x} {
		if got := of(device.pushes("", func([]frame) bool { return true }), "typing"); len(got) != 0 {
			t.Errorf("%s was told %v", device, got)
		}
	}
}
