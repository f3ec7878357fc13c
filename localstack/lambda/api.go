package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// APIPath begins the paths of the Lambda API that an API serves.
const APIPath = "/2015-03-31/functions"

// API serves the part of the Lambda API by which functions are invoked and looked at: Invoke,
// ListFunctions, GetFunction and GetFunctionConfiguration. Functions are made by the template alone.
// Source: Lambda API reference.
type API struct {
	options APIOptions
	byName  atomic.Pointer[map[string]deployed]
	mux     *http.ServeMux
	life    context.Context // of the asynchronous invocations
	end     context.CancelFunc
}

// APIOptions of an API.
type APIOptions struct {
	Invoker         Invoker
	Functions       []Function
	Region, Account string
	Log             *slog.Logger
}

// NewAPI makes an API. Close ends what it runs.
func NewAPI(o APIOptions) (*API, error) {
	a := &API{options: o, mux: http.NewServeMux()}
	a.life, a.end = context.WithCancel(context.Background())
	if err := a.SetFunctions(o.Functions); err != nil {
		return nil, err
	}
	a.mux.HandleFunc("POST "+APIPath+"/{name}/invocations", a.invoke)
	a.mux.HandleFunc("GET "+APIPath, a.list)
	a.mux.HandleFunc("GET "+APIPath+"/{$}", a.list)
	a.mux.HandleFunc("GET "+APIPath+"/{name}", a.get)
	a.mux.HandleFunc("GET "+APIPath+"/{name}/configuration", a.getConfiguration)
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuseAPI(w, http.StatusNotFound, "ResourceNotFoundException", fmt.Sprintf("the local Lambda does not serve %s %s: it serves Invoke, ListFunctions, GetFunction and GetFunctionConfiguration", r.Method, r.URL.Path), "")
	})
	return a, nil
}

// ServeHTTP serves the API.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amzn-Requestid", newRequestID())
	a.mux.ServeHTTP(w, r)
}

// Close gives up the asynchronous invocations that wait for another try. What runs is the invoker's to
// wait for, which is closed after it.
func (a *API) Close() { a.end() }

// SetFunctions replaces the functions that the API knows.
func (a *API) SetFunctions(functions []Function) error {
	byName := map[string]deployed{}
	for _, f := range functions {
		d, err := Options{Region: a.options.Region, Account: a.options.Account}.deploy(f)
		if err != nil {
			return err
		}
		byName[f.Name] = d
	}
	a.byName.Store(&byName)
	return nil
}

// find looks a function up by its name, its ARN or a part of that, each with a version or without:
// there is only $LATEST.
func (a *API) find(w http.ResponseWriter, r *http.Request) (deployed, bool) {
	name, qualifier := r.PathValue("name"), r.URL.Query().Get("Qualifier")
	if i := strings.LastIndex(name, "function:"); i >= 0 {
		name = name[i+len("function:"):]
	}
	if before, version, ok := strings.Cut(name, ":"); ok {
		name, qualifier = before, version
	}
	f, ok := (*a.byName.Load())[name]
	if ok && (qualifier == "" || qualifier == "$LATEST") {
		return f, true
	}
	arn := fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", a.options.Region, a.options.Account, name)
	if qualifier != "" {
		arn += ":" + qualifier
	}
	refuseAPI(w, http.StatusNotFound, "ResourceNotFoundException", "Function not found: "+arn, "")
	return deployed{}, false
}

// maxAsynchronous bounds the event of an asynchronous invocation, in bytes. Source: Lambda developer
// guide, "Lambda quotas".
const maxAsynchronous = 1 << 20

func (a *API) invoke(w http.ResponseWriter, r *http.Request) {
	f, ok := a.find(w, r)
	if !ok {
		return
	}
	most := MaxPayload
	kind := r.Header.Get("X-Amz-Invocation-Type")
	if kind == "Event" {
		most = maxAsynchronous
	}
	event, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(most)))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		refuseAPI(w, http.StatusRequestEntityTooLarge, "RequestTooLargeException", fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", most), "")
		return
	case err != nil:
		return // the client is gone
	case len(event) == 0:
		event = []byte("{}")
	case !json.Valid(event):
		refuseAPI(w, http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json", "")
		return
	}
	w.Header().Set("X-Amz-Executed-Version", "$LATEST")
	switch kind {
	case "", "RequestResponse":
	case "DryRun":
		w.WriteHeader(http.StatusNoContent)
		return
	case "Event":
		go a.asynchronously(f.Name, event) // until it is done with, or Close
		w.WriteHeader(http.StatusAccepted)
		return
	default:
		refuseAPI(w, http.StatusBadRequest, "InvalidParameterValueException", fmt.Sprintf("the invocation type must be RequestResponse, Event or DryRun, not %q", kind), "")
		return
	}
	result, err := a.options.Invoker.Invoke(r.Context(), f.Name, event)
	switch {
	case errors.Is(err, ErrThrottled):
		refuseAPI(w, http.StatusTooManyRequests, "TooManyRequestsException", "Rate Exceeded.", "ConcurrentInvocationLimitExceeded")
		return
	case err != nil:
		refuseAPI(w, http.StatusInternalServerError, "ServiceException", err.Error(), "")
		return
	}
	h := w.Header()
	h.Set("X-Amzn-Requestid", result.RequestID)
	if result.FunctionError != "" {
		h.Set("X-Amz-Function-Error", result.FunctionError)
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(result.Payload)))
	_, _ = w.Write(result.Payload) // the client is gone if this fails
}

