package cognito

import (
	"context"
	"fmt"
	"unicode/utf8"
)

type attribute struct{ Name, Value string }

// Requests and answers have the protocol's own field names.
type signUpRequest struct {
	ClientId, Username, Password string
	UserAttributes               []attribute
	ValidationData               []attribute
	ClientMetadata               map[string]string
}

type signUpAnswer struct {
	UserConfirmed bool
	UserSub       string
}

// signUp makes a user. The PreSignUp trigger may refuse or confirm; PostConfirmation runs when the
// user stands in the store: if it fails, the caller is told, and the user stays, as on AWS.
func (p *Pools) signUp(ctx context.Context, in signUpRequest) (signUpAnswer, error) {
	var none signUpAnswer
	var c constraints
	c.clientID(in.ClientId)
	c.username("username", in.Username)
	checkPassword(&c, "password", in.Password)
	attributes := checkAttributes(&c, in.UserAttributes)
	if err := c.err(); err != nil {
		return none, err
	}
	client, err := p.client(in.ClientId)
	if err != nil {
		return none, err
	}
	pool := client.pool
	if pool.AdminOnly {
		return none, notAuthorized("SignUp is not permitted for this user pool")
	}
	for _, own := range []string{"sub", "email_verified", "phone_number_verified"} {
		if _, sent := attributes[own]; sent {
			return none, notAuthorized("A client attempted to write unauthorized attribute")
		}
	}
	if broken := pool.policy.check(in.Password); broken != nil {
		return none, broken
	}
	if err := p.free(pool, in.Username); err != nil {
		return none, err
	}
	sub, err := p.uuid()
	if err != nil {
		return none, err
	}
	u := &user{Name: in.Username, Sub: sub, Status: unconfirmed, Attributes: attributes}
	t := trigger{pool: pool, client: client.ID, user: u, metadata: in.ClientMetadata}
	verdict, err := p.preSignUp(ctx, t, in.ValidationData)
	if err != nil {
		return none, err
	}
	if verdict.AutoConfirmUser {
		u.Status = confirmed
	}
	for flag, verified := range map[string]bool{"email": verdict.AutoVerifyEmail, "phone_number": verdict.AutoVerifyPhone} {
		if !verified {
			continue
		}
		if u.Attributes[flag] == "" {
			return none, refuse("UserLambdaValidationException", "PreSignUp sets auto verification of %s, which the user does not have.", flag)
		}
		u.Attributes[flag+"_verified"] = "true"
	}
	if u.Password, err = p.hash(in.Password); err != nil {
		return none, fmt.Errorf("hash password: %w", err)
	}
	if err := p.addUser(pool, u); err != nil {
		return none, err
	}
	if u.Status == confirmed {
		if err := p.postConfirmation(ctx, t); err != nil {
			return none, err
		}
	}
	return signUpAnswer{UserConfirmed: u.Status == confirmed, UserSub: u.Sub}, nil
}

// free refuses a name that is taken.
func (p *Pools) free(in *pool, name string) error {
	u, err := p.user(in, name)
	if err == nil && u != nil {
		err = refuse("UsernameExistsException", "User already exists")
	}
	return err
}

// addUser stores a user unless the name was taken meanwhile.
func (p *Pools) addUser(in *pool, u *user) error {
	in.users.Lock()
	defer in.users.Unlock()
	if err := p.free(in, u.Name); err != nil {
		return err
	}
	u.Created = p.now()
	u.Modified = u.Created
	return p.putUser(in, u)
}

// checkAttributes takes any attribute but those that Cognito sets itself: schemas are not kept.
func checkAttributes(c *constraints, list []attribute) map[string]string {
	attributes := make(map[string]string, len(list))
	for i, a := range list {
		at := fmt.Sprintf("userAttributes.%d.member", i+1)
		c.require(at+".name", a.Name)
		c.match(at+".name", utf8.RuneCountInString(a.Name) <= 32, "Member must have length less than or equal to 32")
		c.match(at+".value", utf8.RuneCountInString(a.Value) <= 2048, "Member must have length less than or equal to 2048")
		attributes[a.Name] = a.Value
	}
	return attributes
}

type confirmSignUpRequest struct{ ClientId, Username, ConfirmationCode string }

// confirmSignUp refuses every code as Cognito refuses one that it never sent: the local cloud sends
// no mail. Users are confirmed by the PreSignUp trigger or by AdminConfirmSignUp.
func (p *Pools) confirmSignUp(_ context.Context, in confirmSignUpRequest) (nothing, error) {
	var c constraints
	c.clientID(in.ClientId)
	c.username("username", in.Username)
	c.require("confirmationCode", in.ConfirmationCode)
	if err := c.err(); err != nil {
		return nothing{}, err
	}
	client, err := p.client(in.ClientId)
	if err != nil {
		return nothing{}, err
	}
	u, err := p.user(client.pool, in.Username)
	switch {
	case err != nil:
		return nothing{}, err
	case u == nil && !client.PreventUserExistenceErrors:
		return nothing{}, userNotFound()
	case u != nil && u.Status == confirmed:
		return nothing{}, notAuthorized("User cannot be confirmed. Current status is CONFIRMED")
	}
	return nothing{}, refuse("ExpiredCodeException", "Invalid code provided, please request a code again.")
}

type adminConfirmSignUpRequest struct {
	UserPoolId, Username string
	ClientMetadata       map[string]string
}

// adminConfirmSignUp confirms a user and runs PostConfirmation.
func (p *Pools) adminConfirmSignUp(ctx context.Context, in adminConfirmSignUpRequest) (nothing, error) {
	pool, err := p.pool(in.UserPoolId, in.Username)
	if err != nil {
		return nothing{}, err
	}
	already := false
	u, err := p.changeUser(pool, in.Username, func(u *user) {
		already = u.Status == confirmed
		u.Status = confirmed
	})
	switch {
	case err != nil:
		return nothing{}, err
	case u == nil:
		return nothing{}, userNotFound()
	case already:
		return nothing{}, notAuthorized("User cannot be confirmed. Current status is CONFIRMED")
	}
	return nothing{}, p.postConfirmation(ctx, trigger{pool: pool, client: noClient, user: u, metadata: in.ClientMetadata})
}

func (p *Pools) client(id string) (*client, error) {
	if c := p.byClient[id]; c != nil {
		return c, nil
	}
	return nil, refuse("ResourceNotFoundException", "User pool client %s does not exist.", id)
}

// pool finds the pool of an administrator's operation on a user.
func (p *Pools) pool(id, username string) (*pool, error) {
	var c constraints
	c.require("userPoolId", id)
	c.match("userPoolId", id == "" || poolIDPattern.MatchString(id), `Member must satisfy regular expression pattern: [\w-]+_[0-9a-zA-Z]+`)
	c.username("username", username)
	if err := c.err(); err != nil {
		return nil, err
	}
	if pool := p.byID[id]; pool != nil {
		return pool, nil
	}
	return nil, refuse("ResourceNotFoundException", "User pool %s does not exist.", id)
}
