package wire

import (
	"encoding/json"
	"math"

	"github.com/duet-chat/duet/internal/chat"
)

// Ack says how far a user has come in a conversation. A part that is absent is 0.
type Ack struct {
	Ref             string
	Conversation    chat.ConversationID
	Delivered, Read int64
}

// DecodeAck reads an ack of a user.
func DecodeAck(frame []byte, from chat.User) (r Ack, _ error) {
	o, err := object(frame)
	r.Ref = o.ref
	if err != nil {
		return r, err
	}
	if r.Conversation, err = o.conversation(from); err != nil {
		return r, err
	}
	if r.Delivered, err = o.number("delivered", 1, -1); err != nil {
		return r, err
	}
	if r.Read, err = o.number("read", 1, -1); err != nil {
		return r, err
	}
	if r.Delivered < 0 && r.Read < 0 {
		return r, chat.Refuse(chat.BadRequest, "read", "give delivered, read or both")
	}
	r.Delivered, r.Read = max(r.Delivered, 0), max(r.Read, 0)
	return r, nil
}

// Typing says that a user writes, or has stopped.
type Typing struct {
	Ref          string
	Conversation chat.ConversationID
	On           bool
}

// DecodeTyping reads a typing of a user.
func DecodeTyping(frame []byte, from chat.User) (r Typing, _ error) {
	o, err := object(frame)
	r.Ref = o.ref
	if err != nil {
		return r, err
	}
	if r.Conversation, err = o.conversation(from); err != nil {
		return r, err
	}
	on, err := o.flag("on")
	if err != nil {
		return r, err
	}
	if on == nil {
		return r, chat.Refuse(chat.BadRequest, "on", "on is missing")
	}
	r.On = *on
	return r, nil
}

// Watch asks for the presence of users, now and whenever it changes.
type Watch struct {
	Ref     string
	Users   []chat.User
	Visible *bool // whether others may see the asking user's own presence; nil leaves it
}

// DecodeWatch reads a presence of a user.
func DecodeWatch(frame []byte, from chat.User) (r Watch, _ error) {
	o, err := object(frame)
	r.Ref = o.ref
	if err != nil {
		return r, err
	}
	if r.Visible, err = o.flag("visible"); err != nil {
		return r, err
	}
	raw, ok := o.field("users")
	if !ok {
		return r, chat.Refuse(chat.BadRequest, "users", "users is missing: an empty list watches nobody")
	}
	var names []json.RawMessage
	if json.Unmarshal(raw, &names) != nil {
		return r, chat.Refuse(chat.BadRequest, "users", "users must be a list of user names, not %s", shorten(raw))
	}
	if len(names) > MaxWatched {
		return r, chat.Refuse(chat.BadRequest, "users", "users has %d names; at most %d are allowed", len(names), MaxWatched)
	}
	seen := make(map[chat.User]bool, len(names))
	for _, raw := range names {
		var name string
		if unquote(raw, &name) != nil {
			return r, chat.Refuse(chat.BadRequest, "users", "a user's name must be a string, not %s", shorten(raw))
		}
		u, err := chat.ParseUser(name)
		switch {
		case err != nil:
			return r, chat.Refuse(chat.BadRequest, "users", "%v", err)
		case u == from:
			return r, chat.Refuse(chat.BadRequest, "users", "%q is yourself: watch others", name)
		case !seen[u]:
			seen[u] = true
			r.Users = append(r.Users, u)
		}
	}
	return r, nil
}

// Block asks to block or unblock a user.
type Block struct {
	Ref  string
	User chat.User
	On   bool
}

// DecodeBlock reads a block or unblock of a user.
func DecodeBlock(frame []byte, from chat.User) (r Block, _ error) {
	o, err := object(frame)
	r.Ref = o.ref
	if err != nil {
		return r, err
	}
	action, err := o.text("action", true, MaxRefBytes)
	if err != nil {
		return r, err
	}
	r.On = Action(action) == ActionBlock
	name, err := o.text("user", true, math.MaxInt)
	if err != nil {
		return r, err
	}
	if r.User, err = chat.ParseUser(name); err != nil {
		return r, chat.Refuse(chat.BadRequest, "user", "%v", err)
	}
	if r.User == from {
		return r, chat.Refuse(chat.BadRequest, "user", "%q is yourself", name)
	}
	return r, nil
}

// flag reads a boolean; nil when it is absent.
func (o fields) flag(name string) (*bool, error) {
	raw, ok := o.field(name)
	if !ok {
		return nil, nil
	}
	var on bool
	if json.Unmarshal(raw, &on) != nil {
		return nil, chat.Refuse(chat.BadRequest, name, "%s must be true or false, not %s", name, shorten(raw))
	}
	return &on, nil
}
