// Package cloud is the whole local cloud as one value: it reads a template and runs what stands
// there, on one port, in one process.
package cloud

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/duet-chat/duet/localstack/cognito"
	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/events"
	"github.com/duet-chat/duet/localstack/fault"
	"github.com/duet-chat/duet/localstack/gateway"
	"github.com/duet-chat/duet/localstack/https"
	"github.com/duet-chat/duet/localstack/iam"
	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/meter"
	"github.com/duet-chat/duet/localstack/sqs"
	"github.com/duet-chat/duet/localstack/storage"
	"github.com/duet-chat/duet/localstack/template"
)

// What the local cloud calls itself.
const (
	Region  = "us-east-1"
	Account = "000000000000"
	// DefaultStack is the name of a stack that is given none.
	DefaultStack = "duet"
)

// Modes of running functions.
const (
	InProcess = "inprocess" // in this process: fast, one debugger
	Process   = "process"   // as the binaries that SAM would deploy
)

// Config of a local cloud. Only Template is required.
type Config struct {
	Template string // file
	// Host is the address to listen on, 127.0.0.1 if it is empty. Nothing here asks who calls:
	// whoever reaches another address can do everything.
	Host string
	Port int    // 0 picks a free one
	Dir  string // where data is kept; "" keeps it in memory
	// Stack is the stack's name, of which names of tables and queues are made; "" for "duet".
	Stack string
	// DynamoDB is the URL of a DynamoDB that has the tables; "" for the embedded one.
	DynamoDB string
	// Cognito is the URL of user pools; "" for the embedded ones. CognitoIDs are the ids that pools and
	// clients have there, by their names in the template: those that have none are found by name, or made.
	Cognito    string
	CognitoIDs map[string]string
	// Functions is InProcess, the default, or Process.
	Functions  string
	Parameters map[string]string // of the template, over its defaults
	Suggested  map[string]string // the same, but only of those that the template has
	// PasswordCost is bcrypt's; 0 is its default.
	PasswordCost int
	// Limits of the gateway; zero values are AWS's.
	Limits gateway.Limits
	// StreamDelay is how often event source mappings ask for records: 0 hands them over at once,
	// streams.AWSPoll is AWS's.
	StreamDelay time.Duration
	Faults      Faults
	Log         *slog.Logger // nil is silence
	// Tell gets a line when a start takes long; may be nil.
	Tell func(line string)
}

// Cloud is a local cloud that runs.
type Cloud struct {
	url         string
	address     string // on which it listens
	authority   *https.Authority
	config      Config
	stack       atomic.Pointer[template.Stack]
	meter       *meter.Meter
	log         *slog.Logger
	ready       time.Duration
	store       *storage.Store
	engine      engine
	guard       *iam.Guard
	faults      *fault.Injector
	tables      dynamodb.Doer  // what requests for DynamoDB go to: engine, or what stands before it
	invoker     lambda.Invoker // what invocations go to: functions, or what stands before them
	pools       userPools
	identities  template.UserPools // of pools elsewhere
	api         *gateway.Gateway   // nil without an API
	served      http.Handler       // what requests for api go to: api, or what stands before it
	server      *http.Server
	queues      *sqs.Service
	events      *events.Service
	invocations *lambda.API // of functions, by the Lambda API

	fleet      *fleet
	functions  *lambda.Switch
	background context.Context // of the mappings, the sweep and the watch
	stop       context.CancelFunc
	running    sync.WaitGroup

	deploying sync.Mutex       // guards what follows, and makes one step of deploying
	current   runningFunctions // functions
	mappings  map[string]*runningMapping
	saved     *dynamodb.Backup // nil for none
}

// seriesSeconds is how many seconds of activity the page can show from before it was opened: some 80 KB.
const seriesSeconds = 300

// stackName is what a stack may be called. Source: CloudFormation API reference, CreateStack, StackName.
var stackName = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)

// closeTimeout bounds what Close waits for: Ctrl-C ends everything within a second.
const closeTimeout = 900 * time.Millisecond

// afterGateway is what of that is left to the parts that close after the gateway.
const afterGateway = 100 * time.Millisecond

