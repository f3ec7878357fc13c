// Package presence is the Lambda behind the connections' stream: whenever connections come and go,
// however that happened, it brings their users' presence in step and tells those who watch.
package presence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/post"
	"github.com/duet-chat/duet/internal/push"
	"github.com/duet-chat/duet/internal/store"
)

type handler struct {
	env       function.Env
	presences *chat.Presences
	teller    *push.Teller
	grace     time.Duration
}

// New builds the function. GRACE_SECONDS is how long a user stays online after the last connection:
// one who comes back within it was never gone.
func New(env function.Env) (lambda.Handler, error) {
	v, err := env.Require("USERS_TABLE", "CONNECTIONS_TABLE", "WATCHERS_TABLE", "CALLBACK_URL", "GRACE_SECONDS")
	if err != nil {
		return nil, err
	}
	grace, err := strconv.Atoi(v["GRACE_SECONDS"])
	if err != nil || grace < 0 {
		return nil, fmt.Errorf("GRACE_SECONDS must be 0 or a positive integer, not %q", v["GRACE_SECONDS"])
	}
	return &handler{
		env: env,
		presences: &chat.Presences{Now: env.Now, Store: struct {
			*store.Users
			*store.Connections
		}{store.NewUsers(env.AWS, v["USERS_TABLE"]), store.NewConnections(env.AWS, v["CONNECTIONS_TABLE"])}},
		teller: &push.Teller{
			Watchers: store.NewWatchers(env.AWS, v["WATCHERS_TABLE"]), Gateway: post.New(env.AWS, v["CALLBACK_URL"]), Now: env.Now, Log: env.Log,
		},
		grace: time.Duration(grace) * time.Second,
	}, nil
}

// Invoke implements lambda.Handler. An error lets Lambda retry the batch: it only ever brings presence
// in step with what is, so that doing it again is safe.
func (h *handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	changes, err := store.DecodeConnectionEvent(payload)
	if err != nil {
		return nil, err
	}
	if err := h.wait(ctx, changes); err != nil {
		return nil, err
	}
	var errs []error
	all, ended := users(changes)
	for _, u := range all {
		seen, err := h.presences.Refresh(ctx, u, ended[u])
		if seen != nil {
			err = errors.Join(err, h.teller.Tell(ctx, u, *seen))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("presence of %s: %w", u, err))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return json.Marshal(struct{}{})
}

// wait waits until the youngest end of a connection in the batch is as old as the grace. The mapping's
// batching window has gathered many ends in one batch, so that few functions wait, however many
// connections end. A stream tells the time of a change in whole seconds: one more makes sure.
func (h *handler) wait(ctx context.Context, changes []store.ConnectionChange) error {
	if h.grace == 0 {
		return nil
	}
	var youngest time.Time
	for _, c := range changes {
		if c.Ended && c.At.After(youngest) {
			youngest = c.At
		}
	}
	left := youngest.Add(h.grace + time.Second).Sub(h.env.Now())
	if left <= 0 {
		return nil
	}
	return h.env.Sleep(ctx, min(left, h.grace+time.Second))
}

// users are those whom the changes concern, each once, and of whom a connection has ended.
func users(changes []store.ConnectionChange) (all []chat.User, ended map[chat.User]bool) {
	ended = map[chat.User]bool{}
	for _, c := range changes {
		if _, seen := ended[c.User]; !seen {
			all = append(all, c.User)
		}
		ended[c.User] = ended[c.User] || c.Ended
	}
	return all, ended
}
