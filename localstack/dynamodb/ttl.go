package dynamodb

import (
	"bytes"
	"slices"
	"time"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/storage"
)

// maxOverdue is how old an expiry may be for TTL to act on it. Source: DynamoDB developer guide,
// "Using time to live (TTL)".
const maxOverdue = 5 * 365 * 24 * time.Hour

// Sweep deletes the items that TTL has expired, and trims the streams. AWS does so within days
// and gives no promise; until then expired items are read and written like others. It costs no
// write units. Its caller decides how often it runs.
func (db *DB) Sweep() error {
	db.tablesMu.RLock()
	tables := make([]*table, 0, len(db.tables))
	for _, t := range db.tables {
		tables = append(tables, t)
	}
	db.tablesMu.RUnlock()
	now := db.now()
	for _, t := range tables {
		if attribute := t.setting().TTL; attribute != "" {
			if err := db.sweep(t, attribute, now); err != nil {
				return err
			}
		}
		if t.stream != nil {
			if err := t.stream.trim(now); err != nil {
				return err
			}
		}
	}
	return nil
}

func (db *DB) sweep(t *table, attribute string, now time.Time) error {
	var keys [][]byte
	prefix := t.itemPrefix()
	var bad error
	err := db.store.Range(prefix, storage.After(prefix), false, func(key, value []byte) bool {
		v, ok, err := attr.LookupBinary(value, attribute)
		if bad = err; err != nil {
			return false
		}
		if ok && expired(v, now) {
			keys = append(keys, bytes.Clone(key))
		}
		return true
	})
	if err != nil || bad != nil {
		return firstOf(err, bad)
	}
	for group := range slices.Chunk(keys, sweepGroup) {
		if err := db.expire(t, attribute, now, group); err != nil {
			return err
		}
	}
	return nil
}

// sweepGroup is how many items one commit of the sweep removes: they share its wait for the disk, and
// writers of them wait for no more than that many.
const sweepGroup = 25

// expire removes those of a table's items that still are expired: they may have been written to.
func (db *DB) expire(t *table, attribute string, now time.Time, keys [][]byte) error {
	unlock := db.lock(keys...)
	changes := make([]change, 0, len(keys))
	for _, key := range keys {
		it, err := db.read(key)
		if err != nil {
			unlock()
			return err
		}
		if it == nil || !expired(it[attribute], now) {
			continue
		}
		k := keyOf(it, t.key)
		changes = append(changes, change{
			table: t, storeKey: key, partition: db.partitionOf(t, k[t.key.pk.Name]), key: k, before: it, expired: true,
		})
	}
	return db.apply(unlock, changes)
}

func expired(v attr.Value, now time.Time) bool {
	at, ok := v.Int64()
	return ok && v.Type() == attr.N && at <= now.Unix() && now.Sub(time.Unix(at, 0)) < maxOverdue
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
