package test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/cloud"
)

func watch(users ...*user) map[string]any {
	names := make([]string, len(users))
	for i, u := range users {
		names[i] = u.name
	}
	return map[string]any{"action": "presence", "users": names}
}

// grace is how long who has left is still online, in seconds.
func grace(seconds int) func(*cloud.Config) {
	return func(c *cloud.Config) {
		if c.Parameters == nil {
			c.Parameters = map[string]string{}
		}
		c.Parameters["PresenceGraceSeconds"] = fmt.Sprint(seconds)
	}
}

// meet lets each of the others have a conversation with the first.
func meet(t testing.TB, first *user, others ...*user) {
	t.Helper()
	c := first.connect(t, "meeter")
	for _, other := range others {
		c.send(other, 1, "hello")
	}
	c.drop()
	first.awaitRows(t, "none of the meeter", func(rows []row) bool { return len(rows) == 0 })
}

// seen waits until what a connection was told of a user's presence is as given.
func (c *conn) seen(u *user, want ...bool) {
	c.t.Helper()
	told := func(all []frame) (online []bool) {
		for _, f := range of(all, "presence") {
			if f.User == u.name {
				online = append(online, f.Online)
			}
		}
		return online
	}
	all := c.pushes(fmt.Sprintf("presence of %s: %v", u.name, want), func(all []frame) bool { return len(told(all)) >= len(want) })
	if got := told(all); !slices.Equal(got, want) {
		c.t.Errorf("%s was told of %s: %v, want %v", c, u.name, got, want)
	}
}

// finds watches a user, until the presence is as given: it follows connections a moment later.
func (c *conn) finds(u *user, online bool) presence {
	c.t.Helper()
	limit := timeout()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		f := c.must("presence", watch(u))
		if len(f.Users) == 1 && f.Users[0].User == u.name && f.Users[0].Online == online {
			return f.Users[0]
		}
		select {
		case <-again.C:
		case <-limit:
			c.t.Fatalf("%s: presence = %s, want online: %v", c, f.raw, online)
		}
	}
}

// A watch tells how things stand, and then every change. Several devices are one presence.
func TestPresence(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "has no grace", grace(0))
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	meet(t, alice, bob)
	a := alice.connect(t, "laptop")
	f := a.must("presence", watch(bob))
	if len(f.Users) != 1 || f.Users[0].User != bob.name || f.Users[0].Online || !f.Visible {
		t.Fatalf("presence = %s, want bob, offline", f.raw)
	}
	laptop := bob.connect(t, "laptop")
	a.seen(bob, true)
	phone := bob.connect(t, "phone")
	laptop.drop()
	bob.awaitRows(t, "the phone alone", func(rows []row) bool { return len(rows) == 1 })
	if f := a.must("presence", watch(bob)); !f.Users[0].Online || f.Users[0].LastSeen != 0 {
		t.Errorf("presence = %s, want bob online by the phone", f.raw)
	}
	phone.drop()
	a.seen(bob, true, false)
	last := of(a.pushes("", func([]frame) bool { return true }), "presence")
	if last[1].LastSeen == 0 {
		t.Errorf("offline = %s, want when bob was last seen", last[1].raw)
	}
	if f := a.must("presence", watch(bob)); f.Users[0].LastSeen != last[1].LastSeen {
		t.Errorf("presence = %s, want the same last_seen as in %s", f.raw, last[1].raw)
	}
	bob.connect(t, "tablet")
	a.seen(bob, true, false, true)
	// An empty list ends it. What comes after is not told.
	a.must("presence", watch())
	bob.connect(t, "tablet").drop()
	b := bob.connect(t, "last")
	b.send(alice, 1, "was I seen?")
	a.messages(alice.with(bob), 1)
	a.seen(bob, true, false, true)
}

