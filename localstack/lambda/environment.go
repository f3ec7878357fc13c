package lambda

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// state of an environment; see fleet for the transitions.
type state int

const (
	starting state = iota
	idle
	busy
	answered // the task's result is here, the process has not asked for the next one yet
	dead
)

// environment is one process of a function, with a Runtime API of its own: since every one has its
// own port, requests need nothing else to tell from which they come.
type environment struct {
	fleet *fleet
	work  chan *task // of capacity 1

	// Guarded by fleet.mu.
	state        state
	process      *os.Process // nil until started
	task         *task       // while busy
	last         *task       // the last one it was given
	began        time.Time
	retry        bool // it follows one that did not become ready
	frozen       bool
	initTimer    *time.Timer // nil until started
	idleTimer    *time.Timer
	limit        *time.Timer // of the last task
	initFailure  Result      // what the process itself said of its initialization
	startFailure error       // why there is no process
}

// live starts the process, and returns when it has ended.
func (e *environment) live() {
	defer e.fleet.ended.Done()
	exit := e.run()
	e.fleet.gone(e, exit)
}

func (e *environment) run() error {
	f := e.fleet
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		e.cannotStart(err)
		return err
	}
	server := &http.Server{Handler: e.runtimeAPI(), ErrorLog: slog.NewLogLogger(f.log.Handler(), slog.LevelDebug)}
	go func() { _ = server.Serve(listener) }() // until Close
	defer func() { _ = server.Close() }()

	output := &lineLogger{log: f.log}
	defer output.flush()
	cmd := exec.Command(f.binary)
	cmd.Dir = filepath.Dir(f.binary)
	cmd.Env = append([]string{"AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String()}, f.env...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.WaitDelay = time.Second // for what the process has started in turn and left behind
	cmd.SysProcAttr = childAttributes()
	if err := f.starter.do(cmd.Start); err != nil {
		e.cannotStart(err)
		return err
	}
	e.started(cmd.Process)
	err = cmd.Wait()
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return err
}

func (e *environment) cannotStart(err error) {
	e.fleet.mu.Lock()
	defer e.fleet.mu.Unlock()
	e.startFailure = fmt.Errorf("environment cannot start: %w", err)
}

// started notes the process. It may already have asked for a task, or be unwanted.
func (e *environment) started(p *os.Process) {
	f := e.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	e.process = p
	switch e.state {
	case starting:
		e.initTimer = time.AfterFunc(e.initLimit(), func() { f.initLate(e) })
	case idle:
		e.freeze()
	case dead:
		f.kill(e)
	}
}

// initLimit bounds the time until it asks for its first task.
func (e *environment) initLimit() time.Duration {
	if e.retry {
		return e.fleet.Timeout
	}
	return e.fleet.options.InitTimeout
}

// freeze stops the process until thaw: on AWS, nothing runs between invocations. It costs some
// microseconds. fleet.mu is held.
func (e *environment) freeze() {
	if e.process != nil { // else started comes back to it
		e.frozen = freeze(e.process)
	}
}

// thaw lets a frozen process go on. fleet.mu is held.
func (e *environment) thaw() {
	if e.frozen {
		thaw(e.process)
		e.frozen = false
	}
}
