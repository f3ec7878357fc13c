package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	t.session, err = a.connect(ctx, acc, true, client.Config{OnMessage: t.message, OnStatus: t.status})
	if err != nil {
		return err
	}
	defer t.session.close()
	defer cancel() // before close: OnMessage may wait for the history, which will not come
	if a.interactive() {
		t.note("%s to %s at %s. Enter sends, Ctrl-D ends.", acc.user, c.User, a.Endpoint)
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
	begun      chan struct{}   // closed when the history has been shown
	shown      int64           // the last message of the history; set before begun is closed
	stop       <-chan struct{} // closed when the chat ends

	// The client's callbacks alone use these; it makes one at a time.
	online bool            // it has been once
	cut    bool            // the user was told that there is no connection
	wrote  map[string]bool // other users of whom it was told that they have written

	expect  int           // messages of the peer to wait for at the end
	changed chan struct{} // something of what follows has
	mu      sync.Mutex    // guards what follows
	open    bool          // begun
	sending int           // lines that are neither stored nor refused
	refused error         // the last refusal
	stored  int64         // the highest number of an own message that was stored
	latest  int64         // the highest number shown
	theirs  int           // messages of the peer that are new to this device
}

func (t *chat) note(format string, args ...any) {
	if !t.JSON {
		t.screen.note("* " + fmt.Sprintf(format, args...))
	}
}

// show shows a message.
func (t *chat) show(m client.Message) {
	if t.JSON {
		t.object(lineOf(m))
		return
	}
	t.screen.show(format(m, t.now()))
}

// object writes a JSON line; lines of several goroutines do not mix.
func (t *chat) object(v any) { t.screen.show(jsonLine(v)) }

// begin shows the end of the conversation, with everything unread. It costs a full sync: only
// that has the unread numbers of conversations without news for this device.
func (t *chat) begin(ctx context.Context, recent int) error {
	if err := t.session.WaitOnline(ctx); err != nil {
		return err
	}
	all, err := t.session.Conversations(ctx)
	if err != nil {
		return err
	}
	unread := int64(0)
	for _, c := range all {
		if c.Peer == t.peer {
			unread = c.Unread
		}
	}
	limit := max(recent, int(min(unread, mostUnread)))
	if limit > 0 {
		history, err := t.session.latest(ctx, t.peer, 0, limit)
		if err != nil {
			return err
		}
		if unread > int64(limit) {
			t.note("%d earlier unread messages: %s", unread-int64(limit), t.command("history %s --as %s --limit %d", t.peer, t.user, unread))
		}
		for _, m := range history {
			t.show(m)
			t.shown = m.Seq
		}
	}
	close(t.begun)
	t.change(func() {
		t.open = true
		t.latest = max(t.latest, t.shown)
	})
	return nil
}

// message takes what comes in.
func (t *chat) message(m client.Message) {
	select {
	case <-t.begun:
	case <-t.stop:
		return
	}
	switch peer := m.Peer(t.user); {
	case peer != t.peer && t.JSON:
		t.show(m)
	case peer != t.peer:
		// Once is enough: a device that was away for long hears of many.
		if !m.Own && !t.wrote[peer] {
			t.wrote[peer] = true
			t.note("%s has written: %s", peer, t.command("chat %s --as %s", peer, t.user))
		}
	default:
		// What came just before the history was read stands there already, but is as new.
		if m.Seq > t.shown {
			t.show(m)
		}
		t.change(func() {
			t.latest = max(t.latest, m.Seq)
			if !m.Own {
				t.theirs++
			}
		})
	}
}

// status tells when the connection comes and goes; not every attempt.
func (t *chat) status(s client.Status) {
	if t.JSON {
		line := struct {
			Type      string `json:"type"`
			Phase     string `json:"phase"`
			Error     string `json:"error,omitempty"`
			RetryInMS int64  `json:"retry_in_ms,omitempty"`
		}{Type: "status", Phase: s.Phase.String(), RetryInMS: s.RetryIn.Milliseconds()}
		if s.Err != nil {
			line.Error = s.Err.Error()
		}
		t.object(line)
		return
	}
	switch {
	case s.Phase == client.Offline && s.RetryIn > 0 && !t.cut:
		t.cut = true
		t.note("no connection (%v): trying again until there is one; what you type is kept", s.Err)
	case s.Phase == client.Online && !t.online:
		t.note("connected")
	case s.Phase == client.Online && t.cut:
		t.note("connected again")
	}
	if s.Phase == client.Online {
		t.online, t.cut = true, false
	}
}

