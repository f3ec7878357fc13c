package client

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/duet-chat/duet/internal/chat"
)

// Pending is a message that is being sent.
type Pending struct {
	peer, text string
	conv       *conversation

	done chan struct{}
	sent Sent  // set before done is closed
	err  error // set before done is closed

	// Where it stands; Client.mu guards it.
	unsent      Unsent
	ref         string
	flying      bool // written to the current connection, and not answered
	refused     bool // answered by a definite refusal: it only keeps its number until that is free
	transmitted bool // written to any connection, ever
	copies      int  // written, and not answered in a way that says "not stored"
	lastCopy    time.Time
	floor       int64 // the server had everything up to here when it was first written
	alone       bool  // no other was under way before it when it was last written
}

// Wait waits for the message to be stored, or to be refused.
func (p *Pending) Wait(ctx context.Context) (Sent, error) {
	select {
	case <-p.done:
		return p.sent, p.err
	case <-ctx.Done():
		return Sent{}, ctx.Err()
	}
}

// Done is closed once Wait would not wait.
func (p *Pending) Done() <-chan struct{} { return p.done }

// To returns the recipient.
func (p *Pending) To() string { return p.peer }

// Text returns the text.
func (p *Pending) Text() string { return p.text }

func (p *Pending) resolve(s Sent, err error) {
	select {
	case <-p.done:
	default:
		p.sent, p.err = s, err
		close(p.done)
	}
}

// Option changes how a message is sent.
type Option func(*Unsent)

// ReplyTo makes the message an answer to the one at seq of the same conversation.
func ReplyTo(seq int64) Option { return func(u *Unsent) { u.ReplyTo = seq } }

// Send sends a text to a user and waits until it is durably stored. It waits as long as it takes,
// also while offline: when ctx ends, the message stays in the queue and is sent later.
//
// Errors: ErrUnknownUser, ErrTooLarge, ErrBadRequest, ErrNewEpoch, ErrClosed, ctx's.
func (c *Client) Send(ctx context.Context, to, text string, options ...Option) (Sent, error) {
	p, err := c.Enqueue(to, text, options...)
	if err != nil {
		return Sent{}, err
	}
	return p.Wait(ctx)
}

// Enqueue queues a text to a user. Messages to one user are sent in the order in which they were
// queued; at most MaxInFlight are under way at once. The error is about the arguments, or ErrClosed.
func (c *Client) Enqueue(to, text string, options ...Option) (*Pending, error) {
	u := Unsent{Text: text}
	for _, option := range options {
		option(&u)
	}
	if err := c.checkArguments(to, &u); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, ErrClosed
	}
	v := c.conv(string(chat.Between(chat.User(c.cfg.User), chat.User(to))))
	u.N = v.nextN
	v.nextN++
	p := c.newPending(v, u)
	v.pending = append(v.pending, p)
	c.change(v, true)
	c.makeReady(v)
	c.poke()
	return p, nil
}

func (c *Client) newPending(v *conversation, u Unsent) *Pending {
	return &Pending{unsent: u, peer: v.peer, text: u.Text, conv: v, done: make(chan struct{})}
}

// checkArguments refuses what the server would: in the middle of a pipeline, a refusal costs time.
func (c *Client) checkArguments(to string, u *Unsent) error {
	bad := func(field, format string, args ...any) error {
		return &Error{Code: string(chat.BadRequest), Field: field, Message: fmt.Sprintf(format, args...)}
	}
	switch _, err := chat.ParseUser(to); {
	case err != nil:
		return bad("to", "%v", err)
	case to == c.cfg.User:
		return bad("to", "a conversation is between two different users: %q is yourself", to)
	case u.Text == "":
		return bad("text", "the text is empty")
	case len(u.Text) > MaxTextBytes:
		return &Error{Code: string(chat.TooLarge), Field: "text", Message: fmt.Sprintf("the text has %d bytes; at most %d are allowed", len(u.Text), MaxTextBytes)}
	case !utf8.ValidString(u.Text):
		return bad("text", "the text is not valid UTF-8")
	case u.ReplyTo < 0:
		return bad("reply_to", "there is no message %d", u.ReplyTo)
	}
	return nil
}

// Unsent returns the messages that are not acknowledged yet, those of an earlier run of the program
// included; those of one conversation in order.
func (c *Client) Unsent() []*Pending {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*Pending
	for _, v := range c.convs {
		for _, p := range v.pending {
			if !p.refused {
				all = append(all, p)
			}
		}
	}
	return all
}
