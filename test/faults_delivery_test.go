package test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// row is what stands in the table of connections.
type row struct {
	User        struct{ S string }
	Connection  struct{ S string }
	ConnectedAt struct{ N string } `json:"connected_at"`
	Behind      struct{ BOOL bool }
	TTL         struct{ N string }
}

// rows lists a user's connections as the table has them.
func (u *user) rows(t testing.TB) []row {
	t.Helper()
	var out struct{ Items []row }
	err := json.Unmarshal(u.target.dynamodb(t, "Query", map[string]any{
		"TableName": u.target.outputs["ConnectionsTable"], "ConsistentRead": true, "KeyConditionExpression": "#u = :u",
		"ExpressionAttributeNames": map[string]string{"#u": "user"}, "ExpressionAttributeValues": map[string]any{":u": map[string]string{"S": u.name}},
	}), &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.Items
}

// awaitRows waits until a user's rows are as they should be.
func (u *user) awaitRows(t testing.TB, what string, right func([]row) bool) []row {
	t.Helper()
	limit := timeout()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		rows := u.rows(t)
		if right(rows) {
			return rows
		}
		select {
		case <-again.C:
		case <-limit:
			t.Fatalf("%s has the rows %+v, want %s", u.name, rows, what)
		}
	}
}

// age makes a connection look older than it is, by the table.
func (r row) age(t testing.TB, d *target, by time.Duration) {
	t.Helper()
	at, err := strconv.ParseInt(r.ConnectedAt.N, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	d.dynamodb(t, "UpdateItem", map[string]any{
		"TableName":        d.outputs["ConnectionsTable"],
		"Key":              map[string]any{"user": map[string]string{"S": r.User.S}, "connection": map[string]string{"S": r.Connection.S}},
		"UpdateExpression": "SET connected_at = :at", "ExpressionAttributeValues": map[string]any{":at": map[string]string{"N": fmt.Sprint(at - by.Milliseconds())}},
	})
}

func behind(rows []row) bool { return len(rows) == 1 && rows[0].Behind.BOOL }

// G5, G6: a post fails, whatever the way. The connection is told at its next ping that it is behind,
// syncs, and has everything; nobody presses it hard meanwhile.
func TestPostsFail(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, rule string
		perMessage uint64 // posts of one message at most
	}{
		{"too many requests, or a slow reader", "connections/POST user=bob error=LimitExceededException", 1},
		{"internal error", "connections/POST user=bob error=InternalServerErrorException", 2},
		{"unavailable", "connections/POST user=bob error=ServiceUnavailableException", 2},
		{"no permission", "connections/POST user=bob error=ForbiddenException", 1},
		{"gone, but young: it may be being born", "connections/POST user=bob error=GoneException", 1},
		{"time-out", "connections/POST user=bob delay=1h", 1},
		{"answer lost", "connections/POST user=bob lose", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d, faults := faultyTarget(t)
			alice, bob := d.user(t, "alice"), d.user(t, "bob")
			sender, receiver := alice.connect(t, "laptop"), bob.connect(t, "phone")
			receiver.sync(nil, "")
			sender.send(bob, 1, "before")
			receiver.messages(alice.with(bob), 1)
			faults.Set(1, strings.ReplaceAll(test.rule, "user=bob", "user="+bob.name))
			sender.send(bob, 2, "missed")
			bob.awaitRows(t, "one that is behind", behind)
			s := faults.Clear()
			if got := s.Rules[0].Injected; got == 0 || got > test.perMessage {
				t.Errorf("one message was posted %d times, want 1 to %d", got, test.perMessage)
			}
			// Without another message, at the next ping.
			if f := receiver.must("pong", map[string]any{"action": "ping"}); !f.Behind {
				t.Errorf("ping = %s, want behind", f.raw)
			}
			if all, _ := receiver.sync(map[string]int64{alice.with(bob): 1}, ""); len(all) != 1 || all[0].LastSeq != 2 {
				t.Errorf("sync lists %+v, want the conversation at 2", all)
			}
			if log := receiver.log(alice.with(bob), 1); len(log) != 1 || log[0].Seq != 2 {
				t.Errorf("history after 1 has %+v, want message 2", log)
			}
			if f := receiver.must("pong", map[string]any{"action": "ping"}); f.Behind {
				t.Errorf("ping after the sync = %s, want not behind", f.raw)
			}
			sender.send(bob, 3, "live again")
			receiver.pushes("the next message", func(all []frame) bool {
				return len(all) > 0 && all[len(all)-1].Seq == 3
			})
		})
	}
}

// G6: a connection that is gone for certain loses its row at the first post; a device that is there
// all the same learns it at its next ping, and comes back.
func TestPostToGoneConnection(t *testing.T) {
	t.Parallel()
	d, faults := faultyTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	sender, receiver := alice.connect(t, "laptop"), bob.connect(t, "phone")
	bob.rows(t)[0].age(t, d, 2*time.Minute)
	faults.Set(1, "connections/POST user="+bob.name+" error=GoneException")
	sender.send(bob, 1, "missed")
	bob.awaitRows(t, "none", func(rows []row) bool { return len(rows) == 0 })
	faults.Clear()
	if f := receiver.must("error", map[string]any{"action": "ping"}); f.Code != "session_expired" {
		t.Errorf("ping = %s, want session_expired: nothing is delivered to it", f.raw)
	}
	receiver = bob.connect(t, "phone")
	if log := receiver.log(alice.with(bob), 0); len(log) != 1 {
		t.Errorf("history has %d messages, want 1", len(log))
	}
}

