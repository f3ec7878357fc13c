//go:build linux

package lambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/meter"
)

// cache keeps the binaries of all tests of this run.
var cache string

func TestMain(m *testing.M) {
	code := func() int {
		if os.Getenv("LAMBDA_TEST_PARENT") != "" {
			return parent()
		}
		var err error
		if cache, err = os.MkdirTemp("", "functions"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(cache)
		return m.Run()
	}()
	os.Exit(code)
}

// process runs the functions in testdata; Fn is tiny with a time-out of a minute.
func process(t testing.TB, o lambda.Options, po lambda.ProcessOptions) *lambda.Process {
	t.Helper()
	if o.Functions == nil {
		o.Functions = []lambda.Function{{Name: "Fn", Folder: "functions/tiny", Timeout: time.Minute, MemoryMB: 256, Env: map[string]string{"TABLE": "duet-T"}}}
	}
	o.Region, o.Account, o.Now = "us-east-1", "000000000000", time.Now
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	po.Dir, po.Cache, po.Endpoint = "testdata", cache, "http://127.0.0.1:4566"
	p, err := lambda.NewProcess(t.Context(), o, po)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

type answer struct {
	Text      string            `json:"text"`
	PID       int               `json:"pid"`
	RequestID string            `json:"request_id"`
	ARN       string            `json:"arn"`
	Left      time.Duration     `json:"left"`
	Env       map[string]string `json:"env"`
}

func invoke(t *testing.T, p *lambda.Process, event string) (answer, lambda.Result) {
	t.Helper()
	result, err := p.Invoke(t.Context(), "Fn", []byte(event))
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	if result.FunctionError == "" {
		if err := json.Unmarshal(result.Payload, &a); err != nil {
			t.Fatalf("payload %s: %v", result.Payload, err)
		}
	}
	return a, result
}

func TestProcessRunsTheBinary(t *testing.T) {
	m := meter.New()
	p := process(t, lambda.Options{Meter: m}, lambda.ProcessOptions{})
	first, result := invoke(t, p, `{"do":"echo","text":"hello"}`)
	switch {
	case first.Text != "hello":
		t.Errorf("text = %q", first.Text)
	case first.RequestID != result.RequestID || len(result.RequestID) != 36:
		t.Errorf("request id = %q, want %q", first.RequestID, result.RequestID)
	case first.ARN != "arn:aws:lambda:us-east-1:000000000000:function:Fn":
		t.Errorf("ARN = %q", first.ARN)
	case first.Left <= 0 || first.Left > time.Minute:
		t.Errorf("time left = %v, want at most the time-out", first.Left)
	}
	second, _ := invoke(t, p, `{"do":"echo"}`)
	if second.PID != first.PID {
		t.Error("a warm environment was not used again")
	}
	if usage := m.Usage()["lambda"]["Fn"]; usage["invocations"] != 2 || usage["errors"] != 0 || usage["cold_starts"] != 1 || usage["concurrent_max"] != 1 ||
		usage["init_ms"] < 1 || usage["billed_ms"] < usage["init_ms"]+1 {
		t.Errorf("usage = %v", usage)
	}
}

func TestProcessEnvironment(t *testing.T) {
	p := process(t, lambda.Options{}, lambda.ProcessOptions{})
	a, _ := invoke(t, p, `{"do":"env"}`)
	root := a.Env["LAMBDA_TASK_ROOT"]
	if _, err := os.Stat(filepath.Join(root, "bootstrap")); err != nil || !strings.HasPrefix(root, filepath.Join(cache, "tiny-")) {
		t.Errorf("LAMBDA_TASK_ROOT = %q: the binary must be there: %v", root, err)
	}
	for key, want := range map[string]string{
		"TABLE": "duet-T", "_HANDLER": "bootstrap", "LAMBDA_TASK_ROOT": root, "LAMBDA_RUNTIME_DIR": "/var/runtime",
		"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
		"AWS_ACCESS_KEY_ID": "function-Fn", "AWS_SECRET_ACCESS_KEY": "test", "AWS_SESSION_TOKEN": "test",
		"AWS_LAMBDA_FUNCTION_NAME": "Fn", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
		"AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/Fn", "AWS_LAMBDA_LOG_STREAM_NAME": "local",
		"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "TZ": "UTC", "LANG": "en_US.UTF-8",
	} {
		if got := a.Env[key]; got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	if !regexp.MustCompile(`^127\.0\.0\.1:\d+$`).MatchString(a.Env["AWS_LAMBDA_RUNTIME_API"]) {
		t.Errorf("AWS_LAMBDA_RUNTIME_API = %q, want host:port", a.Env["AWS_LAMBDA_RUNTIME_API"])
	}
	if _, leaked := a.Env["HOME"]; leaked {
		t.Error("the function sees the local cloud's own environment")
	}
}

func TestProcessFailures(t *testing.T) {
	p := process(t, lambda.Options{}, lambda.ProcessOptions{})
	tests := []struct {
		name, event, errorType, message string
		survives                        bool // the environment takes another invocation
	}{
		{"an error keeps the environment", `{"do":"error","text":"broken"}`, "errorString", `^broken$`, true},
		{"an error has its Go type's name", `{"do":"refuse","text":"no"}`, "refusal", `^no$`, true},
		{"a panic ends the environment", `{"do":"panic","text":"oh"}`, "string", `^oh$`, false},
		{"an exit is a failure", `{"do":"exit"}`, "Runtime.ExitError", `^RequestId: [0-9a-f-]{36} Error: Runtime exited with error: exit status 3$`, false},
		{"a large response is a failure", `{"do":"big"}`, "Function.ResponseSizeTooLarge", "6291556 bytes", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before, _ := invoke(t, p, `{"do":"echo"}`)
			_, result := invoke(t, p, test.event)
			if result.FunctionError != "Unhandled" || result.ErrorType != test.errorType || !regexp.MustCompile(test.message).MatchString(result.ErrorMessage) {
				t.Errorf("result = %q %q %q, want %q %q", result.FunctionError, result.ErrorType, result.ErrorMessage, test.errorType, test.message)
			}
			var report map[string]any
			if err := json.Unmarshal(result.Payload, &report); err != nil || report["errorType"] != test.errorType {
				t.Errorf("payload = %s (%v)", result.Payload, err)
			}
			after, _ := invoke(t, p, `{"do":"echo"}`)
			if (after.PID == before.PID) != test.survives {
				t.Errorf("environment survived = %v, want %v", after.PID == before.PID, test.survives)
			}
		})
	}
}

func TestProcessTimeoutEndsTheEnvironment(t *testing.T) {
	p := process(t, lambda.Options{Functions: []lambda.Function{{Name: "Fn", Folder: "functions/tiny", Timeout: 1500 * time.Millisecond}}}, lambda.ProcessOptions{})
	before, _ := invoke(t, p, `{"do":"echo"}`)
	_, result := invoke(t, p, `{"do":"hang"}`)
	if result.ErrorType != "Sandbox.Timedout" || result.ErrorMessage != "Task timed out after 1.50 seconds" {
		t.Errorf("error = %q %q", result.ErrorType, result.ErrorMessage)
	}
	if after, _ := invoke(t, p, `{"do":"echo"}`); after.PID == before.PID {
		t.Error("the environment outlived its time-out")
	}
}

func TestProcessInit(t *testing.T) {
	for name, test := range map[string]struct {
		env       map[string]string
		timeout   time.Duration
		errorType string
		message   string
	}{
		"a crash fails the invocation": {map[string]string{"EXIT": "1"}, 0, "Runtime.ExitError", "exit status 1"},
		"an end fails the invocation":  {map[string]string{"EXIT": "0"}, 0, "Runtime.ExitError", "exit status 0"},
		// It is tried again with the function's own time-out.
		"a slow one fails the invocation": {nil, 200 * time.Millisecond, "Sandbox.Timedout", "after 0.30 seconds"},
	} {
		t.Run(name, func(t *testing.T) {
			p := process(t, lambda.Options{Functions: []lambda.Function{{Name: "Fn", Folder: "functions/mute", Env: test.env, Timeout: 300 * time.Millisecond}}},
				lambda.ProcessOptions{InitTimeout: test.timeout})
			for range 2 {
				if _, result := invoke(t, p, `{}`); result.ErrorType != test.errorType || !strings.Contains(result.ErrorMessage, test.message) {
					t.Errorf("error = %q %q, want %q %q", result.ErrorType, result.ErrorMessage, test.errorType, test.message)
				}
			}
		})
	}
}

// Source: Lambda developer guide, "Understanding the Lambda execution environment lifecycle", failures
// during the Init phase.
func TestProcessInitIsTriedAgain(t *testing.T) {
	p := process(t, lambda.Options{Functions: []lambda.Function{{Name: "Fn", Folder: "functions/tiny", Timeout: time.Minute,
		Env: map[string]string{"FAIL_ONCE": filepath.Join(t.TempDir(), "failed")}}}}, lambda.ProcessOptions{})
	if a, result := invoke(t, p, `{"do":"echo","text":"here"}`); a.Text != "here" {
		t.Errorf("result = %+v, want that of the second environment", result)
	}
}

// What a handler left running makes no progress between invocations.
// Source: Lambda developer guide, "Understanding the Lambda execution environment lifecycle".
func TestProcessIsFrozenBetweenInvocations(t *testing.T) {
	p := process(t, lambda.Options{}, lambda.ProcessOptions{})
	first, _ := invoke(t, p, `{"do":"echo"}`)
	for range 20 {
		awaitState(t, first.PID, "T (stopped)")
		if a, result := invoke(t, p, `{"do":"echo","text":"again"}`); a.PID != first.PID || a.Text != "again" {
			t.Fatalf("result = %+v, want the same environment's", result)
		}
	}
}

// awaitState returns when the kernel says that a process is in a state.
func awaitState(t *testing.T, pid int, state string) {
	t.Helper()
	again := time.NewTicker(time.Millisecond) // nothing tells that somebody else's child has stopped
	defer again.Stop()
	late := time.After(20 * time.Second)
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(status), "State:\t"+state) {
			return
		}
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("process %d is not %s:\n%s", pid, state, status)
		}
	}
}

