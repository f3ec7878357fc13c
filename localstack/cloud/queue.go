package cloud

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/duet-chat/duet/localstack/storage"
)

// Key spaces of the store: what mappings remember, and what they gave up.
const (
	checkpointSpace = "mc"
	queueSpace      = "mq"
)

// checkpoints keeps how far mappings have come. It does not wait for the disk: what is lost in a
// crash is processed again.
type checkpoints struct{ store *storage.Store }

func checkpointKey(mapping, shard string) []byte {
	return fmt.Appendf(nil, "%s%s/%s", checkpointSpace, mapping, shard)
}

// Load implements streams.Checkpoints.
func (c checkpoints) Load(mapping, shard string) (string, bool, error) {
	value, ok, err := c.store.Get(checkpointKey(mapping, shard))
	return string(value), ok, err
}

// Save implements streams.Checkpoints.
func (c checkpoints) Save(mapping, shard, after string) error {
	return c.store.PutSoon(checkpointKey(mapping, shard), []byte(after))
}

// queues keeps the messages of the stack's SQS queues, which are there to take what mappings give
// up. The SQS API is not served: they are read at /_local/queues.
type queues struct {
	store *storage.Store
	arns  []string
	mu    sync.Mutex // makes one step of finding the next number and using it
}

// Send implements streams.FailureQueue.
func (q *queues) Send(_ context.Context, arn string, message []byte) error {
	if !slices.Contains(q.arns, arn) {
		return fmt.Errorf("there is no queue %s in this stack", arn)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	prefix := []byte(queueSpace + arn + "\x00")
	next := uint64(1)
	err := q.store.Range(prefix, storage.After(prefix), true, func(key, _ []byte) bool {
		next = binary.BigEndian.Uint64(key[len(prefix):]) + 1
		return false
	})
	if err != nil {
		return err
	}
	return q.store.Put(binary.BigEndian.AppendUint64(prefix, next), message)
}

// list reads all queues, by ARN, oldest message first.
func (q *queues) list() (map[string][]json.RawMessage, error) {
	all := map[string][]json.RawMessage{}
	for _, arn := range q.arns {
		all[arn] = []json.RawMessage{}
		err := q.store.Scan([]byte(queueSpace+arn+"\x00"), func(_, value []byte) bool {
			all[arn] = append(all[arn], slices.Clone(value))
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}
