package cognito_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/localstack/cognito"
	"github.com/duet-chat/duet/localstack/lambda"
)

func TestSignUpCallsTriggersWithCognitosEvents(t *testing.T) {
	var before, after []byte
	w := newWorld(t, functions{
		"PreSignUp": func(event []byte) (lambda.Result, error) {
			before = event
			return lambda.Result{Payload: []byte(`{"response":{"autoConfirmUser":true,"autoVerifyEmail":true}}`)}, nil
		},
		"PostConfirmation": func(event []byte) (lambda.Result, error) {
			after = event
			return lambda.Result{Payload: event}, nil
		},
	}, func(p *cognito.Pool) { p.PostConfirmation = "PostConfirmation" })
	out, err := w.sdk.SignUp(t.Context(), &cognitoidentityprovider.SignUpInput{
		ClientId: &clientID, Username: aws.String("alice"), Password: aws.String(password),
		UserAttributes: []types.AttributeType{{Name: aws.String("email"), Value: aws.String("a@example.com")}},
		ValidationData: []types.AttributeType{{Name: aws.String("invite"), Value: aws.String("7")}},
		ClientMetadata: map[string]string{"app": "duet"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !out.UserConfirmed || len(*out.UserSub) != 36 {
		t.Errorf("SignUp = confirmed %v, sub %q", out.UserConfirmed, *out.UserSub)
	}
	header := func(source string) events.CognitoEventUserPoolsHeader {
		return events.CognitoEventUserPoolsHeader{
			Version: "1", TriggerSource: source, Region: "us-east-1", UserPoolID: poolID, UserName: "alice",
			CallerContext: events.CognitoEventUserPoolsCallerContext{AWSSDKVersion: "aws-sdk-unknown-unknown", ClientID: clientID},
		}
	}
	decode(t, before, events.CognitoEventUserPoolsPreSignup{
		CognitoEventUserPoolsHeader: header("PreSignUp_SignUp"),
		Request: events.CognitoEventUserPoolsPreSignupRequest{
			UserAttributes: map[string]string{"email": "a@example.com"},
			ValidationData: map[string]string{"invite": "7"},
			ClientMetadata: map[string]string{"app": "duet"},
		},
	})
	decode(t, after, events.CognitoEventUserPoolsPostConfirmation{
		CognitoEventUserPoolsHeader: header("PostConfirmation_ConfirmSignUp"),
		Request: events.CognitoEventUserPoolsPostConfirmationRequest{
			UserAttributes: map[string]string{
				"sub": *out.UserSub, "cognito:user_status": "CONFIRMED",
				"email": "a@example.com", "email_verified": "true",
			},
			ClientMetadata: map[string]string{"app": "duet"},
		},
	})
}

// decode checks an event field by field; one that AWS's own type does not know is an error.
func decode[T any](t *testing.T, event []byte, want T) {
	t.Helper()
	var got T
	d := json.NewDecoder(strings.NewReader(string(event)))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("event %s: %v", event, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event: -want +got:\n%s", diff)
	}
}

func TestPostConfirmationRunsWhenTheCallerHasGone(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	var seen error
	pools, err := cognito.New(cognito.Options{
		Pools: []cognito.Pool{{ID: poolID, PreSignUp: "PreSignUp", PostConfirmation: "PostConfirmation", Clients: []cognito.Client{{ID: clientID}}}},
		Store: &memory{data: map[string][]byte{}}, BaseURL: "http://localhost:4566", PasswordCost: 4,
		Invoker: invoker(func(ctx context.Context, name string, event []byte) (lambda.Result, error) {
			if name == "PostConfirmation" {
				leave()
				seen = ctx.Err()
				return lambda.Result{Payload: event}, nil
			}
			return lambda.Result{Payload: []byte(`{"response":{"autoConfirmUser":true}}`)}, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	signUp(ctx, pools)
	if ctx.Err() == nil || seen != nil {
		t.Errorf("the trigger ran: %v; its context: %v", ctx.Err() != nil, seen)
	}
	if err := pools.Close(); err != nil {
		t.Error(err)
	}
}

// invoker is an Invoker that is one function.
type invoker func(ctx context.Context, name string, event []byte) (lambda.Result, error)

func (f invoker) Invoke(ctx context.Context, name string, event []byte) (lambda.Result, error) {
	return f(ctx, name, event)
}

// signUp signs alice up without a network.
func signUp(ctx context.Context, pools *cognito.Pools) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(`{"ClientId":"`+clientID+`","Username":"alice","Password":"`+password+`"}`))
	r.Header.Set("X-Amz-Target", cognito.TargetPrefix+"SignUp")
	w := httptest.NewRecorder()
	pools.ServeHTTP(w, r)
	return w
}

func TestTriggersCanRefuse(t *testing.T) {
	withPost := func(p *cognito.Pool) { p.PostConfirmation = "PostConfirmation" }
	yes := respond(`{"response":{"autoConfirmUser":true}}`)
	for _, test := range []struct {
		name          string
		f             functions
		kind, message string
		exists        bool // whether the user does afterwards
	}{
		{"PreSignUp refuses", functions{"PreSignUp": fail("name is taken by an admin")}, "UserLambdaValidationException", "PreSignUp failed with error name is taken by an admin.", false},
		{"PreSignUp cannot run", functions{"PreSignUp": func([]byte) (lambda.Result, error) { return lambda.Result{}, errors.New("no such function") }}, "UnexpectedLambdaException", "PreSignUp invocation failed due to error ServiceException.", false},
		{"PreSignUp answers no JSON", functions{"PreSignUp": respond(`yes`)}, "InvalidLambdaResponseException", "Unrecognizable lambda output", false},
		{"PreSignUp answers without a response", functions{"PreSignUp": respond(`{}`)}, "InvalidLambdaResponseException", "Unrecognizable lambda output", false},
		{"PreSignUp answers another type", functions{"PreSignUp": respond(`{"response":{"autoConfirmUser":"yes"}}`)}, "InvalidLambdaResponseException", "Unrecognizable lambda output", false},
		{"PreSignUp verifies mail that is not there", functions{"PreSignUp": respond(`{"response":{"autoConfirmUser":true,"autoVerifyEmail":true}}`)}, "UserLambdaValidationException", "", false},
		{"PostConfirmation fails", functions{"PreSignUp": yes, "PostConfirmation": fail("table is away")}, "UserLambdaValidationException", "PostConfirmation failed with error table is away.", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, test.f, withPost)
			refused(t, w.signUp("alice"), test.kind, test.message)
			_, err := w.signIn("alice", password)
			if exists := err == nil; exists != test.exists {
				t.Errorf("signing in afterwards: %v, want the user to exist: %v", err, test.exists)
			}
		})
	}
}

// Source: Cognito developer guide: 5 seconds for each call, three calls.
func TestTriggerThatIsLateIsCalledThreeTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		pools, err := cognito.New(cognito.Options{
			Pools: []cognito.Pool{{ID: poolID, PreSignUp: "PreSignUp", Clients: []cognito.Client{{ID: clientID}}}},
			Store: &memory{data: map[string][]byte{}}, BaseURL: "http://localhost:4566", PasswordCost: 4,
			Invoker: invoker(func(ctx context.Context, _ string, _ []byte) (lambda.Result, error) {
				calls++
				<-ctx.Done()
				return lambda.Result{}, ctx.Err()
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		w := signUp(t.Context(), pools)
		if took := time.Since(begin); calls != 3 || took != 15*time.Second || !strings.Contains(w.Body.String(), "UnexpectedLambdaException") {
			t.Errorf("%d calls in %s, then %s", calls, took, w.Body)
		}
		if err := pools.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSignUpValidates(t *testing.T) {
	w := newWorld(t, nil)
	w.member()
	for _, test := range []struct {
		name                     string
		client, user, pw         string
		attribute, kind, message string
	}{
		{"taken", clientID, "alice", password, "", "UsernameExistsException", "User already exists"},
		{"other case is another name", clientID, "Alice", password, "", "", ""},
		{"no such client", "nobody", "bob", password, "", "ResourceNotFoundException", "User pool client nobody does not exist."},
		{"a space in the name", clientID, "b ob", password, "", "InvalidParameterException", `1 validation error detected: Value at 'username' failed to satisfy constraint: Member must satisfy regular expression pattern: [\p{L}\p{M}\p{S}\p{N}\p{P}]+`},
		{"too long a name", clientID, strings.Repeat("b", 129), password, "", "InvalidParameterException", "1 validation error detected: Value at 'username' failed to satisfy constraint: Member must have length less than or equal to 128"},
		{"a space at the end of the password", clientID, "bob", "Correct-horse-7 ", "", "InvalidParameterException", ""},
		{"too long a password", clientID, "bob", strings.Repeat("Aa1-", 65), "", "InvalidParameterException", ""},
		{"a sub of one's own", clientID, "bob", password, "sub", "NotAuthorizedException", "A client attempted to write unauthorized attribute"},
		{"verified by oneself", clientID, "bob", password, "email_verified", "NotAuthorizedException", "A client attempted to write unauthorized attribute"},
		{"short", clientID, "bob", "Aa1-567", "", "InvalidPasswordException", "Password did not conform with policy: Password not long enough"},
		{"no lower case", clientID, "bob", "CORRECT-7", "", "InvalidPasswordException", "Password did not conform with policy: Password must have lowercase characters"},
		{"no upper case", clientID, "bob", "correct-7", "", "InvalidPasswordException", "Password did not conform with policy: Password must have uppercase characters"},
		{"no digit", clientID, "bob", "Correct-horse", "", "InvalidPasswordException", "Password did not conform with policy: Password must have numeric characters"},
		{"no symbol", clientID, "bob", "Correcthorse7", "", "InvalidPasswordException", "Password did not conform with policy: Password must have symbol characters"},
		{"longer than bcrypt reads", clientID, "bob", strings.Repeat("Aa1-", 64), "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := &cognitoidentityprovider.SignUpInput{ClientId: &test.client, Username: &test.user, Password: &test.pw}
			if test.attribute != "" {
				in.UserAttributes = []types.AttributeType{{Name: &test.attribute, Value: aws.String("x")}}
			}
			_, err := w.sdk.SignUp(t.Context(), in)
			refused(t, err, test.kind, test.message)
		})
	}
	// All of a password counts, beyond the 72 bytes that bcrypt reads.
	_, err := w.signIn("bob", strings.Repeat("Aa1-", 63)+"Aa1+")
	refused(t, err, "NotAuthorizedException", "Incorrect username or password.")
	if _, err = w.signIn("bob", strings.Repeat("Aa1-", 64)); err != nil {
		t.Error(err)
	}
}

func TestPasswordPolicyIsThePools(t *testing.T) {
	w := newWorld(t, nil, func(p *cognito.Pool) { p.PasswordPolicy = &cognito.PasswordPolicy{MinimumLength: 6} })
	_, err := w.sdk.SignUp(t.Context(), &cognitoidentityprovider.SignUpInput{ClientId: &clientID, Username: aws.String("alice"), Password: aws.String("123456")})
	refused(t, err, "", "")
}

func TestOneOfManySignUpsWins(t *testing.T) {
	w := newWorld(t, nil)
	var won atomic.Int64
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if err := w.signUp("alice"); err == nil {
				won.Add(1)
			} else {
				refused(t, err, "UsernameExistsException", "User already exists")
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d sign-ups of one name succeeded, want 1", won.Load())
	}
}

func TestConfirmation(t *testing.T) {
	confirmations := 0
	w := newWorld(t, functions{
		"PreSignUp": respond(`{"response":{"autoConfirmUser":false}}`),
		"PostConfirmation": func(event []byte) (lambda.Result, error) {
			confirmations++
			return lambda.Result{Payload: event}, nil
		},
	}, func(p *cognito.Pool) { p.PostConfirmation = "PostConfirmation" })
	refused(t, w.signUp("alice"), "", "")
	if confirmations != 0 {
		t.Error("PostConfirmation ran for a user who is not confirmed")
	}
	_, err := w.signIn("alice", password)
	refused(t, err, "UserNotConfirmedException", "User is not confirmed.")
	_, err = w.signIn("alice", "wrong")
	refused(t, err, "NotAuthorizedException", "Incorrect username or password.")

	confirm := func(name string) error {
		_, err := w.sdk.ConfirmSignUp(t.Context(), &cognitoidentityprovider.ConfirmSignUpInput{ClientId: &clientID, Username: &name, ConfirmationCode: aws.String("123456")})
		return err
	}
	admin := func(name string) error {
		_, _, body := w.post("AWSCognitoIdentityProviderService.AdminConfirmSignUp", `{"UserPoolId":"`+poolID+`","Username":"`+name+`"}`)
		if kind, _ := body["__type"].(string); kind != "" {
			return errors.New(kind)
		}
		return nil
	}
	refused(t, confirm("alice"), "ExpiredCodeException", "Invalid code provided, please request a code again.")
	refused(t, confirm("nobody"), "ExpiredCodeException", "Invalid code provided, please request a code again.")
	if err := admin("alice"); err != nil {
		t.Fatal(err)
	}
	if confirmations != 1 {
		t.Errorf("PostConfirmation ran %d times, want once", confirmations)
	}
	if err := admin("alice"); err == nil || err.Error() != "NotAuthorizedException" {
		t.Errorf("confirming twice: %v", err)
	}
	refused(t, confirm("alice"), "NotAuthorizedException", "User cannot be confirmed. Current status is CONFIRMED")
	w.again()
}

func TestCaseInsensitiveNames(t *testing.T) {
	w := newWorld(t, nil, func(p *cognito.Pool) { p.CaseInsensitive = true })
	w.member()
	refused(t, w.signUp("ALICE"), "UsernameExistsException", "User already exists")
	if _, err := w.signIn("Alice", password); err != nil {
		t.Error(err)
	}
}

func TestAdminOnlyPoolTakesNoSignUps(t *testing.T) {
	w := newWorld(t, nil, func(p *cognito.Pool) { p.AdminOnly = true })
	refused(t, w.signUp("alice"), "NotAuthorizedException", "SignUp is not permitted for this user pool")
}
