package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/duet-chat/duet/localstack/lambda"
)

// Texts of the frames and bodies that API Gateway makes itself.
const (
	textForbidden = "Forbidden"
	textInternal  = "Internal server error"
	textTimeout   = "Endpoint request timed out"
	textThrottled = "Too Many Requests" // AWS's frame is not documented; this is the text of its HTTP answer
)

// call is one message on its way to its function.
type call struct {
	next      *call
	key       string
	route     *route
	requestID string
	event     []byte
}

// admit takes one of the slots for running invocations, as Lambda's concurrency
// quota does; false means that Lambda refuses the invocation. The slot is given
// back by release.
func (g *Gateway) admit() bool {
	select {
	case g.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (g *Gateway) release() { <-g.slots }

// message hands one text message over to its function and returns at once. It is
// called by the connection's reader only, in the order of frames.
func (c *conn) message(body []byte) {
	g := c.gateway
	requestID := g.newID()
	key, route := g.route(body)
	now := g.now()
	var own *rate.Limiter
	if route != nil {
		own = route.bucket
	}
	if !g.allows(now, own, g.requests) {
		c.errorFrame(textThrottled, requestID) // and not billed, says AWS's pricing page
		return
	}
	g.meters.messagesIn.Add(metered(len(body)))
	switch {
	case route == nil:
		c.errorFrame(textForbidden, requestID)
		return
	case !g.admit():
		c.errorFrame(textInternal, requestID)
		return
	}
	event := c.session.messageEvent(key, requestID, g.newID(), now, body)
	c.push(&call{key: key, route: route, requestID: requestID, event: event})
	g.running.Add(1) // the reader is running, so this cannot race with Shutdown's wait
	go c.runNext()
}

// push and pop keep the calls whose goroutines have not run yet. The scheduler
// starts goroutines in any order it likes, so each takes the oldest call: frames
// start in the order in which they came, though they run at the same time.
func (c *conn) push(next *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lastCall == nil {
		c.firstCall = next
	} else {
		c.lastCall.next = next
	}
	c.lastCall = next
}

func (c *conn) pop() *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.firstCall
	if c.firstCall = first.next; c.firstCall == nil {
		c.lastCall = nil
	}
	return first
}

// runNext runs the oldest waiting call to its end and sends what it gives.
func (c *conn) runNext() {
	g := c.gateway
	defer g.running.Done()
	defer g.release()
	call := c.pop()
	started := time.Now()

	ctx, cancel := context.WithTimeout(g.functions, call.route.Timeout)
	defer cancel()
	// The client hears of a timeout in time even when the function does not stop.
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			c.errorFrame(textTimeout, call.requestID)
		}
	})
	result, err := g.invoke(ctx, call.route.Function, call.route.Denied, call.event)
	outcome := "timed out or cancelled"
	if stop() {
		outcome = "answer lost"
		if g.faults.Reply(ctx, call.key, c.session.user) {
			outcome = c.reply(call, result, err)
		}
	}
	level := slog.LevelDebug
	if outcome != "ok" {
		level = slog.LevelWarn
	}
	if g.log.Enabled(ctx, level) {
		g.log.Log(ctx, level, "message", "route", call.key, "function", call.route.Function, "connection", c.session.id,
			"request", call.requestID, "outcome", outcome, "ms", time.Since(started).Milliseconds())
	}
}

// reply sends what an invocation's result shows to the client, and names the outcome.
func (c *conn) reply(call *call, result lambda.Result, err error) string {
	switch {
	case err != nil:
		c.errorFrame(textInternal, call.requestID)
		return "invoke: " + err.Error()
	case result.FunctionError != "":
		c.errorFrame(textInternal, call.requestID)
		return "function error: " + result.ErrorType
	}
	response, err := parseResponse(result.Payload)
	if err == nil && call.route.Reply && response.body != nil && len(response.body)-2 > c.gateway.limits.MessageBytes {
		err = fmt.Errorf("body of more than %d bytes", c.gateway.limits.MessageBytes)
	}
	if err != nil {
		c.errorFrame(textInternal, call.requestID)
		return "malformed response: " + err.Error()
	}
	if call.route.Reply && len(response.body) > len(`""`) {
		scratch := getBuffer(len(response.body))
		text := appendUnquoted((*scratch)[:0], response.body)
		c.send(text, c.gateway.meters.repliesOut)
		*scratch = text
		putBuffer(scratch)
	}
	return "ok"
}

// errorFrame sends a frame of the gateway's own. Its spacing is AWS's.
func (c *conn) errorFrame(message, requestID string) {
	b := make([]byte, 0, 128)
	b = append(append(b, `{"message": "`...), message...)
	b = append(append(b, `", "connectionId":"`...), c.session.id...)
	b = append(append(b, `", "requestId":"`...), requestID...)
	c.send(append(b, `"}`...), nil) // AWS does not say that it bills its own frames
}

// What invokeWithin gives when there is no result.
var (
	errIntegrationTimeout = errors.New("integration timeout")
	errTooManyAtOnce      = errors.New("too many invocations at once")
)

// invoke runs a function, unless the API may not: AWS's answer to the client is the same as where the
// function cannot be run.
func (g *Gateway) invoke(ctx context.Context, function, denied string, event []byte) (lambda.Result, error) {
	if denied != "" {
		return lambda.Result{}, errors.New(denied)
	}
	return g.invoker.Invoke(ctx, function, event)
}

// invokeWithin runs a function for a handshake and waits for it at most for the
// given time, even when the function does not stop as its context ends.
func (g *Gateway) invokeWithin(ctx context.Context, function, denied string, timeout time.Duration, event []byte) (lambda.Result, error) {
	if !g.admit() {
		return lambda.Result{}, errTooManyAtOnce
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	type outcome struct {
		result lambda.Result
		err    error
	}
	done := make(chan outcome, 1)
	g.running.Add(1) // the handshake that asks is running
	go func() {
		defer g.running.Done()
		defer g.release()
		defer cancel()
		result, err := g.invoke(ctx, function, denied, event)
		done <- outcome{result, err}
	}()
	select {
	case o := <-done:
		return o.result, o.err
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return lambda.Result{}, errIntegrationTimeout
	}
	o := <-done // the function has returned, or the gateway shuts down and cancels it
	return o.result, o.err
}
