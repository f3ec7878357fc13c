package main

import "context"

type listCmd struct {
	Unread bool `help:"Only those with something unread."`
}

// Run lists the conversations of a user, newest activity first.
func (c *listCmd) Run(ctx context.Context, a *app) error {
	acc, err := a.account(ctx)
	if err != nil {
		return err
	}
	return a.showConversations(ctx, acc, c.Unread)
}
