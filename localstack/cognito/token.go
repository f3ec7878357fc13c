package cognito

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Token uses and the only scope of tokens from InitiateAuth.
const (
	accessUse  = "access"
	idUse      = "id"
	adminScope = "aws.cognito.signin.user.admin"
)

// tokens makes the access and the id token of a session.
// Source: Cognito developer guide, "Understanding the access token", "Understanding the identity token".
func (p *Pools) tokens(ctx context.Context, c *client, u *user, id string, s *session) (access, identity string, err error) {
	if err := c.pool.signer.wait(ctx); err != nil {
		return "", "", err
	}
	event, err := p.uuid()
	if err != nil {
		return "", "", err
	}
	now := p.now()
	common := func(use string, validity time.Duration) (jwt.MapClaims, error) {
		jti, err := p.uuid()
		return jwt.MapClaims{
			"sub": u.Sub, "iss": c.pool.issuer, "origin_jti": id, "event_id": event, "jti": jti,
			"token_use": use, "auth_time": s.SignedIn.Unix(),
			"iat": now.Unix(), "exp": now.Add(validity).Unix(),
		}, err
	}
	claims, err := common(accessUse, c.AccessTokenValidity)
	if err != nil {
		return "", "", err
	}
	claims["client_id"], claims["scope"], claims["username"] = c.ID, adminScope, u.Name
	if access, err = c.pool.signer.sign(claims); err != nil {
		return "", "", err
	}
	if claims, err = common(idUse, c.IDTokenValidity); err != nil {
		return "", "", err
	}
	claims["aud"], claims["cognito:username"] = c.ID, u.Name
	for name, value := range u.Attributes {
		if _, taken := claims[name]; taken {
			continue
		}
		claims[name] = value
		if strings.HasSuffix(name, "_verified") {
			claims[name] = value == "true"
		}
	}
	identity, err = c.pool.signer.sign(claims)
	return access, identity, err
}

// sign makes a token with Cognito's header, which has no typ.
func (s *signer) sign(claims jwt.MapClaims) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header = map[string]any{"alg": "RS256", "kid": s.kid}
	signed, err := token.SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

// accessClaims is what the user's own operations need of an access token.
type accessClaims struct {
	jwt.RegisteredClaims
	Use      string `json:"token_use"`
	Username string `json:"username"`
	Origin   string `json:"origin_jti"`
}

// holder finds whose access token this is.
func (p *Pools) holder(ctx context.Context, token string) (*pool, *user, error) {
	if token == "" {
		return nil, nil, new(constraints).missing("accessToken")
	}
	invalid := notAuthorized("Invalid Access Token")
	var in *pool
	var claims accessClaims
	var notReady error
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithTimeFunc(p.now), jwt.WithExpirationRequired())
	_, err := parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) {
		for _, pool := range p.byID {
			if pool.issuer == claims.Issuer {
				in = pool
			}
		}
		if in == nil {
			return nil, errors.New("no pool here is the issuer")
		}
		if notReady = in.signer.wait(ctx); notReady != nil {
			return nil, notReady
		}
		return &in.signer.key.PublicKey, nil
	})
	switch {
	case notReady != nil:
		return nil, nil, notReady
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, nil, notAuthorized("Access Token has expired")
	case err != nil, claims.Use != accessUse:
		return nil, nil, invalid
	}
	u, err := p.user(in, claims.Username)
	if err != nil {
		return nil, nil, err
	}
	s, err := p.session(in, claims.Origin)
	switch {
	case err != nil:
		return nil, nil, err
	case u == nil || u.Sub != claims.Subject:
		return nil, nil, userNotFound()
	case s != nil && s.revoked(u):
		return nil, nil, notAuthorized("Access Token has been revoked")
	}
	return in, u, nil
}

// newRefreshToken makes an opaque token of 256 random bits.
func (p *Pools) newRefreshToken() (string, error) {
	var b [32]byte
	if _, err := io.ReadFull(p.rand, b[:]); err != nil {
		return "", fmt.Errorf("make refresh token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// sessionID is the origin_jti of the session that a refresh token opened: a UUID made of half of the
// token's digest. So a session is one record, found by either of them, and neither the record nor an
// access token, which shows the id, gives the refresh token away.
func sessionID(refreshToken string) (id string, sum [32]byte) {
	sum = sha256.Sum256([]byte(refreshToken))
	return formatUUID([16]byte(sum[:16])), sum
}

func (p *Pools) uuid() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(p.rand, b[:]); err != nil {
		return "", fmt.Errorf("make id: %w", err)
	}
	return formatUUID(b), nil
}

// formatUUID writes random bytes as a UUID of version 4.
func formatUUID(b [16]byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
