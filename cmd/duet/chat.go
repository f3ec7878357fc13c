package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/duet-chat/duet/client"
)

type chatCmd struct {
	User    string `arg:"" help:"Who to chat with."`
	History int    `default:"20" help:"How many earlier messages to show first (${default}); unread ones are shown beyond that, up to ${mostunread}."`
	Receive int    `help:"For scripts: when the input has ended, stay until so many messages of the other user have come that this device had not seen, at most for --timeout."`
}

// mostUnread bounds what a chat shows before it begins.
const mostUnread = 200

// Run chats until the input ends, and everything that was typed is stored.
func (c *chatCmd) Run(ctx context.Context, a *app) error {
	acc, err := a.account(ctx)
	if err != nil {
		return err
	}
	if c.User == acc.user {
		return fail(exitUsage, "", "a chat is between two different users: %s is yourself", c.User)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &chat{app: a, peer: c.User, user: acc.user, expect: c.Receive, changed: make(chan struct{}, 1), wrote: map[string]bool{}, begun: make(chan struct{}), stop: ctx.Done()}
	if t.screen, err = a.screen(); err != nil {
		return err
	}
	defer t.screen.close()
	t.session, err = a.connect(ctx, acc, true, client.Config{
		OnMessage: t.message, OnStatus: t.status, OnReceipt: t.receipt, OnTyping: t.typing, OnPresence: t.presence,
	})
	if err != nil {
		return err
	}
	defer t.session.close()
	defer cancel() // before close: OnMessage may wait for the history, which will not come
	if err := t.session.Watch(c.User); err != nil {
		return err
	}
	if a.interactive() {
		t.note("%s to %s at %s. Enter sends, /help tells more, Ctrl-D ends.", acc.user, c.User, a.Endpoint)
		t.screen.onKey(t.key)
	}
	began := make(chan error, 1)
	go func() { began <- t.begin(ctx, c.History) }()
	return t.run(ctx, began)
}

func (a *app) screen() (screen, error) {
	if a.interactive() {
		return newTerminal(a.keyboard, a.display)
	}
	return newPipe(a.console), nil
}

// chat is one chat while it runs.
type chat struct {
	*app
	peer, user string
	session    *session
	screen     screen
	thread     client.Thread
	begun      chan struct{}   // closed when the history has been shown
	shown      int64           // the last entry of the history; set before begun is closed
	stop       <-chan struct{} // closed when the chat ends

	// The client's callbacks alone use these; it makes one at a time.
	online bool            // it has been once
	cut    bool            // the user was told that there is no connection
	wrote  map[string]bool // other users of whom it was told that they have written

	expect  int           // texts of the peer to wait for at the end
	changed chan struct{} // something of what follows has
	mu      sync.Mutex    // guards what follows
	open    bool          // begun
	queue   []string      // typed, and not worked on yet
	busy    bool          // with a command
	sending int           // lines that are neither stored nor refused
	refused error         // the last refusal
	stored  int64         // the highest number of an own entry that was stored
	latest  int64         // the highest number shown
	theirs  int           // texts of the peer that are new to this device
	oldest  int64         // the lowest number shown
	line    promptLine
}

func (t *chat) note(format string, args ...any) {
	if !t.JSON {
		t.screen.note("* " + fmt.Sprintf(format, args...))
	}
}

// object writes a JSON line; lines of several goroutines do not mix.
func (t *chat) object(v any) { t.screen.show(jsonLine(v)) }

// begin shows the end of the conversation, with everything unread.
func (t *chat) begin(ctx context.Context, recent int) error {
	all, err := t.session.Conversations(ctx)
	if err != nil {
		return err
	}
	var with client.Conversation
	for _, c := range all {
		if c.Peer == t.peer {
			with = c
		}
	}
	t.peerCame(with.Theirs)
	if with.Blocked {
		t.note("you have blocked %s: /unblock", t.peer)
	}
	if limit := max(recent, int(min(with.Unread, mostUnread))); limit > 0 {
		history, err := t.session.latest(ctx, t.peer, 0, limit)
		if err != nil {
			return err
		}
		if with.Unread > int64(limit) {
			t.note("%d earlier unread messages: %s", with.Unread-int64(limit), t.command("history %s --as %s --limit %d", t.peer, t.user, with.Unread))
		}
		t.showAll(history)
	}
	close(t.begun)
	t.change(func() {
		t.open = true
		t.latest = max(t.latest, t.shown)
	})
	return nil
}

// waitsAfter is how long a message may go without an acknowledgement before the user is told.
const waitsAfter = 2 * time.Second

// maxTyped bounds the lines that were read and are not stored: the rest of a long input waits.
const maxTyped = 64

// run works on what is typed. It reads from the start, when the chat may not have begun yet: on a
// terminal that is raw, Ctrl-C is a key like others. The chat begins with what was unread until then,
// so what is typed before waits.
func (t *chat) run(ctx context.Context, began <-chan error) error {
	lines, ended := make(chan string), make(chan error, 1)
	go func() {
		for {
			line, err := t.screen.read()
			if err != nil {
				ended <- err
				return
			}
			select {
			case lines <- line:
			case <-t.stop:
				return
			}
		}
	}()
	late := time.NewTimer(time.Hour)
	late.Stop() // until the input has ended
	defer late.Stop()
	reading := true
	for {
		if began == nil && t.work(ctx) {
			reading = false // by /quit
			late.Reset(t.patience())
		}
		if !reading && began == nil {
			if done, err := t.finished(); done {
				t.flush(ctx)
				return err
			}
		}
		in := lines
		if !reading || t.waiting() >= maxTyped {
			in = nil
		}
		select {
		case line := <-in:
			if line != "" {
				t.change(func() { t.queue = append(t.queue, line) })
			}
		case err := <-ended:
			if !errors.Is(err, io.EOF) {
				return err
			}
			if reading = false; t.interactive() {
				began = nil // a person does not wait for the history
			}
			late.Reset(t.patience())
		case err := <-began:
			if began = nil; err != nil {
				return t.session.explain(err)
			}
			if !reading {
				late.Reset(t.patience())
			}
		case <-late.C:
			return t.tooLate(ctx)
		case <-t.changed:
		case <-t.session.ended:
			return t.session.explain(client.ErrClosed)
		case <-ctx.Done():
			return nil // Ctrl-C is the way to end a chat
		}
	}
}

// patience is how long the end of the input may take. A person is not kept waiting for long.
func (t *chat) patience() time.Duration {
	if t.interactive() {
		return waitsAfter
	}
	return t.Timeout
}

// waiting counts the lines that are neither stored nor refused.
func (t *chat) waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.queue) + t.sending
}