// What Lambda's log says of each invocation is there at the level DEBUG.
func TestProcessReports(t *testing.T) {
	var log safeBuffer
	p := process(t, lambda.Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}, lambda.ProcessOptions{})
	_, first := invoke(t, p, `{"do":"echo"}`)
	_, second := invoke(t, p, `{"do":"error","text":"no"}`)
	for _, want := range []string{
		"START function=Fn request_id=" + first.RequestID,
		`REPORT function=Fn request_id=` + first.RequestID + ` ms=[0-9.]+ billed_ms=[0-9]+ init_ms=[1-9][0-9.]* memory_mb=256 max_memory_mb=[1-9][0-9]* error_type=""`,
		`REPORT function=Fn request_id=` + second.RequestID + ` ms=[0-9.]+ billed_ms=[0-9]+ init_ms=0 memory_mb=256 max_memory_mb=[1-9][0-9]* error_type=errorString`,
	} {
		if !regexp.MustCompile(want).MatchString(log.String()) {
			t.Errorf("log lacks %s:\n%s", want, log.String())
		}
	}
}

// meeting is an invocation that waits in its function until it is let go.
type meeting struct {
	here, wait string
	done       chan answer
}

func meet(t *testing.T, p *lambda.Process) *meeting {
	t.Helper()
	m := &meeting{filepath.Join(t.TempDir(), "here"), filepath.Join(t.TempDir(), "wait"), make(chan answer, 1)}
	pipes(t, m.here, m.wait)
	go func() {
		result, err := p.Invoke(t.Context(), "Fn", fmt.Appendf(nil, `{"do":"meet","here":%q,"wait":%q}`, m.here, m.wait))
		var a answer
		if err == nil && json.Unmarshal(result.Payload, &a) != nil {
			t.Errorf("result = %+v", result)
		}
		m.done <- a
	}()
	return m
}

