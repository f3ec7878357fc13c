package meter

import (
	"testing"
	"testing/synctest"
	"time"
)

// No processor time when idle: no timer waits once nothing is counted.
func TestSeriesSleepsWhileNothingIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewWithSeries(10)
		c := m.Counter("s", "r", "m")
		for range 2 {
			c.Add(1)
			if !m.series.armed.Load() {
				t.Fatal("nothing waits for the end of a second in which something is counted")
			}
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if m.series.armed.Load() {
				t.Fatal("something still waits, seconds after the last count")
			}
		}
	})
}
