package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/duet-chat/duet/client"
)

type chatCmd struct {
	Peer    string        `arg:"" help:"Whom to chat with."`
	As      string        `required:"" placeholder:"USER" help:"Who you are."`
	History int           `default:"10" help:"How many of the last messages to show first."`
	Receive int           `help:"On a pipe: stay, after the input has ended, until this many messages of the other have come since the start."`
	Timeout time.Duration `default:"30s" help:"On a pipe: how long to stay for --receive and for what is not stored yet."`
}

// Run chats until the input ends.
func (c *chatCmd) Run(ctx context.Context, a *app) error {
	d, err := a.deployment(ctx)
	if err != nil {
		return err
	}
	screen := &screen{app: a, user: c.As, peer: c.Peer, came: make(chan struct{}, 1)}
	s, err := a.open(ctx, d, c.As, func(cfg *client.Config) {
		cfg.OnMessage, cfg.OnStatus = screen.message, screen.status
	})
	if err != nil {
		return err
	}
	defer s.close()
	if err := c.begin(ctx, a, s, screen); err != nil {
		return err
	}
	pending, err := c.talk(ctx, a, s, screen)
	if err != nil {
		return err
	}
	if a.isTerminal() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return c.settle(ctx, s, screen, pending)
}

// begin shows the last messages and then whatever has come meanwhile.
func (c *chatCmd) begin(ctx context.Context, a *app, s *session, screen *screen) error {
	var last []client.Message
	if c.History > 0 {
		page, err := s.History(ctx, c.Peer, latest, -1, min(c.History, client.MaxPage))
		if err != nil {
			return err
		}
		last = page.Messages
	}
	if a.isTerminal() && !a.commandLine.JSON {
		fmt.Fprintf(a.stdout, "Chatting with %s as %s. A line is a message; Ctrl-D ends.\n", c.Peer, c.As)
	}
	screen.open(last)
	return nil
}

// talk sends each line until the input ends, or the session does.
func (c *chatCmd) talk(ctx context.Context, a *app, s *session, screen *screen) ([]*client.Pending, error) {
	lines, scanned := make(chan string), make(chan error, 1)
	go func() {
		in := bufio.NewScanner(a.stdin)
		in.Buffer(make([]byte, 0, 8192), 1<<20)
		for in.Scan() {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
		scanned <- in.Err()
		close(lines)
	}()
	var pending []*client.Pending
	for {
		select {
		case <-ctx.Done():
			return pending, nil // Ctrl-C is a way to leave
		case err := <-s.ended:
			s.ended <- err
			if err == nil {
				err = client.ErrClosed
			}
			return pending, err
		case line, more := <-lines:
			if !more {
				return pending, <-scanned
			}
			if strings.TrimSpace(line) == "" {
				continue
			}
			if a.isTerminal() {
				// The line comes back when it is stored, in its place.
				fmt.Fprint(a.stdout, "\x1b[1A\x1b[2K")
			}
			p, err := s.Enqueue(c.Peer, line)
			if err != nil {
				screen.note("not sent: %v", err)
				if !a.isTerminal() {
					return pending, err
				}
				continue
			}
			if a.isTerminal() {
				go func() {
					if _, err := p.Wait(ctx); err != nil && !errors.Is(err, context.Canceled) {
						screen.note("not sent: %s: %v", oneLine(line), err)
					}
				}()
				continue
			}
			pending = append(pending, p)
		}
	}
}

// settle waits for what a script waits for.
func (c *chatCmd) settle(ctx context.Context, s *session, screen *screen, pending []*client.Pending) error {
	var refused error
	for _, p := range pending {
		if _, err := p.Wait(ctx); err != nil {
			refused = errors.Join(refused, err)
		}
	}
	if refused != nil {
		return refused
	}
	for screen.received() < c.Receive {
		select {
		case <-screen.came:
		case err := <-s.ended:
			s.ended <- err
			return err
		case <-ctx.Done():
			return &problem{exitRefused, "", fmt.Errorf("%d of %d messages of %s came within %s", screen.received(), c.Receive, c.Peer, c.Timeout)}
		}
	}
	// Own messages are shown when they are stored; the last of them may still be on its way to the screen.
	return screen.waitOwn(ctx, len(pending))
}

// screen shows one conversation in order: first the history, then what comes.
type screen struct {
	app        *app
	user, peer string
	came       chan struct{} // something has been shown

	mu      sync.Mutex // guards what follows, and the output
	ready   bool
	held    []client.Message // what came before the history was shown
	shown   int64            // the highest seq
	theirs  int              // messages of the peer since the start
	own     int              // own messages since the start
	offline bool
}

func (s *screen) open(history []client.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range history {
		s.app.printMessage(m)
		s.shown = max(s.shown, m.Seq)
	}
	s.ready = true
	for _, m := range s.held {
		s.show(m)
	}
	s.held = nil
}

// message is the client's OnMessage.
func (s *screen) message(m client.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Peer(s.user) != s.peer {
		if !m.Own && !s.app.commandLine.JSON {
			fmt.Fprintf(s.app.stderr, "(%s wrote to you: duet chat %s --as %s)\n", m.From, m.From, s.user)
		}
		return
	}
	if !s.ready {
		s.held = append(s.held, m)
		return
	}
	s.show(m)
}

func (s *screen) show(m client.Message) {
	if m.Own {
		s.own++
	} else {
		s.theirs++
	}
	if m.Seq > s.shown {
		s.app.printMessage(m)
		s.shown = m.Seq
	}
	select {
	case s.came <- struct{}{}:
	default:
	}
}

// status is the client's OnStatus.
func (s *screen) status(status client.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case status.Phase == client.Offline && !s.offline:
		s.offline = true
		s.line("offline: what you write is kept and sent later")
	case status.Phase == client.Online && s.offline:
		s.offline = false
		s.line("online again")
	}
}

func (s *screen) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line(fmt.Sprintf(format, args...))
}

func (s *screen) line(text string) {
	if s.app.commandLine.JSON {
		s.app.print(map[string]any{"type": "status", "message": text})
		return
	}
	fmt.Fprintf(s.app.stderr, "* %s\n", text)
}

func (s *screen) received() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.theirs
}

func (s *screen) waitOwn(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		own := s.own
		s.mu.Unlock()
		if own >= n {
			return nil
		}
		select {
		case <-s.came:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
