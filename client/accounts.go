package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Tokens are what signing in gives.
type Tokens struct {
	Access  string // opens the connection
	Refresh string // gets the next access token
	Expires time.Time
}

// LogValue keeps tokens out of logs.
func (t Tokens) LogValue() slog.Value {
	return slog.GroupValue(slog.Time("expires", t.Expires))
}

// Accounts signs users up and in at a stack's user pool. It may be used concurrently.
// Source: Amazon Cognito API reference, SignUp, InitiateAuth, RevokeToken, GlobalSignOut, ChangePassword, DeleteUser.
type Accounts struct {
	url, client string
	http        *http.Client
}

// NewAccounts returns the accounts of a stack. A nil HTTP client means http.DefaultClient.
func NewAccounts(e Endpoint, h *http.Client) *Accounts {
	if h == nil {
		h = http.DefaultClient
	}
	return &Accounts{url: e.UserPoolEndpoint, client: e.UserPoolClientID, http: h}
}

// SignUp makes an account; it can be used at once. Errors: ErrUserExists, ErrWeakPassword,
// ErrBadName.
func (a *Accounts) SignUp(ctx context.Context, user, password string) error {
	return a.do(ctx, "SignUp", map[string]any{"ClientId": a.client, "Username": user, "Password": password}, nil)
}

// SignIn gets tokens for a name and a password. Errors: ErrBadCredentials.
func (a *Accounts) SignIn(ctx context.Context, user, password string) (Tokens, error) {
	return a.auth(ctx, "USER_PASSWORD_AUTH", map[string]string{"USERNAME": user, "PASSWORD": password})
}

// Refresh gets a new access token. Errors: ErrBadCredentials if the refresh token has expired or
// was revoked.
func (a *Accounts) Refresh(ctx context.Context, refreshToken string) (Tokens, error) {
	t, err := a.auth(ctx, "REFRESH_TOKEN_AUTH", map[string]string{"REFRESH_TOKEN": refreshToken})
	if err == nil && t.Refresh == "" {
		// A pool that does not rotate refresh tokens leaves it out.
		t.Refresh = refreshToken
	}
	return t, err
}

// SignOut revokes a refresh token. Access tokens made from it still open connections until they
// expire.
func (a *Accounts) SignOut(ctx context.Context, refreshToken string) error {
	return a.do(ctx, "RevokeToken", map[string]any{"ClientId": a.client, "Token": refreshToken}, nil)
}

// SignOutEverywhere revokes all refresh tokens of the user of an access token.
func (a *Accounts) SignOutEverywhere(ctx context.Context, access string) error {
	return a.do(ctx, "GlobalSignOut", map[string]any{"AccessToken": access}, nil)
}

// ChangePassword sets a new password, with an access token of the user's. Sessions go on: end the
// others by Client.SignOut with OtherSessions. Errors: ErrBadCredentials if the old password is wrong or
// the token has ended, ErrWeakPassword.
func (a *Accounts) ChangePassword(ctx context.Context, access, old, proposed string) error {
	return a.do(ctx, "ChangePassword", map[string]any{"AccessToken": access, "PreviousPassword": old, "ProposedPassword": proposed}, nil)
}

// DeleteUser deletes the user of an access token from the user pool. Errors: ErrBadCredentials if the
// token has ended, or the user is gone.
func (a *Accounts) DeleteUser(ctx context.Context, access string) error {
	return a.do(ctx, "DeleteUser", map[string]any{"AccessToken": access}, nil)
}

func (a *Accounts) auth(ctx context.Context, flow string, parameters map[string]string) (Tokens, error) {
	var out struct {
		ChallengeName        string
		AuthenticationResult struct {
			AccessToken, RefreshToken string
			ExpiresIn                 int64 // seconds
		}
	}
	asked := time.Now()
	err := a.do(ctx, "InitiateAuth", map[string]any{"ClientId": a.client, "AuthFlow": flow, "AuthParameters": parameters}, &out)
	if err != nil {
		return Tokens{}, err
	}
	r := out.AuthenticationResult
	if r.AccessToken == "" {
		return Tokens{}, fmt.Errorf("sign in: the user pool asks for %q, which this client cannot answer", out.ChallengeName)
	}
	return Tokens{Access: r.AccessToken, Refresh: r.RefreshToken, Expires: asked.Add(time.Duration(r.ExpiresIn) * time.Second)}, nil
}

// do makes one call of Cognito's JSON 1.1 protocol.
func (a *Accounts) do(ctx context.Context, operation string, in, out any) error {
	if a.url == "" || a.client == "" {
		return fmt.Errorf("%s: the stack has no user pool: get tokens from its issuer", operation)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService."+operation)
	resp, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxOutputs))
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %w", operation, refusal(resp.Status, raw))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s: read the answer: %w", operation, err)
	}
	return nil
}

// refusal makes an error of a Cognito error body.
func refusal(status string, raw []byte) error {
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if json.Unmarshal(raw, &e) != nil || e.Type == "" {
		return errors.New(status)
	}
	// AWS may put the service's namespace before the name.
	kind := e.Type[strings.LastIndexByte(e.Type, '#')+1:]
	known := map[string]error{
		"UsernameExistsException":       ErrUserExists,
		"InvalidPasswordException":      ErrWeakPassword,
		"UserLambdaValidationException": ErrBadName,
		"NotAuthorizedException":        ErrBadCredentials,
		"UserNotFoundException":         ErrBadCredentials,
		"UserNotConfirmedException":     ErrNotConfirmed,
		"TooManyRequestsException":      ErrTooMany,
		"LimitExceededException":        ErrTooMany,
	}[kind]
	if known == nil {
		return fmt.Errorf("%s: %s", kind, e.Message)
	}
	return fmt.Errorf("%w: %s: %s", known, kind, e.Message)
}
