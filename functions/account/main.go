// Account is about a user's own account: the account, signout and erase routes.
package main

import (
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/account"
)

func main() { function.Start(account.New) }
