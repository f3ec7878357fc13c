// Package route is what the functions behind the WebSocket routes share: it reads API Gateway's
// event, knows who sent the frame, and makes one answer of whatever comes back, so that every
// request gets exactly one answer (protocol, "Requests").
package route

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/wire"
)

// Session is who sent a frame, as the authorizer found when the connection was opened: nothing
// of it comes from a frame (G9).
type Session struct {
	User        chat.User
	Device      chat.Device
	Connection  chat.ConnectionID
	ConnectedAt int64 // Unix milliseconds
	End         int64 // Unix seconds
	Token       chat.Token
}

// Request is one frame.
type Request struct {
	Session
	Frame []byte
}

// Handler answers one frame. ref is the request's, as far as it could be read, answer the frame to
// send back. An *chat.Error is told to the client; any other error only to the log.
type Handler func(context.Context, Request) (ref string, answer any, err error)

// event is what is needed of an API Gateway event.
type event struct {
	Body           string `json:"body"`
	RequestContext struct {
		RouteKey     string `json:"routeKey"`
		RequestID    string `json:"requestId"`
		ConnectionID string `json:"connectionId"`
		ConnectedAt  int64  `json:"connectedAt"`
		Authorizer   struct {
			User       string `json:"user"`
			Device     string `json:"device"`
			Session    string `json:"session"`
			SignedIn   string `json:"signed_in"`   // "" if the issuer does not tell
			SessionEnd string `json:"session_end"` // API Gateway makes strings of all context values
		} `json:"authorizer"`
	} `json:"requestContext"`
}

// session reads who sent a frame.
func (e *event) session() (Session, error) {
	c := &e.RequestContext
	end, err := strconv.ParseInt(c.Authorizer.SessionEnd, 10, 64)
	if err != nil || c.Authorizer.User == "" || c.ConnectionID == "" {
		return Session{}, fmt.Errorf("the event has no authorizer context (user %q, session_end %q): does $connect have its authorizer?", c.Authorizer.User, c.Authorizer.SessionEnd)
	}
	// Without the time of the sign-in the session counts as begun long ago.
	signedIn, _ := strconv.ParseInt(c.Authorizer.SignedIn, 10, 64)
	return Session{
		User:        chat.User(c.Authorizer.User),
		Device:      chat.Device(c.Authorizer.Device),
		Connection:  chat.ConnectionID(c.ConnectionID),
		ConnectedAt: c.ConnectedAt,
		End:         end,
		Token:       chat.Token{Session: chat.SessionID(c.Authorizer.Session), SignedIn: signedIn},
	}, nil
}

// response is a proxy integration's response: only its body reaches the client.
type response struct {
	StatusCode int    `json:"statusCode"`
	Body       string `json:"body,omitempty"`
}

// margin is kept before the function's deadline, so that the client gets an answer of ours
// rather than a timeout of the gateway's.
const margin = 500 * time.Millisecond

type server struct {
	env    function.Env
	handle Handler
}

// New makes the Lambda of a route.
func New(env function.Env, handle Handler) lambda.Handler { return &server{env, handle} }

// Invoke implements lambda.Handler.
func (s *server) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	start := s.env.Now()
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-margin))
		defer cancel()
	}
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, fmt.Errorf("API Gateway event: %w", err)
	}
	session, err := e.session()
	if err != nil {
		return nil, err
	}
	ref, answer, err := s.answer(ctx, start, Request{Session: session, Frame: []byte(e.Body)})
	outcome := "ok"
	if err != nil {
		refusal := asRefusal(err)
		answer, outcome = wire.NewError(ref, refusal), string(refusal.Code)
	}
	s.log(ctx, &e, outcome, err, s.env.Now().Sub(start))
	body, err := wire.Encode(answer)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return json.Marshal(response{StatusCode: 200, Body: string(body)})
}

func (s *server) answer(ctx context.Context, now time.Time, r Request) (ref string, answer any, err error) {
	if now.Unix() >= r.End {
		_, ref = wire.Peek(r.Frame)
		return ref, nil, chat.Refuse(chat.SessionExpired, "", "the token of this connection has expired: connect again with a fresh one")
	}
	return s.handle(ctx, r)
}

// asRefusal is the one table from errors to what a client is told.
func asRefusal(err error) *chat.Error {
	var refusal *chat.Error
	if errors.As(err, &refusal) {
		return refusal
	}
	return chat.TryAgain(err)
}

// log writes the one line of a frame. Unavailable means that somebody may have to act.
func (s *server) log(ctx context.Context, e *event, outcome string, err error, took time.Duration) {
	level := slog.LevelInfo
	if outcome == string(chat.Unavailable) {
		level = slog.LevelError
	}
	if !s.env.Log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("route", e.RequestContext.RouteKey),
		slog.String("request_id", e.RequestContext.RequestID),
		slog.String("connection", e.RequestContext.ConnectionID),
		slog.String("user", e.RequestContext.Authorizer.User),
		slog.String("outcome", outcome),
		slog.Int64("ms", took.Milliseconds()),
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	s.env.Log.LogAttrs(ctx, level, "frame", attrs...)
}
