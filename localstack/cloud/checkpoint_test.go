package cloud

import (
	"testing"

	"github.com/duet-chat/duet/localstack/storage"
)

// A mapping of a table that was made anew must not go on where it was in the old one's stream.
func TestCheckpointsAreOfOneStream(t *testing.T) {
	store, err := storage.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	before, now := checkpoints{store, "arn:stream/1"}, checkpoints{store, "arn:stream/2"}
	save := func(c checkpoints, mapping, after string) {
		t.Helper()
		if err := c.Save(mapping, "shard", after); err != nil {
			t.Fatal(err)
		}
	}
	load := func(c checkpoints, mapping string) string {
		t.Helper()
		after, _, err := c.Load(mapping, "shard")
		if err != nil {
			t.Fatal(err)
		}
		return after
	}
	save(before, "Map", "7")
	save(before, "Map2", "8")
	if got := load(now, "Map"); got != "" {
		t.Errorf("checkpoint of another stream = %q, want none", got)
	}
	save(now, "Map", "1")
	if err := now.forgetOthers("Map"); err != nil {
		t.Fatal(err)
	}
	if got := load(now, "Map") + load(before, "Map") + load(before, "Map2"); got != "18" {
		t.Errorf("checkpoints after forgetting others = %q, want 1 and the other mapping's 8", got)
	}
	if err := now.forgetOthers("Map"); err != nil {
		t.Errorf("forgetting nothing: %v", err)
	}
}
