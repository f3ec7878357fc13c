package dynamodb_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
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
		{"query adds up before rounding", "Query", `{"TableName":"things","ConsistentRead":true,"KeyConditionExpression":"p = :p","ExpressionAttributeValues":{":p":{"S":"big"}}}`, 2, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, "")
			f.ensure(things)
			f.put("a", 1, "")
			f.put("big", 1, `,"x":{"S":"`+kb(3)+`"}`)
			f.put("big", 2, `,"x":{"S":"`+kb(3)+`"}`)
			r, w := f.meter.Counter("dynamodb", "things", "read_units"), f.meter.Counter("dynamodb", "things", "write_units")
			r0, w0 := r.Value(), w.Value()
			f.call(tt.operation, tt.body)
			if r.Value()-r0 != tt.read || w.Value()-w0 != tt.write {
				t.Errorf("%v read and %v write units, want %v and %v", r.Value()-r0, w.Value()-w0, tt.read, tt.write)
			}
		})
	}
}
