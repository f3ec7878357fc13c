package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// serveManagement answers the @connections API. Sources: SDK model
// apigatewaymanagementapi 2018-11-29 and "Use @connections commands in your
// backend service". A post costs a look-up and a copy into the client's buffer,
// so it suits callers in this process that skip the network.
func (g *Gateway) serveManagement(w http.ResponseWriter, r *http.Request, stage, id string) {
	w.Header()["X-Amzn-Requestid"] = []string{g.newID()}
	if stage != g.api.Stage {
		fail(w, http.StatusForbidden, "ForbiddenException", textForbidden)
		return
	}
	if !g.allows(g.now(), g.requests) {
		fail(w, http.StatusTooManyRequests, "LimitExceededException", textThrottled)
		return
	}
	c := g.lookup(id)
	if c == nil {
		if wellFormedID(id) {
			gone(w)
		} else {
			fail(w, http.StatusBadRequest, "BadRequestException", "Invalid connectionId: "+id)
		}
		return
	}
	switch r.Method {
	case http.MethodPost:
		g.servePost(w, r, c)
	case http.MethodGet:
		g.serveGet(w, c)
	case http.MethodDelete:
		c.shut(closeWith(ws.StatusNormalClosure, reasonDeleted))
		w.WriteHeader(http.StatusNoContent)
	default:
		fail(w, http.StatusForbidden, "ForbiddenException", fmt.Sprintf("%s is none of POST, GET and DELETE", r.Method))
	}
}

// servePost queues the request's body as one text message.
func (g *Gateway) servePost(w http.ResponseWriter, r *http.Request, c *conn) {
	limit := g.limits.MessageBytes
	if r.ContentLength > int64(limit) {
		tooLarge(w, limit)
		return
	}
	buf := getBuffer(max(int(r.ContentLength)+1, 512)) // a byte more, to see the end
	defer putBuffer(buf)
	text, err := readBody((*buf)[:0], r.Body, limit)
	*buf = text
	switch {
	case err != nil:
		fail(w, http.StatusBadRequest, "BadRequestException", "the request's body ended early")
		return
	case len(text) > limit:
		tooLarge(w, limit)
		return
	case !utf8.Valid(text):
		// A client would have to drop the connection for it (RFC 6455, 8.1).
		fail(w, http.StatusBadRequest, "BadRequestException", "data is not valid UTF-8: messages of a WebSocket API are text")
		return
	}
	switch c.post(text) {
	case queued:
		w.WriteHeader(http.StatusOK)
	case queueFull:
		fail(w, http.StatusTooManyRequests, "LimitExceededException", "the client's send buffer is full")
	case queueClosed:
		gone(w)
	}
}

// readBody appends a body to buf, and stops once it is longer than limit.
func readBody(buf []byte, body io.Reader, limit int) ([]byte, error) {
	if body == nil {
		return buf, nil
	}
	for len(buf) <= limit {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// connectionInfo is GetConnection's answer.
type connectionInfo struct {
	ConnectedAt  string   `json:"connectedAt"`
	Identity     identity `json:"identity"`
	LastActiveAt string   `json:"lastActiveAt"`
}

type identity struct {
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

func (g *Gateway) serveGet(w http.ResponseWriter, c *conn) {
	const iso8601 = "2006-01-02T15:04:05.000Z"
	w.Header().Set("Content-Type", "application/json")
	// An error here means that the caller went away.
	_ = json.NewEncoder(w).Encode(connectionInfo{
		ConnectedAt:  time.UnixMilli(c.session.connectedAt).UTC().Format(iso8601),
		Identity:     identity{c.session.sourceIP, c.session.userAgent},
		LastActiveAt: c.lastActiveAt().UTC().Format(iso8601),
	})
}

// fail answers with an error that AWS's SDKs know by its header.
func fail(w http.ResponseWriter, status int, name, message string) {
	w.Header().Set("X-Amzn-Errortype", name)
	refuse(w, status, message)
}

// gone is an answer without a body, as on AWS.
func gone(w http.ResponseWriter) {
	w.Header().Set("X-Amzn-Errortype", "GoneException")
	w.WriteHeader(http.StatusGone)
}

func tooLarge(w http.ResponseWriter, limit int) {
	fail(w, http.StatusRequestEntityTooLarge, "PayloadTooLargeException", fmt.Sprintf("data is longer than %d bytes", limit))
}
