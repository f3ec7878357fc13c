package streams

import (
	"encoding/json"
	"testing"
)

// A member is found exactly where encoding/json finds it.
func FuzzMember(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, ` { "b" : "x\"}" , "a" : [ {"a":2} , "]" ] } `, `{"\u0061":{"b":null}}`, `[]`, `"a"`, `{}`, `{"":-1.5e3,"a":true}`, `{"x":{"a":1},"a":{}}`} {
		f.Add([]byte(seed), "a")
	}
	f.Fuzz(func(t *testing.T, object []byte, name string) {
		if !json.Valid(object) {
			// Whatever is no JSON must end nevertheless.
			member(object, name)
			anyElement(object, func([]byte) bool { return false })
			return
		}
		got, ok := member(object, name)
		var members map[string]json.RawMessage
		if json.Unmarshal(object, &members) != nil {
			if ok {
				t.Fatalf("member(%s, %q) = %s of no object", object, name, got)
			}
			return
		}
		want, there := members[name]
		if ok != there && duplicates(object) == 0 {
			t.Fatalf("member(%s, %q) is there = %v, want %v", object, name, ok, there)
		}
		if ok && duplicates(object) == 0 && string(got) != string(want) {
			t.Fatalf("member(%s, %q) = %s, want %s", object, name, got, want)
		}
	})
}

// duplicates counts names that come more than once in the outer object: encoding/json takes the
// last, member the first, and DynamoDB writes none.
func duplicates(object []byte) int {
	seen := map[string]bool{}
	n := 0
	for i := space(object, 0) + 1; ; {
		if i = space(object, i); i >= len(object) || object[i] != '"' {
			return n
		}
		end := endOfValue(object, i)
		name, _ := text(object[i:end])
		if seen[string(name)] {
			n++
		}
		seen[string(name)] = true
		i = endOfValue(object, space(object, space(object, end)+1))
		if i = space(object, i); i < len(object) && object[i] == ',' {
			i++
		}
	}
}
