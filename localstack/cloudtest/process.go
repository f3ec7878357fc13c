package cloudtest

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Process is the local cloud as people run it: its binary, in a process of its own, on a data
// folder. Its methods are for the test's goroutine.
type Process struct {
	t      testing.TB
	binary string
	dir    string
	port   int
	flags  []string
	output lockedBuffer
	cmd    *exec.Cmd // nil while none runs
	exited chan struct{}
}

// readyTimeout bounds the wait for a started process: on a busy machine, recovery after a kill
// takes a moment, and functions that are to be built may need the whole AWS SDK compiled.
const readyTimeout = 2 * time.Minute

// StartProcess builds the local cloud's binary, once per test binary, starts it on the data folder
// and a free port with further flags, and waits until it answers. It is killed when the test ends;
// what it wrote is in the test's output when that has failed.
func StartProcess(t testing.TB, dir string, flags ...string) *Process {
	t.Helper()
	if url := Engine(); url != "" {
		stack := newStack()
		flags = append([]string{"--dynamodb", url, "--stack", stack, "--stream-delay", enginePoll.String()}, flags...)
		dropTables(t, url, stack)
	}
	p := &Process{t: t, binary: Binary(t), dir: dir, port: freePort(t), flags: flags}
	t.Cleanup(func() {
		p.Kill9()
		if t.Failed() {
			t.Logf("the local cloud wrote:\n%s", p.output.String())
		}
	})
	p.start()
	return p
}

// Binary builds the local cloud's binary, once per test binary, and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	binary, err := build(Root(t))
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// URL is where the process answers, as in http://localhost:4566.
func (p *Process) URL() string { return "http://localhost:" + strconv.Itoa(p.port) }

// Kill9 kills the process as kill -9 does, and waits until it is gone.
func (p *Process) Kill9() {
	if p.cmd == nil {
		return
	}
	// An error means that it has ended by itself.
	_ = p.cmd.Process.Kill()
	<-p.exited
	p.cmd = nil
}

// Interrupt ends the process as Ctrl-C does, and returns how long that took and its exit code.
func (p *Process) Interrupt() (time.Duration, int) {
	p.t.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatalf("interrupt the local cloud: %v", err)
	}
	<-p.exited
	code := p.cmd.ProcessState.ExitCode()
	p.cmd = nil
	return time.Since(began), code
}

// Restart kills the process, if it runs, and starts it again on the same port and folder.
func (p *Process) Restart() {
	p.t.Helper()
	p.Kill9()
	p.start()
}

func (p *Process) start() {
	p.t.Helper()
	args := append([]string{"--port", strconv.Itoa(p.port), "--data", p.dir}, p.flags...)
	if mode := os.Getenv("DUET_FUNCTIONS"); mode != "" {
		args = append(args, "--functions", mode, "--template", templateFile(p.t))
	}
	cmd := exec.Command(p.binary, args...)
	cmd.Dir = Root(p.t) // where template.yaml is
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	cmd.SysProcAttr = childAttributes()
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("start the local cloud: %v", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // ProcessState tells
		close(exited)
	}()
	p.cmd, p.exited = cmd, exited
	p.awaitReady()
}

// awaitReady asks until the process answers: it has no way to tell by itself.
func (p *Process) awaitReady() {
	p.t.Helper()
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	deadline := time.After(readyTimeout)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		if resp, err := client.Get(p.URL() + "/_local/health"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-p.exited:
			p.t.Fatalf("the local cloud ended at start: %v", p.cmd.ProcessState)
		case <-deadline:
			p.t.Fatalf("the local cloud does not answer at %s after %v", p.URL(), readyTimeout)
		case <-again.C:
		}
	}
}

// build makes the binary in the user's cache. Test binaries that do so at the same time replace
// each other's, never in the middle of a run.
var build = onceFor(func(root string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no folder for the local cloud's binary: %w", err)
	}
	dir := filepath.Join(cache, "duet", "cloudtest")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "localstack-"+strconv.Itoa(os.Getpid()))
	cmd := exec.Command("go", "build", "-o", binary, "./localstack")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the local cloud: %w\n%s", err, out)
	}
	final := filepath.Join(dir, "localstack")
	return final, os.Rename(binary, final)
})

// onceFor calls f for the first argument only: there is one module.
func onceFor(f func(string) (string, error)) func(string) (string, error) {
	var once sync.Once
	var result string
	var err error
	return func(argument string) (string, error) {
		once.Do(func() { result, err = f(argument) })
		return result, err
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// lockedBuffer takes what a process writes, while the test may read.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
