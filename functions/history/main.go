// History reads pages of a conversation: the history route.
package main

import (
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/history"
)

func main() { function.Start(history.New) }
