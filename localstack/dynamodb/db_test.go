package dynamodb_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/meter"
	"github.com/duet-chat/duet/localstack/storage"
)

// fixture is a DB with a clock that is set by hand.
type fixture struct {
	testing.TB
	*dynamodb.DB
	meter *meter.Meter
	mu    sync.Mutex
	time  time.Time // guarded by mu
}

func (f *fixture) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.time
}

func (f *fixture) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.time = f.time.Add(d)
}

func newFixture(t testing.TB, dir string) *fixture {
	t.Helper()
	store, err := storage.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return newFixtureOn(t, store)
}

func newFixtureOn(t testing.TB, store *storage.Store) *fixture {
	t.Helper()
	f := &fixture{TB: t, meter: meter.New(), time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	db, err := dynamodb.New(dynamodb.Options{
		Store: store, Region: "us-east-1", Account: "000000000000", Now: f.now, Meter: f.meter, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	f.DB = db
	t.Cleanup(func() { _ = db.Close() })
	return f
}

// do runs an operation and fails the test if it is refused.
func (f *fixture) do(operation, body string) map[string]any {
	f.Helper()
	status, response := f.call(operation, body)
	if status != 200 {
		f.Fatalf("%s %s = %d %s", operation, body, status, response)
	}
	var out map[string]any
	if err := json.Unmarshal(response, &out); err != nil {
		f.Fatalf("%s answered %s: %v", operation, response, err)
	}
	return out
}

func (f *fixture) call(operation, body string) (int, []byte) {
	target := "DynamoDB_20120810." + operation
	if strings.HasPrefix(operation, "Streams.") {
		target = "DynamoDBStreams_20120810." + strings.TrimPrefix(operation, "Streams.")
	}
	return f.Do(context.Background(), target, []byte(body))
}

// refused runs an operation and returns its error's short type and text.
func (f *fixture) refused(operation, body string) (errorType, message string) {
	f.Helper()
	status, response := f.call(operation, body)
	if status == 200 {
		f.Fatalf("%s %s = %s, want a refusal", operation, body, response)
	}
	var out struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(response, &out); err != nil {
		f.Fatalf("%s answered %s: %v", operation, response, err)
	}
	_, short, _ := strings.Cut(out.Type, "#")
	return short, out.Message
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	j, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(j)
}

// things is a table with every kind of key and index.
var things = dynamodb.TableSpec{
	TableName: "things",
	AttributeDefinitions: []dynamodb.AttributeDefinition{
		{AttributeName: "p", AttributeType: "S"}, {AttributeName: "s", AttributeType: "N"},
		{AttributeName: "l", AttributeType: "N"}, {AttributeName: "g", AttributeType: "S"},
	},
	KeySchema: []dynamodb.KeyElement{{AttributeName: "p", KeyType: "HASH"}, {AttributeName: "s", KeyType: "RANGE"}},
	LocalSecondaryIndexes: []dynamodb.IndexSpec{{
		IndexName: "by-l", Projection: dynamodb.ProjectionSpec{ProjectionType: "ALL"},
		KeySchema: []dynamodb.KeyElement{{AttributeName: "p", KeyType: "HASH"}, {AttributeName: "l", KeyType: "RANGE"}},
	}},
	GlobalSecondaryIndexes: []dynamodb.IndexSpec{{
		IndexName: "by-g", Projection: dynamodb.ProjectionSpec{ProjectionType: "INCLUDE", NonKeyAttributes: []string{"text"}},
		KeySchema: []dynamodb.KeyElement{{AttributeName: "g", KeyType: "HASH"}},
	}},
	BillingMode:         "PAY_PER_REQUEST",
	StreamSpecification: &dynamodb.StreamSpecification{StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES"},
	TimeToLiveAttribute: "ttl",
}

func (f *fixture) ensure(spec dynamodb.TableSpec) dynamodb.TableInfo {
	f.Helper()
	info, err := f.EnsureTable(spec)
	if err != nil {
		f.Fatal(err)
	}
	return info
}

func (f *fixture) put(p string, s int, more string) {
	f.Helper()
	f.do("PutItem", fmt.Sprintf(`{"TableName":"things","Item":{"p":{"S":%q},"s":{"N":"%d"}%s}}`, p, s, more))
}

func TestWritesReturnWhatTheyAreAskedFor(t *testing.T) {
	const key = `"Key":{"p":{"S":"a"},"s":{"N":"1"}}`
	tests := []struct{ name, operation, body, want string }{
		{"put, old", "PutItem", `{"TableName":"things","Item":{"p":{"S":"a"},"s":{"N":"1"}},"ReturnValues":"ALL_OLD"}`,
			`{"Attributes":{"n":{"N":"5"},"p":{"S":"a"},"s":{"N":"1"}}}`},
		{"put, nothing", "PutItem", `{"TableName":"things","Item":{"p":{"S":"a"},"s":{"N":"1"}}}`, `{}`},
		{"update, all new", "UpdateItem", `{"TableName":"things",` + key + `,"UpdateExpression":"SET n = n + :one","ExpressionAttributeValues":{":one":{"N":"1"}},"ReturnValues":"ALL_NEW"}`,
			`{"Attributes":{"n":{"N":"6"},"p":{"S":"a"},"s":{"N":"1"}}}`},
		{"update, updated old", "UpdateItem", `{"TableName":"things",` + key + `,"UpdateExpression":"SET n = :x","ExpressionAttributeValues":{":x":{"N":"1"}},"ReturnValues":"UPDATED_OLD"}`,
			`{"Attributes":{"n":{"N":"5"}}}`},
		{"update, updated new", "UpdateItem", `{"TableName":"things",` + key + `,"UpdateExpression":"SET n = :x","ExpressionAttributeValues":{":x":{"N":"1"}},"ReturnValues":"UPDATED_NEW"}`,
			`{"Attributes":{"n":{"N":"1"}}}`},
		{"update without expression", "UpdateItem", `{"TableName":"things",` + key + `,"ReturnValues":"ALL_NEW"}`,
			`{"Attributes":{"n":{"N":"5"},"p":{"S":"a"},"s":{"N":"1"}}}`},
		{"delete, old", "DeleteItem", `{"TableName":"things",` + key + `,"ReturnValues":"ALL_OLD"}`,
			`{"Attributes":{"n":{"N":"5"},"p":{"S":"a"},"s":{"N":"1"}}}`},
		{"get", "GetItem", `{"TableName":"things",` + key + `}`, `{"Item":{"n":{"N":"5"},"p":{"S":"a"},"s":{"N":"1"}}}`},
		{"get with projection", "GetItem", `{"TableName":"things",` + key + `,"ProjectionExpression":"#n","ExpressionAttributeNames":{"#n":"n"}}`, `{"Item":{"n":{"N":"5"}}}`},
		{"get of nothing", "GetItem", `{"TableName":"things","Key":{"p":{"S":"zz"},"s":{"N":"1"}}}`, `{}`},
		{"capacity", "GetItem", `{"TableName":"things",` + key + `,"ConsistentRead":true,"ReturnConsumedCapacity":"TOTAL"}`,
			`{"ConsumedCapacity":{"CapacityUnits":1,"TableName":"things"},"Item":{"n":{"N":"5"},"p":{"S":"a"},"s":{"N":"1"}}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, "")
			f.ensure(things)
			f.put("a", 1, `,"n":{"N":"5"}`)
			if got := asJSON(t, f.do(tt.operation, tt.body)); got != tt.want {
				t.Errorf("%s = %s, want %s", tt.operation, got, tt.want)
			}
		})
	}
}

func TestRefusalsAndNothingIsWritten(t *testing.T) {
	const key = `"Key":{"p":{"S":"a"},"s":{"N":"1"}}`
	big := strings.Repeat("x", 410_000)
	tests := []struct{ name, operation, body, errorType, message string }{
		{"no such table", "GetItem", `{"TableName":"none","Key":{}}`, "ResourceNotFoundException", "Requested resource not found"},
		{"key of another type", "GetItem", `{"TableName":"things","Key":{"p":{"N":"1"},"s":{"N":"1"}}}`, "ValidationException", "The provided key element does not match the schema"},
		{"key too short", "GetItem", `{"TableName":"things","Key":{"p":{"S":"a"}}}`, "ValidationException", "The provided key element does not match the schema"},
		{"item without key", "PutItem", `{"TableName":"things","Item":{"p":{"S":"a"}}}`, "ValidationException", "One or more parameter values were invalid: Missing the key s in the item"},
		{"empty key", "PutItem", `{"TableName":"things","Item":{"p":{"S":""},"s":{"N":"1"}}}`, "ValidationException", "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: p"},
		{"index key of another type", "PutItem", `{"TableName":"things","Item":{"p":{"S":"a"},"s":{"N":"1"},"l":{"S":"x"}}}`, "ValidationException", "One or more parameter values were invalid: Type mismatch for Index Key l Expected: N Actual: S IndexName: by-l"},
		{"item too large", "PutItem", `{"TableName":"things","Item":{"p":{"S":"a"},"s":{"N":"1"},"x":{"S":"` + big + `"}}}`, "ValidationException", "Item size has exceeded the maximum allowed size"},
		{"update makes it too large", "UpdateItem", `{"TableName":"things",` + key + `,"UpdateExpression":"SET x = :x","ExpressionAttributeValues":{":x":{"S":"` + big + `"}}}`, "ValidationException", "Item size to update has exceeded the maximum allowed size"},
		{"update of the key", "UpdateItem", `{"TableName":"things",` + key + `,"UpdateExpression":"SET p = :x","ExpressionAttributeValues":{":x":{"S":"b"}}}`, "ValidationException", "One or more parameter values were invalid: Cannot update attribute p. This attribute is part of the key"},
		{"condition fails", "PutItem", `{"TableName":"things","Item":{"p":{"S":"a"},"s":{"N":"1"}},"ConditionExpression":"attribute_not_exists(p)"}`, "ConditionalCheckFailedException", "The conditional request failed"},
		{"return values of an update on a put", "PutItem", `{"TableName":"things","Item":{"p":{"S":"a"},"s":{"N":"1"}},"ReturnValues":"ALL_NEW"}`, "ValidationException", "ReturnValues can only be ALL_OLD or NONE"},
		{"legacy parameter", "Query", `{"TableName":"things","KeyConditions":{}}`, "ValidationException", "The local DynamoDB does not support the legacy parameter KeyConditions: use expressions"},
		{"unsupported operation", "ExecuteStatement", `{}`, "ValidationException", "The local DynamoDB does not support ExecuteStatement"},
		{"unknown operation", "Frobnicate", `{}`, "UnknownOperationException", "DynamoDB_20120810.Frobnicate"},
		{"not JSON", "GetItem", `nope`, "SerializationException", ""},
		{"consistent read of a global index", "Query", `{"TableName":"things","IndexName":"by-g","ConsistentRead":true,"KeyConditionExpression":"g = :g","ExpressionAttributeValues":{":g":{"S":"x"}}}`, "ValidationException", "Consistent reads are not supported on global secondary indexes"},
		{"no such index", "Query", `{"TableName":"things","IndexName":"none","KeyConditionExpression":"g = :g","ExpressionAttributeValues":{":g":{"S":"x"}}}`, "ValidationException", "The table does not have the specified index: none"},
		{"limit of zero", "Scan", `{"TableName":"things","Limit":0}`, "ValidationException", "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"one item twice in a transaction", "TransactWriteItems", `{"TransactItems":[{"Delete":{"TableName":"things",` + key + `}},{"Delete":{"TableName":"things",` + key + `}}]}`, "ValidationException", "Transaction request cannot include multiple operations on one item"},
		{"too many writes in a batch", "BatchWriteItem", `{"RequestItems":{"things":[` + strings.TrimSuffix(manyDeletes(26), ",") + `]}}`, "ValidationException", "Too many items requested for the BatchWriteItem call"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, "")
			f.ensure(things)
			f.put("a", 1, `,"n":{"N":"5"}`)
			errorType, message := f.refused(tt.operation, tt.body)
			if errorType != tt.errorType || message != tt.message {
				t.Errorf("%s\n got %s: %s\nwant %s: %s", tt.operation, errorType, message, tt.errorType, tt.message)
			}
			want := `{"Count":1,"Items":[{"n":{"N":"5"},"p":{"S":"a"},"s":{"N":"1"}}],"ScannedCount":1}`
			if got := asJSON(t, f.do("Scan", `{"TableName":"things"}`)); got != want {
				t.Errorf("the table is %s, want %s", got, want)
			}
		})
	}
}

func manyDeletes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"DeleteRequest":{"Key":{"p":{"S":"a"},"s":{"N":"%d"}}}},`, i)
	}
	return b.String()
}

// ids lists p/s of a page's items.
func ids(out map[string]any) string {
	var b strings.Builder
	items, _ := out["Items"].([]any)
	for _, it := range items {
		m := it.(map[string]any)
		fmt.Fprintf(&b, "%v%v ", m["p"].(map[string]any)["S"], m["s"].(map[string]any)["N"])
	}
	return strings.TrimSpace(b.String())
}

func TestQueryReadsItsRangeInOrder(t *testing.T) {
	f := newFixture(t, "")
	f.ensure(things)
	for s := -2; s <= 12; s++ {
		f.put("a", s, fmt.Sprintf(`,"l":{"N":"%d"},"g":{"S":"g%d"},"text":{"S":"t"},"other":{"S":"o"}`, 100-s, s%2&1))
	}
	f.put("b", 1, "")
	q := func(more string) string {
		return `{"TableName":"things","ExpressionAttributeValues":{":p":{"S":"a"}` + more
	}
	tests := []struct{ name, body, want string }{
		{"all", q("}") + `,"KeyConditionExpression":"p = :p","Limit":4}`, "a-2 a-1 a0 a1"},
		{"backward", q("}") + `,"KeyConditionExpression":"p = :p","Limit":3,"ScanIndexForward":false}`, "a12 a11 a10"},
		{"between", q(`,":l":{"N":"2"},":h":{"N":"4"}}`) + `,"KeyConditionExpression":"p = :p AND s BETWEEN :l AND :h"}`, "a2 a3 a4"},
		{"less", q(`,":x":{"N":"0"}}`) + `,"KeyConditionExpression":"p = :p AND s < :x"}`, "a-2 a-1"},
		{"less or equal", q(`,":x":{"N":"0"}}`) + `,"KeyConditionExpression":"p = :p AND s <= :x"}`, "a-2 a-1 a0"},
		{"greater", q(`,":x":{"N":"10"}}`) + `,"KeyConditionExpression":"p = :p AND s > :x"}`, "a11 a12"},
		{"greater or equal", q(`,":x":{"N":"10"}}`) + `,"KeyConditionExpression":"p = :p AND s >= :x"}`, "a10 a11 a12"},
		{"equal", q(`,":x":{"N":"10"}}`) + `,"KeyConditionExpression":"p = :p AND s = :x"}`, "a10"},
		{"start key", q("}") + `,"KeyConditionExpression":"p = :p","Limit":2,"ExclusiveStartKey":{"p":{"S":"a"},"s":{"N":"5"}}}`, "a6 a7"},
		{"start key backward", q("}") + `,"KeyConditionExpression":"p = :p","Limit":2,"ScanIndexForward":false,"ExclusiveStartKey":{"p":{"S":"a"},"s":{"N":"5"}}}`, "a4 a3"},
		{"local index", q(`,":x":{"N":"90"}}`) + `,"IndexName":"by-l","KeyConditionExpression":"p = :p AND l < :x","ConsistentRead":true}`, "a12 a11"},
		{"filter", q(`,":x":{"N":"90"}}`) + `,"KeyConditionExpression":"p = :p","FilterExpression":"l < :x"}`, "a11 a12"},
		{"empty between", q(`,":l":{"N":"40"},":h":{"N":"50"}}`) + `,"KeyConditionExpression":"p = :p AND s BETWEEN :l AND :h"}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ids(f.do("Query", tt.body)); got != tt.want {
				t.Errorf("Query = %s, want %s", got, tt.want)
			}
		})
	}
	t.Run("global index with its projection", func(t *testing.T) {
		out := f.do("Query", `{"TableName":"things","IndexName":"by-g","Limit":1,"KeyConditionExpression":"g = :g","ExpressionAttributeValues":{":g":{"S":"g1"}}}`)
		want := `[{"g":{"S":"g1"},"p":{"S":"a"},"s":{"N":"-1"},"text":{"S":"t"}}]`
		if got := asJSON(t, out["Items"]); got != want {
			t.Errorf("Items = %s, want %s", got, want)
		}
	})
	t.Run("paging reads everything once", func(t *testing.T) {
		var got []string
		start := ""
		for {
			out := f.do("Scan", `{"TableName":"things","Limit":3`+start+`}`)
			got = append(got, ids(out))
			if out["LastEvaluatedKey"] == nil {
				break
			}
			start = `,"ExclusiveStartKey":` + asJSON(t, out["LastEvaluatedKey"])
		}
		if n := len(strings.Fields(strings.Join(got, " "))); n != 16 {
			t.Errorf("%d items in pages %q, want 16", n, got)
		}
	})
	t.Run("segments share the table", func(t *testing.T) {
		n := 0
		for s := range 4 {
			n += len(strings.Fields(ids(f.do("Scan", fmt.Sprintf(`{"TableName":"things","Segment":%d,"TotalSegments":4}`, s)))))
		}
		if n != 16 {
			t.Errorf("%d items in all segments, want 16", n)
		}
	})
	t.Run("count", func(t *testing.T) {
		if got, want := asJSON(t, f.do("Scan", `{"TableName":"things","Select":"COUNT"}`)), `{"Count":16,"ScannedCount":16}`; got != want {
			t.Errorf("Scan = %s, want %s", got, want)
		}
	})
}

// What a read asks for must be there to be read: a stack that works here must not be refused on AWS,
// nor quietly get nothing.
func TestReadsRefuseWhatTheirRangeCannotAnswer(t *testing.T) {
	f := newFixture(t, "")
	spec := things
	spec.LocalSecondaryIndexes = append(slices.Clone(things.LocalSecondaryIndexes), dynamodb.IndexSpec{
		IndexName: "keys-by-l", Projection: dynamodb.ProjectionSpec{ProjectionType: "KEYS_ONLY"}, KeySchema: things.LocalSecondaryIndexes[0].KeySchema,
	})
	f.ensure(spec)
	f.put("a", 1, `,"l":{"N":"1"},"g":{"S":"g"},"text":{"S":"t"},"oth":{"S":"o"}`)
	const (
		byKey   = `"TableName":"things","KeyConditionExpression":"p = :p"`
		byS     = `"TableName":"things","KeyConditionExpression":"p = :p AND s > :s"`
		byG     = `"TableName":"things","IndexName":"by-g","KeyConditionExpression":"g = :p"`
		values  = `"ExpressionAttributeValues":{":p":{"S":"a"}}`
		values2 = `"ExpressionAttributeValues":{":p":{"S":"a"},":s":{"N":"3"}}`
		start   = `"ExclusiveStartKey":`
	)
	tests := []struct{ name, operation, body, message string }{
		{"filter on the partition key", "Query", byKey + `,"FilterExpression":"p = :p",` + values, "Filter Expression can only contain non-primary key attributes: Primary key attribute: p"},
		{"filter on the sort key", "Query", byKey + `,"FilterExpression":"s < :s",` + values2, "Filter Expression can only contain non-primary key attributes: Primary key attribute: s"},
		{"filter on the index's key", "Query", byKey + `,"IndexName":"by-l","FilterExpression":"l < :s",` + values2, "Filter Expression can only contain non-primary key attributes: Primary key attribute: l"},
		{"filter on the table's key in an index", "Query", byKey + `,"IndexName":"by-l","FilterExpression":"s < :s",` + values2, ""},
		{"filter on a key in a scan", "Scan", `"TableName":"things","FilterExpression":"p = :p",` + values, ""},
		{"filter that a global index does not hold", "Query", byG + `,"FilterExpression":"oth = :p",` + values, "One or more parameter values were invalid: Secondary index by-g does not project one or more filter attributes: [oth]"},
		{"projection that a global index does not hold", "Query", byG + `,"ProjectionExpression":"oth, p",` + values, "One or more parameter values were invalid: Global secondary index by-g does not project [oth]"},
		{"projection that a global index holds", "Query", byG + `,"ProjectionExpression":"g, p, s",` + values, ""},
		{"everything of a global index that holds less", "Query", byG + `,"Select":"ALL_ATTRIBUTES",` + values, "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index by-g because its projection type is not ALL"},
		{"projection that a local index does not hold", "Query", byKey + `,"IndexName":"keys-by-l","ProjectionExpression":"oth",` + values, ""},
		{"everything of a local index that holds less", "Query", byKey + `,"IndexName":"keys-by-l","Select":"ALL_ATTRIBUTES",` + values, ""},
		{"count with projection", "Scan", `"TableName":"things","Select":"COUNT","ProjectionExpression":"p"`, "Cannot specify the ProjectionExpression when choosing to get only the Count"},
		{"everything with projection", "Scan", `"TableName":"things","Select":"ALL_ATTRIBUTES","ProjectionExpression":"p"`, "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES"},
		{"projected without index", "Scan", `"TableName":"things","Select":"ALL_PROJECTED_ATTRIBUTES"`, "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"},
		{"unknown select", "Scan", `"TableName":"things","Select":"SOME"`, "1 validation error detected: Value 'SOME' at 'select' failed to satisfy constraint: Member must satisfy enum value set: [SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]"},
		{"start key of another partition", "Query", byKey + `,` + start + `{"p":{"S":"b"},"s":{"N":"1"}},` + values, "The provided starting key is outside query boundaries based on provided conditions"},
		{"start key outside the condition", "Query", byS + `,` + start + `{"p":{"S":"a"},"s":{"N":"3"}},` + values2, "The provided starting key does not match the range key predicate"},
		{"start key inside the condition", "Query", byS + `,` + start + `{"p":{"S":"a"},"s":{"N":"4"}},` + values2, ""},
		{"start key too short", "Query", byKey + `,` + start + `{"p":{"S":"a"}},` + values, "The provided starting key is invalid"},
		{"start key of the table for an index", "Query", byKey + `,"IndexName":"by-l",` + start + `{"p":{"S":"a"},"s":{"N":"1"}},` + values, "The provided starting key is invalid"},
		{"start key of another type", "Scan", `"TableName":"things",` + start + `{"p":{"S":"a"},"s":{"S":"1"}}`, "The provided starting key is invalid: The provided key element does not match the schema"},
		{"segment alone", "Scan", `"TableName":"things","Segment":0`, "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"},
		{"total alone", "Scan", `"TableName":"things","TotalSegments":1`, "The Segment parameter is required but was not present in the request when parameter TotalSegments is present"},
		{"segment behind the last", "Scan", `"TableName":"things","Segment":1,"TotalSegments":1`, "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 1 is not less than TotalSegments: 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := "{" + tt.body + "}"
			if tt.message == "" {
				f.do(tt.operation, body)
				return
			}
			if errorType, message := f.refused(tt.operation, body); errorType != "ValidationException" || message != tt.message {
				t.Errorf("%s %s\n got %s: %s\nwant %s", tt.operation, body, errorType, message, tt.message)
			}
		})
	}
}

func TestIndexEntriesFollowTheirItems(t *testing.T) {
	f := newFixture(t, "")
	f.ensure(things)
	entries := func() string {
		return ids(f.do("Scan", `{"TableName":"things","IndexName":"by-l"}`))
	}
	f.put("a", 1, `,"l":{"N":"5"}`)
	f.put("a", 2, ``)
	if got := entries(); got != "a1" {
		t.Errorf("entries = %q, want only the item that has the index key", got)
	}
	f.put("a", 2, `,"l":{"N":"1"}`)
	if got := entries(); got != "a2 a1" {
		t.Errorf("entries = %q, want them in the index's order", got)
	}
	f.do("UpdateItem", `{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}},"UpdateExpression":"REMOVE l"}`)
	f.do("DeleteItem", `{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"2"}}}`)
	if got := entries(); got != "" {
		t.Errorf("entries = %q, want none", got)
	}
}
