package dynamodb_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/caller"
)

func TestTransactionTellsWhyInTheOrderOfTheRequest(t *testing.T) {
	f := newFixture(t, "")
	f.ensure(things)
	f.put("a", 1, `,"n":{"N":"5"}`)
	status, body := f.call("TransactWriteItems", `{"TransactItems":[
		{"Put":{"TableName":"things","Item":{"p":{"S":"a"},"s":{"N":"2"}}}},
		{"Update":{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}},"UpdateExpression":"SET n = :x","ConditionExpression":"n = :y",
			"ExpressionAttributeValues":{":x":{"N":"1"},":y":{"N":"2"}},"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}},
		{"ConditionCheck":{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"3"}},"ConditionExpression":"attribute_exists(p)"}}]}`)
	var got struct {
		Type                string `json:"__type"`
		Message             string
		CancellationReasons []struct {
			Code string
			Item json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if status != 400 || !strings.HasSuffix(got.Type, "#TransactionCanceledException") {
		t.Fatalf("status %d, %s", status, body)
	}
	if want := "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed, ConditionalCheckFailed]"; got.Message != want {
		t.Errorf("message = %q, want %q", got.Message, want)
	}
	if item, want := string(got.CancellationReasons[1].Item), `{"n":{"N":"5"},"p":{"S":"a"},"s":{"N":"1"}}`; item != want {
		t.Errorf("the failed condition's item = %s, want %s", item, want)
	}
	if got := ids(f.do("Scan", `{"TableName":"things"}`)); got != "a1" {
		t.Errorf("after a cancelled transaction the table has %s", got)
	}
}

func TestTransactionTokenTakesEffectOnce(t *testing.T) {
	f := newFixture(t, "")
	f.ensure(things)
	add := func(token string, by int) (int, []byte) {
		return f.call("TransactWriteItems", fmt.Sprintf(`{"ClientRequestToken":%q,"TransactItems":[{"Update":{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}},
			"UpdateExpression":"ADD n :x","ExpressionAttributeValues":{":x":{"N":"%d"}}}}]}`, token, by))
	}
	for range 3 {
		if status, body := add("t1", 1); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
	}
	if _, body := add("t1", 2); !strings.Contains(string(body), "IdempotentParameterMismatchException") {
		t.Errorf("same token, other payload: %s", body)
	}
	f.advance(11 * time.Minute)
	add("t1", 1)
	if got, want := asJSON(t, f.do("GetItem", `{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}},"ProjectionExpression":"n"}`)), `{"Item":{"n":{"N":"2"}}}`; got != want {
		t.Errorf("item = %s, want %s: once within ten minutes, and once after", got, want)
	}
}

// SDKs write an object's members in any order: a repeat is known by what it asks for.
func TestTransactionTokenIsOfTheContentNotOfItsBytes(t *testing.T) {
	f := newFixture(t, "")
	f.ensure(things)
	const head = `{"ClientRequestToken":"t","TransactItems":[{"Update":{"TableName":"things","Key":`
	first := head + `{"p":{"S":"a"},"s":{"N":"1"}},"UpdateExpression":"ADD #n :x, m :y","ExpressionAttributeNames":{"#n":"n"},"ExpressionAttributeValues":{":x":{"N":"1"},":y":{"N":"1"}}}}]}`
	f.do("TransactWriteItems", first)
	same := head + `{"s":{"N":"1.0"},"p":{"S":"a"}},"ExpressionAttributeValues":{":y":{"N":"1"},":x":{"N":"1"}},"UpdateExpression":"ADD #n :x, m :y","ExpressionAttributeNames":{"#n":"n"}}}],"ReturnConsumedCapacity":"INDEXES"}`
	// A repeat reads its items, and tells so.
	want := `{"ConsumedCapacity":[{"CapacityUnits":2,"ReadCapacityUnits":2,"Table":{"CapacityUnits":2,"ReadCapacityUnits":2},"TableName":"things"}]}`
	if got := asJSON(t, f.do("TransactWriteItems", same)); got != want {
		t.Errorf("repeat = %s, want %s", got, want)
	}
	for name, other := range map[string]string{
		"values swapped between placeholders": strings.Replace(first, `":x":{"N":"1"},":y":{"N":"1"}`, `":x":{"N":"1"},":y":{"N":"2"}`, 1),
		"another key":                         strings.Replace(first, `{"S":"a"}`, `{"S":"b"}`, 1),
		"another name":                        strings.Replace(first, `{"#n":"n"}`, `{"#n":"o"}`, 1),
		"another expression":                  strings.Replace(first, `ADD #n :x, m :y`, `ADD #n :y, m :x`, 1),
	} {
		if errorType, _ := f.refused("TransactWriteItems", other); errorType != "IdempotentParameterMismatchException" {
			t.Errorf("%s: %s, want IdempotentParameterMismatchException", name, errorType)
		}
	}
	if got, want := asJSON(t, f.do("GetItem", `{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}},"ProjectionExpression":"n,m"}`)), `{"Item":{"m":{"N":"1"},"n":{"N":"1"}}}`; got != want {
		t.Errorf("item = %s, want %s", got, want)
	}
}

// What is wrong with the request itself refuses it; what does not fit the table or the item cancels
// the transaction, with a reason in its action's place. Source: observed on AWS in four Regions by
// paritysuite/dynamodb-conformance, 2026-06-23.
func TestTransactionIsRefusedOrCancelled(t *testing.T) {
	const good = `{"Put":{"TableName":"things","Item":{"p":{"S":"good"},"s":{"N":"1"}}}},`
	const cancelled = "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ValidationError]"
	null := func(member string) string {
		return "1 validation error detected: Value null at 'transactItems.2.member." + member + "' failed to satisfy constraint: Member must not be null"
	}
	var large strings.Builder
	for i := range 11 {
		fmt.Fprintf(&large, `{"Put":{"TableName":"things","Item":{"p":{"S":"large"},"s":{"N":"%d"},"x":{"S":%q}}}},`, i, strings.Repeat("x", 390_000))
	}
	tests := []struct{ name, action, reason, message string }{
		{"key of another type in a put", `{"Put":{"TableName":"things","Item":{"p":{"N":"5"},"s":{"N":"1"}}}}`, "One or more parameter values were invalid: Type mismatch for key p expected: S actual: N", ""},
		{"index key of another type in a put", `{"Put":{"TableName":"things","Item":{"p":{"S":"a"},"s":{"N":"1"},"l":{"S":"x"}}}}`, "One or more parameter values were invalid: Type mismatch for Index Key l Expected: N Actual: S IndexName: by-l", ""},
		{"key of another type", `{"Delete":{"TableName":"things","Key":{"p":{"L":[]},"s":{"N":"1"}}}}`, "The provided key element does not match the schema", ""},
		{"update of a key", `{"Update":{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}},"UpdateExpression":"REMOVE s"}}`, "One or more parameter values were invalid: Cannot update attribute s. This attribute is part of the key", ""},
		{"operand missing in the item", `{"Update":{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}},"UpdateExpression":"SET a = b"}}`, "The provided expression refers to an attribute that does not exist in the item", ""},
		{"empty key", `{"Delete":{"TableName":"things","Key":{"p":{"S":""},"s":{"N":"1"}}}}`, "", "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: p"},
		{"nothing", `{}`, "", "Invalid Request: TransactWriteRequest should contain Delete or Put or Update request"},
		{"two in one", `{"Put":{"TableName":"things","Item":{"p":{"S":"a"},"s":{"N":"1"}}},"Delete":{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}}}}`, "", "TransactItems can only contain one of Check, Put, Update or Delete"},
		{"no table", `{"Put":{"Item":{"p":{"S":"a"},"s":{"N":"1"}}}}`, "", null("put.tableName")},
		{"no item", `{"Put":{"TableName":"things"}}`, "", null("put.item")},
		{"no key", `{"Delete":{"TableName":"things"}}`, "", null("delete.key")},
		{"no update", `{"Update":{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}}}}`, "", null("update.updateExpression")},
		{"no condition", `{"ConditionCheck":{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}}}}`, "", null("conditionCheck.conditionExpression")},
		{"unknown return", `{"Put":{"TableName":"things","Item":{"p":{"S":"a"},"s":{"N":"1"}},"ReturnValuesOnConditionCheckFailure":"ALL_NEW"}}`, "", "1 validation error detected: Value 'ALL_NEW' at 'transactItems.2.member.put.returnValuesOnConditionCheckFailure' failed to satisfy constraint: Member must satisfy enum value set: [ALL_OLD, NONE]"},
		{"too large together", strings.TrimSuffix(large.String(), ","), "", "Transaction payload size cannot exceed 4MB. Payload Size: 4290117"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, "")
			f.ensure(things)
			_, body := f.call("TransactWriteItems", `{"TransactItems":[`+good+tt.action+`]}`)
			var got struct {
				Type                string `json:"__type"`
				Message             string `json:"message"`
				CancellationReasons []struct{ Code, Message string }
			}
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}
			if tt.reason != "" {
				if got.Message != cancelled || len(got.CancellationReasons) != 2 || got.CancellationReasons[0].Code != "None" || got.CancellationReasons[1].Message != tt.reason {
					t.Errorf("%s\nwant it cancelled because of %q", body, tt.reason)
				}
			} else if !strings.HasSuffix(got.Type, "#ValidationException") || got.Message != tt.message {
				t.Errorf("%s\nwant ValidationException %q", body, tt.message)
			}
			if got := ids(f.do("Scan", `{"TableName":"things"}`)); got != "" {
				t.Errorf("the table has %s, want nothing", got)
			}
		})
	}
}

