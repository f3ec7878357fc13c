// Connect registers a new WebSocket connection: the $connect route.
package main

import (
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/connect"
)

func main() { function.Start(connect.New) }
