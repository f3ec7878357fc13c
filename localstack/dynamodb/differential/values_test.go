package differential

import (
	"encoding/base64"
	"strings"

	"pgregory.net/rapid"
)

// pick draws one of some values.
func pick[V any](t *rapid.T, label string, values ...V) V {
	return rapid.SampledFrom(values).Draw(t, label)
}

// chance is true in about so many of 100 cases.
func chance(t *rapid.T, label string, percent int) bool {
	return rapid.IntRange(1, 100).Draw(t, label) > 100-percent
}

// The attributes of generated items: few, so that requests meet.
var attributes = []string{"a", "b", "c", "d", "e"}

var numbers = []string{
	"0", "1", "2", "-1", "5", "10", "1.5", "-2.25", "1e2", "1E-3", "100", "0.001", "007", "-0", "+3", "3.10", "123456789012345678901234567890",
	"1e125", "-1e125", "1e-130", "99999999999999999999999999999999999999", "0.1", ".5", "5.",
}

var texts = []string{"", "a", "b", "ab", "abc", "hello", "é", "日本", "S", "N", "SS", "x\u0000y", "'", "\"quoted\""}

var binaries = []string{"", "a", "ab", "\x00\xff", "abc", "b"}

func base64Of(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// scalar draws a value of a key's type from a small domain.
func scalar(t *rapid.T, kind string) object {
	switch kind {
	case "S":
		return object{"S": pick(t, "S", "a", "b", "c", "ab", "é")}
	case "N":
		return object{"N": pick(t, "N", "0", "1", "2", "-1", "10", "1.5", "1e2", "-3.25")}
	}
	return object{"B": base64Of(pick(t, "B", "a", "b", "ab", "\x00", "\xff"))}
}

// distinct draws different members.
func distinct(t *rapid.T, label string, from []string) []string {
	seen := map[string]bool{}
	var members []string
	for range rapid.IntRange(1, 3).Draw(t, label) {
		if m := pick(t, label, from...); !seen[m] {
			seen[m] = true
			members = append(members, m)
		}
	}
	return members
}

// value draws a value of any type.
func value(t *rapid.T, depth int) object {
	kinds := []string{"S", "N", "N", "S", "B", "BOOL", "NULL", "SS", "NS", "BS"}
	if depth > 0 {
		kinds = append(kinds, "M", "L", "M", "L")
	}
	switch kind := pick(t, "type", kinds...); kind {
	case "S":
		return object{"S": pick(t, "S", texts...)}
	case "N":
		return object{"N": pick(t, "N", numbers...)}
	case "B":
		return object{"B": base64Of(pick(t, "B", binaries...))}
	case "BOOL":
		return object{"BOOL": rapid.Bool().Draw(t, "BOOL")}
	case "NULL":
		return object{"NULL": true}
	case "SS":
		return object{"SS": distinct(t, "SS", texts[1:])}
	case "NS":
		return object{"NS": distinct(t, "NS", []string{"1", "2", "3", "-1", "1.5", "1e3", "10"})}
	case "BS":
		members := distinct(t, "BS", binaries[1:])
		for i := range members {
			members[i] = base64Of(members[i])
		}
		return object{"BS": members}
	case "M":
		m := object{}
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			m[pick(t, "name", "a", "b", "c", "x y")] = value(t, depth-1)
		}
		return object{"M": m}
	}
	l := []any{}
	for range rapid.IntRange(0, 3).Draw(t, "elements") {
		l = append(l, value(t, depth-1))
	}
	return object{"L": l}
}

// key is an attribute of a key.
type key struct{ name, kind string }

// indexSchema is a secondary index.
type indexSchema struct {
	name     string
	global   bool
	keys     []key
	included []string // nil for ALL
	kind     string   // of the projection
}

// schema is a table.
type schema struct {
	table   string
	keys    []key
	indexes []indexSchema
	view    string // "" without a stream
}

