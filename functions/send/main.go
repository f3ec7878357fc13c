// Send appends messages: the send route.
package main

import (
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/send"
)

func main() { function.Start(send.New) }
