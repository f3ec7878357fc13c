// Package acknowledge is the ack route: it notes how far a user has come, and tells the peer and the
// user's other devices.
package acknowledge

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
	v, err := env.Require("CONNECTIONS_TABLE", "CONVERSATIONS_TABLE", "MEMBERS_TABLE", "MESSAGES_TABLE", "CALLBACK_URL")
	if err != nil {
		return nil, err
	}
	receipts := &chat.Receipts{Now: env.Now, Shelf: store.NewMembers(env.AWS, store.MemberTables{
		Conversations: v["CONVERSATIONS_TABLE"], Members: v["MEMBERS_TABLE"], Messages: v["MESSAGES_TABLE"],
	})}
	pusher := &push.Pusher{
		Connections: store.NewConnections(env.AWS, v["CONNECTIONS_TABLE"]),
		Gateway:     post.New(env.AWS, v["CALLBACK_URL"]), Now: env.Now, Log: env.Log,
	}
	return route.New(env, func(ctx context.Context, r route.Request) (string, any, error) {
		q, err := wire.DecodeAck(r.Frame, r.User)
		if err != nil {
			return q.Ref, nil, err
		}
		acked, err := receipts.Ack(ctx, r.User, q.Conversation, chat.Receipt{Delivered: q.Delivered, Read: q.Read})
		if err != nil {
			return q.Ref, nil, err
		}
		receipt := wire.Receipt{
			Type: wire.TypeReceipt, Conversation: string(q.Conversation), User: string(r.User),
			Delivered: acked.Receipt.Delivered, Read: acked.Receipt.Read,
		}
		var frames []push.Frame
		if acked.Tell {
			frames = append(frames, push.Frame{To: r.User, But: r.Connection, Frame: receipt, Kept: true})
		}
		if acked.TellPeer {
			peer, _ := q.Conversation.Peer(r.User)
			frames = append(frames, push.Frame{To: peer, Frame: receipt, Kept: true})
		}
		pusher.Push(ctx, frames...)
		return q.Ref, wire.Acked{
			Type: wire.TypeAcked, Ref: q.Ref, Conversation: string(q.Conversation),
			Delivered: acked.Receipt.Delivered, Read: acked.Receipt.Read,
		}, nil
	}), nil
}