func elements(keys []key) []object {
	var list []object
	for i, k := range keys {
		list = append(list, object{"AttributeName": k.name, "KeyType": []string{"HASH", "RANGE"}[i]})
	}
	return list
}

// newSchema draws a table with some indexes.
func newSchema(t *rapid.T) *schema {
	kind := func(label string) string { return pick(t, label, "S", "S", "N", "B") }
	s := &schema{table: tableName(), keys: []key{{"p", kind("partition key")}}}
	if chance(t, "sort key", 65) {
		s.keys = append(s.keys, key{"s", kind("sort key")})
	}
	projection := func(ix *indexSchema) {
		switch ix.kind = pick(t, "projection", "ALL", "KEYS_ONLY", "INCLUDE"); ix.kind {
		case "KEYS_ONLY":
			ix.included = []string{}
		case "INCLUDE":
			ix.included = pick(t, "included", []string{"a"}, []string{"a", "b"})
		}
	}
	if len(s.keys) == 2 && chance(t, "LSI", 40) {
		ix := indexSchema{name: "lsi", keys: []key{s.keys[0], {"l", kind("LSI key")}}}
		projection(&ix)
		s.indexes = append(s.indexes, ix)
	}
	if chance(t, "GSI", 50) {
		ix := indexSchema{name: "gsi", global: true, keys: []key{{"g", kind("GSI partition key")}}}
		if chance(t, "GSI sort key", 50) {
			ix.keys = append(ix.keys, key{"h", kind("GSI sort key")})
		}
		projection(&ix)
		s.indexes = append(s.indexes, ix)
	}
	s.view = pick(t, "view", "", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY")
	return s
}

// create is the CreateTable request of a schema.
func (s *schema) create() object {
	request := object{"TableName": s.table, "BillingMode": "PAY_PER_REQUEST", "KeySchema": elements(s.keys)}
	seen := map[string]bool{}
	var definitions []object
	define := func(keys []key) {
		for _, k := range keys {
			if !seen[k.name] {
				seen[k.name] = true
				definitions = append(definitions, object{"AttributeName": k.name, "AttributeType": k.kind})
			}
		}
	}
	define(s.keys)
	for _, ix := range s.indexes {
		define(ix.keys)
		projection := object{"ProjectionType": ix.kind}
		if ix.kind == "INCLUDE" {
			projection["NonKeyAttributes"] = ix.included
		}
		member := "LocalSecondaryIndexes"
		if ix.global {
			member = "GlobalSecondaryIndexes"
		}
		list, _ := request[member].([]object)
		request[member] = append(list, object{"IndexName": ix.name, "KeySchema": elements(ix.keys), "Projection": projection})
	}
	request["AttributeDefinitions"] = definitions
	if s.view != "" {
		request["StreamSpecification"] = object{"StreamEnabled": true, "StreamViewType": s.view}
	}
	return request
}

// key draws the primary key of an item.
func (s *schema) key(t *rapid.T) object {
	k := object{}
	for _, a := range s.keys {
		k[a.name] = scalar(t, a.kind)
	}
	return k
}

// item draws an item, mostly one that fits the indexes.
func (s *schema) item(t *rapid.T) object {
	it := s.key(t)
	for range rapid.IntRange(0, 4).Draw(t, "attributes") {
		it[pick(t, "attribute", attributes...)] = value(t, 2)
	}
	for _, ix := range s.indexes {
		for _, k := range ix.keys {
			if _, ok := it[k.name]; ok {
				continue
			}
			switch {
			case chance(t, "indexed", 70):
				it[k.name] = scalar(t, k.kind)
			case chance(t, "wrong type", 15):
				it[k.name] = value(t, 0)
			}
		}
	}
	if chance(t, "large", 10) {
		// Sizes around where units begin.
		it["big"] = object{"S": text1024[:pick(t, "size", 1, 500, 1000, 1010, 1024, 1024)] + text4096[:pick(t, "more", 0, 1024, 3000, 4096)]}
	}
	return it
}

var text1024 = strings.Repeat("x", 1024)
var text4096 = strings.Repeat("y", 4096)
