package dynamodb

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/storage"
)

// heldFS is a file system in memory that counts the syncs of the store's log, and holds them back.
type heldFS struct {
	vfs.FS

	mu      sync.Mutex
	count   int           // syncs begun
	held    chan struct{} // closed to let them go on; nil while none is held
	entered chan struct{} // tells of a sync that is held
}

func newHeldFS() *heldFS { return &heldFS{FS: vfs.NewMem(), entered: make(chan struct{}, 100)} }

func (fs *heldFS) hold() (release func()) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.held = make(chan struct{})
	return sync.OnceFunc(func() {
		fs.mu.Lock()
		defer fs.mu.Unlock()
		close(fs.held)
		fs.held = nil
	})
}

func (fs *heldFS) syncs() int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.count
}

func (fs *heldFS) sync() {
	fs.mu.Lock()
	fs.count++
	held := fs.held
	fs.mu.Unlock()
	if held != nil {
		fs.entered <- struct{}{}
		<-held
	}
}

func (fs *heldFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	return fs.log(f, name), err
}

func (fs *heldFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(oldname, newname, category)
	return fs.log(f, newname), err
}

func (fs *heldFS) log(f vfs.File, name string) vfs.File {
	if f == nil || !strings.HasSuffix(name, ".log") {
		return f
	}
	return heldFile{f, fs}
}

type heldFile struct {
	vfs.File
	fs *heldFS
}

func (f heldFile) Sync() error { f.fs.sync(); return f.File.Sync() }

func (f heldFile) SyncData() error { f.fs.sync(); return f.File.SyncData() }

func (f heldFile) SyncTo(length int64) (bool, error) { f.fs.sync(); return f.File.SyncTo(length) }

// newHeldDB is a durable database on a file system whose syncs can be held back.
func newHeldDB(t *testing.T) (*DB, *heldFS) {
	t.Helper()
	fs := newHeldFS()
	store, err := storage.OpenOn(fs, "data")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	db, _ := newDB(t, store)
	return db, fs
}

func (db *DB) ask(t *testing.T, operation, body string) (int, string) {
	t.Helper()
	status, response := db.Do(context.Background(), targetPrefix+operation, []byte(body))
	return status, string(response)
}

// begin starts a request, and returns a function that waits for its answer.
func (db *DB) begin(t *testing.T, operation, body string) (wait func()) {
	t.Helper()
	answered := make(chan string, 1)
	go func() {
		status, response := db.Do(context.Background(), targetPrefix+operation, []byte(body))
		if status == http.StatusOK {
			response = nil
		}
		answered <- string(response)
	}()
	return func() {
		t.Helper()
		if refused := <-answered; refused != "" {
			t.Errorf("%s %s = %s", operation, body, refused)
		}
	}
}

// applied waits until a number of commits have been applied, durable or not.
func (db *DB) applied(number uint64) {
	for {
		db.commits.mu.Lock()
		last := db.commits.last
		db.commits.mu.Unlock()
		if last >= number {
			return
		}
		runtime.Gosched()
	}
}

const heldPut = `{"TableName":"things","Item":{"p":{"S":%q}}}`

// While a write waits for the disk, items of other partitions are read, and requests for them that write
// nothing are answered.
func TestReadsAreServedWhileAWriteWaitsForTheDisk(t *testing.T) {
	db, fs := newHeldDB(t)
	if status, response := db.ask(t, "PutItem", fmt.Sprintf(heldPut, "there")); status != http.StatusOK {
		t.Fatal(response)
	}
	release := fs.hold()
	defer release()
	tab, err := db.table("things")
	if err != nil {
		t.Fatal(err)
	}
	other := "a"
	for db.partitionOf(tab, attr.String(other)) == db.partitionOf(tab, attr.String("there")) {
		other += "a" // partitions share what remembers their last write with a chance of 1 in stripes
	}
	wait := db.begin(t, "PutItem", fmt.Sprintf(heldPut, other))
	<-fs.entered
	for _, tt := range []struct{ operation, body, want string }{
		{"GetItem", `{"TableName":"things","Key":{"p":{"S":"there"}}}`, `{"Item":{"p":{"S":"there"}}}`},
		{"Query", `{"TableName":"things","KeyConditionExpression":"p = :p","ExpressionAttributeValues":{":p":{"S":"there"}}}`, `{"Items":[{"p":{"S":"there"}}],"Count":1,"ScannedCount":1}`},
		{"DeleteItem", `{"TableName":"things","Key":{"p":{"S":"there"}},"ConditionExpression":"attribute_exists(nothing)"}`, "ConditionalCheckFailedException"},
	} {
		if _, response := db.ask(t, tt.operation, tt.body); !strings.Contains(response, tt.want) {
			t.Errorf("%s while a write waits = %s, want %s", tt.operation, response, tt.want)
		}
	}
	release()
	wait()
}

// Group commit: writes that come while a sync is under way are applied at once, whatever items they are
// of, and all share the next sync.
func TestWritesShareTheirSyncs(t *testing.T) {
	for _, tt := range []struct {
		name string
		body func(i int) (operation, body string)
	}{
		{"of different items", func(i int) (string, string) { return "PutItem", fmt.Sprintf(heldPut, fmt.Sprint(i)) }},
		{"of one item", func(int) (string, string) {
			return "UpdateItem", `{"TableName":"things","Key":{"p":{"S":"one"}},"UpdateExpression":"ADD n :n","ExpressionAttributeValues":{":n":{"N":"1"}}}`
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, fs := newHeldDB(t)
			release := fs.hold()
			defer release()
			before := fs.syncs()
			waits := []func(){db.begin(t, "PutItem", fmt.Sprintf(heldPut, "first"))}
			<-fs.entered
			const writes = 50
			for i := range writes {
				operation, body := tt.body(i)
				waits = append(waits, db.begin(t, operation, body))
			}
			db.applied(1 + writes) // none of them waits for another
			release()
			for _, wait := range waits {
				wait()
			}
			if n := fs.syncs() - before; n != 2 {
				t.Errorf("%d syncs for %d writes, want the first one's and one that the others share", n, 1+writes)
			}
		})
	}
}

// Writes of one item happen one after the other: none is lost.
func TestWritesOfOneItemSerialize(t *testing.T) {
	db, _ := newHeldDB(t)
	var waits []func()
	for range 200 {
		waits = append(waits, db.begin(t, "UpdateItem", `{"TableName":"things","Key":{"p":{"S":"one"}},"UpdateExpression":"ADD n :n","ExpressionAttributeValues":{":n":{"N":"1"}}}`))
	}
	for _, wait := range waits {
		wait()
	}
	if _, response := db.ask(t, "GetItem", `{"TableName":"things","Key":{"p":{"S":"one"}}}`); !strings.Contains(response, `{"N":"200"}`) {
		t.Errorf("after 200 increments: %s", response)
	}
}
