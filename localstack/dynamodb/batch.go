package dynamodb

import (
	"strings"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/dynamodb/expr"
)

// Limits of a batch. Source: DynamoDB API reference, BatchGetItem and BatchWriteItem.
const (
	maxBatchKeys   = 100
	maxBatchWrites = 25
	maxBatchBytes  = 16 << 20 // of an answer; keys beyond it are left unprocessed
)

// batchGet does BatchGetItem.
func (db *DB) batchGet(q *request, dst []byte) ([]byte, error) {
	type part struct {
		tableBatch
		table      *table
		projection *expr.Projection
	}
	parts := make([]part, len(q.Tables))
	total := 0
	for i, b := range q.Tables {
		projection, err := db.projection(&b.request)
		if err != nil {
			return nil, err
		}
		t, err := db.table(b.table)
		if err != nil {
			return nil, err
		}
		if projection != nil {
			if err := t.checkScalar(projection); err != nil {
				return nil, err
			}
		}
		seen := map[string]bool{}
		for _, key := range b.keys {
			if err := t.checkKey(key); err != nil {
				return nil, err
			}
			if k := string(t.itemKey(key)); seen[k] {
				return nil, invalid("Provided list of item keys contains duplicates")
			} else {
				seen[k] = true
			}
		}
		total += len(b.keys)
		parts[i] = part{b, t, projection}
	}
	if total > maxBatchKeys {
		return nil, invalid("Too many items requested for the BatchGetItem call")
	}
	var costs []spent
	unprocessed := make([][]attr.Item, len(parts))
	dst = append(dst, `{"Responses":{`...)
	for i, p := range parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = attr.AppendString(dst, p.tableBatch.table)
		dst = append(dst, `:[`...)
		cost := spent{table: p.table}
		first := true
		for _, key := range p.keys {
			if len(dst) > maxBatchBytes {
				unprocessed[i] = append(unprocessed[i], key)
				continue
			}
			prefix := ","
			if first {
				prefix = ""
			}
			before := len(dst)
			var size int
			var err error
			if dst, size, err = db.appendItem(dst, prefix, p.table, key, p.projection); err != nil {
				return nil, err
			}
			first = first && len(dst) == before
			cost.read += readHalves(size, p.Consistent)
		}
		dst = append(dst, ']')
		cost.count(q, "BatchGetItem")
		costs = append(costs, cost)
	}
	dst = append(dst, `},"UnprocessedKeys":{`...)
	separator := ""
	for i, p := range parts {
		if len(unprocessed[i]) > 0 {
			dst = p.appendUnprocessed(append(dst, separator...), unprocessed[i])
			separator = ","
		}
	}
	dst = append(dst, '}')
	return append(appendCosts(dst, `,`, q, costs), '}'), nil
}

// appendUnprocessed appends what a client has to ask again: the keys, and how they are to be read.
func (b *tableBatch) appendUnprocessed(dst []byte, keys []attr.Item) []byte {
	dst = append(attr.AppendString(dst, b.table), `:{"Keys":[`...)
	for i, key := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = key.AppendJSON(dst)
	}
	dst = append(dst, ']')
	if b.Consistent {
		dst = append(dst, `,"ConsistentRead":true`...)
	}
	if b.Projection != nil {
		dst = attr.AppendString(append(dst, `,"ProjectionExpression":`...), *b.Projection)
	}
	if b.Names != nil {
		dst = append(dst, `,"ExpressionAttributeNames":{`...)
		for i, name := range sortedKeys(b.Names) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(attr.AppendString(dst, name), ':')
			dst = attr.AppendString(dst, b.Names[name])
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// batchWrite does BatchWriteItem: each write on its own, none of them conditional.
func (db *DB) batchWrite(q *request, dst []byte) ([]byte, error) {
	var writes []*write
	var keys [][]byte
	seen := map[string]bool{}
	for i := range q.Tables {
		b := &q.Tables[i]
		for j := range b.writes {
			a := &b.writes[j]
			w, err := db.newBatchWrite(b.table, a)
			if err != nil {
				return nil, err
			}
			if seen[string(w.storeKey)] {
				return nil, invalid("Provided list of item keys contains duplicates")
			}
			seen[string(w.storeKey)] = true
			writes, keys = append(writes, w), append(keys, w.storeKey)
		}
	}
	if len(writes) > maxBatchWrites {
		return nil, invalid("Too many items requested for the BatchWriteItem call")
	}
	unlock := db.lock(keys...)
	changes := make([]change, len(writes))
	for i, w := range writes {
		if _, err := w.plan(db); err != nil {
			unlock()
			return nil, err
		}
		changes[i] = w.change(db)
	}
	if err := db.apply(unlock, changes); err != nil {
		return nil, err
	}
	costs := writesSpent(writes, changes, false)
	for _, s := range costs {
		s.count(q, "BatchWriteItem")
	}
	dst = append(dst, `{"UnprocessedItems":{}`...)
	return append(appendCosts(dst, `,`, q, costs), '}'), nil
}

func (db *DB) newBatchWrite(table string, a *action) (*write, error) {
	a.TableName = table
	switch {
	case a.kinds == 1 && a.kind == "PutRequest":
		w, err := db.newWrite(put, &a.request)
		if err != nil {
			return nil, err
		}
		if err = w.place(db); err == nil {
			return w, nil
		}
		if _, ok := isMismatch(err); ok {
			// Of a batch AWS tells a wrong key in other words than of a PutItem.
			if t, _ := db.table(table); t != nil && t.checkKey(keyOf(a.Item, t.key)) != nil {
				err = mismatch(keyMismatch)
			}
		}
		return nil, err
	case a.kinds == 1 && a.kind == "DeleteRequest":
		w, err := db.newWrite(deletion, &a.request)
		if err != nil {
			return nil, err
		}
		return w, w.place(db)
	}
	return nil, invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes") // as AWS says it
}

// memberName is the name of a member in AWS's error texts, which begins in lower case.
func memberName(name string) string {
	if name == "" {
		return ""
	}
	return strings.ToLower(name[:1]) + name[1:]
}
