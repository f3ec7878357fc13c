package gateway

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
)

// Reasons as they stand in $disconnect events of AWS.
const (
	reasonGoingAway = "Going away"
	reasonDeleted   = "Connection Closed Normally"
	reasonNoStatus  = "Client-side close frame status not set"
)

// conn is one accepted connection. One goroutine reads; writers and invocations
// come and go.
type conn struct {
	gateway       *Gateway
	session       *session
	socket        net.Conn
	frames        *frameReader
	started       time.Duration // since the gateway's epoch, like the next two
	lastMessage   atomic.Int64  // a time.Duration: the last message either way
	writeDeadline time.Duration // the writer's own

	mu        sync.Mutex // guards what follows; never held while waiting for the network, but for the 101
	closed    bool       // no more frames may be queued
	told      bool       // a close frame was queued
	writing   bool       // a writer is at work, or about to be
	out       *[]byte    // frames to write, nil when there are none
	inFlight  int        // bytes the writer is writing
	room      *sync.Cond // signalled at the writer's progress; made when first waited on
	firstCall *call      // messages whose goroutines have not run yet
	lastCall  *call
}

// closing is why and how a connection ends.
type closing struct {
	code   ws.StatusCode // in the $disconnect event
	reason string        // in the $disconnect event
	// frame is the payload of the close frame that the client is sent; nil sends none.
	frame []byte
}

// closeWith ends a connection from the gateway's side.
func closeWith(code ws.StatusCode, reason string) closing {
	return closing{code: code, reason: reason, frame: ws.NewCloseFrameBody(code, reason)}
}

// violation ends a connection for what its client did.
func violation(code ws.StatusCode, reason string) *closing {
	end := closeWith(code, reason)
	return &end
}

// closedByClient answers a close frame: with the same code when it is a proper one.
func closedByClient(payload []byte) closing {
	if len(payload) == 0 {
		return closing{code: ws.StatusNoStatusRcvd, reason: reasonNoStatus, frame: []byte{}}
	}
	code, reason := ws.ParseCloseFrameData(payload)
	if err := ws.CheckCloseFrameData(code, reason); err != nil {
		return closeWith(ws.StatusProtocolError, err.Error())
	}
	return closing{code: code, reason: reason, frame: payload[:2]}
}

// elapsed is the monotonic time since the gateway was made.
func (g *Gateway) elapsed() time.Duration { return time.Since(g.epoch) }

// touch notes a message, which keeps the connection from being idle.
func (c *conn) touch() { c.lastMessage.Store(int64(c.gateway.elapsed())) }

// lastActiveAt is the time of the last message on the clock of events.
func (c *conn) lastActiveAt() time.Time {
	since := time.Duration(c.lastMessage.Load()) - c.started
	return time.UnixMilli(c.session.connectedAt).Add(since)
}

// read runs until the connection ends, then closes the socket.
func (c *conn) read() {
	defer c.gateway.running.Done()
	end := c.readFrames()
	c.shut(*end)
	c.frames.close()
	c.linger()
}

func (c *conn) readFrames() *closing {
	for {
		c.awaitRoom()
		op, payload, end := c.frames.next()
		if end != nil {
			return end
		}
		switch op {
		case ws.OpText:
			c.touch()
			c.message(payload)
		case ws.OpPing:
			c.pong(payload)
		case ws.OpClose:
			closed := closedByClient(payload)
			return &closed
		}
	}
}

// pong answers a ping. AWS does not say that pings keep a connection from being
// idle, so they do not.
func (c *conn) pong(payload []byte) {
	c.mu.Lock()
	start := !c.closed && c.enqueue(ws.OpPong, payload)
	c.mu.Unlock()
	if start {
		go c.flush()
	}
}

// errShut ends a read on a connection that the gateway closes.
var errShut = errors.New("connection is being closed")

// patientReader reads the socket. Its deadline is when the connection would be
// idle for too long or too old; only when that comes does it look at what
// happened meanwhile, so that messages move no timers.
type patientReader struct{ *conn }

