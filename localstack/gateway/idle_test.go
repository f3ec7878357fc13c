package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/gateway"
)

const (
	idleHostVariable  = "GATEWAY_IDLE_HOST"  // set in the process that plays the clients
	idleCountVariable = "GATEWAY_IDLE_COUNT" // connections; set it to run the measurement
)

// runIdleClients makes this binary a process that opens connections, says so,
// and waits until its standard input ends: clients must not count as the server's memory.
func runIdleClients() bool {
	host := os.Getenv(idleHostVariable)
	if host == "" {
		return false
	}
	count, _ := strconv.Atoi(os.Getenv(idleCountVariable))
	conns := make([]net.Conn, 0, count)
	for n := range count {
		conn, err := net.Dial("tcp", host)
		if err == nil {
			// A handshake of a usual size: a browser's headers and a token.
			_, err = fmt.Fprintf(conn, "GET /prod HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUser-Agent: idle/1\r\n"+
				"Authorization: Bearer %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", host, strings.Repeat("t", 900))
		}
		if err == nil {
			var resp *http.Response
			if resp, err = http.ReadResponse(bufio.NewReaderSize(conn, 256), nil); err == nil && resp.StatusCode != 101 {
				err = fmt.Errorf("status %d", resp.StatusCode)
			}
		}
		if err != nil {
			fmt.Printf("connection %d: %v\n", n, err)
			return true
		}
		_, _ = conn.Write(text("hello")) // its reply stays unread
		conns = append(conns, conn)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(conns)
	return true
}

// An idle connection costs at most 20 KiB of the process and no CPU.
func TestIdleConnectionsAreCheap(t *testing.T) {
	count, err := strconv.Atoi(os.Getenv(idleCountVariable))
	if err != nil {
		t.Skipf("takes seconds and file descriptors; %s=5000 go test -run %s -v runs it", idleCountVariable, t.Name())
	}
	const budget = 20 << 10
	api := guarded()
	s := start(t, api, gateway.Options{Limits: gateway.Limits{NoThrottling: true}, Invoker: chatFunctions().with("authorize",
		answer(allow+`,"context":{"user":"alice","device":"d1","exp":"1763900000"}}`))})
	before, heapBefore := memory(t)

	clients := exec.Command(os.Args[0])
	clients.Env = append(os.Environ(), idleHostVariable+"="+s.host)
	stdin, err := clients.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := clients.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := clients.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close(); _ = clients.Wait() }()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if line != "ready\n" {
		t.Fatalf("clients: %q, %v", line, err)
	}
	after, heapAfter := memory(t)
	each, heapEach := (after-before)/count, (heapAfter-heapBefore)/count
	cpu := cpuTime(t)
	<-time.After(2 * time.Second) // idleness is what is measured
	cpu = cpuTime(t) - cpu
	t.Logf("%d idle connections: %d bytes of resident memory each, %d of them heap and stacks in use; %v CPU in 2 s",
		count, each, heapEach, cpu)
	if each > budget {
		t.Errorf("an idle connection takes %d bytes, more than %d", each, budget)
	}
	if cpu > 40*time.Millisecond {
		t.Errorf("%v CPU in 2 s of idleness", cpu)
	}
}

// memory returns resident memory, and heap and stacks in use, after giving back what is free.
func memory(t *testing.T) (resident, used int) {
	t.Helper()
	for range 3 {
		debug.FreeOSMemory()
	}
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc here: ", err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(statm), &size, &pages); err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return pages * os.Getpagesize(), int(m.HeapInuse + m.StackInuse)
}

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Skip("no /proc here: ", err)
	}
	// proc(5): utime and stime are the 12th and 13th after the name, in ticks of 10 ms.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
