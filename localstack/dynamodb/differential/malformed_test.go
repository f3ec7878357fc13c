package differential

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Requests that are wrong in one place are refused by both, with the same type of error and with texts
// that mean the same; what both accept, they answer alike.
func TestMalformedRequests(t *testing.T) {
	e := newEngines(t)
	s := &schema{
		table: tableName(), keys: []key{{"p", "S"}, {"s", "N"}},
		indexes: []indexSchema{
			{name: "lsi", keys: []key{{"p", "S"}, {"l", "S"}}, kind: "KEYS_ONLY", included: []string{}},
			{name: "gsi", global: true, keys: []key{{"g", "B"}}, kind: "ALL"},
		},
	}
	for _, engine := range []engine{e.local, e.embedded} {
		if a := ask(t, engine, target+"CreateTable", s.create()); a.failed() {
			t.Fatalf("CreateTable: %s", a)
		}
	}
	e.check(t, 400, func(t *rapid.T) {
		// Both start from the same item, whatever the request before has done.
		for _, engine := range []engine{e.local, e.embedded} {
			if a := ask(t, engine, target+"PutItem", object{"TableName": s.table, "Item": sample}); a.failed() {
				t.Fatalf("PutItem: %s", a)
			}
		}
		requests := valid(s.table)
		operation := rapid.SampledFrom(slices.Sorted(maps.Keys(requests))).Draw(t, "operation")
		request := requests[operation]
		mistyped := spoil(t, request)
		local, embedded := ask(t, e.local, target+operation, request), ask(t, e.embedded, target+operation, request)
		for _, a := range []answer{local, embedded} {
			freeReads(a)
			byTable(a)
		}
		e.compareMalformed(t, operation, request, mistyped, local, embedded)
		if local.failed() != embedded.failed() {
			// One of them has written something.
			for _, engine := range []engine{e.local, e.embedded} {
				empty(t, engine, s)
			}
		}
	})
}

// empty removes a table's items.
func empty(t rapid.TB, e engine, s *schema) {
	items, _ := ask(t, e, target+"Scan", object{"TableName": s.table}).Body["Items"].([]any)
	for _, it := range items {
		k := object{}
		for _, a := range s.keys {
			k[a.name] = it.(object)[a.name]
		}
		if a := ask(t, e, target+"DeleteItem", object{"TableName": s.table, "Key": k}); a.failed() {
			t.Fatalf("DeleteItem: %s", a)
		}
	}
}

var sample = object{"p": object{"S": "a"}, "s": object{"N": "1"}, "n": object{"N": "5"}, "l": object{"S": "x"}, "g": object{"B": "YQ=="}}

