package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// machine is one computer on which the program is run.
type machine struct {
	t        testing.TB
	endpoint string
	env      map[string]string
}

func newMachine(t testing.TB, endpoint string) *machine {
	return &machine{t, endpoint, map[string]string{"DUET_HOME": filepath.Join(t.TempDir(), "duet"), "DUET_PASSWORD": "correct horse"}}
}

// result is what a run gave.
type result struct {
	code     int
	out, err string
}

// do runs a command line with an input.
func (m *machine) do(input string, args ...string) result {
	m.t.Helper()
	return m.run(m.t.Context(), strings.NewReader(input), args...)
}

func (m *machine) run(ctx context.Context, in io.Reader, args ...string) result {
	var out, err safeBuffer
	c := &console{in: in, out: &out, err: &err, getenv: func(name string) string { return m.env[name] }, program: "duet"}
	code := run(ctx, append([]string{"--endpoint", m.endpoint}, args...), c)
	return result{code, out.String(), err.String()}
}

// must runs a command line that must succeed, and returns its output.
func (m *machine) must(input string, args ...string) string {
	m.t.Helper()
	r := m.do(input, args...)
	if r.code != exitOK {
		m.t.Fatalf("duet %q = exit %d\n%s%s", args, r.code, r.out, r.err)
	}
	return r.out
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func contains(t *testing.T, what, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("%s = %q, want %q in it", what, got, want)
		}
	}
}

func TestTwoPeopleWriteToEachOther(t *testing.T) {
	m := newMachine(t, newFake(t).URL)
	contains(t, "signup", m.must("", "signup", "alice"), "duet chat NAME --as alice")
	m.must("", "signup", "bob")
	contains(t, "send", m.must("", "send", "bob", "hello", "there", "--as", "alice"), "number 1")
	contains(t, "send lines", m.must("one\n\ntwo\r\nthree", "send", "bob", "--as", "alice"), "number 2", "number 3", "number 4")
	contains(t, "who", m.must("", "who", "--as", "bob"), "alice", "4 new of 4")

	chat := m.must("hi alice\n", "chat", "alice", "--as", "bob", "--history", "2")
	contains(t, "chat", chat, "alice: hello there\n", "alice: three\n", "bob: hi alice ✓\n")
	contains(t, "who", m.must("", "who", "--as", "bob"), "0     of 5")

	tests := []struct {
		args []string
		want string // texts, in order
	}{
		{nil, "hello there,one,two,three,hi alice"},
		{[]string{"--limit", "2"}, "three,hi alice"},
		{[]string{"--limit", "2", "--before", "3"}, "hello there,one"},
		{[]string{"--limit", "2", "--after", "0"}, "hello there,one"},
		{[]string{"--limit", "0", "--after", "2"}, "two,three,hi alice"},
	}
	for _, test := range tests {
		args := append([]string{"history", "bob", "--as", "alice", "--json"}, test.args...)
		var texts []string
		for line := range strings.Lines(m.must("", args...)) {
			var message messageLine
			if err := json.Unmarshal([]byte(line), &message); err != nil {
				t.Fatal(err)
			}
			texts = append(texts, message.Text)
		}
		if got := strings.Join(texts, ","); got != test.want {
			t.Errorf("history %q = %s, want %s", test.args, got, test.want)
		}
	}
}

func TestHistoryGoesOnBeyondAPage(t *testing.T) {
	m := newMachine(t, newFake(t).URL)
	m.must("", "signup", "alice")
	m.must("", "signup", "bob")
	m.must(strings.Repeat("x\n", 250), "send", "bob", "--as", "alice")
	for _, args := range [][]string{{}, {"--after", "0"}} {
		out := m.must("", append([]string{"history", "bob", "--as", "alice", "--limit", "240", "--json"}, args...)...)
		if got := strings.Count(out, "\n"); got != 240 {
			t.Errorf("history --limit 240 %q has %d lines", args, got)
		}
	}
}

func TestAChatShowsWhatComesIn(t *testing.T) {
	m := newMachine(t, newFake(t).URL)
	m.must("", "signup", "alice")
	m.must("", "signup", "bob")
	m.must("", "signup", "carol")
	lines, typed := io.Pipe()
	done := make(chan result, 1)
	go func() {
		done <- m.run(t.Context(), lines, "chat", "bob", "--as", "alice", "--receive", "2")
	}()
	_, _ = io.WriteString(typed, "are you there?\n")
	contains(t, "bob's chat", m.must("yes\nwhat is it?\n", "chat", "alice", "--as", "bob", "--receive", "0"), "bob: yes ✓", "bob: what is it? ✓")
	m.must("", "send", "alice", "psst", "--as", "carol")
	typed.Close()
	got := <-done
	if got.code != exitOK {
		t.Errorf("alice's chat: exit %d: %s", got.code, got.err)
	}
	contains(t, "alice's chat", got.out, "alice: are you there? ✓\n", "bob: yes\n", "bob: what is it?\n")
	if strings.Contains(got.out, "psst") {
		t.Errorf("alice's chat with bob shows what carol wrote: %q", got.out)
	}
}

