package dynamodb

import (
	"bytes"
	"strings"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/dynamodb/expr"
)

// maxActions bounds a transaction. Source: DynamoDB API reference, TransactWriteItems.
const maxActions = 100

// maxTransaction bounds the size of what a transaction carries. Source: DynamoDB developer guide,
// "Amazon DynamoDB Transactions: How it works".
const maxTransaction = 4 << 20

// transactWrite does TransactWriteItems.
func (db *DB) transactWrite(q *request, dst []byte) ([]byte, error) {
	writes := make([]*write, len(q.Actions))
	keys := make([][]byte, len(q.Actions))
	size := 0
	var reasons reasons
	for i := range q.Actions {
		a := &q.Actions[i]
		if err := a.checkWritePlaceholders(a.kind); err != nil {
			return nil, err
		}
		var err error
		if writes[i], err = db.newWrite(a.kind, &a.request); err != nil {
			return nil, err
		}
		size += attr.Size(a.Item) + attr.Size(a.Key) + attr.Size(a.Values)
	}
	for i, w := range writes {
		if err := w.place(db); err != nil {
			message, ok := isMismatch(err)
			if !ok {
				return nil, err
			}
			reasons.add(len(writes), i, reason{Code: validationFailed, Message: message})
			writes[i] = nil
			continue
		}
		keys[i] = w.storeKey
	}
	if reasons != nil {
		// The others are tried as well: each action has its own reason.
		return nil, db.cancel(writes, reasons)
	}
	if repeated(keys) {
		return nil, errRepeated()
	}
	if size > maxTransaction {
		return nil, invalid("Transaction payload size cannot exceed 4MB. Payload Size: %d", size)
	}
	var token *token
	if q.Token != "" {
		var repeat bool
		var err error
		if token, repeat, err = db.tokens.begin(q.Token, db.fingerprint(q.Actions), db.now()); err != nil {
			return nil, err
		}
		if repeat {
			return db.repeatTransact(writes, q, dst)
		}
	}
	changes, err := db.transact(writes, keys)
	if token != nil {
		db.tokens.end(token, err == nil, db.now())
	}
	costs := writesSpent(writes, changes, true)
	for _, s := range costs {
		s.count(q, "TransactWriteItems")
	}
	if err != nil {
		return nil, err
	}
	return append(appendCosts(append(dst, '{'), "", q, costs), '}'), nil
}

// repeatTransact answers a request that has succeeded before: it takes what reading its items takes.
// Source: DynamoDB API reference, TransactWriteItems, "Idempotency".
func (db *DB) repeatTransact(writes []*write, q *request, dst []byte) ([]byte, error) {
	var costs []spent
	for _, w := range writes {
		value, ok, err := db.store.Get(w.storeKey)
		if err != nil {
			return nil, err
		}
		size := 0
		if ok {
			if size, err = attr.SizeBinary(value); err != nil {
				return nil, err
			}
		}
		s := of(&costs, w.table)
		s.read += 2 * readHalves(size, true)
		s.transact = true
	}
	for _, s := range costs {
		s.count(q, "TransactWriteItems")
	}
	return append(appendCosts(append(dst, '{'), "", q, costs), '}'), nil
}

// repeated reports whether a key stands there twice.
func repeated(keys [][]byte) bool {
	for i, key := range keys {
		for _, other := range keys[:i] {
			if key != nil && bytes.Equal(key, other) {
				return true
			}
		}
	}
	return false
}

func errRepeated() error {
	return invalid("Transaction request cannot include multiple operations on one item")
}

// transact makes all of the writes or none.
func (db *DB) transact(writes []*write, keys [][]byte) ([]change, error) {
	unlock := db.lock(keys...)
	var reasons reasons
	if err := db.plan(writes, &reasons); err != nil {
		unlock()
		return nil, err
	}
	if reasons != nil {
		unlock()
		db.settleWrites(writes)
		return nil, reasons.cancel()
	}
	changes := make([]change, 0, len(writes))
	for _, w := range writes {
		if w.kind != conditionCheck {
			changes = append(changes, w.change(db))
		}
	}
	return changes, db.apply(unlock, changes)
}

