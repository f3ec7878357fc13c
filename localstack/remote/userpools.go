package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/duet-chat/duet/localstack/cognito"
	"github.com/duet-chat/duet/localstack/lambda"
)

const poolTarget = cognito.TargetPrefix

// UserPoolsOptions are what remote user pools need. URL is required, and Invoker if a pool has triggers.
type UserPoolsOptions struct {
	URL     string
	Invoker lambda.Invoker
	Log     *slog.Logger
}

// UserPools are user pools elsewhere. What is asked of the local cloud goes on to them.
//
// They cannot call the stack's functions. So the local cloud runs the triggers PreSignUp and
// PostConfirmation itself, for sign-ups and confirmations that come through it, unless the pool has
// triggers of its own. It is safe for concurrent use once Provide has returned.
type UserPools struct {
	api      *endpoint
	triggers *cognito.Triggers
	log      *slog.Logger
	byClient map[string]*userPool
	byID     map[string]*userPool
}

// userPool is one of the stack's.
type userPool struct {
	cognito.Pool        // with the ids that it has there
	ours         bool   // its triggers are for us to run
	issuer       string // of its tokens
}

// OpenUserPools finds out whether user pools answer at the URL.
func OpenUserPools(ctx context.Context, o UserPoolsOptions) (*UserPools, error) {
	api, err := newEndpoint(ctx, o.URL, "cognito-idp", "application/x-amz-json-1.1", time.Now)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	u := &UserPools{
		api: api, triggers: cognito.NewTriggers(o.Invoker, api.region, o.Log), log: o.Log,
		byClient: map[string]*userPool{}, byID: map[string]*userPool{},
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	// A pool that is not there: who answers that knows the protocol, and whom it asks.
	err = u.call(ctx, "DescribeUserPool", map[string]string{"UserPoolId": api.region + "_000000000"}, nil)
	if err == nil || isRefusal(err, "ResourceNotFoundException", "AccessDeniedException") {
		return u, nil
	}
	return nil, fmt.Errorf("the user pools cannot be used: %w: start them, or correct the URL or your credentials", err)
}

// URL is where they answer.
func (u *UserPools) URL() string { return strings.TrimSuffix(u.api.url, "/") }

func (u *UserPools) call(ctx context.Context, operation string, in, out any) error {
	return u.api.call(ctx, poolTarget+operation, in, out)
}

// Provided says what the stack's pools and clients are called elsewhere, by their names in the template,
// and who signs a pool's tokens, by its id.
type Provided struct {
	IDs, Issuers map[string]string
}

// Provide finds the stack's pools and clients by the given ids, or else by their names, and makes those
// that are not there.
func (u *UserPools) Provide(ctx context.Context, pools []cognito.Pool, given map[string]string) (Provided, error) {
	p := Provided{IDs: map[string]string{}, Issuers: map[string]string{}}
	known := map[string]bool{}
	for _, spec := range pools {
		id, err := u.providePool(ctx, spec, given[spec.Resource])
		if err != nil {
			return p, fmt.Errorf("user pool %s: %w", spec.Resource, err)
		}
		var there struct {
			UserPool struct{ LambdaConfig map[string]any }
		}
		if err := again(ctx, func() error { return u.call(ctx, "DescribeUserPool", map[string]string{"UserPoolId": id}, &there) }); err != nil {
			return p, fmt.Errorf("user pool %[1]s: %[2]w: name another by --cognito-id %[1]s=ID, or leave it out to have one found by the name %[3]s, or made", spec.Resource, err, spec.Name)
		}
		pool := &userPool{Pool: spec, ours: len(there.UserPool.LambdaConfig) == 0}
		pool.ID, pool.Clients = id, nil
		known[spec.Resource], p.IDs[spec.Resource] = true, id
		for _, client := range spec.Clients {
			if client.ID, err = u.provideClient(ctx, id, client, given[client.Resource]); err != nil {
				return p, fmt.Errorf("user pool client %s: %w", client.Resource, err)
			}
			known[client.Resource], p.IDs[client.Resource] = true, client.ID
			pool.Clients = append(pool.Clients, client)
			u.byClient[client.ID] = pool
		}
		if pool.issuer, err = u.issuer(ctx, id); err != nil {
			return p, fmt.Errorf("user pool %s: %w", spec.Resource, err)
		}
		u.byID[id], p.Issuers[id] = pool, pool.issuer
	}
	for name := range given {
		if !known[name] {
			return p, fmt.Errorf("the template has no user pool and no client %s, which is given the id %s", name, given[name])
		}
	}
	return p, nil
}

func (u *UserPools) providePool(ctx context.Context, spec cognito.Pool, given string) (id string, err error) {
	if given != "" {
		return given, nil
	}
	found, err := u.named(ctx, "ListUserPools", "UserPools", "Name", "Id", spec.Name, map[string]any{"MaxResults": 60})
	switch {
	case err != nil:
		return "", err
	case len(found) > 1:
		return "", fmt.Errorf("there are %d pools named %s at %s: choose by --cognito-id %s=ID, of %s", len(found), spec.Name, u.URL(), spec.Resource, strings.Join(found, ", "))
	case len(found) == 1:
		return found[0], nil
	}
	in := map[string]any{
		"PoolName": spec.Name, "UsernameConfiguration": map[string]bool{"CaseSensitive": !spec.CaseInsensitive},
		"AdminCreateUserConfig": map[string]bool{"AllowAdminCreateUserOnly": spec.AdminOnly},
	}
	if spec.PasswordPolicy != nil {
		in["Policies"] = map[string]any{"PasswordPolicy": spec.PasswordPolicy}
	}
	var made struct{ UserPool struct{ Id string } }
	if err := again(ctx, func() error { return u.call(ctx, "CreateUserPool", in, &made) }); err != nil {
		return "", fmt.Errorf("it cannot be made: %w", err)
	}
	return made.UserPool.Id, nil
}

func (u *UserPools) provideClient(ctx context.Context, pool string, spec cognito.Client, given string) (id string, err error) {
	if given != "" {
		if err := u.checkClient(ctx, pool, given); err != nil {
			return "", fmt.Errorf("%w: name another by --cognito-id %s=ID, or leave it out to have one found by the name %s, or made", err, spec.Resource, spec.Name)
		}
		return given, nil
	}
	found, err := u.named(ctx, "ListUserPoolClients", "UserPoolClients", "ClientName", "ClientId", spec.Name, map[string]any{"UserPoolId": pool, "MaxResults": 60})
	switch {
	case err != nil:
		return "", err
	case len(found) > 1:
		return "", fmt.Errorf("the pool %s at %s has %d clients named %s: choose by --cognito-id %s=ID, of %s", pool, u.URL(), len(found), spec.Name, spec.Resource, strings.Join(found, ", "))
	case len(found) == 1:
		return found[0], nil
	}
	existence := "LEGACY"
	if spec.PreventUserExistenceErrors {
		existence = "ENABLED"
	}
	in := map[string]any{
		"UserPoolId": pool, "ClientName": spec.Name, "GenerateSecret": false, "ExplicitAuthFlows": spec.ExplicitAuthFlows,
		"PreventUserExistenceErrors": existence,
	}
	units := map[string]string{}
	for name, validity := range map[string]time.Duration{"AccessToken": spec.AccessTokenValidity, "IdToken": spec.IDTokenValidity, "RefreshToken": spec.RefreshTokenValidity} {
		if validity > 0 {
			in[name+"Validity"], units[name] = int64(validity/time.Second), "seconds"
		}
	}
	if len(units) > 0 {
		in["TokenValidityUnits"] = units
	}
	var made struct{ UserPoolClient struct{ ClientId string } }
	if err := again(ctx, func() error { return u.call(ctx, "CreateUserPoolClient", in, &made) }); err != nil {
		return "", fmt.Errorf("it cannot be made: %w", err)
	}
	return made.UserPoolClient.ClientId, nil
}

// checkClient refuses a client that is not there, or keeps a secret: sign-ups through it would need that.
func (u *UserPools) checkClient(ctx context.Context, pool, id string) error {
	var there struct{ UserPoolClient struct{ ClientSecret string } }
	err := again(ctx, func() error {
		return u.call(ctx, "DescribeUserPoolClient", map[string]string{"UserPoolId": pool, "ClientId": id}, &there)
	})
	if err == nil && there.UserPoolClient.ClientSecret != "" {
		err = fmt.Errorf("the client %s has a secret, which terminals and browsers cannot keep", id)
	}
	return err
}

// named lists the ids of what has a name.
func (u *UserPools) named(ctx context.Context, operation, list, nameMember, idMember, name string, in map[string]any) (ids []string, err error) {
	for {
		var page map[string]json.RawMessage
		if err := again(ctx, func() error { return u.call(ctx, operation, in, &page) }); err != nil {
			return nil, err
		}
		var all []map[string]any
		if err := json.Unmarshal(page[list], &all); err != nil {
			return nil, fmt.Errorf("what answers at %s to %s tells no %s", u.api.url, operation, list)
		}
		for _, one := range all {
			if id, ok := one[idMember].(string); ok && one[nameMember] == name {
				ids = append(ids, id)
			}
		}
		var next string
		if json.Unmarshal(page["NextToken"], &next) != nil || next == "" {
			return ids, nil
		}
		in["NextToken"] = next
	}
}

// issuer is who signs a pool's tokens: as its discovery document says, or else as AWS names it.
// Source: Cognito developer guide, "Verifying JSON web tokens".
func (u *UserPools) issuer(ctx context.Context, pool string) (string, error) {
	status, _, answer, err := u.document(ctx, "/"+pool+"/.well-known/openid-configuration")
	if err != nil {
		return "", fmt.Errorf("%s does not answer: %w", u.api.url, err)
	}
	var told struct{ Issuer string }
	if status == http.StatusOK && json.Unmarshal(answer, &told) == nil && told.Issuer != "" {
		return told.Issuer, u.reach(ctx, told.Issuer)
	}
	region, _, _ := strings.Cut(pool, "_")
	return "https://cognito-idp." + region + ".amazonaws.com/" + pool, nil
}

// reach finds out whether an issuer on this machine or network can be asked for its keys: an emulator may sign
// in the name of a port that it does not listen on.
func (u *UserPools) reach(ctx context.Context, issuer string) error {
	if !strings.HasPrefix(issuer, "http://") || strings.HasPrefix(issuer, u.URL()+"/") {
		return nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+"/.well-known/openid-configuration", nil)
	if err != nil {
		return err
	}
	if _, _, _, err := u.api.do(request); err != nil {
		return fmt.Errorf("it says that its tokens are issued by %s, where their keys cannot be had: configure its host and port so that this is %s (%w)", issuer, u.URL(), err)
	}
	return nil
}

func (u *UserPools) document(ctx context.Context, path string) (int, http.Header, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.URL()+path, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	return u.api.do(request)
}

// StandsFor tells whether a host is the issuer's of a pool, though it answers at the URL.
func (u *UserPools) StandsFor(host string) bool {
	for _, pool := range u.byID {
		if strings.HasPrefix(pool.issuer, "https://"+host+"/") && !strings.HasPrefix(u.api.url, "https://"+host) {
			return true
		}
	}
	return false
}
