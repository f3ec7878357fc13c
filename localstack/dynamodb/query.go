package dynamodb

import (
	"bytes"
	"cmp"
	"strconv"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/dynamodb/expr"
	"github.com/duet-chat/duet/localstack/storage"
)

// maxPage is how many bytes of items one Query or Scan reads at most. Source: DynamoDB API
// reference, Query.
const maxPage = 1 << 20

// maxSegments bounds a parallel Scan. Source: DynamoDB API reference, Scan.
const maxSegments = 1_000_000

// read of a range: what Query and Scan have in common.
type rangeRead struct {
	request    *request
	table      *table
	index      *index // nil for the table itself
	filter     *expr.Condition
	projection *expr.Projection
	// match drops what lies in the range, but not in the segment; nil keeps everything.
	match        func(it attr.Item) bool
	single       bool // there is one item at most: a key names it all
	fetch        bool // of a local secondary index: the answer needs more than the index holds
	lower, upper []byte
}

// newRangeRead checks what Query and Scan have in common, but for the expressions.
func (db *DB) newRangeRead(q *request) (*rangeRead, error) {
	t, err := db.table(q.TableName)
	if err != nil {
		return nil, err
	}
	r := &rangeRead{request: q, table: t}
	if q.IndexName != "" {
		if r.index, err = t.index(q.IndexName); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// bind binds the expressions that Query and Scan share.
func (r *rangeRead) bind(b *expr.Binder) (err error) {
	if r.request.Filter != nil {
		if r.filter, err = b.Condition(expr.FilterExpression, *r.request.Filter); err != nil {
			return err
		}
	}
	if r.request.Projection != nil {
		if r.projection, err = b.Projection(*r.request.Projection); err != nil {
			return err
		}
	}
	return nil
}

// checkPaths checks what the expressions name, and what else needs no key condition.
func (r *rangeRead) checkPaths() error {
	if r.projection != nil {
		if err := r.table.checkScalar(r.projection); err != nil {
			return err
		}
	}
	if r.filter != nil {
		if err := r.table.checkScalar(r.filter); err != nil {
			return err
		}
	}
	if r.index != nil && r.index.global && r.request.Consistent {
		return invalid("Consistent reads are not supported on global secondary indexes")
	}
	return nil
}

func (r *rangeRead) schema() schema {
	if r.index != nil {
		return r.index.key
	}
	return r.table.key
}

func (r *rangeRead) prefix() []byte {
	if r.index != nil {
		return r.table.entryPrefix(r.index)
	}
	return r.table.itemPrefix()
}

// query does Query.
func (db *DB) query(q *request, dst []byte) ([]byte, error) {
	r, err := db.newRangeRead(q)
	if err != nil {
		return nil, err
	}
	if q.KeyCondition == nil {
		return nil, invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	b, err := db.exprs.Bind(q.Names, q.Values)
	if err != nil {
		return nil, err
	}
	if err := r.bind(b); err != nil {
		return nil, err
	}
	keyed, err := b.KeyCondition(*q.KeyCondition)
	if err != nil {
		return nil, err
	}
	if err := b.Finish(); err != nil {
		return nil, err
	}
	if err := r.checkPaths(); err != nil {
		return nil, err
	}
	s := r.schema()
	cond, err := keyed.On(s.pk, s.sk)
	if err != nil {
		return nil, err
	}
	if err := r.checkBounds(cond); err != nil {
		return nil, err
	}
	if err := r.checkStart(cond); err != nil {
		return nil, err
	}
	if err := r.checkFilter(); err != nil {
		return nil, err
	}
	if err := cmp.Or(q.checkProjection(), r.checkProjected(), r.checkSelect()); err != nil {
		return nil, err
	}
	r.bounds(cond)
	partition := -1
	if r.index == nil || !r.index.global {
		partition = db.partitionOf(r.table, cond.Partition)
	}
	r.single = r.index == nil && s.sk.Name == ""
	return db.readRange(r, "Query", partition, dst)
}

// bounds turns a key condition into a range of storage keys.
func (r *rangeRead) bounds(c expr.KeyCondition) {
	all := attr.AppendKey(r.prefix(), c.Partition)
	at := func(v attr.Value) []byte { return attr.AppendKey(bytes.Clone(all), v) }
	r.lower, r.upper = all, storage.After(all)
	switch c.Sort {
	case expr.Equal:
		r.lower = at(c.Low)
		r.upper = storage.After(r.lower)
	case expr.Less:
		r.upper = at(c.Low)
	case expr.LessOrEqual:
		r.upper = storage.After(at(c.Low))
	case expr.Greater:
		r.lower = storage.After(at(c.Low))
	case expr.GreaterOrEqual:
		r.lower = at(c.Low)
	case expr.Between:
		r.lower, r.upper = at(c.Low), storage.After(at(c.High))
	case expr.BeginsWith:
		r.lower = attr.AppendKeyPrefix(bytes.Clone(all), c.Low)
		r.upper = storage.After(r.lower)
	}
}

// scan does Scan.
func (db *DB) scan(q *request, dst []byte) ([]byte, error) {
	r, err := db.newRangeRead(q)
	if err != nil {
		return nil, err
	}
	b, err := db.exprs.Bind(q.Names, q.Values)
	if err != nil {
		return nil, err
	}
	if err := r.bind(b); err != nil {
		return nil, err
	}
	if err := b.Finish(); err != nil {
		return nil, err
	}
	if err := cmp.Or(q.checkProjection(), r.checkSelect(), r.checkPaths(), r.checkProjected()); err != nil {
		return nil, err
	}
	r.lower = r.prefix()
	r.upper = storage.After(r.lower)
	if q.Segment != nil {
		segment, total := *q.Segment, *q.TotalSegments
		pk := r.schema().pk.Name
		r.match = func(it attr.Item) bool {
			return int64(fnv64(attr.AppendKey(nil, it[pk]))%uint64(total)) == segment
		}
	}
	return db.readRange(r, "Scan", -1, dst)
}

// start moves a bound behind ExclusiveStartKey.
func (r *rangeRead) start() error {
	key := r.request.ExclusiveStartKey
	if key == nil {
		return nil
	}
	if err := r.checkStartKey(); err != nil {
		return err
	}
	at := r.table.itemKey(key)
	if r.index != nil {
		at, _ = r.table.entryKey(r.index, key)
	}
	if r.request.Backward {
		if bytes.Compare(at, r.upper) < 0 {
			r.upper = at
		}
	} else if bytes.Compare(at, r.lower) >= 0 {
		r.lower = append(at, 0)
	}
	if bytes.Compare(r.lower, r.upper) > 0 {
		r.upper = r.lower
	}
	return nil
}

// readRange reads a page and appends the answer. partition is the one that is read, -1 for several.
func (db *DB) readRange(r *rangeRead, operation string, partition int, dst []byte) ([]byte, error) {
	q := r.request
	if err := r.start(); err != nil {
		return nil, err
	}
	limit := int64(1 << 62)
	if q.Limit != nil {
		limit = *q.Limit
	}
	items := q.Select != "COUNT"
	dst = append(dst, '{')
	if items {
		dst = append(dst, `"Items":[`...)
	}
	var (
		size, count, scanned int64
		last                 attr.Item
		fetched              int64 // half units
		failed               error
	)
	visit := func(key, value []byte) bool {
		var it attr.Item
		if r.filter != nil || r.projection != nil || r.match != nil {
			if it, failed = attr.DecodeBinary(value); failed != nil {
				return false
			}
		}
		if r.match != nil && !r.match(it) {
			return true
		}
		n, err := attr.SizeBinary(value)
		if failed = err; err != nil {
			return false
		}
		size += int64(n)
		scanned++
		keep := r.filter == nil || r.filter.Eval(it)
		if keep {
			count++
		}
		if keep && r.fetch {
			if it == nil {
				if it, failed = attr.DecodeBinary(value); failed != nil {
					return false
				}
			}
			var n int
			if value, n, failed = db.fetch(r.table, it); failed != nil {
				return false
			}
			fetched += readHalves(n, q.Consistent)
			if r.projection != nil {
				if it, failed = attr.DecodeBinary(value); failed != nil {
					return false
				}
			}
		}
		if keep && items {
			if count > 1 {
				dst = append(dst, ',')
			}
			if r.projection != nil {
				dst = r.projection.Project(it).AppendJSON(dst)
			} else if dst, failed = attr.AppendBinaryJSON(dst, value); failed != nil {
				return false
			}
		}
		if scanned < limit && size < maxPage {
			return true
		}
		if r.single {
			return false
		}
		// As on AWS, a full page names its last key even if nothing follows.
		if it == nil {
			it, failed = attr.DecodeBinary(value)
		}
		last = keyOf(it, r.table.key, r.schema())
		return false
	}
	if err := db.store.Range(r.lower, r.upper, q.Backward, visit); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, failed
	}
	if partition >= 0 {
		db.settle(partition)
	} else {
		db.settleAll()
	}
	cost := spent{table: r.table, read: readHalves(int(size), q.Consistent)}
	if r.index != nil {
		cost.indexes, cost.read = map[string]int64{r.index.name: cost.read}, fetched
	}
	cost.count(q, operation)
	if items {
		dst = append(dst, `],`...)
	}
	dst = strconv.AppendInt(append(dst, `"Count":`...), count, 10)
	dst = strconv.AppendInt(append(dst, `,"ScannedCount":`...), scanned, 10)
	if last != nil {
		dst = last.AppendJSON(append(dst, `,"LastEvaluatedKey":`...))
	}
	if q.wantsCapacity() {
		dst = cost.append(append(dst, `,"ConsumedCapacity":`...), q.ReturnCapacity)
	}
	return append(dst, '}'), nil
}

// fetch reads the item that an index entry stands for.
func (db *DB) fetch(t *table, entry attr.Item) (value []byte, size int, err error) {
	value, ok, err := db.store.Get(t.itemKey(entry))
	if err != nil {
		return nil, 0, err
	}
	if !ok { // removed since the entry was read: what the entry holds is what there is to tell
		return entry.AppendBinary(nil), 0, nil
	}
	size, err = attr.SizeBinary(value)
	return value, size, err
}

// fnv64 spreads partitions over segments and shards; it stays the same across restarts.
func fnv64(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}
