// Package post sends frames to connections through API Gateway's @connections API.
package post

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"

	"github.com/duet-chat/duet/internal/chat"
)

// ErrGone reports that there is no such connection: it has ended, or does not exist yet.
var ErrGone = errors.New("connection is gone")

// timeout bounds one call with its retry: a connection that takes longer is marked behind rather
// than waited for, so that it does not hold up the others of its batch.
const timeout = 2 * time.Second

// Gateway sends to the connections of one API.
type Gateway struct {
	api *apigatewaymanagementapi.Client
}

// New makes a Gateway. callback is the API's URL with its stage, as in
// https://ID.execute-api.REGION.amazonaws.com/STAGE.
func New(cfg aws.Config, callback string) *Gateway {
	return &Gateway{api: apigatewaymanagementapi.NewFromConfig(cfg, func(o *apigatewaymanagementapi.Options) {
		o.BaseEndpoint = &callback
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			// One more try for a fault of the gateway. A 429 means a slow reader: it is not
			// pressed harder, but marked behind.
			r.MaxAttempts = 2
			r.MaxBackoff = 100 * time.Millisecond
			r.Retryables = []retry.IsErrorRetryable{
				retry.NoRetryCanceledError{},
				retry.RetryableConnectionError{},
				retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{500: {}, 502: {}, 503: {}, 504: {}}},
			}
		})
	})}
}

// Post sends one frame. It returns ErrGone, or another error when it is unknown whether the
// frame arrives. A frame may arrive twice.
func (g *Gateway) Post(ctx context.Context, id chat.ConnectionID, frame []byte) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := g.api.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{
		ConnectionId: aws.String(string(id)),
		Data:         frame,
	})
	return explain("post to", id, err)
}

// Close ends a connection. It returns ErrGone if there is none.
func (g *Gateway) Close(ctx context.Context, id chat.ConnectionID) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := g.api.DeleteConnection(ctx, &apigatewaymanagementapi.DeleteConnectionInput{
		ConnectionId: aws.String(string(id)),
	})
	return explain("close", id, err)
}

func explain(act string, id chat.ConnectionID, err error) error {
	var gone *types.GoneException
	switch {
	case err == nil:
		return nil
	case errors.As(err, &gone):
		return fmt.Errorf("%s connection %s: %w", act, id, ErrGone)
	}
	return fmt.Errorf("%s connection %s: %w", act, id, err)
}
