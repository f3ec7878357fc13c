package gateway

import (
	"errors"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/duet-chat/duet/localstack/meter"
)

// Frames to a client are appended to one buffer per connection, ready to be
// written. Whoever finds no writer at work starts one; it writes all that has
// come together at once and ends when nothing is left, so an idle connection
// has neither buffer nor writer.

// buffers are reused between connections; a pool of this package, not of a
// gateway, because buffers have no owner.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 2*kilobyte); return &b }}

// keepBuffer is the largest buffer that is kept for reuse.
const keepBuffer = 256 * kilobyte

func getBuffer(size int) *[]byte {
	b := buffers.Get().(*[]byte)
	if cap(*b) < size {
		*b = make([]byte, 0, size)
	}
	return b
}

func putBuffer(b *[]byte) {
	if cap(*b) <= keepBuffer {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// queueing is what became of a post.
type queueing int

const (
	queued queueing = iota
	queueFull
	queueClosed
)

// send queues a text frame of the gateway's or a function's reply and writes it,
// unless a writer is at work already. Replies are never refused for a full
// buffer: the reader stops taking messages of such a client instead. On a closed
// connection it does nothing. The message is counted in bill, which may be nil.
func (c *conn) send(text []byte, bill *meter.Counter) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	start := c.enqueueMessage(text, bill)
	c.mu.Unlock()
	if start {
		c.flush()
	}
}

// post queues a text frame unless the buffer is full already, and returns before
// it is written.
func (c *conn) post(text []byte) queueing {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return queueClosed
	}
	if c.waiting() >= c.gateway.limits.SendBufferBytes {
		c.mu.Unlock()
		return queueFull
	}
	start := c.enqueueMessage(text, c.gateway.meters.postsOut)
	c.mu.Unlock()
	if start {
		go c.flush()
	}
	return queued
}

// enqueueMessage appends a text message; true means that the caller must flush.
// c.mu is held: no writer can take the message before it is counted, so whatever
// a client has received is on the bill already.
func (c *conn) enqueueMessage(text []byte, bill *meter.Counter) bool {
	bill.Add(metered(len(text)))
	c.touch()
	return c.enqueue(ws.OpText, text)
}

// waiting is the number of bytes that the client has not taken. c.mu is held.
func (c *conn) waiting() int {
	if c.out == nil {
		return c.inFlight
	}
	return len(*c.out) + c.inFlight
}

// enqueue appends a frame; true means that the caller must flush. c.mu is held.
func (c *conn) enqueue(op ws.OpCode, payload []byte) bool {
	if c.out == nil {
		c.out = getBuffer(0)
	}
	*c.out = append(appendHeader(*c.out, op, len(payload)), payload...)
	start := !c.writing
	c.writing = true
	return start
}

// appendHeader appends the header of an unmasked frame, the last of its message.
func appendHeader(b []byte, op ws.OpCode, length int) []byte {
	b = append(b, 0x80|byte(op))
	switch {
	case length < 126:
		return append(b, byte(length))
	case length < 1<<16:
		return append(b, 126, byte(length>>8), byte(length))
	}
	return append(b, 127, 0, 0, 0, 0, byte(length>>24), byte(length>>16), byte(length>>8), byte(length))
}

// errCut ends a connection whose socket is to be cut.
var errCut = errors.New("the socket is cut")

// flush writes until the queue is empty. A client that has not taken a write in
// when its deadline comes is dropped.
func (c *conn) flush() {
	c.mu.Lock()
	for c.out != nil {
		out := c.out
		c.out, c.inFlight = nil, len(*out)
		c.mu.Unlock()

		err := errCut
		if c.gateway.faults.Write(c.gateway.functions, c.session.user) {
			c.extendWriteDeadline()
			_, err = c.socket.Write(*out)
		}
		putBuffer(out)
		if err != nil {
			c.shut(closing{code: ws.StatusAbnormalClosure})
			c.drop()
		}

		c.mu.Lock()
		c.inFlight = 0
		if err != nil && c.out != nil {
			putBuffer(c.out)
			c.out = nil
		}
		if c.room != nil {
			c.room.Broadcast()
		}
	}
	c.writing = false
	if c.room != nil {
		c.room.Broadcast()
	}
	if c.closed {
		// The close frame was the last one: tell TCP so, too.
		if half, ok := c.socket.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite() // the reader notices a socket that is gone
		}
	}
	c.mu.Unlock()
}

// extendWriteDeadline gives the client at least half of the write timeout. Only
// the writer calls it. A deadline costs a timer, so it is not moved for each write.
func (c *conn) extendWriteDeadline() {
	limits := &c.gateway.limits
	if now := c.gateway.elapsed(); c.writeDeadline-now < limits.WriteTimeout/2 {
		c.writeDeadline = now + limits.WriteTimeout
		_ = c.socket.SetWriteDeadline(time.Now().Add(limits.WriteTimeout))
	}
}

// awaitRoom blocks the reader while its client leaves too much unread: a client
// that does not read is not read from, which bounds the replies that wait for it.
func (c *conn) awaitRoom() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed && c.waiting() >= c.gateway.limits.SendBufferBytes {
		c.waitForWriter()
	}
}

// waitForWriter waits for the writer's next progress. c.mu is held.
func (c *conn) waitForWriter() {
	if c.room == nil {
		c.room = sync.NewCond(&c.mu)
	}
	c.room.Wait()
}

// drop closes the socket without another word.
func (c *conn) drop() { _ = c.socket.Close() } // closing twice is harmless
