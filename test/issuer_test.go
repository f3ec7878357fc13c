package test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duet-chat/duet/localstack/cloud"
)

// issuer is an OpenID Connect provider whose key the test holds, so that it can make any token.
type issuer struct {
	url string
	key *rsa.PrivateKey
	kid string
}

// newKey makes the issuers' key, which takes a while, once.
var newKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key, kid: "key-1"}
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]string{"issuer": i.url, "jwks_uri": i.url + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		encode := base64.RawURLEncoding.EncodeToString
		reply(w, map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": i.kid,
			"n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes()),
		}}})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.url = server.URL
	return i
}

// audience is what tokens for the stack under test are made for.
const audience = "duet-under-test"

// target is a local cloud that takes the issuer's tokens.
func (i *issuer) target(t testing.TB) *target {
	return localTarget(t, "needs an issuer whose key it holds", func(c *cloud.Config) {
		c.Parameters["OidcIssuer"], c.Parameters["OidcAudience"] = i.url, audience
	})
}

// claims are good ones, with changes; a nil value removes a claim.
func (i *issuer) claims(user string, changes jwt.MapClaims) jwt.MapClaims {
	now := time.Now()
	c := jwt.MapClaims{
		"iss": i.url, "aud": audience, "sub": "id of " + user, "username": user, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func (i *issuer) sign(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	return sign(t, jwt.SigningMethodRS256, i.kid, i.key, claims)
}

func sign(t testing.TB, method jwt.SigningMethod, kid string, key any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = kid
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// user is a user with a good token of the issuer's.
func (i *issuer) user(t testing.TB, d *target, name string, changes jwt.MapClaims) *user {
	t.Helper()
	u := &user{target: d, name: name + "-" + d.run}
	u.AccessToken = i.sign(t, i.claims(u.name, changes))
	return u
}
