package dynamodb

import (
	"encoding/binary"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/dynamodb/expr"
)

// Limits of key values in bytes. Source: DynamoDB developer guide, "Service quotas", partition
// and sort keys.
const (
	maxPartitionKey = 2048
	maxSortKey      = 1024
)

// Layout of the keys in the store. Table and index are numbers of fixed length; the key values
// have an order-preserving form that tells its own end.
//
//	item   di table partition sort
//	entry  dx table index partition sort item's-partition item's-sort

// itemPrefix begins the keys of a table's items.
func (t *table) itemPrefix() []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 96), itemSpace...), t.Number)
}

// entryPrefix begins the keys of an index's entries.
func (t *table) entryPrefix(ix *index) []byte {
	p := binary.BigEndian.AppendUint32(append(make([]byte, 0, 160), indexSpace...), t.Number)
	return append(p, ix.number)
}

// appendSchema appends the key values that an item has under a schema.
func appendSchema(dst []byte, s schema, it attr.Item) []byte {
	dst = attr.AppendKey(dst, it[s.pk.Name])
	if s.sk.Name != "" {
		dst = attr.AppendKey(dst, it[s.sk.Name])
	}
	return dst
}

// itemKey is the storage key of an item with valid keys.
func (t *table) itemKey(it attr.Item) []byte { return appendSchema(t.itemPrefix(), t.key, it) }

// entryKey is the storage key of an item's entry in an index; ok is false for an item that does
// not stand in it.
func (t *table) entryKey(ix *index, it attr.Item) (key []byte, ok bool) {
	if it == nil || it[ix.key.pk.Name].Type() != ix.key.pk.Type ||
		ix.key.sk.Name != "" && it[ix.key.sk.Name].Type() != ix.key.sk.Type {
		return nil, false
	}
	return appendSchema(appendSchema(t.entryPrefix(ix), ix.key, it), t.key, it), true
}

// partitionOf is the stripe of an item's partition.
func (db *DB) partitionOf(t *table, pk attr.Value) int {
	return db.stripeOf(attr.AppendKey(t.itemPrefix(), pk))
}

// checkKey checks a Key parameter: exactly the key attributes, of their types.
func (t *table) checkKey(key attr.Item) error {
	n := 1
	if t.key.sk.Name != "" {
		n = 2
	}
	if len(key) != n {
		return mismatch(keyMismatch)
	}
	for name := range key {
		if !t.key.has(name) {
			return mismatch(keyMismatch)
		}
	}
	if key[t.key.pk.Name].Type() != t.key.pk.Type || n == 2 && key[t.key.sk.Name].Type() != t.key.sk.Type {
		return mismatch(keyMismatch)
	}
	return t.checkKeyValues(t.key, "", key)
}

// checkItem checks the keys and index keys of a whole item.
func (t *table) checkItem(it attr.Item) error {
	for _, k := range []expr.Key{t.key.pk, t.key.sk} {
		if k.Name == "" {
			continue
		}
		v, ok := it[k.Name]
		if !ok {
			return mismatch("One or more parameter values were invalid: Missing the key %s in the item", k.Name)
		}
		if v.Type() != k.Type {
			return mismatch("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s", k.Name, k.Type, v.Type())
		}
	}
	if err := t.checkKeyValues(t.key, "", it); err != nil {
		return err
	}
	return t.checkIndexKeys(it)
}

// checkIndexKeys checks that an item's attributes fit the indexes that they are keys of.
func (t *table) checkIndexKeys(it attr.Item) error {
	for _, ix := range t.indexes {
		for _, k := range []expr.Key{ix.key.pk, ix.key.sk} {
			if v, ok := it[k.Name]; k.Name != "" && ok && v.Type() != k.Type {
				return mismatch("One or more parameter values were invalid: Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", k.Name, k.Type, v.Type(), ix.name)
			}
		}
		if err := t.checkKeyValues(ix.key, ix.name, it); err != nil {
			return err
		}
	}
	return nil
}

// checkKeyValues checks the lengths of key values that are there.
func (t *table) checkKeyValues(s schema, index string, it attr.Item) error {
	for i, k := range []expr.Key{s.pk, s.sk} {
		v, ok := it[k.Name]
		if k.Name == "" || !ok || v.Type() == attr.N {
			continue
		}
		if v.Text() == "" {
			if index != "" {
				return invalid("One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty %s value. IndexName: %s, IndexKey: %s", kindName(v), index, k.Name)
			}
			return emptyKey(v, k.Name)
		}
		most, name := maxPartitionKey, "hashkey"
		if i == 1 {
			most, name = maxSortKey, "rangekey"
		}
		if len(v.Text()) > most {
			return invalid("One or more parameter values were invalid: Size of %s has exceeded the maximum size limit of%d bytes", name, most)
		}
	}
	return nil
}

// emptyKey refuses an empty value of a key.
func emptyKey(v attr.Value, key string) error {
	return invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", kindName(v), key)
}

// kindName is how AWS calls the type of a key in these texts.
func kindName(v attr.Value) string {
	if v.Type() == attr.B {
		return "binary"
	}
	return "string"
}

// keyOf is the part of an item that a schema names.
func keyOf(it attr.Item, schemas ...schema) attr.Item {
	key := make(attr.Item, 2*len(schemas))
	for _, s := range schemas {
		for _, k := range []expr.Key{s.pk, s.sk} {
			if v, ok := it[k.Name]; ok && k.Name != "" {
				key[k.Name] = v
			}
		}
	}
	return key
}

// projected is an item as it stands in an index.
func (ix *index) projected(it attr.Item) attr.Item {
	if ix.included == nil {
		return it
	}
	p := make(attr.Item, len(ix.included))
	for name := range ix.included {
		if v, ok := it[name]; ok {
			p[name] = v
		}
	}
	return p
}

// checkScalar refuses an expression that looks into the keys of a table or of its indexes. Source of the
// texts: observed on AWS by dynalite.
func (t *table) checkScalar(e interface{ LooksInto(name string) bool }) error {
	for _, k := range []expr.Key{t.key.pk, t.key.sk} {
		if e.LooksInto(k.Name) {
			return invalid(nestedKey, "Key", k.Name)
		}
	}
	for _, ix := range t.indexes {
		for _, k := range []expr.Key{ix.key.pk, ix.key.sk} {
			if e.LooksInto(k.Name) {
				return invalid(nestedKey, "IndexKey", k.Name)
			}
		}
	}
	return nil
}

const nestedKey = "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: %s: %s"
