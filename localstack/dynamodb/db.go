// Package dynamodb is the local cloud's DynamoDB: tables, items, indexes, transactions, streams
// and TTL behind DynamoDB's own JSON protocol, so that the AWS SDKs and the AWS CLI work on it. It
// does what a stack like Duet's needs and refuses the rest by name.
//
// Writers of different items do not wait for each other. A write is visible to later ones when it
// is applied, before it is durable; it is answered, shown to readers and published to the
// stream only when it is durable, so that nothing seen can be lost in a crash.
package dynamodb

import (
	"crypto/rand"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duet-chat/duet/localstack/dynamodb/expr"
	"github.com/duet-chat/duet/localstack/meter"
	"github.com/duet-chat/duet/localstack/storage"
)

// Options of a DB.
type Options struct {
	Store           *storage.Store
	Region, Account string
	Now             func() time.Time
	Meter           *meter.Meter // may be nil
	Log             *slog.Logger
}

// DB is a DynamoDB of one account in one Region. It is safe for concurrent use.
type DB struct {
	store           *storage.Store
	region, account string
	now             func() time.Time
	meter           *meter.Meter
	log             *slog.Logger
	exprs           *expr.Cache
	tokens          *tokens

	tablesMu  sync.RWMutex      // guards what follows
	tables    map[string]*table // by name
	nextTable uint32

	scratch sync.Pool // of *[]byte, for fingerprints

	seed    maphash.Seed
	stripes [stripes]stripe
	commits commits
}

// Key spaces of the store. 'd' is this package's; see localstack/storage.
const (
	tableSpace  = "dt"
	itemSpace   = "di"
	indexSpace  = "dx"
	streamSpace = "ds"
)

// New opens the tables that are in the store.
func New(o Options) (*DB, error) {
	db := &DB{
		store: o.Store, region: o.Region, account: o.Account, now: o.Now, meter: o.Meter, log: o.Log,
		exprs: expr.NewCache(1024), tokens: newTokens(),
		tables: map[string]*table{}, nextTable: 1, seed: maphash.MakeSeed(),
	}
	db.commits.durable = sync.NewCond(&db.commits.durableMu)
	if err := db.load(); err != nil {
		return nil, err
	}
	return db, nil
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand documents that it crashes the program instead
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// stripes bounds the locks on items; two items share one with a chance of 1 in stripes.
const stripes = 4096

// stripe serializes the writers of the items that hash to it, and remembers the last commit of
// the partitions that do.
type stripe struct {
	mu     sync.Mutex
	commit atomic.Uint64 // of the partitions of this stripe
}

func (db *DB) stripeOf(key []byte) int { return int(maphash.Bytes(db.seed, key) % stripes) }

// lock locks the items with these storage keys, in an order that all lockers share.
func (db *DB) lock(keys ...[]byte) (unlock func()) {
	if len(keys) == 1 {
		s := &db.stripes[db.stripeOf(keys[0])]
		s.mu.Lock()
		return s.mu.Unlock
	}
	order := make([]int, len(keys))
	for i, key := range keys {
		order[i] = db.stripeOf(key)
	}
	slices.Sort(order)
	order = slices.Compact(order)
	for _, i := range order {
		db.stripes[i].mu.Lock()
	}
	return func() {
		for _, i := range order {
			db.stripes[i].mu.Unlock()
		}
	}
}

// commits numbers what is applied and knows what is durable. Batches become durable in the order
// in which they were applied, so one number says it for all.
type commits struct {
	mu   sync.Mutex // guards last, and makes one step of numbering and applying
	last uint64

	durableMu sync.Mutex // guards the waiting; lock after mu
	durable   *sync.Cond
	until     atomic.Uint64 // everything up to this number is durable
}

// commit applies the writes of changes and of partitions, and returns a function that waits until
// they are durable and then publishes their stream records. The caller holds the items' locks
// until commit returns, and waits without them.
func (db *DB) commit(b *storage.Batch, changes []change) (wait func() error, _ error) {
	c := &db.commits
	c.mu.Lock()
	for i := range changes {
		if changes[i].table.dropped {
			c.mu.Unlock()
			return nil, notFound()
		}
	}
	if b.Empty() {
		// As a removal of what is not there. The store would not wait for it, but what it was decided
		// on may still be on its way to the disk.
		last := c.last
		c.mu.Unlock()
		b.Close()
		return func() error { c.waitDurable(last); return nil }, nil
	}
	for i := range changes {
		if st := changes[i].table.stream; st != nil {
			st.append(b, &changes[i])
		}
	}
	c.last++
	number := c.last
	// Before the writes can be seen, so that who sees them waits for them.
	for i := range changes {
		db.stripes[changes[i].partition].commit.Store(number)
	}
	err := b.Apply()
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return func() error {
		if err := b.Wait(); err != nil {
			return err
		}
		c.markDurable(number)
		for i := range changes {
			if changes[i].record != 0 {
				changes[i].table.stream.publish(changes[i].shard, changes[i].record)
			}
		}
		return nil
	}, nil
}

func (c *commits) markDurable(number uint64) {
	c.durableMu.Lock()
	if number > c.until.Load() {
		c.until.Store(number)
	}
	c.durableMu.Unlock()
	c.durable.Broadcast()
}

// waitDurable returns when everything up to a commit is durable.
func (c *commits) waitDurable(number uint64) {
	if c.until.Load() >= number {
		return
	}
	c.durableMu.Lock()
	for c.until.Load() < number {
		c.durable.Wait()
	}
	c.durableMu.Unlock()
}

// settle waits until what was read of a partition is durable.
func (db *DB) settle(partition int) {
	db.commits.waitDurable(db.stripes[partition].commit.Load())
}

// settleAll waits until everything applied so far is durable.
func (db *DB) settleAll() {
	db.commits.mu.Lock()
	last := db.commits.last
	db.commits.mu.Unlock()
	db.commits.waitDurable(last)
}

// Close ends the waiting readers of streams. The store stays open: it is its owner's.
func (db *DB) Close() error {
	db.tablesMu.RLock()
	defer db.tablesMu.RUnlock()
	for _, t := range db.tables {
		if t.stream != nil {
			t.stream.close()
		}
	}
	return nil
}
