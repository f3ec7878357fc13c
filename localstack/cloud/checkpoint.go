package cloud

import (
	"bytes"
	"fmt"

	"github.com/duet-chat/duet/localstack/storage"
)

// checkpointSpace is the key space of the store for what mappings remember.
const checkpointSpace = "mc"

// checkpoints keeps how far mappings of one stream have come. It does not wait for the disk: what is
// lost in a crash is processed again.
//
// Another stream has other records, whatever its shards and sequence numbers are called: a table that
// was made anew, or another engine behind the same data folder, is read from where the mapping begins.
type checkpoints struct {
	store  *storage.Store
	stream string // its ARN
}

// mappingPrefix begins the keys of a mapping's checkpoints.
func mappingPrefix(mapping string) []byte { return fmt.Appendf(nil, "%s%s/", checkpointSpace, mapping) }

func (c checkpoints) key(mapping, shard string) []byte {
	return fmt.Appendf(mappingPrefix(mapping), "%s/%s", c.stream, shard)
}

// forgetOthers removes what a mapping remembers of other streams.
func (c checkpoints) forgetOthers(mapping string) error {
	kept := c.key(mapping, "")
	b := c.store.NewBatch()
	all := mappingPrefix(mapping)
	err := c.store.Range(all, storage.After(all), false, func(key, _ []byte) bool {
		if !bytes.HasPrefix(key, kept) {
			b.Delete(bytes.Clone(key))
		}
		return true
	})
	if err != nil || b.Empty() {
		b.Close()
		return err
	}
	return b.Commit()
}

// Load implements streams.Checkpoints.
func (c checkpoints) Load(mapping, shard string) (string, bool, error) {
	value, ok, err := c.store.Get(c.key(mapping, shard))
	return string(value), ok, err
}

// Save implements streams.Checkpoints.
func (c checkpoints) Save(mapping, shard, after string) error {
	return c.store.PutSoon(c.key(mapping, shard), []byte(after))
}
