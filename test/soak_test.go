package test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duet-chat/duet/client"
	"github.com/duet-chat/duet/localstack/cloud"
	"github.com/duet-chat/duet/localstack/cloudtest"
)

// everything fails now and then.
var everything = []string{
	"dynamodb/TransactWriteItems p=0.04 error=TransactionConflict",
	"dynamodb/TransactWriteItems p=0.02 error=ThrottlingError",
	"dynamodb p=0.01 error=ProvisionedThroughputExceededException",
	"dynamodb p=0.01 error=InternalServerError",
	"dynamodb p=0.01 lose",
	"dynamodb p=0.01 lose=InternalServerError",
	"dynamodb p=0.01 kill=before",
	"dynamodb p=0.01 kill=after",
	"dynamodb p=0.05 hold=0ms..20ms",
	"invoke p=0.01 error=Runtime.ExitError",
	"invoke p=0.01 error=TooManyRequestsException",
	"invoke p=0.01 lose",
	"invoke/SendFunction p=0.03 repeat",
	"invoke/SendFunction p=0.1 delay=0ms..20ms",
	"invoke/ConnectFunction p=0.2 hold=0ms..50ms",
	"batch p=0.05 repeat",
	"batch p=0.05 repeat=half",
	"batch p=0.05 lose",
	"batch p=0.1 delay=0ms..100ms",
	"connections/POST p=0.02 error=LimitExceededException",
	"connections/POST p=0.02 error=GoneException",
	"connections/POST p=0.02 error=InternalServerErrorException",
	"connections/POST p=0.02 lose",
	"connections/POST p=0.02 repeat",
	"connections p=0.01 kill=after",
	"disconnect p=0.3 drop",
	"socket p=0.01 cut",
	"socket p=0.02 delay=0ms..100ms",
	"now from=200ms cut",
	"now from=700ms cut",
}

// G1–G8: users talk by several devices, of the library and independent of it, while everything fails
// at random, and twice all sockets break at once. In the end each message that was sent stands
// once in its log, in one order, and every device has shown all of them, once.
//
// DUET_SOAK=10m makes it last.
func TestSoak(t *testing.T) {
	lasts, rounds := 2*time.Second, 3
	if text := os.Getenv("DUET_SOAK"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatalf("DUET_SOAK: %v", err)
		}
		rounds = 1
	}
	t.Parallel()
	first := seed(t)
	for round := range rounds {
		t.Run(fmt.Sprint("round ", round), func(t *testing.T) {
			t.Parallel()
			soak(t, first+uint64(round), lasts)
		})
	}
}

// soak repeats conversations under faults for some time.
func soak(t *testing.T, seed uint64, lasts time.Duration) {
	// Warnings of faults that are wanted would only hide the others.
	d := localTarget(t, "injects faults", func(c *cloud.Config) { c.Log = nil })
	faults := d.faults(t)
	talks, messages, injected := 0, 0, map[string]uint64{}
	for end := time.Now().Add(lasts); time.Now().Before(end); talks++ {
		t.Logf("talk %d with seed %d", talks, seed)
		messages += talk(t, d, faults, seed)
		for _, r := range faults.Status().Rules {
			injected[r.Rule] += r.Injected
		}
		seed++
	}
	total := uint64(0)
	for _, rule := range everything {
		total += injected[rule]
	}
	t.Logf("%d messages in %d talks, %d faults", messages, talks, total)
	if total < 20 {
		t.Errorf("%d faults: nothing was tried", total)
	}
}

// talk lets two pairs of users talk until everybody has everything, checks it, and returns how many
// messages that were.
func talk(t *testing.T, d *target, faults *cloudtest.Faults, seed uint64) (messages int) {
	t.Helper()
	each := times(30, 30, 8)
	d.run = newRun()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	type pair struct {
		alice, bob *user
		devices    []*device
		programs   []*program
	}
	var pairs []*pair
	for _, names := range [][2]string{{"alice", "bob"}, {"carol", "dave"}} {
		a, b := d.user(t, names[0]), d.user(t, names[1])
		pairs = append(pairs, &pair{alice: a, bob: b, devices: []*device{a.device("phone", b, each, 4*each), b.device("phone", a, each, 4*each)}})
	}
	faults.Set(seed, everything...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what has failed:\n%s", faults.Script())
		}
	})
	var all errgroup.Group
	for _, p := range pairs {
		p.programs = []*program{
			p.alice.program(t, "laptop"), p.bob.program(t, "laptop", func(c *client.Config) { c.Window = client.MaxInFlight }),
		}
		for _, device := range p.devices {
			all.Go(func() error { return device.run(ctx) })
		}
		all.Go(func() error { return p.programs[0].sendAll(ctx, p.bob, each) })
		all.Go(func() error { return p.programs[1].sendAll(ctx, p.alice, each) })
	}
	err := all.Wait()
	faults.Clear()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		checkDevices(t, p.devices...)
		for _, program := range p.programs {
			// As it does by itself after some silence: what it missed, it learns of now.
			if err := program.Ping(ctx); err != nil {
				t.Fatalf("ping of %s/%s: %v", program.user.name, program.Device(), err)
			}
		}
		log := p.bob.connect(t, "witness-2").log(p.alice.with(p.bob), 0)
		checkPrograms(t, log, p.programs...)
		messages += len(log)
		for _, program := range p.programs {
			if err := program.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	return messages
}
