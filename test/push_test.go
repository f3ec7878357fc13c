package test

import (
	"encoding/json"
	"testing"
)

// pushEvent is what a bus is told of a message that waits.
type pushEvent struct {
	Source     string `json:"source"`
	DetailType string `json:"detail-type"`
	Detail     struct {
		To, From, Conversation, Text string
		Seq                          int64
	} `json:"detail"`
}

// events are those that a local cloud's buses have taken.
func (d *target) events(t testing.TB) (all []pushEvent) {
	t.Helper()
	if err := json.Unmarshal(d.get(t, "/_local/events"), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// awaitEvents waits until the buses have taken so many events.
func (d *target) awaitEvents(t testing.TB, count int) (all []pushEvent) {
	t.Helper()
	d.settle(t, func(usage) bool {
		all = d.events(t)
		return len(all) >= count
	})
	return all
}

// A text for a user without a connection is told to the bus, once, without its words unless they are
// switched on; what has a connection to go to, and what is no text, is not.
func TestPushHook(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want string }{{"without words", "false", ""}, {"with words", "true", "wake up"}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := localTarget(t, "has a bus", parameters(map[string]string{"PushBus": "default", "PushText": test.text}))
			alice, bob := d.user(t, "alice"), d.user(t, "bob")
			a := alice.connect(t, "laptop")
			c := alice.with(bob)
			a.send(bob, 1, "wake up")
			all := d.awaitEvents(t, 1)
			e := all[0]
			if e.Source != "duet" || e.DetailType != "message waiting" || e.Detail.To != bob.name || e.Detail.From != alice.name ||
				e.Detail.Conversation != c || e.Detail.Seq != 1 || e.Detail.Text != test.want {
				t.Errorf("event = %+v", e)
			}
			a.must("sent", about("react", c, 2, 1, "emoji", "⏰"))
			a.must("sent", about("edit", c, 3, 1, "text", "never mind"))
			b := bob.connect(t, "phone")
			a.send(bob, 4, "you are there")
			b.messages(c, 1)
			b.drop()
			bob.awaitRows(t, "none", func(rows []row) bool { return len(rows) == 0 })
			a.send(bob, 5, "gone again")
			if all = d.awaitEvents(t, 2); len(all) != 2 || all[1].Detail.Seq != 5 {
				t.Errorf("events = %+v, want those of 1 and 5", all)
			}
		})
	}
}

// Off, which is the default, the hook costs nothing.
func TestPushHookIsOff(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "reads /_local/usage")
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	a := alice.connect(t, "laptop")
	other := alice.connect(t, "phone")
	a.send(bob, 1, "wake up")
	other.messages(alice.with(bob), 1)
	if all := d.events(t); len(all) != 0 {
		t.Errorf("events = %+v, want none", all)
	}
	if n := d.usage(t).sum("events", "events"); n != 0 {
		t.Errorf("%g events were metered", n)
	}
}
