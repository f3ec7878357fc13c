package lambda

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// task is an invocation on its way to an environment, in it, and back.
type task struct {
	id    string
	trace string // root of its trace, "" to make one of the id
	event []byte
	start time.Time     // when an environment took it
	init  time.Duration // of the environment, if this is its first task
	done  chan outcome  // of capacity 1, so that nobody needs to wait for it
}

// outcome is a result, or why the platform has none.
type outcome struct {
	result Result
	err    error
}

// fleet is the environments of one function and the tasks that wait for one.
//
//	starting, answered ──next──► idle ──task──► busy ──response, error──► answered
//	                   └──next, with a task waiting──► busy
//
// An idle environment is frozen. One that does not become ready is followed by another, which has the
// rest of the function's time-out to do so.
//
// Each state may end in dead: by a time-out, by idleness, by the process's own end. Whichever environment is free first takes the oldest task, so a task
// that made one start may be taken by another.
type fleet struct {
	deployed
	options ProcessOptions
	account *account
	starter *starter
	log     *slog.Logger
	binary  string
	env     []string

	ended sync.WaitGroup // environments that have not ended

	mu      sync.Mutex // guards what follows and the environments' states; lock before account.mu
	closed  bool
	waiting []*task
	idle    []*environment // the last used last, so that what is not needed grows old
	all     map[*environment]struct{}
	// Environments on their way to ask for a task: starting, or answered, which is over within the
	// time-out. Tasks wait for them rather than start more.
	coming int
	// retries is how many of the next environments follow one that did not become ready.
	retries int
}

// submit hands a task to a free environment, or queues it and starts one if need be.
func (f *fleet) submit(t *task) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		f.finish(t, outcome{err: ErrClosed})
		return
	}
	if n := len(f.idle); n > 0 {
		e := f.idle[n-1]
		f.idle = f.idle[:n-1]
		e.idleTimer.Stop()
		f.assign(e, t)
		return
	}
	f.waiting = append(f.waiting, t)
	f.grow()
}

// withdraw takes a task back that no environment has taken; otherwise it runs to its end.
func (f *fleet) withdraw(t *task) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.waiting, t); i >= 0 {
		f.waiting = slices.Delete(f.waiting, i, i+1)
		f.invocations.Add(-1)
		f.account.leave(&f.deployed)
	}
}

// assign gives a task to an environment that waits for one. f.mu is held.
func (f *fleet) assign(e *environment, t *task) {
	t.start = time.Now()
	left := f.Timeout
	if e.last == nil {
		if t.init = t.start.Sub(e.began); e.retry {
			t.start, t.init, left = e.began, 0, f.Timeout-t.init
		}
	}
	e.thaw()
	e.state, e.task, e.last = busy, t, t
	e.limit = time.AfterFunc(left, func() { f.late(e, t) })
	f.log.Debug("START", "request_id", t.id)
	e.work <- t // never blocks: of capacity 1, and filled for a waiting environment only
}

// grow starts environments for the tasks that are not provided for. f.mu is held.
func (f *fleet) grow() {
	for !f.closed && len(f.waiting) > f.coming && len(f.all) < f.options.Environments {
		e := &environment{fleet: f, work: make(chan *task, 1), began: time.Now(), retry: f.retries > 0}
		if e.retry {
			f.retries--
		}
		if f.all == nil {
			f.all = map[*environment]struct{}{}
		}
		f.all[e] = struct{}{}
		f.coming++
		f.coldStarts.Add(1)
		f.ended.Add(1)
		go e.live()
	}
}

// next takes an environment's word that it is ready for a task. It is false when it was not its turn.
func (f *fleet) next(e *environment) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch e.state {
	case starting:
		stop(e.initTimer)
	case answered:
		e.limit.Stop()
	default:
		return false
	}
	f.coming--
	if len(f.waiting) > 0 {
		t := f.waiting[0]
		f.waiting = slices.Delete(f.waiting, 0, 1)
		f.assign(e, t)
		return true
	}
	e.state = idle
	e.freeze()
	f.idle = append(f.idle, e)
	e.idleTimer = time.AfterFunc(f.options.IdleAfter, func() { f.reap(e) })
	return true
}

// hangUp ends an idle environment whose connection ended while it waited for a task: it is dying,
// or has given up. It is false when a task has been assigned in the meantime.
func (f *fleet) hangUp(e *environment) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.state == busy {
		return false
	}
	f.kill(e)
	return true
}

// leaveIdle takes an environment out of the idle ones, if it is among them. f.mu is held.
func (f *fleet) leaveIdle(e *environment) {
	if i := slices.Index(f.idle, e); i >= 0 {
		f.idle = slices.Delete(f.idle, i, i+1)
		e.idleTimer.Stop()
	}
}

// answer takes the result of an environment's task. It is false when the environment has no task
// with this id.
func (f *fleet) answer(e *environment, id string, result Result) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.state != busy || e.task.id != id {
		return false
	}
	t := e.task
	e.state, e.task = answered, nil
	f.coming++
	f.report(e, t, result)
	f.finish(t, outcome{result: result})
	return true
}

