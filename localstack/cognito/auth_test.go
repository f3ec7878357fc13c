package cognito_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/internal/identity"
	"github.com/duet-chat/duet/localstack/cognito"
)

func claimsOf(t *testing.T, token string) (header map[string]any, claims jwt.MapClaims) {
	t.Helper()
	claims = jwt.MapClaims{}
	parsed, _, err := jwt.NewParser().ParseUnverified(token, claims)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Header, claims
}

func TestTokensHaveCognitosClaims(t *testing.T) {
	w := newWorld(t, nil)
	tokens := w.member()
	if *tokens.TokenType != "Bearer" || tokens.ExpiresIn != 3600 {
		t.Errorf("token type %s, expires in %d", *tokens.TokenType, tokens.ExpiresIn)
	}
	header, access := claimsOf(t, *tokens.AccessToken)
	_, id := claimsOf(t, *tokens.IdToken)
	_, jwks := w.get("/" + poolID + "/.well-known/jwks.json")
	if key := jwks["keys"].([]any)[0].(map[string]any); key["kid"] != header["kid"] || header["alg"] != "RS256" || len(header) != 2 {
		t.Errorf("header %v, published key %v", header, key)
	}
	at := func(d time.Duration) float64 { return float64(start.Add(d).Unix()) }
	want := jwt.MapClaims{
		"sub": access["sub"], "iss": w.url + "/" + poolID, "client_id": clientID, "origin_jti": access["origin_jti"],
		"event_id": access["event_id"], "token_use": "access", "scope": "aws.cognito.signin.user.admin",
		"auth_time": at(0), "exp": at(time.Hour), "iat": at(0), "jti": access["jti"], "username": "alice",
	}
	if diff := cmp.Diff(want, access); diff != "" {
		t.Errorf("access token: -want +got:\n%s", diff)
	}
	want = jwt.MapClaims{
		"sub": access["sub"], "iss": w.url + "/" + poolID, "aud": clientID, "origin_jti": access["origin_jti"],
		"event_id": access["event_id"], "token_use": "id",
		"auth_time": at(0), "exp": at(time.Hour), "iat": at(0), "jti": id["jti"], "cognito:username": "alice",
	}
	if diff := cmp.Diff(want, id); diff != "" {
		t.Errorf("id token: -want +got:\n%s", diff)
	}
	for _, claim := range []string{"sub", "origin_jti", "event_id", "jti"} {
		if s, _ := access[claim].(string); len(s) != 36 {
			t.Errorf("%s is %q, want a UUID", claim, s)
		}
	}
	if id["jti"] == access["jti"] {
		t.Error("both tokens have one jti")
	}
}

func TestIDTokenShowsAttributes(t *testing.T) {
	w := newWorld(t, functions{"PreSignUp": respond(`{"response":{"autoConfirmUser":true,"autoVerifyEmail":true}}`)})
	_, err := w.sdk.SignUp(t.Context(), &cognitoidentityprovider.SignUpInput{
		ClientId: &clientID, Username: aws.String("alice"), Password: aws.String(password),
		UserAttributes: []types.AttributeType{
			{Name: aws.String("email"), Value: aws.String("a@example.com")},
			{Name: aws.String("token_use"), Value: aws.String("access")}, // must not become a claim
		},
	})
	refused(t, err, "", "")
	_, id := claimsOf(t, *w.again().IdToken)
	if id["email"] != "a@example.com" || id["email_verified"] != true || id["token_use"] != "id" {
		t.Errorf("id token: %v", id)
	}
}

