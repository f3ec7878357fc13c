// Package lambda runs the stack's functions as AWS Lambda does: in this process (InProcess), or
// as the very binaries that SAM would deploy, over the Lambda Runtime API (Process). It must not
// import a function's code: who makes an InProcess passes the constructors in.
package lambda

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/duet-chat/duet/localstack/meter"
)

// Function is a function of the stack.
type Function struct {
	Name string // in AWS's terms; the logical name in the template if it gives none, as in SendFunction
	// Folder is where the code is, from the template's folder on, or from the root, with slashes:
	// functions/send.
	Folder string
	// Handler is the name of the binary, if the folder holds that and no code; "" is bootstrap.
	Handler string
	// MakeTarget builds the binary, if the folder's Makefile does: SAM's build method makefile.
	MakeTarget string
	// At is where the template gives the code, as in template.yaml:17, for errors; may be empty.
	At  string
	Env map[string]string
	// ReservedConcurrency is how many invocations run at a time, from a share of the account's that is
	// this function's alone; 0 lets none run, nil takes part in what is not reserved.
	ReservedConcurrency *int
	Timeout             time.Duration // of one invocation, 0 for DefaultTimeout
	MemoryMB            int           // 0 for DefaultMemoryMB; told to the function, not enforced
}

// Result is what came of an invocation.
type Result struct {
	RequestID     string // of the invocation, as the function saw it
	Payload       []byte // the response, or Lambda's error object
	FunctionError string // "" or "Unhandled"
	ErrorType     string
	ErrorMessage  string
}

// Invoker runs functions. The error is set only when the platform could not run the function
// at all; what goes wrong inside is a Result with a FunctionError. It is safe for concurrent use.
//
// When ctx ends, Invoke returns its error, and an invocation that has begun goes on without its
// caller until the function's own time-out, as on AWS. The event is therefore the invoker's to
// keep: it must not be changed afterwards. When ctx is cancelled with the cause ErrKilled, the
// environment is killed, and the result is Lambda's for a crash.
type Invoker interface {
	Invoke(ctx context.Context, function string, event []byte) (Result, error)
}

// Quotas and defaults of Lambda. Source: Lambda developer guide, "Lambda quotas".
const (
	MaxPayload        = 6 << 20     // bytes of a synchronous request
	MaxResponse       = 6<<20 + 100 // bytes of a synchronous response
	MaxEnv            = 4096        // bytes of a function's variables, names and values
	DefaultConcurrent = 1000        // concurrent executions of an account in a Region
	DefaultTimeout    = 3 * time.Second
	DefaultMemoryMB   = 128
)

// Errors of Invoke: the platform did not run the function.
// Source: Lambda API reference, "Invoke", errors.
var (
	// ErrThrottled is Lambda's TooManyRequestsException.
	ErrThrottled = errors.New("TooManyRequestsException: Rate Exceeded")
	// ErrNotFound is Lambda's ResourceNotFoundException.
	ErrNotFound = errors.New("ResourceNotFoundException: Function not found")
	// ErrTooLarge is Lambda's RequestTooLargeException.
	ErrTooLarge = errors.New("RequestTooLargeException: Request must be smaller than 6291456 bytes for the InvokeFunction operation")
	// ErrKilled is the cause with which an invocation's context is cancelled to kill its environment.
	ErrKilled = errors.New("the environment is to be killed")
	// ErrClosed reports that the invoker has been closed.
	ErrClosed = errors.New("functions are shutting down")
)

// Options of an invoker.
type Options struct {
	Functions       []Function
	Region, Account string
	// Concurrent bounds the invocations at a time; 0 is DefaultConcurrent.
	Concurrent int
	// Now is the functions' clock. Time-outs go by the machine's.
	Now   func() time.Time
	Meter *meter.Meter // may be nil
	Log   *slog.Logger
}
