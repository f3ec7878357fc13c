// Sync tells a device what it missed: the sync route.
package main

import (
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/sync"
)

func main() { function.Start(sync.New) }