// Retries of an asynchronous invocation: after errors of the function a minute and two minutes
// later, after throttling for six hours, at rising intervals.
// Source: Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation".
var errorPauses = []time.Duration{time.Minute, 2 * time.Minute}

const (
	firstThrottlePause = time.Second
	lastThrottlePause  = 5 * time.Minute
	maxEventAge        = 6 * time.Hour
)

// Enqueue invokes a function for a service that does not wait for it, such as EventBridge, with the
// retries of an asynchronous invocation. It returns at once.
func (a *API) Enqueue(function string, event []byte) { go a.asynchronously(function, event) }

func (a *API) asynchronously(function string, event []byte) {
	began, failures, throttlePause := time.Now(), 0, firstThrottlePause
	for {
		result, err := a.options.Invoker.Invoke(a.life, function, event)
		var pause time.Duration
		switch {
		case a.life.Err() != nil:
			return
		case err != nil:
			pause, throttlePause = throttlePause, min(2*throttlePause, lastThrottlePause)
		case result.FunctionError == "":
			return
		case failures < len(errorPauses):
			pause = errorPauses[failures]
			failures++
		}
		if pause == 0 || time.Since(began)+pause > maxEventAge {
			a.options.Log.Error("asynchronous event given up", "function", function, "error", err, "error_type", result.ErrorType, "error_message", result.ErrorMessage)
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-a.life.Done():
			timer.Stop()
			return
		}
	}
}

// configuration is what is told of a function.
// Source: Lambda API reference, FunctionConfiguration.
type configuration struct {
	FunctionName     string
	FunctionArn      string
	Runtime          string
	Role             string
	Handler          string
	Timeout          int
	MemorySize       int
	Version          string
	PackageType      string
	State            string
	LastUpdateStatus string
	Environment      struct{ Variables map[string]string }
}

func (a *API) configuration(f deployed) configuration {
	c := configuration{
		FunctionName: f.Name, FunctionArn: f.arn, Runtime: "provided.al2023", Handler: "bootstrap", Version: "$LATEST", PackageType: "Zip",
		Role:    fmt.Sprintf("arn:aws:iam::%s:role/%sRole", a.options.Account, f.Name),
		Timeout: int(f.Timeout / time.Second), MemorySize: f.MemoryMB, State: "Active", LastUpdateStatus: "Successful",
	}
	c.Environment.Variables = f.Env
	return c
}

func (a *API) list(w http.ResponseWriter, _ *http.Request) {
	all := make([]configuration, 0, len(*a.byName.Load()))
	for _, f := range *a.byName.Load() {
		all = append(all, a.configuration(f))
	}
	slices.SortFunc(all, func(a, b configuration) int { return strings.Compare(a.FunctionName, b.FunctionName) })
	answerAPI(w, http.StatusOK, map[string]any{"Functions": all})
}

func (a *API) get(w http.ResponseWriter, r *http.Request) {
	if f, ok := a.find(w, r); ok {
		answerAPI(w, http.StatusOK, map[string]any{"Configuration": a.configuration(f)})
	}
}

func (a *API) getConfiguration(w http.ResponseWriter, r *http.Request) {
	if f, ok := a.find(w, r); ok {
		answerAPI(w, http.StatusOK, a.configuration(f))
	}
}

func answerAPI(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone if this fails
}

// refuseAPI answers an error of the Lambda API; reason is that of throttling.
func refuseAPI(w http.ResponseWriter, status int, errorType, message, reason string) {
	w.Header().Set("X-Amzn-Errortype", errorType)
	body := map[string]string{"Type": "User", "Message": message, "message": message}
	if status >= 500 {
		body["Type"] = "Service"
	}
	if reason != "" {
		body["Reason"] = reason
	}
	answerAPI(w, status, body)
}
