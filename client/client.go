package client

import (
	"context"
	"strings"
	"sync"
)

// Client keeps one device of one user connected. Its methods may be called concurrently.
type Client struct {
	cfg Config

	mu sync.Mutex
}

// New makes a client. Nothing happens before Run, but messages can be enqueued.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Client{cfg: cfg}, nil
}

// Run connects, syncs, and stays connected until ctx ends, Close is called (nil), or there is no
// use in going on: ErrReplaced, ErrUnauthorized, ErrRefused, or what the State or the token source
// said. It may be called once. When it returns, no function of Config is called any more.
func (c *Client) Run(ctx context.Context) error { return ErrClosed }

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
	return nil, ErrClosed
}

// Pending is a message that is being sent.
type Pending struct {
	done chan struct{}
	sent Sent
	err  error
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

// Unsent returns the messages that are not acknowledged yet, those of an earlier run of the program
// included, by conversation and in order.
func (c *Client) Unsent() []*Pending { return nil }

// History returns up to limit (1 to MaxPage; 0: MaxPage) messages of the conversation with a
// peer: those before a seq, the nearest ones, or those after a seq. Exactly one of before (at
// least 1) and after (at least 0) is given, the other is -1. It waits for a connection.
func (c *Client) History(ctx context.Context, peer string, before, after int64, limit int) (Page, error) {
	return Page{}, ErrClosed
}

// Conversations returns all conversations, newest activity first. It waits for a connection; it
// costs a full sync.
func (c *Client) Conversations(ctx context.Context) ([]Conversation, error) { return nil, ErrClosed }

// WaitOnline waits until the client is connected and synced.
func (c *Client) WaitOnline(ctx context.Context) error { return ErrClosed }

// Ping finds out whether the connection is alive: call it when the app comes to the foreground or
// the network has changed. Without an answer in 10 s the client reconnects.
func (c *Client) Ping(ctx context.Context) error { return ErrClosed }

// Close ends Run and waits for it. Unacknowledged messages stay in the State. Further calls do
// nothing. Not to be called from an On… function: end Run's context there.
func (c *Client) Close() error { return nil }

// Device returns the id of this installation.
func (c *Client) Device() string { return c.cfg.Device }

func peerOf(conversation, user string) string {
	a, b, _ := strings.Cut(conversation, "~")
	if a == user {
		return b
	}
	return a
}
