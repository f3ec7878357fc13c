package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// identitySource is a header or a query parameter that the authorizer needs.
type identitySource struct {
	name   string
	header bool
}

// CheckIdentitySources says what is wrong with an authorizer's identity sources.
func CheckIdentitySources(sources []string) error {
	_, err := parseIdentitySources(sources)
	return err
}

func parseIdentitySources(sources []string) ([]identitySource, error) {
	parsed := make([]identitySource, 0, len(sources))
	for _, source := range sources {
		header, isHeader := strings.CutPrefix(source, "route.request.header.")
		query, isQuery := strings.CutPrefix(source, "route.request.querystring.")
		switch {
		case isHeader && header != "":
			parsed = append(parsed, identitySource{name: header, header: true})
		case isQuery && query != "":
			parsed = append(parsed, identitySource{name: query})
		default:
			return nil, fmt.Errorf("identity source %q: it must be route.request.header.NAME or route.request.querystring.NAME", source)
		}
	}
	return parsed, nil
}

// present looks for a value that is not empty; headers by name in any case.
func (s identitySource) present(head handshakeHead) bool {
	if !s.header {
		return head.query.Get(s.name) != ""
	}
	for name, values := range head.header {
		if strings.EqualFold(name, s.name) && len(values) > 0 && values[0] != "" {
			return true
		}
	}
	return false
}

// refusal is an HTTP status that ends a handshake; zero lets it go on.
type refusal int

// authorize asks the API's authorizer and returns the object that later events
// carry as requestContext.authorizer. Source: "Control access to WebSocket APIs
// with AWS Lambda REQUEST authorizers" and "Output from an API Gateway Lambda authorizer".
func (g *Gateway) authorize(ctx context.Context, d *deployment, s *session, head handshakeHead) ([]byte, refusal) {
	for _, source := range d.sources {
		if !source.present(head) {
			return nil, http.StatusUnauthorized
		}
	}
	function := d.authorizer.Function
	requestID := g.newID()
	started := time.Now()
	event := s.authorizerEvent(g.methodARN, requestID, g.now(), head)
	result, err := g.invokeWithin(ctx, function, d.authorizer.Denied, g.limits.IntegrationTimeout, event)
	log := g.log.With("function", function, "connection", s.id, "request", requestID)
	switch {
	case err != nil:
		log.Warn("authorizer could not be run", "error", err)
		return nil, http.StatusInternalServerError
	case result.FunctionError != "" && result.ErrorMessage == "Unauthorized":
		return nil, http.StatusUnauthorized
	case result.FunctionError != "":
		log.Warn("authorizer failed", "errorType", result.ErrorType)
		return nil, http.StatusInternalServerError
	}
	answer, err := parseAuthorizerAnswer(result.Payload)
	if err != nil {
		log.Warn("authorizer answered something else than API Gateway takes", "error", err)
		return nil, http.StatusInternalServerError
	}
	allowed, err := answer.PolicyDocument.allows(g.methodARN)
	if err != nil {
		log.Warn("authorizer answered a policy that cannot be evaluated", "error", err)
		return nil, http.StatusInternalServerError
	}
	if !allowed {
		return nil, http.StatusForbidden
	}
	s.user = answer.PrincipalID
	return answer.object(time.Since(started)), 0
}

type authorizerAnswer struct {
	PrincipalID    string                     `json:"principalId"`
	PolicyDocument policy                     `json:"policyDocument"`
	Context        map[string]json.RawMessage `json:"context"`
}

func parseAuthorizerAnswer(payload []byte) (authorizerAnswer, error) {
	var a authorizerAnswer
	if len(payload) > maxAuthorizerResult {
		return a, fmt.Errorf("%d bytes are more than %d", len(payload), maxAuthorizerResult)
	}
	if !utf8.Valid(payload) {
		return a, errors.New("not valid UTF-8")
	}
	if err := json.Unmarshal(payload, &a); err != nil {
		// The decoder's own text could quote the answer.
		return a, fmt.Errorf("not JSON of the shape {principalId, policyDocument, context} (%T)", err)
	}
	if a.PrincipalID == "" {
		return a, errors.New("principalId is missing")
	}
	for key, value := range a.Context {
		if value[0] == '{' || value[0] == '[' {
			return a, fmt.Errorf("context value %q is an object or a list: only strings, numbers and booleans are allowed", key)
		}
	}
	return a, nil
}

// object is what events show: the context's values, all as strings, beside
// principalId and integrationLatency in milliseconds.
func (a authorizerAnswer) object(latency time.Duration) []byte {
	b := appendString([]byte(`{"principalId":`), a.PrincipalID)
	b = strconv.AppendInt(append(b, `,"integrationLatency":`...), latency.Milliseconds(), 10)
	keys := make([]string, 0, len(a.Context))
	for key, value := range a.Context {
		if key != "principalId" && key != "integrationLatency" && string(value) != "null" {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	for _, key := range keys {
		b = append(appendString(append(b, ','), key), ':')
		b = appendString(b, appendText(nil, a.Context[key]))
	}
	return append(b, '}')
}
