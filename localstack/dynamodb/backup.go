package dynamodb

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"time"

	"github.com/duet-chat/duet/localstack/storage"
)

// Backup is what stood in all tables at one instant. It is kept in memory.
type Backup struct{ tables []savedTable }

type savedTable struct {
	spec     TableSpec
	settings settings
	entries  []savedEntry // items and index entries
}

// savedEntry is an entry of the store; its key is without the table's number.
type savedEntry struct {
	space      string
	key, value []byte
}

// savedSpaces are the key spaces that a backup has; a restored table's stream is a new one.
var savedSpaces = [...]string{itemSpace, indexSpace}

func tableRange(space string, number uint32) (lower, upper []byte) {
	lower = binary.BigEndian.AppendUint32([]byte(space), number)
	return lower, storage.After(lower)
}

// Backup takes a backup of all tables, as they are after one and the same write.
func (db *DB) Backup() (*Backup, error) {
	b := &Backup{}
	db.tablesMu.RLock()
	defer db.tablesMu.RUnlock()
	db.commits.mu.Lock() // so that no transaction is in it by half
	defer db.commits.mu.Unlock()
	for _, name := range sortedKeys(db.tables) {
		t := db.tables[name]
		saved := savedTable{spec: t.Spec, settings: t.setting()}
		for _, space := range savedSpaces {
			lower, upper := tableRange(space, t.Number)
			err := db.store.Range(lower, upper, false, func(key, value []byte) bool {
				saved.entries = append(saved.entries, savedEntry{space, bytes.Clone(key[len(lower):]), bytes.Clone(value)})
				return true
			})
			if err != nil {
				return nil, fmt.Errorf("back up table %s: %w", name, err)
			}
		}
		b.tables = append(b.tables, saved)
	}
	return b, nil
}

// Restore puts new tables with what is in a backup in the place of those of their names; a nil one
// makes all tables empty. As on AWS a restored table is another table, and its stream another stream,
// with nothing in it. Requests that are under way meanwhile may find no table.
// Source: DynamoDB developer guide, "Point-in-time recovery": streams must be set up again.
func (db *DB) Restore(b *Backup) error {
	if b == nil {
		var err error
		if b, err = db.Backup(); err != nil {
			return err
		}
		for i := range b.tables {
			b.tables[i].entries = nil
		}
	}
	newest := time.Time{}
	for _, saved := range b.tables {
		if old, err := db.table(saved.spec.TableName); err == nil {
			if err := db.remove(old); err != nil {
				return fmt.Errorf("restore table %s: %w", saved.spec.TableName, err)
			}
			if old.CreatedAt.After(newest) {
				newest = old.CreatedAt
			}
		}
	}
	at := db.now().UTC()
	if at.Sub(newest) < time.Millisecond {
		at = newest.Add(time.Millisecond) // a stream's label is its time
	}
	// All tables are there at once, and filled: no transaction sees a part.
	db.tablesMu.Lock()
	defer db.tablesMu.Unlock()
	restored := map[string]*table{}
	for _, saved := range b.tables {
		t, err := db.fill(saved, at)
		if err != nil {
			return fmt.Errorf("restore table %s: %w", saved.spec.TableName, err)
		}
		restored[saved.spec.TableName] = t
	}
	maps.Copy(db.tables, restored)
	return nil
}

// remove drops a table, protected or not.
func (db *DB) remove(t *table) error {
	if err := db.change(t, func(s *settings) error { s.DeletionProtection = false; return nil }); err != nil {
		return err
	}
	if _, err := db.drop(t.Spec.TableName); err != nil {
		return err
	}
	if t.stream != nil {
		t.stream.close()
	}
	return nil
}

// fill makes a table of what was saved. DB.tablesMu is held, and nobody sees the table yet.
func (db *DB) fill(saved savedTable, at time.Time) (*table, error) {
	r := db.newRecord(saved.spec, saved.settings, at)
	r.Number = db.nextTable
	t, err := db.newTable(r)
	if err != nil {
		return nil, err
	}
	batch := db.store.NewBatch()
	for _, e := range saved.entries {
		batch.Set(append(binary.BigEndian.AppendUint32([]byte(e.space), t.Number), e.key...), e.value)
	}
	if err := batch.Commit(); err != nil {
		return nil, err
	}
	if err := db.save(t, saved.settings); err != nil {
		return nil, err
	}
	db.nextTable++
	return t, nil
}
