package dynamodb

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/storage"
	"github.com/duet-chat/duet/localstack/streams"
)

// shards is how many shards each stream has, about as many as a new on-demand table has on AWS.
// They never split. A partition's records are all in one of them.
const shards = 4

// Retention is how long records are kept. Source: DynamoDB developer guide, "Change data capture
// for DynamoDB Streams".
const retention = 24 * time.Hour

// Stream is a table's stream; see Source for reading it by an event source mapping.
type Stream struct {
	db    *DB
	arn   string
	table *table
	label string

	closeOnce sync.Once
	closed    chan struct{}

	// next is the number of the next record; guarded by DB.commits.mu.
	next uint64

	mu    sync.Mutex            // guards what follows
	until [shards]uint64        // the newest durable record of each shard, 0 for none
	wake  [shards]chan struct{} // closed and renewed when until moves
}

// newStream opens the stream of a table; the caller is about to make the table usable.
func (db *DB) newStream(t *table) (*Stream, error) {
	st := &Stream{db: db, table: t, label: t.StreamLabel, arn: t.arn + "/stream/" + t.StreamLabel, closed: make(chan struct{}), next: 1}
	for shard := range shards {
		st.wake[shard] = make(chan struct{})
		prefix := st.prefix(shard)
		err := db.store.Range(prefix, storage.After(prefix), true, func(key, _ []byte) bool {
			st.until[shard] = binary.BigEndian.Uint64(key[len(prefix):])
			st.next = max(st.next, st.until[shard]+1)
			return false
		})
		if err != nil {
			return nil, err
		}
		trimmed, err := st.trimmed(shard)
		if err != nil {
			return nil, err
		}
		st.next = max(st.next, trimmed+1)
	}
	return st, nil
}

// prefix begins the keys of a shard's records: ds table shard number.
func (st *Stream) prefix(shard int) []byte {
	p := binary.BigEndian.AppendUint32(append(make([]byte, 0, 24), streamSpace...), st.table.Number)
	return append(p, byte(shard))
}

func (st *Stream) recordKey(shard int, number uint64) []byte {
	return binary.BigEndian.AppendUint64(st.prefix(shard), number)
}

// trimmedKey is the key of a shard's last number that was trimmed. Without it numbers would start over
// when nothing is kept, behind the checkpoints of those who read the stream.
func (st *Stream) trimmedKey(shard int) []byte { return st.prefix(shard | 0x80) }

// trimmed is a shard's last number that was trimmed, 0 if none was.
func (st *Stream) trimmed(shard int) (uint64, error) {
	value, ok, err := st.db.store.Get(st.trimmedKey(shard))
	if err != nil || !ok {
		return 0, err
	}
	return binary.BigEndian.Uint64(value), nil
}

// sequenceDigits is the length of our sequence numbers, the least that AWS's API accepts.
const sequenceDigits = 21

// sequence is a record's number in AWS's form, a decimal string of more than 20 digits.
func sequence(number uint64) string { return fmt.Sprintf("1%020d", number) }

// parseSequence is the inverse of sequence.
func parseSequence(s string) (uint64, error) {
	if len(s) < sequenceDigits {
		return 0, invalid("1 validation error detected: Value '%s' at 'sequenceNumber' failed to satisfy constraint: Member must have length greater than or equal to %d", s, sequenceDigits)
	}
	if len(s) == sequenceDigits && s[0] == '1' {
		if n, err := strconv.ParseUint(s[1:], 10, 64); err == nil && n > 0 {
			return n, nil
		}
	}
	return 0, invalid("One or more parameter values were invalid: Invalid SequenceNumber")
}

// A stored record is 8 bytes of time in milliseconds, 8 bytes of the item key's hash, and JSON.
const recordHeader = 16

// append adds the record of a change to its batch. The caller holds DB.commits.mu. A change that
// changes nothing has none.
func (st *Stream) append(b *storage.Batch, c *change) {
	if c.before == nil && c.after == nil || c.before != nil && c.after != nil && attr.EqualItems(c.before, c.after) {
		return
	}
	number := st.next
	st.next++
	now := st.db.now()
	partition := attr.AppendKey(nil, c.key[st.table.key.pk.Name])
	c.shard, c.record = int(fnv64(partition)%shards), number
	value := make([]byte, recordHeader, 1024)
	binary.BigEndian.PutUint64(value, uint64(now.UnixMilli()))
	binary.BigEndian.PutUint64(value[8:], fnv64(c.storeKey))
	value = st.appendRecord(value, c, number, now)
	b.Set(st.recordKey(c.shard, number), value)
}

// expiredBy marks a removal by TTL in a Lambda event. Source: DynamoDB developer guide, "DynamoDB Streams
// and Time to Live".
const expiredBy = `,"userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"}`

