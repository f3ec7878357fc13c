package dynamodb

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/dynamodb/expr"
	"github.com/duet-chat/duet/localstack/meter"
)

// TableSpec is the input of CreateTable, with the attribute of UpdateTimeToLive. Its JSON is
// AWS's, which is also how a CloudFormation template spells a table's properties.
type TableSpec struct {
	TableName              string
	AttributeDefinitions   []AttributeDefinition
	KeySchema              []KeyElement
	LocalSecondaryIndexes  []IndexSpec          `json:",omitempty"`
	GlobalSecondaryIndexes []IndexSpec          `json:",omitempty"`
	BillingMode            string               `json:",omitempty"`
	ProvisionedThroughput  *Throughput          `json:",omitempty"`
	StreamSpecification    *StreamSpecification `json:",omitempty"`
	TimeToLiveAttribute    string               `json:",omitempty"` // "" for none
}

// AttributeDefinition gives a key attribute's type: S, N or B.
type AttributeDefinition struct{ AttributeName, AttributeType string }

// KeyElement names a key attribute and its role: HASH or RANGE.
type KeyElement struct{ AttributeName, KeyType string }

// IndexSpec is a secondary index.
type IndexSpec struct {
	IndexName             string
	KeySchema             []KeyElement
	Projection            ProjectionSpec
	ProvisionedThroughput *Throughput `json:",omitempty"`
}

// ProjectionSpec says which attributes stand in an index: ALL, KEYS_ONLY or INCLUDE.
type ProjectionSpec struct {
	ProjectionType   string
	NonKeyAttributes []string `json:",omitempty"`
}

// Throughput is kept and shown; nothing is limited by it.
type Throughput struct{ ReadCapacityUnits, WriteCapacityUnits int64 }

// StreamSpecification switches a table's stream on.
type StreamSpecification struct {
	StreamEnabled  bool
	StreamViewType string // NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES or KEYS_ONLY
}

// TableInfo describes a table that exists.
type TableInfo struct {
	Name, ARN, ID string
	StreamARN     string // "" without a stream
	CreatedAt     time.Time
}

// record of a table as it is stored.
type tableRecord struct {
	Spec        TableSpec
	Number      uint32 // in keys
	ID          string
	CreatedAt   time.Time
	StreamLabel string
	Settings    *settings `json:",omitempty"` // nil for those of Spec
}

// table is a table in use. Everything but its settings and dropped is fixed when it is made.
type table struct {
	tableRecord
	dropped bool // takes no more writes; guarded by DB.commits.mu
	arn     string
	key     schema
	indexes []*index
	stream  *Stream // nil without

	settingsMu sync.RWMutex // guards settings; lock after DB.tablesMu
	settings   settings

	reads, writes *meter.Counter
	requests      map[string]*meter.Counter // by operation
	callers       callers
}

// schema is a primary key: the sort key's Name is "" where there is none.
type schema struct{ pk, sk expr.Key }

// index is a secondary index.
type index struct {
	name       string
	number     byte
	global     bool
	key        schema
	projection ProjectionSpec
	included   map[string]bool // attributes of a projection that is not ALL
}

func (s schema) has(name string) bool {
	return name == s.pk.Name || s.sk.Name != "" && name == s.sk.Name
}

// newSchema reads a key schema.
func newSchema(elements []KeyElement, types map[string]attr.Type, used map[string]bool) (schema, error) {
	var s schema
	if len(elements) == 0 || len(elements) > 2 {
		return s, invalid("1 validation error detected: Value at 'keySchema' failed to satisfy constraint: Member must have length less than or equal to 2 and at least 1")
	}
	for i, e := range elements {
		if e.KeyType != "HASH" && e.KeyType != "RANGE" {
			return s, invalid("1 validation error detected: Value '%s' at 'keySchema.%d.member.keyType' failed to satisfy constraint: Member must satisfy enum value set: [HASH, RANGE]", e.KeyType, i+1)
		}
		if want := []string{"HASH", "RANGE"}[i]; e.KeyType != want {
			return s, invalid("Invalid KeySchema: The %s KeySchemaElement is not a %s key type", []string{"first", "second"}[i], want)
		}
		t, ok := types[e.AttributeName]
		if !ok {
			return s, invalid("One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], AttributeDefinitions: %v", e.AttributeName, sortedKeys(types))
		}
		used[e.AttributeName] = true
		k := expr.Key{Name: e.AttributeName, Type: t}
		if i == 0 {
			s.pk = k
		} else {
			s.sk = k
		}
	}
	if s.pk.Name == s.sk.Name {
		return s, invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
	}
	return s, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Limits of a table. Source: DynamoDB developer guide, "Service quotas", secondary indexes.
const (
	maxLocalIndexes  = 5
	maxGlobalIndexes = 20
)

// checkName checks a table's name. Source: DynamoDB developer guide, "Naming rules".
func checkName(name string) error {
	if len(name) < 3 || len(name) > 255 {
		return invalid("TableName must be at least 3 characters long and at most 255 characters long")
	}
	for _, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '-') {
			return invalid("1 validation error detected: Value '%s' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+", name)
		}
	}
	return nil
}

