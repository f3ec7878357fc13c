package cloudtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/duet-chat/duet/localstack/fault"
)

// Faults lets a local cloud fail that answers at a base URL, by its API alone. Its methods are for
// the test's goroutine.
type Faults struct {
	t   testing.TB
	url string
}

// FaultsAt is for the local cloud at a base URL. All faults end with the test.
func FaultsAt(t testing.TB, base string) *Faults {
	f := &Faults{t, base + fault.Path}
	t.Cleanup(func() { f.request(http.MethodDelete, "", nil, io.Discard) })
	return f
}

// Set replaces the rules, as of fault.Parse, and starts a new record. A seed of 0 draws one.
func (f *Faults) Set(seed uint64, rules ...string) {
	f.t.Helper()
	f.must(http.MethodPut, "", map[string]any{"seed": seed, "rules": rules})
}

// Add adds rules; what happens at now happens before it returns.
func (f *Faults) Add(rules ...string) {
	f.t.Helper()
	f.must(http.MethodPost, "", map[string]any{"rules": rules})
}

// Clear ends all faults and tells what came of them.
func (f *Faults) Clear() fault.Status {
	f.t.Helper()
	return f.status(f.must(http.MethodDelete, "", nil))
}

// Status tells what came of the rules so far.
func (f *Faults) Status() fault.Status {
	f.t.Helper()
	return f.status(f.must(http.MethodGet, "", nil))
}

// Script is a plan that repeats exactly the faults so far.
func (f *Faults) Script() string {
	f.t.Helper()
	return string(f.must(http.MethodGet, "/script", nil))
}

func (f *Faults) status(body []byte) (s fault.Status) {
	f.t.Helper()
	if err := json.Unmarshal(body, &s); err != nil {
		f.t.Fatalf("%s: %v in %s", f.url, err, body)
	}
	return s
}

func (f *Faults) must(method, path string, plan any) []byte {
	f.t.Helper()
	var body bytes.Buffer
	status, err := f.request(method, path, plan, &body)
	if err != nil || status != http.StatusOK {
		f.t.Fatalf("%s %s%s: %d %s %v", method, f.url, path, status, &body, err)
	}
	return body.Bytes()
}

func (f *Faults) request(method, path string, plan any, to io.Writer) (status int, err error) {
	var body io.Reader
	if plan != nil {
		text, err := json.Marshal(plan)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, f.url+path, body)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(to, resp.Body)
	return resp.StatusCode, err
}
