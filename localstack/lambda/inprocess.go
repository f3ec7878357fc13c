package lambda

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/localstack/caller"
)

// InProcess runs functions in this process: one debugger, no serialization but of events, and
// none of Lambda's isolation. A panic ends its invocation only; a handler that calls os.Exit ends
// the local cloud.
type InProcess struct {
	account   *account
	functions map[string]*inProcess
	life      context.Context // of the handlers; ends when Close no longer waits for them
	end       context.CancelCauseFunc
}

type inProcess struct {
	deployed
	handler awslambda.Handler
	log     *slog.Logger
}

// NewInProcess builds every function once. registry maps folders to constructors; connect gives
// a function, by its name, what it makes its SDK clients of and what it fetches with.
func NewInProcess(o Options, registry map[string]function.Constructor, connect func(name string) (aws.Config, *http.Client)) (*InProcess, error) {
	p := &InProcess{account: newAccount(o.Concurrent, o.Functions), functions: map[string]*inProcess{}}
	p.life, p.end = context.WithCancelCause(context.Background())
	for _, f := range o.Functions {
		build := registry[f.Folder]
		if build == nil {
			return nil, fmt.Errorf("function %s: no code in folder %s is registered for in-process runs: register it, or run with --functions=process", f.Name, f.Folder)
		}
		d, err := o.deploy(f)
		if err != nil {
			return nil, err
		}
		d.quota = p.account.quota(f)
		env := variables(d.Function, o.Region)
		cfg, client := connect(f.Name)
		log := o.Log.With("function", f.Name)
		handler, err := build(function.Env{
			Getenv: func(key string) string { return env[key] },
			AWS:    cfg,
			HTTP:   client,
			Now:    o.Now,
			Sleep:  function.Sleep,
			Log:    log,
		})
		if err != nil {
			return nil, fmt.Errorf("function %s cannot start: %w", f.Name, err)
		}
		p.functions[f.Name] = &inProcess{deployed: d, handler: handler, log: log}
	}
	return p, nil
}

// Invoke implements Invoker. It costs about 3 µs besides the handler.
//
// The handler runs on a goroutine of its own, since whether it will honour its context cannot be
// known, and one that does not must not hold the caller beyond the time-out. A pool of waiting
// goroutines instead of new ones saves about 1 µs (measured), which is not worth its code.
func (p *InProcess) Invoke(ctx context.Context, name string, event []byte) (Result, error) {
	f := p.functions[name]
	if err := admissible(f != nil, name, event); err != nil {
		return Result{}, err
	}
	if err := p.account.enter(&f.deployed); err != nil {
		return Result{}, fmt.Errorf("invoke %s: %w", name, err)
	}
	i := &invocation{function: f, id: newRequestID(), start: time.Now(), done: make(chan Result, 1)}
	run, cancel := context.WithTimeout(p.life, f.Timeout)
	run = lambdacontext.NewContext(run, &lambdacontext.LambdaContext{AwsRequestID: i.id, InvokedFunctionArn: f.arn})
	if id := caller.Invocation(ctx); id != "" {
		run = caller.WithInvocation(run, id)
	}
	i.ctx = run
	go func() {
		defer p.account.leave(&f.deployed)
		defer cancel()
		function.GrowStack()
		i.run(event)
	}()
	select {
	case result := <-i.done:
		return i.finish(result), nil
	case <-run.Done():
		return i.finish(i.late()), nil
	case <-ctx.Done():
		if context.Cause(ctx) == ErrKilled {
			// The handler goes on until it notices, and nobody hears of it any more.
			cancel()
			return i.finish(killed(i.id)), nil
		}
		go func() { i.finish(i.wait()) }() // the function goes on without its caller, and is billed
		return Result{}, fmt.Errorf("invoke %s: %w", name, ctx.Err())
	}
}

// invocation is one run of a handler.
type invocation struct {
	function *inProcess
	id       string
	start    time.Time
	ctx      context.Context
	done     chan Result // of capacity 1, so that a handler that nobody waits for ends as well
}

// run calls the handler and always gives a result, whatever the handler does.
func (i *invocation) run(event []byte) {
	var result Result
	returns := false
	defer func() {
		if cause := recover(); cause != nil {
			result = panicked(cause)
		} else if !returns { // runtime.Goexit, which is what a test's FailNow does
			result = failedPlatform("Runtime.ExitError", "handler ended its goroutine instead of returning")
		}
		i.done <- result
	}()
	payload, err := i.function.handler.Invoke(i.ctx, event)
	returns = true
	switch {
	case err != nil:
		result = returned(err)
	case len(payload) > MaxResponse:
		result = responseTooLarge()
	default:
		result = Result{Payload: payload}
	}
}

// late is the result once the context has ended, which it also does just after a result.
func (i *invocation) late() Result {
	select {
	case result := <-i.done:
		return result
	default:
	}
	if context.Cause(i.ctx) == errAbandoned {
		return failedPlatform("Runtime.ExitError", fmt.Sprintf("RequestId: %s Error: %v", i.id, errAbandoned))
	}
	return timedOut(i.function.Timeout)
}

// wait waits for the result, at most until the time-out.
func (i *invocation) wait() Result {
	select {
	case result := <-i.done:
		return result
	case <-i.ctx.Done():
		return i.late()
	}
}

// finish meters the invocation and completes its result.
func (i *invocation) finish(result Result) Result {
	took := time.Since(i.start)
	i.function.meter(0, took, result)
	result.RequestID = i.id
	if i.function.log.Enabled(i.ctx, slog.LevelDebug) {
		i.function.log.DebugContext(i.ctx, "REPORT", "request_id", i.id, "ms", milliseconds(took), "billed_ms", billed(took),
			"memory_mb", i.function.MemoryMB, "error_type", result.ErrorType)
	}
	return result
}

// Close lets no more invocations in and waits for those that are running. When ctx ends first it
// cancels them, and returns an error that says how many there were.
func (p *InProcess) Close(ctx context.Context) error {
	err := p.account.drain(ctx)
	p.end(errAbandoned)
	return err
}
