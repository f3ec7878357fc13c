// Authorize lets users connect: the authorizer of the $connect route.
package main

import (
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/authorize"
)

func main() { function.Start(authorize.New) }
