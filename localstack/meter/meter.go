// Package meter counts what the local cloud does in the units that AWS bills:
// requests, read and write units, invocations, gateway messages. Counters are
// only ever added to on the hot path; reading them is the rare case.
package meter

import (
	"sync"
	"sync/atomic"
	"time"
)

// Meter holds the counters of one local cloud. The zero value is not usable; see New.
type Meter struct {
	series *series // nil keeps none

	mu       sync.Mutex // guards what follows, and what the counters have beside their number
	counters map[key]*Counter
	funcs    map[key]function
	since    time.Time
}

type key struct{ service, resource, metric string }

// function is a metric whose value is asked for, and what it was at the last Reset.
type function struct {
	value func() float64
	base  float64
}

// kind says what a Reset does to a counter.
type kind int

const (
	sum   kind = iota // it begins anew
	gauge             // it stays: it tells how things are
	peak              // it begins anew
)

// Counter is one number that only its owner changes. It is safe for concurrent use.
// A nil Counter counts nothing, so metering is optional for whoever holds one.
type Counter struct {
	halves atomic.Int64
	series *series // nil keeps none
	kind   kind
	unit   float64 // what one unit added is shown as
	base   int64   // of a sum, at the last Reset; guarded by Meter.mu
}

// New makes an empty meter.
func New() *Meter {
	return &Meter{counters: map[key]*Counter{}, funcs: map[key]function{}, since: time.Now()}
}

// NewWithSeries makes an empty meter that also remembers what was counted in each of the last
// seconds in which anything was, up to so many of them.
//
// It costs an atomic load (about 1 ns) for what is added, a timer and a reading of all counters a
// second while they change, and nothing at all while they do not.
func NewWithSeries(seconds int) *Meter {
	m := New()
	m.series = &series{meter: m, size: seconds, columns: map[column]int{}}
	return m
}

// Counter returns the counter of a metric of a resource, making it when it is new:
// get it once and keep it. On a nil Meter it returns nil.
func (m *Meter) Counter(service, resource, metric string) *Counter {
	return m.counter(key{service, resource, metric}, sum, 1)
}

// Scaled is a Counter that is shown in another unit than it is added to: one added is unit shown.
func (m *Meter) Scaled(service, resource, metric string, unit float64) *Counter {
	return m.counter(key{service, resource, metric}, sum, unit)
}

// Gauge is a Counter that tells how things are, and goes down too. Reset leaves it alone.
func (m *Meter) Gauge(service, resource, metric string) *Counter {
	return m.counter(key{service, resource, metric}, gauge, 1)
}

// Peak is a Counter for Raise.
func (m *Meter) Peak(service, resource, metric string) *Counter {
	return m.counter(key{service, resource, metric}, peak, 1)
}

func (m *Meter) counter(k key, kind kind, unit float64) *Counter {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.counters[k]
	if c == nil {
		c = &Counter{series: m.series, kind: kind, unit: unit}
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
	m.funcs[key{service, resource, metric}] = function{value: f}
}

// Add adds n whole units, which may be negative for a Gauge.
func (c *Counter) Add(n int64) { c.AddHalf(2 * n) }

// AddHalf adds n half units: an eventually consistent read of 4 KB is half a read unit.
func (c *Counter) AddHalf(n int64) {
	if c == nil || n == 0 {
		return
	}
	c.halves.Add(n)
	if c.series != nil {
		c.series.changed()
	}
}

// Raise lifts a Peak to n, if it is lower.
func (c *Counter) Raise(n int64) {
	if c == nil {
		return
	}
	for now := c.halves.Load(); now < 2*n && !c.halves.CompareAndSwap(now, 2*n); {
		now = c.halves.Load()
	}
}

// Value is the number of units counted since the Meter was made, whatever was reset.
func (c *Counter) Value() float64 {
	if c == nil {
		return 0
	}
	return c.show(c.halves.Load())
}

func (c *Counter) show(halves int64) float64 { return float64(halves) / 2 * c.unit }

// Usage is a reading of all counters and funcs: service → resource → metric → units.
type Usage map[string]map[string]map[string]float64

// Usage reads what was counted since the last Reset. Counters that go on meanwhile may be read at
// different instants.
func (m *Meter) Usage() Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := Usage{}
	for k, c := range m.counters {
		u.set(k, c.show(c.halves.Load()-c.base))
	}
	for k, f := range m.funcs {
		u.set(k, f.value()-f.base)
	}
	return u
}

// Since is when Usage began: at the last Reset, or when the Meter was made.
func (m *Meter) Since() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.since
}

// Reset is Usage, after which all but gauges begin anew. What is counted at the same time is in this
// Usage or in the next one.
func (m *Meter) Reset() Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := Usage{}
	for k, c := range m.counters {
		var halves int64
		switch c.kind {
		case gauge:
			halves = c.halves.Load()
		case peak:
			halves = c.halves.Swap(0)
		default:
			now := c.halves.Load()
			halves, c.base = now-c.base, now
		}
		u.set(k, c.show(halves))
	}
	for k, f := range m.funcs {
		now := f.value()
		u.set(k, now-f.base)
		m.funcs[k] = function{f.value, now}
	}
	m.since = time.Now()
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