// work does what can be done of what was typed: texts at once, commands one after the other, and those
// about an earlier entry once that is stored and shown. It tells whether the user wants to leave.
func (t *chat) work(ctx context.Context) (quit bool) {
	for {
		t.mu.Lock()
		if len(t.queue) == 0 || t.busy {
			t.mu.Unlock()
			return false
		}
		line := t.queue[0]
		name, arguments, isCommand := cutCommand(line)
		command, known := commandOf(name)
		if command.settled && (t.sending > 0 || t.latest < t.stored) {
			t.mu.Unlock()
			return false
		}
		t.queue = t.queue[1:]
		t.busy = command.do != nil
		t.mu.Unlock()
		switch {
		case !isCommand:
			t.send(ctx, line, strings.TrimPrefix(line, "/"))
		case name == "quit":
			t.change(func() { t.queue = nil })
			return true
		case !known:
			t.refuse(line, fail(exitUsage, "", "there is no command /%s: see /help; // begins a text with a slash", name))
		default:
			go func() {
				if err := command.do(t, ctx, line, arguments); err != nil && ctx.Err() == nil {
					t.refuse(line, t.session.explain(err))
				}
				t.change(func() { t.busy = false })
			}()
		}
	}
}

// kept tells what happens to what is not stored.
func (t *chat) kept() {
	if t.waiting() > 0 {
		t.note("what is not stored yet is kept, and sent by %s's next command", t.user)
	}
}