// Start starts a local cloud; when it returns, everything answers.
func Start(ctx context.Context, o Config) (_ *Cloud, err error) {
	began := time.Now()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Stack = cmp.Or(o.Stack, DefaultStack); !stackName.MatchString(o.Stack) {
		return nil, fmt.Errorf("%q is no name of a stack: it begins with a letter and has letters, digits and hyphens, 128 at most", o.Stack)
	}
	listener, err := listen(o.Host, o.Port)
	if err != nil {
		return nil, err
	}
	address := listener.Addr().(*net.TCPAddr)
	host := reachable(address)
	c := &Cloud{url: "http://" + host, address: address.String(), authority: &https.Authority{}, config: o, meter: meter.NewWithSeries(seriesSeconds), log: o.Log}
	c.background, c.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			_ = listener.Close()
			c.closeParts(ctx)
		}
	}()
	if c.store, err = storage.Open(o.Dir); err != nil {
		return nil, err
	}
	if c.engine, err = c.openEngine(ctx); err != nil {
		return nil, err
	}
	if err := c.openUserPools(ctx); err != nil {
		return nil, err
	}
	read, planned, err := c.load()
	if err != nil {
		return nil, err
	}
	if read, planned, err = c.provide(read, planned); err != nil {
		return nil, err
	}
	c.stack.Store(read)
	plan, err := c.newFaults(o.Faults, planned.Names())
	if err != nil {
		return nil, err
	}
	c.guard = iam.New(iam.Options{Region: Region, Account: Account, Now: time.Now, Log: o.Log})
	c.guard.Set(read.Policies)
	c.tables = c.guard.DynamoDB(c.faults.DynamoDB(c.engine))
	c.queues, err = sqs.New(sqs.Options{
		Store: c.store, BaseURL: c.url, Region: Region, Account: Account, Now: time.Now, Meter: c.meter,
	}, read.Queues...)
	if err != nil {
		return nil, err
	}
	if c.fleet, err = c.newFleet(o, host); err != nil {
		return nil, err
	}
	if c.current, err = c.fleet.start(ctx, read.Functions, runningFunctions{}, nil); err != nil {
		return nil, err
	}
	// Nothing is made before it is known that all can be.
	if err := planned.Apply(); err != nil {
		return nil, err
	}
	c.functions = lambda.NewSwitch()
	c.functions.Set(c.current.runners)
	c.invoker = c.faults.Invoker(c.functions)
	c.invocations, err = lambda.NewAPI(lambda.APIOptions{
		Invoker: c.invoker, Functions: read.Functions, Region: Region, Account: Account, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	c.events, err = events.New(events.Options{
		Region: Region, Account: Account, Now: time.Now, Log: o.Log, Meter: c.meter,
		Send:   c.queues.Send,
		Invoke: func(arn string, event []byte) { c.invocations.Enqueue(arn[strings.LastIndexByte(arn, ':')+1:], event) },
	}, read.EventBuses, read.EventRules)
	if err != nil {
		return nil, err
	}
	if c.pools == nil {
		c.pools, err = cognito.New(cognito.Options{
			Pools: read.Pools, Store: c.store, Invoker: c.invoker, BaseURL: c.url, Region: Region, Account: Account,
			Now: time.Now, Log: o.Log, PasswordCost: o.PasswordCost,
		})
		if err != nil {
			return nil, err
		}
	}
	if read.API != nil {
		c.api, err = gateway.New(*read.API, gateway.Options{
			Invoker: c.invoker, Region: Region, Account: Account, Meter: c.meter, Log: o.Log, Limits: o.Limits, Faults: c.faults,
		})
		if err != nil {
			return nil, err
		}
		c.served = c.guard.Connections(read.API.ID, c.faults.Connections(c.api))
	}
	c.faults.Set(plan)
	if err := c.setMappings(read.Mappings); err != nil {
		return nil, err
	}
	c.running.Go(func() { c.engine.run(c.background) })
	c.server = &http.Server{
		Handler:           c,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}
	c.ready = time.Since(began)
	c.running.Go(func() { _ = c.server.Serve(https.Listen(listener, c.authority)) }) // ends with http.ErrServerClosed
	return c, nil
}

func listen(host string, port int) (net.Listener, error) {
	if host == "" {
		host = "127.0.0.1"
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("port %d is in use: stop what runs there (another local cloud?), or choose another with --port", port)
	}
	if err != nil {
		return nil, fmt.Errorf("port %d of %s cannot be opened, choose others with --port and --host: %w", port, host, err)
	}
	return listener, nil
}

// reachable is how programs on this machine name an address. What localhost stands for is called
// so, whether asked for or not: tokens and URLs do not depend on it.
func reachable(a *net.TCPAddr) string {
	host := a.IP.String()
	if a.IP.IsUnspecified() || host == "127.0.0.1" || host == "::1" {
		host = "localhost"
	}
	return net.JoinHostPort(host, strconv.Itoa(a.Port))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// URL is where everything answers, as in http://localhost:4566.
func (c *Cloud) URL() string { return c.url }

// Outputs are the stack's outputs, named as in the template.
func (c *Cloud) Outputs() map[string]string { return c.stack.Load().Outputs }

// WebSocketURL is where clients connect, as in ws://localhost:4566/prod; "" without an API.
func (c *Cloud) WebSocketURL() string {
	api := c.stack.Load().API
	if api == nil {
		return ""
	}
	return "ws" + strings.TrimPrefix(c.url, "http") + "/" + api.Stage
}

// Notes are what is run differently than it stands in the template, a line each.
func (c *Cloud) Notes() []string {
	c.deploying.Lock()
	defer c.deploying.Unlock()
	notes := slices.Clone(c.stack.Load().Warnings)
	if note := c.fleet.note(c.current); note != "" {
		notes = append(notes, note)
	}
	return notes
}

// Meter counts what the stack uses.
func (c *Cloud) Meter() *meter.Meter { return c.meter }

// Faults lets things fail.
func (c *Cloud) Faults() *fault.Injector { return c.faults }

// StartupTime is how long Start took.
func (c *Cloud) StartupTime() time.Duration { return c.ready }

// Close ends everything within a second. What was acknowledged stays, in memory of course not.
func (c *Cloud) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return c.Shutdown(ctx)
}

// Shutdown is a Close that waits for what runs until ctx ends.
func (c *Cloud) Shutdown(ctx context.Context) error { return c.closeParts(ctx) }

func (c *Cloud) closeGateway(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, deadline.Add(-afterGateway))
		defer stop()
	}
	return c.api.Shutdown(ctx)
}

// closeParts closes what has been started, in reverse order.
func (c *Cloud) closeParts(ctx context.Context) error {
	var errs []error
	if c.faults != nil {
		c.faults.Clear() // nothing is to wait any more
	}
	if c.api != nil {
		errs = append(errs, c.closeGateway(ctx))
	}
	if c.server != nil {
		errs = append(errs, c.server.Close())
	}
	c.stop()
	c.running.Wait()
	if c.invocations != nil {
		c.invocations.Close()
	}
	if c.functions != nil {
		errs = append(errs, c.functions.Close(ctx))
	}
	if c.pools != nil {
		errs = append(errs, c.pools.Close())
	}
	if c.engine != nil {
		errs = append(errs, c.engine.Close())
	}
	if c.store != nil {
		errs = append(errs, c.store.Close())
	}
	return errors.Join(errs...)
}
