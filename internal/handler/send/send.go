// Package send is the routes that append to a conversation: send, edit, unsend, react.
package send

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/route"
	"github.com/duet-chat/duet/internal/store"
	"github.com/duet-chat/duet/internal/wire"
)

// New builds the function. MESSAGES_PER_MINUTE, NEW_CONVERSATIONS_PER_DAY and RETENTION_DAYS are
// limits; 0 is none.
func New(env function.Env) (lambda.Handler, error) {
	v, err := env.Require("CONVERSATIONS_TABLE", "MEMBERS_TABLE", "MESSAGES_TABLE", "USERS_TABLE",
		"MESSAGES_PER_MINUTE", "NEW_CONVERSATIONS_PER_DAY", "RETENTION_DAYS")
	if err != nil {
		return nil, err
	}
	limits := map[string]int{"MESSAGES_PER_MINUTE": 0, "NEW_CONVERSATIONS_PER_DAY": 0, "RETENTION_DAYS": 0}
	for name := range limits {
		if limits[name], err = strconv.Atoi(v[name]); err != nil || limits[name] < 0 {
			return nil, fmt.Errorf("%s must be 0 or a positive integer, not %q", name, v[name])
		}
	}
	sender := &chat.Sender{
		Log: store.NewConversations(env.AWS, store.ConversationTables{
			Conversations: v["CONVERSATIONS_TABLE"],
			Members:       v["MEMBERS_TABLE"],
			Messages:      v["MESSAGES_TABLE"],
			Users:         v["USERS_TABLE"],
		}, env.Now),
		Now:       env.Now,
		Sleep:     env.Sleep,
		PerMinute: limits["MESSAGES_PER_MINUTE"],
		NewPerDay: limits["NEW_CONVERSATIONS_PER_DAY"],
		Retention: time.Duration(limits["RETENTION_DAYS"]) * 24 * time.Hour,
	}
	return route.New(env, func(ctx context.Context, r route.Request) (string, any, error) {
		ref, draft, err := decode(r)
		if err != nil {
			return ref, nil, err
		}
		sent, err := sender.Send(ctx, draft)
		return ref, wire.Sent{
			Type: wire.TypeSent, Ref: ref, Conversation: string(draft.Conversation), N: draft.N,
			Seq: sent.Seq, At: sent.At, Duplicate: sent.Duplicate,
		}, err
	}), nil
}

func decode(r route.Request) (ref string, _ chat.Draft, _ error) {
	if action, _ := wire.Peek(r.Frame); wire.Action(action) == wire.ActionSend {
		q, err := wire.DecodeSend(r.Frame, r.User)
		return q.Ref, chat.Draft{
			Conversation: q.Conversation, From: r.User, Device: r.Device, Kind: chat.KindText,
			N: q.N, Text: q.Text, ReplyTo: q.ReplyTo, Seen: q.Seen,
		}, err
	}
	q, err := wire.DecodeEntry(r.Frame, r.User)
	return q.Ref, chat.Draft{
		Conversation: q.Conversation, From: r.User, Device: r.Device, Kind: q.Kind,
		N: q.N, Text: q.Text, Target: q.Target, Emoji: q.Emoji, Seen: q.Seen,
	}, err
}
