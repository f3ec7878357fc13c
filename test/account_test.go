package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A user is told what is kept about them.
func TestAccount(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice := d.user(t, "alice")
	a := alice.connect(t, "laptop")
	alice.connect(t, "phone")
	f := a.must("account", map[string]any{"action": "account"})
	if f.User != alice.name || !f.Visible || len(f.Connections) != 2 || !strings.Contains(f.raw, `"registered_at":1`) {
		t.Errorf("account = %s", f.raw)
	}
	if strings.Contains(f.raw, alice.AccessToken) || strings.Contains(f.raw, "session\"") {
		t.Errorf("account tells a secret: %s", f.raw)
	}
}

// erase asks until the account is erased.
func (c *conn) erase() {
	c.t.Helper()
	for {
		if f := c.must("erased", map[string]any{"action": "erase", "user": c.user.name}); f.Done {
			return
		}
	}
}

// After an erasure nothing of the user is left but the name, the places of the messages, and what others
// wrote. The peers are told; the connections end; the name cannot be taken.
func TestErase(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "looks into the tables", grace(0))
	users := d.users(t, "alice", "bob", "carol")
	alice, bob, carol := users[0], users[1], users[2]
	laptop, phone, b := alice.connect(t, "laptop"), alice.connect(t, "phone"), bob.connect(t, "laptop")
	c := alice.with(bob)
	laptop.send(bob, 1, "secret-1")
	laptop.must("sent", about("edit", c, 2, 1, "text", "secret-2"))
	b.send(alice, 1, "bob's own words")
	laptop.must("sent", about("react", c, 3, 3, "emoji", "🤫"))
	laptop.must("acked", ack(c, 0, 3))
	phone.send(carol, 1, "secret-3")
	b.must("presence", watch(alice))
	b.finds(alice, true)

	laptop.refused("forbidden", "user", map[string]any{"action": "erase", "user": bob.name})
	laptop.erase()
	phone.ends("signed_out")
	left := d.tables(t)
	for _, gone := range []string{"secret-", "🤫"} {
		if strings.Contains(left, gone) {
			t.Errorf("%q is still in the tables:\n%s", gone, left)
		}
	}
	if !strings.Contains(left, "bob's own words") {
		t.Error("what bob wrote is gone")
	}
	for _, table := range []string{"MembersTable", "ConnectionsTable", "WatchersTable"} {
		rows := d.dynamodb(t, "Query", map[string]any{
			"TableName": d.outputs[table], "KeyConditionExpression": "#u = :u", "Select": "COUNT", "ConsistentRead": true,
			"ExpressionAttributeNames": map[string]string{"#u": "user"}, "ExpressionAttributeValues": map[string]any{":u": map[string]string{"S": alice.name}},
		})
		if !strings.Contains(string(rows), `"Count":0`) {
			t.Errorf("%s still has rows of alice: %s", table, rows)
		}
	}
	if p := b.must("presence", watch(alice)).Users[0]; p.Online || p.LastSeen != 0 {
		t.Errorf("presence of an erased user = %+v", p)
	}
	b.refused("unknown_user", "to", message(alice, 2, "are you there?"))
	log := b.log(c, 0)
	checkLog(t, log)
	for _, m := range log {
		if m.From == alice.name && (m.Text != "" || m.Emoji != "" || m.Kind == "text" && m.Unsent == 0) {
			t.Errorf("history has %+v", m)
		}
	}
	if s := b.the(c); s.PeerRead != 0 || s.PeerDelivered != 0 {
		t.Errorf("the summary is %+v, want no receipts of an erased user", s)
	}
	_, resp, err := d.dial(t.Context(), as(alice.AccessToken, "new"))
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("an erased user connects: %v, want 403", err)
	}
}

// An erasure that is interrupted anywhere goes on when it is asked for again, and forgets nothing.
func TestEraseIsResumed(t *testing.T) {
	t.Parallel()
	d, faults := faultyTarget(t)
	alice := d.user(t, "alice")
	a := alice.connect(t, "laptop")
	const peers = 4
	for i := range peers {
		peer := d.user(t, fmt.Sprint("peer", i))
		for n := range int64(3) {
			a.send(peer, n+1, "secret")
		}
	}
	// Every third call to the tables fails, until three times in a row did.
	faults.Set(1, "dynamodb function=AccountFunction every=3 error=InternalServerError")
	done := false
	for range 50 {
		f, err := a.ask(map[string]any{"action": "erase", "user": alice.name})
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == "erased" && f.Done {
			done = true
			break
		}
		if f.Type == "error" && f.Code != "unavailable" {
			t.Fatalf("erase = %s, want unavailable", f.raw)
		}
	}
	if left := d.tables(t); !done || strings.Contains(left, "secret") {
		t.Errorf("erased: %v; the tables hold\n%s", done, left)
	}
}