func TestChatAsJSON(t *testing.T) {
	m := newMachine(t, newFake(t).URL)
	m.must("", "signup", "alice")
	r := m.do("hello\n", "chat", "nobody", "--as", "alice", "--json")
	if r.code != exitRefused {
		t.Errorf("exit %d, want %d", r.code, exitRefused)
	}
	var refused bool
	for line := range strings.Lines(r.out) {
		var o object
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		refused = refused || o["type"] == "refused" && o["code"] == "unknown_user" && o["text"] == "hello"
	}
	if !refused {
		t.Errorf("no refusal in %s", r.out)
	}
}

// Two processes of one user are two devices: neither takes the other's connection.
func TestSendWhileAChatRuns(t *testing.T) {
	m := newMachine(t, newFake(t).URL)
	m.must("", "signup", "alice")
	m.must("", "signup", "bob")
	lines, typed := io.Pipe()
	done := make(chan result, 1)
	go func() { done <- m.run(t.Context(), lines, "chat", "bob", "--as", "alice", "--receive", "1") }()
	_, _ = io.WriteString(typed, "from the chat\n")
	m.must("", "send", "bob", "from beside it", "--as", "alice")
	m.must("", "send", "alice", "seen", "--as", "bob")
	typed.Close()
	got := <-done
	if got.code != exitOK {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	contains(t, "the chat", got.out, "alice: from the chat ✓", "alice: from beside it ✓", "bob: seen")
}

func TestWhatGoesWrongHasACodeAndARemedy(t *testing.T) {
	f := newFake(t)
	m := newMachine(t, f.URL)
	m.must("", "signup", "alice")
	m.must("", "signup", "bob")
	gone := newFake(t)
	gone.stop()
	tests := []struct {
		name  string
		input string
		args  []string
		code  int
		want  []string
	}{
		{"nobody by that name is signed in", "", []string{"chat", "bob", "--as", "carol"}, exitSignedOut, []string{"duet signup carol", "duet signin carol"}},
		{"several are", "", []string{"chat", "bob"}, exitUsage, []string{"alice, bob", "--as"}},
		{"a chat with oneself", "", []string{"chat", "bob", "--as", "bob"}, exitUsage, []string{"yourself"}},
		{"a recipient that does not exist", "", []string{"send", "nobody", "hi", "--as", "bob"}, exitRefused, []string{"unknown_user", "duet signup"}},
		{"oneself as recipient", "", []string{"send", "bob", "hi", "--as", "bob"}, exitRefused, []string{"yourself"}},
		{"a text over the limit", strings.Repeat("x", 4097) + "\n", []string{"send", "alice", "--as", "bob"}, exitRefused, []string{"4097", "4096"}},
		{"a name that is taken", "", []string{"signup", "bob"}, exitRefused, []string{"taken", "duet signin bob"}},
		{"a weak password", "short\n", []string{"signup", "carol", "--password-stdin"}, exitRefused, []string{"too weak"}},
		{"a wrong password", "wrong horse\n", []string{"signin", "bob", "--password-stdin"}, exitRefused, []string{"wrong user name or password"}},
		{"no password", "\n", []string{"signin", "bob", "--password-stdin"}, exitUsage, []string{"empty"}},
		{"an unknown command", "", []string{"frob"}, exitUsage, []string{"frob", "duet --help"}},
		{"an endpoint that does not answer", "", []string{"who", "--endpoint", gone.URL}, exitUnreachable, []string{"--endpoint " + gone.URL}},
		{"a file that does not exist", "", []string{"who", "--endpoint", "outputs.json"}, exitUsage, []string{"outputs.json", "sam list stack-outputs"}},
		{"a load that cannot be", "", []string{"bench", "--size", "4"}, exitUsage, []string{"--size"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := m.do(test.input, test.args...)
			if r.code != test.code {
				t.Errorf("exit %d, want %d", r.code, test.code)
			}
			contains(t, "standard error", r.err, test.want...)
		})
	}
}

func TestErrorsAsJSON(t *testing.T) {
	m := newMachine(t, newFake(t).URL)
	m.must("", "signup", "bob")
	r := m.do("", "send", "nobody", "hi", "--json")
	var got object
	if err := json.Unmarshal([]byte(r.err), &got); err != nil {
		t.Fatalf("%q: %v", r.err, err)
	}
	if got["code"] != "unknown_user" || got["exit"] != float64(exitRefused) {
		t.Errorf("error = %v", got)
	}
}

func TestASessionThatHasEnded(t *testing.T) {
	f := newFake(t)
	m := newMachine(t, f.URL)
	m.must("", "signup", "alice")
	f.forget()
	for _, args := range [][]string{{"send", "bob", "hi"}, {"history", "bob"}, {"chat", "bob"}, {"who"}} {
		r := m.do("hi\n", args...)
		if r.code != exitSignedOut {
			t.Errorf("duet %q = exit %d, want %d: %s", args, r.code, exitSignedOut, r.err)
		}
		contains(t, "standard error", r.err, "duet signin alice", "duet signup alice")
	}
	m.must("", "signin", "alice")
	m.must("", "who")
	m.must("", "signout")
	if r := m.do("", "history", "bob"); r.code != exitSignedOut {
		t.Errorf("after signout: exit %d, want %d", r.code, exitSignedOut)
	}
}

// Without a connection a command ends in time, and says so; a message is sent by the next one (G2).
func TestNoConnection(t *testing.T) {
	f := newFake(t)
	m := newMachine(t, f.URL)
	m.must("", "signup", "alice")
	m.must("", "signup", "bob")
	f.mu.Lock()
	f.refuse = true
	f.mu.Unlock()
	for _, args := range [][]string{{"send", "bob", "kept"}, {"chat", "bob"}, {"history", "bob"}, {"who"}} {
		r := m.do("typed\n", append(args, "--as", "alice", "--timeout", "200ms")...)
		if r.code != exitUnreachable {
			t.Errorf("duet %q = exit %d, want %d: %s", args, r.code, exitUnreachable, r.err)
		}
		contains(t, "standard error", r.err, "no connection", "503")
	}
	f.mu.Lock()
	f.refuse = false
	f.mu.Unlock()
	m.must("", "send", "bob", "last", "--as", "alice")
	var texts []string
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, message := range f.logs["alice~bob"] {
		texts = append(texts, message["text"].(string))
	}
	if got := strings.Join(texts, ","); got != "kept,typed,last" {
		t.Errorf("the log is %s, want kept,typed,last", got)
	}
}

func TestADamagedFileIsNamed(t *testing.T) {
	m := newMachine(t, newFake(t).URL)
	m.must("", "signup", "alice")
	found, err := filepath.Glob(filepath.Join(m.env["DUET_HOME"], "*", "user-alice", "tokens.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("tokens: %q, %v", found, err)
	}
	if err := os.WriteFile(found[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := m.do("", "history", "bob")
	if r.code != exitLocal {
		t.Errorf("exit %d, want %d", r.code, exitLocal)
	}
	contains(t, "standard error", r.err, found[0], "remove it")
}

func TestPasswordsAreNeverArguments(t *testing.T) {
	m := newMachine(t, newFake(t).URL)
	if r := m.do("", "signup", "alice", "--password", "correct horse"); r.code != exitUsage {
		t.Errorf("--password: exit %d, want %d", r.code, exitUsage)
	}
	delete(m.env, "DUET_PASSWORD")
	r := m.do("correct horse\n", "signup", "alice")
	if r.code != exitUsage {
		t.Errorf("no password and no terminal: exit %d, want %d", r.code, exitUsage)
	}
	contains(t, "standard error", r.err, "--password-stdin", "DUET_PASSWORD")
	m.must("correct horse\r\n", "signup", "alice", "--password-stdin")
	m.env["DUET_PASSWORD"] = "correct horse"
	m.must("", "signin", "alice")
}

func TestTextsCannotControlTheTerminal(t *testing.T) {
	tests := []struct{ text, want string }{
		{"plain, ünïcödé 😀", "plain, ünïcödé 😀"},
		{"two\nlines", "two\n    lines"},
		{"\x1b[2Jgone\x07", "\ufffd[2Jgone\ufffd"},
		{"a\rb\u009b31m", "a\ufffdb\ufffd31m"},
		{"abc\u202edcba", "abc\ufffddcba"},
	}
	for _, test := range tests {
		if got := printable(test.text); got != test.want {
			t.Errorf("printable(%q) = %q, want %q", test.text, got, test.want)
		}
	}
}

func TestTheClockShowsTheDateOfOtherDays(t *testing.T) {
	now := time.Date(2026, 11, 23, 15, 4, 5, 0, time.UTC)
	if got := clock(now.Add(-time.Hour), now); got != "14:04:05" {
		t.Errorf("an hour ago = %s", got)
	}
	if got := clock(now.Add(-24*time.Hour), now); got != "2026-11-22 15:04:05" {
		t.Errorf("a day ago = %s", got)
	}
}

// A script that starts after the other has written does not wait for what it was shown already.
func TestReceiveCountsWhatCameBeforeTheStart(t *testing.T) {
	m := newMachine(t, newFake(t).URL)
	m.must("", "signup", "alice")
	m.must("", "signup", "bob")
	m.must("yes\nwhat is it?\n", "chat", "alice", "--as", "bob")
	contains(t, "alice's chat", m.must("", "chat", "bob", "--as", "alice", "--receive", "2"), "bob: yes\n", "bob: what is it?\n")
}
