package cognito

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

type getUserAnswer struct {
	Username       string
	UserAttributes []attribute
}

// getUser shows users themselves.
func (p *Pools) getUser(ctx context.Context, in accessTokenRequest) (getUserAnswer, error) {
	_, u, err := p.holder(ctx, in.AccessToken)
	if err != nil {
		return getUserAnswer{}, err
	}
	return getUserAnswer{Username: u.Name, UserAttributes: u.list()}, nil
}

// list gives a user's attributes, sub first.
func (u *user) list() []attribute {
	list := make([]attribute, 0, len(u.Attributes)+1)
	for name, value := range u.Attributes {
		list = append(list, attribute{name, value})
	}
	slices.SortFunc(list, func(a, b attribute) int { return strings.Compare(a.Name, b.Name) })
	return slices.Insert(list, 0, attribute{"sub", u.Sub})
}

type changePasswordRequest struct{ AccessToken, PreviousPassword, ProposedPassword string }

// changePassword sets a new password. Sessions go on: signing out everywhere is GlobalSignOut's.
func (p *Pools) changePassword(ctx context.Context, in changePasswordRequest) (nothing, error) {
	var c constraints
	c.require("accessToken", in.AccessToken)
	checkPassword(&c, "previousPassword", in.PreviousPassword)
	checkPassword(&c, "proposedPassword", in.ProposedPassword)
	if err := c.err(); err != nil {
		return nothing{}, err
	}
	pool, u, err := p.holder(ctx, in.AccessToken)
	if err != nil {
		return nothing{}, err
	}
	if !p.matches(u, in.PreviousPassword) {
		return nothing{}, wrongPassword()
	}
	return p.setPassword(pool, u.Name, in.ProposedPassword, u.Status)
}

func (p *Pools) setPassword(in *pool, name, password, status string) (nothing, error) {
	if broken := in.policy.check(password); broken != nil {
		return nothing{}, broken
	}
	hash, err := p.hash(password)
	if err != nil {
		return nothing{}, fmt.Errorf("hash password: %w", err)
	}
	u, err := p.changeUser(in, name, func(u *user) { u.Password, u.Status = hash, status })
	if err == nil && u == nil {
		err = userNotFound()
	}
	return nothing{}, err
}

// deleteUser removes the holder of an access token. Its sessions die with it: another user of the
// same name has another sub.
func (p *Pools) deleteUser(ctx context.Context, in accessTokenRequest) (nothing, error) {
	pool, u, err := p.holder(ctx, in.AccessToken)
	if err != nil {
		return nothing{}, err
	}
	return p.remove(pool, u.Name)
}

func (p *Pools) remove(in *pool, name string) (nothing, error) {
	in.users.Lock()
	defer in.users.Unlock()
	u, err := p.user(in, name)
	switch {
	case err != nil:
		return nothing{}, err
	case u == nil:
		return nothing{}, userNotFound()
	}
	return nothing{}, p.store.Delete(in.userKey(name))
}

func (p *Pools) adminDeleteUser(_ context.Context, in adminUserRequest) (nothing, error) {
	pool, err := p.pool(in.UserPoolId, in.Username)
	if err != nil {
		return nothing{}, err
	}
	return p.remove(pool, in.Username)
}

type adminGetUserAnswer struct {
	Username                             string
	UserAttributes                       []attribute
	UserCreateDate, UserLastModifiedDate timestamp
	Enabled                              bool
	UserStatus                           string
}

func (p *Pools) adminGetUser(_ context.Context, in adminUserRequest) (adminGetUserAnswer, error) {
	pool, err := p.pool(in.UserPoolId, in.Username)
	if err != nil {
		return adminGetUserAnswer{}, err
	}
	u, err := p.user(pool, in.Username)
	switch {
	case err != nil:
		return adminGetUserAnswer{}, err
	case u == nil:
		return adminGetUserAnswer{}, userNotFound()
	}
	return adminGetUserAnswer{
		Username: u.Name, UserAttributes: u.list(), Enabled: true, UserStatus: u.Status,
		UserCreateDate: timestamp(u.Created), UserLastModifiedDate: timestamp(u.Modified),
	}, nil
}

// timestamp is a time in seconds with milliseconds, as the protocol writes it.
// Source: Smithy, AWS JSON 1.1 protocol, epoch-seconds.
type timestamp time.Time

// MarshalJSON implements json.Marshaler.
func (t timestamp) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", float64(time.Time(t).UnixMilli())/1000), nil
}

type adminSetUserPasswordRequest struct {
	UserPoolId, Username, Password string
	Permanent                      bool
}

// adminSetUserPassword sets a permanent password and so confirms the user. Temporary ones need the
// challenge NEW_PASSWORD_REQUIRED, which the local pool does not know.
func (p *Pools) adminSetUserPassword(_ context.Context, in adminSetUserPasswordRequest) (nothing, error) {
	pool, err := p.pool(in.UserPoolId, in.Username)
	if err != nil {
		return nothing{}, err
	}
	var c constraints
	checkPassword(&c, "password", in.Password)
	switch err := c.err(); {
	case err != nil:
		return nothing{}, err
	case !in.Permanent:
		return nothing{}, invalidParameter("The local user pool has no temporary passwords: set Permanent")
	}
	return p.setPassword(pool, in.Username, in.Password, confirmed)
}
