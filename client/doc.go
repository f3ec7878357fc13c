// Package client is what a Go program uses to chat through Duet.
//
// A [Client] keeps one device of one user connected. It numbers and repeats what the program
// sends, so that each message is stored once (G2, G4), and orders what comes in, so that the
// program is shown every message of every conversation once, in one order (G3, G5, G7). The
// protocol is docs/protocol.md; the client does all that "What a client must do" asks for.
//
//	endpoint, err := client.Discover(ctx, "http://localhost:4566")
//	accounts := client.NewAccounts(endpoint, nil)
//	tokens, err := accounts.SignIn(ctx, "alice", password)
//	c, err := client.New(client.Config{
//		URL:       endpoint.WebSocketURL,
//		User:      "alice",
//		Tokens:    accounts.Source(tokens, nil),
//		OnMessage: func(m client.Message) { fmt.Println(m.From, m.Text) },
//	})
//	go c.Run(ctx)
//	sent, err := c.Send(ctx, "bob", "hello")
//
// A program that is to survive its own restart gives the client a [State] on disk: see
// [OpenFileState].
package client
