// Package disconnect is the $disconnect route. API Gateway calls it with best effort only: what
// it misses is removed by the first post that is answered 410, or by TTL.
package disconnect

import (
	"context"
	"net/http"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/route"
	"github.com/duet-chat/duet/internal/store"
)

// New builds the function.
func New(env function.Env) (lambda.Handler, error) {
	v, err := env.Require("CONNECTIONS_TABLE")
	if err != nil {
		return nil, err
	}
	connections := store.NewConnections(env.AWS, v["CONNECTIONS_TABLE"])
	return route.NewLifecycle(env, func(ctx context.Context, e route.Lifecycle) (route.Response, error) {
		return route.Response{StatusCode: http.StatusOK}, connections.Remove(ctx, e.User, e.Connection)
	}), nil
}
