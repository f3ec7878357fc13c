package client

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/duet-chat/duet/internal/chat"
)

// Pending is an entry that is being sent: a text, or an edit, unsend or reaction.
type Pending struct {
	client *Client
	peer   string
	entry  Unsent // as it was queued, but for N
	conv   *conversation

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
	floor       int64  // the server had everything up to here when it was first written
	alone       bool   // no other was under way before it when it was last written
	delayed     *Error // the last refusal that may pass
}

// Wait waits for the entry to be stored, or to be refused.
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

// Kind returns what it is: KindText, KindEdit, KindUnsend or KindReaction.
func (p *Pending) Kind() string {
	if p.entry.Kind == "" {
		return KindText
	}
	return p.entry.Kind
}

// Text returns the text, of a text or an edit.
func (p *Pending) Text() string { return p.entry.Text }

// Target returns the Seq of the text that an edit, unsend or reaction is about.
func (p *Pending) Target() int64 { return p.entry.Target }

// Delay says why it is not stored yet, if the server said so: ErrRateLimited, for one, with the time
// to wait. It is sent again by itself.
func (p *Pending) Delay() error {
	p.client.mu.Lock()
	defer p.client.mu.Unlock()
	if p.delayed == nil {
		return nil
	}
	return p.delayed
}

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

// Enqueue queues a text to a user. What is queued to one user is sent in that order, edits, unsends
// and reactions included; at most MaxInFlight are under way at once. The error is about the
// arguments, or ErrClosed.
func (c *Client) Enqueue(to, text string, options ...Option) (*Pending, error) {
	u := Unsent{Text: text}
	for _, option := range options {
		option(&u)
	}
	return c.enqueue(to, u)
}

// Edit gives the user's own text at seq a new text. The entry is queued as Enqueue does; other
// errors than those of the arguments come from Wait: ErrNotFound if the text was unsent or is no
// longer kept, ErrForbidden if somebody else wrote it, ErrBadRequest if there is no text at seq.
func (c *Client) Edit(peer string, seq int64, text string) (*Pending, error) {
	return c.enqueue(peer, Unsent{Kind: KindEdit, Target: seq, Text: text})
}

// Unsend takes the user's own text at seq away, from storage too. Errors: as of Edit.
func (c *Client) Unsend(peer string, seq int64) (*Pending, error) {
	return c.enqueue(peer, Unsent{Kind: KindUnsend, Target: seq})
}

// React puts an emoji on the text at seq, of either user, in the place of the user's earlier one; ""
// takes it back. Errors: as of Edit, but anybody's text will do.
func (c *Client) React(peer string, seq int64, emoji string) (*Pending, error) {
	return c.enqueue(peer, Unsent{Kind: KindReaction, Target: seq, Emoji: emoji})
}

func (c *Client) enqueue(to string, u Unsent) (*Pending, error) {
	if err := c.checkPeer("to", to); err != nil {
		return nil, err
	}
	if err := u.check(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, ErrClosed
	}
	v := c.conv(c.between(to))
	u.N = v.nextN
	v.nextN++
	p := c.newPending(v, u)
	v.pending = append(v.pending, p)
	if u.Kind == "" {
		v.typedAt = time.Time{} // a message ends it at the peer's
	}
	c.change(v, true)
	c.makeReady(v)
	c.poke()
	return p, nil
}

// between is the id of the conversation with a peer.
func (c *Client) between(peer string) string {
	return string(chat.Between(chat.User(c.cfg.User), chat.User(peer)))
}

func (c *Client) newPending(v *conversation, u Unsent) *Pending {
	return &Pending{client: c, unsent: u, peer: v.peer, entry: u, conv: v, done: make(chan struct{})}
}

func badArgument(field, format string, args ...any) error {
	return &Error{Code: string(chat.BadRequest), Field: field, Message: fmt.Sprintf(format, args...)}
}

// checkPeer refuses what cannot be the other user of a conversation.
func (c *Client) checkPeer(field, peer string) error {
	switch _, err := chat.ParseUser(peer); {
	case err != nil:
		return badArgument(field, "%v", err)
	case peer == c.cfg.User:
		return badArgument(field, "a conversation is between two different users: %q is yourself", peer)
	}
	return nil
}

// check refuses what the server would: in the middle of a pipeline, a refusal costs time.
func (u *Unsent) check() error {
	switch {
	case u.Kind != "" && u.Target < 1:
		return badArgument("target", "there is no message %d", u.Target)
	case (u.Kind == "" || u.Kind == KindEdit) && u.Text == "":
		return badArgument("text", "the text is empty")
	case len(u.Text) > MaxTextBytes:
		return &Error{Code: string(chat.TooLarge), Field: "text", Message: fmt.Sprintf("the text has %d bytes; at most %d are allowed", len(u.Text), MaxTextBytes)}
	case !utf8.ValidString(u.Text):
		return badArgument("text", "the text is not valid UTF-8")
	case len(u.Emoji) > MaxEmoji:
		return badArgument("emoji", "the emoji has %d bytes; at most %d are allowed", len(u.Emoji), MaxEmoji)
	case !utf8.ValidString(u.Emoji):
		return badArgument("emoji", "the emoji is not valid UTF-8")
	case u.ReplyTo < 0:
		return badArgument("reply_to", "there is no message %d", u.ReplyTo)
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
