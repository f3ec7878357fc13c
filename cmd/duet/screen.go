package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// screen is where a chat shows lines and reads them.
type screen interface {
	// show writes a line of the conversation; it may be called concurrently.
	show(line string)
	// note writes a line about the chat itself.
	note(line string)
	// read returns the next line of input, or io.EOF.
	read() (string, error)
	// setPrompt changes what stands before the cursor, if there is one.
	setPrompt(prompt string)
	// onKey has a function called with each key of a text, but not of a command; before read is.
	onKey(func())
	close()
}

// pipe is the screen of scripts: lines in, lines out, notes beside them.
type pipe struct {
	in       *bufio.Reader
	mu       sync.Mutex // guards out and err
	out, err io.Writer
}

func newPipe(c *console) *pipe {
	return &pipe{in: bufio.NewReader(c.in), out: c.out, err: c.err}
}

func (p *pipe) show(line string) { p.write(p.out, line) }
func (p *pipe) note(line string) { p.write(p.err, line) }
func (p *pipe) setPrompt(string) {}
func (p *pipe) onKey(func())     {}
func (p *pipe) close()           {}

func (p *pipe) write(w io.Writer, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(w, line)
}

func (p *pipe) read() (string, error) {
	line, err := p.in.ReadString('\n')
	if line != "" && errors.Is(err, io.EOF) {
		err = nil
	}
	return strings.TrimRight(line, "\r\n"), err
}

const firstPrompt = "> "

// terminal is the screen of people: what is being typed stays below what comes in. A typed line
// disappears when it is entered: the message appears where it stands in the conversation, once it
// is stored.
type terminal struct {
	keyboard, display *os.File
	before            *term.State // of the keyboard, to go back to
	*term.Terminal

	// writing is held for each line shown, and from the moment Enter is read until the typed line
	// has been taken away: a line shown in between would be taken away in its place.
	writing sync.Mutex
	entered bool // writing is held by the reader
	prompt  string
}

func newTerminal(keyboard, display *os.File) (*terminal, error) {
	before, err := term.MakeRaw(int(keyboard.Fd()))
	if err != nil {
		return nil, err
	}
	t := &terminal{keyboard: keyboard, display: display, before: before, prompt: firstPrompt}
	t.Terminal = term.NewTerminal(terminalIO{t}, firstPrompt)
	return t, nil
}

// terminalIO is the terminal as the line editor sees it.
type terminalIO struct{ *terminal }

func (t terminalIO) Read(b []byte) (int, error) {
	n, err := t.keyboard.Read(b)
	if strings.ContainsAny(string(b[:n]), "\r\n") && !t.entered {
		t.writing.Lock()
		t.entered = true
	}
	return n, err
}

func (t terminalIO) Write(b []byte) (int, error) { return t.display.Write(b) }

func (t *terminal) show(line string) {
	t.writing.Lock()
	defer t.writing.Unlock()
	fmt.Fprintln(t.Terminal, line)
}

func (t *terminal) note(line string) { t.show(line) }

func (t *terminal) read() (string, error) {
	width, height, err := term.GetSize(int(t.display.Fd()))
	if err == nil && width > 0 {
		_ = t.SetSize(width, height)
	}
	line, err := t.ReadLine()
	if t.entered {
		if err == nil && width > 0 {
			rows := (utf8.RuneCountInString(t.prompt)+utf8.RuneCountInString(line))/width + 1
			fmt.Fprintf(t.display, "\x1b[%dA\r\x1b[J", rows)
		}
		t.entered = false
		t.writing.Unlock()
	}
	return line, err
}

func (t *terminal) setPrompt(prompt string) {
	t.writing.Lock()
	defer t.writing.Unlock()
	if prompt == t.prompt {
		return
	}
	t.prompt = prompt
	t.SetPrompt(prompt)
	_, _ = t.Terminal.Write(nil) // draws the line again
}

func (t *terminal) onKey(do func()) {
	t.AutoCompleteCallback = func(line string, _ int, key rune) (string, int, bool) {
		if unicode.IsPrint(key) && !strings.HasPrefix(line, "/") && (line != "" || key != '/') {
			do()
		}
		return "", 0, false
	}
}

func (t *terminal) close() {
	_ = term.Restore(int(t.keyboard.Fd()), t.before)
	fmt.Fprint(t.display, "\r\x1b[K")
}