// plan plans writes, of which some may be nil, and notes what speaks against them. The caller holds their locks.
func (db *DB) plan(writes []*write, reasons *reasons) error {
	for i, w := range writes {
		if w == nil {
			continue
		}
		ok, err := w.plan(db)
		switch {
		case err != nil:
			message, ok := validation(err)
			if !ok {
				return err
			}
			reasons.add(len(writes), i, reason{Code: validationFailed, Message: message})
		case !ok:
			r := reason{Code: conditionFailed, Message: "The conditional request failed"}
			if w.request.ReturnOnFailure == "ALL_OLD" {
				r.Item = w.before
			}
			reasons.add(len(writes), i, r)
		}
	}
	return nil
}

// settleWrites waits until what was read of the items is durable.
func (db *DB) settleWrites(writes []*write) {
	for _, w := range writes {
		if w != nil {
			db.settle(db.partitionOf(w.table, w.key[w.table.key.pk.Name]))
		}
	}
}

// cancel is the error of a transaction in which some actions, nil here, do not fit their tables.
func (db *DB) cancel(writes []*write, reasons reasons) error {
	var keys [][]byte
	for _, w := range writes {
		if w != nil {
			keys = append(keys, w.storeKey)
		}
	}
	unlock := db.lock(keys...)
	err := db.plan(writes, &reasons)
	unlock()
	db.settleWrites(writes)
	if err != nil {
		return err
	}
	return reasons.cancel()
}

// reasons tell why a transaction is cancelled, one for each action; nil while nothing speaks against it.
type reasons []reason

// add sets the reason of action i out of n.
func (r *reasons) add(n, i int, why reason) {
	if *r == nil {
		*r = make(reasons, n)
	}
	(*r)[i] = why
}

func (r reasons) cancel() error {
	codes := make([]string, len(r))
	for i, why := range r {
		if codes[i] = why.Code; why.Code == "" {
			codes[i] = "None"
		}
	}
	return &apiError{
		Type:    "TransactionCanceledException",
		Message: "Transaction cancelled, please refer cancellation reasons for specific reasons [" + strings.Join(codes, ", ") + "]",
		Reasons: r,
	}
}

// transactGet does TransactGetItems: every item as of one moment.
func (db *DB) transactGet(q *request, dst []byte) ([]byte, error) {
	type read struct {
		table      *table
		key        attr.Item
		projection *expr.Projection
	}
	gets := make([]read, len(q.Actions))
	keys := make([][]byte, len(q.Actions))
	var reasons reasons
	for i := range q.Actions {
		a := &q.Actions[i]
		if err := a.checkPlaceholders(source{projectionExpression, a.Projection}); err != nil {
			return nil, err
		}
		t, projection, err := db.newGet(&a.request)
		if err != nil {
			if message, ok := isMismatch(err); ok {
				reasons.add(len(q.Actions), i, reason{Code: validationFailed, Message: message})
				continue
			}
			return nil, err
		}
		gets[i] = read{t, a.Key, projection}
		keys[i] = t.itemKey(a.Key)
		if repeated(keys[:i+1]) {
			return nil, errRepeated()
		}
	}
	if reasons != nil {
		return nil, reasons.cancel()
	}
	unlock := db.lock(keys...)
	items := make([]attr.Item, len(gets))
	var err error
	for i := range gets {
		if items[i], err = db.read(keys[i]); err != nil {
			break
		}
	}
	unlock()
	if err != nil {
		return nil, err
	}
	var costs []spent
	dst = append(dst, `{"Responses":[`...)
	for i, g := range gets {
		db.settle(db.partitionOf(g.table, g.key[g.table.key.pk.Name]))
		s := of(&costs, g.table)
		s.read += 2 * readHalves(attr.Size(items[i]), true)
		s.transact = true
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		if it := items[i]; it != nil {
			if g.projection != nil {
				it = g.projection.Project(it)
			}
			dst = it.AppendJSON(append(dst, `"Item":`...))
		}
		dst = append(dst, '}')
	}
	for _, s := range costs {
		s.count(q, "TransactGetItems")
	}
	return append(appendCosts(append(dst, ']'), `,`, q, costs), '}'), nil
}
