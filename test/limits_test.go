package test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/cloud"
)

// parameters of the template, besides those of every test.
func parameters(p map[string]string) func(*cloud.Config) {
	return func(c *cloud.Config) {
		c.Parameters = maps.Clone(c.Parameters)
		maps.Copy(c.Parameters, p)
	}
}

// What a user may send in a conversation in a minute holds over devices and kinds of entries, and for this
// conversation alone. It costs nothing: the refused ones write nothing, the others what they did without.
func TestMessagesPerMinute(t *testing.T) {
	t.Parallel()
	const most = 20
	d := localTarget(t, "has limits of its own", parameters(map[string]string{"MessagesPerMinute": fmt.Sprint(most)}))
	users := d.users(t, "alice", "bob", "carol")
	alice, bob, carol := users[0], users[1], users[2]
	laptop, phone, b := alice.connect(t, "laptop"), alice.connect(t, "phone"), bob.connect(t, "laptop")
	c := alice.with(bob)
	if left := time.Minute - time.Duration(time.Now().UnixNano())%time.Minute; left < 20*time.Second {
		t.Log("the minute is about to end: a second one is counted")
	}
	// The clock's minute may turn on the way: of two minutes' worth and one, one is refused.
	count, refusal := 0, frame{}
	var last map[string]any
	for n := int64(1); n <= 2*most+1 && refusal.Type == ""; n++ {
		for device, c := range map[*conn]map[string]any{laptop: message(bob, n, "x"), phone: message(bob, n, "y")} {
			if n > 1 && n%3 == 0 {
				c = about("react", alice.with(bob), n, 1, "emoji", "👍")
			}
			f, err := device.ask(c)
			switch {
			case err != nil:
				t.Fatal(err)
			case f.Type == "sent":
				count++
			case refusal.Type == "":
				refusal, last = f, c
				last["device"] = device
			}
		}
	}
	if refusal.Code != "rate_limited" || !refusal.Retry || refusal.RetryAfterMS <= 0 || refusal.RetryAfterMS > time.Minute.Milliseconds() {
		t.Fatalf("after %d entries: %s, want rate_limited with retry_after_ms of up to a minute", count, refusal.raw)
	}
	if count < most || count > 2*most {
		t.Errorf("%d entries were taken, want %d, or a little more where the minute has turned", count, most)
	}
	b.send(alice, 1, "the peer has a limit of its own")
	laptop.send(carol, 1, "and every conversation")
	if log := b.log(c, 0); len(log) != count+1 {
		t.Errorf("%d entries in the log, want %d", len(log), count+1)
	}
}

// Beyond the new conversations of a day the next one is refused until midnight, and those that there are
// go on.
func TestNewConversationsPerDay(t *testing.T) {
	t.Parallel()
	const most = 3
	d := localTarget(t, "has limits of its own", parameters(map[string]string{"NewConversationsPerDay": fmt.Sprint(most)}))
	alice := d.user(t, "alice")
	a := alice.connect(t, "laptop")
	var peers []*user
	for i := range 2*most + 1 {
		peers = append(peers, d.user(t, fmt.Sprint("peer", i)))
	}
	day := time.Now().UTC().YearDay()
	begun, f := 0, frame{}
	for _, to := range peers {
		if f, _ = a.ask(message(to, 1, "hello")); f.Type != "sent" {
			break
		}
		begun++
	}
	if f.Code != "rate_limited" || !f.Retry || f.RetryAfterMS <= 0 || f.RetryAfterMS > (24*time.Hour).Milliseconds() {
		t.Fatalf("conversation %d = %s, want rate_limited until midnight", begun+1, f.raw)
	}
	if sameDay := time.Now().UTC().YearDay() == day; sameDay && begun != most || begun < most || begun > 2*most {
		t.Errorf("%d conversations were begun, want %d, or up to twice as many where the day has turned", begun, most)
	}
	for _, to := range peers[:begun] {
		a.send(to, 2, "more")
	}
	// The other may begin it.
	peers[begun].connect(t, "laptop").send(alice, 1, "hello")
	a.send(peers[begun], 1, "hello")
	if all, _ := a.sync(nil, ""); len(all) != begun+1 {
		t.Errorf("%d conversations, want %d", len(all), begun+1)
	}
}

// With retention, messages have an end that DynamoDB keeps, and are not shown after it; without, they have
// none.
func TestRetention(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "has a retention of its own", parameters(map[string]string{"RetentionDays": "2"}))
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	a, b := alice.connect(t, "laptop"), bob.connect(t, "laptop")
	c := alice.with(bob)
	first := a.send(bob, 1, "old")
	a.send(bob, 2, "new")
	key := func(seq int64) map[string]any {
		return map[string]any{"conversation": map[string]string{"S": c}, "seq": map[string]string{"N": fmt.Sprint(seq)}}
	}
	got := string(d.dynamodb(t, "GetItem", map[string]any{"TableName": d.outputs["MessagesTable"], "Key": key(1), "ProjectionExpression": "#t", "ExpressionAttributeNames": map[string]string{"#t": "ttl"}}))
	if want := fmt.Sprintf(`{"Item":{"ttl":{"N":"%d"}}}`, first.At/1000+2*24*3600); got != want {
		t.Errorf("the end of a message is %s, want %s", got, want)
	}
	d.dynamodb(t, "UpdateItem", map[string]any{
		"TableName": d.outputs["MessagesTable"], "Key": key(1), "UpdateExpression": "SET #t = :past",
		"ExpressionAttributeNames": map[string]string{"#t": "ttl"}, "ExpressionAttributeValues": map[string]any{":past": map[string]string{"N": "1000000000"}},
	})
	// DynamoDB removes it some time later; until then it is not shown.
	if log := b.log(c, 0); len(log) != 1 || log[0].Seq != 2 {
		t.Errorf("history is %+v, want the second message alone", log)
	}
	b.refused("not_found", "target", about("react", c, 1, 1, "emoji", "👍"))
	// A resend of so late is refused, not stored anew (G2).
	a.refused("not_found", "n", message(bob, 1, "old"))
}
