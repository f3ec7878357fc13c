package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/cloudtest"
)

// converse lets two devices of new users talk under faults until both have everything, and checks
// what G1 to G5 and G7 promise.
func converse(t testing.TB, d *target, faults *cloudtest.Faults, each int, rules ...string) []*device {
	t.Helper()
	d.run = newRun()
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	devices := []*device{alice.device("laptop", bob, each, 2*each), bob.device("phone", alice, each, 2*each)}
	faults.Set(seed(t), rules...)
	defer faults.Clear() // the witness is not to be failed
	runDevices(t, time.Minute, devices...)
	faults.Clear()
	checkDevices(t, devices...)
	return devices
}

// G1–G5: each function is killed before, and after, each of the calls that it makes: between any
// two statements, as far as anybody else can see.
func TestFunctionsKilledAtEachCall(t *testing.T) {
	t.Parallel()
	d, faults := faultyTarget(t)
	calls := map[string]int{}
	for _, function := range []string{"ConnectFunction", "SendFunction", "SyncFunction", "HistoryFunction", "DeliverFunction", "DisconnectFunction", "PingFunction"} {
		for _, point := range []string{"dynamodb", "connections"} {
			for n := 1; ; n++ {
				injected := 0
				for _, side := range []string{"before", "after"} {
					converse(t, d, faults, 3, fmt.Sprintf("%s function=%s nth=%d kill=%s", point, function, n, side))
					injected += int(faults.Status().Rules[0].Injected)
				}
				if injected == 0 || n == times(8, 8, 3) {
					break // there are no more calls, or only the same ones again
				}
				calls[function] += injected
			}
		}
	}
	t.Logf("killed at calls: %v", calls)
	for _, function := range []string{"ConnectFunction", "SendFunction", "SyncFunction", "HistoryFunction", "DeliverFunction"} {
		if calls[function] == 0 {
			t.Errorf("%s was never killed: nothing was tried", function)
		}
	}
}

// G1–G4: a function that hangs, before or after its commit, until Lambda's time-out ends it.
func TestFunctionsTimeOut(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		"dynamodb/TransactWriteItems function=SendFunction nth=2 delay=1h",
		"dynamodb/TransactWriteItems function=SendFunction nth=2 hold=1h",
		"invoke/SendFunction nth=2 lose=Sandbox.Timedout",
		"invoke/SyncFunction nth=2 error=Sandbox.Timedout",
		"invoke/ConnectFunction nth=2 lose=Sandbox.Timedout",
		"batch/DeliverFunction nth=2 lose=Sandbox.Timedout",
		"batch/DeliverFunction nth=2 error=Sandbox.Timedout",
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			d, faults := faultyTarget(t)
			converse(t, d, faults, 20, rule)
			if s := faults.Status(); s.Rules[0].Injected != 1 {
				t.Errorf("%d faults, want 1", s.Rules[0].Injected)
			}
		})
	}
}

// G2, G3, G4: the Lambdas of a device race, frames overtake each other, functions run twice, crash or
// are not run at all.
func TestFunctionsRace(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		"invoke/SendFunction delay=0ms..30ms",
		"invoke/SendFunction p=0.2 repeat",
		"invoke/SendFunction p=0.1 lose",
		"invoke/SendFunction p=0.1 error=Runtime.ExitError",
		"invoke/SendFunction p=0.1 error=TooManyRequestsException",
		"invoke/HistoryFunction first=2 error=ServiceException",
		"dynamodb/TransactWriteItems p=0.2 hold=0ms..30ms",
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			d, faults := faultyTarget(t)
			converse(t, d, faults, 60, rule)
			if s := faults.Status(); s.Rules[0].Injected == 0 {
				t.Error("nothing failed: nothing was tried")
			}
		})
	}
}

// G5, G7: batches of the stream that come twice, again from the middle, late, or not at first.
func TestBatchesComeAgain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule    string
		repeats bool // what was there comes again
	}{
		{"batch repeat", true},
		{"batch repeat=half", true},
		{"batch every=3 lose", true},
		{"batch every=3 error=Runtime.ExitError", false},
		{"batch every=3 error=TooManyRequestsException", false},
		{"batch p=0.5 delay=1ms..200ms", false},
		{"connections/POST p=0.3 repeat", true},
	} {
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			d, faults := faultyTarget(t)
			repeats := 0
			for _, device := range converse(t, d, faults, 60, test.rule) {
				repeats += device.repeats
			}
			if s := faults.Status(); s.Rules[0].Injected == 0 {
				t.Error("nothing failed: nothing was tried")
			}
			if test.repeats && repeats == 0 {
				t.Error("no message came again: nothing was tried")
			}
		})
	}
}
