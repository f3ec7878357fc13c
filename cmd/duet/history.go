package main

import (
	"context"

	"github.com/duet-chat/duet/client"
)

type historyCmd struct {
	User   string `arg:"" help:"The other user of the conversation."`
	Limit  int    `default:"20" help:"At most so many messages (${default}); 0 for all."`
	Before int64  `xor:"from" help:"Those before this number; default: the newest."`
	After  *int64 `xor:"from" help:"Those after this number; 0 for the first ones."`
}

// newest is above all numbers of messages.
const newest = 1<<53 - 1

// Run shows a piece of a conversation, oldest first.
func (c *historyCmd) Run(ctx context.Context, a *app) error {
	if c.Limit < 0 || c.Before < 0 || c.After != nil && *c.After < 0 {
		return fail(exitUsage, "", "--limit, --before and --after cannot be negative")
	}
	acc, err := a.account(ctx)
	if err != nil {
		return err
	}
	s, err := a.connect(ctx, acc, false, client.Config{})
	if err != nil {
		return err
	}
	defer s.close()
	if c.After != nil {
		return c.forward(ctx, s)
	}
	messages, err := s.latest(ctx, c.User, c.Before, c.Limit)
	if err != nil {
		return err
	}
	return a.messages(messages)
}

// forward shows messages as their pages come.
func (c *historyCmd) forward(ctx context.Context, s *session) error {
	after, left := *c.After, c.Limit
	for {
		page, err := s.page(ctx, c.User, -1, after, pageSize(left))
		if err != nil {
			return err
		}
		if err := s.app.messages(page.Messages); err != nil {
			return err
		}
		n := len(page.Messages)
		if left -= n; !page.More || n == 0 || left == 0 {
			return nil
		}
		after = page.Messages[n-1].Seq
	}
}

// latest returns up to limit messages before a number (0: the newest), oldest first; limit 0 is all.
func (s *session) latest(ctx context.Context, peer string, before int64, limit int) ([]client.Message, error) {
	if before == 0 {
		before = newest
	}
	var pages [][]client.Message // newest first
	for left := limit; ; {
		page, err := s.page(ctx, peer, before, -1, pageSize(left))
		if err != nil {
			return nil, err
		}
		n := len(page.Messages)
		if n > 0 {
			pages = append(pages, page.Messages)
			before = page.Messages[0].Seq
		}
		if left -= n; !page.More || n == 0 || left == 0 {
			break
		}
	}
	var all []client.Message
	for i := len(pages) - 1; i >= 0; i-- {
		all = append(all, pages[i]...)
	}
	return all, nil
}

// pageSize is how many messages to ask for when so many are left; below 1 is no bound.
func pageSize(left int) int {
	if left < 1 {
		return client.MaxPage
	}
	return min(left, client.MaxPage)
}

// page asks for one page, at most as long as the command may wait.
func (s *session) page(ctx context.Context, peer string, before, after int64, limit int) (client.Page, error) {
	ctx, cancel := context.WithTimeout(ctx, s.app.Timeout)
	defer cancel()
	page, err := s.History(ctx, peer, before, after, limit)
	if err != nil {
		return page, s.explain(err)
	}
	return page, nil
}

// messages shows entries: to people the texts, with what the other entries made of them. Only what is
// about a text that is not among them has a line of its own.
func (a *app) messages(all []client.Message) error {
	var thread client.Thread
	for _, m := range all {
		thread.Apply(m)
	}
	now := a.now()
	for _, m := range all {
		var err error
		switch it, there := thread.Item(max(m.Target, 0)); {
		case a.JSON:
			err = a.object(lineOf(m))
		case m.Kind == client.KindText:
			it, _ = thread.Item(m.Seq)
			err = a.line("%6d  %s", m.Seq, formatItem(it, stored, now))
		case !there || it.Seq == 0:
			err = a.line("%6d  %s", m.Seq, format(m, stored, now))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
