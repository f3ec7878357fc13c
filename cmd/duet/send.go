package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/duet-chat/duet/client"
)

type sendCmd struct {
	To      string   `arg:"" help:"The recipient."`
	Text    []string `arg:"" optional:"" help:"The text. Without one, each line of standard input is a message."`
	ReplyTo int64    `help:"The number of the message that this one answers."`
}

// Run sends, and returns when everything is durably stored.
func (c *sendCmd) Run(ctx context.Context, a *app) error {
	acc, err := a.account(ctx)
	if err != nil {
		return err
	}
	s, err := a.connect(ctx, acc, true, client.Config{})
	if err != nil {
		return err
	}
	defer s.close()
	earlier := s.Unsent()
	if len(c.Text) > 0 {
		err = c.one(ctx, s)
	} else {
		err = c.lines(ctx, s)
	}
	for _, p := range earlier {
		select {
		case <-p.Done():
			sent, err := p.Wait(ctx)
			if err != nil {
				a.note("an earlier message to %s was refused: %v", p.To(), err)
			} else {
				a.note("an earlier message to %s was sent as number %d", p.To(), sent.Seq)
			}
		default:
		}
	}
	return err
}

// one sends the text of the command line.
func (c *sendCmd) one(ctx context.Context, s *session) error {
	p, err := s.Enqueue(c.To, strings.Join(c.Text, " "), c.options()...)
	if err != nil {
		return err
	}
	return c.wait(ctx, s, p)
}

func (c *sendCmd) options() []client.Option {
	if c.ReplyTo == 0 {
		return nil
	}
	return []client.Option{client.ReplyTo(c.ReplyTo)}
}

// lines sends each line of standard input, as many at a time as the protocol allows.
func (c *sendCmd) lines(ctx context.Context, s *session) error {
	pending := make(chan *client.Pending, client.MaxInFlight)
	read := make(chan error, 1)
	stop, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(pending)
		read <- eachLine(s.app.in, func(line string) error {
			p, err := s.Enqueue(c.To, line, c.options()...)
			if err != nil {
				return err
			}
			select {
			case pending <- p:
				return nil
			case <-stop.Done():
				return stop.Err()
			}
		})
	}()
	for {
		// Nothing bounds the wait for the next line, but the user.
		select {
		case p, ok := <-pending:
			if !ok {
				return <-read
			}
			if err := c.wait(ctx, s, p); err != nil {
				return err
			}
		case <-s.ended:
			return s.explain(client.ErrClosed)
		case <-ctx.Done():
			return errInterrupted
		}
	}
}

func (c *sendCmd) wait(ctx context.Context, s *session, p *client.Pending) error {
	timed, cancel := context.WithTimeout(ctx, s.app.Timeout)
	defer cancel()
	sent, err := p.Wait(timed)
	switch {
	case err == nil:
		return c.tell(s.app, sent)
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		s.app.note("what was not acknowledged is kept, and sent by %s's next command", s.account.user)
	}
	return s.explain(err)
}

func (c *sendCmd) tell(a *app, sent client.Sent) error {
	if a.JSON {
		return a.object(struct {
			Type         string `json:"type"`
			Conversation string `json:"conversation"`
			Seq          int64  `json:"seq"`
			At           int64  `json:"at"`
			Duplicate    bool   `json:"duplicate,omitempty"`
		}{"sent", sent.Conversation, sent.Seq, sent.At.UnixMilli(), sent.Duplicate})
	}
	return a.line("sent to %s as number %d", c.To, sent.Seq)
}

// maxLine bounds a line of input: more than any text may have, so that the client refuses it.
const maxLine = 1 << 20

// eachLine calls a function with each line that is not empty.
func eachLine(r io.Reader, do func(string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		if line == "" {
			continue
		}
		if err := do(line); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read a line of standard input: %w", err)
	}
	return nil
}
