package dynamodb

import (
	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/dynamodb/expr"
)

// newGet checks a read of one item whose members have been checked.
func (db *DB) newGet(q *request) (*table, *expr.Projection, error) {
	projection, err := db.projection(q)
	if err != nil {
		return nil, nil, err
	}
	t, err := db.table(q.TableName)
	if err != nil {
		return nil, nil, err
	}
	if err := t.checkKey(q.Key); err != nil {
		return nil, nil, err
	}
	if projection != nil {
		err = t.checkScalar(projection)
	}
	return t, projection, err
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
	cost.count(q, "GetItem")
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
