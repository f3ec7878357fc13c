// Fallback refuses frames that no route is for: the $default route.
package main

import (
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/fallback"
)

func main() { function.Start(fallback.New) }
