package dynamodb

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// EnsureTable creates a table, or checks that the one of that name has the same keys, indexes
// and stream; its TTL attribute is set to the given one.
func (db *DB) EnsureTable(spec TableSpec) (TableInfo, error) {
	t, err := db.table(spec.TableName)
	if err != nil {
		if t, err = db.create(spec, newSettings(spec)); err != nil {
			return TableInfo{}, err
		}
		return t.info(), nil
	}
	have, want := shape(t.Spec), shape(spec)
	if have != want {
		return TableInfo{}, fmt.Errorf("table %s exists with other keys, indexes or stream than the template gives it: start with an empty data folder, or change the template back\n  exists:   %s\n  template: %s", spec.TableName, have, want)
	}
	err = db.change(t, func(s *settings) error { s.TTL = spec.TimeToLiveAttribute; return nil })
	if err != nil {
		return TableInfo{}, err
	}
	return t.info(), nil
}

// shape is what cannot be changed on a table that exists.
func shape(s TableSpec) string {
	definitions := slices.SortedFunc(slices.Values(s.AttributeDefinitions), func(a, b AttributeDefinition) int {
		return strings.Compare(a.AttributeName, b.AttributeName)
	})
	// These are plain values: marshalling them cannot fail.
	j, _ := json.Marshal([]any{definitions, s.KeySchema, s.LocalSecondaryIndexes, s.GlobalSecondaryIndexes, s.StreamSpecification})
	return string(j)
}
