package test

import (
	"fmt"
	"testing"
)

// guarantees.md, Budgets: cost does not grow with users, connections or conversations that a
// message has nothing to do with.
func TestCostDoesNotGrow(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "reads /_local/usage")
	alone := d.perMessage(t, d.user(t, "alice"), d.user(t, "bob"))

	// A crowd: connected users, and a user with many conversations of many messages.
	hub, other := d.user(t, "hub"), d.user(t, "other")
	listener := hub.connect(t, "listener")
	const crowd, each = 60, 5
	for i := range crowd {
		u := d.user(t, fmt.Sprintf("crowd%d", i))
		c := u.connect(t, "laptop")
		for n := range int64(each) {
			c.send(hub, n+1, "hello from the crowd")
		}
	}
	// What is still to be delivered would share a batch with the first message that is measured.
	listener.pushes("all messages of the crowd", func(all []frame) bool { return len(of(all, "message")) >= crowd*each })
	d.hangUp(t, listener)
	if got := d.perMessage(t, d.user(t, "carol"), d.user(t, "dave")); got != alone {
		t.Errorf("a message costs %s among many, %s alone", got, alone)
	}
	if got := d.perMessage(t, other, hub); got != alone {
		t.Errorf("a message to a user with 60 conversations costs %s, to one with none %s", got, alone)
	}
	t.Log(alone)
}

// A conversation of many messages and devices costs no more per message than a young one, but for
// the tails of its devices in the conversation's item.
func TestCostDoesNotGrowWithTheLog(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "reads /_local/usage")
	alone := d.perMessage(t, d.user(t, "alice"), d.user(t, "bob"))
	carol, dave := d.user(t, "carol"), d.user(t, "dave")
	c, listener := carol.connect(t, "laptop"), dave.connect(t, "laptop")
	others := times(500, 500, 150)
	for n := range int64(others) {
		c.send(dave, n+1, "a long story")
	}
	listener.messages(carol.with(dave), others)
	d.hangUp(t, c, listener)
	if got := d.perMessage(t, carol, dave); got != alone {
		t.Errorf("a message costs %s after %d others, %s as one of the first", got, others, alone)
	}
}
