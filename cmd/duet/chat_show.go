package main

import (
	"fmt"
	"strings"

	"github.com/duet-chat/duet/client"
)

// promptLine is what stands before the cursor of a terminal: "bob ● ✓✓ read > ".
type promptLine struct {
	up       bool // there is a connection
	presence *client.Presence
	typing   bool
	own      int64       // the last own text
	peer     client.Mark // how far the peer has come
}

func (p *promptLine) String() string {
	if !p.up {
		return "(offline) > "
	}
	var parts []string
	if p.presence != nil {
		mark := "○"
		if p.presence.Online {
			mark = "●"
		}
		parts = append(parts, p.presence.User, mark)
	}
	switch {
	case p.typing:
		parts = append(parts, "writes…")
	case p.own > 0:
		parts = append(parts, string(tickOf(p.own, p.peer)))
	}
	return strings.Join(append(parts, "> "), " ")
}

// prompt changes what the prompt tells.
func (t *chat) prompt(do func(*promptLine)) {
	t.mu.Lock()
	do(&t.line)
	text := t.line.String()
	t.mu.Unlock()
	t.screen.setPrompt(text)
}

func (t *chat) peerCame(m client.Mark) {
	t.prompt(func(p *promptLine) { p.peer = m })
}

// key tells the peer that the user writes.
func (t *chat) key() {
	_ = t.session.Typing(t.peer, true) // an error would say that the chat has ended
}

// showAll shows the history that a chat begins with.
func (t *chat) showAll(history []client.Message) {
	read := int64(0)
	for _, m := range history {
		t.shown = max(t.shown, m.Seq)
		if !m.Own {
			read = max(read, m.Seq)
		}
	}
	t.showPage(history)
	t.read(read)
	if it, ok := t.thread.Latest(t.user); ok {
		t.prompt(func(p *promptLine) { p.own = it.Seq })
	}
}

// showPage shows a piece of history, oldest first: to people the texts as they are now.
func (t *chat) showPage(history []client.Message) {
	for _, m := range history {
		t.thread.Apply(m)
	}
	for _, m := range history {
		if t.JSON {
			t.object(lineOf(m))
		} else if it, ok := t.thread.Item(m.Seq); ok {
			t.screen.show(t.numbered(it))
		}
	}
	if len(history) > 0 {
		t.mu.Lock()
		t.oldest = history[0].Seq
		t.mu.Unlock()
	}
}

// numbered is a text with its number, which commands take.
func (t *chat) numbered(it client.Item) string {
	t.mu.Lock()
	peer := t.line.peer
	t.mu.Unlock()
	return fmt.Sprintf("#%d %s", it.Seq, formatItem(it, tickOf(it.Seq, peer), t.now()))
}

// read says that the user has seen everything up to seq.
func (t *chat) read(seq int64) {
	if seq > 0 {
		_ = t.session.MarkRead(t.peer, seq) // an error would say that the chat has ended
	}
}

// show shows an entry that came in.
func (t *chat) show(m client.Message) {
	seq := t.thread.Apply(m)
	if t.JSON {
		t.object(lineOf(m))
		return
	}
	it, _ := t.thread.Item(seq)
	switch {
	case m.Kind == client.KindText:
		if it, ok := t.thread.Item(m.Seq); ok {
			t.screen.show(t.numbered(it))
		}
	case m.Kind == client.KindReaction && seq > 0 && it.Text != "":
		t.screen.show(format(m, stored, t.now()) + ": " + shortened(it.Text))
	default:
		t.screen.show(format(m, stored, t.now()))
	}
}

// shortened is the beginning of a text, to remember it by.
func shortened(text string) string {
	line, _, more := strings.Cut(text, "\n")
	if r := []rune(line); len(r) > 40 {
		line, more = string(r[:40]), true
	}
	if more {
		line += "…"
	}
	return printable(line)
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
		t.object(lineOf(m))
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
		if !m.Own {
			t.read(m.Seq)
		} else if m.Kind == client.KindText {
			t.prompt(func(p *promptLine) { p.own = max(p.own, m.Seq) })
		}
		t.change(func() {
			t.latest = max(t.latest, m.Seq)
			if !m.Own && m.Kind == client.KindText {
				t.theirs++
			}
		})
	}
}

// receipt takes how far the peer, or this user elsewhere, has come.
func (t *chat) receipt(r client.Receipt) {
	if t.JSON {
		t.object(struct {
			Type         string `json:"type"`
			Conversation string `json:"conversation"`
			User         string `json:"user"`
			Delivered    int64  `json:"delivered"`
			Read         int64  `json:"read"`
		}{"receipt", r.Conversation, r.User, r.Delivered, r.Read})
		return
	}
	if r.User != t.peer {
		return
	}
	t.mu.Lock()
	news := r.Read > t.line.peer.Read
	t.mu.Unlock()
	t.peerCame(r.Mark)
	if news && !t.interactive() {
		t.note("%s has read up to #%d", t.peer, r.Read)
	}
}

// typing takes that the peer writes, or has stopped.
func (t *chat) typing(y client.Typing) {
	if t.JSON {
		t.object(struct {
			Type         string `json:"type"`
			Conversation string `json:"conversation"`
			User         string `json:"user"`
			On           bool   `json:"on"`
		}{"typing", y.Conversation, y.User, y.On})
		return
	}
	if y.User == t.peer {
		t.prompt(func(p *promptLine) { p.typing = y.On })
	}
}

// presence takes that the peer has come or gone.
func (t *chat) presence(p client.Presence) {
	t.prompt(func(line *promptLine) { line.presence = &p })
	if t.JSON {
		t.object(presenceLineOf(p))
	} else if !t.interactive() {
		t.note("%s", t.formatPresence(p))
	}
}

type presenceLine struct {
	Type     string `json:"type"` // "presence"
	User     string `json:"user"`
	Online   bool   `json:"online"`
	LastSeen int64  `json:"last_seen,omitempty"` // Unix milliseconds
}

func presenceLineOf(p client.Presence) presenceLine {
	line := presenceLine{Type: "presence", User: p.User, Online: p.Online}
	if !p.LastSeen.IsZero() {
		line.LastSeen = p.LastSeen.UnixMilli()
	}
	return line
}

func (t *chat) formatPresence(p client.Presence) string {
	switch {
	case p.Online:
		return p.User + " is online"
	case p.LastSeen.IsZero():
		return p.User + " is offline"
	}
	return p.User + " is offline, last seen " + clock(p.LastSeen, t.now())
}

// status tells when the connection comes and goes; not every attempt.
func (t *chat) status(s client.Status) {
	t.prompt(func(p *promptLine) { p.up = s.Phase == client.Online })
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
