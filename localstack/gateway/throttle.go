package gateway

import (
	"time"

	"golang.org/x/time/rate"
)

// Token buckets, as in "Protect your WebSocket APIs in API Gateway": a route's own, and the
// account's, which messages, handshakes and calls of @connections share. The narrower one is asked
// first, and what it refuses costs the wider one nothing. On AWS all of this is best effort; here it
// is exact.

// Throttle is a route's ThrottlingRateLimit and ThrottlingBurstLimit. What is nil is the account's;
// zero lets nothing through.
type Throttle struct {
	// Rate is how many requests a second the route takes on average.
	Rate *float64
	// Burst is how many it takes at once: the size of its bucket.
	Burst *int
}

// bucket is the route's own; nil if only the account's holds.
func (l *Limits) bucket(t Throttle) *rate.Limiter {
	if l.NoThrottling || t.Rate == nil && t.Burst == nil {
		return nil
	}
	perSecond, burst := float64(l.Requests), l.RequestBurst
	if t.Rate != nil {
		perSecond = *t.Rate
	}
	if t.Burst != nil {
		burst = *t.Burst
	}
	return newBucket(perSecond, burst)
}

// newBucket is full at first.
func newBucket(perSecond float64, burst int) *rate.Limiter {
	if perSecond <= 0 {
		burst = 0 // or the burst would be let through once
	}
	return rate.NewLimiter(rate.Limit(perSecond), burst)
}

// allows takes a token from each bucket until one has none; nil is without limit.
func (g *Gateway) allows(now time.Time, buckets ...*rate.Limiter) bool {
	for _, b := range buckets {
		if b != nil && !b.AllowN(now, 1) {
			g.meters.throttled.Add(1)
			return false
		}
	}
	return true
}
