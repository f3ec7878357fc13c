package authorize_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/authorize"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// world is the function with an issuer that can go away.
type world struct {
	t       *testing.T
	key     *rsa.PrivateKey
	issuer  *httptest.Server
	down    bool
	log     bytes.Buffer
	handler lambda.Handler
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	var err error
	if w.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	w.issuer = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		switch {
		case w.down:
			out.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/keys":
			_ = json.NewEncoder(out).Encode(map[string]any{"keys": []map[string]string{{
				"kid": "k", "kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(w.key.N.Bytes()), "e": "AQAB",
			}}})
		default:
			_ = json.NewEncoder(out).Encode(map[string]string{"issuer": w.issuer.URL, "jwks_uri": w.issuer.URL + "/keys"})
		}
	}))
	t.Cleanup(w.issuer.Close)
	w.handler, err = authorize.New(w.env(map[string]string{"ISSUER": w.issuer.URL, "AUDIENCE": "web", "USER_CLAIM": "username"}))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) env(variables map[string]string) function.Env {
	return function.Env{
		Getenv: func(key string) string { return variables[key] },
		HTTP:   w.issuer.Client(),
		Now:    func() time.Time { return start },
		Log:    slog.New(slog.NewTextHandler(&w.log, nil)),
	}
}

func (w *world) token(change ...func(jwt.MapClaims)) string {
	w.t.Helper()
	claims := jwt.MapClaims{
		"iss": w.issuer.URL, "client_id": "web", "token_use": "access", "username": "alice",
		"origin_jti": "the-session", "exp": start.Add(time.Hour).Unix(),
	}
	for _, c := range change {
		c(claims)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = "k"
	signed, err := token.SignedString(w.key)
	if err != nil {
		w.t.Fatal(err)
	}
	return signed
}

const methodARN = "arn:aws:execute-api:us-east-1:000000000000:a1b2c3/prod/$connect"

// invoke runs the function on an event with these headers.
func (w *world) invoke(headers map[string][]string) (string, error) {
	w.t.Helper()
	single := map[string]string{}
	for name, values := range headers {
		single[name] = values[len(values)-1]
	}
	event, err := json.Marshal(map[string]any{
		"type": "REQUEST", "methodArn": methodARN, "headers": single, "multiValueHeaders": headers,
		"requestContext": map[string]any{"requestId": "r", "connectionId": "c="},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := w.handler.Invoke(w.t.Context(), event)
	return string(answer), err
}

func bearer(token string) map[string][]string {
	return map[string][]string{"Authorization": {"Bearer " + token}, "X-Duet-Device": {"laptop"}}
}

func TestGoodTokenAllowsTheStage(t *testing.T) {
	w := newWorld(t)
	token := w.token()
	for name, test := range map[string]struct {
		headers map[string][]string
		device  string
	}{
		"program":        {bearer(token), "laptop"},
		"browser":        {map[string][]string{"Sec-WebSocket-Protocol": {"duet.v1, bearer." + token + ", device.tab"}}, "tab"},
		"without device": {map[string][]string{"authorization": {"Bearer " + token}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := w.invoke(test.headers)
			if err != nil {
				t.Fatal(err)
			}
			want := `{"principalId":"alice","policyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` +
				`"Action":"execute-api:Invoke","Resource":"arn:aws:execute-api:us-east-1:000000000000:a1b2c3/prod/*"}]},` +
				`"context":{"device":"` + test.device + `","session":"the-session","session_end":"1795438800","signed_in":"0","user":"alice"}}`
			if diff := cmp.Diff(want, answer); diff != "" {
				t.Errorf("answer: -want +got:\n%s", diff)
			}
		})
	}
}

// API Gateway answers 401 only when the error's text is exactly this, and says nothing more.
func TestBadTokenIsUnauthorizedAndNothingMore(t *testing.T) {
	w := newWorld(t)
	expired := w.token(func(c jwt.MapClaims) { c["exp"] = start.Unix() })
	id := w.token(func(c jwt.MapClaims) { c["token_use"] = "id" })
	for name, test := range map[string]struct {
		headers  map[string][]string
		category string
	}{
		"no token":   {nil, "missing"},
		"two tokens": {map[string][]string{"Authorization": {"Bearer a", "Bearer b"}}, "ambiguous"},
		"no JWT":     {bearer("secret"), "malformed"},
		"expired":    {bearer(expired), "expired"},
		"id token":   {bearer(id), "token_use"},
	} {
		t.Run(name, func(t *testing.T) {
			w.log.Reset()
			answer, err := w.invoke(test.headers)
			if err == nil || err.Error() != "Unauthorized" || answer != "" {
				t.Errorf("answer %q, error %v; want the error Unauthorized", answer, err)
			}
			log := w.log.String()
			if !strings.Contains(log, "outcome="+test.category) {
				t.Errorf("log %q does not name the category %s", log, test.category)
			}
			for _, values := range test.headers {
				if _, token, _ := strings.Cut(values[0], "Bearer "); token != "" && len(token) > 1 && strings.Contains(log, token) {
					t.Errorf("log %q holds the token", log)
				}
			}
		})
	}
}

func TestOutageOfTheIssuerIsNotTheClientsFault(t *testing.T) {
	w := newWorld(t)
	w.down = true
	answer, err := w.invoke(bearer(w.token()))
	if err == nil || err.Error() == "Unauthorized" || answer != "" {
		t.Errorf("answer %q, error %v; want an error that is answered 500", answer, err)
	}
	if strings.Contains(err.Error(), w.issuer.URL) || !strings.Contains(w.log.String(), "outcome=keys_unavailable") {
		t.Errorf("error %v, log %q: want the detail in the log only", err, w.log.String())
	}
}

func TestOnlyWebSocketARNsAreAnswered(t *testing.T) {
	w := newWorld(t)
	for _, arn := range []string{"", "arn", "arn:aws:execute-api:r:a:api/prod", "arn:aws:execute-api:r:a:api//$connect", "arn:aws:execute-api:r:a:api/*/$connect"} {
		event, err := json.Marshal(map[string]any{"methodArn": arn, "multiValueHeaders": bearer(w.token())})
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := w.handler.Invoke(t.Context(), event); err == nil || err.Error() == "Unauthorized" {
			t.Errorf("methodArn %q: answer %s, error %v", arn, answer, err)
		}
	}
	if _, err := w.handler.Invoke(t.Context(), []byte("no JSON")); err == nil {
		t.Error("an event that is no JSON gives no error")
	}
}

func TestSettingsAreNeeded(t *testing.T) {
	w := newWorld(t)
	for _, variables := range []map[string]string{
		{"ISSUER": w.issuer.URL, "AUDIENCE": "web"},
		{"ISSUER": "issuer", "AUDIENCE": "web", "USER_CLAIM": "username"},
	} {
		if _, err := authorize.New(w.env(variables)); err == nil {
			t.Errorf("New gives no error for %v", variables)
		}
	}
}

// Nobody is connected before this function has started: it links no client that it does not call.
func TestColdStartLinksNoServiceClientOfItsOwn(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dependency := range strings.Lines(string(out)) {
		for _, forbidden := range []string{"service/dynamodb", "service/apigatewaymanagementapi", "service/cognitoidentityprovider", "duet/localstack"} {
			if strings.Contains(dependency, forbidden) {
				t.Errorf("authorize depends on %s", dependency)
			}
		}
	}
}
