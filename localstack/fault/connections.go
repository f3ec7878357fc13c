package fault

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// connectionErrors of the @connections API by their names. Source: SDK model apigatewaymanagementapi
// 2018-11-29; the last two are what any API of AWS may answer.
var connectionErrors = map[string]int{
	"GoneException":                http.StatusGone,
	"LimitExceededException":       http.StatusTooManyRequests,
	"ForbiddenException":           http.StatusForbidden,
	"InternalServerErrorException": http.StatusInternalServerError,
	"ServiceUnavailableException":  http.StatusServiceUnavailable,
}

const connectionsPath = "/@connections/"

// Connections stands before an API: what is for @connections may fail.
func (in *Injector) Connections(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r := in.run.Load()
		if r == nil {
			next.ServeHTTP(w, req)
			return
		}
		_, id, ok := strings.Cut(req.URL.Path, connectionsPath)
		if !ok {
			next.ServeHTTP(w, req)
			return
		}
		in.connections(r, id, w, req, next)
	})
}

func (in *Injector) connections(r *run, id string, w http.ResponseWriter, req *http.Request, next http.Handler) {
	call, ok := in.call(req.Context(), r)
	defer call.done()
	if !ok {
		abort(w)
		return
	}
	f := r.decide(event{point: connections, operation: req.Method, function: call.function, user: in.userOf(id)})
	if f == nil {
		next.ServeHTTP(w, req)
		return
	}
	if !r.wait(req.Context(), f.delay) {
		abort(w)
		return
	}
	switch {
	case f.act == kill && f.name == before:
		call.kill()
		abort(w)
		return
	case f.act == fail:
		refuse(w, f.name)
		return
	case f.act == drop && req.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
		return
	case f.act == drop && req.Method == http.MethodPost:
		w.WriteHeader(http.StatusOK)
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		abort(w) // the caller is gone
		return
	}
	answer := serve(next, req, body)
	if f.act == repeat {
		answer = serve(next, req, body)
	}
	if !r.wait(req.Context(), f.hold) {
		abort(w)
		return
	}
	switch {
	case f.act == kill:
		call.kill()
		abort(w)
	case f.act == lose && f.name == "":
		abort(w)
	case f.act == lose:
		refuse(w, f.name)
	default:
		answer.copyTo(w)
	}
}

func (in *Injector) userOf(connection string) string {
	if in.options.User == nil {
		return nobody
	}
	if unescaped, err := url.PathUnescape(connection); err == nil {
		connection = unescaped
	}
	if user := in.options.User(connection); user != "" {
		return user
	}
	return nobody
}

// refuse answers with an error that AWS's SDKs know by its header. A 410 has no body, as on AWS.
func refuse(w http.ResponseWriter, name string) {
	status := connectionErrors[name]
	w.Header().Set("X-Amzn-Errortype", name)
	if status == http.StatusGone {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"message":"`+http.StatusText(status)+`"}`) // the caller may be gone
}

// held is an answer that is not given yet.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *held) Header() http.Header         { return h.header }
func (h *held) WriteHeader(status int)      { h.status = status }
func (h *held) Write(p []byte) (int, error) { return h.body.Write(p) }

func serve(next http.Handler, req *http.Request, body []byte) *held {
	h := &held{header: http.Header{}, status: http.StatusOK}
	again := req.Clone(req.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	next.ServeHTTP(h, again)
	return h
}

func (h *held) copyTo(w http.ResponseWriter) {
	for name, values := range h.header {
		w.Header()[name] = values
	}
	w.WriteHeader(h.status)
	_, _ = w.Write(h.body.Bytes()) // the caller may be gone
}
