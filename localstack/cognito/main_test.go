package cognito_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/aws/smithy-go"

	"github.com/duet-chat/duet/localstack/cognito"
	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/storage"
)

var _ cognito.Store = (*storage.Store)(nil)

// memory is a Store in a map.
type memory struct {
	mu   sync.Mutex
	data map[string][]byte
	fail error // what Put answers, if set

	deleted chan string // when set, gets every key that is deleted
}

func (m *memory) Get(key []byte) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, ok := m.data[string(key)]
	return bytes.Clone(value), ok, nil
}

func (m *memory) Put(key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.data[string(key)] = bytes.Clone(value)
	return nil
}

func (m *memory) Delete(key []byte) error {
	m.mu.Lock()
	delete(m.data, string(key))
	m.mu.Unlock()
	if m.deleted != nil {
		m.deleted <- string(key)
	}
	return nil
}

func (m *memory) Scan(prefix []byte, fn func(key, value []byte) bool) error {
	m.mu.Lock()
	data := maps.Clone(m.data)
	m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if strings.HasPrefix(key, string(prefix)) && !fn([]byte(key), data[key]) {
			break
		}
	}
	return nil
}

// functions is an Invoker of plain Go functions by name.
type functions map[string]func(event []byte) (lambda.Result, error)

func (f functions) Invoke(_ context.Context, name string, event []byte) (lambda.Result, error) {
	if f[name] == nil {
		return lambda.Result{}, fmt.Errorf("function not found: %s", name)
	}
	return f[name](event)
}

// start is when tests take place.
var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

var (
	poolID   = cognito.PoolID("us-east-1", "test")
	clientID = cognito.ClientID("test")
)

const password = "Correct-horse-7"

// world is a user pool with all around it.
type world struct {
	t     *testing.T
	store *memory
	now   time.Time
	pools *cognito.Pools
	url   string
	sdk   *cognitoidentityprovider.Client
}

// newWorld makes a pool that confirms everybody, unless the settings are changed.
func newWorld(t *testing.T, f functions, change ...func(*cognito.Pool)) *world {
	t.Helper()
	w := &world{t: t, store: &memory{data: map[string][]byte{}}, now: start}
	if f["PreSignUp"] == nil {
		if f == nil {
			f = functions{}
		}
		f["PreSignUp"] = respond(`{"response":{"autoConfirmUser":true}}`)
	}
	w.open(f, change...)
	return w
}

// open starts pools on the world's store.
func (w *world) open(f functions, change ...func(*cognito.Pool)) {
	w.t.Helper()
	pool := cognito.Pool{
		ID: poolID, Name: "test", PreSignUp: "PreSignUp",
		Clients: []cognito.Client{{
			ID:                         clientID,
			ExplicitAuthFlows:          []string{cognito.AllowPassword, cognito.AllowRefresh},
			PreventUserExistenceErrors: true,
		}},
	}
	for _, c := range change {
		c(&pool)
	}
	server := httptest.NewUnstartedServer(nil)
	w.url = "http://" + server.Listener.Addr().String()
	pools, err := cognito.New(cognito.Options{
		Pools: []cognito.Pool{pool}, Store: w.store, Invoker: f, BaseURL: w.url,
		Region: "us-east-1", Account: "000000000000", Now: func() time.Time { return w.now }, PasswordCost: 4,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	server.Config.Handler = pools
	server.Start()
	w.t.Cleanup(func() {
		server.Close()
		if err := pools.Close(); err != nil {
			w.t.Error(err)
		}
	})
	w.pools = pools
	w.sdk = cognitoidentityprovider.New(cognitoidentityprovider.Options{
		Region: "us-east-1", BaseEndpoint: &w.url, Credentials: aws.AnonymousCredentials{}, RetryMaxAttempts: 1,
	})
}

// respond makes a function that answers the same to everything.
func respond(payload string) func([]byte) (lambda.Result, error) {
	return func([]byte) (lambda.Result, error) { return lambda.Result{Payload: []byte(payload)}, nil }
}

// fail makes a function that ends with an error.
func fail(message string) func([]byte) (lambda.Result, error) {
	return func([]byte) (lambda.Result, error) {
		return lambda.Result{FunctionError: "Unhandled", ErrorType: "errorString", ErrorMessage: message}, nil
	}
}

func (w *world) signUp(name string) error {
	_, err := w.sdk.SignUp(w.t.Context(), &cognitoidentityprovider.SignUpInput{
		ClientId: &clientID, Username: &name, Password: aws.String(password),
	})
	return err
}

func (w *world) initiate(flow types.AuthFlowType, parameters map[string]string) (*types.AuthenticationResultType, error) {
	out, err := w.sdk.InitiateAuth(w.t.Context(), &cognitoidentityprovider.InitiateAuthInput{
		ClientId: &clientID, AuthFlow: flow, AuthParameters: parameters,
	})
	if err != nil {
		return nil, err
	}
	return out.AuthenticationResult, nil
}

func (w *world) signIn(name, password string) (*types.AuthenticationResultType, error) {
	return w.initiate(types.AuthFlowTypeUserPasswordAuth, map[string]string{"USERNAME": name, "PASSWORD": password})
}

func (w *world) refresh(token string) (*types.AuthenticationResultType, error) {
	return w.initiate(types.AuthFlowTypeRefreshTokenAuth, map[string]string{"REFRESH_TOKEN": token})
}

func (w *world) getUser(accessToken string) error {
	_, err := w.sdk.GetUser(w.t.Context(), &cognitoidentityprovider.GetUserInput{AccessToken: &accessToken})
	return err
}

// member signs alice up and in.
func (w *world) member() *types.AuthenticationResultType {
	w.t.Helper()
	if err := w.signUp("alice"); err != nil {
		w.t.Fatal(err)
	}
	return w.again()
}

// again signs alice in.
func (w *world) again() *types.AuthenticationResultType {
	w.t.Helper()
	tokens, err := w.signIn("alice", password)
	if err != nil {
		w.t.Fatal(err)
	}
	return tokens
}

// refused checks that an error is of a type and has a text; "" leaves the text open, and no type
// wants no error.
func refused(t *testing.T, err error, kind, message string) {
	t.Helper()
	var api smithy.APIError
	switch {
	case kind == "" && err == nil:
	case !errors.As(err, &api):
		t.Errorf("error %v, want %s", err, kind)
	case api.ErrorCode() != kind, message != "" && api.ErrorMessage() != message:
		t.Errorf("error %s: %s\nwant  %s: %s", api.ErrorCode(), api.ErrorMessage(), kind, message)
	}
}

// post sends a raw request and returns the answer's status, headers and body.
func (w *world) post(target, body string) (int, http.Header, map[string]any) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+"/", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", target)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	return w.do(r)
}

func (w *world) get(path string) (int, map[string]any) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	status, _, body := w.do(r)
	return status, body
}

func (w *world) do(r *http.Request) (int, http.Header, map[string]any) {
	w.t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	var body map[string]any
	_ = json.Unmarshal(raw, &body) // answers that are no JSON have none
	return response.StatusCode, response.Header, body
}
