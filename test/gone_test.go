package test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// Whatever is pushed, a connection that is gone for certain loses its row by it (G6), as by a message; one
// that misses what is kept is behind.
func TestPushesFail(t *testing.T) {
	t.Parallel()
	const gone, fails = "GoneException", "InternalServerErrorException"
	for _, test := range []struct {
		name, function, error string
		push                  func(alice, bob *user, a, laptop *conn) // to bob's phone
	}{
		{"typing", "TypingFunction", gone, func(alice, bob *user, a, _ *conn) {
			a.must("ok", typing(alice.with(bob), true))
		}},
		{"receipt", "AcknowledgeFunction", gone, func(alice, bob *user, a, _ *conn) {
			a.must("acked", ack(alice.with(bob), 1, 0))
		}},
		{"block, told to the own other devices", "BlockFunction", gone, func(alice, _ *user, _, laptop *conn) {
			laptop.must("ok", block("block", alice))
		}},
		{"receipt that is missed", "AcknowledgeFunction", fails, func(alice, bob *user, a, _ *conn) {
			a.must("acked", ack(alice.with(bob), 1, 0))
		}},
		{"block that is missed", "BlockFunction", fails, func(alice, _ *user, _, laptop *conn) {
			laptop.must("ok", block("block", alice))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d, faults := faultyTarget(t)
			alice, bob := d.user(t, "alice"), d.user(t, "bob")
			bob.connect(t, "phone")
			phone := bob.rows(t)[0]
			a, laptop := alice.connect(t, "laptop"), bob.connect(t, "laptop")
			laptop.send(alice, 1, "hello")
			phone.age(t, d, 2*time.Minute)
			// The first post that fails may be the laptop's, which is too young to be gone.
			faults.Set(1, fmt.Sprintf("connections/POST user=%s function=%s error=%s", bob.name, test.function, test.error))
			test.push(alice, bob, a, laptop)
			is := func(row row) bool { return row.Connection.S == phone.Connection.S }
			bob.awaitRows(t, "a phone that is gone or behind", func(rows []row) bool {
				for _, row := range rows {
					if is(row) {
						return test.error == fails && row.Behind.BOOL
					}
				}
				return test.error == gone
			})
		})
	}
}

// A watcher that is gone is told of nobody's presence any more.
func TestWatchersGone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, function string }{
		{"when one comes", "ArrivalFunction"}, {"when one goes", "DepartureFunction"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := localTarget(t, "injects faults, without a grace", grace(0))
			faults := d.faults(t)
			alice, bob := d.user(t, "alice"), d.user(t, "bob")
			meet(t, alice, bob)
			a := alice.connect(t, "laptop")
			a.must("presence", watch(bob))
			if n := bob.watchers(t); n != 1 {
				t.Fatalf("bob has %d watchers, want alice's laptop", n)
			}
			faults.Set(1, fmt.Sprintf("connections/POST user=%s function=%s error=GoneException", alice.name, test.function))
			b := bob.connect(t, "phone")
			if test.function == "DepartureFunction" {
				a.seen(bob, true)
				b.drop()
			}
			limit := timeout()
			for again := time.Tick(2 * time.Millisecond); bob.watchers(t) > 0; {
				select {
				case <-again:
				case <-limit:
					t.Fatal("bob keeps a watcher that is gone")
				}
			}
		})
	}
}

// watchers counts the devices that are told of a user's presence.
func (u *user) watchers(t testing.TB) int {
	t.Helper()
	var out struct{ Count int }
	err := json.Unmarshal(u.target.dynamodb(t, "Query", map[string]any{
		"TableName": u.target.outputs["WatchersTable"], "ConsistentRead": true, "KeyConditionExpression": "#u = :u",
		"ExpressionAttributeNames": map[string]string{"#u": "user"}, "ExpressionAttributeValues": map[string]any{":u": map[string]string{"S": u.name}},
	}), &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.Count
}
