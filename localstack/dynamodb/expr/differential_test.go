package expr_test

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/dynamodb/expr"
)

// The files in testdata are what DynamoDB Local 1.25.1 answered to expressions on
// this item; its table has the partition key pk and no sort key. For the key
// conditions, it was a table with pk (S), sk (N) and one item: pk "a", sk 1.
const recordedItem = `{"pk":{"S":"a"},"s":{"S":"str"},"n":{"N":"5"},"l":{"L":[{"S":"x"},{"N":"2"},{"L":[{"N":"9"}]}]},` +
	`"m":{"M":{"a":{"N":"1"},"b":{"L":[{"M":{"c":{"S":"z"}}}]}}},"ss":{"SS":["a","b"]},"ns":{"NS":["1","2"]},` +
	`"bin":{"B":"YWJj"},"bo":{"BOOL":true},"nu":{"NULL":true}}`

// recorded is one request and its answer.
type recorded struct {
	Src    string
	Names  map[string]string
	Values json.RawMessage
	Absent bool            // the item did not exist; the request's key was pk "zz"
	Error  string          // AWS's message
	Result json.RawMessage // bool; of updates the attributes that changed, null if removed; of projections the item
}

// better are the texts in which the service itself is known to differ from
// DynamoDB Local, and those whose order is that of a Java hash table.
var better = map[string]string{
	"DynamoDB only supports precision up to 38 digits":                                                                     "Attempting to store more than 38 significant digits in a Number",
	"ExpressionAttributeValues contains invalid value: A value provided cannot be converted into a number for key :a":      "ExpressionAttributeValues contains invalid value: The parameter cannot be converted to a numeric value: x for key :a",
	"Value provided in ExpressionAttributeNames unused in expressions: keys: {#c, #a}":                                     "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a, #c}",
	"Invalid ConditionExpression: Invalid attribute type name found; type: q, valid types: {N,BS,L,B,NULL,M,S,SS,NS,BOOL}": "Invalid ConditionExpression: Invalid attribute type name found; type: q, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
	"Invalid ConditionExpression: Incorrect operand type for operator or function; operator or function: attribute_type, operand type: {BOOL,INTSET,DECIMAL,S,L,INT,NS,BS,HD,N,FS,M,DOUBLESET,DICT,FLOAT,NULL,SS,HDS,B,DECIMALSET,DOUBLE}": "Invalid ConditionExpression: Incorrect operand type for operator or function; operator or function: attribute_type, operand type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}",
}

// bySource are expressions whose errors are not those of DynamoDB Local. The
// service adds the name of a missing key. Of several errors that an item or the
// targets cause at once, DynamoDB Local reports one in an order that is not
// documented; here it is the first as written.
var bySource = map[string]string{
	"pk = :p AND zz = :x":             "Query condition missed key schema element: sk",
	"zz = :p":                         "Query condition missed key schema element: pk",
	"sk = :x":                         "Query condition missed key schema element: pk",
	"SET a[0] = :x, a.b = :x, a = :x": "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a, [0]], path two: [a]",
	"SET zz.a = s + :x":               "An operand in the update expression has an incorrect data type",
	"SET a = zz, b = s + :x":          "The provided expression refers to an attribute that does not exist in the item",
	"ADD s :x SET a = zz":             "The provided expression refers to an attribute that does not exist in the item",
	"SET a = zz ADD s :x":             "The provided expression refers to an attribute that does not exist in the item",
}

