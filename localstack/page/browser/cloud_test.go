package browser_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds each wait.
const patience = 20 * time.Second

// build makes the local cloud and the terminal client, once, in a folder that main removes.
var build = sync.OnceValues(func() (folder string, err error) {
	if folder, err = os.MkdirTemp("", "duet-browser-"); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", folder+"/", "./localstack", "./cmd/duet")
	cmd.Dir = filepath.Join("..", "..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return folder, fmt.Errorf("build: %w\n%s", err, out)
	}
	return folder, nil
})

func TestMain(m *testing.M) {
	folder, err := build()
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// cloud is a local cloud as `make run` starts it, on a data folder.
type cloud struct {
	t      *testing.T
	folder string // of the binaries
	home   string // of data and accounts
	port   string
	url    string
	cmd    *exec.Cmd // nil while none runs
}

func startCloud(t *testing.T) *cloud {
	t.Helper()
	folder, err := build()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	c := &cloud{t: t, folder: folder, home: t.TempDir(), port: port, url: "http://localhost:" + port}
	t.Cleanup(c.stop)
	c.start()
	return c
}

func (c *cloud) start() {
	c.t.Helper()
	c.cmd = exec.Command(filepath.Join(c.folder, "localstack"), "--port", c.port, "--data", filepath.Join(c.home, "data"))
	c.cmd.Dir = filepath.Join("..", "..", "..") // where template.yaml is
	c.cmd.Stderr = c.t.Output()
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for deadline := time.After(patience); ; {
		if resp, err := http.Get(c.url + "/_local/health"); err == nil {
			_ = resp.Body.Close()
			return
		}
		select {
		case <-deadline:
			c.t.Fatalf("the local cloud does not answer at %s", c.url)
		case <-again.C:
		}
	}
}

func (c *cloud) stop() {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Kill() // an error means that it has ended by itself
	_ = c.cmd.Wait()
	c.cmd = nil
	http.DefaultClient.CloseIdleConnections()
}

// usage is what the API says: service → metric → sum over its resources.
func (c *cloud) usage() map[string]map[string]float64 {
	c.t.Helper()
	resp, err := http.Get(c.url + "/_local/usage")
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	var all map[string]map[string]map[string]float64
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		c.t.Fatal(err)
	}
	sums := map[string]map[string]float64{}
	for service, resources := range all {
		sums[service] = map[string]float64{}
		for _, metrics := range resources {
			for metric, value := range metrics {
				sums[service][metric] += value
			}
		}
	}
	return sums
}

func (c *cloud) command(arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(c.t.Context(), filepath.Join(c.folder, "duet"), arguments...)
	cmd.Env = append(os.Environ(), "DUET_ENDPOINT="+c.url, "DUET_HOME="+filepath.Join(c.home, "accounts"), "DUET_PASSWORD=correct horse battery")
	return cmd
}

// duet runs the terminal client, which must succeed.
func (c *cloud) duet(arguments ...string) {
	c.t.Helper()
	if out, err := c.command(arguments...).CombinedOutput(); err != nil {
		c.t.Fatalf("duet %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
}

// chatting is somebody who sits in a chat.
type chatting struct {
	t     *testing.T
	input io.Closer
	cmd   *exec.Cmd
}

// chat lets somebody sit in a chat, silently.
func (c *cloud) chat(arguments ...string) chatting {
	c.t.Helper()
	cmd := c.command(append([]string{"chat"}, arguments...)...)
	input, err := cmd.StdinPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	return chatting{c.t, input, cmd}
}

// end is Ctrl-D.
func (c chatting) end() {
	c.t.Helper()
	_ = c.input.Close() // it has ended by itself if this fails
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("duet chat: %v", err)
	}
}
