package identity_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duet-chat/duet/internal/identity"
)

const clientID = "web-client"

// start is when tests take place.
var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// issuer is an OIDC issuer whose keys a test can change.
type issuer struct {
	*httptest.Server
	discoveries, fetches atomic.Int64

	mu   sync.Mutex // guards the rest
	jwks []map[string]string
	down bool
	hold chan struct{} // when set, requests wait for it
}

func newIssuer(t testing.TB, keys ...map[string]string) *issuer {
	i := &issuer{jwks: keys}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.discoveries.Add(1)
		i.answer(w, map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.fetches.Add(1)
		i.mu.Lock()
		jwks := i.jwks
		i.mu.Unlock()
		i.answer(w, map[string]any{"keys": jwks})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) answer(w http.ResponseWriter, v any) {
	i.mu.Lock()
	down, hold := i.down, i.hold
	i.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(v) // a client that went away is no failure of the test
}

func (i *issuer) set(change func(*issuer)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change(i)
}

// clock is stepped by hand.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time       { return start.Add(time.Duration(c.offset.Load())) }
func (c *clock) Step(d time.Duration) { c.offset.Add(int64(d)) }

func (i *issuer) verifier(t testing.TB, now func() time.Time) *identity.Verifier {
	t.Helper()
	v, err := identity.NewVerifier(identity.Config{
		Issuer: i.URL, Audience: clientID, UserClaim: "username", HTTP: i.Client(), Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// signingKey is a private key with its published half.
type signingKey struct {
	kid     string
	method  jwt.SigningMethod
	private crypto.PrivateKey
	public  map[string]string
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func rsaKey(t testing.TB, kid string, bits int) signingKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return signingKey{kid, jwt.SigningMethodRS256, key, map[string]string{
		"kid": kid, "kty": "RSA", "alg": "RS256", "use": "sig",
		"n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes()),
	}}
}

func ecKey(t testing.TB, kid string) signingKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return signingKey{kid, jwt.SigningMethodES256, key, map[string]string{
		"kid": kid, "kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:]),
	}}
}

// sign makes a token; header changes its header.
func (k signingKey) sign(t testing.TB, claims jwt.MapClaims, header ...func(map[string]any)) string {
	t.Helper()
	token := jwt.NewWithClaims(k.method, claims)
	token.Header["kid"] = k.kid
	for _, change := range header {
		change(token.Header)
	}
	signed, err := token.SignedString(k.private)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// accessClaims are those of a good access token of Cognito, changed by the pairs: nil removes.
func (i *issuer) accessClaims(pairs ...any) jwt.MapClaims {
	claims := jwt.MapClaims{
		"sub": "5f0c6a52-1111-4222-8333-444455556666", "iss": i.URL, "client_id": clientID,
		"origin_jti": "the-session", "jti": "the-token", "token_use": "access",
		"scope": "aws.cognito.signin.user.admin", "username": "alice",
		"auth_time": start.Unix(), "iat": start.Unix(), "exp": start.Add(time.Hour).Unix(),
	}
	for n := 0; n < len(pairs); n += 2 {
		if name := pairs[n].(string); pairs[n+1] == nil {
			delete(claims, name)
		} else {
			claims[name] = pairs[n+1]
		}
	}
	return claims
}