func (r patientReader) Read(p []byte) (int, error) {
	for {
		n, err := r.socket.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if !r.renew() {
			r.shut(closeWith(ws.StatusGoingAway, reasonGoingAway))
			return 0, errShut
		}
	}
}

// renew sets the read deadline to when the connection must end unless a message
// comes; false means that this is now, or that it is being closed.
func (c *conn) renew() bool {
	limits := &c.gateway.limits
	c.mu.Lock()
	defer c.mu.Unlock()
	idleEnd := time.Duration(c.lastMessage.Load()) + limits.Idle
	left := min(idleEnd, c.started+limits.Duration) - c.gateway.elapsed()
	if c.closed || left <= 0 {
		return false
	}
	_ = c.socket.SetReadDeadline(time.Now().Add(left)) // a closed socket says so at the next read
	return true
}

// shut ends the connection for everybody but its client: from here on it is
// gone, its $disconnect is on its way, and its close frame, if any, is queued
// behind what waits already. Only the first call counts.
func (c *conn) shut(end closing) {
	g := c.gateway
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	start := false
	if end.frame != nil {
		c.told = true
		start = c.enqueue(ws.OpClose, end.frame)
	}
	c.closed = true
	g.running.Add(1) // the reader is running: it ends by calling shut
	if c.room != nil {
		c.room.Broadcast()
	}
	_ = c.socket.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
	c.mu.Unlock()

	g.forget(c)
	go g.disconnected(c.session, end)
	if start {
		go c.flush()
	}
}

// linger lets the client take in the close frame: a socket that is closed while
// bytes of the client wait in it is reset, and the frame lost with it.
func (c *conn) linger() {
	defer c.drop()
	c.mu.Lock()
	told := c.told
	c.mu.Unlock()
	if !told {
		return
	}
	end := time.Now().Add(c.gateway.limits.CloseTimeout)
	if c.socket.SetReadDeadline(end) != nil {
		return
	}
	scratch := getBuffer(0)
	defer putBuffer(scratch)
	for {
		if _, err := c.socket.Read((*scratch)[:cap(*scratch)]); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		} else if err != nil {
			break
		}
	}
	// The client hung up its side, perhaps before our frame was written.
	_ = c.socket.SetWriteDeadline(end)
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.writing {
		c.waitForWriter()
	}
}

// accept makes the connection exist, unless the gateway is shut down.
func (g *Gateway) accept(c *conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.connections[c.session.id] = c
	g.opened.add(c.started)
	g.meters.connects.Add(1)
	g.meters.connections.Add(1)
	return true
}

// forget makes the connection gone.
func (g *Gateway) forget(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.connections, c.session.id)
	g.opened.end(c.started, g.elapsed())
	g.meters.disconnects.Add(1)
	g.meters.connections.Add(-1)
}

// disconnected runs $disconnect. Messages of the connection may still run beside
// it, as on AWS. When many connections end at once it waits for its turn instead
// of being throttled.
func (g *Gateway) disconnected(s *session, end closing) {
	defer g.running.Done()
	route := g.lifecycle(disconnectRoute)
	if route == nil {
		return
	}
	if !g.faults.Disconnect(g.functions, s.user) {
		return
	}
	select {
	case g.slots <- struct{}{}:
		defer g.release()
	case <-g.functions.Done():
		return
	}
	requestID := g.newID()
	event := s.disconnectEvent(requestID, g.now(), int(end.code), end.reason)
	ctx, cancel := context.WithTimeout(g.functions, route.Timeout)
	defer cancel()
	result, err := g.invoke(ctx, route.Function, route.Denied, event)
	log := g.log.With("route", disconnectRoute, "function", route.Function, "connection", s.id, "request", requestID)
	switch {
	case err != nil:
		log.Warn("function could not be run", "error", err)
	case result.FunctionError != "":
		log.Warn("function failed", "errorType", result.ErrorType)
	default:
		log.Debug("disconnected", "code", int(end.code))
	}
}
