package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/duet-chat/duet/localstack/cognito"
)

const maxPoolRequest = 128 << 10 // bytes, as of the embedded user pools

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
