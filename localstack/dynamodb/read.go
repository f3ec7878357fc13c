package dynamodb

import (
	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/dynamodb/expr"
)

// newGet checks a read of one item.
func (db *DB) newGet(q *request) (*table, *expr.Projection, error) {
	if err := q.checkTableName(); err != nil {
		return nil, nil, err
	}
	t, err := db.table(q.TableName)
	if err != nil {
		return nil, nil, err
	}
	projection, err := db.projection(q)
	if err != nil {
		return nil, nil, err
	}
	if q.Key == nil {
		return nil, nil, invalid("1 validation error detected: Value null at 'key' failed to satisfy constraint: Member must not be null")
	}
	return t, projection, t.checkKey(q.Key)
}

// projection binds a request whose only expression is its projection.
func (db *DB) projection(q *request) (*expr.Projection, error) {
	b, err := db.exprs.Bind(q.Names, nil)
	if err != nil {
		return nil, err
	}
	var projection *expr.Projection
	if q.Projection != nil {
		if projection, err = b.Projection(*q.Projection); err != nil {
			return nil, err
		}
	}
	return projection, b.Finish()
}

// getItem does GetItem.
func (db *DB) getItem(q *request, dst []byte) ([]byte, error) {
	if err := q.checkCapacityDetail(); err != nil {
		return nil, err
	}
	t, projection, err := db.newGet(q)
	if err != nil {
		return nil, err
	}
	dst = append(dst, '{')
	dst, size, err := db.appendItem(dst, `"Item":`, t, q.Key, projection)
	if err != nil {
		return nil, err
	}
	cost := spent{table: t, read: readHalves(size, q.Consistent)}
	cost.count("GetItem")
	if q.wantsCapacity() {
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = cost.append(append(dst, `"ConsumedCapacity":`...), q.ReturnCapacity)
	}
	return append(dst, '}'), nil
}

// appendItem appends an item, behind a prefix, if there is one, and returns its size.
func (db *DB) appendItem(dst []byte, prefix string, t *table, key attr.Item, projection *expr.Projection) (_ []byte, size int, _ error) {
	value, ok, err := db.store.Get(t.itemKey(key))
	if err != nil {
		return nil, 0, err
	}
	db.settle(db.partitionOf(t, key[t.key.pk.Name]))
	if !ok {
		return dst, 0, nil
	}
	if size, err = attr.SizeBinary(value); err != nil {
		return nil, 0, err
	}
	dst = append(dst, prefix...)
	if projection == nil {
		dst, err = attr.AppendBinaryJSON(dst, value)
		return dst, size, err
	}
	it, err := attr.DecodeBinary(value)
	if err != nil {
		return nil, 0, err
	}
	return projection.Project(it).AppendJSON(dst), size, nil
}

// Limits of a batch. Source: DynamoDB API reference, BatchGetItem and BatchWriteItem.
const (
	maxBatchKeys   = 100
	maxBatchWrites = 25
	maxBatchBytes  = 16 << 20 // of an answer; keys beyond it are left unprocessed
)

// batchGet does BatchGetItem.
func (db *DB) batchGet(q *request, dst []byte) ([]byte, error) {
	if err := q.checkCapacityDetail(); err != nil {
		return nil, err
	}
	type part struct {
		tableBatch
		table      *table
		projection *expr.Projection
	}
	parts := make([]part, len(q.Tables))
	total := 0
	for i, b := range q.Tables {
		t, err := db.table(b.table)
		if err != nil {
			return nil, err
		}
		projection, err := db.projection(&b.request)
		if err != nil {
			return nil, err
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
	switch {
	case total == 0:
		return nil, invalid("1 validation error detected: Value '{}' at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1")
	case total > maxBatchKeys:
		return nil, invalid("Too many items requested for the BatchGetItem call")
	}
	var costs []spent
	unprocessed := map[string][]attr.Item{}
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
				unprocessed[p.tableBatch.table] = append(unprocessed[p.tableBatch.table], key)
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
		cost.count("BatchGetItem")
		costs = append(costs, cost)
	}
	dst = append(dst, `},"UnprocessedKeys":{`...)
	for i, name := range sortedKeys(unprocessed) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(attr.AppendString(dst, name), `:{"Keys":[`...)
		for j, key := range unprocessed[name] {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = key.AppendJSON(dst)
		}
		dst = append(dst, `]}`...)
	}
	dst = append(dst, '}')
	return append(appendCosts(dst, q, costs), '}'), nil
}

// appendCosts appends the capacities of several tables, if the request asked for them.
func appendCosts(dst []byte, q *request, costs []spent) []byte {
	if !q.wantsCapacity() {
		return dst
	}
	dst = append(dst, `,"ConsumedCapacity":[`...)
	for i, c := range costs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = c.append(dst, q.ReturnCapacity)
	}
	return append(dst, ']')
}

// batchWrite does BatchWriteItem: each write on its own, none of them conditional.
func (db *DB) batchWrite(q *request, dst []byte) ([]byte, error) {
	if err := q.checkCapacityDetail(); err != nil {
		return nil, err
	}
	var writes []*write
	var keys [][]byte
	seen := map[string]bool{}
	for i := range q.Tables {
		b := &q.Tables[i]
		for j := range b.writes {
			a := &b.writes[j]
			kind := map[string]string{"PutRequest": put, "DeleteRequest": deletion}[a.kind]
			if kind == "" {
				return nil, invalid("Supplied WriteRequest must contain exactly one of PutRequest or DeleteRequest")
			}
			a.TableName = b.table
			w, err := db.newWrite(kind, &a.request)
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
	switch {
	case len(writes) == 0:
		return nil, invalid("1 validation error detected: Value '{}' at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1")
	case len(writes) > maxBatchWrites:
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
	costs := transactSpent(writes)
	for i := range costs {
		costs[i].write /= 2 // a batch is no transaction
		costs[i].count("BatchWriteItem")
	}
	for i := range changes {
		for _, n := range changes[i].indexes {
			changes[i].table.writes.AddHalf(n)
		}
	}
	dst = append(dst, `{"UnprocessedItems":{}`...)
	return append(appendCosts(dst, q, costs), '}'), nil
}