// G6, G8: a message commits between the row of a connection and its socket: the post is answered
// 410, and the row survives. The connection's first frame says that it is behind.
func TestPostToConnectionBeingBorn(t *testing.T) {
	t.Parallel()
	d, faults := faultyTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	sender := alice.connect(t, "laptop")
	faults.Set(1, "dynamodb/PutItem table=ConnectionsTable function=ConnectFunction hold=1h")
	born := make(chan *conn, 1)
	go func() {
		c, err := bob.tryConnect(t.Context(), t, "phone")
		if err != nil {
			t.Errorf("connect: %v", err)
		}
		born <- c
	}()
	bob.awaitRows(t, "one", func(rows []row) bool { return len(rows) == 1 })
	sender.send(bob, 1, "to one who is not there yet")
	bob.awaitRows(t, "one that is behind", behind)
	faults.Clear()
	c := <-born
	if c == nil {
		t.FailNow()
	}
	if f := c.must("pong", map[string]any{"action": "ping"}); !f.Behind {
		t.Errorf("its first ping = %s, want behind", f.raw)
	}
	if log := c.log(alice.with(bob), 0); len(log) != 1 {
		t.Errorf("history has %d messages, want 1", len(log))
	}
}

// $disconnect never comes, for it is best effort on AWS: the row goes at the first post, or by TTL
// within AWS's two hours and a margin.
func TestDisconnectNeverComes(t *testing.T) {
	t.Parallel()
	d, faults := faultyTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	sender, receiver := alice.connect(t, "laptop"), bob.connect(t, "phone")
	faults.Set(1, "disconnect drop")
	receiver.drop()
	awaitFaults(t, faults, 1)
	rows := bob.rows(t)
	if len(rows) != 1 {
		t.Fatalf("bob has %d rows, want the one that nobody removed", len(rows))
	}
	ttl, _ := strconv.ParseInt(rows[0].TTL.N, 10, 64)
	if left := time.Until(time.Unix(ttl, 0)); left < 2*time.Hour || left > 3*time.Hour {
		t.Errorf("its TTL is in %v, want just above 2h", left)
	}
	rows[0].age(t, d, 2*time.Minute)
	sender.send(bob, 1, "to nobody")
	bob.awaitRows(t, "none", func(rows []row) bool { return len(rows) == 0 })
	if log := bob.connect(t, "phone").log(alice.with(bob), 0); len(log) != 1 {
		t.Errorf("history has %d messages, want 1", len(log))
	}
}

// G5: a client dies without notice, and API Gateway goes on taking posts to it, as AWS's does for a
// while. It comes back much later with its old cursor, and has everything.
func TestClientDiesWithoutNotice(t *testing.T) {
	t.Parallel()
	d, faults := faultyTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	sender, receiver := alice.connect(t, "laptop"), bob.connect(t, "phone")
	sender.send(bob, 1, "seen")
	receiver.messages(alice.with(bob), 1)
	_, last := receiver.sync(map[string]int64{alice.with(bob): 1}, "")
	faults.Set(1, "disconnect drop", "connections/POST user=- drop") // - is whoever is gone
	faults.Add("now user=" + bob.name + " cut")
	receiver.closed()
	const missed = 150
	sender.burst(bob, 2, missed, func(n int64) string { return fmt.Sprint(n) })
	awaitFaults(t, faults, 3) // the cut, the end that nobody noticed, a post at least
	receiver = bob.connect(t, "phone")
	faults.Clear()
	all, _ := receiver.sync(map[string]int64{alice.with(bob): 1}, last.Since)
	if len(all) != 1 || all[0].LastSeq != missed+1 {
		t.Fatalf("sync lists %+v, want the conversation at %d", all, missed+1)
	}
	if log := receiver.log(alice.with(bob), 1); len(log) != missed {
		t.Errorf("history has %d messages, want the %d missed ones", len(log), missed)
	}
}

// G10: a poison record in the stream is given up, and described in the failure queue; what is
// before and behind it is delivered, and does not wait for that.
func TestPoisonRecord(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the mapping's retries, up to a minute: run without -short")
	}
	t.Parallel()
	d := localTarget(t, "writes to its tables")
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	sender, receiver := alice.connect(t, "laptop"), bob.connect(t, "phone")
	sender.send(bob, 1, "before")
	d.dynamodb(t, "PutItem", map[string]any{"TableName": d.outputs["MessagesTable"], "Item": map[string]any{
		"conversation": map[string]string{"S": alice.with(bob)}, "seq": map[string]string{"N": "1000000"}, "text": map[string]string{"S": "no message"},
	}})
	sender.burst(bob, 2, 20, func(n int64) string { return fmt.Sprint(n) })
	receiver.messages(alice.with(bob), 21)
	limit := time.After(2 * patience)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		var queues map[string][]struct {
			RequestContext     struct{ Condition string }
			DDBStreamBatchInfo struct{ BatchSize int }
		}
		if err := json.Unmarshal(d.get(t, "/_local/queues"), &queues); err != nil {
			t.Fatal(err)
		}
		for _, messages := range queues {
			if len(messages) == 0 {
				continue
			}
			if m := messages[0]; len(messages) != 1 || m.RequestContext.Condition != "RetryAttemptsExhausted" || m.DDBStreamBatchInfo.BatchSize != 1 {
				t.Errorf("the failure queue has %+v, want the poison record alone, with its reason", messages)
			}
			return
		}
		select {
		case <-again.C:
		case <-limit:
			t.Fatal("the failure queue stays empty")
		}
	}
}
