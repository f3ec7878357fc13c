package meter

import (
	"strings"
	"sync/atomic"
	"time"
)

// series remembers what was counted in each of the last seconds in which anything was: the first Add
// after a sample starts a timer to the end of the second, which takes the next one. So whoever counts
// pays one atomic load, and while nobody counts nothing runs.
type series struct {
	meter *Meter
	size  int
	armed atomic.Bool

	// Guarded by meter.mu.
	columns map[column]int
	last    []float64 // value of each column at the last sample
	ring    []second  // the oldest one at next, once it is full
	next    int
}

// column is what the counters of a service's metric come to, over all resources. Of a metric like
// requests.PutItem it is what stands before the dot.
type column struct{ service, metric string }

// second is one sample: what was added to each column since the one before.
type second struct {
	at    time.Time
	added []float64
}

// Sample is what was counted in the second that ended at an instant, or since the sample before if
// that is less long ago: service → metric → units, without zeros.
type Sample struct {
	AtMS  int64                         `json:"at_ms"` // Unix milliseconds
	Added map[string]map[string]float64 `json:"added"`
}

// changed sees to it that there will be a sample.
func (s *series) changed() {
	if s.armed.Load() || !s.armed.CompareAndSwap(false, true) {
		return
	}
	now := time.Now()
	time.AfterFunc(now.Truncate(time.Second).Add(time.Second).Sub(now), s.sample)
}

// sample takes a sample. Whatever is added from here on is in this one or asks for the next one.
func (s *series) sample() {
	s.armed.Store(false)
	s.meter.mu.Lock()
	defer s.meter.mu.Unlock()
	now := make([]float64, len(s.last), len(s.last)+8)
	for k, c := range s.meter.counters {
		if c.kind != sum {
			continue
		}
		metric, _, _ := strings.Cut(k.metric, ".")
		i, ok := s.columns[column{k.service, metric}]
		if !ok {
			i = len(now)
			s.columns[column{k.service, metric}] = i
			now, s.last = append(now, 0), append(s.last, 0)
		}
		now[i] += c.Value()
	}
	added := make([]float64, len(now))
	nothing := true
	for i := range now {
		added[i] = now[i] - s.last[i]
		nothing = nothing && added[i] == 0
	}
	s.last = now
	if nothing {
		return // what was added came in just before the sample that it was too late for
	}
	one := second{time.Now().Truncate(time.Second), added}
	if len(s.ring) < s.size {
		s.ring = append(s.ring, one)
		return
	}
	s.ring[s.next] = one
	s.next = (s.next + 1) % s.size
}

// Series is what was counted in the seconds after an instant, the oldest first; seconds without
// anything are left out. A Meter without series has none.
func (m *Meter) Series(after time.Time) []Sample {
	samples := []Sample{}
	s := m.series
	if s == nil {
		return samples
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range s.ring {
		one := s.ring[(s.next+i)%len(s.ring)]
		if !one.at.After(after) {
			continue
		}
		sample := Sample{one.at.UnixMilli(), map[string]map[string]float64{}}
		for c, i := range s.columns {
			if i >= len(one.added) || one.added[i] == 0 {
				continue
			}
			if sample.Added[c.service] == nil {
				sample.Added[c.service] = map[string]float64{}
			}
			sample.Added[c.service][c.metric] = one.added[i]
		}
		samples = append(samples, sample)
	}
	return samples
}