// send queues a text. It is shown by message when it is stored.
func (t *chat) send(ctx context.Context, line, text string, options ...client.Option) {
	p, err := t.session.Enqueue(t.peer, text, options...)
	t.follow(ctx, line, p, err)
}

// follow tells what becomes of what was queued.
func (t *chat) follow(ctx context.Context, line string, p *client.Pending, err error) {
	if err != nil {
		t.refuse(line, err)
		return
	}
	t.change(func() { t.sending++ })
	go func() {
		slow := time.NewTimer(waitsAfter)
		defer slow.Stop()
		select {
		case <-p.Done():
		case <-slow.C:
			if err := p.Delay(); err != nil {
				t.note("not stored yet, it is sent again by itself: %s: %v", printable(line), err)
			} else {
				t.note("not stored yet: %s", printable(line))
			}
		case <-t.stop:
		}
		sent, err := p.Wait(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, client.ErrClosed):
			return
		case err != nil:
			t.refuse(line, err)
		}
		t.change(func() {
			t.sending--
			t.stored = max(t.stored, sent.Seq)
		})
	}()
}

// refuse tells that a line will not be sent, or a command not be done.
func (t *chat) refuse(line string, err error) {
	t.mu.Lock()
	t.refused = err
	t.mu.Unlock()
	if t.JSON {
		object := struct {
			Type  string `json:"type"`
			Text  string `json:"text"`
			Error string `json:"error"`
			Code  string `json:"code,omitempty"`
		}{Type: "refused", Text: line, Error: err.Error()}
		var refusal *client.Error
		if errors.As(err, &refusal) {
			object.Code = refusal.Code
		}
		t.object(object)
		return
	}
	what := "not sent"
	if _, _, isCommand := cutCommand(line); isCommand {
		what = "not done"
	}
	remedy := t.explain(err).remedy
	if remedy != "" {
		remedy = ". " + remedy
	}
	t.note("%s: %s: %v%s", what, printable(line), err, remedy)
}

// change changes what run waits for.
func (t *chat) change(do func()) {
	t.mu.Lock()
	do()
	t.mu.Unlock()
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// finished tells whether the history and everything that was typed is shown, or refused, and as many
// texts have come as are to be waited for. A person waits for no more than the sending.
func (t *chat) finished() (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case len(t.queue) > 0 || t.busy || t.sending > 0:
		return false, nil
	case t.interactive():
		return true, nil
	case !t.open || t.latest < t.stored || t.theirs < t.expect:
		return false, nil
	case t.refused != nil:
		return true, &failure{code: exitRefused} // told already
	}
	return true, nil
}

// tooLate ends a chat that has taken too long to end. Texts that wait for nothing but a connection are
// kept.
func (t *chat) tooLate(ctx context.Context) error {
	t.mu.Lock()
	open, queue, missing := t.open, t.queue, t.expect-t.theirs
	t.queue = nil
	t.mu.Unlock()
	for _, line := range queue {
		if _, _, isCommand := cutCommand(line); !isCommand {
			t.send(ctx, line, strings.TrimPrefix(line, "/"))
		}
	}
	t.kept()
	switch {
	case t.interactive():
		return nil
	case open && t.waiting() == 0 && missing > 0:
		return fail(exitUnreachable, "", "%d of the %d messages of %s have not come within %v", missing, t.expect, t.peer, t.patience())
	}
	return t.session.explain(context.DeadlineExceeded)
}

// flush tells the peer what was read, before the chat ends.
func (t *chat) flush(ctx context.Context) {
	t.mu.Lock()
	up := t.line.up
	t.mu.Unlock()
	if !up {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, waitsAfter)
	defer cancel()
	_ = t.session.Flush(ctx) // what cannot be told now is kept, and told by the next command
}
