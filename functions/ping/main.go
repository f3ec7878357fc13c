// Ping answers heartbeats: the ping route.
package main

import (
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/ping"
)

func main() { function.Start(ping.New) }
