package test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// settle waits until a number of messages has been posted, so that the metering is complete:
// a device can have a push before the function that posted it has returned and been counted.
func (d *target) settle(t testing.TB, enough func(usage) bool) usage {
	t.Helper()
	limit := timeout()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		u := d.usage(t)
		if enough(u) {
			return u
		}
		select {
		case <-again.C:
		case <-limit:
			t.Fatalf("the usage does not get complete:\n%s", u)
		}
	}
}

// shown waits until all work of users having come online is done and metered. Each of them must have
// been offline before, on a deployment of the test's own.
func (d *target) shown(t testing.TB, users ...*user) {
	t.Helper()
	d.settle(t, func(u usage) bool {
		return u["dynamodb"][d.outputs["WatchersTable"]]["requests.Query"] >= float64(len(users)) &&
			u["lambda"]["ArrivalFunction"]["invocations"] == u["event_source_mapping"]["ArrivalMapping"]["batches"]
	})
}

// by adds up what functions have taken of all tables, by a metric.
func (u usage) by(metric string, functions ...string) (sum float64) {
	for _, function := range functions {
		for name, units := range u["dynamodb_by_function"][function] {
			if strings.HasPrefix(name, metric+".") {
				sum += units
			}
		}
	}
	return sum
}

// guarantees.md, Budgets: 700 bytes of text, one device on each side, warm, steady state.
func TestBudgets(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "reads /_local/usage")
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	a, b := alice.connect(t, "laptop"), bob.connect(t, "laptop")
	d.shown(t, alice, bob)
	text := strings.Repeat("x", 700)
	seq := int64(0)
	// One message from each side, with the guess that a device has that saw all before.
	exchange := func(n int64) {
		for c, to := range map[*conn]*user{a: bob, b: alice} {
			request := message(to, n, text)
			request["seen"] = seq
			seq++
			if f := c.must("sent", request); f.Seq != seq {
				t.Fatalf("n %d = %s, want seq %d", n, f.raw, seq)
			}
		}
	}
	const warm, rounds = 5, 100
	delivered := func(messages int) func(usage) bool {
		return func(u usage) bool {
			return u.sum("apigateway", "posts_out") == float64(messages) &&
				u["dynamodb_by_function"]["DeliverFunction"]["requests."+d.outputs["ConnectionsTable"]] >= 2
		}
	}
	for n := int64(1); n <= warm; n++ {
		exchange(n)
	}
	before := d.settle(t, delivered(2*warm))
	for n := int64(warm + 1); n <= warm+rounds; n++ {
		exchange(n)
	}
	after := d.settle(t, delivered(2*(warm+rounds)))
	u := after.since(before)
	const messages = 2 * rounds
	per := func(service, metric string) float64 { return u.sum(service, metric) / messages }

	atMost := func(what string, got, most float64) {
		t.Logf("%-40s %.2f per message, budget %g", what, got, most)
		if got > most {
			t.Errorf("%s: %.2f per message, want at most %g", what, got, most)
		}
	}
	if !differs(t, "units") {
		atMost("DynamoDB write units", per("dynamodb", "write_units"), 6)
		atMost("DynamoDB read units", per("dynamodb", "read_units"), 2)
	}
	atMost("Lambda invocations", per("lambda", "invocations"), 2) // the send, and a deliver batch of one at worst
	exactly := func(what string, got, want float64) {
		t.Logf("%-40s %g, want %g", what, got, want)
		if got != want {
			t.Errorf("%s = %g for %d messages, want %g", what, got, messages, want)
		}
	}
	exactly("sends invoked", u["lambda"]["SendFunction"]["invocations"], messages)
	exactly("messages in", u.sum("apigateway", "messages_in"), messages)
	exactly("answers", u.sum("apigateway", "replies_out"), messages)
	exactly("posts", u.sum("apigateway", "posts_out"), messages)
	// One round trip before sent: one transaction, and nothing else but what deliver reads.
	for _, table := range []string{"ConversationsTable", "MembersTable", "MessagesTable", "UsersTable"} {
		for metric, n := range u["dynamodb"][d.outputs[table]] {
			want := 0.0
			if metric == "requests.TransactWriteItems" && (table == "ConversationsTable" || table == "MessagesTable") {
				want = messages
			}
			if strings.HasPrefix(metric, "requests.") && n != want {
				t.Errorf("%s %s = %g for %d messages, want %g", table, metric, n, messages, want)
			}
		}
	}
	for metric, n := range u["dynamodb"][d.outputs["ConnectionsTable"]] {
		if strings.HasPrefix(metric, "requests.") && metric != "requests.Query" && n != 0 {
			t.Errorf("ConnectionsTable %s = %g, want 0", metric, n)
		}
	}
	if errors := u.sum("lambda", "errors"); errors != 0 {
		t.Errorf("%g functions failed", errors)
	}
}