// The append of a conversation: many writers try to advance one counter and to put an item at its
// value, each from its own guess. No number is skipped and none is used twice.
func TestG3_ConditionalSequenceIsGaplessUnderContention(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "durable": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, dir)
			f.ensure(things)
			f.put("counter", 0, `,"n":{"N":"0"}`)
			const writers, each = 8, 50
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					guess := 0
					for i := 0; i < each; {
						status, body := f.call("TransactWriteItems", fmt.Sprintf(`{"TransactItems":[
							{"Update":{"TableName":"things","Key":{"p":{"S":"counter"},"s":{"N":"0"}},"UpdateExpression":"SET n = :new","ConditionExpression":"n = :old",
								"ExpressionAttributeValues":{":old":{"N":"%d"},":new":{"N":"%d"}},"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}},
							{"Put":{"TableName":"things","Item":{"p":{"S":"log"},"s":{"N":"%d"},"by":{"N":"%d"}},"ConditionExpression":"attribute_not_exists(p)"}}]}`,
							guess, guess+1, guess+1, w))
						if status == 200 {
							guess, i = guess+1, i+1
							continue
						}
						var e struct {
							CancellationReasons []struct {
								Item struct{ N struct{ N json.Number } }
							}
						}
						if err := json.Unmarshal(body, &e); err != nil || len(e.CancellationReasons) == 0 {
							t.Errorf("%s: %v", body, err)
							return
						}
						n, err := e.CancellationReasons[0].Item.N.N.Int64()
						if err != nil || int(n) < guess {
							t.Errorf("the failed condition returned %d after %d (%v)", n, guess, err)
							return
						}
						guess = int(n)
					}
				})
			}
			wg.Wait()
			out := f.do("Query", `{"TableName":"things","Select":"COUNT","KeyConditionExpression":"p = :p AND s BETWEEN :a AND :b",
				"ExpressionAttributeValues":{":p":{"S":"log"},":a":{"N":"1"},":b":{"N":"400"}}}`)
			if out["Count"].(float64) != writers*each {
				t.Errorf("%v entries, want %d", out["Count"], writers*each)
			}
		})
	}
}

