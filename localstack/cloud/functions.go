package cloud

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/smithy-go/middleware"

	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/account"
	"github.com/duet-chat/duet/internal/handler/acknowledge"
	"github.com/duet-chat/duet/internal/handler/authorize"
	"github.com/duet-chat/duet/internal/handler/block"
	"github.com/duet-chat/duet/internal/handler/connect"
	"github.com/duet-chat/duet/internal/handler/deliver"
	"github.com/duet-chat/duet/internal/handler/disconnect"
	"github.com/duet-chat/duet/internal/handler/fallback"
	"github.com/duet-chat/duet/internal/handler/history"
	"github.com/duet-chat/duet/internal/handler/ping"
	"github.com/duet-chat/duet/internal/handler/presence"
	"github.com/duet-chat/duet/internal/handler/register"
	"github.com/duet-chat/duet/internal/handler/send"
	"github.com/duet-chat/duet/internal/handler/sync"
	"github.com/duet-chat/duet/internal/handler/typing"
	"github.com/duet-chat/duet/internal/handler/watch"
	"github.com/duet-chat/duet/localstack/caller"
	"github.com/duet-chat/duet/localstack/dynamodb"
)

// registry holds the product's functions by their folders. This file is the only one of the
// local cloud that knows the product.
var registry = map[string]function.Constructor{
	"functions/account":     account.New,
	"functions/acknowledge": acknowledge.New,
	"functions/authorize":   authorize.New,
	"functions/block":       block.New,
	"functions/connect":     connect.New,
	"functions/deliver":     deliver.New,
	"functions/disconnect":  disconnect.New,
	"functions/fallback":    fallback.New,
	"functions/history":     history.New,
	"functions/ping":        ping.New,
	"functions/presence":    presence.New,
	"functions/register":    register.New,
	"functions/send":        send.New,
	"functions/sync":        sync.New,
	"functions/typing":      typing.New,
	"functions/watch":       watch.New,
}

// lighten leaves out the SDK's steps that only matter to a service on the other side of a
// network: a sixth of a call's processor time. Retries, validation and errors stay.
func lighten(stack *middleware.Stack) error {
	for _, id := range []string{"ClientRequestID", "UserAgent", "RecursionDetection"} {
		_, _ = stack.Build.Remove(id) // an operation without the step is as light
	}
	for _, id := range []string{"ComputePayloadHash", "DisableAcceptEncodingGzip"} {
		_, _ = stack.Finalize.Remove(id)
	}
	for _, id := range []string{"RecordResponseTiming", "RequestResponseLogger"} {
		_, _ = stack.Deserialize.Remove(id)
	}
	return nil
}

// inProcessServices answers the requests of a function that runs in this process by calling the
// services directly: no socket, no connection pool.
type inProcessServices struct {
	cloud    *Cloud
	host     string
	function string // who calls
}

// Do implements aws.HTTPClient.
func (s *inProcessServices) Do(r *http.Request) (*http.Response, error) { return s.RoundTrip(r) }

// RoundTrip implements http.RoundTripper. Other hosts than this process are asked over the network.
func (s *inProcessServices) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != s.host && !s.cloud.standsFor(r.URL.Host) {
		return http.DefaultTransport.RoundTrip(r)
	}
	if target := r.Header.Get("X-Amz-Target"); strings.HasPrefix(target, "DynamoDB") {
		body, err := readBody(r)
		if err != nil {
			return nil, err
		}
		status, response := s.cloud.tables.Do(caller.With(r.Context(), s.function), target, body)
		if status == dynamodb.NoAnswer {
			return nil, errNoAnswer
		}
		return &http.Response{
			StatusCode: status, ProtoMajor: 1, ProtoMinor: 1,
			Header:        http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
			Body:          io.NopCloser(bytes.NewReader(response)),
			ContentLength: int64(len(response)), Request: r,
		}, nil
	}
	w := &response{header: http.Header{}, status: http.StatusOK}
	s.cloud.serve(w, r.WithContext(caller.With(r.Context(), s.function)))
	if w.aborted {
		return nil, errNoAnswer
	}
	return &http.Response{
		StatusCode: w.status, Status: strconv.Itoa(w.status), ProtoMajor: 1, ProtoMinor: 1, Header: w.header,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	defer r.Body.Close()
	if r.ContentLength > 0 {
		body := make([]byte, r.ContentLength)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	return io.ReadAll(r.Body)
}

// errNoAnswer is what a function sees when the answer to its request is lost.
var errNoAnswer = errors.New("connection reset before there was an answer")

// response is a ResponseWriter in memory.
type response struct {
	header  http.Header
	status  int
	body    bytes.Buffer
	aborted bool
}

// Abort ends the request without an answer, as a panic with http.ErrAbortHandler does on a server.
func (w *response) Abort() { w.aborted = true }

func (w *response) Header() http.Header         { return w.header }
func (w *response) WriteHeader(status int)      { w.status = status }
func (w *response) Write(p []byte) (int, error) { return w.body.Write(p) }