// newTable checks a table's record and makes it usable.
func (db *DB) newTable(r tableRecord) (*table, error) {
	spec := r.Spec
	if err := checkName(spec.TableName); err != nil {
		return nil, err
	}
	if n := len(spec.LocalSecondaryIndexes); n > maxLocalIndexes {
		return nil, invalid("One or more parameter values were invalid: Number of LocalSecondaryIndexes exceeds per-table limit of %d", maxLocalIndexes)
	}
	if n := len(spec.GlobalSecondaryIndexes); n > maxGlobalIndexes {
		return nil, invalid("One or more parameter values were invalid: GlobalSecondaryIndex count exceeds the per-table limit of %d", maxGlobalIndexes)
	}
	types := map[string]attr.Type{}
	for _, d := range spec.AttributeDefinitions {
		t, ok := attr.ParseType(d.AttributeType)
		if !ok || !t.Scalar() {
			return nil, invalid("1 validation error detected: Value '%s' at 'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: Member must satisfy enum value set: [B, N, S]", d.AttributeType)
		}
		types[d.AttributeName] = t
	}
	t := &table{tableRecord: r, settings: newSettings(spec), requests: map[string]*meter.Counter{}}
	if r.Settings != nil {
		t.settings = *r.Settings
	}
	t.arn = fmt.Sprintf("arn:aws:dynamodb:%s:%s:table/%s", db.region, db.account, spec.TableName)
	used := map[string]bool{}
	var err error
	if t.key, err = newSchema(spec.KeySchema, types, used); err != nil {
		return nil, err
	}
	names := map[string]bool{}
	add := func(s IndexSpec, global bool) error {
		var v violations
		if v.name(s.IndexName, "indexName"); len(v) > 0 {
			return v.err()
		}
		if names[s.IndexName] {
			return invalid("One or more parameter values were invalid: Duplicate index name: %s", s.IndexName)
		}
		names[s.IndexName] = true
		ix := &index{name: s.IndexName, number: byte(len(t.indexes)), global: global, projection: s.Projection}
		if ix.key, err = newSchema(s.KeySchema, types, used); err != nil {
			return err
		}
		if !global && (ix.key.pk != t.key.pk || ix.key.sk.Name == "") {
			return invalid("One or more parameter values were invalid: Table KeySchema: The AttributeValue for a key attribute of index %s is not the table's: a local secondary index shares its hash key", s.IndexName)
		}
		if kind, listed := s.Projection.ProjectionType, len(s.Projection.NonKeyAttributes) > 0; kind == "INCLUDE" && !listed {
			return invalid("One or more parameter values were invalid: ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
		} else if kind != "INCLUDE" && listed {
			return invalid("One or more parameter values were invalid: ProjectionType is %s, but NonKeyAttributes is specified", kind)
		}
		switch s.Projection.ProjectionType {
		case "ALL":
		case "KEYS_ONLY", "INCLUDE":
			ix.included = map[string]bool{t.key.pk.Name: true, ix.key.pk.Name: true}
			for _, name := range append([]string{t.key.sk.Name, ix.key.sk.Name}, s.Projection.NonKeyAttributes...) {
				ix.included[name] = true
			}
		default:
			return invalid("One or more parameter values were invalid: Unknown ProjectionType: %s", s.Projection.ProjectionType)
		}
		t.indexes = append(t.indexes, ix)
		return nil
	}
	for _, s := range spec.LocalSecondaryIndexes {
		if err := add(s, false); err != nil {
			return nil, err
		}
	}
	for _, s := range spec.GlobalSecondaryIndexes {
		if err := add(s, true); err != nil {
			return nil, err
		}
	}
	for name := range types {
		if !used[name] {
			return nil, invalid("One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
		}
	}
	t.reads = db.meter.Counter("dynamodb", spec.TableName, "read_units")
	t.callers.meter = db.meter
	t.writes = db.meter.Counter("dynamodb", spec.TableName, "write_units")
	for op := range operations {
		t.requests[op] = db.meter.Counter("dynamodb", spec.TableName, "requests."+op)
	}
	if s := spec.StreamSpecification; s != nil && s.StreamEnabled {
		if !slices.Contains([]string{"NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"}, s.StreamViewType) {
			return nil, invalid("1 validation error detected: Value '%s' at 'streamSpecification.streamViewType' failed to satisfy constraint: Member must satisfy enum value set: [NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES, KEYS_ONLY]", s.StreamViewType)
		}
		if t.stream, err = db.newStream(t); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *table) index(name string) (*index, error) {
	for _, ix := range t.indexes {
		if ix.name == name {
			return ix, nil
		}
	}
	return nil, invalid("The table does not have the specified index: %s", name)
}

func (t *table) info() TableInfo {
	i := TableInfo{Name: t.Spec.TableName, ARN: t.arn, ID: t.ID, CreatedAt: t.CreatedAt}
	if t.stream != nil {
		i.StreamARN = t.stream.arn
	}
	return i
}

// table finds a table by its name or ARN.
func (db *DB) table(name string) (*table, error) {
	db.tablesMu.RLock()
	defer db.tablesMu.RUnlock()
	if t := db.tables[name]; t != nil {
		return t, nil
	}
	for _, t := range db.tables {
		if t.arn == name {
			return t, nil
		}
	}
	return nil, notFound()
}

// create makes a table.
func (db *DB) create(spec TableSpec, set settings) (*table, error) {
	return db.createAt(spec, set, db.now().UTC())
}

// newRecord is a table as it is made, but for its number.
func (db *DB) newRecord(spec TableSpec, set settings, at time.Time) tableRecord {
	return tableRecord{Spec: spec, ID: newID(), CreatedAt: at, StreamLabel: at.Format("2006-01-02T15:04:05.000"), Settings: &set}
}

func (db *DB) createAt(spec TableSpec, set settings, at time.Time) (*table, error) {
	db.tablesMu.Lock()
	defer db.tablesMu.Unlock()
	r := db.newRecord(spec, set, at)
	r.Number = db.nextTable
	t, err := db.newTable(r)
	if err != nil {
		return nil, err
	}
	if db.tables[spec.TableName] != nil { // what is wrong with the request itself comes first
		return nil, refuse("ResourceInUseException", "Table already exists: %s", spec.TableName)
	}
	if err := db.save(t, set); err != nil {
		return nil, err
	}
	db.nextTable++
	db.tables[spec.TableName] = t
	return t, nil
}

// save stores a table with settings that it is about to have.
func (db *DB) save(t *table, s settings) error {
	r := t.tableRecord
	r.Settings = &s
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return db.store.Put(append([]byte(tableSpace), t.Spec.TableName...), value)
}

// drop removes a table with everything in it.
func (db *DB) drop(name string) (*table, error) {
	db.tablesMu.Lock()
	defer db.tablesMu.Unlock()
	t := db.tables[name]
	if t == nil {
		return nil, tableNotFound(name)
	}
	if t.setting().DeletionProtection {
		return nil, invalid("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	}
	b := db.store.NewBatch()
	b.Delete(append([]byte(tableSpace), name...))
	for _, space := range []string{itemSpace, indexSpace, streamSpace} {
		lower := binary.BigEndian.AppendUint32([]byte(space), t.Number)
		b.DeleteRange(lower, binary.BigEndian.AppendUint32([]byte(space), t.Number+1))
	}
	// Writers that have found the table already must not leave anything behind.
	db.commits.mu.Lock()
	t.dropped = true
	err := b.Apply()
	db.commits.mu.Unlock()
	if err != nil {
		return nil, err
	}
	delete(db.tables, name)
	return t, b.Wait()
}

// load opens the tables that are stored.
func (db *DB) load() error {
	var stored []tableRecord
	var bad error
	err := db.store.Scan([]byte(tableSpace), func(key, value []byte) bool {
		var r tableRecord
		if err := json.Unmarshal(value, &r); err != nil {
			bad = fmt.Errorf("table %s: %w", key[len(tableSpace):], err)
			return false
		}
		stored = append(stored, r)
		return true
	})
	if err := errors.Join(err, bad); err != nil {
		return fmt.Errorf("stored tables cannot be read: %w", err)
	}
	for _, r := range stored {
		t, err := db.newTable(r)
		if err != nil {
			return fmt.Errorf("stored table %s: %w", r.Spec.TableName, err)
		}
		db.tables[r.Spec.TableName] = t
		db.nextTable = max(db.nextTable, r.Number+1)
	}
	return nil
}
