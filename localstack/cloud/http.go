package cloud

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/duet-chat/duet/localstack/bill"
	"github.com/duet-chat/duet/localstack/caller"
	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/fault"
	"github.com/duet-chat/duet/localstack/https"
	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/page"
)

// ServeHTTP is the one port. Who calls is known by the request's signature.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		https.ServeConnect(w, r, c.address)
		return
	}
	if ctx := caller.FromRequest(r); ctx != r.Context() {
		r = r.WithContext(ctx)
	}
	c.serve(w, r)
}

// serve finds the service that a request is for. Its context says who calls.
func (c *Cloud) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, "/_local/"):
		c.serveLocal(w, r)
	case c.api != nil && c.isStage(path):
		c.served.ServeHTTP(w, r)
	case strings.HasPrefix(path, lambda.APIPath):
		c.guard.Lambda(lambda.APIPath, c.invocations).ServeHTTP(w, r)
	case r.Method == http.MethodPost && (path == "/" || strings.HasPrefix(path, "/"+Account+"/")): // SDKs may post to a queue's URL
		c.serveTarget(w, r)
	case strings.Contains(path, "/.well-known/"), r.Method == http.MethodOptions && path == "/": // a browser's preflight

		c.pools.ServeHTTP(w, r)
	default:
		refuse(w, http.StatusNotFound, fmt.Sprintf("there is nothing at %s %s: the local cloud serves the WebSocket API at /%s, the AWS JSON APIs by POST to /, Lambda at "+lambda.APIPath+", and /_local/outputs, /_local/usage, /_local/health", r.Method, path, c.stage()))
	}
}

func (c *Cloud) stage() string {
	if c.stack.Load().API == nil {
		return ""
	}
	return c.stack.Load().API.Stage
}

func (c *Cloud) isStage(path string) bool {
	rest, ok := strings.CutPrefix(path, "/"+c.stage())
	return ok && (rest == "" || rest[0] == '/')
}

// serveTarget serves the AWS JSON protocols, whose operation is in a header.
func (c *Cloud) serveTarget(w http.ResponseWriter, r *http.Request) {
	target := r.Header.Get("X-Amz-Target")
	switch service, _, _ := strings.Cut(target, "."); service {
	case "DynamoDB_20120810", "DynamoDBStreams_20120810":
		dynamodb.Serve(w, r, c.tables)
	case "AWSCognitoIdentityProviderService":
		c.guard.Cognito(c.pools).ServeHTTP(w, r)
	case "AmazonSQS":
		c.guard.SQS(c.queues).ServeHTTP(w, r)
	case "AWSEvents":
		c.guard.Events(c.events).ServeHTTP(w, r)
	default:
		w.Header().Set("X-Amzn-ErrorType", "UnknownOperationException")
		refuse(w, http.StatusBadRequest, fmt.Sprintf("the local cloud serves no operation %q: it knows DynamoDB, DynamoDB Streams, SQS, EventBridge and Cognito user pools", target))
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{"message": message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the client is gone if this fails
}

// health is the answer of /_local/health.
type health struct {
	Status        string `json:"status"`
	StartupMS     int64  `json:"startup_ms"`
	ResidentBytes int64  `json:"resident_bytes"` // of this process; 0 where the system does not tell
	Goroutines    int    `json:"goroutines"`
}

// serveLocal serves what AWS does not have: for scripts, tests and curious people.
func (c *Cloud) serveLocal(w http.ResponseWriter, r *http.Request) {
	if profile, ok := strings.CutPrefix(r.URL.Path, "/_local/pprof/"); ok {
		serveProfile(w, r, profile)
		return
	}
	if strings.HasPrefix(r.URL.Path, fault.Path) {
		c.faults.ServeHTTP(w, r)
		return
	}
	switch r.URL.Path {
	case "/_local/outputs":
		writeJSON(w, http.StatusOK, c.Outputs())
	case "/_local/":
		page.ServeHTTP(w, r)
	case "/_local/bill":
		prices, err := bill.Current()
		if err != nil {
			refuse(w, http.StatusInternalServerError, err.Error())
			return
		}
		writeJSON(w, http.StatusOK, prices.Of(c.meter.Usage()))
	case "/_local/usage":
		c.meter.ServeUsage(w, r)
	case "/_local/usage/series":
		c.meter.ServeSeries(w, r)
	case "/_local/rights":
		writeJSON(w, http.StatusOK, c.guard.Rights())
	case "/_local/queues":
		messages, err := c.queues.Messages()
		if err != nil {
			refuse(w, http.StatusInternalServerError, err.Error())
			return
		}
		writeJSON(w, http.StatusOK, messages)
	case "/_local/events":
		writeJSON(w, http.StatusOK, c.events.Kept())
	case "/_local/health":
		writeJSON(w, http.StatusOK, health{
			Status: "ready", StartupMS: c.ready.Milliseconds(), ResidentBytes: Resident(), Goroutines: runtime.NumGoroutine(),
		})
	default:
		refuse(w, http.StatusNotFound, "the local cloud has the page /_local/, /_local/outputs, /_local/usage, /_local/usage/series, /_local/bill, /_local/rights, /_local/queues, /_local/events, /_local/faults, /_local/health and /_local/pprof/")
	}
}

// serveProfile serves the process's profiles: go tool pprof URL/_local/pprof/profile
func serveProfile(w http.ResponseWriter, r *http.Request, name string) {
	switch name {
	case "profile":
		pprof.Profile(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		pprof.Handler(name).ServeHTTP(w, r)
	}
}

// Resident is the memory that this process holds, in bytes, 0 where the system does not tell.
// Source: proc(5), /proc/pid/statm.
func Resident() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
