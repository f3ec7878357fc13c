package lambda

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/lambda/messages"
)

// runtimeAPI serves the Lambda Runtime API to one environment.
// Source: Lambda developer guide, "Using the Lambda runtime API for custom runtimes"; refusals as
// of the Lambda runtime interface emulator.
func (e *environment) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", e.serveNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", e.serveResponse)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", e.serveError)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", e.serveInitError)
	return mux
}

// serveNext waits for a task; asking also says that the one before is over with.
func (e *environment) serveNext(w http.ResponseWriter, r *http.Request) {
	f := e.fleet
	if !f.next(e) {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the invocation before has no response yet")
		return
	}
	var t *task
	select {
	case t = <-e.work:
	case <-r.Context().Done():
		if f.hangUp(e) {
			return
		}
		t = <-e.work
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(t.event)))
	h.Set("Lambda-Runtime-Aws-Request-Id", t.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(t.start.Add(f.Timeout).UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", f.arn)
	h.Set("Lambda-Runtime-Trace-Id", traceID(t))
	// When the process is gone in the meantime its end is what tells.
	_, _ = w.Write(t.event)
}

// traceID makes an X-Ray trace header, of a request id if there is no trace; nothing is sampled.
func traceID(t *task) string {
	hex := strings.ReplaceAll(t.id, "-", "")
	if t.trace != "" {
		return fmt.Sprintf("Root=%s;Parent=%s;Sampled=0", t.trace, hex[16:])
	}
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", t.start.Unix(), hex[:24], hex[16:])
}

func (e *environment) serveResponse(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxResponse))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		e.fleet.answer(e, r.PathValue("id"), responseTooLarge())
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", MaxResponse))
		return
	case err != nil:
		return // the process is gone: its end is what tells
	}
	result := Result{Payload: body}
	if r.Trailer.Get("Lambda-Runtime-Function-Error-Type") != "" {
		// The function failed while its response was on the way.
		if report, err := base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body")); err == nil {
			result = reported(report)
		}
	}
	e.accept(w, r, result)
}

func (e *environment) serveError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxResponse))
	if err != nil {
		return
	}
	e.accept(w, r, reported(body))
}

func (e *environment) accept(w http.ResponseWriter, r *http.Request, result Result) {
	if !e.fleet.answer(e, r.PathValue("id"), result) {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	}
	accepted(w)
}

// serveInitError takes what the process says of its failed initialization; its end follows.
func (e *environment) serveInitError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxResponse))
	if err != nil {
		return
	}
	f := e.fleet
	f.mu.Lock()
	inTurn := e.state == starting
	if inTurn {
		e.initFailure = reported(body)
	}
	f.mu.Unlock()
	if !inTurn {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the initialization is over")
		return
	}
	accepted(w)
}

// reported is the result of a function that reported an error. Its report is the payload as it
// stands.
func reported(body []byte) Result {
	var report messages.InvokeResponse_Error
	if err := json.Unmarshal(body, &report); err != nil || report.Type == "" && report.Message == "" {
		return failedPlatform("Runtime.UnknownError", "the function reported an error without type and message")
	}
	return Result{Payload: body, FunctionError: "Unhandled", ErrorType: report.Type, ErrorMessage: report.Message}
}

func accepted(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`+"\n") // the process may be gone
}

func refuse(w http.ResponseWriter, status int, errorType, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Plain strings always encode, and the process may be gone.
	_ = json.NewEncoder(w).Encode(messages.InvokeResponse_Error{Type: errorType, Message: message})
}
