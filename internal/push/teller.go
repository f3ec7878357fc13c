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
	"github.com/duet-chat/duet/internal/store"
	"github.com/duet-chat/duet/internal/wire"
)

// Watchers is who is told of whose presence.
type Watchers interface {
	Of(ctx context.Context, watched, by chat.User) ([]store.Watcher, error)
	Change(ctx context.Context, add, remove []store.Watcher) error
	Drop(context.Context, store.Watcher) error
}

// Teller tells watchers of a user's presence.
type Teller struct {
	Watchers Watchers
	Gateway  Gateway
	Now      func() time.Time
	Log      *slog.Logger
}

// Tell posts a user's presence to all who watch it, and waits for all posts. Watchers that are gone
// are removed. A post that fails is no error: presence is told anew when it is asked for.
//
// Cost: 1 RU for about 30 watchers, 1 WU for each that is gone.
func (t *Teller) Tell(ctx context.Context, u chat.User, seen chat.Presence) error {
	watchers, err := t.Watchers.Of(ctx, u, "")
	if err != nil {
		return err
	}
	return t.to(ctx, u, seen, store.Told(watchers, t.Now()))
}

// Deny keeps a user's presence from another one: a watch that was just being allowed is denied too.
//
// Cost: 1 RU, 1 WU, and 1 WU for each of the other's connections that watched.
func (t *Teller) Deny(ctx context.Context, watched, by chat.User) error {
	denial := store.NewDenial(watched, by, t.Now().UnixMilli())
	if err := t.Watchers.Change(ctx, []store.Watcher{denial}, nil); err != nil {
		return err
	}
	return t.Forget(ctx, watched, by)
}

// Allow ends a denial. 1 WU.
func (t *Teller) Allow(ctx context.Context, watched, by chat.User) error {
	return t.Watchers.Change(ctx, nil, []store.Watcher{{Watched: watched, User: by}})
}

// Forget takes one user's watch of another away, and shows the other as offline, with nothing more.
func (t *Teller) Forget(ctx context.Context, watched, by chat.User) error {
	watchers, err := t.Watchers.Of(ctx, watched, by)
	watchers = slices.DeleteFunc(watchers, func(w store.Watcher) bool { return w.Device == "" })
	if err != nil || len(watchers) == 0 {
		return err
	}
	if err := t.Watchers.Change(ctx, nil, watchers); err != nil {
		return err
	}
	return t.to(ctx, watched, chat.Presence{}, store.Told(watchers, t.Now()))
}

func (t *Teller) to(ctx context.Context, u chat.User, seen chat.Presence, watchers []store.Watcher) error {
	frame, err := wire.Encode(wire.PresencePush{Type: wire.TypePresence, UserPresence: wire.NewUserPresence(u, seen)})
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, w := range watchers {
		group.Go(func() error {
			function.GrowStack()
			err := t.Gateway.Post(ctx, w.Connection, frame)
			if errors.Is(err, post.ErrGone) {
				return t.Watchers.Drop(ctx, w)
			}
			if err != nil {
				t.Log.InfoContext(ctx, "a watcher missed a presence", "user", w.User, "connection", w.Connection, "error", err)
			}
			return nil
		})
	}
	return group.Wait()
}
