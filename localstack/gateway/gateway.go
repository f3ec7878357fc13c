package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/time/rate"

	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/meter"
)

// Route keys with a meaning of their own.
const (
	connectRoute    = "$connect"
	disconnectRoute = "$disconnect"
	defaultRoute    = "$default"
)

// API describes one WebSocket API with its only stage.
type API struct {
	// ID is the API's id, as in ARNs and events.
	ID string
	// Name is the resource under which the API is metered.
	Name string
	// Stage is the first element of the URL's path.
	Stage string
	// RouteSelectionExpression is made of $request.body.path or
	// ${request.body.path} variables and literal text.
	RouteSelectionExpression string
	// Routes by route key, $connect, $disconnect and $default among them. All are optional.
	Routes map[string]Route
	// Authorizer guards $connect; nil lets everybody connect.
	Authorizer *Authorizer
}

// Route is a Lambda proxy integration.
type Route struct {
	// Function is the name by which the Invoker knows the function.
	Function string
	// Denied says why the API may not invoke the function, so that it fails as on AWS; "" if it may.
	Denied string
	// Timeout is the integration timeout; zero, or more than the limit, is the limit.
	Timeout time.Duration
	// Reply says that the route has a RouteResponse, so that the body of the
	// function's response is sent to the client.
	Reply bool
	// Throttle is how often the route may be used.
	Throttle Throttle
}

// Authorizer is a Lambda authorizer of type REQUEST.
type Authorizer struct {
	Function string
	Denied   string // as a Route's
	// IdentitySources must all be present, or the function is not even asked:
	// route.request.header.NAME or route.request.querystring.NAME.
	IdentitySources []string
}

// Options is what a Gateway needs from its surroundings. Only Invoker is required.
type Options struct {
	Invoker lambda.Invoker
	// Region and Account stand in the method ARN that policies are matched
	// with; the defaults are us-east-1 and 000000000000.
	Region, Account string
	// Now is the clock of events and of throttling; timeouts run on the process's clock. Default time.Now.
	Now func() time.Time
	// NewID makes connection, request and message ids; each call must give another
	// one. Default: random, in the shape of AWS's.
	NewID func() string
	// Meter counts messages, connects and connections; nil counts nothing.
	Meter *meter.Meter
	// Log gets one debug line per invocation and a warning per failed one; nil is silence.
	Log *slog.Logger
	// Limits overrides AWS's quotas.
	Limits Limits
	// Faults says what is lost; nil loses nothing.
	Faults Faults
}

// Gateway serves one API. Its methods may be called concurrently.
type Gateway struct {
	api       API // its id, name and stage: what else it has is in deployed
	deployed  atomic.Pointer[deployment]
	methodARN string
	invoker   lambda.Invoker
	now       func() time.Time
	newID     func() string
	log       *slog.Logger
	limits    Limits
	faults    Faults
	meters    meters
	epoch     time.Time     // where the monotonic instants of connections start
	slots     chan struct{} // one per running invocation

	requests       *rate.Limiter // the account's; nil without throttling, like the next one
	newConnections *rate.Limiter

	// functions is the context of every invocation: they outlive the request or
	// message that caused them, but not the gateway.
	functions context.Context
	cancel    context.CancelFunc

	mu          sync.RWMutex     // guards connections, closed and opened
	connections map[string]*conn // accepted ones only
	closed      bool
	opened      openTime
	running     sync.WaitGroup // readers, invocations, handshakes; added to under mu unless one of them is running
}

// New makes a gateway, or says what is wrong with the API's description.
func New(api API, opts Options) (*Gateway, error) {
	if opts.Invoker == nil {
		return nil, errors.New("gateway needs an invoker")
	}
	if api.ID == "" || api.Stage == "" || strings.Contains(api.Stage, "/") {
		return nil, fmt.Errorf("api %q: id %q and stage %q must be set, the stage without a slash", api.Name, api.ID, api.Stage)
	}
	g := &Gateway{
		api: api, invoker: opts.Invoker,
		now: opts.Now, newID: opts.NewID, log: opts.Log,
		limits:      opts.Limits.orAWS(),
		faults:      opts.Faults,
		meters:      newMeters(opts.Meter, api.Name),
		epoch:       time.Now(),
		connections: map[string]*conn{},
	}
	d, err := g.newDeployment(api)
	if err != nil {
		return nil, err
	}
	g.deployed.Store(d)
	if g.now == nil {
		g.now = time.Now
	}
	if g.newID == nil {
		g.newID = randomID
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if g.faults == nil {
		g.faults = noFaults{}
	}
	region, account := opts.Region, opts.Account
	if region == "" {
		region = "us-east-1"
	}
	if account == "" {
		account = "000000000000"
	}
	g.methodARN = "arn:aws:execute-api:" + region + ":" + account + ":" + api.ID + "/" + api.Stage + "/" + connectRoute
	g.slots = make(chan struct{}, g.limits.Concurrency)
	if !g.limits.NoThrottling {
		g.requests = newBucket(float64(g.limits.Requests), g.limits.RequestBurst)
		g.newConnections = newBucket(float64(g.limits.NewConnections), g.limits.NewConnections)
	}
	opts.Meter.Func(meterService, api.Name, "connection_seconds", g.connectionSeconds)
	g.functions, g.cancel = context.WithCancel(context.Background())
	return g, nil
}

// ServeHTTP answers the handshake, GET /STAGE, and the @connections API,
// /STAGE/@connections/ID. It takes over the request's network connection when
// the handshake succeeds.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	stage, rest, nested := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if id, ok := strings.CutPrefix(rest, "@connections/"); ok {
		g.serveManagement(w, r, stage, id)
		return
	}
	if stage != g.api.Stage || nested && rest != "" {
		// What AWS answers for any stage that does not exist.
		refuse(w, http.StatusForbidden, "Forbidden")
		return
	}
	g.serveHandshake(w, r)
}

// Shutdown refuses new connections, closes the open ones with 1001, runs
// $disconnect for each and waits for what is running. It gives up when ctx ends:
// then running functions are cancelled, sockets dropped, and the error says so.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.mu.Lock()
	g.closed = true
	open := make([]*conn, 0, len(g.connections))
	for _, c := range g.connections {
		open = append(open, c)
	}
	g.mu.Unlock()

	for _, c := range open {
		c.shut(closeWith(ws.StatusGoingAway, reasonGoingAway))
	}
	done := make(chan struct{})
	go func() {
		g.running.Wait()
		close(done)
	}()
	defer g.cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		for _, c := range open {
			c.drop()
		}
		return fmt.Errorf("gateway shut down before all functions and clients were done: %w", ctx.Err())
	}
}

// begin counts a handshake as running, unless the gateway is shut down.
func (g *Gateway) begin() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if !g.closed {
		g.running.Add(1)
	}
	return !g.closed
}

// lookup finds an accepted, open connection.
func (g *Gateway) lookup(id string) *conn {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.connections[id]
}

// refuse answers with API Gateway's JSON body.
func refuse(w http.ResponseWriter, status int, message string) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error here means that the client went away.
	_, _ = w.Write(append(appendString([]byte(`{"message":`), []byte(message)), '}'))
}
