package remote_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/localstack/cognito"
	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/remote"
)

// pools are user pools elsewhere that answer what they are told to, and note what they are asked.
type pools struct {
	mu        sync.Mutex // guards what follows
	log       []string
	answers   map[string]string // by operation
	documents map[string]string // by path
	url       string
}

func newPools(t *testing.T) *pools {
	p := &pools{documents: map[string]string{}, answers: map[string]string{
		"DescribeUserPool":       `{"UserPool":{"LambdaConfig":{}}}`,
		"ListUserPools":          `{"UserPools":[{"Id":"eu-west-1_Other","Name":"other"}]}`,
		"ListUserPoolClients":    `{"UserPoolClients":[]}`,
		"CreateUserPool":         `{"UserPool":{"Id":"eu-west-1_New"}}`,
		"CreateUserPoolClient":   `{"UserPoolClient":{"ClientId":"newclient"}}`,
		"SignUp":                 `{"UserConfirmed":false,"UserSub":"s-1"}`,
		"ConfirmSignUp":          `{}`,
		"AdminConfirmSignUp":     `{}`,
		"DescribeUserPoolClient": `{"UserPoolClient":{}}`,
		"AdminGetUser":           `{"Username":"alice","UserAttributes":[{"Name":"sub","Value":"s-1"},{"Name":"email","Value":"a@example.org"}]}`,
	}}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *pools) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, fmt.Sprintf(format, args...))
}

// notes returns what was noted since the last call.
func (p *pools) notes() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := strings.Join(p.log, "\n")
	p.log = nil
	return all
}

func (p *pools) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		if d, ok := p.documents[r.URL.Path]; ok {
			_, _ = io.WriteString(w, d)
			return
		}
		http.NotFound(w, r)
		return
	}
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), cognito.TargetPrefix)
	body, _ := io.ReadAll(r.Body)
	p.note("%s %s", operation, body)
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=local/") || !strings.Contains(r.Header.Get("Authorization"), "/cognito-idp/") {
		p.note("not signed")
	}
	answer, ok := p.answers[operation]
	if !ok || strings.HasPrefix(answer, `{"__type"`) {
		w.WriteHeader(http.StatusBadRequest)
	}
	_, _ = io.WriteString(w, answer)
}

// Invoke runs the triggers: nobody may be called mallory, and others need no confirmation.
func (p *pools) Invoke(_ context.Context, function string, event []byte) (lambda.Result, error) {
	var e struct {
		TriggerSource, UserName, UserPoolID string
		Request                             struct{ UserAttributes map[string]string }
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return lambda.Result{}, err
	}
	p.note("%s: %s of %s in %s, sub %q", function, e.TriggerSource, e.UserName, e.UserPoolID, e.Request.UserAttributes["sub"])
	if e.UserName == "mallory" {
		return lambda.Result{FunctionError: "Unhandled", ErrorMessage: "the name is taken"}, nil
	}
	return lambda.Result{Payload: []byte(`{"response":{"autoConfirmUser":` + fmt.Sprint(e.UserName != "manual") + `}}`)}, nil
}

// spec is a pool with a client, as a template has them.
func spec() cognito.Pool {
	return cognito.Pool{
		ID: "us-east-1_Template", Name: "app", Resource: "Users", PreSignUp: "Check", PostConfirmation: "Welcome",
		PasswordPolicy: &cognito.PasswordPolicy{MinimumLength: 8},
		Clients: []cognito.Client{{
			ID: "template", Name: "web", Resource: "Web", ExplicitAuthFlows: []string{cognito.AllowPassword},
			AccessTokenValidity: time.Hour, PreventUserExistenceErrors: true,
		}},
	}
}

func provide(t *testing.T, p *pools, given map[string]string) (*remote.UserPools, remote.Provided, error) {
	t.Helper()
	u, err := remote.OpenUserPools(t.Context(), remote.UserPoolsOptions{URL: p.url, Invoker: p})
	if err != nil {
		t.Fatal(err)
	}
	p.notes()
	provided, err := u.Provide(t.Context(), []cognito.Pool{spec()}, given)
	return u, provided, err
}

