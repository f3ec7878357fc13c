package fault

import "context"

// Reply says whether a route's answer reaches its client; it may take its time. It is one of the
// methods by which an API asks what is lost between it and its clients.
func (in *Injector) Reply(ctx context.Context, route, user string) bool {
	return in.passes(ctx, event{point: replies, operation: route, user: user})
}

// Disconnect says whether a $disconnect event reaches its function; it may take its time.
func (in *Injector) Disconnect(ctx context.Context, user string) bool {
	return in.passes(ctx, event{point: disconnects, user: user})
}

// Write says whether a write reaches a client, or its socket is to be cut instead; it may take its
// time, as a client does that does not read.
func (in *Injector) Write(ctx context.Context, user string) bool {
	return in.passes(ctx, event{point: sockets, user: user})
}

func (in *Injector) passes(ctx context.Context, e event) bool {
	r := in.run.Load()
	if r == nil {
		return true
	}
	if e.user == "" {
		e.user = nobody
	}
	f := r.decide(e)
	if f == nil {
		return true
	}
	r.wait(ctx, f.delay)
	return f.act != drop && f.act != cut
}
