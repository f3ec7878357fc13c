package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/duet-chat/duet/localstack/caller"
	"github.com/duet-chat/duet/localstack/dynamodb"
)

// tableError is an error of DynamoDB on the wire. One with a reason cancels transactions, and other
// requests only if it has a type.
type tableError struct {
	status                   int
	errorType, text          string
	reason, reasonText       string
	onlyWrites, transactions bool
}

const (
	dynamoPrefix = "com.amazonaws.dynamodb.v20120810#"
	exceeded     = "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API."
	throttled    = "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or index so please try again shortly."
)

// tableErrors by the names that rules give them. Source: DynamoDB developer guide, "Error handling
// with DynamoDB"; API reference, TransactWriteItems, cancellation reasons.
var tableErrors = map[string]tableError{
	"ProvisionedThroughputExceededException": {status: 400, errorType: dynamoPrefix + "ProvisionedThroughputExceededException", text: exceeded},
	"ThrottlingException":                    {status: 400, errorType: "com.amazon.coral.availability#ThrottlingException", text: throttled},
	"RequestLimitExceeded":                   {status: 400, errorType: dynamoPrefix + "RequestLimitExceeded", text: "Throughput exceeds the current throughput limit for your account."},
	"InternalServerError":                    {status: 500, errorType: dynamoPrefix + "InternalServerError", text: "Internal server error"},
	"ServiceUnavailable":                     {status: 503, errorType: "com.amazon.coral.availability#ServiceUnavailableException", text: "The service is temporarily unavailable."},
	// What a transaction meets that touches an item of another: it is cancelled, and a single write
	// is refused.
	"TransactionConflict": {
		status: 400, errorType: dynamoPrefix + "TransactionConflictException", text: "Transaction is ongoing for the item",
		reason: "TransactionConflict", reasonText: "Transaction is ongoing for the item", onlyWrites: true,
	},
	"ThrottlingError":               {status: 400, reason: "ThrottlingError", reasonText: throttled, transactions: true},
	"ProvisionedThroughputExceeded": {status: 400, reason: "ProvisionedThroughputExceeded", reasonText: exceeded, transactions: true},
}

// applies tells whether DynamoDB could answer an operation so.
func (r *Rule) applies(operation string) bool {
	if r.act != fail && r.act != lose {
		return true
	}
	e := tableErrors[r.name]
	transaction := strings.HasPrefix(operation, "Transact")
	switch {
	case e.transactions:
		return transaction
	case e.onlyWrites:
		return transaction || operation == "PutItem" || operation == "UpdateItem" || operation == "DeleteItem"
	}
	return true
}

// DynamoDB stands before a DynamoDB.
func (in *Injector) DynamoDB(next dynamodb.Doer) dynamodb.Doer { return &tableFaults{in, next} }

type tableFaults struct {
	injector *Injector
	next     dynamodb.Doer
}

// Do implements dynamodb.Doer.
func (t *tableFaults) Do(ctx context.Context, target string, body []byte) (int, []byte) {
	r := t.injector.run.Load()
	if r == nil {
		return t.next.Do(ctx, target, body)
	}
	call, ok := t.injector.call(ctx, r)
	defer call.done()
	if !ok {
		return dynamodb.NoAnswer, nil
	}
	_, operation, _ := strings.Cut(target, ".")
	q := readRequest(body)
	f := r.decide(event{point: tables, operation: operation, table: q.tables(), function: call.function})
	if f == nil {
		return t.next.Do(ctx, target, body)
	}
	if !r.wait(ctx, f.delay) {
		return dynamodb.NoAnswer, nil
	}
	if f.act == kill && f.name == before {
		call.kill()
		return dynamodb.NoAnswer, nil
	}
	if f.act == fail {
		return q.refuse(operation, f.name)
	}
	status, response := t.next.Do(ctx, target, body)
	if !r.wait(ctx, f.hold) {
		return dynamodb.NoAnswer, nil
	}
	switch {
	case f.act == kill:
		call.kill()
		return dynamodb.NoAnswer, nil
	case f.act == lose && f.name == "":
		return dynamodb.NoAnswer, nil
	case f.act == lose:
		return q.refuse(operation, f.name)
	}
	return status, response
}

// request is what is to be known of a request's body.
type request struct {
	TableName     string
	TransactItems []map[string]struct{ TableName string }
	RequestItems  map[string]json.RawMessage
}

func readRequest(body []byte) (q request) {
	_ = json.Unmarshal(body, &q) // what is not JSON, DynamoDB refuses
	return q
}

// tables names the request's tables, each once and in order, joined by +.
func (q request) tables() string {
	names := map[string]bool{}
	if q.TableName != "" {
		names[q.TableName] = true
	}
	for _, action := range q.TransactItems {
		for _, a := range action {
			names[a.TableName] = true
		}
	}
	for table := range q.RequestItems {
		names[table] = true
	}
	if len(names) == 0 {
		return "" // a request to a stream
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), "+")
}

// refuse is the answer with an error. A transaction is cancelled for its first action.
func (q request) refuse(operation, name string) (int, []byte) {
	e := tableErrors[name]
	answer := map[string]any{"__type": e.errorType, "message": e.text}
	if e.reason != "" && strings.HasPrefix(operation, "Transact") {
		reasons := []map[string]string{{"Code": e.reason, "Message": e.reasonText}}
		codes := []string{e.reason}
		for range max(len(q.TransactItems)-1, 0) {
			reasons, codes = append(reasons, map[string]string{"Code": "None"}), append(codes, "None")
		}
		answer = map[string]any{
			"__type":              dynamoPrefix + "TransactionCanceledException",
			"Message":             "Transaction cancelled, please refer cancellation reasons for specific reasons [" + strings.Join(codes, ", ") + "]",
			"CancellationReasons": reasons,
		}
	}
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(answer) // texts: cannot fail
	return e.status, bytes.TrimSpace(b.Bytes())
}

// abort ends a request without an answer: its caller sees the network fail.
func abort(w http.ResponseWriter) {
	if a, ok := w.(interface{ Abort() }); ok {
		a.Abort()
		return
	}
	panic(http.ErrAbortHandler)
}

// callerOf names who makes a request.
func callerOf(ctx context.Context) string {
	if f := caller.Function(ctx); f != "" {
		return f
	}
	return owner
}
