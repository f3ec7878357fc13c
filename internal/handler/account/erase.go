package account

import (
	"context"
	"time"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/handler/route"
	"github.com/duet-chat/duet/internal/store"
	"github.com/duet-chat/duet/internal/wire"
)

// Bounds of one step of an erasure. Those of the next one follow when the client asks again.
const (
	eraseStep          = 4 * time.Second
	eraseConversations = 25
)

// erase deletes an account, a step at a time. What is left to do is what is still there: the user's
// rows about conversations. So it can stop anywhere, and go on. Each conversation is shut, what the
// user wrote in it is erased, and only then the row goes. The name alone is kept, so that nobody
// takes it and with it the conversations.
func (s *server) erase(ctx context.Context, r route.Request) (string, any, error) {
	q, err := wire.DecodeErase(r.Frame, r.User)
	if err != nil {
		return q.Ref, nil, err
	}
	began := s.env.Now()
	if err := s.users.BeginErasing(ctx, r.User, began.UnixMilli()); err != nil {
		return q.Ref, nil, err
	}
	answer := wire.Erased{Type: wire.TypeErased, Ref: q.Ref}
	for {
		some, err := s.members.Some(ctx, r.User, eraseConversations)
		if err != nil {
			return q.Ref, nil, err
		}
		for _, c := range some {
			if s.env.Now().Sub(began) > eraseStep {
				return q.Ref, answer, nil
			}
			if err := s.leave(ctx, r.User, c); err != nil {
				return q.Ref, nil, err
			}
		}
		if len(some) == 0 {
			break
		}
	}
	answer.Done = true
	if err := s.finish(ctx, r, answer); err != nil {
		return q.Ref, nil, err
	}
	return q.Ref, answer, nil // nobody hears it any more
}

// leave erases what a user did in a conversation.
func (s *server) leave(ctx context.Context, u chat.User, c chat.ConversationID) error {
	if err := s.members.ShutFor(ctx, u, c); err != nil {
		return err
	}
	if err := s.members.EraseTexts(ctx, c, u); err != nil {
		return err
	}
	return s.members.Leave(ctx, u, c)
}

// finish erases what is not about a conversation, and ends the connections, the asking one last: its
// last frame is the answer.
func (s *server) finish(ctx context.Context, r route.Request, answer wire.Erased) error {
	if err := s.teller.Tell(ctx, r.User, chat.Presence{}); err != nil {
		return err
	}
	if err := s.unwatch(ctx, r.User); err != nil {
		return err
	}
	if err := s.endOthers(ctx, r); err != nil {
		return err
	}
	if err := s.users.Erase(ctx, r.User, s.env.Now().UnixMilli()); err != nil {
		return err
	}
	// From here on none is let in: what came back meanwhile goes too.
	if err := s.endOthers(ctx, r); err != nil {
		return err
	}
	return s.pusher.EndWith(ctx, chat.Connection{User: r.User, ID: r.Connection}, answer)
}

func (s *server) endOthers(ctx context.Context, r route.Request) error {
	others, _, err := s.open(ctx, r, func(chat.Connection) bool { return true })
	if err != nil {
		return err
	}
	return s.pusher.EndAll(ctx, others, wire.ClosingSignedOut)
}

// unwatch removes who watches the user, and whom the user's connections watch.
func (s *server) unwatch(ctx context.Context, u chat.User) error {
	rows, err := s.watchers.Of(ctx, u, "")
	if err != nil {
		return err
	}
	open, err := s.connections.Of(ctx, u)
	if err != nil {
		return err
	}
	for _, c := range open {
		watched, _, err := s.connections.Watching(ctx, u, c.ID)
		if err != nil {
			return err
		}
		for _, w := range watched {
			rows = append(rows, store.Watcher{Watched: w, User: u, Device: c.Device})
		}
	}
	return s.watchers.Change(ctx, nil, rows)
}
