package wire

import (
	"math"

	"github.com/duet-chat/duet/internal/chat"
)

// Entry asks to append an edit, an unsend or a reaction: an entry about another one.
type Entry struct {
	Ref          string
	Kind         chat.Kind
	Conversation chat.ConversationID
	N            int64
	Target       int64  // seq of the text that it is about
	Text         string // of an edit
	Emoji        string // of a reaction; "" takes the own one back
	Seen         int64  // as in Send
}

// kindOf are the actions that append entries about others.
var kindOf = map[Action]chat.Kind{ActionEdit: chat.KindEdit, ActionUnsend: chat.KindUnsend, ActionReact: chat.KindReaction}

// DecodeEntry reads an edit, unsend or react of a user.
func DecodeEntry(frame []byte, from chat.User) (r Entry, _ error) {
	o, err := object(frame)
	r.Ref = o.ref
	if err != nil {
		return r, err
	}
	action, err := o.text("action", true, MaxRefBytes)
	if err != nil {
		return r, err
	}
	if r.Kind = kindOf[Action(action)]; r.Kind == "" {
		return r, chat.Refuse(chat.UnknownAction, "action", "there is no action %q here", action)
	}
	if r.Conversation, err = o.conversation(from); err != nil {
		return r, err
	}
	if r.N, err = o.number("n", 1, 0); err != nil {
		return r, err
	}
	if r.Target, err = o.number("target", 1, 0); err != nil {
		return r, err
	}
	switch r.Kind {
	case chat.KindEdit:
		r.Text, err = o.text("text", true, MaxTextBytes)
	case chat.KindReaction:
		r.Emoji, err = o.emoji()
	}
	if err != nil {
		return r, err
	}
	if r.Seen, err = o.number("seen", 0, -1); err != nil {
		return r, err
	}
	r.Seen = max(r.Seen, 0)
	return r, nil
}

// emoji must be there, but may be empty.
func (o fields) emoji() (string, error) {
	if _, ok := o.field("emoji"); !ok {
		return "", chat.Refuse(chat.BadRequest, "emoji", "emoji is missing: an empty one takes the reaction back")
	}
	return o.text("emoji", false, chat.MaxEmojiBytes)
}

// conversation reads the required id of a conversation of the user's.
func (o fields) conversation(from chat.User) (chat.ConversationID, error) {
	id, err := o.text("conversation", true, math.MaxInt)
	if err != nil {
		return "", err
	}
	return conversation("conversation", id, from)
}
