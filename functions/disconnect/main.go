// Disconnect removes a connection that has ended: the $disconnect route.
package main

import (
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/disconnect"
)

func main() { function.Start(disconnect.New) }
