// Package fault makes the local cloud fail on demand, in every way that AWS may: throttles and
// conflicts of tables, killed and repeated functions, lost answers, connections that are gone,
// slow or cut. What fails is told by rules, one line each:
//
//	WHERE                              WHEN     WHAT
//	dynamodb/PutItem table=UsersTable  p=0.1    error=ThrottlingException
//	connections/POST user=alice        first=3  error=LimitExceededException
//	invoke/SendFunction                nth=7    lose
//
// An Injector stands between the parts of the local cloud and asks its rules at every step. Without
// rules that is one atomic load. What chance decides, a seed decides: the n-th event of a point has
// the same fate in every run with the same seed and rules, whatever happens beside it. Every
// injected fault is recorded, and the record can be had as a script that repeats exactly these.
//
// The product must never know that this exists.
package fault

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options of an Injector.
type Options struct {
	// Names are what rules may name; see Names.
	Names Names
	// Cut drops the sockets of a user's clients, everybody's for "", and returns how many.
	Cut func(user string) int
	// Backup remembers what stands in all tables, Restore brings that back, or makes them empty.
	Backup, Restore func() error
	// User is whose a connection is, "" if that is not known.
	User func(connection string) string
	Log  *slog.Logger
}

// Injector decides what fails. It is safe for concurrent use. Its methods that stand before a part
// of the local cloud cost an atomic load while there are no rules.
type Injector struct {
	options Options
	run     atomic.Pointer[run] // nil without rules
	running sync.Map            // id → *invocation; see invoke.go
	mark    string              // begins the ids of invocations

	mu   sync.Mutex // guards changing run, and last
	last *run       // the newest run, ended or not: its record stays readable
}

// New makes an Injector without rules.
func New(o Options) *Injector {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Injector{options: o, mark: fmt.Sprintf("1-%08x-", rand.Uint32())}
}

// run is the life of a plan: from when it is set to when another is, or none.
type run struct {
	seed    uint64
	log     *slog.Logger
	started time.Time
	over    chan struct{} // closed at its end: whatever waits goes on

	rules    atomic.Pointer[[]*counted]
	events   sync.Map // point and labels as in a rule → *atomic.Uint64, how often it came
	injected record
	strays   atomic.Uint64 // calls of functions that had returned; see invocation
}

// counted is a rule with what came of it in a run.
type counted struct {
	*Rule
	matched, injected atomic.Uint64
}

// Set replaces the rules, and starts counting and recording anew. A plan without rules ends all
// faults; the record of the run before stays. A seed of 0 draws one.
func (in *Injector) Set(p Plan) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if old := in.run.Swap(nil); old != nil {
		close(old.over)
	}
	if len(p.Rules) == 0 {
		return
	}
	if p.Seed == 0 {
		p.Seed = rand.Uint64()
	}
	r := &run{seed: p.Seed, log: in.options.Log, started: time.Now(), over: make(chan struct{})}
	r.rules.Store(&[]*counted{})
	in.last = r
	in.run.Store(r)
	in.options.Log.Info("faults are injected", "seed", p.Seed, "rules", len(p.Rules))
	in.begin(r, p.Rules, 0)
}

// Add adds rules to those that are there; without any it is Set. Their times count from now. What is to
// happen at once has happened when it returns.
func (in *Injector) Add(p Plan) {
	in.mu.Lock()
	r := in.run.Load()
	if r == nil {
		in.mu.Unlock()
		in.Set(p)
		return
	}
	defer in.mu.Unlock()
	in.begin(r, p.Rules, time.Since(r.started))
}

// Clear ends all faults, and what waits because of them.
func (in *Injector) Clear() { in.Set(Plan{}) }

// begin puts rules to work that are set some time after the run's start; in.mu is held. Rules of the
// point now happen when their time comes, and are over then.
func (in *Injector) begin(r *run, rules []*Rule, after time.Duration) {
	all := slices.Clone(*r.rules.Load())
	for _, set := range rules {
		rule := *set
		rule.from += after
		if rule.until > 0 {
			rule.until += after
		}
		c := &counted{Rule: &rule}
		all = append(all, c)
		switch {
		case rule.point != now:
			continue
		case set.from == 0:
			in.happen(r, c)
			continue
		}
		go func() {
			select {
			case <-time.After(rule.from - time.Since(r.started)):
				in.happen(r, c)
			case <-r.over:
			}
		}()
	}
	r.rules.Store(&all)
}

// happen does what is to happen at an instant.
func (in *Injector) happen(r *run, c *counted) {
	occurrence := r.count(c.where())
	c.matched.Add(1)
	c.injected.Add(1)
	r.note(c.where(), occurrence, string(c.act))
	var err error
	switch {
	case c.act == cut && in.options.Cut != nil:
		in.options.Cut(c.user)
	case c.act == backup && in.options.Backup != nil:
		err = in.options.Backup()
	case c.act == restore && in.options.Restore != nil:
		err = in.options.Restore()
	}
	if err != nil {
		r.log.Error("a fault could not be injected", "rule", c.text, "error", err)
	}
}

// event is something that may fail. Where a point has tables, functions or users, they are not
// empty, so that a rule made of an event is about no other.
type event struct{ point, operation, table, function, user string }

// where is the event as the WHERE of a rule: what its occurrences are counted by.
func (e event) where() string { return where(e.point, e.operation, e.table, e.function, e.user) }

// Labels of what has none.
const (
	owner  = "owner" // makes the requests that no function makes
	nobody = "-"     // is the user of a connection that is not known
)

// fault is what happens to an event; nil is nothing.
type fault struct {
	run         *run
	act         act
	name        string // error's and lose's error, kill's side, repeat's part
	delay, hold time.Duration
}

// count counts an event in and returns its number, from 1.
func (r *run) count(where string) uint64 {
	n, ok := r.events.Load(where)
	if !ok {
		n, _ = r.events.LoadOrStore(where, new(atomic.Uint64))
	}
	return n.(*atomic.Uint64).Add(1)
}

// decide counts an event and says what happens to it: what the first rule says whose time has come.
// The others count it all the same, so that rules do not change each other's choices.
func (r *run) decide(e event) *fault {
	where := e.where()
	occurrence := r.count(where)
	var chosen *fault
	for _, c := range *r.rules.Load() {
		if !c.matches(e) || !c.during(time.Since(r.started)) {
			continue
		}
		n := c.matched.Add(1)
		if !c.due(n) {
			continue
		}
		chance := newChance(r.seed, c.text, where, occurrence)
		if c.p < 1 && chance.Float64() >= c.p || chosen != nil {
			continue
		}
		chosen = &fault{run: r, act: c.act, name: c.name, delay: c.delay.draw(chance), hold: c.hold.draw(chance)}
		c.injected.Add(1)
		r.note(where, occurrence, chosen.String())
	}
	return chosen
}

// newChance is the randomness of one event under one rule. It depends on nothing that other events
// do, so that goroutines cannot change what is drawn by being faster or slower.
func newChance(seed uint64, rule, where string, occurrence uint64) *rand.Rand {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[0:], seed)
	binary.LittleEndian.PutUint64(key[8:], hash(rule))
	binary.LittleEndian.PutUint64(key[16:], hash(where))
	binary.LittleEndian.PutUint64(key[24:], occurrence)
	return rand.New(rand.NewChaCha8(key))
}

func hash(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // never fails
	return h.Sum64()
}

// wait waits for a delay: at most until ctx or the run ends. It reports whether ctx goes on.
func (r *run) wait(ctx context.Context, d time.Duration) bool {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.over:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}
