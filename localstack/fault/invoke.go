package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/duet-chat/duet/localstack/caller"
	"github.com/duet-chat/duet/localstack/lambda"
)

// Errors of invocations, as rules name them. The first two are Lambda's refusals to run a function,
// the others are results: of an environment that crashed, and of one that took too long.
// Source: Lambda API reference, "Invoke", errors; Lambda developer guide, "Troubleshoot invocation".
const (
	tooManyRequests  = "TooManyRequestsException"
	serviceException = "ServiceException"
	exitError        = "Runtime.ExitError"
	timedOut         = "Sandbox.Timedout"
)

var invokeErrors = []string{exitError, timedOut, serviceException, tooManyRequests}

var errService = errors.New("ServiceException: the Lambda service encountered an internal error")

// Invoker stands before what runs functions.
func (in *Injector) Invoker(next lambda.Invoker) lambda.Invoker {
	return &invokeFaults{in, invocations, tracked{in, next}}
}

// Batches stands between event source mappings and an Invoker.
func (in *Injector) Batches(next lambda.Invoker) lambda.Invoker {
	return &invokeFaults{in, batches, next}
}

type invokeFaults struct {
	injector *Injector
	point    string
	next     lambda.Invoker
}

// Invoke implements lambda.Invoker.
func (i *invokeFaults) Invoke(ctx context.Context, function string, payload []byte) (lambda.Result, error) {
	r := i.injector.run.Load()
	if r == nil {
		return i.next.Invoke(ctx, function, payload)
	}
	f := r.decide(event{point: i.point, operation: function})
	if f == nil {
		return i.next.Invoke(ctx, function, payload)
	}
	if !r.wait(ctx, f.delay) {
		return lambda.Result{}, fmt.Errorf("invoke %s: %w", function, ctx.Err())
	}
	if f.act == fail {
		return failure(function, f.name)
	}
	result, err := i.next.Invoke(ctx, function, payload)
	if f.act == repeat {
		if f.name == half {
			payload = secondHalf(payload)
		}
		result, err = i.next.Invoke(ctx, function, payload)
	}
	if !r.wait(ctx, f.hold) {
		return lambda.Result{}, fmt.Errorf("invoke %s: %w", function, ctx.Err())
	}
	switch {
	case f.act != lose:
		return result, err
	case f.name == "":
		return failure(function, exitError)
	}
	return failure(function, f.name)
}

// failure is what an invoker is told.
func failure(function, name string) (lambda.Result, error) {
	switch name {
	case tooManyRequests:
		return lambda.Result{}, fmt.Errorf("invoke %s: %w", function, lambda.ErrThrottled)
	case serviceException:
		return lambda.Result{}, fmt.Errorf("invoke %s: %w", function, errService)
	case timedOut:
		return lambda.Failed(timedOut, "Task timed out (an injected fault)"), nil
	}
	return lambda.Failed(exitError, "Error: Runtime exited with error: signal: killed (an injected fault)"), nil
}

// secondHalf is the later half of a batch, at least one record.
func secondHalf(payload []byte) []byte {
	var batch struct{ Records []json.RawMessage }
	if err := json.Unmarshal(payload, &batch); err != nil || len(batch.Records) < 2 {
		return payload
	}
	batch.Records = batch.Records[len(batch.Records)/2:]
	cut, err := json.Marshal(batch)
	if err != nil { // raw JSON that was just read: cannot fail
		return payload
	}
	return cut
}

// tracked gives invocations ids, so that the calls that functions make are known to be theirs: by
// them a function can be killed in the midst of what it does.
type tracked struct {
	injector *Injector
	next     lambda.Invoker
}

// invocation is a run of a function.
type invocation struct {
	end  context.CancelCauseFunc
	dead atomic.Bool // nothing that it still tries has an effect
	// calls under way: what is left of them when it returns was not awaited.
	calls  atomic.Int64
	remote atomic.Bool // calls come over the network
}

// hangUp is how long it may take until a call over the network is known to be given up.
const hangUp = 250 * time.Millisecond

// Invoke implements lambda.Invoker.
func (t tracked) Invoke(ctx context.Context, function string, payload []byte) (lambda.Result, error) {
	r := t.injector.run.Load()
	if r == nil {
		return t.next.Invoke(ctx, function, payload)
	}
	running := &t.injector.running
	id := fmt.Sprintf("%s%08x%016x", t.injector.mark, rand.Uint32(), rand.Uint64())
	ctx, end := context.WithCancelCause(caller.WithInvocation(ctx, id))
	defer end(nil)
	i := &invocation{end: end}
	running.Store(id, i)
	result, err := t.next.Invoke(ctx, function, payload)
	switch {
	case i.dead.Load():
		return failure(function, exitError) // whatever it returned on its way to its end
	case err != nil, result.ErrorType == timedOut:
		// It may go on without its caller, or is on its way to its end. Nobody knows when that is.
	default:
		running.Delete(id)
		if i.remote.Load() && i.calls.Load() > 0 {
			time.AfterFunc(hangUp, func() { r.left(i, function) })
		} else {
			r.left(i, function)
		}
	}
	return result, err
}

// call is who makes a request to a service.
type call struct {
	function   string
	invocation *invocation // nil if it is not known, or is no function's
}

// left counts the calls that an invocation has left under way.
func (r *run) left(i *invocation, function string) {
	for range i.calls.Load() {
		r.stray(function)
	}
}

// stray counts a call that its function does not wait for. On AWS the function is frozen when it
// returns: such a call goes on at some later invocation, or never.
func (r *run) stray(function string) {
	r.strays.Add(1)
	r.log.Warn("a function has returned without waiting for a call", "function", function)
}

// call finds out who calls, and counts it until done. It is not ok when a request must have no
// effect: of a function that was killed, or of one that has returned.
func (in *Injector) call(ctx context.Context, r *run) (c call, ok bool) {
	c.function = callerOf(ctx)
	id := caller.Invocation(ctx)
	if !strings.HasPrefix(id, in.mark) {
		return c, true // it began before there were rules
	}
	known, running := in.running.Load(id)
	if !running {
		r.stray(c.function)
		return c, false
	}
	c.invocation = known.(*invocation)
	c.invocation.calls.Add(1)
	if ctx.Value(http.ServerContextKey) != nil {
		c.invocation.remote.Store(true)
	}
	return c, !c.invocation.dead.Load()
}

func (c call) done() {
	if c.invocation != nil {
		c.invocation.calls.Add(-1)
	}
}

// kill ends the function that calls. The owner cannot be killed: its request gets no answer, that is all.
func (c call) kill() {
	if c.invocation != nil {
		c.invocation.dead.Store(true)
		c.invocation.end(lambda.ErrKilled)
	}
}
