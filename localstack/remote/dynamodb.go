package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/duet-chat/duet/localstack/caller"
	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/meter"
)

// Prefixes of X-Amz-Target.
const (
	itemTarget   = "DynamoDB_20120810."
	streamTarget = "DynamoDBStreams_20120810."
)

// DynamoDBOptions are what a remote DynamoDB needs. Only URL is required.
type DynamoDBOptions struct {
	URL string
	// Poll is how often each shard of a stream is asked for records; 0 is streams.AWSPoll.
	Poll  time.Duration
	Meter *meter.Meter
	Log   *slog.Logger
}

// DynamoDB is a DynamoDB elsewhere. It is safe for concurrent use.
type DynamoDB struct {
	items, streams *endpoint
	poll           time.Duration
	meter          *meter.Meter
	log            *slog.Logger
	down           atomic.Bool // it did not answer the last request
}

// OpenDynamoDB finds out whether a DynamoDB answers at the URL.
func OpenDynamoDB(ctx context.Context, o DynamoDBOptions) (*DynamoDB, error) {
	items, err := newEndpoint(ctx, o.URL, "dynamodb", "application/x-amz-json-1.0", time.Now)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Poll == 0 {
		o.Poll = defaultPoll
	}
	d := &DynamoDB{items: items, streams: items, poll: o.Poll, meter: o.Meter, log: o.Log}
	// AWS has streams at a host of their own. Source: AWS General Reference, "Amazon DynamoDB endpoints and quotas".
	if u, err := url.Parse(items.url); err == nil && regionOf(u.Hostname(), "dynamodb") != "" {
		d.streams = items.to("streams." + u.Host)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var listed struct{ TableNames *[]string }
	err = items.call(ctx, itemTarget+"ListTables", map[string]int{"Limit": 1}, &listed)
	var f *foreignError
	switch {
	case errors.As(err, &f):
		return nil, fmt.Errorf("there is no DynamoDB: %w", err)
	case isRefusal(err, "AccessDeniedException"): // it is one, and what is needed may be allowed
	case isRefusal(err, "UnknownOperationException"), err == nil && listed.TableNames == nil:
		return nil, fmt.Errorf("there is no DynamoDB: what answers at %s does not know ListTables", items.url)
	case err != nil:
		return nil, fmt.Errorf("the DynamoDB cannot be used: %w", err)
	}
	return d, nil
}

// URL is where it answers.
func (d *DynamoDB) URL() string { return strings.TrimSuffix(d.items.url, "/") }

// reads and writes are the operations on items, which are metered.
var (
	reads  = map[string]bool{"GetItem": true, "BatchGetItem": true, "Query": true, "Scan": true, "TransactGetItems": true}
	writes = map[string]bool{"PutItem": true, "UpdateItem": true, "DeleteItem": true, "BatchWriteItem": true, "TransactWriteItems": true}
)

// Do implements dynamodb.Doer.
func (d *DynamoDB) Do(ctx context.Context, target string, body []byte) (status int, answer []byte) {
	if strings.HasPrefix(target, streamTarget) {
		return d.forward(ctx, d.streams, target, body)
	}
	operation := strings.TrimPrefix(target, itemTarget)
	if !reads[operation] && !writes[operation] {
		return d.forward(ctx, d.items, target, body)
	}
	q := readRequest(body)
	status, answer = d.forward(ctx, d.items, target, q.withCapacity(body))
	function := caller.Function(ctx)
	// Last: who sees that a request was counted finds its units counted, too.
	defer func() {
		for _, table := range q.tables() {
			d.meter.Counter("dynamodb", table, "requests."+operation).Add(1)
			if function != "" {
				d.meter.Counter("dynamodb_by_function", function, "requests."+table).Add(1)
			}
		}
	}()
	if status != http.StatusOK {
		return status, answer
	}
	consumed, rest := splitCapacity(answer, !q.wantsCapacity())
	metric := "read_units"
	if writes[operation] {
		metric = "write_units"
	}
	for _, c := range consumed {
		halves := int64(2*c.CapacityUnits + 0.5)
		d.meter.Counter("dynamodb", c.TableName, metric).AddHalf(halves)
		if function != "" {
			d.meter.Counter("dynamodb_by_function", function, metric+"."+c.TableName).AddHalf(halves)
		}
	}
	return status, rest
}

// forward passes a request on. Without an answer the caller is told what AWS says when nobody knows
// whether it was done: an InternalServerError, after which SDKs try again.
func (d *DynamoDB) forward(ctx context.Context, e *endpoint, target string, body []byte) (int, []byte) {
	status, _, answer, err := e.post(ctx, target, body)
	if err == nil {
		if d.down.CompareAndSwap(true, false) {
			d.log.WarnContext(ctx, "the DynamoDB answers again", "url", e.url)
		}
		return status, answer
	}
	if ctx.Err() != nil {
		return dynamodb.NoAnswer, nil // nor does anybody wait
	}
	if d.down.CompareAndSwap(false, true) {
		d.log.WarnContext(ctx, "the DynamoDB does not answer", "url", e.url, "error", err)
	}
	text := fmt.Sprintf("the DynamoDB at %s does not answer: %v", e.url, err)
	// Two strings: cannot fail.
	answer, _ = json.Marshal(map[string]string{"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": text})
	return http.StatusInternalServerError, answer
}
