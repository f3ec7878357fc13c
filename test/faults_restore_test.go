package test

import (
	"fmt"
	"testing"

	"github.com/duet-chat/duet/client"
)

// protocol.md, Epoch: the tables are restored to an earlier point in time, or are empty. Devices
// notice the new epoch and start over: what was lost is gone for everybody, and nothing new is
// taken for something old.
func TestTablesRestoredToAnEarlierPoint(t *testing.T) {
	t.Parallel()
	for _, kept := range []int{5, 0} {
		t.Run(fmt.Sprint(kept, " messages are left"), func(t *testing.T) {
			t.Parallel()
			d, faults := faultyTarget(t)
			alice, bob := d.user(t, "alice"), d.user(t, "bob")
			lives := []*phases{newPhases(), newPhases()}
			a := alice.program(t, "", func(c *client.Config) { c.OnStatus = lives[0].note })
			b := bob.program(t, "", func(c *client.Config) { c.OnStatus = lives[1].note })
			send := func(from *program, to *user, count int, text string, seq int64) {
				t.Helper()
				for i := range count {
					sent, err := from.Send(t.Context(), to.name, fmt.Sprint(text, i))
					if err != nil || sent.Seq != seq+int64(i) || sent.Duplicate {
						t.Fatalf("%s%d: %+v %v, want seq %d", text, i, sent, err, seq+int64(i))
					}
				}
			}
			_, first := alice.connect(t, "witness").sync(nil, "")
			send(a, bob, kept, "kept ", 1)
			if kept > 0 {
				faults.Add("now backup")
			}
			const lost, since = 7, 4
			send(a, bob, lost, "lost ", int64(kept)+1)
			a.await(kept + lost)
			b.await(kept + lost)
			devices := map[string]bool{a.Device(): true, b.Device(): true}

			faults.Add("now restore")
			witness := alice.connect(t, "witness")
			_, last := witness.sync(nil, "")
			if last.Epoch == first.Epoch {
				t.Error("the epoch is that of before")
			}
			if log := witness.log(alice.with(bob), 0); len(log) != kept {
				t.Errorf("after the restore the log has %d messages, want %d", len(log), kept)
			}
			bob.connect(t, "witness") // which registers bob where all is empty
			for _, l := range lives {
				l.await(t, 2)
			}
			// Fewer than were lost: by the old cursors they would be old.
			send(b, alice, since, "since ", int64(kept)+1)
			log := alice.connect(t, "witness").log(alice.with(bob), 0)
			checkLog(t, log)
			if len(log) != kept+since {
				t.Errorf("the log has %d messages, want %d", len(log), kept+since)
			}
			// Each life of the data was shown as it was, one after the other.
			for _, p := range []*program{a, b} {
				before := kept + lost
				p.await(before + len(log))
				again := &program{t: t, user: p.user, Client: p.Client, shown: p.shown[before:], more: make(chan struct{})}
				checkPrograms(t, log, again)
				if devices[p.Device()] {
					t.Errorf("%s keeps its device id: its numbers are those of the life before", p.user.name)
				}
			}
		})
	}
}
