// Package send is the send route: it appends messages.
package send

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/route"
	"github.com/duet-chat/duet/internal/store"
	"github.com/duet-chat/duet/internal/wire"
)

// New builds the function.
func New(env function.Env) (lambda.Handler, error) {
	v, err := env.Require("CONVERSATIONS_TABLE", "MEMBERS_TABLE", "MESSAGES_TABLE", "USERS_TABLE")
	if err != nil {
		return nil, err
	}
	sender := &chat.Sender{
		Log: store.NewConversations(env.AWS, store.ConversationTables{
			Conversations: v["CONVERSATIONS_TABLE"],
			Members:       v["MEMBERS_TABLE"],
			Messages:      v["MESSAGES_TABLE"],
			Users:         v["USERS_TABLE"],
		}),
		Now:   env.Now,
		Sleep: sleep,
	}
	return route.New(env, func(ctx context.Context, r route.Request) (string, any, error) {
		q, err := wire.DecodeSend(r.Frame, r.User)
		if err != nil {
			return q.Ref, nil, err
		}
		sent, err := sender.Send(ctx, chat.Draft{
			Conversation: q.Conversation, From: r.User, Device: r.Device,
			N: q.N, Text: q.Text, ReplyTo: q.ReplyTo, Seen: q.Seen,
		})
		return q.Ref, wire.Sent{
			Type: wire.TypeSent, Ref: q.Ref, Conversation: string(q.Conversation), N: q.N,
			Seq: sent.Seq, At: sent.At, Duplicate: sent.Duplicate,
		}, err
	}), nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
