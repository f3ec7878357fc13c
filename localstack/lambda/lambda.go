// Package lambda runs the stack's functions as AWS Lambda does: in this process, or as the very
// binaries that SAM would deploy, over the Lambda Runtime API.
package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Function is a function of the stack.
type Function struct {
	Name     string // logical name in the template, as in SendFunction
	Folder   string // last element of CodeUri, as in send
	Env      map[string]string
	Timeout  time.Duration
	MemoryMB int
}

// Result is what came of an invocation.
type Result struct {
	Payload       []byte // the response, or Lambda's error object
	FunctionError string // "" or "Unhandled"
	ErrorType     string
	ErrorMessage  string
}

// Invoker runs functions. The error is set only when the platform could not run the function
// at all; what goes wrong inside is a Result with a FunctionError. It is safe for concurrent use.
type Invoker interface {
	Invoke(ctx context.Context, function string, event []byte) (Result, error)
}

// Limits of Lambda. Source: Lambda developer guide, "Lambda quotas".
const (
	MaxPayload        = 6 << 20 // bytes of a synchronous request or response
	DefaultConcurrent = 1000    // concurrent executions of an account in a Region
)

// ErrThrottled reports that too many invocations are running (TooManyRequestsException).
var ErrThrottled = errors.New("too many concurrent invocations: Rate Exceeded")

// errorObject is what Lambda returns for a function that failed.
// Source: Lambda developer guide, "Lambda runtime API", function errors.
type errorObject struct {
	Message    string            `json:"errorMessage"`
	Type       string            `json:"errorType,omitempty"`
	StackTrace []json.RawMessage `json:"stackTrace,omitempty"`
}

// failed makes the result of a function that failed.
func failed(errorType, message string, stack []json.RawMessage) Result {
	payload, err := json.Marshal(errorObject{Message: message, Type: errorType, StackTrace: stack})
	if err != nil {
		payload = []byte(`{"errorMessage":"error could not be encoded"}`)
	}
	return Result{Payload: payload, FunctionError: "Unhandled", ErrorType: errorType, ErrorMessage: message}
}

// timedOut is the result of a function that did not return in time.
func timedOut(timeout time.Duration) Result {
	return failed("Sandbox.Timedout", fmt.Sprintf("Task timed out after %.2f seconds", timeout.Seconds()), nil)
}