func TestProductTakesThePoolsTokens(t *testing.T) {
	w := newWorld(t, nil)
	tokens := w.member()
	v, err := identity.NewVerifier(identity.Config{
		Issuer: w.pools.Issuer(poolID), Audience: clientID, UserClaim: "username",
		HTTP: http.DefaultClient, Now: func() time.Time { return w.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Verify(t.Context(), *tokens.AccessToken)
	if err != nil || got.User != "alice" || !got.SessionEnd.Equal(start.Add(time.Hour)) {
		t.Errorf("Verify = %v, %v", got, err)
	}
	if _, err := v.Verify(t.Context(), *tokens.IdToken); identity.Why(err) != identity.TokenUse {
		t.Errorf("id token: %v, want %s", err, identity.TokenUse)
	}
}

func TestInitiateAuthRefuses(t *testing.T) {
	w := newWorld(t, nil)
	w.member()
	legacy := newWorld(t, nil, func(p *cognito.Pool) { p.Clients[0].PreventUserExistenceErrors = false })
	byDefault := newWorld(t, nil, func(p *cognito.Pool) { p.Clients[0].ExplicitAuthFlows = nil })
	const withPassword, withRefresh = types.AuthFlowTypeUserPasswordAuth, types.AuthFlowTypeRefreshToken
	for _, test := range []struct {
		name          string
		w             *world
		flow          types.AuthFlowType
		parameters    map[string]string
		kind, message string
	}{
		{"wrong password", w, withPassword, map[string]string{"USERNAME": "alice", "PASSWORD": "wrong"}, "NotAuthorizedException", "Incorrect username or password."},
		{"unknown user", w, withPassword, map[string]string{"USERNAME": "nobody", "PASSWORD": password}, "NotAuthorizedException", "Incorrect username or password."},
		{"unknown user, LEGACY", legacy, withPassword, map[string]string{"USERNAME": "nobody", "PASSWORD": password}, "UserNotFoundException", "User does not exist."},
		{"no name", w, withPassword, map[string]string{"PASSWORD": password}, "InvalidParameterException", "Missing required parameter USERNAME"},
		{"no password", w, withPassword, map[string]string{"USERNAME": "alice"}, "InvalidParameterException", "Missing required parameter PASSWORD"},
		{"flow not allowed", byDefault, withPassword, map[string]string{"USERNAME": "alice", "PASSWORD": password}, "InvalidParameterException", "USER_PASSWORD_AUTH flow not enabled for this client"},
		{"no token", w, withRefresh, nil, "InvalidParameterException", "Missing required parameter REFRESH_TOKEN"},
		{"a made-up token", w, withRefresh, map[string]string{"REFRESH_TOKEN": "made-up"}, "NotAuthorizedException", "Invalid Refresh Token."},
		{"a flow that is not here", w, types.AuthFlowTypeUserSrpAuth, nil, "InvalidParameterException", ""},
		{"no such flow", w, "PASSWORD", nil, "InvalidParameterException", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.w.initiate(test.flow, test.parameters)
			refused(t, err, test.kind, test.message)
		})
	}
}

func TestRefreshKeepsTheSession(t *testing.T) {
	w := newWorld(t, nil)
	first := w.member()
	w.now = start.Add(50 * time.Minute)
	second, err := w.refresh(*first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if second.RefreshToken != nil {
		t.Error("the refresh token was rotated")
	}
	_, a := claimsOf(t, *first.AccessToken)
	_, b := claimsOf(t, *second.AccessToken)
	if a["origin_jti"] != b["origin_jti"] || a["auth_time"] != b["auth_time"] || a["jti"] == b["jti"] {
		t.Errorf("claims %v, then %v: want the same session and another token", a, b)
	}
	if _, c := claimsOf(t, *w.again().AccessToken); c["origin_jti"] == a["origin_jti"] {
		t.Error("another sign-in has the same session")
	}
	w.now = start.Add(30 * 24 * time.Hour)
	_, err = w.refresh(*first.RefreshToken)
	refused(t, err, "NotAuthorizedException", "Refresh Token has expired")
}

func TestRefreshTokenBelongsToItsClient(t *testing.T) {
	other := cognito.ClientID("other")
	w := newWorld(t, nil, func(p *cognito.Pool) { p.Clients = append(p.Clients, cognito.Client{ID: other}) })
	tokens := w.member()
	_, err := w.sdk.InitiateAuth(t.Context(), &cognitoidentityprovider.InitiateAuthInput{
		ClientId: &other, AuthFlow: types.AuthFlowTypeRefreshTokenAuth,
		AuthParameters: map[string]string{"REFRESH_TOKEN": *tokens.RefreshToken},
	})
	refused(t, err, "NotAuthorizedException", "Invalid Refresh Token.")
}

func TestRevokeTokenEndsOneSession(t *testing.T) {
	w := newWorld(t, nil)
	one, two := w.member(), w.again()
	revoke := func(token string) error {
		_, err := w.sdk.RevokeToken(t.Context(), &cognitoidentityprovider.RevokeTokenInput{ClientId: &clientID, Token: &token})
		return err
	}
	refused(t, revoke(*one.RefreshToken), "", "")
	refused(t, revoke(*one.RefreshToken), "", "") // again
	refused(t, revoke("never-seen"), "", "")
	refused(t, revoke(*two.AccessToken), "UnsupportedTokenTypeException", "")

	_, err := w.refresh(*one.RefreshToken)
	refused(t, err, "NotAuthorizedException", "Refresh Token has been revoked")
	refused(t, w.getUser(*one.AccessToken), "NotAuthorizedException", "Access Token has been revoked")
	refused(t, w.getUser(*two.AccessToken), "", "")
	_, err = w.refresh(*two.RefreshToken)
	refused(t, err, "", "")
}

func TestGlobalSignOutEndsAllSessions(t *testing.T) {
	w := newWorld(t, nil)
	one, two := w.member(), w.again()
	_, err := w.sdk.GlobalSignOut(t.Context(), &cognitoidentityprovider.GlobalSignOutInput{AccessToken: one.AccessToken})
	refused(t, err, "", "")
	for _, tokens := range []*types.AuthenticationResultType{one, two} {
		_, err := w.refresh(*tokens.RefreshToken)
		refused(t, err, "NotAuthorizedException", "Refresh Token has been revoked")
		refused(t, w.getUser(*tokens.AccessToken), "NotAuthorizedException", "Access Token has been revoked")
	}
	refused(t, w.getUser(*w.again().AccessToken), "", "")
}

func TestAccessTokensAreChecked(t *testing.T) {
	w := newWorld(t, nil)
	tokens := w.member()
	parts := strings.Split(*tokens.AccessToken, ".")
	foreign := newWorld(t, nil).member()
	refused(t, w.getUser(*tokens.IdToken), "NotAuthorizedException", "Invalid Access Token")
	refused(t, w.getUser("x"), "NotAuthorizedException", "Invalid Access Token")
	refused(t, w.getUser(parts[0]+"."+parts[1]+"."), "NotAuthorizedException", "Invalid Access Token")
	refused(t, w.getUser(*foreign.AccessToken), "NotAuthorizedException", "Invalid Access Token")
	w.now = start.Add(time.Hour)
	refused(t, w.getUser(*tokens.AccessToken), "NotAuthorizedException", "Access Token has expired")
}

func TestChangePassword(t *testing.T) {
	w := newWorld(t, nil)
	tokens := w.member()
	change := func(from, to string) error {
		_, err := w.sdk.ChangePassword(t.Context(), &cognitoidentityprovider.ChangePasswordInput{
			AccessToken: tokens.AccessToken, PreviousPassword: &from, ProposedPassword: &to,
		})
		return err
	}
	refused(t, change("Wrong-horse-7", "Another-horse-8"), "NotAuthorizedException", "Incorrect username or password.")
	refused(t, change(password, "short"), "InvalidPasswordException", "")
	refused(t, change(password, "Another-horse-8"), "", "")
	_, err := w.signIn("alice", password)
	refused(t, err, "NotAuthorizedException", "")
	_, err = w.signIn("alice", "Another-horse-8")
	refused(t, err, "", "")
}

func TestDeletedUserIsNotTheNextOneOfTheName(t *testing.T) {
	w := newWorld(t, nil)
	old := w.member()
	_, err := w.sdk.DeleteUser(t.Context(), &cognitoidentityprovider.DeleteUserInput{AccessToken: old.AccessToken})
	refused(t, err, "", "")
	_, err = w.signIn("alice", password)
	refused(t, err, "NotAuthorizedException", "Incorrect username or password.")
	w.member()
	refused(t, w.getUser(*old.AccessToken), "UserNotFoundException", "User does not exist.")
	_, err = w.refresh(*old.RefreshToken)
	refused(t, err, "NotAuthorizedException", "Invalid Refresh Token.")
}

// Users, sessions and the key outlive a restart; sessions that have ended do not.
func TestRestartKeepsWhatIsStored(t *testing.T) {
	w := newWorld(t, nil)
	tokens := w.member()
	before, claims := claimsOf(t, *tokens.AccessToken)
	w.now = start.Add(29 * 24 * time.Hour)
	w.open(functions{"PreSignUp": fail("not called")})
	refreshed, err := w.refresh(*tokens.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if after, _ := claimsOf(t, *refreshed.AccessToken); after["kid"] != before["kid"] {
		t.Error("the signing key changed")
	}
	w.now = start.Add(30 * 24 * time.Hour)
	w.store.deleted = make(chan string, 1)
	w.open(functions{"PreSignUp": fail("not called")})
	if key, want := <-w.store.deleted, "cs"+poolID+"\x00"+claims["origin_jti"].(string); key != want {
		t.Errorf("%q was removed, want the session, %q", key, want)
	}
}

func TestSecretsAreStoredHashed(t *testing.T) {
	w := newWorld(t, nil)
	tokens := w.member()
	for key, value := range w.store.data {
		for _, secret := range []string{password, *tokens.RefreshToken, *tokens.AccessToken} {
			if strings.Contains(key, secret) || bytes.Contains(value, []byte(secret)) {
				t.Errorf("a secret is stored under %q", key)
			}
		}
	}
}

func TestFaultsOfTheStoreStayInside(t *testing.T) {
	w := newWorld(t, nil)
	w.member() // the key is stored by now
	w.store.mu.Lock()
	w.store.fail = errors.New("disk is full at /secret/path")
	w.store.mu.Unlock()
	status, header, body := w.post("AWSCognitoIdentityProviderService.SignUp", `{"ClientId":"`+clientID+`","Username":"bob","Password":"`+password+`"}`)
	if status != 500 || body["__type"] != "InternalErrorException" || strings.Contains(header.Get("X-Amzn-ErrorMessage")+body["message"].(string), "secret") {
		t.Errorf("status %d, body %v", status, body)
	}
}

func TestAdminGetAndDelete(t *testing.T) {
	w := newWorld(t, nil)
	w.member()
	_, _, got := w.post("AWSCognitoIdentityProviderService.AdminGetUser", `{"UserPoolId":"`+poolID+`","Username":"alice"}`)
	if got["UserStatus"] != "CONFIRMED" || got["Enabled"] != true || got["UserCreateDate"] != float64(start.Unix()) {
		t.Errorf("AdminGetUser = %v", got)
	}
	sdk := cognitoidentityprovider.New(cognitoidentityprovider.Options{
		Region: "us-east-1", BaseEndpoint: &w.url, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(signer),
	})
	_, err := sdk.AdminDeleteUser(t.Context(), &cognitoidentityprovider.AdminDeleteUserInput{UserPoolId: &poolID, Username: aws.String("alice")})
	refused(t, err, "", "")
	_, err = sdk.AdminGetUser(t.Context(), &cognitoidentityprovider.AdminGetUserInput{UserPoolId: &poolID, Username: aws.String("alice")})
	refused(t, err, "UserNotFoundException", "User does not exist.")
	_, err = sdk.AdminGetUser(t.Context(), &cognitoidentityprovider.AdminGetUserInput{UserPoolId: aws.String("us-east-1_other"), Username: aws.String("alice")})
	refused(t, err, "ResourceNotFoundException", "User pool us-east-1_other does not exist.")
}

func BenchmarkSignIn(b *testing.B) {
	// What a sign-in costs apart from the password, whose cost is chosen: two signatures, mostly.
	pools, err := cognito.New(cognito.Options{
		Pools: []cognito.Pool{{ID: poolID, PasswordPolicy: &cognito.PasswordPolicy{MinimumLength: 6}, PreSignUp: "PreSignUp",
			Clients: []cognito.Client{{ID: clientID, ExplicitAuthFlows: []string{cognito.AllowPassword}}}}},
		Store: &memory{data: map[string][]byte{}}, BaseURL: "http://localhost:4566", PasswordCost: 4,
		Invoker: functions{"PreSignUp": respond(`{"response":{"autoConfirmUser":true}}`)},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = pools.Close() }) // has nothing to say
	call := func(operation, body string) {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("X-Amz-Target", cognito.TargetPrefix+operation)
		w := httptest.NewRecorder()
		if pools.ServeHTTP(w, r); w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
	call("SignUp", `{"ClientId":"`+clientID+`","Username":"alice","Password":"`+password+`"}`)
	for b.Loop() {
		call("InitiateAuth", `{"ClientId":"`+clientID+`","AuthFlow":"USER_PASSWORD_AUTH","AuthParameters":{"USERNAME":"alice","PASSWORD":"`+password+`"}}`)
	}
}
