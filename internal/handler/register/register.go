// Package register is the user pool's triggers: before a sign-up it checks that the user name is one
// that can chat, after it registers the user, so that others can write to them.
package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/store"
)

// Registry keeps who is registered. Registering somebody again changes nothing: Cognito calls its
// triggers up to three times.
type Registry interface {
	RegisterUser(ctx context.Context, u chat.User, at time.Time) error
	IsRegistered(ctx context.Context, u chat.User) (bool, error)
}

type triggers struct {
	env   function.Env
	users Registry
}

// New builds the function. It reads and writes USERS_TABLE.
func New(env function.Env) (lambda.Handler, error) {
	v, err := env.Require("USERS_TABLE")
	if err != nil {
		return nil, err
	}
	return NewWith(env, store.NewUsers(env.AWS, v["USERS_TABLE"])), nil
}

// NewWith builds the function on any registry.
func NewWith(env function.Env, users Registry) lambda.Handler { return &triggers{env, users} }

// event is a trigger's event, which is also its answer: what is not ours goes back as it came.
// Source: Cognito developer guide, "Customizing user pool workflows with Lambda triggers".
type event struct {
	events.CognitoEventUserPoolsHeader
	Request  json.RawMessage `json:"request"`
	Response any             `json:"response"`
}

// Invoke implements lambda.Handler.
func (t *triggers) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, fmt.Errorf("user pool event: %w", err)
	}
	attrs := []slog.Attr{slog.String("trigger", e.TriggerSource), slog.String("user", fmt.Sprintf("%.50s", e.UserName))}
	err := t.handle(ctx, &e)
	var refused refusal
	switch {
	case err == nil:
		t.env.Log.LogAttrs(ctx, slog.LevelInfo, "register", append(attrs, slog.String("outcome", "ok"))...)
		return json.Marshal(e)
	case errors.As(err, &refused):
		t.env.Log.LogAttrs(ctx, slog.LevelInfo, "register", append(attrs, slog.String("outcome", "refused"))...)
		return nil, refused
	}
	t.env.Log.LogAttrs(ctx, slog.LevelError, "register", append(attrs, slog.String("outcome", "failed"), slog.Any("error", err))...)
	return nil, errUnfinished
}

// refusal is an error whose text is for the person at sign-up: Cognito shows them the text of any
// error, after "PreSignUp failed with error" and before a full stop of its own.
type refusal struct{ error }

// errUnfinished is all that people are told of a fault: the account exists by then, and the $connect
// route registers whom this function has not.
var errUnfinished = errors.New("registration was not finished: sign in and connect, which finishes it")

func (t *triggers) handle(ctx context.Context, e *event) error {
	switch e.TriggerSource {
	case "PreSignUp_SignUp", "PreSignUp_AdminCreateUser", "PreSignUp_ExternalProvider":
		u, err := t.user(e)
		if err != nil {
			return err
		}
		if err := t.free(ctx, u); err != nil {
			return err
		}
		// There is no mail to confirm: a name and a password are all that an account has.
		e.Response = events.CognitoEventUserPoolsPreSignupResponse{AutoConfirmUser: true}
		return nil
	case "PostConfirmation_ConfirmSignUp":
		u, err := t.user(e)
		if err != nil {
			return err
		}
		return t.users.RegisterUser(ctx, u, t.env.Now())
	case "PostConfirmation_ConfirmForgotPassword":
		return nil // a new password is no new user
	}
	return fmt.Errorf("trigger %.50q is not for this function: see the user pool's LambdaConfig", e.TriggerSource)
}

// free refuses a name that somebody has, or had: who takes the name of a deleted account would see
// that account's conversations (G9).
func (t *triggers) free(ctx context.Context, u chat.User) error {
	known, err := t.users.IsRegistered(ctx, u)
	if err != nil {
		t.env.Log.ErrorContext(ctx, "sign-up cannot be checked", "user", u, "error", err)
		return refusal{errors.New("sign-up is not possible just now: try again")}
	}
	if known {
		return refusal{fmt.Errorf("the user name %q is taken: choose another", u)}
	}
	return nil
}

// user checks the user's name.
func (t *triggers) user(e *event) (chat.User, error) {
	u, err := chat.ParseUser(e.UserName)
	if err == nil {
		return u, nil
	}
	if lower, inLower := chat.ParseUser(strings.ToLower(e.UserName)); inLower == nil {
		err = fmt.Errorf("%w: try %q", err, lower)
	}
	return "", refusal{err}
}
