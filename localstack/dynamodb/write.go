package dynamodb

import (
	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/dynamodb/expr"
	"github.com/duet-chat/duet/localstack/storage"
)

// Kinds of writes.
const (
	put            = "Put"
	update         = "Update"
	deletion       = "Delete"
	conditionCheck = "ConditionCheck"
	get            = "Get" // no write, but an action
)

// write is one write of a request, checked and bound to its table.
type write struct {
	kind      string
	table     *table
	request   *request
	key       attr.Item
	item      attr.Item // of a put
	storeKey  []byte
	condition *expr.Condition // nil for none
	update    *expr.Update    // nil for none: an update that only makes sure the item exists

	before, after attr.Item // set by plan
}

// change is a write that has been decided: what the store, the indexes and the stream must show.
type change struct {
	table         *table
	storeKey      []byte
	partition     int // stripe of the partition
	key           attr.Item
	before, after attr.Item // nil for no item
	expired       bool      // made by TTL

	indexes map[string]int64 // what each index took, in half units; set by apply
	shard   int
	record  uint64 // number of its stream record, once it has one
}

// newWrite makes a write of a request whose members have been checked; place has to follow.
func (db *DB) newWrite(kind string, q *request) (*write, error) {
	if attr.Size(q.Item) > attr.MaxItemSize {
		return nil, invalid("Item size has exceeded the maximum allowed size")
	}
	w := &write{kind: kind, request: q}
	return w, w.bind(db)
}

// place finds the write's table, and checks that the write fits it.
func (w *write) place(db *DB) error {
	q := w.request
	t, err := db.table(q.TableName)
	if err != nil {
		return err
	}
	w.table = t
	if w.kind == put {
		if err := t.checkItem(q.Item); err != nil {
			return err
		}
		w.item, w.key = q.Item, keyOf(q.Item, t.key)
	} else {
		if err := t.checkKey(q.Key); err != nil {
			return err
		}
		w.key = q.Key
	}
	if w.update != nil {
		for _, name := range w.update.Attributes() {
			if t.key.has(name) {
				return mismatch("One or more parameter values were invalid: Cannot update attribute %s. This attribute is part of the key", name)
			}
		}
		if err := t.checkScalar(w.update); err != nil {
			return err
		}
	}
	if w.condition != nil {
		if err := t.checkScalar(w.condition); err != nil {
			return err
		}
	}
	w.storeKey = t.itemKey(w.key)
	return nil
}

// bind binds the expressions of a write.
func (w *write) bind(db *DB) error {
	q := w.request
	b, err := db.exprs.Bind(q.Names, q.Values)
	if err != nil {
		return err
	}
	if q.Update != nil && w.kind == update {
		if w.update, err = b.Update(*q.Update); err != nil {
			return err
		}
	}
	if q.Condition != nil {
		if w.condition, err = b.Condition(expr.ConditionExpression, *q.Condition); err != nil {
			return err
		}
	}
	return b.Finish()
}

// read reads the item as it is. The caller holds its lock.
func (db *DB) read(key []byte) (attr.Item, error) {
	value, ok, err := db.store.Get(key)
	if err != nil || !ok {
		return nil, err
	}
	return attr.DecodeBinary(value)
}

// plan reads the item and decides what becomes of it; ok is false when the condition fails. The
// caller holds the item's lock.
func (w *write) plan(db *DB) (ok bool, err error) {
	if w.before, err = db.read(w.storeKey); err != nil {
		return false, err
	}
	w.after = w.before
	if w.condition != nil && !w.condition.Eval(w.before) {
		return false, nil
	}
	switch w.kind {
	case put:
		w.after = w.item
	case deletion:
		w.after = nil
	case update:
		if w.update == nil {
			if w.after == nil {
				w.after = w.key
			}
			break
		}
		if w.after, err = w.update.Apply(w.before, w.key); err != nil {
			return false, err
		}
		if w.before == nil && w.update.OnlyRemoves() {
			w.after = nil // there is nothing to remove, and nothing to make an item of
			break
		}
		if err := w.table.checkIndexKeys(w.after); err != nil {
			return false, err
		}
		if attr.Size(w.after) > attr.MaxItemSize {
			return false, invalid("Item size to update has exceeded the maximum allowed size")
		}
	}
	return true, nil
}

