package gateway

import "time"

// openTime sums for how long connections are open, those that still are included, without looking at
// each: open ones have been open for open × now less the sum of when they were opened.
type openTime struct {
	open   int64
	opened time.Duration // the sum of the instants at which open ones were opened; may overflow, differences do not
	ended  float64       // seconds of those that have ended
}

func (t *openTime) add(at time.Duration) {
	t.open++
	t.opened += at
}

func (t *openTime) end(at, now time.Duration) {
	t.open--
	t.opened -= at
	t.ended += (now - at).Seconds()
}

func (t *openTime) seconds(now time.Duration) float64 {
	return t.ended + (time.Duration(t.open)*now - t.opened).Seconds()
}

// connectionSeconds is what AWS bills as connection minutes, in seconds and not rounded: AWS does not
// say whether it rounds each connection, so whoever makes a bill of it decides.
func (g *Gateway) connectionSeconds() float64 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.opened.seconds(g.elapsed())
}