func TestPoolsAreMadeOrFound(t *testing.T) {
	t.Run("made", func(t *testing.T) {
		p := newPools(t)
		_, provided, err := provide(t, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := remote.Provided{
			IDs:     map[string]string{"Users": "eu-west-1_New", "Web": "newclient"},
			Issuers: map[string]string{"eu-west-1_New": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_New"},
		}
		if diff := cmp.Diff(want, provided); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(`ListUserPools {"MaxResults":60}
CreateUserPool {"AdminCreateUserConfig":{"AllowAdminCreateUserOnly":false},"Policies":{"PasswordPolicy":{"MinimumLength":8,"RequireUppercase":false,"RequireLowercase":false,"RequireNumbers":false,"RequireSymbols":false}},"PoolName":"app","UsernameConfiguration":{"CaseSensitive":true}}
DescribeUserPool {"UserPoolId":"eu-west-1_New"}
ListUserPoolClients {"MaxResults":60,"UserPoolId":"eu-west-1_New"}
CreateUserPoolClient {"AccessTokenValidity":3600,"ClientName":"web","ExplicitAuthFlows":["ALLOW_USER_PASSWORD_AUTH"],"GenerateSecret":false,"PreventUserExistenceErrors":"ENABLED","TokenValidityUnits":{"AccessToken":"seconds"},"UserPoolId":"eu-west-1_New"}`, p.notes()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("found", func(t *testing.T) {
		p := newPools(t)
		p.answers["ListUserPools"] = `{"UserPools":[{"Id":"eu-west-1_There","Name":"app"}]}`
		p.answers["ListUserPoolClients"] = `{"UserPoolClients":[{"ClientId":"there","ClientName":"web"}]}`
		p.documents["/eu-west-1_There/.well-known/openid-configuration"] = `{"issuer":"https://tokens.example/there"}`
		_, provided, err := provide(t, p, nil)
		if err != nil || provided.IDs["Users"] != "eu-west-1_There" || provided.IDs["Web"] != "there" || provided.Issuers["eu-west-1_There"] != "https://tokens.example/there" {
			t.Errorf("= %v %v", provided, err)
		}
		if notes := p.notes(); strings.Contains(notes, "Create") {
			t.Errorf("it made something:\n%s", notes)
		}
	})
	t.Run("given", func(t *testing.T) {
		p := newPools(t)
		_, provided, err := provide(t, p, map[string]string{"Users": "eu-west-1_Given", "Web": "given"})
		if err != nil || provided.IDs["Users"] != "eu-west-1_Given" || provided.IDs["Web"] != "given" {
			t.Errorf("= %v %v", provided, err)
		}
	})
	for _, test := range []struct {
		name   string
		change func(*pools)
		given  map[string]string
		want   []string
	}{
		{"two of that name", func(p *pools) {
			p.answers["ListUserPools"] = `{"UserPools":[{"Id":"a","Name":"app"},{"Id":"b","Name":"app"}]}`
		}, nil, []string{"Users", "2 pools named app", "--cognito-id Users=ID", "a, b"}},
		{"not allowed", func(p *pools) { p.answers["CreateUserPool"] = `{"__type":"AccessDeniedException","message":"no"}` }, nil, []string{"Users", "AccessDeniedException"}},
		{"a pool that is not there", func(p *pools) {
			p.answers["DescribeUserPool"] = `{"__type":"ResourceNotFoundException","message":"no pool"}`
		},
			map[string]string{"Users": "x"}, []string{"no pool", "--cognito-id Users=ID", "name app"}},
		{"a client that is not there", func(p *pools) {
			p.answers["DescribeUserPoolClient"] = `{"__type":"ResourceNotFoundException","message":"no client"}`
		},
			map[string]string{"Web": "x"}, []string{"no client", "--cognito-id Web=ID", "name web"}},
		{"a client with a secret", func(p *pools) { p.answers["DescribeUserPoolClient"] = `{"UserPoolClient":{"ClientSecret":"s"}}` },
			map[string]string{"Web": "x"}, []string{"client x has a secret", "--cognito-id Web=ID"}},
		{"an issuer that is not there", func(p *pools) {
			p.documents["/eu-west-1_New/.well-known/openid-configuration"] = `{"issuer":"http://127.0.0.1:1/eu-west-1_New"}`
		},
			nil, []string{"issued by http://127.0.0.1:1/", "configure its host and port"}},
		{"another name", func(*pools) {}, map[string]string{"Pool": "x"}, []string{"no user pool and no client Pool"}},
	} {
		p := newPools(t)
		test.change(p)
		_, _, err := provide(t, p, test.given)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want it to tell %q", test.name, err, want)
			}
		}
	}
}

func TestOpenUserPoolsRefuses(t *testing.T) {
	page := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(page.Close)
	p := newPools(t)
	p.answers["DescribeUserPool"] = `{"__type":"UnrecognizedClientException","message":"no"}`
	for url, want := range map[string]string{page.URL: "does not speak AWS's JSON protocol", p.url: "UnrecognizedClientException", "users": "is no URL"} {
		if _, err := remote.OpenUserPools(t.Context(), remote.UserPoolsOptions{URL: url}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", url, err, want)
		}
	}
}

// The triggers run as in Cognito: one before the user is there, the other when it is confirmed.
func TestTriggersOfPoolsElsewhere(t *testing.T) {
	confirmed := []string{"Check: PreSignUp_SignUp of alice in eu-west-1_New, sub \"\"", "SignUp", "AdminConfirmSignUp", "AdminGetUser", "Welcome: PostConfirmation_ConfirmSignUp of alice in eu-west-1_New, sub \"s-1\""}
	tests := []struct {
		name, operation, body string
		change                func(*pools)
		status                int
		answer                string
		notes                 []string // their beginnings
	}{
		{"sign-up", "SignUp", `{"ClientId":"newclient","Username":"alice","Password":"p"}`, nil, 200, `{"UserConfirmed":true,"UserSub":"s-1"}`, confirmed},
		{"sign-up that is refused by the trigger", "SignUp", `{"ClientId":"newclient","Username":"mallory"}`, nil, 400, "UserLambdaValidationException", []string{"Check"}},
		{"sign-up that is refused by the pool", "SignUp", `{"ClientId":"newclient","Username":"alice"}`, func(p *pools) { p.answers["SignUp"] = `{"__type":"UsernameExistsException"}` }, 400, "UsernameExistsException", []string{"Check", "SignUp"}},
		{"sign-up that is to be confirmed", "SignUp", `{"ClientId":"newclient","Username":"manual"}`, nil, 200, `{"UserConfirmed":false,"UserSub":"s-1"}`, []string{"Check", "SignUp"}},
		{"confirmation", "ConfirmSignUp", `{"ClientId":"newclient","Username":"manual","ConfirmationCode":"1"}`, nil, 200, `{}`, []string{"ConfirmSignUp", "AdminGetUser", "Welcome"}},
		{"confirmation by an administrator", "AdminConfirmSignUp", `{"UserPoolId":"eu-west-1_New","Username":"manual"}`, nil, 200, `{}`, []string{"AdminConfirmSignUp", "AdminGetUser", "Welcome"}},
		{"confirmation that fails", "ConfirmSignUp", `{"ClientId":"newclient","Username":"manual"}`, func(p *pools) { p.answers["ConfirmSignUp"] = `{"__type":"CodeMismatchException"}` }, 400, "CodeMismatchException", []string{"ConfirmSignUp"}},
		{"confirming that fails", "SignUp", `{"ClientId":"newclient","Username":"alice"}`, func(p *pools) { p.answers["AdminConfirmSignUp"] = `{"__type":"AccessDeniedException"}` }, 500, "InternalErrorException", []string{"Check", "SignUp", "AdminConfirmSignUp"}},
		{"another stack's client", "SignUp", `{"ClientId":"another","Username":"alice"}`, nil, 200, `{"UserConfirmed":false,"UserSub":"s-1"}`, []string{"SignUp"}},
		{"a pool with triggers of its own", "SignUp", `{"ClientId":"newclient","Username":"alice"}`, func(p *pools) {
			p.answers["DescribeUserPool"] = `{"UserPool":{"LambdaConfig":{"PreSignUp":"arn:aws:lambda:…"}}}`
		}, 200, `{"UserConfirmed":false,"UserSub":"s-1"}`, []string{"SignUp"}},
		{"any other operation", "GetUser", `{"AccessToken":"t"}`, func(p *pools) { p.answers["GetUser"] = `{"Username":"alice"}` }, 200, `{"Username":"alice"}`, []string{"GetUser"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPools(t)
			if test.change != nil {
				test.change(p)
			}
			u, _, err := provide(t, p, nil)
			if err != nil {
				t.Fatal(err)
			}
			p.notes()
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(test.body))
			r.Header.Set("X-Amz-Target", cognito.TargetPrefix+test.operation)
			w := httptest.NewRecorder()
			u.ServeHTTP(w, r)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.answer) {
				t.Errorf("= %d %s, want %d %s", w.Code, w.Body, test.status, test.answer)
			}
			notes := strings.Split(p.notes(), "\n")
			if !slices.EqualFunc(notes, test.notes, strings.HasPrefix) {
				t.Errorf("noted:\n%s\nwant:\n%s", strings.Join(notes, "\n"), strings.Join(test.notes, "\n"))
			}
		})
	}
}

// Emulators sign in the name of AWS's hosts. The local cloud stands for the host, and the discovery document
// names keys that are under it: verifiers refuse others.
func TestIssuerOfPoolsElsewhere(t *testing.T) {
	p := newPools(t)
	const issuer = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_New"
	p.documents["/eu-west-1_New/.well-known/openid-configuration"] = `{"issuer":"` + issuer + `","jwks_uri":"http://127.0.0.1:5000/jwks.json"}`
	p.documents["/eu-west-1_New/.well-known/jwks.json"] = `{"keys":[]}`
	u, provided, err := provide(t, p, nil)
	if err != nil || provided.Issuers["eu-west-1_New"] != issuer {
		t.Fatal(provided, err)
	}
	for path, want := range map[string]string{
		"/eu-west-1_New/.well-known/openid-configuration": `{"issuer":"` + issuer + `","jwks_uri":"` + issuer + `/.well-known/jwks.json"}`,
		"/eu-west-1_New/.well-known/jwks.json":            `{"keys":[]}`,
		"/another/.well-known/jwks.json":                  "404",
	} {
		w := httptest.NewRecorder()
		u.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if !strings.HasPrefix(w.Body.String(), want) {
			t.Errorf("%s = %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
	if !u.StandsFor("cognito-idp.eu-west-1.amazonaws.com") || u.StandsFor("cognito-idp.us-east-1.amazonaws.com") || u.StandsFor("example.org") {
		t.Error("it does not stand for the issuer's host alone")
	}
}
