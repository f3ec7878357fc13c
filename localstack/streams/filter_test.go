package streams_test

import (
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/streams"
)

const record = `{ "eventID":"1", "eventName" : "INSERT","userIdentity":null,"dynamodb":{"Keys":{"pk":{"S":"a\"}]~b"},"sk":{"N":"12"}},
	"NewImage":{"kind":{"S":"text"},"on":{"BOOL":true},"tags":{"SS":["red","blue"]},"M":{"M":{"kind":{"S":"inner"}}},"éclair":{"S":"h\u00e9"}}},"last":7}`

func TestFilters(t *testing.T) {
	tests := []struct {
		pattern string
		want    bool
	}{
		{`{"eventName":["INSERT"]}`, true},
		{`{"eventName":["MODIFY","INSERT"]}`, true},
		{`{"eventName":["insert"]}`, false},
		{`{"eventName":["MODIFY"]}`, false},
		{`{"none":["INSERT"]}`, false},
		{`{"dynamodb":{"NewImage":{"kind":{"S":["text"]}}}}`, true},
		{`{"dynamodb":{"NewImage":{"kind":{"S":["inner"]}}}}`, false},
		{`{"dynamodb":{"NewImage":{"M":{"M":{"kind":{"S":["inner"]}}}}}}`, true},
		{`{"eventName":["INSERT"],"dynamodb":{"NewImage":{"kind":{"S":["other"]}}}}`, false},
		{`{"dynamodb":{"Keys":{"pk":{"S":["a\"}]~b"]},"sk":{"N":["12"]}}}}`, true},
		{`{"dynamodb":{"Keys":{"sk":{"N":[12]}}}}`, false}, // numbers are strings in typed JSON
		{`{"last":[7]}`, true},
		{`{"last":["7"]}`, false},
		{`{"dynamodb":{"NewImage":{"on":{"BOOL":[true]}}}}`, true},
		{`{"dynamodb":{"NewImage":{"on":{"BOOL":[false]}}}}`, false},
		{`{"userIdentity":[null]}`, true},
		{`{"dynamodb":{"NewImage":{"tags":{"SS":["blue"]}}}}`, true},
		{`{"dynamodb":{"NewImage":{"tags":{"SS":["green"]}}}}`, false},
		{`{"dynamodb":{"NewImage":{"\u00e9clair":{"S":["hé"]}}}}`, true},
		{`{"eventName":[{"prefix":"INS"}]}`, true},
		{`{"eventName":[{"prefix":"MOD"}]}`, false},
		{`{"last":[{"prefix":"7"}]}`, false},
		{`{"eventName":[{"anything-but":"REMOVE"}]}`, true},
		{`{"eventName":[{"anything-but":["REMOVE","INSERT"]}]}`, false},
		{`{"eventName":[{"anything-but":{"prefix":"INS"}}]}`, false},
		{`{"none":[{"anything-but":["REMOVE"]}]}`, false},
		{`{"eventName":[{"exists":true}]}`, true},
		{`{"eventName":[{"exists":false}]}`, false},
		{`{"none":[{"exists":false}]}`, true},
		{`{"none":{"deeper":[{"exists":false}]}}`, true},
		{`{"dynamodb":[{"exists":true}]}`, false}, // not a leaf
		{`{"eventName":["MODIFY",{"prefix":"IN"}]}`, true},
		{`{"eventName":{"deeper":["INSERT"]}}`, false},
		{`{"eventName":[{"suffix":"ERT"}]}`, true},
		{`{"eventName":[{"suffix":"INS"}]}`, false},
		{`{"eventName":[{"anything-but":{"suffix":"ERT"}}]}`, false},
		{`{"eventName":[{"equals-ignore-case":"Insert"}]}`, true},
		{`{"eventName":[{"equals-ignore-case":"Inserts"}]}`, false},
		{`{"$or":[{"eventName":["MODIFY"]},{"last":[7]}]}`, true},
		{`{"$or":[{"eventName":["MODIFY"]},{"last":[8]}]}`, false},
		{`{"eventName":["MODIFY"],"$or":[{"eventName":["INSERT"]},{"last":[7]}]}`, false},
		{`{"dynamodb":{"NewImage":{"$or":[{"kind":{"S":["other"]}},{"on":{"BOOL":[true]}}]}}}`, true},
	}
	for _, test := range tests {
		f, err := streams.ParseFilter(test.pattern)
		if err != nil {
			t.Errorf("ParseFilter(%s) = %v", test.pattern, err)
			continue
		}
		if got := f.Match([]byte(record)); got != test.want {
			t.Errorf("%s matches = %v, want %v", test.pattern, got, test.want)
		}
	}
}

func TestParseFilterRefuses(t *testing.T) {
	for pattern, want := range map[string]string{
		`{"eventName":`:              "not JSON",
		`["INSERT"]`:                 "must be an object",
		`"INSERT"`:                   "must be an object",
		`{}`:                         "empty object",
		`{"eventName":"INSERT"}`:     "pattern.eventName must be an object or a list",
		`{"eventName":[]}`:           "pattern.eventName must be an object or a list",
		`{"eventName":[["INSERT"]]}`: "must not be a list",
		`{"dynamodb":{"N":[{"numeric":[">",1]}]}}`:            "pattern.dynamodb.N: numeric matches nothing",
		`{"eventName":[{"wildcard":"I*"}]}`:                   "operator wildcard",
		`{"$or":[{"eventName":["INSERT"]}]}`:                  "two objects or more",
		`{"$or":[["INSERT"],["MODIFY"]]}`:                     "list of objects",
		`{"eventName":["` + strings.Repeat("x", 4096) + `"]}`: "at most 4096",
		`{"eventName":[{"prefix":"I","exists":true}]}`:        "one name",
		`{"eventName":[{"prefix":1}]}`:                        "prefix must be a string",
		`{"eventName":[{"exists":"yes"}]}`:                    "exists must be true or false",
		`{"eventName":[{"anything-but":{"cidr":"T"}}]}`:       "operator cidr",
	} {
		_, err := streams.ParseFilter(pattern)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseFilter(%s) = %v, want %q", pattern, err, want)
		}
	}
}

func BenchmarkFilter(b *testing.B) {
	f, err := streams.ParseFilter(`{"eventName":["INSERT"]}`)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !f.Match([]byte(record)) {
			b.Fatal("no match")
		}
	}
}

// A mapping is the same as one that was read from the same text, and another one if anything differs.
func TestMappingEqual(t *testing.T) {
	read := func(pattern string, batch int) streams.Mapping {
		f, err := streams.ParseFilter(pattern)
		if err != nil {
			t.Fatal(err)
		}
		return streams.Mapping{Name: "Feed", BatchSize: batch, Filters: []streams.Filter{f}}
	}
	const inserts, removals = `{"eventName":["INSERT"]}`, `{"eventName":["REMOVE"]}`
	if !read(inserts, 10).Equal(read(inserts, 10)) {
		t.Error("the same mapping is not equal to itself")
	}
	if read(inserts, 10).Equal(read(removals, 10)) || read(inserts, 10).Equal(read(inserts, 11)) {
		t.Error("different mappings are equal")
	}
}