func TestBatchesReadAndWriteManyItems(t *testing.T) {
	f := newFixture(t, "")
	f.ensure(things)
	f.do("BatchWriteItem", `{"RequestItems":{"things":[{"PutRequest":{"Item":{"p":{"S":"a"},"s":{"N":"1"}}}},{"PutRequest":{"Item":{"p":{"S":"a"},"s":{"N":"2"}}}}]}}`)
	got := asJSON(t, f.do("BatchGetItem", `{"RequestItems":{"things":{"ConsistentRead":true,"Keys":[{"p":{"S":"a"},"s":{"N":"2"}},{"p":{"S":"a"},"s":{"N":"9"}},{"p":{"S":"a"},"s":{"N":"1"}}]}}}`))
	want := `{"Responses":{"things":[{"p":{"S":"a"},"s":{"N":"2"}},{"p":{"S":"a"},"s":{"N":"1"}}]},"UnprocessedKeys":{}}`
	if got != want {
		t.Errorf("BatchGetItem = %s, want %s", got, want)
	}
	got = asJSON(t, f.do("TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"9"}}}},{"Get":{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}}}}]}`))
	if want := `{"Responses":[{},{"Item":{"p":{"S":"a"},"s":{"N":"1"}}}]}`; got != want {
		t.Errorf("TransactGetItems = %s, want %s", got, want)
	}
}

func TestConsumedCapacityTellsTablesAndIndexes(t *testing.T) {
	const (
		one    = `{"TableName":"things","Item":{"p":{"S":"z"},"s":{"N":"1"},"l":{"N":"1"},"g":{"S":"g"}}}`
		other  = `{"TableName":"things","Item":{"p":{"S":"z"},"s":{"N":"2"},"l":{"N":"1"}}}`
		remove = `{"TableName":"things","Key":{"p":{"S":"z"},"s":{"N":"9"}}}`
		check  = `{"TableName":"things","Key":{"p":{"S":"z"},"s":{"N":"8"}},"ConditionExpression":"attribute_not_exists(p)"}`
		get    = `{"Get":{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}}}}`
		gone   = `{"Get":{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"9"}}}}`
	)
	tests := []struct{ name, operation, body, want string }{
		{"put", "PutItem", strings.TrimSuffix(one, "}"),
			`{"CapacityUnits":3,"GlobalSecondaryIndexes":{"by-g":{"CapacityUnits":1}},"LocalSecondaryIndexes":{"by-l":{"CapacityUnits":1}},"Table":{"CapacityUnits":1},"TableName":"things"}`},
		{"transaction", "TransactWriteItems", `{"TransactItems":[{"Put":` + one + `},{"Put":` + other + `},{"Delete":` + remove + `},{"ConditionCheck":` + check + `}]`,
			`[{"CapacityUnits":14,"GlobalSecondaryIndexes":{"by-g":{"CapacityUnits":2,"WriteCapacityUnits":2}},"LocalSecondaryIndexes":{"by-l":{"CapacityUnits":4,"WriteCapacityUnits":4}},` +
				`"Table":{"CapacityUnits":8,"WriteCapacityUnits":8},"TableName":"things","WriteCapacityUnits":14}]`},
		{"transaction's reads", "TransactGetItems", `{"TransactItems":[` + get + `,` + gone + `]`,
			`[{"CapacityUnits":4,"ReadCapacityUnits":4,"Table":{"CapacityUnits":4,"ReadCapacityUnits":4},"TableName":"things"}]`},
		{"batch", "BatchWriteItem", `{"RequestItems":{"things":[{"PutRequest":` + strings.Replace(one, `"TableName":"things",`, "", 1) + `},{"DeleteRequest":` + strings.Replace(remove, `"TableName":"things",`, "", 1) + `}]}`,
			`[{"CapacityUnits":4,"GlobalSecondaryIndexes":{"by-g":{"CapacityUnits":1}},"LocalSecondaryIndexes":{"by-l":{"CapacityUnits":1}},"Table":{"CapacityUnits":2},"TableName":"things"}]`},
		{"batch's reads", "BatchGetItem", `{"RequestItems":{"things":{"Keys":[{"p":{"S":"a"},"s":{"N":"1"}},{"p":{"S":"a"},"s":{"N":"9"}}]}}`,
			`[{"CapacityUnits":1,"Table":{"CapacityUnits":1},"TableName":"things"}]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, "")
			f.ensure(things)
			f.put("a", 1, "")
			units := func() float64 {
				return f.meter.Counter("dynamodb", "things", "read_units").Value() + f.meter.Counter("dynamodb", "things", "write_units").Value()
			}
			before := units()
			got := f.do(tt.operation, tt.body+`,"ReturnConsumedCapacity":"INDEXES"}`)["ConsumedCapacity"]
			if asJSON(t, got) != tt.want {
				t.Errorf("ConsumedCapacity = %s\nwant %s", asJSON(t, got), tt.want)
			}
			if list, ok := got.([]any); ok {
				got = list[0]
			}
			if told := got.(map[string]any)["CapacityUnits"]; units()-before != told {
				t.Errorf("metered %v units, told %v", units()-before, told)
			}
			if n := f.meter.Counter("dynamodb", "things", "requests."+tt.operation).Value(); n != 1 && tt.operation != "PutItem" {
				t.Errorf("metered %v requests, want 1", n)
			}
		})
	}
}

func TestCapacityFollowsTheDocumentedRules(t *testing.T) {
	kb := func(n int) string { return strings.Repeat("x", n*1024-20) }
	tests := []struct {
		name, operation, body string
		read, write           float64
	}{
		{"small put", "PutItem", `{"TableName":"things","Item":{"p":{"S":"z"},"s":{"N":"1"}}}`, 0, 1},
		{"put of 3 KB", "PutItem", `{"TableName":"things","Item":{"p":{"S":"z"},"s":{"N":"1"},"x":{"S":"` + kb(3) + `"}}}`, 0, 3},
		{"put over 3 KB counts the larger", "PutItem", `{"TableName":"things","Item":{"p":{"S":"big"},"s":{"N":"1"}}}`, 0, 3},
		{"index entry too", "PutItem", `{"TableName":"things","Item":{"p":{"S":"z"},"s":{"N":"1"},"l":{"N":"1"}}}`, 0, 2},
		{"failed condition", "PutItem", `{"TableName":"things","Item":{"p":{"S":"a"},"s":{"N":"1"}},"ConditionExpression":"attribute_not_exists(p)"}`, 0, 1},
		{"transaction doubles", "TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"things","Item":{"p":{"S":"z"},"s":{"N":"1"}}}},{"Put":{"TableName":"things","Item":{"p":{"S":"z"},"s":{"N":"2"}}}}]}`, 0, 4},
		{"eventual get", "GetItem", `{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}}}`, 0.5, 0},
		{"consistent get", "GetItem", `{"TableName":"things","ConsistentRead":true,"Key":{"p":{"S":"a"},"s":{"N":"1"}}}`, 1, 0},
		{"get of nothing", "GetItem", `{"TableName":"things","Key":{"p":{"S":"none"},"s":{"N":"1"}}}`, 0.5, 0},
		{"update counts the whole item", "UpdateItem", `{"TableName":"things","Key":{"p":{"S":"big"},"s":{"N":"1"}},"UpdateExpression":"SET n = :n","ExpressionAttributeValues":{":n":{"N":"1"}}}`, 0, 3},
		{"delete counts what is deleted", "DeleteItem", `{"TableName":"things","Key":{"p":{"S":"big"},"s":{"N":"1"}}}`, 0, 3},
		{"delete of nothing", "DeleteItem", `{"TableName":"things","Key":{"p":{"S":"none"},"s":{"N":"1"}}}`, 0, 1},
		{"an unchanged index entry takes nothing", "UpdateItem", `{"TableName":"things","Key":{"p":{"S":"by"},"s":{"N":"1"}},"UpdateExpression":"SET oth = :n","ExpressionAttributeValues":{":n":{"N":"1"}},"ConditionExpression":"attribute_exists(g)"}`, 0, 1},
		{"a changed index key takes two writes of the index", "UpdateItem", `{"TableName":"things","Key":{"p":{"S":"by"},"s":{"N":"1"}},"UpdateExpression":"SET g = :g","ExpressionAttributeValues":{":g":{"S":"other"}}}`, 0, 3},
		{"a removed index key takes one", "UpdateItem", `{"TableName":"things","Key":{"p":{"S":"by"},"s":{"N":"1"}},"UpdateExpression":"REMOVE g"}`, 0, 2},
		{"a condition check of a transaction is a write", "TransactWriteItems", `{"TransactItems":[{"ConditionCheck":{"TableName":"things","Key":{"p":{"S":"none"},"s":{"N":"1"}},"ConditionExpression":"attribute_not_exists(p)"}}]}`, 0, 2},
		{"a cancelled transaction", "TransactWriteItems", `{"TransactItems":[{"ConditionCheck":{"TableName":"things","Key":{"p":{"S":"none"},"s":{"N":"1"}},"ConditionExpression":"attribute_exists(p)"}},{"Put":{"TableName":"things","Item":{"p":{"S":"z"},"s":{"N":"1"}}}}]}`, 0, 4},
		{"transactional reads double, one by one", "TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}}}},{"Get":{"TableName":"things","Key":{"p":{"S":"none"},"s":{"N":"1"}}}}]}`, 4, 0},
		{"a batch rounds each item", "BatchGetItem", `{"RequestItems":{"things":{"Keys":[{"p":{"S":"big"},"s":{"N":"1"}},{"p":{"S":"big"},"s":{"N":"2"}},{"p":{"S":"none"},"s":{"N":"1"}}]}}}`, 1.5, 0},
		{"a projection saves nothing", "Query", `{"TableName":"things","KeyConditionExpression":"p = :p","ExpressionAttributeValues":{":p":{"S":"big"}},"ProjectionExpression":"s"}`, 1, 0},
		{"a filter saves nothing", "Query", `{"TableName":"things","KeyConditionExpression":"p = :p","FilterExpression":"oth = :p","ExpressionAttributeValues":{":p":{"S":"big"}}}`, 1, 0},
		{"a count saves nothing", "Scan", `{"TableName":"things","Select":"COUNT"}`, 1, 0},
		{"a query of nothing", "Query", `{"TableName":"things","KeyConditionExpression":"p = :p","ExpressionAttributeValues":{":p":{"S":"none"}}}`, 0.5, 0},
		{"an index reads its entries' size", "Query", `{"TableName":"things","IndexName":"by-g","KeyConditionExpression":"g = :g","ExpressionAttributeValues":{":g":{"S":"g"}}}`, 0.5, 0},
		{"query adds up before rounding", "Query", `{"TableName":"things","ConsistentRead":true,"KeyConditionExpression":"p = :p","ExpressionAttributeValues":{":p":{"S":"big"}}}`, 2, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, "")
			f.ensure(things)
			f.put("a", 1, "")
			f.put("big", 1, `,"x":{"S":"`+kb(3)+`"}`)
			f.put("big", 2, `,"x":{"S":"`+kb(3)+`"}`)
			f.put("by", 1, `,"g":{"S":"g"}`)
			r, w := f.meter.Counter("dynamodb", "things", "read_units"), f.meter.Counter("dynamodb", "things", "write_units")
			r0, w0 := r.Value(), w.Value()
			f.call(tt.operation, tt.body)
			if r.Value()-r0 != tt.read || w.Value()-w0 != tt.write {
				t.Errorf("%v read and %v write units, want %v and %v", r.Value()-r0, w.Value()-w0, tt.read, tt.write)
			}
		})
	}
}

// What a function does with a table is counted for the function as well.
func TestUnitsByFunction(t *testing.T) {
	f := newFixture(t, "")
	f.ensure(things)
	for _, function := range []string{"SendFunction", "SendFunction", ""} {
		ctx := t.Context()
		if function != "" {
			ctx = caller.With(ctx, function)
		}
		if status, response := f.Do(ctx, "DynamoDB_20120810.PutItem", []byte(`{"TableName":"things","Item":{"p":{"S":"a"},"s":{"N":"1"},"g":{"S":"g"}}}`)); status != 200 {
			t.Fatalf("%d %s", status, response)
		}
	}
	f.do("GetItem", `{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}}}`)
	usage := f.meter.Usage()
	want := map[string]map[string]float64{"SendFunction": {"requests.things": 2, "write_units.things": 3, "read_units.things": 0}}
	if got := usage["dynamodb_by_function"]; !reflect.DeepEqual(got, want) {
		t.Errorf("by function: %v, want %v: one unit for the table and, the first time, one for the index", got, want)
	}
	if all := usage["dynamodb"]["things"]; all["write_units"] != 4 || all["requests.PutItem"] != 3 {
		t.Errorf("in all: %v, want 4 units in 3 requests", all)
	}
}
