// Package history is the history route: it reads pages of a conversation.
package history

import (
	"context"
	"slices"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/route"
	"github.com/duet-chat/duet/internal/store"
	"github.com/duet-chat/duet/internal/wire"
)

// New builds the function.
func New(env function.Env) (lambda.Handler, error) {
	v, err := env.Require("MESSAGES_TABLE")
	if err != nil {
		return nil, err
	}
	messages := store.NewMessages(env.AWS, v["MESSAGES_TABLE"], env.Now)
	return route.New(env, func(ctx context.Context, r route.Request) (string, any, error) {
		q, err := wire.DecodeHistory(r.Frame, r.User)
		if err != nil {
			return q.Ref, nil, err
		}
		page, err := read(ctx, messages, q)
		return q.Ref, page, err
	}), nil
}

// read makes the page: at most q.Limit messages that fit into one frame, those next to the
// place asked for. One message more is read than is answered, to know whether there is more.
func read(ctx context.Context, messages *store.Messages, q wire.History) (wire.Page, error) {
	first, last, descending := q.After+1, int64(wire.MaxNumber), false
	if q.Before >= 0 {
		first, last, descending = 1, q.Before-1, true
	}
	found, err := messages.Entries(ctx, q.Conversation, first, last, q.Limit+1, descending)
	if err != nil {
		return wire.Page{}, err
	}
	frames := make([]wire.Message, 0, len(found))
	for _, m := range found {
		frames = append(frames, wire.NewMessage(m))
	}
	fits, err := wire.Fit(frames[:min(len(frames), q.Limit)])
	if err != nil {
		return wire.Page{}, err
	}
	frames = frames[:fits]
	if descending {
		slices.Reverse(frames)
	}
	return wire.Page{
		Type: wire.TypePage, Ref: q.Ref, Conversation: string(q.Conversation),
		Messages: frames, More: len(found) > fits,
	}, nil
}
