package test

import (
	"strings"
	"testing"
	"time"
)

// Tables that conflict or throttle a while cost time, and nothing else (G2, G3): send tries again, with
// jitter, and stores the message once.
func TestTablesFailForAWhile(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		"dynamodb/TransactWriteItems first=5 error=TransactionConflict",
		"dynamodb/TransactWriteItems first=5 error=ThrottlingError",
		"dynamodb/TransactWriteItems first=5 error=ProvisionedThroughputExceeded",
		"dynamodb/TransactWriteItems first=2 error=ProvisionedThroughputExceededException",
		"dynamodb/TransactWriteItems first=2 error=ThrottlingException",
		"dynamodb/TransactWriteItems first=2 error=RequestLimitExceeded",
		"dynamodb/TransactWriteItems first=2 error=InternalServerError",
		"dynamodb/TransactWriteItems first=2 error=ServiceUnavailable",
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			d, faults := faultyTarget(t)
			alice, bob := d.user(t, "alice"), d.user(t, "bob")
			c := alice.connect(t, "laptop")
			faults.Set(1, rule)
			began := time.Now()
			if f := c.send(bob, 1, "through"); f.Seq != 1 || f.Duplicate {
				t.Errorf("send = %s, want seq 1, not a duplicate", f.raw)
			}
			if took, most := time.Since(began), 2*time.Second; took > most {
				t.Errorf("it took %v to try a few times more, want at most %v", took, most)
			}
			if got := len(c.log(alice.with(bob), 0)); got != 1 {
				t.Errorf("the log has %d messages, want 1", got)
			}
			if s := faults.Clear(); s.Rules[0].Injected < 2 {
				t.Errorf("%d faults, want some", s.Rules[0].Injected)
			}
		})
	}
}

// Tables that go on failing end in an error that says to try again, within the function's time, with
// nothing half-written; once they recover the same send goes through (G1, G2, G3).
func TestTablesFailForLong(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		"dynamodb function=SendFunction error=TransactionConflict",
		"dynamodb function=SendFunction error=ThrottlingError",
		"dynamodb function=SendFunction error=ProvisionedThroughputExceededException",
		"dynamodb function=SendFunction error=ThrottlingException",
		"dynamodb function=SendFunction error=InternalServerError",
		"dynamodb function=SendFunction lose",
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			d, faults := faultyTarget(t)
			alice, bob := d.user(t, "alice"), d.user(t, "bob")
			c := alice.connect(t, "laptop")
			c.send(bob, 1, "before")
			before := d.tables(t)
			faults.Set(1, rule)
			began := time.Now()
			f := c.must("error", message(bob, 2, "in it"))
			if took, most := time.Since(began), 11*time.Second; f.Code != "unavailable" || !f.Retry || took > most {
				t.Errorf("send = %s after %v, want unavailable and to be tried again, within %v", f.raw, took, most)
			}
			s := faults.Clear()
			// A send has 40 tries, and makes them alone: nothing below it multiplies them.
			if s.Rules[0].Injected > 41 {
				t.Errorf("%d requests failed for one send, want at most 41", s.Rules[0].Injected)
			}
			switch lost := strings.HasSuffix(rule, "lose"); {
			case lost && d.tables(t) == before:
				t.Error("nothing was written, though only answers were lost")
			case !lost && d.tables(t) != before:
				t.Error("something was written by a send that failed")
			}
			if f := c.send(bob, 2, "in it"); f.Seq != 2 || f.Duplicate != strings.HasSuffix(rule, "lose") {
				t.Errorf("sent again = %s, want seq 2", f.raw)
			}
			log := c.log(alice.with(bob), 0)
			checkLog(t, log)
			if len(log) != 2 {
				t.Errorf("the log has %d messages, want 2", len(log))
			}
		})
	}
}