// destroy kills the environment that runs a task, if one does.
func (f *fleet) destroy(t *task) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for e := range f.all {
		if e.task == t {
			e.task = nil
			f.kill(e)
			f.finish(t, outcome{result: killed(t.id)})
			return true
		}
	}
	return false
}

// late ends the environment that was given a task and has not asked for the next one in time.
func (f *fleet) late(e *environment, t *task) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case e.task == t:
		e.task = nil
		f.report(e, t, timedOut(f.Timeout))
		f.kill(e)
		f.finish(t, outcome{result: timedOut(f.Timeout)})
	case e.state == answered && e.last == t:
		f.kill(e)
	}
}

// reap ends an environment that has been idle.
func (f *fleet) reap(e *environment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.state == idle {
		f.kill(e)
	}
}

// initLate ends an environment that has not become ready in time.
func (f *fleet) initLate(e *environment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.state == starting {
		e.initFailure = timedOut(e.initLimit())
		f.kill(e)
		f.failStart(e, nil)
	}
}

// kill ends an environment's process; gone follows. f.mu is held.
func (f *fleet) kill(e *environment) {
	f.stopped(e)
	if e.process != nil {
		_ = e.process.Kill() // an error means that it has ended by itself
	}
}

// stopped notes that an environment will not ask for a task any more. f.mu is held.
func (f *fleet) stopped(e *environment) {
	if e.state == starting || e.state == answered {
		f.coming--
	}
	stop(e.initTimer)
	stop(e.limit)
	f.leaveIdle(e)
	e.state = dead
}

// gone takes an environment out of the fleet whose process has ended, or could not be started.
func (f *fleet) gone(e *environment, exit error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, e)
	was := e.state
	f.stopped(e)
	switch was {
	case starting:
		f.failStart(e, exit)
	case busy:
		t := e.task
		e.task = nil
		f.report(e, t, exited(t, exit))
		f.finish(t, outcome{result: exited(t, exit)})
	}
	f.grow() // there is room for another
}

// failStart lets another environment follow one that did not become ready, and if it was that other
// one already, lets the oldest waiting task fail: what waits for a start must not wait for ever for one
// that cannot succeed. f.mu is held.
// Source: Lambda developer guide, "Understanding the Lambda execution environment lifecycle", failures
// during the Init phase.
func (f *fleet) failStart(e *environment, exit error) {
	if len(f.waiting) == 0 {
		return
	}
	if !e.retry && e.startFailure == nil {
		f.retries++ // grow follows, when the process has ended
		f.log.Warn("function did not start, and is started again", "ms", milliseconds(time.Since(e.began)), "error_message", e.initFailure.ErrorMessage, "exit", exit)
		return
	}
	t := f.waiting[0]
	f.waiting = slices.Delete(f.waiting, 0, 1)
	t.start = e.began
	switch {
	case e.startFailure != nil:
		f.finish(t, outcome{err: e.startFailure})
	case e.initFailure.FunctionError != "":
		f.finish(t, outcome{result: e.initFailure})
	default:
		f.finish(t, outcome{result: exited(t, exit)})
	}
}

// finish ends a task: once, by whoever took it from its environment or from the queue. f.mu is held.
func (f *fleet) finish(t *task, o outcome) {
	if o.err == nil {
		o.result.RequestID = t.id
		f.meter(t.init, time.Since(t.start), o.result)
	}
	t.done <- o
	f.account.leave(&f.deployed)
}

// report tells of an invocation what the last line of Lambda's log about it does. f.mu is held.
// Source: Lambda developer guide, "Log and monitor Go Lambda functions".
func (f *fleet) report(e *environment, t *task, result Result) {
	if !f.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	took := time.Since(t.start)
	f.log.Debug("REPORT", "request_id", t.id, "ms", milliseconds(took), "billed_ms", billed(t.init+took), "init_ms", milliseconds(t.init),
		"memory_mb", f.MemoryMB, "max_memory_mb", peakMemory(e.process)>>20, "error_type", result.ErrorType)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// exited is the result of a function whose process ended. The text is that of the Lambda runtime
// interface emulator.
func exited(t *task, exit error) Result {
	if exit == nil {
		exit = errors.New("exit status 0")
	}
	return failedPlatform("Runtime.ExitError", fmt.Sprintf("RequestId: %s Error: Runtime exited with error: %v", t.id, exit))
}

func stop(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}

// close ends all environments, and the tasks in them, and waits until they have ended.
func (f *fleet) close() {
	f.mu.Lock()
	f.closed = true
	for _, t := range f.waiting {
		f.finish(t, outcome{err: ErrClosed})
	}
	f.waiting = nil
	for e := range f.all {
		if t := e.task; t != nil {
			e.task = nil
			f.finish(t, outcome{err: ErrClosed})
		}
		f.kill(e)
	}
	f.mu.Unlock()
	f.ended.Wait()
}
