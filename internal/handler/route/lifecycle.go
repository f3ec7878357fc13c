package route

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/function"
)

// Lifecycle is a socket that comes or goes.
type Lifecycle struct {
	Session
	headers map[string][]string
}

// Offers tells whether the handshake offers a subprotocol.
func (l Lifecycle) Offers(subprotocol string) bool {
	for name, values := range l.headers {
		if !strings.EqualFold(name, "Sec-WebSocket-Protocol") {
			continue
		}
		for _, value := range values {
			for offer := range strings.SplitSeq(value, ",") {
				if strings.TrimSpace(offer) == subprotocol {
					return true
				}
			}
		}
	}
	return false
}

// Response answers $connect: any status but 2xx refuses the handshake with that status.
type Response struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers,omitempty"`
	Body       string            `json:"body,omitempty"`
}

// LifecycleHandler handles $connect or $disconnect.
type LifecycleHandler func(context.Context, Lifecycle) (Response, error)

type lifecycle struct {
	env    function.Env
	handle LifecycleHandler
}

// NewLifecycle makes the Lambda of $connect or $disconnect.
func NewLifecycle(env function.Env, handle LifecycleHandler) lambda.Handler {
	return &lifecycle{env, handle}
}

// Invoke implements lambda.Handler.
func (l *lifecycle) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var e struct {
		event
		MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, fmt.Errorf("API Gateway event: %w", err)
	}
	session, err := e.session()
	if err != nil {
		return nil, err
	}
	response, err := l.handle(ctx, Lifecycle{Session: session, headers: e.MultiValueHeaders})
	level, status := slog.LevelInfo, response.StatusCode
	if err != nil {
		level, status = slog.LevelError, http.StatusServiceUnavailable
		response = Response{StatusCode: status}
	}
	attrs := []slog.Attr{
		slog.String("route", e.RequestContext.RouteKey),
		slog.String("request_id", e.RequestContext.RequestID),
		slog.String("connection", e.RequestContext.ConnectionID),
		slog.String("user", string(session.User)),
		slog.Int("status", status),
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	l.env.Log.LogAttrs(ctx, level, "connection", attrs...)
	return json.Marshal(response)
}
