package test

import (
	"os"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/cloud"
	"github.com/duet-chat/duet/localstack/cloudtest"
)

// times is how much of something a test does: fewer where a message costs several times as much as
// usual, under the race detector and with functions as processes; and least where the tables are on
// another engine, as DynamoDB Local makes some 900 transactions a second, whatever else goes on.
func times(usual, slow, elsewhere int) int {
	switch {
	case cloudtest.Engine() != "":
		return elsewhere
	case raceEnabled || os.Getenv("DUET_FUNCTIONS") == cloud.Process:
		return slow
	}
	return usual
}

func timeout() <-chan time.Time { return time.After(patience) }

// checkLog checks that a log is gapless from 1, and that each device's messages stand in it once
// and in the order of n (G2, G3, G4).
func checkLog(t testing.TB, log []entry) {
	t.Helper()
	last := map[string]int64{}
	for i, m := range log {
		if m.Seq != int64(i)+1 {
			t.Fatalf("message %d of the log has seq %d: a gap or a repeat", i+1, m.Seq)
		}
		device := m.From + "/" + m.Device
		if m.N != last[device]+1 {
			t.Fatalf("seq %d is n %d of %s, after its n %d", m.Seq, m.N, device, last[device])
		}
		last[device] = m.N
	}
}

// burst sends messages n, n+1, …, 16 deep, and waits until all of them are stored.
func (c *conn) burst(to *user, n int64, count int, text func(n int64) string) {
	c.t.Helper()
	answers := make([]<-chan frame, count)
	for i := range count + inFlight {
		if done := i - inFlight; done >= 0 && done < count {
			if f, err := c.await(answers[done]); err != nil || f.Type != "sent" {
				c.t.Fatalf("%s: n %d: %s %v, want sent", c, n+int64(done), f.raw, err)
			}
		}
		if i < count {
			var err error
			if answers[i], err = c.start(message(to, n+int64(i), text(n+int64(i)))); err != nil {
				c.t.Fatal(err)
			}
		}
	}
}
