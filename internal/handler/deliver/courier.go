package deliver

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/post"
	"github.com/duet-chat/duet/internal/push"
	"github.com/duet-chat/duet/internal/wire"
)

// Courier delivers messages.
type Courier struct {
	Connections push.Connections
	Gateway     push.Gateway
	Notifier    Notifier // nil tells nobody
	Now         func() time.Time
	Log         *slog.Logger
}

// Notifier is told of messages whose recipient has no connection.
type Notifier interface {
	Notify(context.Context, []chat.Message) error
}

// parallel bounds the calls that one batch makes at once. The calls wait for the network rather
// than compute, so it is well above a function's share of a processor.
const parallel = 64

// Deliver posts the messages to every connection of both users but the one each came from: in
// the order of seq to one connection, in parallel across connections. It waits for all posts.
//
// The errors, one for each message, are those that only another delivery mends: a user's
// connections could not be read, or it could not be noted that a connection is behind. A post that
// fails is no error: its connection is noted as behind, or removed.
//
// Cost: 1 RU for each different user of the batch, 1 WU for each connection that fails.
func (c *Courier) Deliver(ctx context.Context, messages []chat.Message) []error {
	errs := make([]error, len(messages))
	parcels, err := encode(messages)
	if err != nil {
		return slices.Repeat([]error{err}, len(messages))
	}
	byUser := map[chat.User][]*parcel{}
	for _, p := range parcels {
		a, b := p.message.Conversation.Users()
		byUser[a] = append(byUser[a], p)
		byUser[b] = append(byUser[b], p)
	}
	var (
		mu    sync.Mutex // guards errs
		group errgroup.Group
		slots = make(chan struct{}, parallel)
	)
	for user, mail := range byUser {
		slots <- struct{}{}
		group.Go(func() error {
			function.GrowStack()
			err := c.toUser(ctx, user, mail, slots)
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				for _, p := range mail {
					errs[p.place] = errors.Join(errs[p.place], err)
				}
			}
			return nil
		})
	}
	_ = group.Wait() // errors are kept by message
	return errs
}

// parcel is a message with its frame, made once for all connections.
type parcel struct {
	message chat.Message
	frame   []byte
	place   int // in the batch
}

// encode makes the frames, in the order of seq within each conversation: a stream promises order
// for one item only, so that two messages of a conversation may come reversed.
func encode(messages []chat.Message) ([]*parcel, error) {
	parcels := make([]*parcel, len(messages))
	for i, m := range messages {
		frame, err := wire.Encode(wire.Push(m))
		if err != nil {
			return nil, err
		}
		parcels[i] = &parcel{message: m, frame: frame, place: i}
	}
	slices.SortStableFunc(parcels, func(a, b *parcel) int {
		return cmp.Or(
			cmp.Compare(a.message.Conversation, b.message.Conversation),
			cmp.Compare(a.message.Seq, b.message.Seq),
		)
	})
	return parcels, nil
}

// toUser holds a slot when it is called, and gives it back after the look-up, so that the posts
// of one user cannot keep all slots while they wait for one.
func (c *Courier) toUser(ctx context.Context, u chat.User, mail []*parcel, slots chan struct{}) error {
	connections, err := c.Connections.Of(ctx, u)
	<-slots
	if err != nil {
		return err
	}
	c.notify(ctx, u, connections, mail)
	if len(connections) == 1 {
		return c.toConnection(ctx, connections[0], mail, slots)
	}
	var group errgroup.Group
	for _, connection := range connections {
		group.Go(func() error {
			function.GrowStack()
			return c.toConnection(ctx, connection, mail, slots)
		})
	}
	return group.Wait()
}

// notify tells of the texts that wait for a user without a connection. A failure is for the log: a
// batch that came again for it would post everything twice.
func (c *Courier) notify(ctx context.Context, u chat.User, connections []chat.Connection, mail []*parcel) {
	if c.Notifier == nil || slices.ContainsFunc(connections, func(to chat.Connection) bool { return !to.Expired(c.Now()) }) {
		return
	}
	var waiting []chat.Message
	for _, p := range mail {
		if p.message.From != u && p.message.Kind == chat.KindText {
			waiting = append(waiting, p.message)
		}
	}
	if len(waiting) == 0 {
		return
	}
	if err := c.Notifier.Notify(ctx, waiting); err != nil {
		c.Log.ErrorContext(ctx, "notifications are lost", "user", u, "error", err)
	}
}

func (c *Courier) toConnection(ctx context.Context, to chat.Connection, mail []*parcel, slots chan struct{}) error {
	mail = slices.DeleteFunc(slices.Clone(mail), func(p *parcel) bool {
		return p.message.From == to.User && p.message.Device == to.Device
	})
	if len(mail) == 0 {
		return nil
	}
	slots <- struct{}{}
	defer func() { <-slots }()
	if to.Expired(c.Now()) {
		return c.end(ctx, to)
	}
	if err := c.post(ctx, to, mail); err != nil {
		return c.missed(ctx, to, err)
	}
	return nil
}

func (c *Courier) post(ctx context.Context, to chat.Connection, mail []*parcel) error {
	if to.Behind {
		// It missed something earlier, maybe in another conversation, and need not wait for its
		// next heartbeat to learn so.
		frame, err := wire.Encode(wire.Behind{Type: wire.TypeBehind})
		if err != nil {
			return err
		}
		if err := c.Gateway.Post(ctx, to.ID, frame); err != nil {
			return err
		}
	}
	for _, p := range mail {
		// After a failure the rest is left to the sync as well: a gap in between helps nobody.
		if err := c.Gateway.Post(ctx, to.ID, p.frame); err != nil {
			return err
		}
	}
	return nil
}

// end closes a connection whose session has ended: nothing more is sent to it (G9).
func (c *Courier) end(ctx context.Context, to chat.Connection) error {
	p := push.Pusher{Connections: c.Connections, Gateway: c.Gateway, Now: c.Now, Log: c.Log}
	return p.End(ctx, to, wire.ClosingSessionExpired)
}

// missed notes that a connection did not get everything.
func (c *Courier) missed(ctx context.Context, to chat.Connection, cause error) error {
	if errors.Is(cause, post.ErrGone) && !to.BeingBorn(c.Now()) {
		return c.Connections.Remove(ctx, to.User, to.ID)
	}
	c.Log.InfoContext(ctx, "connection is behind", "user", to.User, "connection", to.ID, "error", cause)
	if to.Behind {
		return nil
	}
	return c.Connections.MarkBehind(ctx, to.User, to.ID)
}
