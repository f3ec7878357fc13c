package fault

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Injected is a fault that happened.
type Injected struct {
	// AfterMS is when, since the rules were set.
	AfterMS int64 `json:"after_ms"`
	// Where it happened, as in a rule.
	Where string `json:"where"`
	// Occurrence is which event of this point it was, from 1.
	Occurrence uint64 `json:"occurrence"`
	// What happened, as in a rule.
	What string `json:"what"`
}

// maxRecord is how many faults are kept, the newest: some megabytes.
const maxRecord = 20_000

// record keeps the newest faults.
type record struct {
	mu      sync.Mutex // guards what follows
	faults  []Injected // a ring once it is full
	next    int        // where the ring goes on
	dropped uint64
}

func (r *record) add(i Injected) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.faults) < maxRecord {
		r.faults = append(r.faults, i)
		return
	}
	r.faults[r.next] = i
	r.next = (r.next + 1) % maxRecord
	r.dropped++
}

// all lists the faults, oldest first.
func (r *record) all() (faults []Injected, dropped uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(slices.Clone(r.faults[r.next:]), r.faults[:r.next]...), r.dropped
}

// note records a fault.
func (r *run) note(where string, occurrence uint64, what string) {
	after := time.Since(r.started)
	r.log.Info("fault injected", "where", where, "occurrence", occurrence, "what", what)
	r.injected.add(Injected{AfterMS: after.Milliseconds(), Where: where, Occurrence: occurrence, What: what})
}

// script writes rules that repeat exactly the recorded faults, as a file for --faults. Cuts at an
// instant come again at their time. What happens has the same fate again as long as each point
// sees its events in the same order.
func script(seed uint64, faults []Injected) string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed: %d\nrules:\n", seed)
	type kind struct{ where, what string }
	var order []kind
	nth := map[kind][]string{}
	for _, f := range faults {
		if f.Where == now || strings.HasPrefix(f.Where, now+" ") {
			fmt.Fprintf(&b, "  - %s from=%dms %s\n", f.Where, f.AfterMS, f.What)
			continue
		}
		k := kind{f.Where, f.What}
		if nth[k] == nil {
			order = append(order, k)
		}
		nth[k] = append(nth[k], fmt.Sprint(f.Occurrence))
	}
	for _, k := range order {
		fmt.Fprintf(&b, "  - %s nth=%s %s\n", k.where, strings.Join(nth[k], ","), k.what)
	}
	return b.String()
}
