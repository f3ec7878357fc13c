package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/client"
)

// pool is a user pool that answers as the test says.
func pool(t *testing.T, answer func(operation string, in object) (status int, out any)) *client.Accounts {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in object
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		if got := r.Header.Get("Content-Type"); got != "application/x-amz-json-1.1" {
			t.Errorf("content type %q, want application/x-amz-json-1.1", got)
		}
		if in["ClientId"] != "the-client" {
			t.Errorf("client id %v, want the-client", in["ClientId"])
		}
		const service = "AWSCognitoIdentityProviderService."
		status, out := answer(r.Header.Get("X-Amz-Target")[len(service):], in)
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(out)
	}))
	t.Cleanup(s.Close)
	return client.NewAccounts(client.Endpoint{UserPoolEndpoint: s.URL, UserPoolClientID: "the-client"}, nil)
}

func TestAccountsNameRefusals(t *testing.T) {
	for kind, want := range map[string]error{
		"UsernameExistsException":                                         client.ErrUserExists,
		"InvalidPasswordException":                                        client.ErrWeakPassword,
		"UserLambdaValidationException":                                   client.ErrBadName,
		"NotAuthorizedException":                                          client.ErrBadCredentials,
		"com.amazonaws.cognito.identity.idp.model#NotAuthorizedException": client.ErrBadCredentials,
		"UserNotConfirmedException":                                       client.ErrNotConfirmed,
		"TooManyRequestsException":                                        client.ErrTooMany,
	} {
		a := pool(t, func(string, object) (int, any) { return 400, object{"__type": kind, "message": "because"} })
		if err := a.SignUp(t.Context(), "alice", "secret"); !errors.Is(err, want) {
			t.Errorf("SignUp() = %v for %s, want %v", err, kind, want)
		}
	}
}

func TestSignInRefreshAndSignOut(t *testing.T) {
	var revoked any
	a := pool(t, func(operation string, in object) (int, any) {
		switch operation {
		case "RevokeToken":
			revoked = in["Token"]
			return 200, object{}
		case "InitiateAuth":
			p := in["AuthParameters"].(object)
			if in["AuthFlow"] == "USER_PASSWORD_AUTH" && p["USERNAME"] == "alice" && p["PASSWORD"] == "secret" {
				return 200, object{"AuthenticationResult": object{"AccessToken": "a1", "RefreshToken": "r1", "ExpiresIn": 3600}}
			}
			if in["AuthFlow"] == "REFRESH_TOKEN_AUTH" && p["REFRESH_TOKEN"] == "r1" {
				return 200, object{"AuthenticationResult": object{"AccessToken": "a2", "ExpiresIn": 3600}}
			}
		}
		t.Errorf("%s of %v", operation, in)
		return 500, object{}
	})
	tokens, err := a.SignIn(t.Context(), "alice", "secret")
	if err != nil || tokens.Access != "a1" || tokens.Refresh != "r1" || time.Until(tokens.Expires) < 59*time.Minute {
		t.Errorf("SignIn() = %v, %v, want a1 and r1 for an hour", tokens, err)
	}
	tokens, err = a.Refresh(t.Context(), tokens.Refresh)
	if err != nil || tokens.Access != "a2" || tokens.Refresh != "r1" {
		t.Errorf("Refresh() = %v, %v, want a2, and r1 kept", tokens, err)
	}
	if err := a.SignOut(t.Context(), tokens.Refresh); err != nil || revoked != "r1" {
		t.Errorf("SignOut() = %v and revoked %v, want r1", err, revoked)
	}
}

func TestSourceRefreshesOnceForAll(t *testing.T) {
	var mu sync.Mutex
	refreshes := 0
	a := pool(t, func(string, object) (int, any) {
		mu.Lock()
		defer mu.Unlock()
		refreshes++
		return 200, object{"AuthenticationResult": object{"AccessToken": "new", "ExpiresIn": 3600}}
	})
	var stored []client.Tokens
	source := a.Source(client.Tokens{Access: "old", Refresh: "r", Expires: time.Now().Add(-time.Second)}, func(t client.Tokens) {
		stored = append(stored, t)
	})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if access, _, err := source.Token(t.Context()); access != "new" || err != nil {
				t.Errorf("Token() = %q, %v, want new", access, err)
			}
		})
	}
	all.Wait()
	if refreshes != 1 || len(stored) != 1 || stored[0].Refresh != "r" {
		t.Errorf("%d refreshes, stored %v, want one", refreshes, stored)
	}
	source.(interface{ Invalidate(string) }).Invalidate("new")
	if _, _, err := source.Token(t.Context()); err != nil || refreshes != 2 {
		t.Errorf("Token() = %v after %d refreshes, want a second one", err, refreshes)
	}
}

