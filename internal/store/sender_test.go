package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/duet-chat/duet/internal/chat"
)

var at = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// G2, G3, G4 over real transactions: devices of both users pipeline, replies are lost after the
// commit, DynamoDB throttles; the log has every message once, gapless, and each device's in its order,
// although there are more devices than tails fit into the head.
func TestG2_G3_G4_SenderOnTheStore(t *testing.T) {
	const devices, each, inFlight = 6, 12, 4
	e := newEngine(t)
	tables := e.tables(t)
	users, conversations := stores(tables)
	if err := errors.Join(users.RegisterUser(t.Context(), "alice", at), users.RegisterUser(t.Context(), "bob", at)); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // guards rng
	rng := rand.New(rand.NewPCG(1, 2))
	e.between = func(target string, body []byte) *answer {
		if target != "DynamoDB_20120810.TransactWriteItems" {
			return nil
		}
		mu.Lock()
		fault := rng.IntN(20)
		mu.Unlock()
		switch fault {
		case 0: // another transaction was quicker
			return &answer{400, `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"Transaction cancelled, please refer cancellation reasons for specific reasons [TransactionConflict, None]","CancellationReasons":[{"Code":"TransactionConflict"},{"Code":"None"}]}`}
		case 1: // committed, but the reply was lost
			e.db.Do(context.Background(), target, body)
			return &answer{400, `{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"the reply was lost"}`}
		}
		return nil
	}
	sender := &chat.Sender{
		Log: conversations,
		Now: func() time.Time { return at },
		Sleep: func(ctx context.Context, d time.Duration) error {
			timer := time.NewTimer(d / 10)
			defer timer.Stop()
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-timer.C:
				return nil
			}
		},
	}
	draft := func(from chat.User, device chat.Device, n int64) chat.Draft {
		return chat.Draft{Conversation: "alice~bob", From: from, Device: device, N: n, Text: fmt.Sprintf("%s/%s %d", from, device, n)}
	}
	var places sync.Map // what was answered: "alice/d1 7" → seq
	var wg sync.WaitGroup
	for _, user := range []chat.User{"alice", "bob"} {
		for i := range devices {
			device := chat.Device(fmt.Sprint("d", i))
			frames := make(chan int64)
			wg.Go(func() {
				for n := range int64(each) {
					frames <- n + 1
				}
				close(frames)
			})
			for range inFlight {
				wg.Go(func() {
					for n := range frames {
						d := draft(user, device, n)
						for {
							sent, err := sender.Send(context.Background(), d)
							if err == nil {
								places.Store(d.Text, sent.Seq)
								break
							}
							var refusal *chat.Error
							if !errors.As(err, &refusal) || !refusal.Retry {
								t.Errorf("send %q: %v", d.Text, err)
								break
							}
						}
					}
				})
			}
		}
	}
	wg.Wait()
	e.between = nil

	log, err := conversations.Entries(t.Context(), "alice~bob", 1, 1<<53, 1000, false)
	if want := 2 * devices * each; err != nil || len(log) != want {
		t.Fatalf("%d entries, %v, want %d", len(log), err, want)
	}
	last := map[chat.TailKey]int64{}
	for i, m := range log {
		key := chat.NewTailKey(m.From, m.Device)
		if m.Seq != int64(i+1) || m.N != last[key]+1 {
			t.Fatalf("entry %d is number %d of %s at %d, after its number %d", i+1, m.N, key, m.Seq, last[key])
		}
		last[key] = m.N
		if place, _ := places.Load(m.Text); place != m.Seq {
			t.Errorf("%q was answered %v, stands at %d", m.Text, place, m.Seq)
		}
	}
	head, err := conversations.Head(t.Context(), "alice~bob")
	if err != nil || len(head.Tails) > chat.MaxTails || !head.Parked {
		t.Errorf("head = %+v, %v, want at most %d tails and others parked", head, err, chat.MaxTails)
	}
	for _, m := range log {
		sent, err := sender.Send(t.Context(), draft(m.From, m.Device, m.N))
		if err != nil || !sent.Duplicate || sent.Seq != m.Seq {
			t.Fatalf("repeat of %q = %+v, %v, want a duplicate at %d", m.Text, sent, err, m.Seq)
		}
	}
}
