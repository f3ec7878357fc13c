// Package connect is the $connect route: it makes a socket known before it exists, so that what
// commits from then on is delivered to it (G8).
package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/route"
	"github.com/duet-chat/duet/internal/post"
	"github.com/duet-chat/duet/internal/push"
	"github.com/duet-chat/duet/internal/store"
	"github.com/duet-chat/duet/internal/wire"
)

type server struct {
	env         function.Env
	users       *store.Users
	connections *store.Connections
	pusher      *push.Pusher
	most        int
}

// New builds the function.
func New(env function.Env) (lambda.Handler, error) {
	v, err := env.Require("USERS_TABLE", "CONNECTIONS_TABLE", "CALLBACK_URL", "MAX_CONNECTIONS_PER_USER")
	if err != nil {
		return nil, err
	}
	most, err := strconv.Atoi(v["MAX_CONNECTIONS_PER_USER"])
	if err != nil || most < 1 {
		return nil, fmt.Errorf("MAX_CONNECTIONS_PER_USER must be a positive integer, not %q", v["MAX_CONNECTIONS_PER_USER"])
	}
	s := &server{
		env:         env,
		users:       store.NewUsers(env.AWS, v["USERS_TABLE"]),
		connections: store.NewConnections(env.AWS, v["CONNECTIONS_TABLE"]),
		most:        most,
	}
	s.pusher = &push.Pusher{Connections: s.connections, Gateway: post.New(env.AWS, v["CALLBACK_URL"]), Now: env.Now, Log: env.Log}
	return route.NewLifecycle(env, s.connect), nil
}

func (s *server) connect(ctx context.Context, e route.Lifecycle) (route.Response, error) {
	if e.Device == "" {
		return refuse(http.StatusBadRequest, "the device id is missing or not 1 to 36 of A-Z a-z 0-9 _ -: send it in the header "+wire.DeviceHeader+" or the subprotocol "+wire.DeviceSubprotocol+"<id>")
	}
	now := s.env.Now()
	profile, err := s.users.Profile(ctx, e.User)
	switch {
	case err != nil:
		return route.Response{}, err
	case profile == nil:
		// Sign-up has registered the user, unless its trigger failed or the issuer is not our user pool.
		if err := s.users.RegisterUser(ctx, e.User, now); err != nil {
			return route.Response{}, err
		}
	default:
		if status, why := unwelcome(profile, e); why != "" {
			return refuse(status, why)
		}
	}
	others, err := s.connections.Of(ctx, e.User)
	if err != nil {
		return route.Response{}, err
	}
	older, count, late := triage(others, e.Session, now)
	if late {
		return refuse(http.StatusConflict, "a newer connection of this device exists already")
	}
	if count >= s.most {
		return refuse(http.StatusTooManyRequests, fmt.Sprintf("%s has %d connections already: close one first", e.User, count))
	}
	err = s.connections.Add(ctx, chat.Connection{
		User: e.User, ID: e.Connection, Device: e.Device, ConnectedAt: e.ConnectedAt,
		Session: e.Token.Session, SessionEnd: e.End,
	})
	if err != nil {
		return route.Response{}, err
	}
	for _, c := range older {
		// What fails is left to the posts that are answered 410 and to TTL.
		if err := s.pusher.End(ctx, c, wire.ClosingReplaced); err != nil {
			s.env.Log.WarnContext(ctx, "replaced connection stays", "connection", c.ID, "error", err)
		}
	}
	// Whoever signs out or erases the account from here on finds the row. Who did so before it stood there
	// has not, but is seen now.
	switch profile, err := s.users.Profile(ctx, e.User); {
	case err != nil:
		return route.Response{}, errors.Join(err, s.connections.Remove(ctx, e.User, e.Connection))
	case profile != nil:
		if status, why := unwelcome(profile, e); why != "" {
			if err := s.connections.Remove(ctx, e.User, e.Connection); err != nil {
				return route.Response{}, err
			}
			return refuse(status, why)
		}
	}
	response := route.Response{StatusCode: http.StatusOK}
	if e.Offers(wire.Subprotocol) {
		response.Headers = map[string]string{"Sec-WebSocket-Protocol": wire.Subprotocol}
	}
	return response, nil
}

// unwelcome says why a token that is good in itself opens no connection; "" if it does.
func unwelcome(p *chat.Profile, e route.Lifecycle) (status int, why string) {
	switch {
	case p.Erased:
		return http.StatusForbidden, fmt.Sprintf("the account %q has been erased", e.User)
	case p.SignOuts.Ends(e.Token):
		return http.StatusUnauthorized, "this session has been signed out: sign in again"
	}
	return 0, ""
}

// triage finds the older connections of the same device, which the new one replaces, and counts
// those of other devices. late says that this handshake took so long that a newer one of its device
// has overtaken it: the newer stays. Rows that outlived API Gateway's limit do not count.
func triage(others []chat.Connection, own route.Session, now time.Time) (older []chat.Connection, count int, late bool) {
	for _, c := range others {
		switch {
		case c.Device == own.Device && c.ConnectedAt > own.ConnectedAt:
			late = true
		case c.Device == own.Device:
			older = append(older, c)
		case now.UnixMilli()-c.ConnectedAt < chat.MaxConnectionAge.Milliseconds():
			count++
		}
	}
	return older, count, late
}

func refuse(status int, message string) (route.Response, error) {
	body, err := json.Marshal(map[string]string{"message": message})
	return route.Response{
		StatusCode: status,
		Headers:    map[string]string{"Content-Type": "application/json"},
		Body:       strings.TrimSpace(string(body)),
	}, err
}
