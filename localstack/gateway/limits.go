package gateway

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/duet-chat/duet/localstack/meter"
)

// Limits are API Gateway's and Lambda's quotas; a zero field is AWS's value.
// Source: "Amazon API Gateway quotas and important notes", WebSocket tables.
type Limits struct {
	// FrameBytes is the largest payload of one frame from a client (32 KB).
	FrameBytes int
	// MessageBytes is the largest message, either way, its frames together (128 KB).
	MessageBytes int
	// SendBufferBytes is how much must wait for a slow reader for a post to be
	// answered 429; one message more than this can wait, therefore. AWS does not
	// publish its value; the default is 128 KB.
	SendBufferBytes int
	// Idle closes a connection without messages either way (10 minutes).
	Idle time.Duration
	// Duration closes a connection however busy it is (2 hours).
	Duration time.Duration
	// IntegrationTimeout bounds every invocation (29 s).
	IntegrationTimeout time.Duration
	// WriteTimeout drops a connection whose client does not take in what is
	// written to it, after this time or half of it (20 s; not AWS's).
	WriteTimeout time.Duration
	// CloseTimeout is how long a closed connection's client may take to hang up
	// (0.5 s; not AWS's). It must be shorter than what Shutdown waits.
	CloseTimeout time.Duration
	// Concurrency is the number of invocations that may run at once (1,000, as on Lambda).
	Concurrency int
	// Requests is how many messages, handshakes and calls of @connections together an
	// account may make a second (10,000), RequestBurst how many at once (5,000).
	Requests, RequestBurst int
	// NewConnections is how many handshakes an account may make a second (500). AWS
	// does not say how many at once; here it is as many.
	NewConnections int
	// NoThrottling takes the three above away, and the routes' own: no AWS account is
	// like that, but load tests measure something else otherwise.
	NoThrottling bool
}

const (
	kilobyte = 1 << 10
	// meteringStep is what counts as one message on the bill: each started 32 KB.
	meteringStep = 32 * kilobyte
	// maxURL is API Gateway's limit on the length of the handshake's URL.
	maxURL = 4096
	// maxAuthorizerResult bounds what an authorizer may answer.
	maxAuthorizerResult = 8 * kilobyte
)

func (l Limits) orAWS() Limits {
	orDefault(&l.FrameBytes, 32*kilobyte)
	orDefault(&l.MessageBytes, 128*kilobyte)
	orDefault(&l.SendBufferBytes, 128*kilobyte)
	orDefault(&l.Idle, 10*time.Minute)
	orDefault(&l.Duration, 2*time.Hour)
	orDefault(&l.IntegrationTimeout, 29*time.Second)
	orDefault(&l.WriteTimeout, 20*time.Second)
	orDefault(&l.CloseTimeout, 500*time.Millisecond)
	orDefault(&l.Concurrency, 1000)
	orDefault(&l.Requests, 10_000)
	orDefault(&l.RequestBurst, 5_000)
	orDefault(&l.NewConnections, 500)
	return l
}

func orDefault[N int | time.Duration](n *N, otherwise N) {
	if *n <= 0 {
		*n = otherwise
	}
}

const meterService = "apigateway"

// meters are the counters of one API, fetched once.
type meters struct {
	messagesIn, repliesOut, postsOut   *meter.Counter
	connects, disconnects, connections *meter.Counter
	handshakes, throttled              *meter.Counter
}

func newMeters(m *meter.Meter, api string) meters {
	of := func(metric string) *meter.Counter { return m.Counter(meterService, api, metric) }
	return meters{
		messagesIn: of("messages_in"), repliesOut: of("replies_out"), postsOut: of("posts_out"),
		connects: of("connects"), disconnects: of("disconnects"), connections: m.Gauge(meterService, api, "connections"),
		handshakes: of("handshakes"), throttled: of("throttled"),
	}
}

// metered is the number of messages that a payload of n bytes is billed as.
func metered(n int) int64 { return int64(max(1, (n+meteringStep-1)/meteringStep)) }

// idLength is that of AWS's ids: 11 bytes in base64, so one = at the end.
const idLength = 16

// randomID makes an id that looks like AWS's and cannot be guessed.
func randomID() string {
	var raw [11]byte
	// crypto/rand never fails: it ends the process instead.
	_, _ = rand.Read(raw[:])
	var id [idLength]byte
	base64.URLEncoding.Encode(id[:], raw[:])
	return string(id[:])
}

// wellFormedID tells a connection id that never was one from one that is gone.
func wellFormedID(id string) bool {
	_, err := base64.URLEncoding.DecodeString(id)
	return err == nil && len(id) == idLength
}

// traceID makes the value of X-Amzn-Trace-Id, in X-Ray's form.
func traceID(now time.Time) string {
	var raw [12]byte
	_, _ = rand.Read(raw[:])
	return fmt.Sprintf("Root=1-%08x-%x", uint32(now.Unix()), raw)
}