// arrive returns when the function is running, leave when it has returned.
func (m *meeting) arrive(t *testing.T) {
	t.Helper()
	touch(t, m.here, os.O_RDONLY)
}

func (m *meeting) leave(t *testing.T) answer {
	t.Helper()
	touch(t, m.wait, os.O_WRONLY)
	return <-m.done
}

func touch(t *testing.T, pipe string, flag int) {
	t.Helper()
	f, err := os.OpenFile(pipe, flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close() // nothing was written
}

func TestProcessScalesOutAndQueues(t *testing.T) {
	p := process(t, lambda.Options{}, lambda.ProcessOptions{Environments: 2})
	a, b, c := meet(t, p), meet(t, p), meet(t, p)
	// Two of the three run, whichever; the third starts when one has returned.
	arrived := make(chan *meeting, 3)
	for _, m := range []*meeting{a, b, c} {
		go func() { m.arrive(t); arrived <- m }()
	}
	x, y := <-arrived, <-arrived
	select {
	case <-arrived:
		t.Fatal("three run in two environments")
	default:
	}
	first := x.leave(t)
	z := <-arrived
	second, third := y.leave(t), z.leave(t)
	if first.PID == second.PID {
		t.Error("two at a time ran in one environment")
	}
	if third.PID != first.PID {
		t.Error("the one that waited did not take the free environment")
	}
}

func TestProcessWithdrawsWhoWaits(t *testing.T) {
	p := process(t, lambda.Options{Concurrent: 2}, lambda.ProcessOptions{Environments: 1})
	m := meet(t, p)
	m.arrive(t)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { _, err := p.Invoke(ctx, "Fn", []byte(`{"do":"echo"}`)); failed <- err }()
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("Invoke = %v, want the caller's error", err)
	}
	// Its place is free again: of two places one is taken by the meeting.
	next := meet(t, p)
	_ = m.leave(t)
	next.arrive(t)
	_ = next.leave(t)
}