// waitsAfter is how long a message may go without an acknowledgement before the user is told.
const waitsAfter = 2 * time.Second

// run sends what is typed. It reads from the start, when the chat may not have begun yet: on a
// terminal that is raw, Ctrl-C is a key like others.
func (t *chat) run(ctx context.Context, began <-chan error) error {
	lines, ended := make(chan string), make(chan error, 1)
	late := time.NewTimer(time.Hour)
	late.Stop() // until the input has ended
	defer late.Stop()
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
	var (
		held    []string // typed before the chat began: it begins with what was unread until then
		reading = true
	)
	begin := func() {
		began = nil
		for _, line := range held {
			t.send(ctx, line)
		}
		held = nil
	}
	for {
		in := lines
		if len(held)+t.unsent() >= maxTyped {
			in = nil
		}
		select {
		case line := <-in:
			switch {
			case line == "":
			case began != nil:
				held = append(held, line)
			default:
				t.send(ctx, line)
			}
		case err := <-ended:
			if !errors.Is(err, io.EOF) {
				return err
			}
			if reading = false; began == nil || t.interactive() {
				begin()
				return t.finish(ctx)
			}
			late.Reset(t.Timeout)
		case err := <-began:
			if err != nil {
				return t.session.explain(err)
			}
			if begin(); !reading {
				return t.finish(ctx)
			}
		case <-late.C:
			begin()
			t.kept()
			return t.session.explain(context.DeadlineExceeded)
		case <-t.changed:
		case <-t.session.ended:
			return t.session.explain(client.ErrClosed)
		case <-ctx.Done():
			return nil // Ctrl-C is the way to end a chat
		}
	}
}

// maxTyped bounds the lines that were read and are not stored: the rest of a long input waits.
const maxTyped = 64

// unsent counts the lines that are neither stored nor refused.
func (t *chat) unsent() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sending
}

// kept tells what happens to what is not stored.
func (t *chat) kept() {
	if t.unsent() > 0 {
		t.note("what is not stored yet is kept, and sent by %s's next command", t.user)
	}
}

// send queues a line. It is shown by message when it is stored.
func (t *chat) send(ctx context.Context, line string) {
	p, err := t.session.Enqueue(t.peer, line)
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
			t.note("not stored yet: %s", printable(line))
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

// refuse tells that a line will not be sent.
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
	remedy := t.explain(err).remedy
	if remedy != "" {
		remedy = ". " + remedy
	}
	t.note("not sent: %s: %v%s", printable(line), err, remedy)
}

// change changes what finish waits for.
func (t *chat) change(do func()) {
	t.mu.Lock()
	do()
	t.mu.Unlock()
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// finish waits until the history and everything that was typed is shown, or refused, and until as
// many messages have come as are to be waited for. A person is not kept waiting for long.
func (t *chat) finish(ctx context.Context) error {
	patience := t.Timeout
	if t.interactive() {
		patience = waitsAfter
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		t.mu.Lock()
		open, unsent, unshown, missing := t.open, t.sending > 0, t.latest < t.stored, t.expect-t.theirs
		refused := t.refused
		t.mu.Unlock()
		switch {
		case !unsent && t.interactive():
			return nil
		case open && !unsent && !unshown && missing <= 0 && refused != nil:
			return &failure{code: exitRefused} // told already
		case open && !unsent && !unshown && missing <= 0:
			return nil
		}
		select {
		case <-t.changed:
			continue
		case <-t.session.ended:
			return t.session.explain(client.ErrClosed)
		case <-ctx.Done():
			return nil
		case <-late.C:
		}
		t.kept()
		switch {
		case t.interactive():
			return nil
		case open && !unsent && missing > 0:
			return fail(exitUnreachable, "", "%d of the %d messages of %s have not come within %v", missing, t.expect, t.peer, patience)
		}
		return t.session.explain(context.DeadlineExceeded)
	}
}
