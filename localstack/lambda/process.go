package lambda

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/duet-chat/duet/localstack/caller"
)

// ProcessOptions are the settings of a Process beside those of every invoker.
type ProcessOptions struct {
	// Dir is the folder of the template, from which the functions' folders count.
	Dir string
	// Cache is the folder for the binaries. Its contents may be thrown away.
	Cache string
	// Binaries are those of the functions, by their names, as Build gives them; nil builds them.
	Binaries map[string]string
	// Endpoint is the local cloud's URL, which the functions' AWS SDK clients use (AWS_ENDPOINT_URL).
	Endpoint string
	// Variables are more environment variables of every process, which the template cannot override.
	Variables map[string]string
	// Environments bounds the processes of one function; 0 is DefaultEnvironments. Where AWS
	// would start more, invocations wait for one to be free.
	Environments int
	// IdleAfter is how long a process lives without an invocation; 0 is DefaultIdleAfter.
	IdleAfter time.Duration
	// InitTimeout bounds a process's way from its start to its first wait for an invocation; 0 is
	// Lambda's.
	InitTimeout time.Duration
}

// Defaults of ProcessOptions.
const (
	DefaultEnvironments = 32
	DefaultIdleAfter    = 5 * time.Minute
	// Source: Lambda developer guide, "Understanding the Lambda execution environment lifecycle",
	// Init phase.
	DefaultInitTimeout = 10 * time.Second
)

// Process runs functions as the binaries that would be deployed: each in environments of its own,
// that is in operating system processes which take one invocation at a time over the Lambda
// Runtime API. An environment is started when an invocation finds none free, is used again while
// it lives, and ends when it has been idle, crashes, or takes too long. None is started ahead, and
// none survives Close or, on Linux, the death of this process.
//
// A process is frozen between invocations, where the system has signals for it: what a handler left
// running makes no progress, as on AWS. An initialization that fails, or takes longer than InitTimeout,
// is tried once more within the invocation and its time-out. Memory and processor are not limited.
type Process struct {
	account *account
	fleets  map[string]*fleet
	starter *starter
}

// NewProcess builds the functions' binaries: in a second or two when little has changed, in a minute
// or so when everything, the AWS SDK included, is to be compiled for the first time. ctx
// bounds the building only.
func NewProcess(ctx context.Context, o Options, po ProcessOptions) (*Process, error) {
	if po.Environments == 0 {
		po.Environments = DefaultEnvironments
	}
	if po.IdleAfter == 0 {
		po.IdleAfter = DefaultIdleAfter
	}
	if po.InitTimeout == 0 {
		po.InitTimeout = DefaultInitTimeout
	}
	functions := make([]deployed, len(o.Functions))
	for i, f := range o.Functions {
		var err error
		if functions[i], err = o.deploy(f); err != nil {
			return nil, err
		}
	}
	binaries := po.Binaries
	if binaries == nil {
		var err error
		if binaries, err = Build(ctx, po.Dir, po.Cache, o.Functions); err != nil {
			return nil, err
		}
	}
	p := &Process{account: newAccount(o.Concurrent, o.Functions), fleets: map[string]*fleet{}, starter: newStarter()}
	for _, d := range functions {
		binary := binaries[d.Name]
		d.quota = p.account.quota(d.Function)
		p.fleets[d.Name] = &fleet{
			deployed: d, options: po, account: p.account, starter: p.starter,
			log: o.Log.With("function", d.Name), binary: binary,
			env: processVariables(d.Function, o.Region, po, filepath.Dir(binary)),
		}
	}
	return p, nil
}

// processVariables lists the whole environment of a function's process: nothing of this process's
// own gets in.
func processVariables(f Function, region string, po ProcessOptions, root string) []string {
	env := variables(f, region)
	env["LAMBDA_TASK_ROOT"] = root
	env["PATH"] = "/usr/local/bin:/usr/bin:/bin:/opt/bin"
	env["AWS_ENDPOINT_URL"] = po.Endpoint
	maps.Copy(env, po.Variables)
	// The local cloud takes any signature, and knows the function by its key.
	env["AWS_ACCESS_KEY_ID"] = caller.AccessKeyID(f.Name)
	env["AWS_SECRET_ACCESS_KEY"] = "test"
	env["AWS_SESSION_TOKEN"] = "test"
	list := make([]string, 0, len(env))
	for key, value := range env {
		list = append(list, key+"="+value)
	}
	slices.Sort(list)
	return list
}

// Invoke implements Invoker. A free environment costs about 0.2 ms besides the
// handler, a new one the start of its process.
func (p *Process) Invoke(ctx context.Context, name string, event []byte) (Result, error) {
	f := p.fleets[name]
	if err := admissible(f != nil, name, event); err != nil {
		return Result{}, err
	}
	if err := p.account.enter(&f.deployed); err != nil {
		return Result{}, fmt.Errorf("invoke %s: %w", name, err)
	}
	t := &task{id: newRequestID(), trace: caller.Invocation(ctx), event: event, done: make(chan outcome, 1)}
	f.submit(t)
	var o outcome
	select {
	case o = <-t.done:
	case <-ctx.Done():
		if context.Cause(ctx) != ErrKilled || !f.destroy(t) {
			f.withdraw(t)
			return Result{}, fmt.Errorf("invoke %s: %w", name, ctx.Err())
		}
		o = <-t.done
	}
	if o.err != nil {
		return Result{}, fmt.Errorf("invoke %s: %w", name, o.err)
	}
	return o.result, nil
}

// Close lets no more invocations in, waits for those that are running until ctx ends, and ends all
// processes. Its error says how many invocations were cut off.
func (p *Process) Close(ctx context.Context) error {
	err := p.account.drain(ctx)
	for _, f := range p.fleets {
		f.close()
	}
	p.starter.close()
	return err
}

// starter starts processes from one thread that lives as long as it does. Linux sends a child's
// death signal when the thread that started it ends, not the process, and Go may end any thread
// but one that a goroutine has locked.
type starter struct {
	starts chan func()
	once   sync.Once
}

func newStarter() *starter {
	s := &starter{starts: make(chan func())}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for start := range s.starts {
			start()
		}
	}()
	return s
}

// do runs start on the starter's thread and returns its error. It must not be called after close.
func (s *starter) do(start func() error) error {
	done := make(chan error, 1)
	s.starts <- func() { done <- start() }
	return <-done
}

func (s *starter) close() { s.once.Do(func() { close(s.starts) }) }