func load(t *testing.T, file string) []recorded {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []recorded
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func mustItem(t testing.TB, text string) attr.Item {
	t.Helper()
	it, err := attr.DecodeItem([]byte(text))
	if err != nil {
		t.Fatalf("DecodeItem(%s): %v", text, err)
	}
	return it
}

// request runs use on a binder as the engine does, from the values' JSON on.
func (r recorded) request(cache *expr.Cache, use func(*expr.Binder) error) error {
	values := attr.NewReader([]byte("null"))
	if r.Values != nil {
		values = attr.NewReader(r.Values)
	}
	vals := values.ExpressionValues()
	if err := errors.Join(values.Err(), values.Invalid()); err != nil {
		return err
	}
	b, err := cache.Bind(r.Names, vals)
	if err != nil {
		return err
	}
	if err := use(b); err != nil {
		return err
	}
	return b.Finish()
}

// check compares an error with the recorded one and reports whether there was none.
func (r recorded) check(t *testing.T, err error) bool {
	t.Helper()
	got := ""
	var e *attr.Error
	if errors.As(err, &e) {
		got = e.Message
	} else if err != nil {
		t.Errorf("%.200q: an untyped error %v", r.Src, err)
	}
	want := r.Error
	if text, ok := better[want]; ok {
		want = text
	}
	if text, ok := bySource[r.Src]; ok {
		want = text
	}
	if got != want {
		t.Errorf("%.200q %v %s:\n got %s\nwant %s", r.Src, r.Names, r.Values, got, want)
		return false
	}
	return err == nil
}

// updated is the recorded item after a successful update.
func (r recorded) updated(t *testing.T) attr.Item {
	t.Helper()
	it := mustItem(t, recordedItem)
	if r.Absent {
		it = mustItem(t, `{"pk":{"S":"zz"}}`)
	}
	var changes map[string]json.RawMessage
	if err := json.Unmarshal(r.Result, &changes); err != nil {
		t.Fatal(err)
	}
	for name, value := range changes {
		delete(it, name)
		if string(value) == "null" {
			continue
		}
		v, err := attr.DecodeValue(value)
		if err != nil {
			t.Fatal(err)
		}
		it[name] = v
	}
	return it
}

func TestConditionsAnswerAsDynamoDBLocal(t *testing.T) {
	item, cache := mustItem(t, recordedItem), expr.NewCache(10)
	for _, r := range load(t, "condition.json") {
		var cond *expr.Condition
		err := r.request(cache, func(b *expr.Binder) (err error) {
			cond, err = b.Condition(expr.ConditionExpression, r.Src)
			return err
		})
		if !r.check(t, err) {
			continue
		}
		if got, want := cond.Eval(item), string(r.Result) == "true"; got != want {
			t.Errorf("%q %s = %v, want %v", r.Src, r.Values, got, want)
		}
	}
}

func TestUpdatesAnswerAsDynamoDBLocal(t *testing.T) {
	cache := expr.NewCache(10)
	for _, r := range load(t, "update.json") {
		key, old := mustItem(t, `{"pk":{"S":"a"}}`), mustItem(t, recordedItem)
		if r.Absent {
			key, old = mustItem(t, `{"pk":{"S":"zz"}}`), nil
		}
		var updated attr.Item
		err := r.request(cache, func(b *expr.Binder) error {
			u, err := b.Update(r.Src)
			if err != nil {
				return err
			}
			if err := b.Finish(); err != nil {
				return err
			}
			updated, err = u.Apply(old, key)
			return err
		})
		if !r.Absent && !attr.EqualItems(old, mustItem(t, recordedItem)) {
			t.Errorf("%.200q changed the old item", r.Src)
		}
		if !r.check(t, err) {
			continue
		}
		want := r.updated(t)
		if diff := cmp.Diff(string(want.AppendJSON(nil)), string(updated.AppendJSON(nil))); diff != "" {
			t.Errorf("%.200q (-want +got):\n%s", r.Src, diff)
		}
	}
}

func TestProjectionsAnswerAsDynamoDBLocal(t *testing.T) {
	item, cache := mustItem(t, recordedItem), expr.NewCache(10)
	for _, r := range load(t, "projection.json") {
		var p *expr.Projection
		err := r.request(cache, func(b *expr.Binder) (err error) {
			p, err = b.Projection(r.Src)
			return err
		})
		if !r.check(t, err) {
			continue
		}
		want := mustItem(t, string(r.Result))
		if diff := cmp.Diff(string(want.AppendJSON(nil)), string(p.Project(item).AppendJSON(nil))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", r.Src, diff)
		}
	}
}

func TestKeyConditionsAnswerAsDynamoDBLocal(t *testing.T) {
	cache := expr.NewCache(10)
	pk, sk := expr.Key{Name: "pk", Type: attr.S}, expr.Key{Name: "sk", Type: attr.N}
	for _, r := range load(t, "key.json") {
		var k expr.KeyCondition
		err := r.request(cache, func(b *expr.Binder) (err error) {
			k, err = keyCondition(b, r.Src, pk, sk)
			return err
		})
		if !r.check(t, err) {
			continue
		}
		got := attr.Equal(k.Partition, attr.String("a")) && k.Match(attr.Int(1))
		if want := string(r.Result) == "true"; got != want {
			t.Errorf("%q %s = %v, want %v", r.Src, r.Values, got, want)
		}
	}
}
