// Block shuts and opens conversations: the block and unblock routes.
package main

import (
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/block"
)

func main() { function.Start(block.New) }
