package cloudtest_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/cloud"
	"github.com/duet-chat/duet/localstack/cloudtest"
)

func health(t *testing.T, base string) int {
	t.Helper()
	resp, err := http.Get(base + "/_local/health")
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestStart(t *testing.T) {
	var first string
	t.Run("in memory", func(t *testing.T) {
		first = cloudtest.Start(t).URL()
		if got := health(t, first); got != http.StatusOK {
			t.Errorf("health = %d, want 200", got)
		}
	})
	if got := health(t, first); got != 0 {
		t.Errorf("health after the test = %d, want no answer", got)
	}
	t.Run("changed", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		cloudtest.Start(t, func(c *cloud.Config) { c.Dir = dir })
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("there is no data folder: %v", err)
		}
	})
}

func TestProcess(t *testing.T) {
	p := cloudtest.StartProcess(t, t.TempDir())
	url := p.URL()
	p.Kill9()
	if got := health(t, url); got != 0 {
		t.Errorf("health after kill -9 = %d, want no answer", got)
	}
	p.Restart()
	if p.URL() != url {
		t.Errorf("restarted at %s, want %s", p.URL(), url)
	}
	if got := health(t, url); got != http.StatusOK {
		t.Errorf("health after restart = %d, want 200", got)
	}
	took, code := p.Interrupt()
	if took > time.Second || code != 0 {
		t.Errorf("Ctrl-C took %v with exit code %d, want at most 1s and 0", took, code)
	}
}
