package lambda_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/duet-chat/duet/localstack/lambda"
)

// parent is what the test binary does as the local cloud that is killed: it starts a function's
// process, tells its id, and waits.
func parent() int {
	p, err := lambda.NewProcess(context.Background(), lambda.Options{
		Functions: []lambda.Function{{Name: "Fn", Folder: "functions/tiny", Timeout: time.Minute}}, Log: slog.New(slog.DiscardHandler),
	}, lambda.ProcessOptions{Dir: "testdata", Cache: os.Getenv("LAMBDA_TEST_PARENT")})
	if err != nil {
		panic(err)
	}
	result, err := p.Invoke(context.Background(), "Fn", []byte(`{"do":"echo"}`))
	if err != nil {
		panic(err)
	}
	var a answer
	if err := json.Unmarshal(result.Payload, &a); err != nil {
		panic(err)
	}
	fmt.Println(a.PID)
	select {}
}

func TestProcessesEndWhenTheirParentIsKilled(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LAMBDA_TEST_PARENT="+cache)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	awaitEnd(t, pid)
}

// awaitEnd returns when the process has ended.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000)
		switch {
		case err == unix.EINTR:
		case err != nil || n == 0:
			t.Fatalf("process %d has not ended (%v)", pid, err)
		default:
			return
		}
	}
}

func pipes(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
