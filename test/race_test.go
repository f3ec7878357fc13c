package test

import (
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/cloud"
)

// G8: a device connects, syncs and leaves, over and over, while messages are being sent to it.
// Each message is in what it had from history, or pushed to it; none falls between the two.
func TestConnectRacesDelivery(t *testing.T) {
	t.Parallel()
	rounds := times(2000, 300, 60)
	d := newTarget(t, unthrottled)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	conversation := alice.with(bob)
	sender := alice.connect(t, "laptop")
	sender.send(bob, 1, "the first")
	stored := int64(1)
	for round := range rounds {
		// The send and the handshake start at the same instant; which one is ahead differs. A
		// second message comes while the device is connected.
		request := message(bob, stored+1, "racing")
		request["seen"] = stored
		answer, err := sender.start(request)
		if err != nil {
			t.Fatal(err)
		}
		receiver := bob.connect(t, "phone")
		receiver.sync(nil, "")
		log := receiver.log(conversation, stored-1)
		f, err := sender.await(answer)
		if err != nil || f.Type != "sent" {
			t.Fatalf("round %d: %s %v", round, f.raw, err)
		}
		stored = f.Seq
		sender.send(bob, stored+1, "while connected")
		stored++

		known := map[int64]bool{}
		for _, m := range log {
			known[m.Seq] = true
		}
		missing := 0
		for _, seq := range []int64{stored - 1, stored} {
			if !known[seq] {
				missing++
			}
		}
		// What was not in history has to be pushed, without anybody asking again.
		receiver.pushes("the messages that were not in history", func(all []frame) bool {
			pushed := 0
			for _, f := range all {
				if f.Type == "message" && !known[f.Seq] {
					pushed++
				}
			}
			return pushed >= missing
		})
		receiver.drop()
	}
	checkLog(t, sender.log(conversation, 0))
}

// G5, G6, G8: a sender never stops, and a device comes and goes at any moment. What it has from
// history and pushes is the whole log in the end.
func TestDeviceComesAndGoes(t *testing.T) {
	t.Parallel()
	messages := times(1500, 400, 150)
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	conversation := alice.with(bob)
	sender := alice.connect(t, "laptop")
	sender.send(bob, 1, "the first")
	sent := make(chan error, 1)
	go func() {
		for n := int64(2); n <= int64(messages); n++ {
			request := message(bob, n, "on and on")
			request["seen"] = n - 1
			if f, err := sender.ask(request); err != nil || f.Type != "sent" {
				t.Errorf("n %d: %s %v", n, f.raw, err)
				break
			}
		}
		close(sent)
	}()
	cursor, visits := int64(0), 0
	for cursor < int64(messages) {
		visits++
		receiver := bob.connect(t, "phone")
		receiver.sync(map[string]int64{conversation: cursor}, "")
		known := map[int64]bool{}
		for _, m := range receiver.log(conversation, cursor) {
			if m.Seq != cursor+1 {
				t.Fatalf("visit %d: history after %d goes on with %d", visits, cursor, m.Seq)
			}
			cursor++
		}
		// It stays for three messages more; they have to be pushed, or were in history.
		until := min(cursor+3, int64(messages))
		receiver.pushes("the next messages, without a gap", func(all []frame) bool {
			for _, f := range all {
				known[f.Seq] = known[f.Seq] || f.Type == "message"
			}
			for known[cursor+1] {
				cursor++
			}
			return cursor >= until
		})
		receiver.drop()
	}
	<-sent
	t.Logf("%d visits for %d messages", visits, messages)
	checkLog(t, sender.log(conversation, 0))
}

// G6: a connection that missed something learns of it by its next ping at the latest, though
// nothing else happens; and sync clears that.
func TestSlowReaderLearnsThatItIsBehind(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "needs a small send buffer", func(c *cloud.Config) {
		c.Limits.SendBufferBytes = 8 << 10
		c.Limits.WriteTimeout = time.Minute
	})
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	sender := alice.connect(t, "laptop")
	ws, _, err := d.dial(t.Context(), as(bob.AccessToken, "slow"))
	if err != nil {
		t.Fatal(err)
	}
	// Nobody reads this socket: the kernel's buffers fill up, then the gateway's.
	table, text := d.outputs["ConnectionsTable"], string(make([]byte, 4000))
	count := int64(0)
	for limit := timeout(); ; {
		sender.burst(bob, count+1, 50, func(int64) string { return text })
		count += 50
		if d.usage(t)["dynamodb"][table]["requests.UpdateItem"] > 0 {
			break // the connection was marked
		}
		select {
		case <-limit:
			t.Fatalf("after %d messages of 24 KB nothing is marked", count)
		default:
		}
	}
	receiver := bob.attach(t, "slow", ws)
	if f := receiver.must("pong", map[string]any{"action": "ping"}); !f.Behind {
		t.Errorf("a ping of a connection that missed messages = %s, want behind", f.raw)
	}
	receiver.sync(nil, "")
	log := receiver.log(alice.with(bob), 0)
	if int64(len(log)) != count {
		t.Errorf("history has %d messages, want %d", len(log), count)
	}
	limit := timeout()
	for {
		// Posts that were under way may have failed after the sync.
		if f := receiver.must("pong", map[string]any{"action": "ping"}); !f.Behind {
			break
		}
		receiver.sync(nil, "")
		select {
		case <-limit:
			t.Fatal("the connection stays behind after every sync")
		default:
		}
	}
	sender.send(bob, count+1, "live again")
	receiver.pushes("the next message", func(all []frame) bool {
		return len(all) > 0 && all[len(all)-1].Seq == count+1
	})
}