// Who comes back within the grace was never gone.
func TestPresenceDoesNotFlap(t *testing.T) {
	t.Parallel()
	needEngine(t)
	d := localTarget(t, "has a grace of its own", grace(1))
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	meet(t, alice, bob)
	a := alice.connect(t, "laptop")
	a.must("presence", watch(bob))
	for range 5 {
		c := bob.connect(t, "phone")
		a.seen(bob, true) // who is gone before anybody looked is not seen at all
		c.drop()
	}
	a.seen(bob, true, false)
}

// Only who has a conversation with a user learns of the presence, and nobody while one blocks the other.
func TestPresenceIsForPeersOnly(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "has no grace", grace(0))
	users := d.users(t, "alice", "bob", "carol")
	alice, bob, carol := users[0], users[1], users[2]
	meet(t, alice, bob)
	a, x := alice.connect(t, "laptop"), carol.connect(t, "laptop")
	a.must("presence", watch(bob))
	x.must("presence", watch(bob, alice))
	b := bob.connect(t, "laptop")
	a.seen(bob, true)
	for _, p := range x.must("presence", watch(bob, alice)).Users {
		if p.Online || p.LastSeen != 0 {
			t.Errorf("a third user is told %+v", p)
		}
	}
	b.must("ok", map[string]any{"action": "block", "user": alice.name})
	a.seen(bob, true, false)
	if f := a.must("presence", watch(bob)); f.Users[0].Online || f.Users[0].LastSeen != 0 {
		t.Errorf("presence of who blocks = %s, want nothing", f.raw)
	}
	if f := b.must("presence", watch(alice)); f.Users[0].Online || f.Users[0].LastSeen != 0 {
		t.Errorf("presence of who is blocked = %s, want nothing", f.raw)
	}
	b.drop()
	bob.awaitRows(t, "none", func(rows []row) bool { return len(rows) == 0 })
	bob.connect(t, "laptop").must("ok", map[string]any{"action": "unblock", "user": alice.name})
	a.finds(bob, true)
	if told := of(x.pushes("", func([]frame) bool { return true }), "presence"); len(told) != 0 {
		t.Errorf("a third user was told %v", told)
	}
}

// Who is invisible is offline for others, whatever happens, and may watch all the same.
func TestInvisible(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "has no grace", grace(0))
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	meet(t, alice, bob)
	a := alice.connect(t, "laptop")
	a.must("presence", watch(bob))
	b := bob.connect(t, "laptop")
	a.seen(bob, true)
	b.finds(alice, true)
	hide := watch(alice)
	hide["visible"] = false
	if f := b.must("presence", hide); f.Visible || !f.Users[0].Online {
		t.Errorf("presence = %s, want invisible, and alice online", f.raw)
	}
	a.seen(bob, true, false)
	hidden := a.must("presence", watch(bob)).Users[0]
	phone := bob.connect(t, "phone")
	phone.drop()
	b.send(alice, 1, "I am not here")
	a.messages(alice.with(bob), 1)
	if now := a.must("presence", watch(bob)).Users[0]; now != hidden || now.Online {
		t.Errorf("presence = %+v, want as before: %+v", now, hidden)
	}
	show := watch(alice)
	show["visible"] = true
	if f := b.must("presence", show); !f.Visible {
		t.Errorf("presence = %s, want visible", f.raw)
	}
	a.seen(bob, true, false, true)
}

// $disconnect never comes: the first post that fails removes the row, and with it the presence.
func TestPresenceHeals(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "injects faults, and has no grace", grace(0))
	faults := d.faults(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	meet(t, alice, bob)
	a := alice.connect(t, "laptop")
	a.must("presence", watch(bob))
	b := bob.connect(t, "laptop")
	a.seen(bob, true)
	faults.Set(1, "disconnect drop")
	for _, r := range bob.rows(t) {
		r.age(t, d, 2*time.Minute) // a connection that is being born is spared
	}
	b.drop()
	awaitFaults(t, faults, 1) // a post that comes before the gateway has noticed does not fail
	a.send(bob, 1, "are you there?")
	a.seen(bob, true, false)
}
