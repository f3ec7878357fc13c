package identity_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duet-chat/duet/internal/identity"
)

func TestVerifyTakesGoodTokens(t *testing.T) {
	rs, es := rsaKey(t, "rs", 2048), ecKey(t, "es")
	i := newIssuer(t, rs.public, es.public)
	v := i.verifier(t, (&clock{}).Now)
	for _, test := range []struct {
		name    string
		key     signingKey
		claims  jwt.MapClaims
		session string
	}{
		{"an access token of Cognito", rs, i.accessClaims(), "the-session"},
		{"signed by ES256", es, i.accessClaims(), "the-session"},
		{"another issuer's, by aud", rs, i.accessClaims("token_use", nil, "client_id", nil, "aud", clientID, "origin_jti", nil), "the-token"},
		{"one audience of several", rs, i.accessClaims("token_use", nil, "aud", []string{"other", clientID}, "origin_jti", nil, "sid", "s"), "s"},
		{"issued by a clock that is a little ahead", rs, i.accessClaims("iat", start.Add(identity.Leeway).Unix(), "nbf", start.Add(identity.Leeway).Unix()), "the-session"},
		{"that ends in a second", rs, i.accessClaims("exp", start.Unix()+1), "the-session"},
		{"without an id", rs, i.accessClaims("origin_jti", nil, "jti", nil), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := v.Verify(t.Context(), test.key.sign(t, test.claims))
			if err != nil {
				t.Fatal(err)
			}
			end := time.Unix(test.claims["exp"].(int64), 0)
			want := identity.Identity{User: "alice", Session: test.session, SessionEnd: end}
			if got.User != want.User || got.Session != want.Session || !got.SessionEnd.Equal(want.SessionEnd) {
				t.Errorf("Verify = %v, want %v", got, want)
			}
		})
	}
}

