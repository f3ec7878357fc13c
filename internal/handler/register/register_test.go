package register_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/register"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// registry remembers who is registered, or fails.
type registry struct {
	users map[chat.User]time.Time
	err   error
}

func (r *registry) RegisterUser(_ context.Context, u chat.User, at time.Time) error {
	if r.err == nil {
		r.users[u] = at
	}
	return r.err
}

func (r *registry) IsRegistered(_ context.Context, u chat.User) (bool, error) {
	_, ok := r.users[u]
	return ok, r.err
}

func env(log *bytes.Buffer) function.Env {
	return function.Env{
		Getenv: func(string) string { return "" },
		Now:    func() time.Time { return start },
		Log:    slog.New(slog.NewTextHandler(log, nil)),
	}
}

func event(source, user, response string) string {
	return `{"version":"1","triggerSource":"` + source + `","region":"us-east-1","userPoolId":"us-east-1_a",` +
		`"callerContext":{"awsSdkVersion":"s","clientId":"c"},"userName":"` + user + `",` +
		`"request":{"userAttributes":{"sub":"5"},"validationData":null},"response":` + response + `}`
}

func TestTriggers(t *testing.T) {
	const flags = `{"autoConfirmUser":false,"autoVerifyEmail":false,"autoVerifyPhone":false}`
	const yes = `{"autoConfirmUser":true,"autoVerifyEmail":false,"autoVerifyPhone":false}`
	for _, test := range []struct {
		name, source, user string
		response, want     string // of the event; want "" is an error
		err                string
		registered         bool
	}{
		{"a sign-up is confirmed", "PreSignUp_SignUp", "alice", flags, yes, "", false},
		{"every kind of name", "PreSignUp_SignUp", "0.a_b-z", flags, yes, "", false},
		{"upper case, with the way out", "PreSignUp_SignUp", "Alice", flags, "", `user name "Alice" is not 1 to 36 of a-z 0-9 . _ -: try "alice"`, false},
		{"a letter that is not one of ours", "PreSignUp_SignUp", "zoë", flags, "", `user name "zoë" is not 1 to 36 of a-z 0-9 . _ -`, false},
		{"a conversation's separator", "PreSignUp_SignUp", "a~b", flags, "", `user name "a~b" is not 1 to 36 of a-z 0-9 . _ -`, false},
		{"too long", "PreSignUp_SignUp", strings.Repeat("a", 37), flags, "", `user name "` + strings.Repeat("a", 37) + `" is not 1 to 36 of a-z 0-9 . _ -`, false},
		{"an administrator's user", "PreSignUp_AdminCreateUser", "alice", flags, yes, "", false},
		{"a confirmed user is registered", "PostConfirmation_ConfirmSignUp", "alice", "{}", "{}", "", true},
		{"a new password registers nobody", "PostConfirmation_ConfirmForgotPassword", "alice", "{}", "{}", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			users := &registry{users: map[chat.User]time.Time{}}
			h := register.NewWith(env(new(bytes.Buffer)), users)
			answer, err := h.Invoke(t.Context(), []byte(event(test.source, test.user, test.response)))
			if test.want == "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("error %v, want %s", err, test.err)
				}
			} else if err != nil {
				t.Fatal(err)
			} else if diff := cmp.Diff(parse(t, event(test.source, test.user, test.want)), parse(t, string(answer))); diff != "" {
				t.Errorf("answer: -want +got:\n%s", diff)
			}
			if at, ok := users.users[chat.User(test.user)]; ok != test.registered || ok && !at.Equal(start) {
				t.Errorf("registered %v at %v, want %v", ok, at, test.registered)
			}
		})
	}
}

func parse(t *testing.T, s string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

// G9: whoever took the name of a deleted account would see that account's conversations.
func TestG9_NameOfADeletedAccountStaysTaken(t *testing.T) {
	h := register.NewWith(env(new(bytes.Buffer)), &registry{users: map[chat.User]time.Time{"alice": start}})
	answer, err := h.Invoke(t.Context(), []byte(event("PreSignUp_SignUp", "alice", "{}")))
	if err == nil || !strings.Contains(err.Error(), "taken") {
		t.Errorf("sign-up with the name of a registered user = %s, %v, want it refused", answer, err)
	}
}

// Cognito shows people the text of any error.
func TestFaultsStayInTheLog(t *testing.T) {
	var log bytes.Buffer
	h := register.NewWith(env(&log), &registry{err: errors.New("table secret-table is away")})
	_, err := h.Invoke(t.Context(), []byte(event("PostConfirmation_ConfirmSignUp", "alice", "{}")))
	if err == nil || strings.Contains(err.Error(), "table") {
		t.Errorf("error %v, want one without detail", err)
	}
	if !strings.Contains(log.String(), "secret-table") || !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("log %q has no detail", log.String())
	}
}

func TestOtherTriggersAreErrors(t *testing.T) {
	h := register.NewWith(env(new(bytes.Buffer)), &registry{users: map[chat.User]time.Time{}})
	for _, payload := range []string{event("PostAuthentication_Authentication", "alice", "{}"), "no JSON", "{}"} {
		if answer, err := h.Invoke(t.Context(), []byte(payload)); err == nil {
			t.Errorf("%s is answered %s", payload, answer)
		}
	}
}

func TestNewNeedsItsTable(t *testing.T) {
	e := env(new(bytes.Buffer))
	if _, err := register.New(e); err == nil {
		t.Error("New gives no error without USERS_TABLE")
	}
	e.Getenv = func(string) string { return "duet-UsersTable" }
	e.AWS = aws.Config{Region: "us-east-1"}
	if _, err := register.New(e); err != nil {
		t.Error(err)
	}
}
