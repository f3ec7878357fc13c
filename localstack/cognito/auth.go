package cognito

import (
	"context"
	"crypto/subtle"
	"slices"
	"time"
)

type initiateAuthRequest struct {
	ClientId, AuthFlow string
	AuthParameters     map[string]string
}

type initiateAuthAnswer struct {
	AuthenticationResult authenticationResult
	ChallengeParameters  map[string]string
}

type authenticationResult struct {
	AccessToken  string
	ExpiresIn    int // seconds, of the access token
	IdToken      string
	RefreshToken string `json:",omitempty"`
	TokenType    string
}

// flows that Cognito has; the local pool knows the ones with a password and with a refresh token.
// Source: Cognito API reference, InitiateAuth.
var otherFlows = []string{"USER_SRP_AUTH", "CUSTOM_AUTH", "USER_AUTH", "ADMIN_NO_SRP_AUTH", "ADMIN_USER_PASSWORD_AUTH"}

func (p *Pools) initiateAuth(ctx context.Context, in initiateAuthRequest) (initiateAuthAnswer, error) {
	var c constraints
	c.clientID(in.ClientId)
	c.require("authFlow", in.AuthFlow)
	if err := c.err(); err != nil {
		return initiateAuthAnswer{}, err
	}
	client, err := p.client(in.ClientId)
	if err != nil {
		return initiateAuthAnswer{}, err
	}
	switch in.AuthFlow {
	case "USER_PASSWORD_AUTH":
		return p.signIn(ctx, client, in.AuthParameters)
	case "REFRESH_TOKEN_AUTH", "REFRESH_TOKEN":
		return p.refresh(ctx, client, in.AuthParameters)
	}
	if slices.Contains(otherFlows, in.AuthFlow) {
		return initiateAuthAnswer{}, invalidParameter("The local user pool does not know the flow %s: use USER_PASSWORD_AUTH or REFRESH_TOKEN_AUTH", in.AuthFlow)
	}
	return initiateAuthAnswer{}, invalidParameter("1 validation error detected: Value at 'authFlow' failed to satisfy constraint: Member must satisfy enum value set: [USER_PASSWORD_AUTH, REFRESH_TOKEN_AUTH, REFRESH_TOKEN]")
}

func missingParameter(name string) error {
	return invalidParameter("Missing required parameter %s", name)
}

// signIn opens a session by password.
func (p *Pools) signIn(ctx context.Context, c *client, parameters map[string]string) (initiateAuthAnswer, error) {
	var none initiateAuthAnswer
	name, password := parameters["USERNAME"], parameters["PASSWORD"]
	switch {
	case !c.allows(AllowPassword):
		return none, invalidParameter("USER_PASSWORD_AUTH flow not enabled for this client")
	case name == "":
		return none, missingParameter("USERNAME")
	case password == "":
		return none, missingParameter("PASSWORD")
	}
	u, err := p.user(c.pool, name)
	if err != nil {
		return none, err
	}
	switch matches := p.matches(u, password); {
	case u == nil && !c.PreventUserExistenceErrors:
		return none, userNotFound()
	case !matches:
		return none, wrongPassword()
	case u.Status != confirmed:
		return none, refuse("UserNotConfirmedException", "User is not confirmed.")
	}
	token, err := p.newRefreshToken()
	if err != nil {
		return none, err
	}
	id, sum := sessionID(token)
	now := p.now()
	s := &session{
		User: u.Name, Sub: u.Sub, Client: c.ID, Refresh: sum[:], Generation: u.Generation,
		SignedIn: now, Ends: now.Add(c.RefreshTokenValidity),
	}
	if err := p.putSession(c.pool, id, s); err != nil {
		return none, err
	}
	answer, err := p.grant(ctx, c, u, id, s)
	answer.AuthenticationResult.RefreshToken = token
	return answer, err
}

