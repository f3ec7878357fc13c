package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

const (
	protocolHeader = "Sec-Websocket-Protocol" // canonical in Go; RFC 6455 writes WebSocket
	websocketGUID  = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

// serveHandshake takes a client from its GET to an open connection: authorizer,
// $connect, 101. A refused client gets a status and never a $disconnect. Neither
// does one that leaves before the 101 could be written, even if its $connect has
// run: AWS promises $disconnect for connections only, and best effort at that.
func (g *Gateway) serveHandshake(w http.ResponseWriter, r *http.Request) {
	if !checkUpgrade(w, r) {
		return
	}
	if !g.begin() {
		refuse(w, http.StatusServiceUnavailable, "Service Unavailable")
		return
	}
	defer g.running.Done()
	g.meters.handshakes.Add(1)

	s := g.newSession(r)
	w.Header()["X-Amzn-Requestid"] = []string{g.newID()}
	var own *rate.Limiter
	if route := g.lifecycle(connectRoute); route != nil {
		own = route.bucket
	}
	if !g.allows(g.now(), own, g.newConnections, g.requests) {
		g.refuseHandshake(w, s, http.StatusTooManyRequests)
		return
	}
	head := g.newHandshakeHead(r, s)
	if d := g.deployed.Load(); d.authorizer != nil {
		authorizer, status := g.authorize(g.functions, d, s, head)
		if status != 0 {
			g.refuseHandshake(w, s, status)
			return
		}
		s.fixContext(g.api, authorizer)
	}
	if r.Context().Err() != nil {
		return
	}
	protocol, status := g.connect(g.functions, s, head)
	if status != 0 {
		g.refuseHandshake(w, s, status)
		return
	}
	if r.Context().Err() != nil {
		g.log.Debug("client left during its handshake", "connection", s.id)
		return
	}
	socket, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		g.log.Error("server cannot hand over connections to WebSocket", "error", err)
		refuse(w, http.StatusInternalServerError, textInternal)
		return
	}
	early, err := unread(buffered.Reader)
	if err != nil {
		_ = socket.Close()
		return
	}
	g.open(socket, s, early, switching(r.Header.Get("Sec-Websocket-Key"), protocol))
}

// checkUpgrade answers requests that are no WebSocket handshake (RFC 6455, 4.2.1).
func checkUpgrade(w http.ResponseWriter, r *http.Request) bool {
	key, _ := base64.StdEncoding.DecodeString(r.Header.Get("Sec-Websocket-Key"))
	switch {
	case len(r.RequestURI) > maxURL:
		refuse(w, http.StatusRequestURITooLong, "URL is longer than 4096 characters")
	case r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1):
		refuse(w, http.StatusBadRequest, "this is a WebSocket API: connect with GET over HTTP/1.1 and Upgrade: websocket")
	case !hasToken(r.Header["Connection"], "upgrade") || !hasToken(r.Header["Upgrade"], "websocket"):
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		refuse(w, http.StatusUpgradeRequired, "this is a WebSocket API: the request must have Connection: Upgrade and Upgrade: websocket")
	case r.Header.Get("Sec-Websocket-Version") != "13":
		w.Header().Set("Sec-WebSocket-Version", "13")
		refuse(w, http.StatusUpgradeRequired, "Sec-WebSocket-Version must be 13")
	case len(key) != 16:
		refuse(w, http.StatusBadRequest, "Sec-WebSocket-Key must be 16 bytes in base64")
	default:
		return true
	}
	return false
}

// hasToken finds a token in a comma-separated header, whatever its case.
func hasToken(values []string, token string) bool {
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// connect runs the $connect route and returns the subprotocol that it chose.
func (g *Gateway) connect(ctx context.Context, s *session, head handshakeHead) (string, refusal) {
	route := g.lifecycle(connectRoute)
	if route == nil {
		return "", 0
	}
	requestID := g.newID()
	result, err := g.invokeWithin(ctx, route.Function, route.Denied, route.Timeout, s.connectEvent(requestID, g.now(), head))
	log := g.log.With("route", connectRoute, "function", route.Function, "connection", s.id, "request", requestID)
	switch {
	case errors.Is(err, errIntegrationTimeout):
		log.Warn("function timed out")
		return "", http.StatusGatewayTimeout
	case err != nil:
		// Lambda has refused the invocation: see "Handling Lambda errors with an API Gateway API".
		log.Warn("function could not be run", "error", err)
		return "", http.StatusInternalServerError
	case result.FunctionError != "":
		log.Warn("function failed", "errorType", result.ErrorType)
		return "", http.StatusBadGateway
	}
	response, err := parseResponse(result.Payload)
	if err == nil && (response.status < 200 || response.status > 599) {
		err = errors.New("statusCode is not from 200 to 599")
	}
	if err != nil {
		log.Warn("malformed response", "error", err)
		return "", http.StatusBadGateway
	}
	if response.status > 299 {
		return "", refusal(response.status)
	}
	protocol := response.header(protocolHeader)
	if strings.ContainsFunc(protocol, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }) {
		log.Warn("malformed response", "error", "its Sec-WebSocket-Protocol is not one token")
		return "", http.StatusBadGateway
	}
	return protocol, 0
}

// refuseHandshake answers with a status and the text that goes with it.
func (g *Gateway) refuseHandshake(w http.ResponseWriter, s *session, status refusal) {
	g.log.Debug("handshake refused", "connection", s.id, "status", int(status))
	text := http.StatusText(int(status))
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway:
		text = textInternal
	case http.StatusGatewayTimeout:
		text = textTimeout
	case http.StatusNotModified: // may have no body
		w.WriteHeader(int(status))
		return
	}
	refuse(w, int(status), text)
}

// switching is the response that ends a handshake well.
func switching(key, protocol string) []byte {
	sum := sha1.Sum([]byte(key + websocketGUID))
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
	b.WriteString(base64.StdEncoding.EncodeToString(sum[:]))
	if protocol != "" {
		b.WriteString("\r\nSec-WebSocket-Protocol: " + protocol)
	}
	b.WriteString("\r\n\r\n")
	return b.Bytes()
}

// unread copies what a client sent before it had its 101.
func unread(r *bufio.Reader) ([]byte, error) {
	early := make([]byte, r.Buffered())
	_, err := io.ReadFull(r, early)
	return early, err
}

// open writes the 101 and starts the connection. The connection's lock is held
// meanwhile: whoever finds it, from the instant the 101 is written on, waits
// these microseconds instead of being told that it is gone.
func (g *Gateway) open(socket net.Conn, s *session, early, response []byte) {
	c := &conn{gateway: g, session: s, socket: socket, started: g.elapsed()}
	c.lastMessage.Store(int64(c.started))
	var source io.Reader = patientReader{c}
	if len(early) > 0 {
		source = io.MultiReader(bytes.NewReader(early), source)
	}
	c.frames = newFrameReader(source, g.limits)

	c.mu.Lock()
	if !g.accept(c) {
		c.mu.Unlock()
		c.drop()
		return
	}
	c.extendWriteDeadline()
	if _, err := socket.Write(response); err != nil {
		c.closed = true
		c.mu.Unlock()
		g.forget(c)
		c.drop()
		return
	}
	// Deadlines of the HTTP server may have been set; this one replaces them.
	_ = socket.SetReadDeadline(time.Now().Add(min(g.limits.Idle, g.limits.Duration)))
	g.running.Add(1)
	c.mu.Unlock()
	go c.read()
}
