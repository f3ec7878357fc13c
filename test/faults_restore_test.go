package test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/duet-chat/duet/client"
	"github.com/duet-chat/duet/localstack/cloud"
)

// restored are the tables that belong together; see docs/operations.md.
var restored = []string{"UsersTable", "ConversationsTable", "MembersTable", "MessagesTable"}

// backup reads all items of the tables that belong together.
func (d *target) backup(t testing.TB) map[string][]json.RawMessage {
	t.Helper()
	items := map[string][]json.RawMessage{}
	for _, table := range restored {
		request := map[string]any{"TableName": d.outputs[table], "ConsistentRead": true}
		for {
			var page struct {
				Items            []json.RawMessage
				LastEvaluatedKey json.RawMessage
			}
			if err := json.Unmarshal(d.dynamodb(t, "Scan", request), &page); err != nil {
				t.Fatal(err)
			}
			items[table] = append(items[table], page.Items...)
			if page.LastEvaluatedKey == nil {
				break
			}
			request["ExclusiveStartKey"] = page.LastEvaluatedKey
		}
	}
	return items
}

// restore writes a backup into new tables, which have new streams.
func (d *target) restore(t testing.TB, backup map[string][]json.RawMessage) {
	t.Helper()
	for table, items := range backup {
		for chunk := range slices.Chunk(items, 25) {
			var writes []map[string]any
			for _, item := range chunk {
				writes = append(writes, map[string]any{"PutRequest": map[string]any{"Item": item}})
			}
			d.dynamodb(t, "BatchWriteItem", map[string]any{"RequestItems": map[string]any{d.outputs[table]: writes}})
		}
	}
}

// protocol.md, Epoch: the tables are restored to an earlier point in time. Devices notice the new
// epoch and start over: what was lost is gone for everybody, and nothing new is taken for
// something old.
func TestTablesRestoredToAnEarlierPoint(t *testing.T) {
	t.Parallel()
	needLocal(t, "restores its tables")
	const before, lost, since = 5, 7, 4
	var backup map[string][]json.RawMessage
	states := map[string]client.State{"alice": client.NewMemoryState(), "bob": client.NewMemoryState()}
	port, run := 0, ""
	life := func(name string, f func(t *testing.T, d *target, a, b *program)) {
		t.Run(name, func(t *testing.T) {
			d := newTarget(t, func(c *cloud.Config) { c.Port = port })
			if run == "" {
				run = d.run
			}
			d.run = run
			alice, bob := d.user(t, "alice"), d.user(t, "bob")
			if backup != nil {
				d.restore(t, backup)
			}
			keep := func(name string) func(*client.Config) {
				return func(c *client.Config) { c.State = states[name] }
			}
			f(t, d, alice.program(t, "", keep("alice")), bob.program(t, "", keep("bob")))
			port = d.port(t)
		})
	}
	send := func(t *testing.T, from *program, to *user, count int, text string, seq int64) {
		t.Helper()
		for i := range count {
			sent, err := from.Send(t.Context(), to.name, fmt.Sprint(text, i))
			if err != nil || sent.Seq != seq+int64(i) || sent.Duplicate {
				t.Fatalf("%s%d: %+v %v, want seq %d", text, i, sent, err, seq+int64(i))
			}
		}
	}
	devices := map[string]bool{}
	life("before", func(t *testing.T, d *target, a, b *program) {
		send(t, a, b.user, before, "before ", 1)
		backup = d.backup(t)
		send(t, a, b.user, lost, "lost ", before+1)
		b.await(before + lost)
		devices[a.Device()], devices[b.Device()] = true, true
	})
	life("after", func(t *testing.T, d *target, a, b *program) {
		// Fewer than were lost: by the old cursors they would be old.
		send(t, b, a.user, since, "since ", before+1)
		log := a.user.connect(t, "witness").log(a.user.with(b.user), 0)
		checkLog(t, log)
		if len(log) != before+since {
			t.Errorf("the log has %d messages, want %d", len(log), before+since)
		}
		checkPrograms(t, log, a, b)
		if devices[a.Device()] || devices[b.Device()] {
			t.Error("a device keeps its id: its numbers are those of the life before")
		}
	})
}
