package dynamodb

import (
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/storage"
)

func newDB(t *testing.T, store *storage.Store) (*DB, *table) {
	t.Helper()
	db, err := New(Options{
		Store: store, Region: "us-east-1", Account: "000000000000", Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) },
	})
	if err != nil {
		t.Fatal(err)
	}
	spec := TableSpec{
		TableName:            "things",
		AttributeDefinitions: []AttributeDefinition{{AttributeName: "p", AttributeType: "S"}},
		KeySchema:            []KeyElement{{AttributeName: "p", KeyType: "HASH"}},
	}
	if _, err := db.EnsureTable(spec); err != nil {
		t.Fatal(err)
	}
	tab, err := db.table("things")
	if err != nil {
		t.Fatal(err)
	}
	return db, tab
}

func (t *table) changeOf(db *DB, p string, before, after attr.Item) change {
	key := attr.Item{"p": attr.String(p)}
	return change{table: t, storeKey: t.itemKey(key), partition: db.partitionOf(t, key["p"]), key: key, before: before, after: after}
}

// G1: what a reader has seen is durable. A request that writes nothing is not waited for by the
// store, so it must not vouch for the writes before it, nor be answered before them.
func TestG1_ACommitWithoutWritesWaitsForThoseBeforeIt(t *testing.T) {
	store, err := storage.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	db, tab := newDB(t, store)

	there := attr.Item{"p": attr.String("a")}
	b := store.NewBatch()
	changes := []change{tab.changeOf(db, "a", nil, there)}
	changes[0].apply(b)
	wait, err := db.commit(b, changes)
	if err != nil {
		t.Fatal(err)
	}
	// Until wait is called, the write counts as not durable.
	waitForNothing, err := db.commit(store.NewBatch(), []change{tab.changeOf(db, "missing", nil, nil)})
	if err != nil {
		t.Fatal(err)
	}
	var durable atomic.Bool
	answered := make(chan bool)
	go func() {
		if err := waitForNothing(); err != nil {
			t.Error(err)
		}
		answered <- durable.Load()
	}()
	for range 1000 { // time for it to go wrong
		runtime.Gosched()
	}
	if n := db.commits.until.Load(); n != 0 {
		t.Errorf("everything up to commit %d counts as durable before any is", n)
	}
	durable.Store(true)
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	if !<-answered {
		t.Error("the commit without writes was answered before the one that it had seen was durable")
	}
}

// A writer that has found its table before it was dropped leaves nothing behind for the next
// table that gets its number.
func TestWritersOfADroppedTableAreRefused(t *testing.T) {
	store, err := storage.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	db, tab := newDB(t, store)
	if _, err := db.drop("things"); err != nil {
		t.Fatal(err)
	}
	changes := []change{tab.changeOf(db, "late", nil, attr.Item{"p": attr.String("late")})}
	if err := db.apply(func() {}, changes); err == nil {
		t.Error("a write to a dropped table was accepted")
	}
	prefix := tab.itemPrefix()
	if err := store.Scan(prefix, func(key, _ []byte) bool { t.Errorf("left behind: %q", key); return true }); err != nil {
		t.Fatal(err)
	}
}
