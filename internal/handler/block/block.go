// Package block is the routes block and unblock.
package block

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/route"
	"github.com/duet-chat/duet/internal/post"
	"github.com/duet-chat/duet/internal/push"
	"github.com/duet-chat/duet/internal/store"
	"github.com/duet-chat/duet/internal/wire"
)

// New builds the function.
func New(env function.Env) (lambda.Handler, error) {
	v, err := env.Require("USERS_TABLE", "CONVERSATIONS_TABLE", "MEMBERS_TABLE", "CONNECTIONS_TABLE", "WATCHERS_TABLE", "CALLBACK_URL")
	if err != nil {
		return nil, err
	}
	users := store.NewUsers(env.AWS, v["USERS_TABLE"])
	members := store.NewMembers(env.AWS, store.MemberTables{Conversations: v["CONVERSATIONS_TABLE"], Members: v["MEMBERS_TABLE"]})
	gateway := post.New(env.AWS, v["CALLBACK_URL"])
	pusher := &push.Pusher{Connections: store.NewConnections(env.AWS, v["CONNECTIONS_TABLE"]), Gateway: gateway, Now: env.Now, Log: env.Log}
	teller := &push.Teller{Watchers: store.NewWatchers(env.AWS, v["WATCHERS_TABLE"]), Gateway: gateway, Now: env.Now, Log: env.Log}
	return route.New(env, func(ctx context.Context, r route.Request) (string, any, error) {
		q, err := wire.DecodeBlock(r.Frame, r.User)
		if err != nil {
			return q.Ref, nil, err
		}
		known, err := users.IsRegistered(ctx, q.User)
		switch {
		case err != nil:
			return q.Ref, nil, err
		case !known:
			return q.Ref, nil, chat.Refuse(chat.UnknownUser, "user", "there is no user %q", q.User)
		}
		if err := members.SetBlock(ctx, r.User, chat.Between(r.User, q.User), q.On, env.Now().UnixMilli()); err != nil {
			return q.Ref, nil, err
		}
		if q.On {
			// From here on neither learns of the other's presence; who is blocked not even by a watch that is
			// just being allowed.
			if err := teller.Deny(ctx, r.User, q.User); err != nil {
				return q.Ref, nil, err
			}
			if err := teller.Forget(ctx, q.User, r.User); err != nil {
				return q.Ref, nil, err
			}
		} else if err := teller.Allow(ctx, r.User, q.User); err != nil {
			return q.Ref, nil, err
		}
		// The user's other devices learn of it by a sync.
		pusher.Push(ctx, push.Frame{To: r.User, But: r.Connection, Frame: wire.Behind{Type: wire.TypeBehind}, Kept: true})
		return q.Ref, wire.NewOK(q.Ref), nil
	}), nil
}
