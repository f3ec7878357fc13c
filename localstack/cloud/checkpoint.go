package cloud

import (
	"fmt"

	"github.com/duet-chat/duet/localstack/storage"
)

// checkpointSpace is the key space of the store for what mappings remember.
const checkpointSpace = "mc"

// checkpoints keeps how far mappings have come. It does not wait for the disk: what is lost in a
// crash is processed again.
type checkpoints struct{ store *storage.Store }

func checkpointKey(mapping, shard string) []byte {
	return fmt.Appendf(nil, "%s%s/%s", checkpointSpace, mapping, shard)
}

// forget lets a mapping begin anew: it reads another stream.
func (c checkpoints) forget(mapping string) error {
	prefix := checkpointKey(mapping, "")
	b := c.store.NewBatch()
	b.DeleteRange(prefix, storage.After(prefix))
	return b.Commit()
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
