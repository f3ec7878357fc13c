package gateway

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Events are written by appending, not by encoding structs: all that does not
// change during a connection is written once, at its $connect, and copied into
// each event. Fields and variants are those of "Mapping template and access
// logging variables for WebSocket APIs" and of recorded events in aws-lambda-go.

// session is what a handshake fixes for the life of the connection.
type session struct {
	id          string
	connectedAt int64 // Unix milliseconds
	domain      string
	sourceIP    string
	userAgent   string
	hasAgent    bool
	user        string // the authorizer's principalId, "" without one
	context     []byte // the constant members of requestContext, each followed by a comma
}

func (g *Gateway) newSession(r *http.Request) *session {
	s := &session{id: g.newID(), connectedAt: g.now().UnixMilli(), domain: keep(r.Host), sourceIP: r.RemoteAddr}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		s.sourceIP = host
	}
	if agents := r.Header["User-Agent"]; len(agents) > 0 {
		s.userAgent, s.hasAgent = keep(agents[0]), true
	}
	s.fixContext(g.api, nil)
	return s
}

// keep copies a header's value: as it stands it would keep all headers in memory.
func keep(value string) string { return strings.Clone(strings.ToValidUTF8(value, "\uFFFD")) }

// fixContext writes the constant members; authorizer is a JSON object, or nil.
func (s *session) fixContext(api API, authorizer []byte) {
	b := make([]byte, 0, 320+len(authorizer)+len(s.userAgent))
	b = appendString(append(b, `"messageDirection":"IN","stage":`...), api.Stage)
	b = strconv.AppendInt(append(b, `,"connectedAt":`...), s.connectedAt, 10)
	b = append(b, `,"identity":{`...)
	if s.hasAgent {
		b = append(appendString(append(b, `"userAgent":`...), s.userAgent), ',')
	}
	b = append(appendString(append(b, `"sourceIp":`...), s.sourceIP), '}')
	if authorizer != nil {
		b = append(append(b, `,"authorizer":`...), authorizer...)
	}
	b = appendString(append(b, `,"domainName":`...), s.domain)
	b = appendString(append(b, `,"connectionId":`...), s.id)
	b = appendString(append(b, `,"apiId":`...), api.ID)
	s.context = append(b, ',')
}

// appendContext writes the requestContext member, still open for more members.
func (s *session) appendContext(b []byte, routeKey, eventType, requestID string, at time.Time) []byte {
	b = append(append(b, `"requestContext":{`...), s.context...)
	b = appendString(append(b, `"routeKey":`...), routeKey)
	b = append(append(b, `,"eventType":"`...), eventType...)
	b = appendString(append(b, `","requestId":`...), requestID)
	b = appendString(append(b, `,"extendedRequestId":`...), requestID)
	b = append(b, `,"requestTime":"`...)
	b = at.UTC().AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	return strconv.AppendInt(append(b, `","requestTimeEpoch":`...), at.UnixMilli(), 10)
}

// messageEvent is the event of one message; body must be valid UTF-8.
func (s *session) messageEvent(routeKey, requestID, messageID string, at time.Time, body []byte) []byte {
	const others = 320 // bytes of the members that are not constant, at most
	b := make([]byte, 0, len(s.context)+others+len(routeKey)+len(body)+len(body)/4)
	b = s.appendContext(append(b, '{'), routeKey, "MESSAGE", requestID, at)
	b = appendString(append(b, `,"messageId":`...), messageID)
	b = appendString(append(b, `},"body":`...), body)
	return append(b, `,"isBase64Encoded":false}`...)
}

func (s *session) connectEvent(requestID string, at time.Time, head handshakeHead) []byte {
	b := head.append([]byte{'{'}, false)
	b = s.appendContext(b, connectRoute, "CONNECT", requestID, at)
	return append(b, `},"isBase64Encoded":false}`...)
}

func (s *session) authorizerEvent(methodARN, requestID string, at time.Time, head handshakeHead) []byte {
	b := appendString([]byte(`{"type":"REQUEST","methodArn":`), methodARN)
	b = head.append(append(b, ','), true)
	b = append(b, `"stageVariables":{},`...)
	b = s.appendContext(b, connectRoute, "CONNECT", requestID, at)
	return append(b, `}}`...)
}

func (s *session) disconnectEvent(requestID string, at time.Time, code int, reason string) []byte {
	b := appendString([]byte(`{"headers":{"Host":`), s.domain)
	b = append(b, `,"x-api-key":"","X-Forwarded-For":"","x-restapi":""},"multiValueHeaders":{"Host":[`...)
	b = appendString(b, s.domain)
	b = append(b, `],"x-api-key":[""],"X-Forwarded-For":[""],"x-restapi":[""]},`...)
	b = s.appendContext(b, disconnectRoute, "DISCONNECT", requestID, at)
	b = strconv.AppendInt(append(b, `,"disconnectStatusCode":`...), int64(code), 10)
	b = appendString(append(b, `,"disconnectReason":`...), reason)
	return append(b, `},"isBase64Encoded":false}`...)
}

// handshakeHead is what events show of the handshake request: headers and query.
type handshakeHead struct {
	header http.Header
	query  url.Values
}

// newHandshakeHead adds what API Gateway adds on the way: X-Forwarded-* and a trace id.
func (g *Gateway) newHandshakeHead(r *http.Request, s *session) handshakeHead {
	h := make(http.Header, len(r.Header)+6)
	for name, values := range r.Header {
		// net/http writes Websocket, captures of AWS have WebSocket.
		if rest, ok := strings.CutPrefix(name, "Sec-Websocket-"); ok {
			name = "Sec-WebSocket-" + rest
		}
		h[name] = values
	}
	proto, port := "http", "80"
	if r.TLS != nil {
		proto, port = "https", "443"
	}
	if _, p, err := net.SplitHostPort(r.Host); err == nil {
		port = p
	}
	h["Host"] = []string{r.Host}
	h["X-Amzn-Trace-Id"] = []string{traceID(g.now())}
	hops := append(append([]string(nil), r.Header["X-Forwarded-For"]...), s.sourceIP)
	h["X-Forwarded-For"] = []string{strings.Join(hops, ", ")}
	h["X-Forwarded-Port"] = []string{port}
	h["X-Forwarded-Proto"] = []string{proto}
	return handshakeHead{header: h, query: r.URL.Query()}
}

// append writes the headers and the query, each in both forms and followed by a
// comma. Only the authorizer is shown Connection, Upgrade, content-length and an
// empty query.
func (h handshakeHead) append(b []byte, authorizer bool) []byte {
	single := make(map[string]string, len(h.header)+1)
	multi := make(map[string][]string, len(h.header)+1)
	for name, values := range h.header {
		if !authorizer && (name == "Connection" || name == "Upgrade") || len(values) == 0 {
			continue
		}
		single[name], multi[name] = values[len(values)-1], values
	}
	if authorizer {
		single["content-length"], multi["content-length"] = "0", []string{"0"}
	}
	b = append(appendJSON(append(b, `"headers":`...), single), ',')
	b = append(appendJSON(append(b, `"multiValueHeaders":`...), multi), ',')
	if len(h.query) == 0 && !authorizer {
		return b
	}
	query := make(map[string]string, len(h.query))
	for name, values := range h.query {
		query[name] = values[len(values)-1]
	}
	b = append(appendJSON(append(b, `"queryStringParameters":`...), query), ',')
	return append(appendJSON(append(b, `"multiValueQueryStringParameters":`...), map[string][]string(h.query)), ',')
}
