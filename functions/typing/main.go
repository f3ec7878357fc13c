// Typing tells a peer that a user writes: the typing route.
package main

import (
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/typing"
)

func main() { function.Start(typing.New) }
