// Package account is the routes about a user's own account: account tells what is kept, signout ends
// sessions, erase deletes the account.
package account

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

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
	pusher      *push.Pusher
	teller      *push.Teller
}

// New builds the function.
func New(env function.Env) (lambda.Handler, error) {
	v, err := env.Require("USERS_TABLE", "CONVERSATIONS_TABLE", "MEMBERS_TABLE", "MESSAGES_TABLE", "CONNECTIONS_TABLE", "WATCHERS_TABLE", "CALLBACK_URL")
	if err != nil {
		return nil, err
	}
	gateway := post.New(env.AWS, v["CALLBACK_URL"])
	s := &server{
		env:   env,
		users: store.NewUsers(env.AWS, v["USERS_TABLE"]),
		members: store.NewMembers(env.AWS, store.MemberTables{
			Conversations: v["CONVERSATIONS_TABLE"], Members: v["MEMBERS_TABLE"], Messages: v["MESSAGES_TABLE"],
		}),
		connections: store.NewConnections(env.AWS, v["CONNECTIONS_TABLE"]),
		watchers:    store.NewWatchers(env.AWS, v["WATCHERS_TABLE"]),
	}
	s.pusher = &push.Pusher{Connections: s.connections, Gateway: gateway, Now: env.Now, Log: env.Log}
	s.teller = &push.Teller{Watchers: s.watchers, Gateway: gateway, Now: env.Now, Log: env.Log}
	return route.New(env, s.answer), nil
}

func (s *server) answer(ctx context.Context, r route.Request) (string, any, error) {
	switch action, ref := wire.Peek(r.Frame); wire.Action(action) {
	case wire.ActionAccount:
		return s.account(ctx, r)
	case wire.ActionSignOut:
		return s.signOut(ctx, r)
	case wire.ActionErase:
		return s.erase(ctx, r)
	default:
		return ref, nil, chat.Refuse(chat.UnknownAction, "action", "there is no action %q here", action)
	}
}

func (s *server) account(ctx context.Context, r route.Request) (string, any, error) {
	q, err := wire.DecodeAccount(r.Frame)
	if err != nil {
		return q.Ref, nil, err
	}
	p, err := s.users.Profile(ctx, r.User)
	if err != nil {
		return q.Ref, nil, err
	}
	if p == nil {
		return q.Ref, nil, chat.Refuse(chat.NotFound, "", "there is no account %q any more", r.User)
	}
	open, err := s.connections.Of(ctx, r.User)
	if err != nil {
		return q.Ref, nil, err
	}
	answer := wire.AccountFrame{
		Type: wire.TypeAccount, Ref: q.Ref, User: string(r.User), RegisteredAt: p.RegisteredAt, Visible: !p.Hidden,
		Connections: []wire.AccountConnection{},
	}
	slices.SortFunc(open, func(a, b chat.Connection) int { return cmp.Compare(a.ConnectedAt, b.ConnectedAt) })
	for _, c := range open {
		answer.Connections = append(answer.Connections, wire.AccountConnection{
			Device: string(c.Device), ConnectedAt: c.ConnectedAt, SessionEnd: c.SessionEnd,
		})
	}
	return q.Ref, answer, nil
}

// signOut ends sessions: first so that none of their tokens opens a connection any more, then the
// connections that are open. The one that asks goes last, and may be gone before it has its answer.
func (s *server) signOut(ctx context.Context, r route.Request) (string, any, error) {
	q, err := wire.DecodeSignOut(r.Frame)
	if err != nil {
		return q.Ref, nil, err
	}
	began := s.env.Now()
	for try := 1; ; try++ {
		err := s.note(ctx, r, q.Scope, began)
		if err == nil {
			break
		}
		if !errors.Is(err, chat.ErrBusy) || try == signOutTries {
			return q.Ref, nil, err
		}
	}
	others, own, err := s.open(ctx, r, func(c chat.Connection) bool { return q.Scope.Covers(r.Token.Session, c) })
	if err != nil {
		return q.Ref, nil, err
	}
	if err := s.pusher.EndAll(ctx, others, wire.ClosingSignedOut); err != nil {
		return q.Ref, nil, err
	}
	if q.Scope != chat.ThisSession {
		// Who signs in once this is answered is let in.
		if left := chat.SignOutOver(began).Sub(s.env.Now()); left > 0 {
			if err := s.env.Sleep(ctx, left); err != nil {
				return q.Ref, nil, err
			}
		}
	}
	return q.Ref, wire.NewOK(q.Ref), s.pusher.EndAll(ctx, own, wire.ClosingSignedOut)
}

// signOutTries bounds the attempts of one sign-out. Each lost one means that another went through.
const signOutTries = 10

// note notes which sessions have ended, on top of those that stand there.
func (s *server) note(ctx context.Context, r route.Request, scope chat.Scope, now time.Time) error {
	p, err := s.users.Profile(ctx, r.User)
	if err != nil || p == nil || p.Erased {
		return err
	}
	return s.users.SetSignOuts(ctx, r.User, p.SignOuts, p.SignOuts.With(scope, r.Token.Session, now))
}

// open is those connections of the user that are meant, the asking one by itself.
func (s *server) open(ctx context.Context, r route.Request, meant func(chat.Connection) bool) (others, own []chat.Connection, _ error) {
	open, err := s.connections.Of(ctx, r.User)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range open {
		switch {
		case !meant(c):
		case c.ID == r.Connection:
			own = append(own, c)
		default:
			others = append(others, c)
		}
	}
	return others, own, nil
}
