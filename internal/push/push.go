// Package push tells users' connections of what is not a message: receipts, typing, presence, and
// that a connection ends. Messages are delivered by the stream's handler, which sees to their order.
package push

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/post"
	"github.com/duet-chat/duet/internal/wire"
)

// Connections is what a push needs to know of, and to note about, connections.
type Connections interface {
	Of(context.Context, chat.User) ([]chat.Connection, error)
	Remove(context.Context, chat.User, chat.ConnectionID) error
	MarkBehind(context.Context, chat.User, chat.ConnectionID) error
}

// Gateway posts frames and closes connections.
type Gateway interface {
	Post(context.Context, chat.ConnectionID, []byte) error
	Close(context.Context, chat.ConnectionID) error
}

// Pusher posts to connections.
type Pusher struct {
	Connections Connections
	Gateway     Gateway
	Now         func() time.Time
	Log         *slog.Logger
}

// parallel bounds the posts that one push makes at once.
const parallel = 32

// Frame is what to tell a user.
type Frame struct {
	To chat.User
	// But is a connection that is not told: the one that caused the frame.
	But   chat.ConnectionID
	Frame any // of package wire
	// Kept says that a connection which misses the frame must sync. Otherwise nothing is lost with it.
	Kept bool
}

// Push posts the frames to all connections of their users, and waits for all posts. What cannot be
// posted is noted, or logged: it is no error, since the request that caused it has been done.
//
// Cost: 1 RU a user, 1 WU for each connection that fails.
func (p *Pusher) Push(ctx context.Context, frames ...Frame) {
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, f := range frames {
		body, err := wire.Encode(f.Frame)
		if err != nil {
			p.Log.ErrorContext(ctx, "a frame cannot be encoded", "error", err)
			continue
		}
		to, err := p.Connections.Of(ctx, f.To)
		if err != nil {
			p.Log.WarnContext(ctx, "a frame is not pushed", "user", f.To, "error", err)
			continue
		}
		for _, c := range to {
			if c.ID == f.But || c.Expired(p.Now()) {
				continue
			}
			group.Go(func() error {
				function.GrowStack()
				p.toConnection(ctx, c, body, f.Kept)
				return nil
			})
		}
	}
	_ = group.Wait() // nothing returns an error
}

func (p *Pusher) toConnection(ctx context.Context, c chat.Connection, body []byte, kept bool) {
	err := p.Gateway.Post(ctx, c.ID, body)
	if err == nil {
		return
	}
	if errors.Is(err, post.ErrGone) && !c.BeingBorn(p.Now()) {
		err = p.Connections.Remove(ctx, c.User, c.ID)
	} else if kept && !c.Behind {
		err = p.Connections.MarkBehind(ctx, c.User, c.ID)
	}
	if err != nil {
		p.Log.InfoContext(ctx, "connection missed a frame", "user", c.User, "connection", c.ID, "error", err)
	}
}

// End ends a connection: its client is told why, nothing more is delivered to it, and its socket is
// closed. Only that its row stays is an error.
func (p *Pusher) End(ctx context.Context, c chat.Connection, reason string) error {
	_, err := p.end(ctx, c, reason)
	return err
}

// EndWith ends a connection with an answer, of package wire, as its last frame. It is sent when the row is
// gone, so that it may say that all is done; if the row stays, nothing is sent and the socket stays open.
func (p *Pusher) EndWith(ctx context.Context, c chat.Connection, answer any) error {
	if err := p.Connections.Remove(ctx, c.User, c.ID); err != nil {
		return err
	}
	p.dismiss(ctx, c, answer)
	return nil
}

// How long the socket of a connection is awaited whose $connect is just being answered.
const (
	birthPause = 100 * time.Millisecond
	birthTries = 20
)

// EndAll ends connections in their order, for good: the socket of one whose $connect is just being
// answered does not exist yet, and would live on without a row. It is awaited, and closed.
func (p *Pusher) EndAll(ctx context.Context, connections []chat.Connection, reason string) error {
	var unborn []chat.Connection
	for _, c := range connections {
		closed, err := p.end(ctx, c, reason)
		if err != nil {
			return err
		}
		if !closed && c.BeingBorn(p.Now()) {
			unborn = append(unborn, c)
		}
	}
	for try := 0; try < birthTries && len(unborn) > 0; try++ {
		if err := function.Sleep(ctx, birthPause); err != nil {
			return err
		}
		unborn = slices.DeleteFunc(unborn, func(c chat.Connection) bool { return p.close(ctx, c) })
	}
	return nil
}

// end is End, and tells whether there was a socket to close.
func (p *Pusher) end(ctx context.Context, c chat.Connection, reason string) (closed bool, _ error) {
	err := p.Connections.Remove(ctx, c.User, c.ID)
	return p.dismiss(ctx, c, wire.Closing{Type: wire.TypeClosing, Reason: reason}), err
}

// dismiss sends a last frame to a client, if it still reads, and closes its socket.
func (p *Pusher) dismiss(ctx context.Context, c chat.Connection, last any) (closed bool) {
	if frame, err := wire.Encode(last); err == nil {
		_ = p.Gateway.Post(ctx, c.ID, frame)
	}
	return p.close(ctx, c)
}

func (p *Pusher) close(ctx context.Context, c chat.Connection) (closed bool) {
	err := p.Gateway.Close(ctx, c.ID)
	if err != nil && !errors.Is(err, post.ErrGone) {
		p.Log.WarnContext(ctx, "an ended connection stays open", "connection", c.ID, "error", err)
	}
	return !errors.Is(err, post.ErrGone)
}
