package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/duet-chat/duet/client"
)

// chatCommand is a line that begins with a slash.
type chatCommand struct {
	name, usage, help string
	// settled commands may be about the last text: everything before must be stored and shown.
	settled bool
	// do does it, and returns why not. The line is the whole one, to be named when it is refused.
	do func(t *chat, ctx context.Context, line, arguments string) error
}

// cutCommand takes a command apart. Two slashes begin a text with one.
func cutCommand(line string) (name, arguments string, isCommand bool) {
	rest, ok := strings.CutPrefix(line, "/")
	if !ok || strings.HasPrefix(rest, "/") {
		return "", "", false
	}
	name, arguments, _ = strings.Cut(rest, " ")
	if name == "exit" {
		name = "quit"
	}
	return name, strings.TrimSpace(arguments), true
}

// commands are in the order in which /help lists them.
func commands() []chatCommand {
	return []chatCommand{
		{"reply", "/reply [#N] TEXT", "answer a message; without #N, the last one of the other user", true, (*chat).reply},
		{"edit", "/edit [#N] TEXT", "give an own message a new text; without #N, the last one", true, (*chat).edit},
		{"unsend", "/unsend [#N]", "take an own message away for everybody; without #N, the last one", true, (*chat).unsend},
		{"react", "/react [#N] EMOJI", "react to a message; - takes it back; without #N, the last one of the other user", true, (*chat).react},
		{"more", "/more [COUNT]", "show earlier messages", false, (*chat).more},
		{"who", "/who", "tell whether the other user is online, and how far they have read", false, (*chat).who},
		{"list", "/list", "list conversations with unread numbers", false, (*chat).list},
		{"block", "/block [USER]", "take nothing of a user any more; without a name, of this one", false, (*chat).block},
		{"unblock", "/unblock [USER]", "take it back", false, (*chat).unblock},
		{"invisible", "/invisible", "let nobody see that you are online", false, (*chat).invisible},
		{"visible", "/visible", "take it back", false, (*chat).visible},
		{"help", "/help", "show this; // begins a text with a slash", false, (*chat).help},
		{"quit", "/quit", "end the chat, as Ctrl-D does", false, nil},
	}
}

// commandOf finds a command; ok is false if there is none of the name.
func commandOf(name string) (c chatCommand, ok bool) {
	all := commands()
	i := slices.IndexFunc(all, func(c chatCommand) bool { return c.name == name })
	if i < 0 {
		return c, false
	}
	return all[i], true
}

// target is the message that a command is about: the one of its #N, or the last one of a user.
func (t *chat) target(arguments, user string) (seq int64, rest string, _ error) {
	if number, ok := strings.CutPrefix(arguments, "#"); ok {
		number, rest, _ := strings.Cut(number, " ")
		seq, err := strconv.ParseInt(number, 10, 64)
		if err != nil || seq < 1 {
			return 0, "", fail(exitUsage, "", "#%s is not the number of a message", number)
		}
		return seq, strings.TrimSpace(rest), nil
	}
	it, ok := t.thread.Latest(user)
	if !ok {
		return 0, "", fail(exitUsage, "", "%s has not written yet: say which message, by #N", user)
	}
	return it.Seq, arguments, nil
}

func (t *chat) reply(ctx context.Context, line, arguments string) error {
	seq, text, err := t.target(arguments, t.peer)
	if err == nil {
		t.send(ctx, line, text, client.ReplyTo(seq))
	}
	return err
}

func (t *chat) edit(ctx context.Context, line, arguments string) error {
	seq, text, err := t.target(arguments, t.user)
	if err != nil {
		return err
	}
	p, err := t.session.Edit(t.peer, seq, text)
	t.follow(ctx, line, p, err)
	return nil
}

func (t *chat) unsend(ctx context.Context, line, arguments string) error {
	seq, rest, err := t.target(arguments, t.user)
	switch {
	case err != nil:
		return err
	case rest != "":
		return fail(exitUsage, "", "/unsend takes nothing but the number of a message: /unsend #N")
	}
	p, err := t.session.Unsend(t.peer, seq)
	t.follow(ctx, line, p, err)
	return nil
}

func (t *chat) react(ctx context.Context, line, arguments string) error {
	seq, emoji, err := t.target(arguments, t.peer)
	switch {
	case err != nil:
		return err
	case emoji == "":
		return fail(exitUsage, "", "say which emoji: /react [#N] EMOJI, or - to take it back")
	case emoji == "-":
		emoji = ""
	}
	p, err := t.session.React(t.peer, seq, emoji)
	t.follow(ctx, line, p, err)
	return nil
}

// moreMessages is how many earlier messages /more shows.
const moreMessages = 20

func (t *chat) more(ctx context.Context, _, arguments string) error {
	count := moreMessages
	if arguments != "" {
		var err error
		if count, err = strconv.Atoi(arguments); err != nil || count < 1 {
			return fail(exitUsage, "", "%q is not a number of messages", arguments)
		}
	}
	t.mu.Lock()
	before := t.oldest
	t.mu.Unlock()
	if before == 1 {
		t.note("that is the beginning")
		return nil
	}
	history, err := t.session.latest(ctx, t.peer, before, count)
	if err != nil {
		return err
	}
	if len(history) == 0 {
		t.note("that is the beginning")
		return nil
	}
	t.note("earlier messages:")
	t.showPage(history)
	return nil
}

func (t *chat) who(context.Context, string, string) error {
	t.mu.Lock()
	line := t.line
	t.mu.Unlock()
	if line.presence == nil {
		line.presence = &client.Presence{User: t.peer}
	}
	if t.JSON {
		t.object(presenceLineOf(*line.presence))
		return nil
	}
	t.screen.show(t.formatPresence(*line.presence))
	if line.peer.Delivered > 0 {
		t.screen.show(fmt.Sprintf("%s has everything up to #%d, and has read up to #%d", t.peer, line.peer.Delivered, line.peer.Read))
	}
	return nil
}

func (t *chat) list(ctx context.Context, _, _ string) error {
	all, err := t.session.Conversations(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		if t.JSON {
			t.object(conversationLineOf(t.user, c))
		} else {
			t.screen.show(formatConversation(c, t.now()))
		}
	}
	return nil
}

func (t *chat) block(ctx context.Context, _, arguments string) error {
	user := cmp.Or(arguments, t.peer)
	err := t.session.Block(ctx, user)
	if err == nil {
		t.note("%s is blocked: neither of you can write to the other", user)
	}
	return err
}

func (t *chat) unblock(ctx context.Context, _, arguments string) error {
	user := cmp.Or(arguments, t.peer)
	err := t.session.Unblock(ctx, user)
	if err == nil {
		t.note("%s is not blocked", user)
	}
	return err
}

func (t *chat) invisible(ctx context.Context, _, _ string) error {
	err := t.session.SetVisible(ctx, false)
	if err == nil {
		t.note("nobody sees any more that you are online")
	}
	return err
}

func (t *chat) visible(ctx context.Context, _, _ string) error {
	err := t.session.SetVisible(ctx, true)
	if err == nil {
		t.note("those you have conversations with see when you are online")
	}
	return err
}

func (t *chat) help(context.Context, string, string) error {
	for _, c := range commands() {
		t.note("%-20s %s", c.usage, c.help)
	}
	return nil
}
