// Presence keeps presence in step with connections: the handler of their stream.
package main

import (
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/presence"
)

func main() { function.Start(presence.New) }