// guarantees.md, Budgets: a lost race costs a second round trip, not a third.
func TestBudgetOfALostRace(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "reads /_local/usage")
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	a, b := alice.connect(t, "laptop"), bob.connect(t, "laptop")
	a.send(bob, 1, "first")
	b.send(alice, 1, "second")
	table := d.outputs["ConversationsTable"]
	before := d.usage(t)
	const messages = 50
	for n := int64(2); n < 2+messages; n++ {
		a.send(bob, n, "without a guess") // too low by one: bob's message
	}
	u := d.usage(t).since(before)
	if got := u["dynamodb"][table]["requests.TransactWriteItems"]; got > 2*messages {
		t.Errorf("%g transactions for %d messages, want at most two each", got, messages)
	}
	for metric, n := range u["dynamodb"][table] {
		if strings.HasPrefix(metric, "requests.") && metric != "requests.TransactWriteItems" && n != 0 {
			t.Errorf("%s = %g: the returned item makes a second read needless", metric, n)
		}
	}
}

// guarantees.md, Budgets: an idle device costs what its pings cost.
func TestBudgetOfAPing(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "reads /_local/usage")
	alice := d.user(t, "alice")
	c := alice.connect(t, "laptop")
	d.shown(t, alice)
	c.must("pong", map[string]any{"action": "ping"})
	before := d.usage(t)
	const pings = 20
	for range pings {
		c.must("pong", map[string]any{"action": "ping"})
	}
	u := d.usage(t).since(before)
	for what, got := range map[string]float64{
		"write units": u.sum("dynamodb", "write_units"), "posts": u.sum("apigateway", "posts_out"),
	} {
		if got != 0 {
			t.Errorf("%s = %g for %d pings, want none", what, got, pings)
		}
	}
	for what, got := range map[string]float64{
		"read units": u.sum("dynamodb", "read_units"), "messages in": u.sum("apigateway", "messages_in"),
		"answers": u.sum("apigateway", "replies_out"), "invocations": u.sum("lambda", "invocations"),
	} {
		if got > pings {
			t.Errorf("%s = %g for %d pings, want at most one each", what, got, pings)
		}
	}
}

// hangUp drops connections and waits until the deployment has forgotten them.
func (d *target) hangUp(t testing.TB, connections ...*conn) {
	t.Helper()
	forgotten := func(u usage) float64 {
		return u["dynamodb"][d.outputs["ConnectionsTable"]]["requests.DeleteItem"]
	}
	before := forgotten(d.usage(t))
	for _, c := range connections {
		c.drop()
	}
	d.settle(t, func(u usage) bool { return forgotten(u) >= before+float64(len(connections)) })
}

// perMessage measures what a message costs between two users, with guesses as devices have them. What the
// functions of presence take is not counted: the users have come online just now.
func (d *target) perMessage(t testing.TB, from, to *user) string {
	t.Helper()
	c, receiver := from.connect(t, "cost"), to.connect(t, "cost")
	const warm, messages = 3, 20
	already := receiver.user.with(from)
	first := c.log(already, 0)
	queries := func(u usage) float64 {
		return u["dynamodb_by_function"]["DeliverFunction"]["requests."+d.outputs["ConnectionsTable"]]
	}
	start := d.usage(t)
	n := int64(0)
	// send sends one message at a time, so that each is a batch of its own for deliver, and waits
	// until both users' connections have been looked up and all has been posted.
	send := func(count int64) usage {
		for last := n + count; n < last; {
			n++
			request := message(to, n, "what does this cost?")
			request["seen"] = int64(len(first)) + n - 1
			c.must("sent", request)
			receiver.messages(already, int(n))
		}
		return d.settle(t, func(u usage) bool {
			return queries(u) >= queries(start)+2*float64(n) && u.sum("apigateway", "posts_out") >= start.sum("apigateway", "posts_out")+float64(n)
		})
	}
	before := send(warm)
	u := send(messages).since(before)
	d.hangUp(t, c, receiver)
	return fmt.Sprintf("%g write units, %g read units, %g invocations of send, %g posts",
		u.by("write_units", "SendFunction", "DeliverFunction")/messages, u.by("read_units", "SendFunction", "DeliverFunction")/messages,
		u["lambda"]["SendFunction"]["invocations"]/messages, u.sum("apigateway", "posts_out")/messages)
}
