// Package typing is the typing route: it tells the peer that a user writes. Nothing is stored.
package typing

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

// New builds the function. A frame costs 2 RU.
func New(env function.Env) (lambda.Handler, error) {
	v, err := env.Require("CONNECTIONS_TABLE", "MEMBERS_TABLE", "CALLBACK_URL")
	if err != nil {
		return nil, err
	}
	members := store.NewMembers(env.AWS, store.MemberTables{Members: v["MEMBERS_TABLE"]})
	pusher := &push.Pusher{
		Connections: store.NewConnections(env.AWS, v["CONNECTIONS_TABLE"]),
		Gateway:     post.New(env.AWS, v["CALLBACK_URL"]), Now: env.Now, Log: env.Log,
	}
	return route.New(env, func(ctx context.Context, r route.Request) (string, any, error) {
		q, err := wire.DecodeTyping(r.Frame, r.User)
		if err != nil {
			return q.Ref, nil, err
		}
		own, theirs, err := members.Rows(ctx, r.User, q.Conversation)
		peer, _ := q.Conversation.Peer(r.User)
		switch {
		case err != nil:
			return q.Ref, nil, err
		case own == nil:
			return q.Ref, nil, chat.Refuse(chat.NotFound, "conversation", "there is no conversation %q yet", q.Conversation)
		case own.Blocks:
			return q.Ref, nil, chat.Refuse(chat.Blocked, "conversation", "you have blocked %q: unblock them first", peer)
		case theirs == nil || theirs.Blocks:
			return q.Ref, nil, chat.Refuse(chat.Blocked, "conversation", "%q does not take messages from you", peer)
		}
		pusher.Push(ctx, push.Frame{To: peer, Frame: wire.TypingPush{
			Type: wire.TypeTyping, Conversation: string(q.Conversation), User: string(r.User), On: q.On,
		}})
		return q.Ref, wire.NewOK(q.Ref), nil
	}), nil
}
