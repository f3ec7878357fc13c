// Package storage keeps the local cloud's data in order of its keys: in memory, or durable in a
// folder. It is a thin layer on Pebble (docs/decisions/0001-storage-engine.md); the first byte of
// a key is its owner's.
package storage

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Store is an ordered key-value store, safe for concurrent use.
type Store struct {
	db      *pebble.DB
	durable bool
}

// Open opens the store in a folder, making it when it is new; "" keeps everything in memory.
func Open(dir string) (*Store, error) { return OpenOn(vfs.Default, dir) }

// OpenOn is Open on another file system, such as one that counts what is synced.
func OpenOn(fs vfs.FS, dir string) (*Store, error) {
	o := &pebble.Options{
		Logger: quiet{},
		// Most reads are of what was written lately: a large memory table, which takes memory only as
		// it fills, answers them without a look into a file.
		MemTableSize:       32 << 20,
		CacheSize:          32 << 20,
		FormatMajorVersion: pebble.FormatNewest,
	}
	for i := range o.Levels {
		// Every append asks for a message that is not there yet.
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	if dir == "" {
		o.FS = vfs.NewMem()
		o.DisableWAL = true
		db, err := pebble.Open("memory", o)
		if err != nil {
			return nil, fmt.Errorf("open storage in memory: %w", err)
		}
		return &Store{db: db}, nil
	}
	// Under load each fsync serves all that has come within a millisecond; a write that comes alone
	// does not wait.
	o.WALMinSyncInterval = func() time.Duration { return time.Millisecond }
	o.FS = fs
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder %s cannot be made: %w", dir, err)
	}
	// Damage that is found later cannot be answered for: without this Pebble tells it in its own words.
	o.EventListener = &pebble.EventListener{DataCorruption: func(info pebble.DataCorruptionInfo) {
		panic(corrupt(dir, info.Details))
	}}
	db, err := pebble.Open(dir, o)
	switch {
	case err == nil:
		return &Store{db: db, durable: true}, nil
	case errors.Is(err, pebble.ErrCorruption), pebble.IsCorruptionError(err):
		return nil, corrupt(dir, err)
	}
	return nil, fmt.Errorf("data folder %s cannot be opened (does another local cloud use it? then stop that, or choose another --data): %w", dir, err)
}

// corrupt says of a data folder that it is damaged, and what to do.
func corrupt(dir string, err error) error {
	return fmt.Errorf("data folder %s is corrupt: restore it from a copy, or remove it to start empty: %w", dir, err)
}

// Close closes the store; no other call may be under way or follow.
func (s *Store) Close() error { return s.db.Close() }

// Get returns the value of a key; it is the caller's to keep.
func (s *Store) Get(key []byte) (value []byte, ok bool, err error) {
	return get(s.db, key)
}

func get(r pebble.Reader, key []byte) ([]byte, bool, error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("storage: get: %w", err)
	}
	value = bytes.Clone(value)
	return value, true, closer.Close()
}

// Put sets a key; it is durable when Put returns.
func (s *Store) Put(key, value []byte) error {
	b := s.NewBatch()
	b.Set(key, value)
	return b.Commit()
}

// PutSoon sets a key and does not wait: it becomes durable with the next write that does.
func (s *Store) PutSoon(key, value []byte) error {
	if err := s.db.Set(key, value, pebble.NoSync); err != nil {
		return fmt.Errorf("storage: put: %w", err)
	}
	return nil
}

// Delete removes a key; that is durable when Delete returns.
func (s *Store) Delete(key []byte) error {
	b := s.NewBatch()
	b.Delete(key)
	return b.Commit()
}

// Scan calls fn with each key that has the prefix, in order, until it returns false. The slices
// are valid within fn only.
func (s *Store) Scan(prefix []byte, fn func(key, value []byte) (more bool)) error {
	return s.Range(prefix, After(prefix), false, fn)
}

// Range calls fn with each key from lower, inclusive, to upper, exclusive, in order or reversed,
// until it returns false. It sees the store as it was when Range was called.
func (s *Store) Range(lower, upper []byte, reverse bool, fn func(key, value []byte) (more bool)) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("storage: range: %w", err)
	}
	first, next := it.First, it.Next
	if reverse {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok && fn(it.Key(), it.Value()); ok = next() {
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return fmt.Errorf("storage: range: %w", err)
	}
	return nil
}

// After is the first key behind all those that have the prefix; nil if there is none.
func After(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// Batch is a set of writes that take effect together.
type Batch struct {
	store *Store
	b     *pebble.Batch
}

// NewBatch makes an empty batch. It must be committed, or closed.
func (s *Store) NewBatch() *Batch { return &Batch{store: s, b: s.db.NewBatch()} }

// Set and Delete add writes. They copy their arguments, and cannot fail on a batch that is open.
func (b *Batch) Set(key, value []byte) { _ = b.b.Set(key, value, nil) }

// Delete adds the removal of a key.
func (b *Batch) Delete(key []byte) { _ = b.b.Delete(key, nil) }

// DeleteRange adds the removal of the keys from lower, inclusive, to upper, exclusive.
func (b *Batch) DeleteRange(lower, upper []byte) { _ = b.b.DeleteRange(lower, upper, nil) }

// Empty reports whether the batch has no writes. Such a batch waits for nothing: that it was
// committed says nothing about the ones before it.
func (b *Batch) Empty() bool { return b.b.Empty() }

// Apply makes the batch visible, without waiting until it is durable: see Wait. Batches become
// durable in the order of their Apply.
func (b *Batch) Apply() error {
	var err error
	if b.store.durable {
		err = b.store.db.ApplyNoSyncWait(b.b, pebble.Sync)
	} else {
		err = b.store.db.Apply(b.b, pebble.NoSync)
	}
	if err != nil {
		return fmt.Errorf("storage: apply: %w", err)
	}
	return nil
}

// Wait returns when the applied batch is durable, and releases it. Waits that overlap share
// their fsync.
func (b *Batch) Wait() error {
	var err error
	if b.store.durable {
		err = b.b.SyncWait()
	}
	if err = errors.Join(err, b.b.Close()); err != nil {
		return fmt.Errorf("storage: sync: %w", err)
	}
	return nil
}

// Commit applies the batch and waits until it is durable.
func (b *Batch) Commit() error {
	if err := b.Apply(); err != nil {
		return err
	}
	return b.Wait()
}

// Close releases a batch that was not applied.
func (b *Batch) Close() { _ = b.b.Close() }

// quiet drops what Pebble tells about its inner life. What goes wrong is returned as an error.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}

// Fatalf is called where Pebble cannot go on, as with a full disk: acknowledging any further
// write would break G1.
func (quiet) Fatalf(format string, args ...any) {
	panic("storage: " + fmt.Sprintf(format, args...))
}