// Killing an invocation kills its process, at once; the next one gets a new one.
func TestProcessIsKilled(t *testing.T) {
	p := process(t, lambda.Options{}, lambda.ProcessOptions{})
	before, _ := invoke(t, p, `{"do":"echo"}`)
	m := &meeting{filepath.Join(t.TempDir(), "here"), filepath.Join(t.TempDir(), "wait"), nil}
	pipes(t, m.here, m.wait)
	ctx, kill := context.WithCancelCause(t.Context())
	crashed := make(chan lambda.Result, 1)
	go func() {
		result, err := p.Invoke(ctx, "Fn", fmt.Appendf(nil, `{"do":"meet","here":%q,"wait":%q}`, m.here, m.wait))
		if err != nil {
			t.Errorf("Invoke = %v, want a crash", err)
		}
		crashed <- result
	}()
	m.arrive(t)
	kill(lambda.ErrKilled)
	if result := <-crashed; result.ErrorType != "Runtime.ExitError" {
		t.Errorf("Invoke = %+v, want a crash", result)
	}
	awaitEnd(t, before.PID)
	if after, _ := invoke(t, p, `{"do":"echo"}`); after.PID == before.PID {
		t.Error("the function runs in a process that was killed")
	}
}

func TestProcessReapsIdleEnvironments(t *testing.T) {
	p := process(t, lambda.Options{}, lambda.ProcessOptions{IdleAfter: 50 * time.Millisecond})
	a, _ := invoke(t, p, `{"do":"echo"}`)
	awaitEnd(t, a.PID)
	if b, _ := invoke(t, p, `{"do":"echo"}`); b.PID == a.PID {
		t.Error("the function runs in a process that has ended")
	}
}

