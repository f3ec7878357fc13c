// Package authorize is the authorizer of $connect: it makes a token into the user and device that
// every later event carries (G9). It runs once per connection, never for a frame. It must not import
// an SDK service client: nobody is connected before it has started.
package authorize

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/identity"
)

// errUnauthorized makes API Gateway answer 401: its text must be exactly this. Any other error is
// answered 500. Source: API Gateway developer guide, "Use API Gateway Lambda authorizers".
var errUnauthorized = errors.New("Unauthorized") //nolint:staticcheck // see above

type authorizer struct {
	env      function.Env
	verifier *identity.Verifier
}

// New builds the function. ISSUER, AUDIENCE and USER_CLAIM say which tokens are good; see
// identity.Config.
func New(env function.Env) (lambda.Handler, error) {
	v, err := env.Require("ISSUER", "AUDIENCE", "USER_CLAIM")
	if err != nil {
		return nil, err
	}
	verifier, err := identity.NewVerifier(identity.Config{
		Issuer: v["ISSUER"], Audience: v["AUDIENCE"], UserClaim: v["USER_CLAIM"],
		HTTP: env.HTTP, Now: env.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("ISSUER, AUDIENCE, USER_CLAIM: %w", err)
	}
	return &authorizer{env, verifier}, nil
}

// event is what is needed of a REQUEST authorizer's event.
type event struct {
	MethodARN         string              `json:"methodArn"`
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	RequestContext    struct {
		RequestID    string `json:"requestId"`
		ConnectionID string `json:"connectionId"`
	} `json:"requestContext"`
}

// handshake gives the headers, all values of each when the event has them.
func (e *event) handshake() map[string][]string {
	if len(e.MultiValueHeaders) > 0 {
		return e.MultiValueHeaders
	}
	headers := make(map[string][]string, len(e.Headers))
	for name, value := range e.Headers {
		headers[name] = []string{value}
	}
	return headers
}

// answer is what API Gateway takes from an authorizer.
// Source: API Gateway developer guide, "Output from an API Gateway Lambda authorizer".
type answer struct {
	PrincipalID    string            `json:"principalId"`
	PolicyDocument policy            `json:"policyDocument"`
	Context        map[string]string `json:"context"`
}

type policy struct {
	Version   string
	Statement []statement
}

type statement struct{ Effect, Action, Resource string }

// Invoke implements lambda.Handler.
func (a *authorizer) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	start := a.env.Now()
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, fmt.Errorf("authorizer event: %w", err)
	}
	resource, err := stageARN(e.MethodARN)
	if err != nil {
		return nil, err
	}
	shake, err := identity.FromHandshake(e.handshake())
	var id identity.Identity
	if err == nil {
		id, err = a.verifier.Verify(ctx, shake.Token)
	}
	attrs := []slog.Attr{
		slog.String("request_id", e.RequestContext.RequestID),
		slog.String("connection", e.RequestContext.ConnectionID),
		slog.Int64("ms", a.env.Now().Sub(start).Milliseconds()),
	}
	switch why := identity.Why(err); {
	case err == nil:
	case why == identity.KeysUnavailable:
		a.env.Log.LogAttrs(ctx, slog.LevelError, "token not checked", append(attrs, slog.String("outcome", string(why)), slog.Any("error", err))...)
		return nil, errors.New("the issuer's keys cannot be fetched")
	default:
		a.env.Log.LogAttrs(ctx, slog.LevelInfo, "token refused", append(attrs, slog.String("outcome", string(why)), slog.Any("error", err))...)
		return nil, errUnauthorized
	}
	a.env.Log.LogAttrs(ctx, slog.LevelInfo, "token accepted", append(attrs, slog.String("outcome", "ok"), slog.String("user", string(id.User)))...)
	return json.Marshal(answer{
		PrincipalID: string(id.User),
		PolicyDocument: policy{"2012-10-17", []statement{{
			Effect: "Allow", Action: "execute-api:Invoke", Resource: resource,
		}}},
		// API Gateway makes strings of all values, so they are strings here already.
		Context: map[string]string{
			"user":        string(id.User),
			"device":      string(shake.Device),
			"session":     id.Session,
			"signed_in":   strconv.FormatInt(signedIn(id), 10),
			"session_end": strconv.FormatInt(id.SessionEnd.Unix(), 10),
		},
	})
}

// signedIn is 0 when the token does not tell: the session counts as begun long ago.
func signedIn(id identity.Identity) int64 {
	if id.SignedIn.IsZero() {
		return 0
	}
	return id.SignedIn.Unix()
}

// stageARN makes arn:…:API/STAGE/* of arn:…:API/STAGE/$connect: all routes of this stage of this
// API. REST's form, API/STAGE/*/*, does not match WebSocket routes and would give 403.
func stageARN(methodARN string) (string, error) {
	api, rest, ok := strings.Cut(methodARN, "/")
	stage, route, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || !strings.HasPrefix(api, "arn:") || stage == "" || route == "" || strings.ContainsAny(stage, "*?") {
		return "", fmt.Errorf("methodArn %.200q is not of the form arn:…:API/STAGE/$connect", methodARN)
	}
	return api + "/" + stage + "/*", nil
}
