package lambda

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
)

// failed makes the result of a function that failed: {"errorMessage", "errorType", "stackTrace"}.
// Source: Lambda developer guide, "Using the Lambda runtime API for custom runtimes", invocation error.
func failed(e messages.InvokeResponse_Error) Result {
	payload, err := json.Marshal(e)
	if err != nil { // strings and numbers only: cannot happen
		payload = []byte(`{"errorMessage":"error could not be encoded","errorType":"Runtime.SerializationError"}`)
	}
	return Result{Payload: payload, FunctionError: "Unhandled", ErrorType: e.Type, ErrorMessage: e.Message}
}

// failedPlatform is the result of a function that Lambda ended or did not hear from.
func failedPlatform(errorType, message string) Result {
	return failed(messages.InvokeResponse_Error{Type: errorType, Message: message})
}

// Failed is the result of a function that Lambda ended: for those who stand before an Invoker.
func Failed(errorType, message string) Result { return failedPlatform(errorType, message) }

// killed is the result of a function whose environment was killed.
func killed(id string) Result {
	return failedPlatform("Runtime.ExitError", fmt.Sprintf("RequestId: %s Error: Runtime exited with error: signal: killed", id))
}

// timedOut is the result of a function that did not return in time.
func timedOut(timeout time.Duration) Result {
	return failedPlatform("Sandbox.Timedout", fmt.Sprintf("Task timed out after %.2f seconds", timeout.Seconds()))
}

// responseTooLarge is the result of a function whose response is above MaxResponse.
func responseTooLarge() Result {
	return failedPlatform("Function.ResponseSizeTooLarge",
		fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MaxResponse))
}

// returned turns the error of a handler into what aws-lambda-go reports for it.
func returned(err error) Result {
	if ready, ok := err.(messages.InvokeResponse_Error); ok {
		return failed(ready)
	}
	return failed(messages.InvokeResponse_Error{Message: err.Error(), Type: typeName(err)})
}

// panicked turns what a handler panicked with into what aws-lambda-go reports for it. It is
// called by the deferred function that recovered.
func panicked(cause any) Result {
	if ready, ok := cause.(messages.InvokeResponse_Error); ok {
		return failed(ready)
	}
	return failed(messages.InvokeResponse_Error{Message: fmt.Sprint(cause), Type: typeName(cause), StackTrace: stack()})
}

// typeName is the name of a value's type, or of what it points to.
func typeName(v any) string {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}

// stack lists the frames above the deferred function that recovered, innermost first.
func stack() []*messages.InvokeResponse_Error_StackFrame {
	var callers [32]uintptr
	const hidden = 4 // runtime.Callers, stack, panicked, the deferred function
	frames := runtime.CallersFrames(callers[:runtime.Callers(hidden, callers[:])])
	var list []*messages.InvokeResponse_Error_StackFrame
	for {
		frame, more := frames.Next()
		if frame.Function != "" {
			// example.com/m/pkg.Type.Method: the path says the package, so the label need not.
			label := frame.Function[strings.LastIndex(frame.Function, "/")+1:]
			_, label, _ = strings.Cut(label, ".")
			list = append(list, &messages.InvokeResponse_Error_StackFrame{Path: frame.File, Line: int32(frame.Line), Label: label})
		}
		if !more {
			return list
		}
	}
}
