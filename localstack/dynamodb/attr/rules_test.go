package attr_test

import (
	"testing"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

func TestSizeFollowsTheDocumentedRules(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want int
	}{
		{`{}`, 0},
		{`{"ab":{"S":"xyz"}}`, 5},
		{`{"a":{"S":"é"}}`, 3},
		{`{"a":{"B":"YWJj"}}`, 4},
		{`{"a":{"BOOL":false},"b":{"NULL":true}}`, 4},
		{`{"a":{"N":"0"}}`, 2},
		{`{"a":{"N":"1"}}`, 3},
		{`{"a":{"N":"-1"}}`, 4},
		{`{"a":{"N":"100"}}`, 3},
		{`{"a":{"N":"12"}}`, 3},
		{`{"a":{"N":"123"}}`, 4},
		{`{"a":{"N":"1230"}}`, 4},
		{`{"a":{"N":"0.01"}}`, 3},
		{`{"a":{"N":"1700000000123"}}`, 1 + 1 + 7},
		{`{"a":{"SS":["x","yz"]}}`, 4},
		{`{"a":{"NS":["1","22"]}}`, 5},
		{`{"a":{"L":[]}}`, 4},
		{`{"a":{"L":[{"S":"x"},{"N":"1"}]}}`, 1 + 3 + 2 + 1 + 2},
		{`{"a":{"M":{"bc":{"S":"x"}}}}`, 1 + 3 + 1 + 2 + 1},
	} {
		it, err := attr.DecodeItem([]byte(tc.in))
		if err != nil {
			t.Fatal(err)
		}
		if got := attr.Size(it); got != tc.want {
			t.Errorf("Size(%s) = %d, want %d", tc.in, got, tc.want)
		}
	}
}

func TestArithmeticRefusesWhatDoesNotFit(t *testing.T) {
	for _, tc := range []struct{ a, b, want string }{
		{"99999999999999999999999999999999999999", "1", "100000000000000000000000000000000000000"},
		{"99999999999999999999999999999999999999", "0.1", ""},
		{"9e125", "9e125", ""},
		{"0.1", "0.2", "0.3"},
		{"999999999999999999", "1", "1000000000000000000"},
		{"5", "-5", "0"},
		{"1e125", "1e-130", ""},
	} {
		a, _ := attr.Number(tc.a)
		b, _ := attr.Number(tc.b)
		got, err := attr.Add(a, b)
		if (err != nil) != (tc.want == "") || got.Text() != tc.want {
			t.Errorf("Add(%s, %s) = %q, %v, want %q", tc.a, tc.b, got.Text(), err, tc.want)
		}
	}
}

func TestValuesOfDifferentTypesHaveNoOrder(t *testing.T) {
	for _, pair := range [][2]attr.Value{
		{attr.String("1"), attr.Int(1)},
		{attr.Bool(true), attr.Bool(true)},
		{attr.Null(), attr.Null()},
		{attr.StringSet("a"), attr.StringSet("a")},
	} {
		if _, ok := attr.Compare(pair[0], pair[1]); ok {
			t.Errorf("Compare(%v, %v) has an order", pair[0], pair[1])
		}
	}
	if attr.Equal(attr.String("1"), attr.Int(1)) || attr.Equal(attr.Map(nil), attr.List(nil)) {
		t.Error("values of different types are equal")
	}
}

// message is an item of the busiest table.
const message = `{"conversation":{"S":"alice~bob"},"seq":{"N":"123456"},"from":{"S":"alice"},"device":{"S":"phone"},"n":{"N":"4711"},` +
	`"kind":{"S":"text"},"text":{"S":"Shall we meet at the station at seven, or is that too early for you?"},"at":{"N":"1790000000000"},"reply_to":{"N":"123450"}}`

func BenchmarkDecodeItem(b *testing.B) {
	data := []byte(message)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := attr.DecodeItem(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkItem(b *testing.B) {
	it, err := attr.DecodeItem([]byte(message))
	if err != nil {
		b.Fatal(err)
	}
	bin := it.AppendBinary(nil)
	var buf []byte
	for name, op := range map[string]func(){
		"AppendJSON":       func() { buf = it.AppendJSON(buf[:0]) },
		"AppendBinary":     func() { buf = it.AppendBinary(buf[:0]) },
		"AppendBinaryJSON": func() { buf, _ = attr.AppendBinaryJSON(buf[:0], bin) },
		"DecodeBinary":     func() { _, _ = attr.DecodeBinary(bin) },
		"LookupBinary":     func() { _, _, _ = attr.LookupBinary(bin, "seq") },
		"Size":             func() { attr.Size(it) },
		"SizeBinary":       func() { _, _ = attr.SizeBinary(bin) },
		"AppendKey":        func() { buf = attr.AppendKey(attr.AppendKey(buf[:0], it["conversation"]), it["seq"]) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				op()
			}
		})
	}
}
