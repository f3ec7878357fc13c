package streams

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// runShards processes the shards that the stream has, and those that it gets. One that goes on for
// another begins when all records of that one are done with, so that an item's records keep their order.
func runShards(ctx context.Context, m Mapping, o Options) error {
	counts := newMeters(o.Meter, m.Name)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		known := map[string]bool{}
		done := map[string]chan struct{}{} // of each known shard; closed when it is done with
		for {
			shards, err := o.Source.Shards(ctx, known)
			if err != nil {
				return fmt.Errorf("list shards: %w", err)
			}
			if err := begin(ctx, m, o, shards); err != nil {
				return err
			}
			for _, s := range shards {
				known[s.ID], done[s.ID] = true, make(chan struct{})
			}
			for _, s := range shards {
				parent, own := done[s.Parent], done[s.ID]
				group.Go(func() error {
					if parent != nil { // else it is not kept any more
						select {
						case <-parent:
						case <-ctx.Done():
							return ctx.Err()
						}
					}
					run := &shard{Mapping: m, Options: o, id: s.ID, functionARN: functionARN(m), meters: counts}
					if err := run.run(ctx); err != nil {
						return fmt.Errorf("shard %s: %w", s.ID, err)
					}
					close(own)
					return nil
				})
			}
		}
	})
	return group.Wait()
}

// begin remembers where a mapping begins that starts with what comes next: behind the newest record of
// each shard that there is when the mapping first runs. All later shards are read from their beginning,
// as what stands there is newer than the mapping.
func begin(ctx context.Context, m Mapping, o Options, shards []Shard) error {
	if m.StartingPosition != Latest {
		return nil
	}
	if _, begun, err := o.Checkpoints.Load(m.Name, ""); err != nil || begun {
		return err
	}
	for _, s := range shards {
		if _, ok, err := o.Checkpoints.Load(m.Name, s.ID); err != nil {
			return fmt.Errorf("load checkpoint: %w", err)
		} else if ok {
			continue
		}
		latest, err := o.Source.Latest(ctx, s.ID)
		if err != nil {
			return fmt.Errorf("find the newest record of shard %s: %w", s.ID, err)
		}
		if err := o.Checkpoints.Save(m.Name, s.ID, latest); err != nil {
			return fmt.Errorf("save checkpoint %s: %w", latest, err)
		}
	}
	return o.Checkpoints.Save(m.Name, "", "begun")
}
