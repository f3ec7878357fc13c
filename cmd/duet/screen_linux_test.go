package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newPTY opens a pseudo-terminal: what is written to master is typed, what is read from it is shown.
// Source: pts(4).
func newPTY(t *testing.T) (master, tty *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { tty.Close() })
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	return master, tty
}

// typist types on a terminal and reads what it shows.
type typist struct {
	t      *testing.T
	master *os.File
	shown  strings.Builder
}

func (p *typist) types(keys string) {
	p.t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// sees waits until a text is shown.
func (p *typist) sees(text string) {
	p.t.Helper()
	buffer := make([]byte, 4096)
	for !strings.Contains(p.shown.String(), text) {
		n, err := p.master.Read(buffer)
		if err != nil {
			p.t.Fatalf("%v; shown: %q, want %q", err, p.shown.String(), text)
		}
		p.shown.Write(buffer[:n])
	}
}

func TestChatOnATerminal(t *testing.T) {
	m := newMachine(t, newFake(t).URL)
	m.must("", "signup", "alice")
	m.must("", "signup", "bob")
	master, tty := newPTY(t)
	done := make(chan int, 1)
	go func() {
		c := &console{in: tty, out: tty, err: tty, keyboard: tty, display: tty, getenv: func(name string) string { return m.env[name] }, program: "duet"}
		done <- run(t.Context(), []string{"--endpoint", m.endpoint, "chat", "bob", "--as", "alice"}, c)
	}()
	p := &typist{t: t, master: master}
	p.sees("* connected\r\n")
	p.types("hello\r")
	p.sees("> hello\r\n")
	p.sees("\x1b[1A\r\x1b[J")    // the typed line is taken away
	p.sees("alice: hello ✓\r\n") // and stands in the log once it is stored
	p.types("half a sent")
	p.sees("half a sent")
	m.must("", "send", "alice", "hi", "--as", "bob")
	p.sees("bob: hi\r\n✓ > half a sent") // the own last one is stored
	p.types("ence\r")
	p.sees("alice: half a sentence ✓\r\n")
	p.types(strings.Repeat("x", 100) + "\r")
	p.sees("\x1b[2A\r\x1b[J") // it had two rows
	p.sees(strings.Repeat("x", 100) + " ✓\r\n")
	p.types("\x04") // Ctrl-D
	if code := <-done; code != exitOK {
		t.Errorf("exit %d: %q", code, p.shown.String())
	}
}

// A terminal that is raw sends no interrupt: Ctrl-C must end a chat that has not begun, too.
func TestCtrlCEndsAChatWithoutAConnection(t *testing.T) {
	f := newFake(t)
	m := newMachine(t, f.URL)
	m.must("", "signup", "alice")
	f.mu.Lock()
	f.refuse = true
	f.mu.Unlock()
	master, tty := newPTY(t)
	done := make(chan int, 1)
	go func() {
		c := &console{in: tty, out: tty, err: tty, keyboard: tty, display: tty, getenv: func(name string) string { return m.env[name] }, program: "duet"}
		done <- run(t.Context(), []string{"--endpoint", m.endpoint, "chat", "bob"}, c)
	}()
	p := &typist{t: t, master: master}
	p.sees("* no connection")
	p.types("\x03")
	if code := <-done; code != exitOK {
		t.Errorf("exit %d: %q", code, p.shown.String())
	}
}

func TestPasswordsAreTypedUnseen(t *testing.T) {
	m := newMachine(t, newFake(t).URL)
	delete(m.env, "DUET_PASSWORD")
	master, tty := newPTY(t)
	done := make(chan int, 1)
	signup := func() {
		c := &console{in: tty, out: tty, err: tty, keyboard: tty, display: tty, getenv: func(name string) string { return m.env[name] }, program: "duet"}
		done <- run(t.Context(), []string{"--endpoint", m.endpoint, "signup", "alice"}, c)
	}
	p := &typist{t: t, master: master}
	go signup()
	p.sees("Password for alice: ")
	p.types("correct horse\r")
	p.sees("Once more: ")
	p.types("correct house\r")
	p.sees("differ")
	if code := <-done; code != exitUsage {
		t.Errorf("two different passwords: exit %d, want %d", code, exitUsage)
	}
	p.shown.Reset()
	go signup()
	p.sees("Password for alice: ")
	p.types("\x03")
	if code := <-done; code != exitInterrupted {
		t.Errorf("Ctrl-C: exit %d, want %d", code, exitInterrupted)
	}
	p.shown.Reset()
	go signup()
	p.sees("Password for alice: ")
	p.types("correct horse\r")
	p.sees("Once more: ")
	p.types("correct horse\r")
	p.sees("has signed up")
	if code := <-done; code != exitOK {
		t.Errorf("exit %d", code)
	}
	if strings.Contains(p.shown.String(), "horse") {
		t.Errorf("the password was shown: %q", p.shown.String())
	}
}
