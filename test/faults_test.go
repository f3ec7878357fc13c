package test

import (
	"strings"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/cloudtest"
)

// faultyTarget is a local cloud that fails on demand.
func faultyTarget(t testing.TB) (*target, *cloudtest.Faults) {
	t.Helper()
	d := localTarget(t, "injects faults")
	return d, d.faults(t)
}

// faults lets a local cloud fail. No function may leave work running in it.
func (d *target) faults(t testing.TB) *cloudtest.Faults {
	t.Helper()
	faults := cloudtest.FaultsAt(t, d.base)
	t.Cleanup(func() {
		// docs/guarantees.md: work left running when a handler returns, which AWS freezes: there is none.
		if s := faults.Status(); s.Strays != 0 {
			t.Errorf("functions have left %d calls running when they returned", s.Strays)
		}
	})
	return faults
}

// awaitFaults waits until something has failed so often.
func awaitFaults(t testing.TB, faults *cloudtest.Faults, count int) {
	t.Helper()
	limit := timeout()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		s := faults.Status()
		if len(s.Faults) >= count {
			return
		}
		select {
		case <-again.C:
		case <-limit:
			t.Fatalf("%d faults after %v, want %d: %+v", len(s.Faults), patience, count, s.Rules)
		}
	}
}

// G2: an answer is lost after the commit, on its way to the client or with its function, or the
// function runs twice; the client resends on a new connection. The message stands once, where it
// stood.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, rule string
		answered   bool // the product heals it by itself
	}{
		{"on its way to the client", "reply/send nth=1 drop", false},
		{"with the socket", "socket user=alice nth=1 cut", false},
		{"with its function", "invoke/SendFunction nth=1 lose", false},
		{"with its function at its time-out", "invoke/SendFunction nth=1 lose=Sandbox.Timedout", false},
		{"of the table", "dynamodb/TransactWriteItems nth=1 lose", true},
		{"as the table's error", "dynamodb/TransactWriteItems nth=1 lose=InternalServerError", true},
		{"to a function that is killed after the commit", "dynamodb/TransactWriteItems nth=1 kill=after", false},
		{"by none, but the function runs twice", "invoke/SendFunction nth=1 repeat", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d, faults := faultyTarget(t)
			alice, bob := d.user(t, "alice"), d.user(t, "bob")
			receiver, c := bob.connect(t, "phone"), alice.connect(t, "laptop")
			faults.Set(1, strings.ReplaceAll(test.rule, "user=alice", "user="+alice.name))
			answer, err := c.start(message(bob, 1, "once"))
			if err != nil {
				t.Fatal(err)
			}
			receiver.messages(alice.with(bob), 1)
			if test.answered {
				f, err := c.await(answer)
				if twice := strings.HasSuffix(test.rule, "repeat"); err != nil || f.Type != "sent" || f.Seq != 1 || f.Duplicate != twice {
					t.Errorf("answer = %s %v, want sent at seq 1, a duplicate only if the function ran twice", f.raw, err)
				}
			}
			// The push may be ahead of the answer, which the fault has to meet before a new connection does.
			awaitFaults(t, faults, 1)
			c = alice.connect(t, "laptop")
			f := c.send(bob, 1, "once")
			if f.Seq != 1 || !f.Duplicate {
				t.Errorf("sent again = %s, want a duplicate at seq 1", f.raw)
			}
			log := c.log(alice.with(bob), 0)
			checkLog(t, log)
			if len(log) != 1 {
				t.Errorf("the log has %d messages, want 1", len(log))
			}
			if s := faults.Status(); len(s.Faults) != 1 {
				t.Errorf("faults = %+v, want one", s.Faults)
			}
		})
	}
}
