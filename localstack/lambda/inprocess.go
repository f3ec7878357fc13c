package lambda

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/localstack/meter"
)

// Options of an invoker.
type Options struct {
	Functions       []Function
	Region, Account string
	// Concurrent bounds the invocations at a time; 0 is Lambda's default of an account.
	Concurrent int
	Now        func() time.Time
	Meter      *meter.Meter
	Log        *slog.Logger
}

// Environment returns the variables that a function sees: Lambda's own and the template's.
// Source: Lambda developer guide, "Defined runtime environment variables".
func Environment(f Function, region string) map[string]string {
	env := map[string]string{
		"AWS_REGION":                      region,
		"AWS_DEFAULT_REGION":              region,
		"AWS_LAMBDA_FUNCTION_NAME":        f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      "local",
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"TZ":                              "UTC",
	}
	for key, value := range f.Env {
		env[key] = value
	}
	return env
}

// InProcess runs functions in this process: one debugger, no serialization but of events, and
// none of Lambda's isolation. A panic ends the invocation only.
type InProcess struct {
	functions map[string]*inProcess
	slots     chan struct{}
	running   sync.WaitGroup
}

type inProcess struct {
	Function
	arn                 string
	handler             awslambda.Handler
	invocations, errors *meter.Counter
	milliseconds        *meter.Counter
}

// NewInProcess builds every function once. registry maps folders to constructors, aws is the
// configuration of the SDK clients that the functions make.
func NewInProcess(o Options, registry map[string]function.Constructor, cfg aws.Config, client *http.Client) (*InProcess, error) {
	if o.Concurrent == 0 {
		o.Concurrent = DefaultConcurrent
	}
	p := &InProcess{functions: map[string]*inProcess{}, slots: make(chan struct{}, o.Concurrent)}
	for _, f := range o.Functions {
		build := registry[f.Folder]
		if build == nil {
			return nil, fmt.Errorf("function %s: no code in folder functions/%s is registered for in-process runs: register it, or run with --functions=process", f.Name, f.Folder)
		}
		env := Environment(f, o.Region)
		handler, err := build(function.Env{
			Getenv: func(key string) string { return env[key] },
			AWS:    cfg,
			HTTP:   client,
			Now:    o.Now,
			Log:    o.Log.With("function", f.Name),
		})
		if err != nil {
			return nil, fmt.Errorf("function %s cannot start: %w", f.Name, err)
		}
		p.functions[f.Name] = &inProcess{
			Function: f, handler: handler,
			arn:          fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", o.Region, o.Account, f.Name),
			invocations:  o.Meter.Counter("lambda", f.Name, "invocations"),
			errors:       o.Meter.Counter("lambda", f.Name, "errors"),
			milliseconds: o.Meter.Counter("lambda", f.Name, "milliseconds"),
		}
	}
	return p, nil
}

// Invoke implements Invoker.
func (p *InProcess) Invoke(ctx context.Context, name string, event []byte) (Result, error) {
	f := p.functions[name]
	switch {
	case f == nil:
		return Result{}, fmt.Errorf("function not found: %s", name)
	case len(event) > MaxPayload:
		return Result{}, fmt.Errorf("invoke %s: the event has %d bytes; at most %d are allowed", name, len(event), MaxPayload)
	}
	select {
	case p.slots <- struct{}{}:
	default:
		return Result{}, fmt.Errorf("invoke %s: %w", name, ErrThrottled)
	}
	f.invocations.Add(1)
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	ctx = lambdacontext.NewContext(ctx, &lambdacontext.LambdaContext{AwsRequestID: requestID(), InvokedFunctionArn: f.arn})
	done := make(chan Result, 1)
	p.running.Add(1)
	// A goroutine of its own, so that a handler which ignores its context does not hold the
	// caller beyond the time-out: about a microsecond.
	go func() {
		defer func() {
			cancel()
			<-p.slots
			p.running.Done()
		}()
		done <- f.run(ctx, event)
	}()
	var result Result
	select {
	case result = <-done:
	case <-ctx.Done():
		select {
		case result = <-done:
		default:
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return Result{}, fmt.Errorf("invoke %s: %w", name, ctx.Err())
			}
			result = timedOut(f.Timeout)
		}
	}
	f.milliseconds.Add(max(1, time.Since(start).Milliseconds()))
	if result.FunctionError != "" {
		f.errors.Add(1)
	}
	return result, nil
}

// run calls the handler; what it panics with or returns as an error becomes Lambda's error object.
func (f *inProcess) run(ctx context.Context, event []byte) (result Result) {
	defer func() {
		if cause := recover(); cause != nil {
			result = failed(typeName(cause), fmt.Sprint(cause), stack())
		}
	}()
	payload, err := f.handler.Invoke(ctx, event)
	switch {
	case err != nil:
		var typed messages.InvokeResponse_Error
		if errors.As(err, &typed) {
			return failed(typed.Type, typed.Message, nil)
		}
		return failed(typeName(err), err.Error(), nil)
	case len(payload) > MaxPayload:
		return failed("Function.ResponseSizeTooLarge", fmt.Sprintf("Response payload size (%d bytes) exceeded maximum allowed payload size (%d bytes).", len(payload), MaxPayload), nil)
	}
	return Result{Payload: payload}
}

// typeName is the name of a value's type, as aws-lambda-go reports it.
func typeName(v any) string {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}

func stack() []json.RawMessage {
	var lines []json.RawMessage
	for line := range strings.Lines(string(debug.Stack())) {
		quoted, err := json.Marshal(strings.TrimSpace(line))
		if err == nil {
			lines = append(lines, quoted)
		}
	}
	return lines
}

// requestID makes an id in the form of Lambda's.
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand documents that it crashes the program instead
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Close waits for the invocations that are running, until ctx ends.
func (p *InProcess) Close(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		p.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("functions are still running: %w", ctx.Err())
	}
}
