// Package connect is the $connect route: it makes a socket known before it exists, so that what
// commits from then on is delivered to it (G8).
package connect

import (
	"context"
	"encoding/json"
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
	"github.com/duet-chat/duet/internal/store"
	"github.com/duet-chat/duet/internal/wire"
)

type server struct {
	env         function.Env
	users       *store.Users
	connections *store.Connections
	gateway     *post.Gateway
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
		gateway:     post.New(env.AWS, v["CALLBACK_URL"]),
		most:        most,
	}
	return route.NewLifecycle(env, s.connect), nil
}

func (s *server) connect(ctx context.Context, e route.Lifecycle) (route.Response, error) {
	if e.Device == "" {
		return refuse(http.StatusBadRequest, "the device id is missing or not 1 to 36 of A-Z a-z 0-9 _ -: send it in the header "+wire.DeviceHeader+" or the subprotocol "+wire.DeviceSubprotocol+"<id>")
	}
	now := s.env.Now()
	if err := s.register(ctx, e.User, now); err != nil {
		return route.Response{}, err
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
		User: e.User, ID: e.Connection, Device: e.Device, ConnectedAt: e.ConnectedAt, SessionEnd: e.End,
	})
	if err != nil {
		return route.Response{}, err
	}
	for _, c := range older {
		s.replace(ctx, c)
	}
	response := route.Response{StatusCode: http.StatusOK}
	if e.Offers(wire.Subprotocol) {
		response.Headers = map[string]string{"Sec-WebSocket-Protocol": wire.Subprotocol}
	}
	return response, nil
}

// register makes sure that others can write to this user: sign-up has done so, unless its
// trigger failed or the issuer is not our user pool.
func (s *server) register(ctx context.Context, u chat.User, now time.Time) error {
	known, err := s.users.IsRegistered(ctx, u)
	if err != nil || known {
		return err
	}
	return s.users.RegisterUser(ctx, u, now)
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

// replace ends an older connection of the same device. What fails is left to the posts that are
// answered 410 and to TTL.
func (s *server) replace(ctx context.Context, c chat.Connection) {
	frame, err := wire.Encode(wire.Closing{Type: wire.TypeClosing, Reason: wire.ClosingReplaced})
	if err == nil {
		// Whether the old socket still reads this does not matter.
		_ = s.gateway.Post(ctx, c.ID, frame)
	}
	if err := s.connections.Remove(ctx, c.User, c.ID); err != nil {
		s.env.Log.WarnContext(ctx, "replaced connection stays", "connection", c.ID, "error", err)
	}
	if err := s.gateway.Close(ctx, c.ID); err != nil {
		s.env.Log.WarnContext(ctx, "replaced connection stays open", "connection", c.ID, "error", err)
	}
}

func refuse(status int, message string) (route.Response, error) {
	body, err := json.Marshal(map[string]string{"message": message})
	return route.Response{
		StatusCode: status,
		Headers:    map[string]string{"Content-Type": "application/json"},
		Body:       strings.TrimSpace(string(body)),
	}, err
}
