package cognito

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"
)

const (
	// TargetPrefix begins the X-Amz-Target of every operation.
	TargetPrefix = "AWSCognitoIdentityProviderService."

	contentType = "application/x-amz-json-1.1"
	maxRequest  = 128 << 10 // bytes of a request; Cognito's own limit is not documented
)

// ServeHTTP answers the JSON API, POST /, and each pool's documents, GET /POOL/.well-known/…
func (p *Pools) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Browsers call Cognito directly: it allows every origin.
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date")
	switch {
	case r.Method == http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "*, Authorization, Cache-Control, Content-Type, X-Amz-Target, X-Amz-User-Agent, Amz-Sdk-Invocation-Id, Amz-Sdk-Request")
		h.Set("Access-Control-Max-Age", "172800")
	case r.Method == http.MethodPost && r.URL.Path == "/":
		p.serveAPI(w, r)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		p.serveWellKnown(w, r)
	default:
		http.Error(w, "POST / for the API, GET /POOL/.well-known/… for a pool's documents", http.StatusMethodNotAllowed)
	}
}

func (p *Pools) serveAPI(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	if id, err := p.uuid(); err == nil {
		h.Set("X-Amzn-RequestId", id)
	}
	operation, ours := strings.CutPrefix(r.Header.Get("X-Amz-Target"), TargetPrefix)
	if !ours {
		operation = ""
	}
	answer, err := p.do(r, operation)
	var body []byte
	if err == nil {
		body, err = encode(answer)
	}
	if err != nil {
		var refusal *apiError
		if !errors.As(err, &refusal) || refusal.kind == internalError {
			p.log.ErrorContext(r.Context(), "user pool operation failed", "operation", operation, "error", err)
		}
		Refuse(w, err)
		return
	}
	// An error here means that the client went away.
	_, _ = w.Write(body)
}

// do reads the request and runs its operation.
func (p *Pools) do(r *http.Request, operation string) (any, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	switch {
	case err != nil:
		return nil, refuse("SerializationException", "The request could not be read.")
	case len(body) > maxRequest:
		return nil, refuse("SerializationException", "The request has more than %d bytes.", maxRequest)
	case !utf8.Valid(body):
		return nil, refuse("SerializationException", "The request is not valid UTF-8.")
	}
	ctx := r.Context()
	switch operation {
	case "SignUp":
		return run(ctx, body, p.signUp)
	case "ConfirmSignUp":
		return run(ctx, body, p.confirmSignUp)
	case "InitiateAuth":
		return run(ctx, body, p.initiateAuth)
	case "RevokeToken":
		return run(ctx, body, p.revokeToken)
	case "GlobalSignOut":
		return run(ctx, body, p.globalSignOut)
	case "GetUser":
		return run(ctx, body, p.getUser)
	case "ChangePassword":
		return run(ctx, body, p.changePassword)
	case "DeleteUser":
		return run(ctx, body, p.deleteUser)
	case "AdminConfirmSignUp":
		return run(ctx, body, p.adminConfirmSignUp)
	case "AdminGetUser":
		return run(ctx, body, p.adminGetUser)
	case "AdminDeleteUser":
		return run(ctx, body, p.adminDeleteUser)
	case "AdminUserGlobalSignOut":
		return run(ctx, body, p.adminUserGlobalSignOut)
	case "AdminSetUserPassword":
		return run(ctx, body, p.adminSetUserPassword)
	}
	return nil, refuse("UnknownOperationException", "The local user pool does not know the operation %.80q.", operation)
}

// run decodes a request and calls an operation.
func run[In any, Out any](ctx context.Context, body []byte, operation func(context.Context, In) (Out, error)) (any, error) {
	var in In
	if err := json.Unmarshal(body, &in); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			// wrong.Value is the kind of JSON value, not the value.
			return nil, refuse("SerializationException", "The field %s can not be a JSON %s.", wrong.Field, wrong.Value)
		}
		return nil, refuse("SerializationException", "The request is not a JSON object.")
	}
	return operation(ctx, in)
}

// nothing is the answer of operations that have none.
type nothing struct{}

// encode writes JSON without the escapes that are meant for HTML.
func encode(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return []byte(strings.TrimSuffix(b.String(), "\n")), err
}

func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// serveWellKnown answers a pool's JWKS and OpenID Connect discovery document.
func (p *Pools) serveWellKnown(w http.ResponseWriter, r *http.Request) {
	poolID, document, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	pool := p.byID[poolID]
	if pool == nil {
		http.Error(w, "no such user pool", http.StatusNotFound)
		return
	}
	var body []byte
	var err error
	switch document {
	case ".well-known/jwks.json":
		if err = pool.signer.wait(r.Context()); err == nil {
			body = pool.signer.jwks
		}
	case ".well-known/openid-configuration":
		body, err = encode(pool.discovery())
	default:
		http.Error(w, "a user pool has .well-known/jwks.json and .well-known/openid-configuration", http.StatusNotFound)
		return
	}
	if err != nil {
		p.log.ErrorContext(r.Context(), "user pool document cannot be served", "pool", poolID, "error", err)
		http.Error(w, "try again", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// An error here means that the client went away.
	_, _ = w.Write(body)
}

// discovery is Cognito's document without the endpoints of the hosted UI, which there are none of.
// Source: OpenID Connect Discovery 1.0, section 3.
func (p *pool) discovery() map[string]any {
	return map[string]any{
		"issuer":                                p.issuer,
		"jwks_uri":                              p.issuer + "/.well-known/jwks.json",
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"response_types_supported":              []string{"code", "token"},
		"subject_types_supported":               []string{"public"},
		"scopes_supported":                      []string{"openid", "email", "phone", "profile"},
	}
}
