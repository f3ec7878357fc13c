package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/duet-chat/duet/localstack/cognito"
	"github.com/duet-chat/duet/localstack/lambda"
)

const (
	poolTarget     = cognito.TargetPrefix
	maxPoolRequest = 128 << 10 // bytes, as of the embedded user pools
)

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
	return nil, fmt.Errorf("the user pools cannot be used: %w", err)
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
			return p, fmt.Errorf("user pool %s: %s: %w", spec.Resource, id, err)
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
		return told.Issuer, nil
	}
	region, _, _ := strings.Cut(pool, "_")
	return "https://cognito-idp." + region + ".amazonaws.com/" + pool, nil
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

// Close implements io.Closer.
func (u *UserPools) Close() error { return nil }

// ServeHTTP passes on what is asked of the user pools: the JSON API, POST /, and a pool's documents.
func (u *UserPools) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*") // as Cognito allows browsers
	h.Set("Access-Control-Expose-Headers", "x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date")
	switch r.Method {
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "*, Authorization, Cache-Control, Content-Type, X-Amz-Target, X-Amz-User-Agent, Amz-Sdk-Invocation-Id, Amz-Sdk-Request")
		h.Set("Access-Control-Max-Age", "172800")
	case http.MethodPost:
		u.serveAPI(w, r)
	default:
		status, header, answer, err := u.document(r.Context(), r.URL.EscapedPath())
		u.answer(w, r, status, header, u.withKeys(r.URL.Path, answer), err)
	}
}

// withKeys lets a discovery document name the keys' address under the issuer's. Emulators that sign in the
// name of AWS's hosts name their own, which a verifier refuses: it is not as safe as the issuer.
func (u *UserPools) withKeys(path string, answer []byte) []byte {
	id, document, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	pool := u.byID[id]
	if pool == nil || document != ".well-known/openid-configuration" || !strings.HasPrefix(pool.issuer, "https://") {
		return answer
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(answer, &members) != nil || members["jwks_uri"] == nil {
		return answer
	}
	members["jwks_uri"], _ = json.Marshal(pool.issuer + "/.well-known/jwks.json") // a string: cannot fail
	return encode(members)
}

func (u *UserPools) serveAPI(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPoolRequest))
	if err != nil {
		http.Error(w, "the request could not be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	target := r.Header.Get("X-Amz-Target")
	switch strings.TrimPrefix(target, poolTarget) {
	case "SignUp":
		u.signUp(w, r, target, body)
	case "ConfirmSignUp", "AdminConfirmSignUp":
		u.confirm(w, r, target, body)
	default:
		status, header, answer, err := u.api.post(r.Context(), target, body)
		u.answer(w, r, status, header, answer, err)
	}
}

// answer passes an answer on.
func (u *UserPools) answer(w http.ResponseWriter, r *http.Request, status int, header http.Header, answer []byte, err error) {
	if err != nil {
		u.log.WarnContext(r.Context(), "the user pools do not answer", "url", u.api.url, "error", err)
		cognito.Refuse(w, err)
		return
	}
	for _, name := range []string{"Content-Type", "X-Amzn-Requestid", "X-Amzn-Errortype", "X-Amzn-Errormessage"} {
		if v := header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(status)
	_, _ = w.Write(answer) // the client is gone if this fails
}

type attribute struct{ Name, Value string }

// account is what is to be known of a sign-up or a confirmation.
type account struct {
	ClientId, UserPoolId, Username string
	UserAttributes, ValidationData []attribute
	ClientMetadata                 map[string]string
}

func asMap(list []attribute) map[string]string {
	m := map[string]string{}
	for _, a := range list {
		m[a.Name] = a.Value
	}
	return m
}

// triggered is the pool of a request whose triggers are to be run; nil if there is none.
func (u *UserPools) triggered(a account) *userPool {
	pool := u.byClient[a.ClientId]
	if pool == nil {
		pool = u.byID[a.UserPoolId]
	}
	if pool == nil || !pool.ours || pool.PreSignUp+pool.PostConfirmation == "" {
		return nil
	}
	return pool
}

// signUp signs a user up between the two triggers.
func (u *UserPools) signUp(w http.ResponseWriter, r *http.Request, target string, body []byte) {
	ctx := r.Context()
	var a account
	pool := (*userPool)(nil)
	if json.Unmarshal(body, &a) == nil {
		pool = u.triggered(a)
	}
	if pool == nil {
		status, header, answer, err := u.api.post(ctx, target, body)
		u.answer(w, r, status, header, answer, err)
		return
	}
	confirmed, err := u.triggers.PreSignUp(ctx, cognito.Occasion{
		Pool: pool.Pool, Client: a.ClientId, Username: a.Username,
		Attributes: asMap(a.UserAttributes), Validation: asMap(a.ValidationData), Metadata: a.ClientMetadata,
	})
	if err != nil {
		u.refuse(w, r, err)
		return
	}
	status, header, answer, err := u.api.post(ctx, target, body)
	if err != nil || status != http.StatusOK || !confirmed {
		u.answer(w, r, status, header, answer, err)
		return
	}
	if err := u.call(ctx, "AdminConfirmSignUp", map[string]string{"UserPoolId": pool.ID, "Username": a.Username}, nil); err != nil {
		u.refuse(w, r, fmt.Errorf("the user has signed up, and cannot be confirmed: %w", err))
		return
	}
	if err := u.confirmed(ctx, pool, a); err != nil {
		u.refuse(w, r, err)
		return
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(answer, &members) == nil {
		members["UserConfirmed"] = json.RawMessage("true")
		answer = encode(members)
	}
	u.answer(w, r, status, header, answer, nil)
}

// confirm confirms a user, and runs PostConfirmation.
func (u *UserPools) confirm(w http.ResponseWriter, r *http.Request, target string, body []byte) {
	status, header, answer, err := u.api.post(r.Context(), target, body)
	var a account
	if err == nil && status == http.StatusOK && json.Unmarshal(body, &a) == nil {
		if pool := u.triggered(a); pool != nil {
			if err := u.confirmed(r.Context(), pool, a); err != nil {
				u.refuse(w, r, err)
				return
			}
		}
	}
	u.answer(w, r, status, header, answer, err)
}

// confirmed runs PostConfirmation with what the pool knows of the user.
func (u *UserPools) confirmed(ctx context.Context, pool *userPool, a account) error {
	if pool.PostConfirmation == "" {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // the user is confirmed, whoever waits for it
	var user struct{ UserAttributes []attribute }
	if err := u.call(ctx, "AdminGetUser", map[string]string{"UserPoolId": pool.ID, "Username": a.Username}, &user); err != nil {
		return fmt.Errorf("read the user for the PostConfirmation trigger: %w", err)
	}
	return u.triggers.PostConfirmation(ctx, cognito.Occasion{
		Pool: pool.Pool, Client: a.ClientId, Username: a.Username, Attributes: asMap(user.UserAttributes), Metadata: a.ClientMetadata,
	})
}

// refuse answers with what a trigger refused, or with an internal error, which is logged.
func (u *UserPools) refuse(w http.ResponseWriter, r *http.Request, err error) {
	u.log.WarnContext(r.Context(), "a sign-up or confirmation was not finished", "error", err)
	cognito.Refuse(w, err)
}
