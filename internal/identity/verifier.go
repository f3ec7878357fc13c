package identity

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duet-chat/duet/internal/chat"
)

const (
	// MaxToken bounds a token, in bytes. API Gateway takes 10,240 bytes of headers in all.
	MaxToken = 8 << 10

	// Leeway is how far the issuer's clock may be ahead of ours. There is none at a token's end:
	// a session that is over would be refused at its first frame anyway.
	Leeway = 10 * time.Second
)

// Config says which tokens are good.
type Config struct {
	// Issuer is the iss claim, exactly; its keys are found by OpenID Connect discovery beneath it.
	Issuer string
	// Audience is what tokens must be made for: the client id for Cognito, whose access tokens
	// have no aud, and aud for any other issuer.
	Audience string
	// UserClaim is the claim that holds the user's name: "username" for Cognito.
	UserClaim string
	HTTP      *http.Client
	Now       func() time.Time
}

// Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	issuer, audience, userClaim string
	now                         func() time.Time
	keys                        *keySet
	parser                      *jwt.Parser
}

// NewVerifier makes a verifier. It fetches nothing until the first token comes.
func NewVerifier(c Config) (*Verifier, error) {
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("issuer %q is not an http or https URL", c.Issuer)
	case c.Audience == "":
		return nil, errors.New("audience is empty: tokens made for anybody would be taken")
	case c.UserClaim == "":
		return nil, errors.New("user claim is empty: for Cognito it is username")
	case c.HTTP == nil || c.Now == nil:
		return nil, errors.New("an HTTP client and a clock are needed")
	}
	return &Verifier{
		issuer: c.Issuer, audience: c.Audience, userClaim: c.UserClaim, now: c.Now,
		keys: newKeySet(c.Issuer, c.HTTP, c.Now),
		// Claims are checked below, each with its own category.
		parser: jwt.NewParser(jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding()),
	}, nil
}

// Verify checks a token and returns whom it speaks for. Its errors are *Error.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	if token == "" {
		return Identity{}, &Error{Category: Missing}
	}
	if len(token) > MaxToken {
		return Identity{}, refuse(Malformed, "%d bytes are more than %d", len(token), MaxToken)
	}
	claims := jwt.MapClaims{}
	_, err := v.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) { return v.key(ctx, t) })
	if err != nil {
		return Identity{}, categorize(err)
	}
	return v.check(claims)
}

// key finds the key for a token, whose header nobody has vouched for yet: of all that it says only
// the algorithm, out of two, and the key's id count.
func (v *Verifier) key(ctx context.Context, t *jwt.Token) (any, error) {
	if t.Method != jwt.SigningMethodRS256 && t.Method != jwt.SigningMethodES256 {
		return nil, refuse(Algorithm, "alg is %.20q; RS256 or ES256 are taken", t.Method.Alg())
	}
	if t.Header["crit"] != nil {
		return nil, refuse(Malformed, "the header has critical extensions, which must not be ignored (RFC 7515, section 4.1.11)")
	}
	kid, _ := t.Header["kid"].(string)
	if kid == "" {
		return nil, refuse(UnknownKey, "the header has no kid")
	}
	key, err := v.keys.find(ctx, kid)
	if err != nil {
		return nil, err
	}
	if key.algorithm != t.Method.Alg() {
		return nil, refuse(Algorithm, "alg is %s; the key is for %s", t.Method.Alg(), key.algorithm)
	}
	return key.public, nil
}

// categorize turns the parser's errors into ours.
func categorize(err error) error {
	var refused *Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, jwt.ErrTokenMalformed):
		return &Error{Category: Malformed, Detail: jwt.ErrTokenMalformed} // the parser's text may quote the token
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return &Error{Category: Algorithm, Detail: errors.New("alg is missing or not known")}
	}
	return &Error{Category: Signature}
}

// check checks the claims of a token whose signature is good.
func (v *Verifier) check(c jwt.MapClaims) (Identity, error) {
	if issuer := text(c, "iss"); issuer != v.issuer {
		return Identity{}, refuse(Issuer, "iss is %.100q", issuer)
	}
	if err := v.checkAudience(c); err != nil {
		return Identity{}, err
	}
	end, err := v.checkTimes(c)
	if err != nil {
		return Identity{}, err
	}
	user, err := chat.ParseUser(text(c, v.userClaim))
	if err != nil {
		return Identity{}, refuse(UserClaim, "claim %s: %w", v.userClaim, err)
	}
	id := Identity{User: user, SessionEnd: end}
	for _, claim := range []string{"auth_time", "iat"} {
		if at, ok := instant(c, claim); ok {
			id.SignedIn = at
			break
		}
	}
	for _, claim := range []string{"origin_jti", "sid", "jti"} {
		if id.Session = text(c, claim); id.Session != "" {
			break
		}
	}
	return id, nil
}

// checkAudience tells Cognito's tokens by token_use, which each of them has. Its id tokens carry the
// client id too, as aud: only the use keeps them out.
// Source: Cognito developer guide, "Verifying JSON web tokens".
func (v *Verifier) checkAudience(c jwt.MapClaims) error {
	if use, ok := c["token_use"]; ok {
		if use != "access" {
			return refuse(TokenUse, "token_use is %.20q; only access tokens open connections", text(c, "token_use"))
		}
		if client := text(c, "client_id"); client != v.audience {
			return refuse(Audience, "client_id is %.100q", client)
		}
		return nil
	}
	audience, err := c.GetAudience()
	if err != nil || !slices.Contains(audience, v.audience) {
		return refuse(Audience, "aud is %.200q", audience)
	}
	return nil
}

func (v *Verifier) checkTimes(c jwt.MapClaims) (end time.Time, err error) {
	now := v.now()
	end, ok := instant(c, "exp")
	if !ok {
		return end, refuse(Expired, "there is no exp: a token must end")
	}
	if !now.Before(end) {
		return end, refuse(Expired, "it ended at %s", end.UTC().Format(time.RFC3339))
	}
	for _, claim := range []string{"nbf", "iat"} {
		if c[claim] == nil {
			continue
		}
		if from, ok := instant(c, claim); !ok || from.After(now.Add(Leeway)) {
			return end, refuse(NotYetValid, "%s is not in the past", claim)
		}
	}
	return end, nil
}

// text reads a string claim; "" if it is not one.
func text(c jwt.MapClaims, claim string) string {
	s, _ := c[claim].(string)
	return s
}

// instant reads a claim in Unix seconds. What no clock will ever show is no instant.
func instant(c jwt.MapClaims, claim string) (time.Time, bool) {
	const latest = 1 << 40 // the year 36812
	seconds, ok := c[claim].(float64)
	if !ok || seconds < 0 || seconds > latest {
		return time.Time{}, false
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*float64(time.Second))), true
}