// Tokens that were kept while the clock was wrong: whatever end was noted then, a new set is got when it
// cannot be, and otherwise when the server refuses the old one.
func TestSourceOfTokensKeptByAWrongClock(t *testing.T) {
	for _, test := range []struct {
		left time.Duration // of the kept token, as it seems now
		want string
	}{
		{-30 * 24 * time.Hour, "new"}, {-time.Hour, "new"}, {50 * time.Minute, "kept"}, {20 * time.Hour, "kept"},
		{25 * time.Hour, "new"}, {30 * 24 * time.Hour, "new"}, {100 * 365 * 24 * time.Hour, "new"},
	} {
		a := pool(t, func(string, object) (int, any) {
			return 200, object{"AuthenticationResult": object{"AccessToken": "new", "ExpiresIn": 3600}}
		})
		source := a.Source(client.Tokens{Access: "kept", Refresh: "r", Expires: time.Now().Add(test.left).Round(0)}, nil)
		if access, _, err := source.Token(t.Context()); access != test.want || err != nil {
			t.Errorf("Token() = %q, %v, with %v left, want %s", access, err, test.left, test.want)
		}
		source.(interface{ Invalidate(string) }).Invalidate("kept")
		access, expires, err := source.Token(t.Context())
		if left := time.Until(expires); access != "new" || err != nil || left < 59*time.Minute || left > time.Hour {
			t.Errorf("Token() = %q for %v, %v, after the kept one was refused, want a new one for an hour", access, left, err)
		}
	}
}

func TestSourceReportsAnEndedSession(t *testing.T) {
	a := pool(t, func(string, object) (int, any) {
		return 400, object{"__type": "NotAuthorizedException", "message": "Refresh Token has been revoked"}
	})
	_, _, err := a.Source(client.Tokens{Refresh: "r"}, nil).Token(context.Background())
	if !errors.Is(err, client.ErrBadCredentials) {
		t.Errorf("Token() = %v, want ErrBadCredentials", err)
	}
}

func TestDiscover(t *testing.T) {
	want := client.Endpoint{WebSocketURL: "ws://x/prod", UserPoolID: "p", UserPoolClientID: "c", UserPoolEndpoint: "http://x/", Issuer: "http://x/p"}
	const plain = `{"WebSocketUrl":"ws://x/prod","UserPoolId":"p","UserPoolClientId":"c","UserPoolEndpoint":"http://x/","Issuer":"http://x/p","Port":4566}`
	const list = `[{"OutputKey":"WebSocketUrl","OutputValue":"ws://x/prod","Description":"d"},{"OutputKey":"UserPoolId","OutputValue":"p"},
		{"OutputKey":"UserPoolClientId","OutputValue":"c"},{"OutputKey":"UserPoolEndpoint","OutputValue":"http://x/"},{"OutputKey":"Issuer","OutputValue":"http://x/p"}]`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/_local/outputs" {
			t.Errorf("GET %s, want /_local/outputs", r.URL.Path)
		}
		io.WriteString(w, plain)
	}))
	defer s.Close()
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "outputs.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, where := range map[string]string{"url": s.URL, "url with a slash": s.URL + "/", "object": file(plain), "list": file(list)} {
		got, err := client.Discover(t.Context(), where)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: Discover() = %v (-want +got):\n%s", name, err, diff)
		}
	}
	for name, where := range map[string]string{"no URL in it": file(`{}`), "not JSON": file(`x`), "no file": filepath.Join(t.TempDir(), "none")} {
		if _, err := client.Discover(t.Context(), where); err == nil {
			t.Errorf("%s: Discover() = nil, want an error", name)
		}
	}
}