// change is what plan decided.
func (w *write) change(db *DB) change {
	return change{
		table: w.table, storeKey: w.storeKey, partition: db.partitionOf(w.table, w.key[w.table.key.pk.Name]),
		key: w.key, before: w.before, after: w.after,
	}
}

// units is what the write takes in whole write units: by the larger of the item before and after.
func (w *write) units() int64 {
	return writeUnits(max(attr.Size(w.before), attr.Size(w.after)))
}

// apply adds a change to a batch: the item and its index entries.
func (c *change) apply(b *storage.Batch) {
	switch {
	case c.after != nil:
		b.Set(c.storeKey, c.after.AppendBinary(make([]byte, 0, 512)))
	case c.before != nil:
		b.Delete(c.storeKey)
	}
	for _, ix := range c.table.indexes {
		if units := c.applyIndex(b, ix); units > 0 {
			if c.indexes == nil {
				c.indexes = map[string]int64{}
			}
			c.indexes[ix.name] = 2 * units
		}
	}
}

// applyIndex keeps one index. A changed key costs a removal and an insertion, a changed
// projection one write. Source: DynamoDB developer guide, "Write operations and local secondary
// indexes".
func (c *change) applyIndex(b *storage.Batch, ix *index) (units int64) {
	old, had := c.table.entryKey(ix, c.before)
	now, has := c.table.entryKey(ix, c.after)
	if !had && !has {
		return 0
	}
	before, after := ix.projected(c.before), ix.projected(c.after)
	if had && has && string(old) == string(now) {
		if attr.EqualItems(before, after) {
			return 0
		}
		b.Set(now, after.AppendBinary(nil))
		return writeUnits(max(attr.Size(before), attr.Size(after)))
	}
	if had {
		b.Delete(old)
		units += writeUnits(attr.Size(before))
	}
	if has {
		b.Set(now, after.AppendBinary(nil))
		units += writeUnits(attr.Size(after))
	}
	return units
}

// single does PutItem, UpdateItem or DeleteItem.
func (db *DB) single(kind, operation string, q *request, dst []byte) ([]byte, error) {
	if kind != update && q.ReturnValues != "" && q.ReturnValues != "NONE" && q.ReturnValues != "ALL_OLD" {
		return nil, invalid("ReturnValues can only be ALL_OLD or NONE")
	}
	w, err := db.newWrite(kind, q)
	if err != nil {
		return nil, err
	}
	if err := w.place(db); err != nil {
		return nil, err
	}
	unlock := db.lock(w.storeKey)
	ok, err := w.plan(db)
	if err != nil || !ok {
		unlock()
		db.settle(db.partitionOf(w.table, w.key[w.table.key.pk.Name]))
		if err != nil {
			return nil, err
		}
		spent{table: w.table, write: 2 * w.units()}.count(q, operation)
		failed := &apiError{Type: "ConditionalCheckFailedException", Message: "The conditional request failed"}
		if q.ReturnOnFailure == "ALL_OLD" {
			failed.Item = w.before
		}
		return nil, failed
	}
	cost := spent{table: w.table, write: 2 * w.units()}
	changes := []change{w.change(db)}
	if err := db.apply(unlock, changes); err != nil {
		return nil, err
	}
	cost.indexes = changes[0].indexes
	cost.count(q, operation)
	dst = append(dst, '{')
	if it := w.returned(); it != nil {
		dst = append(dst, `"Attributes":`...)
		dst = it.AppendJSON(dst)
	}
	if q.wantsCapacity() {
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = cost.append(append(dst, `"ConsumedCapacity":`...), q.ReturnCapacity)
	}
	return append(dst, '}'), nil
}

// apply commits changes, unlocks their items as soon as the changes are visible, and waits until
// they are durable.
func (db *DB) apply(unlock func(), changes []change) error {
	b := db.store.NewBatch()
	for i := range changes {
		changes[i].apply(b)
	}
	wait, err := db.commit(b, changes)
	unlock()
	if err != nil {
		b.Close()
		return err
	}
	return wait()
}

// returned is what ReturnValues asks for, nil for nothing.
func (w *write) returned() attr.Item {
	switch w.request.ReturnValues {
	case "ALL_OLD":
		return w.before
	case "ALL_NEW":
		return w.after
	case "UPDATED_OLD":
		if w.update != nil && w.before != nil {
			return w.update.Changed(w.before)
		}
	case "UPDATED_NEW":
		if w.update != nil {
			return w.update.Changed(w.after)
		}
	}
	return nil
}
