// Package meter counts what the local cloud does in the units that AWS bills:
// requests, read and write units, invocations, gateway messages. Counters are
// only ever added to on the hot path; reading them is the rare case.
package meter

import (
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
)

// Meter holds the counters of one local cloud. The zero value is not usable; see New.
type Meter struct {
	mu       sync.Mutex // guards counters and funcs
	counters map[key]*Counter
	funcs    map[key]func() float64
}

type key struct{ service, resource, metric string }

// Counter is one number that only its owner adds to. It is safe for concurrent use.
// A nil Counter counts nothing, so metering is optional for whoever holds one.
type Counter struct{ halves atomic.Int64 }

// New makes an empty meter.
func New() *Meter { return &Meter{counters: map[key]*Counter{}, funcs: map[key]func() float64{}} }

// Counter returns the counter of a metric of a resource, making it when it is new:
// get it once and keep it. On a nil Meter it returns nil.
func (m *Meter) Counter(service, resource, metric string) *Counter {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k := key{service, resource, metric}
	c := m.counters[k]
	if c == nil {
		c = &Counter{}
		m.counters[k] = c
	}
	return c
}

// Func makes f tell the value of a metric whenever usage is read, for what changes by itself as time
// does. f must not use the Meter. A nil Meter never asks.
func (m *Meter) Func(service, resource, metric string, f func() float64) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.funcs[key{service, resource, metric}] = f
}

// Add adds n whole units; a gauge is a counter to which negative numbers are added too.
func (c *Counter) Add(n int64) { c.AddHalf(2 * n) }

// AddHalf adds n half units: an eventually consistent read of 4 KB is half a read unit.
func (c *Counter) AddHalf(n int64) {
	if c != nil {
		c.halves.Add(n)
	}
}

// Value is the number of units counted so far.
func (c *Counter) Value() float64 {
	if c == nil {
		return 0
	}
	return float64(c.halves.Load()) / 2
}

// Usage is a reading of all counters and funcs: service → resource → metric → units.
type Usage map[string]map[string]map[string]float64

// Usage reads all counters. Counters that go on meanwhile may be read at different instants.
func (m *Meter) Usage() Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := Usage{}
	for k, c := range m.counters {
		u.set(k, c.Value())
	}
	for k, f := range m.funcs {
		u.set(k, f())
	}
	return u
}

func (u Usage) set(k key, value float64) {
	if u[k.service] == nil {
		u[k.service] = map[string]map[string]float64{}
	}
	if u[k.service][k.resource] == nil {
		u[k.service][k.resource] = map[string]float64{}
	}
	u[k.service][k.resource][k.metric] = value
}

// ServeHTTP answers the usage so far as JSON.
func (m *Meter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	// An error here means that the reader went away.
	_ = enc.Encode(m.Usage())
}
