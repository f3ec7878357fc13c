// Register checks and registers users at sign-up: the user pool's triggers.
package main

import (
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/register"
)

func main() { function.Start(register.New) }
