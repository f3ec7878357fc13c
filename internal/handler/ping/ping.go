// Package ping is the ping route: it keeps connections alive and tells them whether they are behind.
package ping

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/route"
	"github.com/duet-chat/duet/internal/store"
	"github.com/duet-chat/duet/internal/wire"
)

// New builds the function.
func New(env function.Env) (lambda.Handler, error) {
	v, err := env.Require("CONNECTIONS_TABLE")
	if err != nil {
		return nil, err
	}
	connections := store.NewConnections(env.AWS, v["CONNECTIONS_TABLE"])
	return route.New(env, func(ctx context.Context, r route.Request) (string, any, error) {
		q, err := wire.DecodePing(r.Frame)
		if err != nil {
			return q.Ref, nil, err
		}
		behind, known, err := connections.IsBehind(ctx, r.User, r.Connection)
		if err != nil {
			return q.Ref, nil, err
		}
		if !known {
			return q.Ref, nil, chat.Refuse(chat.SessionExpired, "", "nothing is delivered to this connection any more: connect again")
		}
		return q.Ref, wire.Pong{Type: wire.TypePong, Ref: q.Ref, Behind: behind, At: env.Now().UnixMilli()}, nil
	}), nil
}
