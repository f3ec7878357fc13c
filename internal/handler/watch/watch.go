// Package watch is the presence route: it tells who is online, and remembers whom to tell of changes.
package watch

import (
	"context"
	"slices"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/route"
	"github.com/duet-chat/duet/internal/post"
	"github.com/duet-chat/duet/internal/push"
	"github.com/duet-chat/duet/internal/store"
	"github.com/duet-chat/duet/internal/wire"
)

type server struct {
	env         function.Env
	users       *store.Users
	members     *store.Members
	connections *store.Connections
	watchers    *store.Watchers
	gateway     *post.Gateway
}

// New builds the function. A watch of n users costs 1.5n + 2 RU and n + 1 WU; users no longer
// watched 1 WU each.
func New(env function.Env) (lambda.Handler, error) {
	v, err := env.Require("USERS_TABLE", "MEMBERS_TABLE", "CONNECTIONS_TABLE", "WATCHERS_TABLE", "CALLBACK_URL")
	if err != nil {
		return nil, err
	}
	s := &server{
		env:         env,
		users:       store.NewUsers(env.AWS, v["USERS_TABLE"]),
		members:     store.NewMembers(env.AWS, store.MemberTables{Members: v["MEMBERS_TABLE"]}),
		connections: store.NewConnections(env.AWS, v["CONNECTIONS_TABLE"]),
		watchers:    store.NewWatchers(env.AWS, v["WATCHERS_TABLE"]),
		gateway:     post.New(env.AWS, v["CALLBACK_URL"]),
	}
	return route.New(env, s.watch), nil
}

func (s *server) watch(ctx context.Context, r route.Request) (string, any, error) {
	q, err := wire.DecodeWatch(r.Frame, r.User)
	if err != nil {
		return q.Ref, nil, err
	}
	own, err := s.users.Profile(ctx, r.User)
	if err != nil {
		return q.Ref, nil, err
	}
	answer := wire.Presence{Type: wire.TypePresence, Ref: q.Ref, Users: []wire.UserPresence{}, Visible: own == nil || !own.Hidden}
	if q.Visible != nil && own != nil && *q.Visible != answer.Visible {
		if err := s.show(ctx, own, *q.Visible); err != nil {
			return q.Ref, nil, err
		}
		answer.Visible = *q.Visible
	}
	before, known, err := s.connections.Watching(ctx, r.User, r.Connection)
	switch {
	case err != nil:
		return q.Ref, nil, err
	case !known:
		return q.Ref, nil, chat.Refuse(chat.SessionExpired, "", "nothing is delivered to this connection any more: connect again")
	}
	may, err := s.members.May(ctx, r.User, q.Users)
	if err != nil {
		return q.Ref, nil, err
	}
	// Of whom the user may not know, nobody watches.
	now := slices.DeleteFunc(slices.Clone(q.Users), func(u chat.User) bool { return !may[u] })
	// The rows are there before the presence is read: a change in between is told twice rather than never.
	if err := s.replace(ctx, r, before, now); err != nil {
		return q.Ref, nil, err
	}
	profiles, err := s.users.Profiles(ctx, now)
	if err != nil {
		return q.Ref, nil, err
	}
	for _, u := range q.Users {
		seen := chat.Presence{}
		if p := profiles[u]; p != nil {
			seen = p.Seen(s.env.Now())
		}
		answer.Users = append(answer.Users, wire.NewUserPresence(u, seen))
	}
	return q.Ref, answer, nil
}

// replace makes the list that the connection watches the new one.
func (s *server) replace(ctx context.Context, r route.Request, before, now []chat.User) error {
	until := chat.Connection{ConnectedAt: r.ConnectedAt, SessionEnd: r.End}.Until()
	row := func(u chat.User) store.Watcher {
		return store.Watcher{Watched: u, User: r.User, Device: r.Device, Connection: r.Connection, Until: until}
	}
	var add, remove []store.Watcher
	for _, u := range now {
		add = append(add, row(u))
	}
	for _, u := range before {
		if !slices.Contains(now, u) {
			remove = append(remove, row(u))
		}
	}
	// The connection's own list comes first: a row that is not in it would never be removed.
	if err := s.connections.SetWatching(ctx, r.User, r.Connection, union(before, now)); err != nil {
		return err
	}
	if err := s.watchers.Change(ctx, add, remove); err != nil {
		return err
	}
	if len(remove) > 0 {
		return s.connections.SetWatching(ctx, r.User, r.Connection, now)
	}
	return nil
}

func union(a, b []chat.User) []chat.User {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// show makes the user visible or invisible, and tells those who watch.
func (s *server) show(ctx context.Context, own *chat.Profile, visible bool) error {
	now := s.env.Now()
	before := own.Seen(now)
	if visible {
		if err := s.users.Show(ctx, own.User); err != nil {
			return err
		}
	} else {
		if err := s.users.Hide(ctx, own.User, now.UnixMilli()); err != nil {
			return err
		}
		own.LastSeen = now.UnixMilli()
	}
	own.Hidden = !visible
	if seen := own.Seen(now); seen.Online != before.Online {
		teller := push.Teller{Watchers: s.watchers, Gateway: s.gateway, Now: s.env.Now, Log: s.env.Log}
		return teller.Tell(ctx, own.User, seen)
	}
	return nil
}
