package cognito_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/duet-chat/duet/localstack/cognito"
)

// signer gives the credentials that locally mean nothing.
func signer(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
}

func TestProtocolErrors(t *testing.T) {
	w := newWorld(t, nil)
	const service = cognito.TargetPrefix
	for _, test := range []struct {
		name, target, body, kind string
	}{
		{"unknown operation", service + "CreateUserPool", "{}", "UnknownOperationException"},
		{"another service's target", "Other.SignUp", "{}", "UnknownOperationException"},
		{"no service", "SignUp", "{}", "UnknownOperationException"},
		{"no target", "", "{}", "UnknownOperationException"},
		{"no JSON", service + "SignUp", "name=alice", "SerializationException"},
		{"no object", service + "SignUp", "[]", "SerializationException"},
		{"wrong type", service + "SignUp", `{"Username":7}`, "SerializationException"},
		{"invalid UTF-8", service + "SignUp", "{\"Username\":\"\xff\"}", "SerializationException"},
		{"too large", service + "SignUp", `{"Username":"` + strings.Repeat("a", 128<<10) + `"}`, "SerializationException"},
		{"nothing in it", service + "SignUp", "{}", "InvalidParameterException"},
		{"no access token", service + "GetUser", "{}", "InvalidParameterException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, header, body := w.post(test.target, test.body)
			if status != 400 || body["__type"] != test.kind || header.Get("X-Amzn-ErrorType") != test.kind+":" {
				t.Errorf("status %d, header %q, body %v; want 400 and %s", status, header.Get("X-Amzn-ErrorType"), body, test.kind)
			}
			if header.Get("Content-Type") != "application/x-amz-json-1.1" || len(header.Get("X-Amzn-RequestId")) != 36 {
				t.Errorf("headers %v", header)
			}
		})
	}
}

func TestAllThatIsMissingIsNamed(t *testing.T) {
	w := newWorld(t, nil)
	_, _, body := w.post(cognito.TargetPrefix+"SignUp", "{}")
	const want = "3 validation errors detected: Value at 'clientId' failed to satisfy constraint: Member must not be null; " +
		"Value at 'username' failed to satisfy constraint: Member must not be null; " +
		"Value at 'password' failed to satisfy constraint: Member must not be null"
	if body["message"] != want {
		t.Errorf("message %q, want %q", body["message"], want)
	}
}

func TestWellKnownDocuments(t *testing.T) {
	w := newWorld(t, nil)
	status, discovery := w.get("/" + poolID + "/.well-known/openid-configuration")
	if status != 200 || discovery["issuer"] != w.pools.Issuer(poolID) || discovery["jwks_uri"] != w.url+"/"+poolID+"/.well-known/jwks.json" {
		t.Errorf("discovery: %d %v", status, discovery)
	}
	status, jwks := w.get("/" + poolID + "/.well-known/jwks.json")
	keys, _ := jwks["keys"].([]any)
	if status != 200 || len(keys) != 1 {
		t.Fatalf("JWKS: %d %v", status, jwks)
	}
	for field, want := range map[string]string{"alg": "RS256", "kty": "RSA", "use": "sig", "e": "AQAB"} {
		if got := keys[0].(map[string]any)[field]; got != want {
			t.Errorf("JWKS: %s is %v, want %s", field, got, want)
		}
	}
	for _, path := range []string{"/us-east-1_other/.well-known/jwks.json", "/" + poolID, "/" + poolID + "/.well-known/other", "/"} {
		if status, _ := w.get(path); status != 404 {
			t.Errorf("GET %s: %d, want 404", path, status)
		}
	}
}

func TestBrowsersMayCall(t *testing.T) {
	w := newWorld(t, nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, w.url+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	status, header, _ := w.do(r)
	if status != 200 || header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(header.Get("Access-Control-Allow-Headers"), "X-Amz-Target") {
		t.Errorf("preflight: %d %v", status, header)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	good := func() cognito.Options {
		return cognito.Options{Store: &memory{data: map[string][]byte{}}, BaseURL: "http://localhost:4566", Pools: []cognito.Pool{{ID: "us-east-1_a"}}}
	}
	for name, change := range map[string]func(*cognito.Options){
		"no store":             func(o *cognito.Options) { o.Store = nil },
		"a slash at the end":   func(o *cognito.Options) { o.BaseURL += "/" },
		"cost out of bounds":   func(o *cognito.Options) { o.PasswordCost = 3 },
		"a bad pool id":        func(o *cognito.Options) { o.Pools[0].ID = "pool" },
		"two pools of one id":  func(o *cognito.Options) { o.Pools = append(o.Pools, o.Pools[0]) },
		"two clients of an id": func(o *cognito.Options) { o.Pools[0].Clients = []cognito.Client{{ID: "a"}, {ID: "a"}} },
		"too weak a policy":    func(o *cognito.Options) { o.Pools[0].PasswordPolicy = &cognito.PasswordPolicy{MinimumLength: 5} },
		"triggers, no invoker": func(o *cognito.Options) { o.Pools[0].PreSignUp = "f" },
	} {
		o := good()
		change(&o)
		if _, err := cognito.New(o); err == nil {
			t.Errorf("%s: New gives no error", name)
		}
	}
}

func TestIDsStayTheSame(t *testing.T) {
	if got := cognito.PoolID("us-east-1", "duet"); got != cognito.PoolID("us-east-1", "duet") || got == cognito.PoolID("us-east-1", "other") || len(got) != len("us-east-1_")+9 {
		t.Errorf("PoolID = %q", got)
	}
	if got := cognito.ClientID("duet"); got != cognito.ClientID("duet") || got == cognito.ClientID("other") || len(got) != 26 {
		t.Errorf("ClientID = %q", got)
	}
}
