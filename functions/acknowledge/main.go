// Acknowledge notes what users have received and read: the ack route.
package main

import (
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/acknowledge"
)

func main() { function.Start(acknowledge.New) }
