package test

import (
	"testing"
	"time"
)

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
