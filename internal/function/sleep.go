package function

import (
	"context"
	"time"
)

// Sleep waits, or returns the context's error when that ends first: a function's time, which is paid for.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
