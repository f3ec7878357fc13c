// Package fallback is the $default route: it refuses what no other route is for.
package fallback

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/route"
	"github.com/duet-chat/duet/internal/wire"
)

// New builds the function.
func New(env function.Env) (lambda.Handler, error) {
	return route.New(env, func(_ context.Context, r route.Request) (string, any, error) {
		action, ref := wire.Peek(r.Frame)
		if action == "" {
			return ref, nil, chat.Refuse(chat.UnknownAction, "action", "the frame is not a JSON object with a string named action")
		}
		return ref, nil, chat.Refuse(chat.UnknownAction, "action", "there is no action %q in this version", action)
	}), nil
}
