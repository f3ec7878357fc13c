package dynamodb

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// EnsureTable creates a table, or checks that the one of that name has the same keys, indexes
// and stream; its TTL attribute is set to the given one.
func (db *DB) EnsureTable(spec TableSpec) (TableInfo, error) {
	p := db.NewPlan()
	if _, err := p.Table(spec); err != nil {
		return TableInfo{}, err
	}
	if err := p.Apply(); err != nil {
		return TableInfo{}, err
	}
	t, err := db.table(spec.TableName)
	if err != nil {
		return TableInfo{}, err
	}
	return t.info(), nil
}

// Plan is tables that are to be there. Each is checked when it is planned, and none is made or changed
// before Apply: a stack is there as a whole or not at all. It is for one goroutine.
type Plan struct {
	db    *DB
	specs []TableSpec
	at    time.Time // when the new tables are made, which their streams' ARNs tell
}

// NewPlan begins a plan without tables.
func (db *DB) NewPlan() *Plan { return &Plan{db: db, at: db.now().UTC()} }

// Table plans a table, and tells what it is, or will be but for its ID. A table that is there with other keys, indexes
// or stream is an error.
func (p *Plan) Table(spec TableSpec) (TableInfo, error) {
	t, err := p.db.table(spec.TableName)
	switch {
	case err != nil:
		// Its number is not known yet, and says nothing here: nothing is stored.
		if t, err = p.db.newTable(p.db.newRecord(spec, newSettings(spec), p.at)); err != nil {
			return TableInfo{}, err
		}
	case shape(t.Spec) != shape(spec):
		return TableInfo{}, fmt.Errorf("the table %s is there with other keys, indexes or stream than the template gives it: start with an empty data folder, or change the template back (there: %s, in the template: %s)",
			spec.TableName, shape(t.Spec), shape(spec))
	}
	p.specs = append(p.specs, spec)
	return t.info(), nil
}

// HasTable tells whether a table is there.
func (db *DB) HasTable(name string) bool {
	_, err := db.table(name)
	return err == nil
}

// Names are the planned tables' names.
func (p *Plan) Names() []string {
	names := []string{}
	for _, spec := range p.specs {
		names = append(names, spec.TableName)
	}
	return names
}

// Strangers are the tables that are there, if there are any and the plan has none of them: then they
// are another stack's.
func (p *Plan) Strangers() []string {
	p.db.tablesMu.RLock()
	defer p.db.tablesMu.RUnlock()
	for _, spec := range p.specs {
		if p.db.tables[spec.TableName] != nil {
			return nil
		}
	}
	return sortedKeys(p.db.tables)
}

// Apply makes the tables that are not there, and sets the TTL attribute of those that are.
func (p *Plan) Apply() error {
	for _, spec := range p.specs {
		t, err := p.db.table(spec.TableName)
		if err != nil {
			_, err = p.db.createAt(spec, newSettings(spec), p.at)
		} else {
			err = p.db.change(t, func(s *settings) error { s.TTL = spec.TimeToLiveAttribute; return nil })
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", spec.TableName, err)
		}
	}
	return nil
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