// valid are requests that both accept.
func valid(table string) map[string]object {
	key := func() object { return object{"p": object{"S": "a"}, "s": object{"N": "1"}} }
	item := func() object {
		return object{"p": object{"S": "a"}, "s": object{"N": "1"}, "n": object{"N": "6"}, "set": object{"SS": []any{"x", "y"}},
			"ns": object{"NS": []any{"1", "2"}}, "bs": object{"BS": []any{"YQ=="}}, "m": object{"M": object{"k": object{"BOOL": true}}},
			"list": object{"L": []any{object{"NULL": true}, object{"B": "YQ=="}}}}
	}
	names := func() object { return object{"#n": "n"} }
	values := func() object { return object{":n": object{"N": "1"}} }
	return map[string]object{
		"GetItem": {"TableName": table, "Key": key(), "ConsistentRead": true, "ProjectionExpression": "#n, p", "ExpressionAttributeNames": names(), "ReturnConsumedCapacity": "TOTAL"},
		"PutItem": {"TableName": table, "Item": item(), "ConditionExpression": "#n > :n", "ExpressionAttributeNames": names(), "ExpressionAttributeValues": values(),
			"ReturnValues": "ALL_OLD", "ReturnValuesOnConditionCheckFailure": "ALL_OLD", "ReturnConsumedCapacity": "INDEXES"},
		"UpdateItem": {"TableName": table, "Key": key(), "UpdateExpression": "SET #n = #n + :n", "ConditionExpression": "attribute_exists(p)", "ExpressionAttributeNames": names(),
			"ExpressionAttributeValues": values(), "ReturnValues": "UPDATED_NEW", "ReturnValuesOnConditionCheckFailure": "NONE"},
		"DeleteItem": {"TableName": table, "Key": key(), "ConditionExpression": "#n > :n", "ExpressionAttributeNames": names(), "ExpressionAttributeValues": values(), "ReturnValues": "ALL_OLD"},
		"Query": {"TableName": table, "KeyConditionExpression": "p = :p AND s > :s", "FilterExpression": "#n > :n", "ProjectionExpression": "#n",
			"ExpressionAttributeNames": names(), "ExpressionAttributeValues": object{":n": object{"N": "1"}, ":p": object{"S": "a"}, ":s": object{"N": "0"}},
			"Limit": 10, "ScanIndexForward": false, "ConsistentRead": false, "Select": "SPECIFIC_ATTRIBUTES", "ExclusiveStartKey": object{"p": object{"S": "a"}, "s": object{"N": "3"}}},
		"Scan": {"TableName": table, "IndexName": "gsi", "FilterExpression": "#n > :n", "ExpressionAttributeNames": names(), "ExpressionAttributeValues": values(),
			"Limit": 10, "Segment": 0, "TotalSegments": 1, "ReturnConsumedCapacity": "TOTAL"},
		"BatchGetItem":   {"RequestItems": object{table: object{"Keys": []any{key()}, "ConsistentRead": true, "ProjectionExpression": "#n", "ExpressionAttributeNames": names()}}},
		"BatchWriteItem": {"RequestItems": object{table: []any{object{"PutRequest": object{"Item": item()}}, object{"DeleteRequest": object{"Key": object{"p": object{"S": "b"}, "s": object{"N": "2"}}}}}}},
		"TransactWriteItems": {"TransactItems": []any{
			object{"Put": object{"TableName": table, "Item": item(), "ConditionExpression": "attribute_exists(p)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}},
			object{"Update": object{"TableName": table, "Key": object{"p": object{"S": "b"}, "s": object{"N": "2"}}, "UpdateExpression": "SET #n = :n", "ExpressionAttributeNames": names(), "ExpressionAttributeValues": values()}},
			object{"ConditionCheck": object{"TableName": table, "Key": object{"p": object{"S": "c"}, "s": object{"N": "2"}}, "ConditionExpression": "attribute_not_exists(p)"}},
			object{"Delete": object{"TableName": table, "Key": object{"p": object{"S": "d"}, "s": object{"N": "2"}}}},
		}},
		"TransactGetItems": {"TransactItems": []any{object{"Get": object{"TableName": table, "Key": key(), "ProjectionExpression": "#n", "ExpressionAttributeNames": names()}}}},
	}
}

// spoil changes one place of a request, and reports whether it put a value of another JSON type there.
func spoil(t *rapid.T, request object) (mistyped bool) {
	var parent any = request
	for {
		switch p := parent.(type) {
		case object:
			name := rapid.SampledFrom(slices.Sorted(maps.Keys(p))).Draw(t, "member")
			if deeper(t, p[name]) {
				parent = p[name]
				continue
			}
			if chance(t, "remove", 20) {
				delete(p, name)
			} else if chance(t, "rename", 10) {
				p[name+"x"] = p[name]
				delete(p, name)
			} else {
				old := p[name]
				p[name] = wrong(t, old)
				return retyped(old, p[name])
			}
		case []any:
			i := rapid.IntRange(0, len(p)-1).Draw(t, "element")
			if deeper(t, p[i]) {
				parent = p[i]
				continue
			}
			old := p[i]
			p[i] = wrong(t, old)
			return retyped(old, p[i])
		}
		return false
	}
}

// retyped reports whether a value stands where one of another JSON type has to be, there or further in.
func retyped(old, v any) bool {
	if v == nil || text(v) == "{}" && typeOf(old) == "object" || text(v) == "[]" && typeOf(old) == "array" {
		return false
	}
	t := typeOf(v)
	return t != typeOf(old) || t == "object" || t == "array"
}

func typeOf(v any) string {
	switch v := v.(type) {
	case object:
		return "object"
	case []any:
		return "array"
	default:
		return fmt.Sprintf("%T", v)
	}
}

func deeper(t *rapid.T, v any) bool {
	switch v := v.(type) {
	case object:
		return len(v) > 0 && chance(t, "deeper", 75)
	case []any:
		return len(v) > 0 && chance(t, "deeper", 75)
	}
	return false
}

// wrong draws something else than a value.
func wrong(t *rapid.T, v any) any {
	if _, ok := v.(string); ok && chance(t, "of the same type", 60) {
		return pick[any](t, "string", "", " ", "x", "ab", strings.Repeat("n", 256), "NONE", "ALL_NEW", "bad name!", "5", strings.Repeat("k", 3000))
	}
	if _, ok := v.(int); ok && chance(t, "of the same type", 60) {
		return pick[any](t, "number", 0, -1, 1, 1<<31-1)
	}
	return pick[any](t, "wrong", nil, nil, "", "text", 7, 1.5, true, []any{}, object{}, []any{"x"}, object{"x": "y"}, object{"S": "x"}, object{"N": "x"}, object{"S": "x", "N": "1"}, object{"SS": []any{}})
}

// compareMalformed compares the answers to a request that may be malformed.
func (e *engines) compareMalformed(t rapid.TB, operation string, request object, mistyped bool, local, embedded answer) {
	t.Helper()
	if strings.HasSuffix(embedded.Type, "#SerializationException") && (mistyped || strings.Contains(embedded.Message, "ase64")) {
		return // DynamoDB Local takes much for what it is not, or breaks on it: AWS refuses it
	}
	if local.Status == http.StatusInternalServerError && embedded.Status == http.StatusBadRequest {
		return // it breaks on what AWS refuses
	}
	if !local.failed() && matches(one+`'' at '\w+' failed to satisfy constraint: Member must satisfy enum value set: .*`, embedded.Message) {
		return // it takes an empty string for none
	}
	want := expected(operation, request, local, embedded)
	for _, w := range refusals {
		if (want.Type == embedded.Type || w.anyType && want.failed() && embedded.failed()) && w.same(want.Message, embedded.Message) {
			want.Type, want.Message, want.Body = embedded.Type, embedded.Message, embedded.Body
		}
	}
	if want.Type == embedded.Type && strings.HasPrefix(want.Message, "Value ") && strings.Contains(embedded.Message, want.Message) {
		want.Message = embedded.Message // AWS tells all of them
	}
	for i, r := range reasonsOf(want) {
		if theirs := reasonsOf(embedded); i < len(theirs) {
			for _, w := range refusals {
				if w.same(fmt.Sprint(r["Message"]), fmt.Sprint(theirs[i]["Message"])) {
					r["Message"] = theirs[i]["Message"]
				}
			}
		}
	}
	if diff := cmp.Diff(want, embedded); diff != "" {
		e.differ(t, operation, request, want, embedded, diff)
	}
}