func TestVerifyRefusesBadTokens(t *testing.T) {
	key, other, es := rsaKey(t, "rs", 2048), rsaKey(t, "rs", 2048), ecKey(t, "es")
	weak := rsaKey(t, "weak", 1024)
	encryption := rsaKey(t, "enc", 2048)
	encryption.public["use"] = "enc"
	i := newIssuer(t, key.public, es.public, weak.public, encryption.public)
	now := &clock{}
	v := i.verifier(t, now.Now)

	good := key.sign(t, i.accessClaims())
	parts := strings.Split(good, ".")
	claimsOf := func(pairs ...any) string { return key.sign(t, i.accessClaims(pairs...)) }
	header := func(name string, value any) func(map[string]any) {
		return func(h map[string]any) { h[name] = value }
	}
	hmacKey := func(secret []byte) signingKey { return signingKey{"rs", jwt.SigningMethodHS256, secret, nil} }
	public := key.private.(*rsa.PrivateKey).Public()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}

	for _, test := range []struct {
		name  string
		token string
		why   identity.Category
	}{
		{"nothing", "", identity.Missing},
		{"no JWT", "password", identity.Malformed},
		{"two parts", parts[0] + "." + parts[1], identity.Malformed},
		{"four parts", good + ".x", identity.Malformed},
		{"too long", strings.Repeat("a", identity.MaxToken+1), identity.Malformed},
		{"padded base64", parts[0] + "." + parts[1] + "." + parts[2] + "=", identity.Malformed},
		{"claims that are no object", parts[0] + "." + encode([]byte(`"claims"`)) + "." + parts[2], identity.Malformed},
		{"no alg", encode([]byte(`{"kid":"rs"}`)) + "." + parts[1] + "." + parts[2], identity.Algorithm},

		{"alg none", signingKey{"rs", jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil}.sign(t, i.accessClaims()), identity.Algorithm},
		{"alg None, unsigned", encode([]byte(`{"alg":"None","kid":"rs"}`)) + "." + parts[1] + ".", identity.Algorithm},
		{"HS256 with the public key, PEM, as secret", hmacKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})).sign(t, i.accessClaims()), identity.Algorithm},
		{"HS256 with the public key, DER, as secret", hmacKey(der).sign(t, i.accessClaims()), identity.Algorithm},
		{"RS512", signingKey{"rs", jwt.SigningMethodRS512, key.private, nil}.sign(t, i.accessClaims()), identity.Algorithm},
		{"PS256", signingKey{"rs", jwt.SigningMethodPS256, key.private, nil}.sign(t, i.accessClaims()), identity.Algorithm},
		{"RS256 under an ES256 key's id", key.sign(t, i.accessClaims(), header("kid", "es")), identity.Algorithm},
		{"a critical extension", key.sign(t, i.accessClaims(), header("crit", []string{"exp"})), identity.Malformed},

		{"no kid", key.sign(t, i.accessClaims(), header("kid", nil)), identity.UnknownKey},
		{"unknown kid", key.sign(t, i.accessClaims(), header("kid", "unknown")), identity.UnknownKey},
		{"a kid that is no string", key.sign(t, i.accessClaims(), header("kid", 7)), identity.UnknownKey},
		{"a weak key", weak.sign(t, i.accessClaims()), identity.UnknownKey},
		{"an encryption key", encryption.sign(t, i.accessClaims()), identity.UnknownKey},
		{"a key in the header", other.sign(t, i.accessClaims(), header("jwk", other.public)), identity.Signature},
		{"another key under a known id", other.sign(t, i.accessClaims()), identity.Signature},
		{"tampered claims", parts[0] + "." + tamper(t, parts[1], "alice", "admin") + "." + parts[2], identity.Signature},
		{"no signature", parts[0] + "." + parts[1] + ".", identity.Signature},

		{"foreign issuer", claimsOf("iss", "https://evil.example"), identity.Issuer},
		{"an issuer that begins alike", claimsOf("iss", i.URL+"/"), identity.Issuer},
		{"no issuer", claimsOf("iss", nil), identity.Issuer},

		{"another client's", claimsOf("client_id", "other"), identity.Audience},
		{"no client", claimsOf("client_id", nil), identity.Audience},
		{"an access token's aud does not stand in for client_id", claimsOf("client_id", nil, "aud", clientID), identity.Audience},
		{"another issuer's, wrong aud", claimsOf("token_use", nil, "aud", "other"), identity.Audience},
		{"another issuer's, no aud", claimsOf("token_use", nil), identity.Audience},
		{"another issuer's, aud is no string", claimsOf("token_use", nil, "aud", 7), identity.Audience},
		{"id token", claimsOf("token_use", "id", "client_id", nil, "aud", clientID, "cognito:username", "alice"), identity.TokenUse},
		{"a use that is no string", claimsOf("token_use", []string{"access"}), identity.TokenUse},

		{"expired", claimsOf("exp", start.Add(-time.Hour).Unix()), identity.Expired},
		{"ends now", claimsOf("exp", start.Unix()), identity.Expired},
		{"no exp", claimsOf("exp", nil), identity.Expired},
		{"exp is a string", claimsOf("exp", "tomorrow"), identity.Expired},
		{"never ends", claimsOf("exp", 1e300), identity.Expired},
		{"future nbf", claimsOf("nbf", start.Add(time.Minute).Unix()), identity.NotYetValid},
		{"future iat", claimsOf("iat", start.Add(time.Minute).Unix()), identity.NotYetValid},

		{"no user name", claimsOf("username", nil), identity.UserClaim},
		{"upper case", claimsOf("username", "Alice"), identity.UserClaim},
		{"a name that looks like a conversation", claimsOf("username", "alice~bob"), identity.UserClaim},
		{"too long a name", claimsOf("username", strings.Repeat("a", 37)), identity.UserClaim},
		{"a name that is no string", claimsOf("username", 7), identity.UserClaim},
	} {
		t.Run(test.name, func(t *testing.T) {
			now.Step(identity.RefetchInterval) // so that no fetch is held back
			defer now.Step(-identity.RefetchInterval)
			got, err := v.Verify(t.Context(), test.token)
			if why := identity.Why(err); why != test.why {
				t.Fatalf("Verify = %v, %v; want the category %s", got, err, test.why)
			}
			if test.token != "" && len(test.token) > 20 && strings.Contains(err.Error(), test.token) {
				t.Errorf("the error holds the token: %v", err)
			}
		})
	}
}

func tamper(t *testing.T, part, from, to string) string {
	t.Helper()
	claims, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil || !strings.Contains(string(claims), from) {
		t.Fatalf("claims %q without %q: %v", claims, from, err)
	}
	return encode([]byte(strings.Replace(string(claims), from, to, 1)))
}

func TestVerifierNeedsItsSettings(t *testing.T) {
	full := func(change func(*identity.Config)) identity.Config {
		c := identity.Config{Issuer: "https://issuer.example", Audience: "a", UserClaim: "username", HTTP: newIssuer(t).Client(), Now: time.Now}
		change(&c)
		return c
	}
	for name, c := range map[string]identity.Config{
		"no issuer":     full(func(c *identity.Config) { c.Issuer = "" }),
		"no URL":        full(func(c *identity.Config) { c.Issuer = "issuer.example" }),
		"other scheme":  full(func(c *identity.Config) { c.Issuer = "file:///etc" }),
		"no audience":   full(func(c *identity.Config) { c.Audience = "" }),
		"no user claim": full(func(c *identity.Config) { c.UserClaim = "" }),
		"no clock":      full(func(c *identity.Config) { c.Now = nil }),
	} {
		if _, err := identity.NewVerifier(c); err == nil {
			t.Errorf("%s: NewVerifier gives no error", name)
		}
	}
	if _, err := identity.NewVerifier(full(func(*identity.Config) {})); err != nil {
		t.Error(err)
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, key := range []signingKey{rsaKey(b, "rs", 2048), ecKey(b, "es")} {
		b.Run(key.method.Alg(), func(b *testing.B) {
			i := newIssuer(b, key.public)
			v := i.verifier(b, (&clock{}).Now)
			token := key.sign(b, i.accessClaims())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