// refresh makes new tokens for a session. The refresh token stays as it is: pools do not rotate it
// unless they are told to.
func (p *Pools) refresh(ctx context.Context, c *client, parameters map[string]string) (initiateAuthAnswer, error) {
	var none initiateAuthAnswer
	token := parameters["REFRESH_TOKEN"]
	switch {
	case !c.allows(AllowRefresh):
		return none, notAuthorized("Auth flow not enabled for this client")
	case token == "":
		return none, missingParameter("REFRESH_TOKEN")
	}
	id, s, err := p.opened(c, token)
	if err != nil {
		return none, err
	}
	if s == nil {
		return none, notAuthorized("Invalid Refresh Token.")
	}
	u, err := p.user(c.pool, s.User)
	switch {
	case err != nil:
		return none, err
	case !s.of(u):
		return none, notAuthorized("Invalid Refresh Token.")
	case s.revoked(u):
		return none, notAuthorized("Refresh Token has been revoked")
	case !p.now().Before(s.Ends):
		return none, notAuthorized("Refresh Token has expired")
	}
	return p.grant(ctx, c, u, id, s)
}

// opened finds the session that a refresh token opened for a client, or nil.
func (p *Pools) opened(c *client, token string) (id string, s *session, err error) {
	id, sum := sessionID(token)
	s, err = p.session(c.pool, id)
	if s != nil && (s.Client != c.ID || subtle.ConstantTimeCompare(s.Refresh, sum[:]) == 0) {
		s = nil
	}
	return id, s, err
}

func (p *Pools) grant(ctx context.Context, c *client, u *user, id string, s *session) (initiateAuthAnswer, error) {
	access, identity, err := p.tokens(ctx, c, u, id, s)
	if err != nil {
		return initiateAuthAnswer{}, err
	}
	return initiateAuthAnswer{
		AuthenticationResult: authenticationResult{
			AccessToken: access, IdToken: identity, TokenType: "Bearer",
			ExpiresIn: int(c.AccessTokenValidity / time.Second),
		},
		ChallengeParameters: map[string]string{},
	}, nil
}

type revokeTokenRequest struct{ Token, ClientId string }

// revokeToken ends the session of a refresh token: it and the access tokens that came of it are
// refused from now on by the user pool. A token that is not known any more is no error (RFC 7009,
// section 2.2); what Cognito answers to one is not documented.
func (p *Pools) revokeToken(_ context.Context, in revokeTokenRequest) (nothing, error) {
	var c constraints
	c.clientID(in.ClientId)
	c.require("token", in.Token)
	if err := c.err(); err != nil {
		return nothing{}, err
	}
	client, err := p.client(in.ClientId)
	if err != nil {
		return nothing{}, invalidParameter("User pool client %s does not exist.", in.ClientId)
	}
	if looksLikeJWT(in.Token) {
		return nothing{}, refuse("UnsupportedTokenTypeException", "Token type is not supported: only refresh tokens can be revoked.")
	}
	client.pool.users.Lock()
	defer client.pool.users.Unlock()
	id, s, err := p.opened(client, in.Token)
	if err != nil || s == nil || s.Revoked {
		return nothing{}, err
	}
	s.Revoked = true
	return nothing{}, p.putSession(client.pool, id, s)
}

func looksLikeJWT(token string) bool {
	dots := 0
	for _, b := range []byte(token) {
		if b == '.' {
			dots++
		}
	}
	return dots == 2
}

type accessTokenRequest struct{ AccessToken string }

// globalSignOut ends all sessions of a user.
func (p *Pools) globalSignOut(ctx context.Context, in accessTokenRequest) (nothing, error) {
	pool, u, err := p.holder(ctx, in.AccessToken)
	if err != nil {
		return nothing{}, err
	}
	return p.signOutEverywhere(pool, u.Name)
}

type adminUserRequest struct{ UserPoolId, Username string }

func (p *Pools) adminUserGlobalSignOut(_ context.Context, in adminUserRequest) (nothing, error) {
	pool, err := p.pool(in.UserPoolId, in.Username)
	if err != nil {
		return nothing{}, err
	}
	return p.signOutEverywhere(pool, in.Username)
}

func (p *Pools) signOutEverywhere(in *pool, name string) (nothing, error) {
	u, err := p.changeUser(in, name, func(u *user) { u.Generation++ })
	if err == nil && u == nil {
		err = userNotFound()
	}
	return nothing{}, err
}