func TestProcessCloseEndsAllProcesses(t *testing.T) {
	p := process(t, lambda.Options{}, lambda.ProcessOptions{})
	idle, _ := invoke(t, p, `{"do":"echo"}`)
	failed := make(chan error, 1)
	m := &meeting{filepath.Join(t.TempDir(), "here"), filepath.Join(t.TempDir(), "wait"), nil}
	pipes(t, m.here, m.wait)
	go func() {
		_, err := p.Invoke(t.Context(), "Fn", fmt.Appendf(nil, `{"do":"meet","here":%q,"wait":%q}`, m.here, m.wait))
		failed <- err
	}()
	m.arrive(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // there is no time to wait
	if err := p.Close(ctx); err == nil || !strings.Contains(err.Error(), "1 invocations") {
		t.Errorf("Close = %v, want an error that counts what was cut off", err)
	}
	if err := <-failed; !errors.Is(err, lambda.ErrClosed) {
		t.Errorf("Invoke = %v, want ErrClosed", err)
	}
	awaitEnd(t, idle.PID)
}

func TestProcessOutputGoesToTheLog(t *testing.T) {
	var log safeBuffer
	p := process(t, lambda.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, lambda.ProcessOptions{})
	invoke(t, p, `{"do":"print","text":"a b"}`)
	invoke(t, p, `{"do":"log"}`)
	if err := p.Close(t.Context()); err != nil { // after which all output has been read
		t.Fatal(err)
	}
	for _, want := range []string{
		`level=WARN msg=output function=Fn line="on stdout: a b"`, `level=WARN msg=output function=Fn line="on stderr: a b"`,
		`level=INFO msg=output function=Fn line="{\"level\":\"INFO\",\"msg\":\"hi\"}"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %s:\n%s", want, log.String())
		}
	}
}

func TestNewProcessShowsWhatDoesNotBuild(t *testing.T) {
	_, err := lambda.NewProcess(t.Context(), lambda.Options{
		Functions: []lambda.Function{{Name: "A", Folder: "functions/broken"}, {Name: "B", Folder: "functions/none", At: "app.yaml:7"}, {Name: "C", Folder: "functions/tiny"}},
		Log:       slog.New(slog.DiscardHandler),
	}, lambda.ProcessOptions{Dir: "testdata", Cache: cache})
	if err == nil {
		t.Fatal("NewProcess succeeded")
	}
	for _, want := range []string{"functions/broken does not build", "undefined: missing", "app.yaml:7: function B: there is no folder functions/none"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	_, err = lambda.Build(t.Context(), "testdata", cache, []lambda.Function{{Name: "B", Folder: "functions/brokenb"}, {Name: "A", Folder: "functions/brokena"}})
	if err == nil || strings.Count(err.Error(), "undefined: nowhere") != 1 || !strings.Contains(err.Error(), "function A: functions/brokena does not build, and with it B:") {
		t.Errorf("two functions of the same broken package: %v, want the compiler's words once", err)
	}
	for folder, want := range map[string]string{
		"": "no folder of code", ".": "give it the folder of a main package", "..": "package main", "a/b": "no folder a/b", "functions/library": "package main",
	} {
		_, err := lambda.NewProcess(t.Context(), lambda.Options{Functions: []lambda.Function{{Name: "A", Folder: folder}}}, lambda.ProcessOptions{Dir: "testdata", Cache: cache})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("folder %q: NewProcess = %v, want %q", folder, err, want)
		}
	}
}

// A binary stays where it is while it is built again and again, and goes when it has not been for long.
func TestBuildKeepsWhatIsUsed(t *testing.T) {
	dir := t.TempDir()
	functions := []lambda.Function{{Name: "Fn", Folder: "functions/mute"}}
	build := func() string {
		t.Helper()
		binaries, err := lambda.Build(t.Context(), "testdata", dir, functions)
		if err != nil {
			t.Fatal(err)
		}
		return binaries["Fn"]
	}
	first := build()
	older := filepath.Join(filepath.Dir(filepath.Dir(first)), "0123456789abcdef")
	recent := filepath.Join(filepath.Dir(filepath.Dir(first)), "fedcba9876543210")
	for folder, age := range map[string]time.Duration{older: 8 * 24 * time.Hour, recent: time.Hour} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "bootstrap"), nil, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(folder, time.Now().Add(-age), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if again := build(); again != first {
		t.Errorf("built again it is %s, was %s", again, first)
	}
	for path, want := range map[string]bool{first: true, recent: true, older: false} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func BenchmarkProcess(b *testing.B) {
	p := process(b, lambda.Options{}, lambda.ProcessOptions{})
	event := []byte(`{"do":"echo"}`)
	for b.Loop() {
		if _, err := p.Invoke(b.Context(), "Fn", event); err != nil {
			b.Fatal(err)
		}
	}
}
