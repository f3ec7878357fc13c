// Watch tells who is online: the presence route.
package main

import (
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/watch"
)

func main() { function.Start(watch.New) }