// appendRecord appends a record as it stands in a Lambda event.
func (st *Stream) appendRecord(dst []byte, c *change, number uint64, now time.Time) []byte {
	event := "MODIFY"
	switch {
	case c.before == nil:
		event = "INSERT"
	case c.after == nil:
		event = "REMOVE"
	}
	seq := sequence(number)
	view := st.table.Spec.StreamSpecification.StreamViewType
	dst = append(dst, `{"eventID":"`...)
	dst = append(dst, strconv.FormatUint(fnv64([]byte(st.arn+seq)), 16)...)
	dst = append(dst, `","eventName":"`...)
	dst = append(dst, event...)
	dst = append(dst, `","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"`...)
	dst = append(dst, st.db.region...)
	dst = append(dst, `","dynamodb":{"ApproximateCreationDateTime":`...)
	dst = strconv.AppendInt(dst, now.Unix(), 10)
	dst = c.key.AppendJSON(append(dst, `,"Keys":`...))
	size := attr.Size(c.key)
	if c.after != nil && (view == "NEW_IMAGE" || view == "NEW_AND_OLD_IMAGES") {
		dst = c.after.AppendJSON(append(dst, `,"NewImage":`...))
		size += attr.Size(c.after)
	}
	if c.before != nil && (view == "OLD_IMAGE" || view == "NEW_AND_OLD_IMAGES") {
		dst = c.before.AppendJSON(append(dst, `,"OldImage":`...))
		size += attr.Size(c.before)
	}
	dst = append(dst, `,"SequenceNumber":"`...)
	dst = append(dst, seq...)
	dst = strconv.AppendInt(append(dst, `","SizeBytes":`...), int64(size), 10)
	dst = append(dst, `,"StreamViewType":"`...)
	dst = append(dst, view...)
	dst = append(dst, `"}`...)
	if c.expired {
		dst = append(dst, expiredBy...)
	}
	dst = append(dst, `,"eventSourceARN":"`...)
	dst = append(dst, st.arn...)
	return append(dst, `"}`...)
}

// publish lets readers see a shard's records up to a number: they are durable.
func (st *Stream) publish(shard int, number uint64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if number > st.until[shard] {
		st.until[shard] = number
		close(st.wake[shard])
		st.wake[shard] = make(chan struct{})
	}
}

func (st *Stream) close() { st.closeOnce.Do(func() { close(st.closed) }) }

// Stream finds a stream by its ARN.
func (db *DB) Stream(arn string) (*Stream, error) {
	db.tablesMu.RLock()
	defer db.tablesMu.RUnlock()
	for _, t := range db.tables {
		if t.stream != nil && t.stream.arn == arn {
			return t.stream, nil
		}
	}
	return nil, refuse("ResourceNotFoundException", "Requested resource not found: Stream: %s not found", arn)
}

func shardID(shard int) string { return fmt.Sprintf("shardId-%020d-%08d", 1, shard) }

func parseShard(id string) (int, error) {
	for shard := range shards {
		if shardID(shard) == id {
			return shard, nil
		}
	}
	return 0, refuse("ResourceNotFoundException", "Requested resource not found: Shard: %s not found", id)
}

// Shards are the ids of the shards. They do not change.
func (st *Stream) Shards() []string {
	ids := make([]string, shards)
	for shard := range ids {
		ids[shard] = shardID(shard)
	}
	return ids
}

// Latest is the sequence number of a shard's newest record, "" if there is none.
func (st *Stream) Latest(shard string) string {
	n, err := parseShard(shard)
	if err != nil {
		return ""
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.until[n] == 0 {
		return ""
	}
	return sequence(st.until[n])
}

// Read implements streams.Source.
func (st *Stream) Read(ctx context.Context, shard, after string, limit int) ([]streams.Record, error) {
	n, err := parseShard(shard)
	if err != nil {
		return nil, err
	}
	var from uint64
	if after != "" {
		if from, err = parseSequence(after); err != nil {
			return nil, err
		}
	}
	for {
		st.mu.Lock()
		until, wake := st.until[n], st.wake[n]
		st.mu.Unlock()
		if until > from {
			records, err := st.records(n, from, until, limit)
			if err != nil || len(records) > 0 {
				return records, err
			}
			from = until // all of them have been trimmed
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-st.closed:
			return nil, context.Canceled
		}
	}
}

// maxRead is how many bytes of records one read returns at most, if it is not one larger record. Source:
// DynamoDB Streams API reference, GetRecords.
const maxRead = 1 << 20

// records reads records with from < number <= until.
func (st *Stream) records(shard int, from, until uint64, limit int) ([]streams.Record, error) {
	var found []streams.Record
	size := 0
	prefix := len(st.prefix(shard))
	err := st.db.store.Range(st.recordKey(shard, from+1), st.recordKey(shard, until+1), false, func(key, value []byte) bool {
		if size += len(value) - recordHeader; size > maxRead && len(found) > 0 {
			return false
		}
		found = append(found, streams.Record{
			SequenceNumber: sequence(binary.BigEndian.Uint64(key[prefix:])),
			At:             time.UnixMilli(int64(binary.BigEndian.Uint64(value))),
			ItemKey:        binary.BigEndian.Uint64(value[8:]),
			JSON:           bytes.Clone(value[recordHeader:]),
		})
		return len(found) < limit
	})
	return found, err
}

// trim removes records older than the retention.
func (st *Stream) trim(now time.Time) error {
	for shard := range shards {
		prefix := st.prefix(shard)
		var upper []byte
		err := st.db.store.Range(prefix, storage.After(prefix), false, func(key, value []byte) bool {
			if now.Sub(time.UnixMilli(int64(binary.BigEndian.Uint64(value)))) < retention {
				return false
			}
			upper = append(upper[:0], key...)
			return true
		})
		if err != nil {
			return err
		}
		if upper == nil {
			continue
		}
		b := st.db.store.NewBatch()
		b.Set(st.trimmedKey(shard), upper[len(prefix):])
		b.DeleteRange(prefix, append(upper, 0))
		if err := b.Commit(); err != nil {
			return err
		}
	}
	return nil
}
