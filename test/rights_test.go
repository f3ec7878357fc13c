package test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Least privilege: template.yaml grants nothing that no test of this package uses. A function that is
// new has its rights used by the tests of what it does; the others are to be taken out of its policy.

// rareRights are granted for what no test here makes happen, each with its reason.
var rareRights = map[string]string{
	"AccountFunction dynamodb:DeleteItem WatchersTable": "a watcher whose connection is found gone, while an account is erased",
	"BlockFunction dynamodb:DeleteItem WatchersTable":   "a watcher whose connection is found gone, while it is told of a block",
	"WatchFunction dynamodb:DeleteItem WatchersTable":   "a watcher whose connection is found gone, while a user hides",
}

// right is something that a function may do, as rareRights names it.
func (d *target) right(function, action, resource string) string {
	if parts := strings.SplitN(resource, ":", 6); len(parts) == 6 {
		resource = parts[5]
	}
	for output, value := range d.outputs {
		if strings.HasSuffix(output, "Table") && (resource == "table/"+value || strings.HasPrefix(resource, "table/"+value+"/")) {
			resource = output + strings.TrimPrefix(resource, "table/"+value)
		}
	}
	if before, _, ok := strings.Cut(resource, "/stream/"); ok {
		resource = before + "/stream" // each local cloud has another
	}
	if _, connections, ok := strings.Cut(resource, "/prod/"); ok {
		resource = connections
	}
	return function + " " + action + " " + resource
}

// ledger adds up which rights were used in local clouds.
type ledger struct {
	mu     sync.Mutex      // guards what follows
	rights map[string]bool // that are granted; true for those that were used
}

// rights are those of all tests of this run: only TestMain sees the whole.
var rights = &ledger{rights: map[string]bool{}}

// note adds what a local cloud tells at the end of a test.
func (l *ledger) note(t testing.TB, d *target) {
	type list []struct{ Action, Resource string }
	var functions map[string]struct {
		Used      list
		NeverUsed list `json:"never_used"`
	}
	if err := json.Unmarshal(d.get(t, "/_local/rights"), &functions); err != nil {
		t.Error(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for function, rights := range functions {
		for _, r := range rights.Used {
			l.rights[d.right(function, r.Action, r.Resource)] = true
		}
		for _, r := range rights.NeverUsed {
			if name := d.right(function, r.Action, r.Resource); !l.rights[name] {
				l.rights[name] = false
			}
		}
	}
}

// wrong says which rights nobody used, and which are called rare but are not granted.
func (l *ledger) wrong() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(l.rights)) {
		if !l.rights[name] && rareRights[name] == "" {
			all = append(all, "template.yaml grants what no test uses: "+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rareRights)) {
		if _, granted := l.rights[name]; !granted {
			all = append(all, "template.yaml does not grant what rareRights has: "+name)
		}
	}
	return all
}

// isWhole tells whether this run is one of all tests, on local clouds of their own with the embedded
// engine.
func isWhole() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return !testing.Short() && os.Getenv("DUET_TARGET") == "" && os.Getenv("DUET_TEST_DYNAMODB") == ""
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if code == 0 && isWhole() {
		if wrong := rights.wrong(); len(wrong) > 0 {
			fmt.Println(strings.Join(wrong, "\n"))
			fmt.Println("FAIL: use these rights in a test, take them out of the function's Policies, or give the reason in rareRights of rights_test.go")
			code = 1
		}
	}
	os.Exit(code)
}

// The ledger itself: a right is used if any cloud says so.
func TestLedgerOfRights(t *testing.T) {
	d := localTarget(t, "asks for rights that were used")
	l := &ledger{rights: map[string]bool{}}
	alice := d.user(t, "alice")
	l.note(t, d)
	const posts = "DeliverFunction execute-api:ManageConnections POST/@connections/*"
	const registers = "RegisterFunction dynamodb:PutItem UsersTable"
	if !l.rights[registers] {
		t.Errorf("%s was signed up, but %q was not used: %v", alice.name, registers, l.rights)
	}
	if used, granted := l.rights[posts]; used || !granted {
		t.Errorf("%q: used %v, granted %v, before anything was sent", posts, used, granted)
	}
	if wrong := strings.Join(l.wrong(), "\n"); !strings.Contains(wrong, posts) || strings.Contains(wrong, registers) {
		t.Errorf("wrong rights: %s", wrong)
	}
}
