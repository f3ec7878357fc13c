// Deliver posts new messages to connections: it reads the messages' stream.
package main

import (
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/deliver"
)

func main() { function.Start(deliver.New) }
