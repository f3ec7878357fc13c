package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/duet-chat/duet/internal/chat"
)

// Send asks to append a text to a conversation.
type Send struct {
	Ref          string
	Conversation chat.ConversationID
	N            int64
	Text         string
	ReplyTo      int64 // 0 for none
	Seen         int64 // the highest seq that the device knows here: the server's first guess, 0 if none
}

// Sync asks what changed.
type Sync struct {
	Ref     string
	Cursors map[chat.ConversationID]int64
	Since   string
}

// History asks for a page of a log. One of After and Before is set, the other is -1.
type History struct {
	Ref           string
	Conversation  chat.ConversationID
	After, Before int64
	Limit         int
}

// Ping asks whether the connection lives.
type Ping struct{ Ref string }

// Peek returns what every frame carries, as far as it can be read: the answer to a
// frame that is no request of this version repeats its ref.
func Peek(frame []byte) (action, ref string) {
	o, err := object(frame)
	if err != nil {
		return "", ""
	}
	if a, err := o.text("action", true, MaxRefBytes); err == nil {
		action = a
	}
	return action, o.ref
}

// DecodeSend reads a send of a user. On a refusal Ref is still set where it could be read.
func DecodeSend(frame []byte, from chat.User) (r Send, _ error) {
	o, err := object(frame)
	r.Ref = o.ref
	if err != nil {
		return r, err
	}
	if r.Conversation, err = o.recipient(from); err != nil {
		return r, err
	}
	if r.N, err = o.number("n", 1, 0); err != nil {
		return r, err
	}
	if r.Text, err = o.text("text", true, MaxTextBytes); err != nil {
		return r, err
	}
	if r.ReplyTo, err = o.number("reply_to", 1, -1); err != nil {
		return r, err
	}
	r.ReplyTo = max(r.ReplyTo, 0)
	if r.Seen, err = o.number("seen", 0, -1); err != nil {
		return r, err
	}
	r.Seen = max(r.Seen, 0)
	return r, nil
}

// DecodeSync reads a sync of a user.
func DecodeSync(frame []byte, from chat.User) (r Sync, _ error) {
	o, err := object(frame)
	r.Ref = o.ref
	if err != nil {
		return r, err
	}
	if r.Since, err = o.text("since", false, MaxSinceBytes); err != nil {
		return r, err
	}
	raw, ok := o.field("cursors")
	if !ok {
		return r, nil
	}
	var cursors map[string]json.RawMessage
	if json.Unmarshal(raw, &cursors) != nil {
		return r, chat.Refuse(chat.BadRequest, "cursors", "cursors must be an object of conversation ids and seqs, not %s", shorten(raw))
	}
	r.Cursors = make(map[chat.ConversationID]int64, len(cursors))
	for id, seq := range cursors {
		c, err := conversation("cursors", id, from)
		if err != nil {
			return r, err
		}
		if r.Cursors[c], err = number("cursors", seq, 0); err != nil {
			return r, err
		}
	}
	return r, nil
}

// DecodeHistory reads a history of a user.
func DecodeHistory(frame []byte, from chat.User) (r History, _ error) {
	o, err := object(frame)
	r.Ref = o.ref
	if err != nil {
		return r, err
	}
	id, err := o.text("conversation", true, math.MaxInt)
	if err != nil {
		return r, err
	}
	if r.Conversation, err = conversation("conversation", id, from); err != nil {
		return r, err
	}
	if r.After, err = o.number("after", 0, -1); err != nil {
		return r, err
	}
	if r.Before, err = o.number("before", 1, -1); err != nil {
		return r, err
	}
	if (r.After < 0) == (r.Before < 0) {
		return r, chat.Refuse(chat.BadRequest, "after", "give either after or before")
	}
	limit, err := o.number("limit", 1, MaxPageMessages)
	if err != nil {
		return r, err
	}
	if limit > MaxPageMessages {
		return r, chat.Refuse(chat.BadRequest, "limit", "limit must be 1 to %d, not %d", MaxPageMessages, limit)
	}
	r.Limit = int(limit)
	return r, nil
}

// DecodePing reads a ping.
func DecodePing(frame []byte) (r Ping, _ error) {
	o, err := object(frame)
	return Ping{Ref: o.ref}, err
}

// fields is a request's JSON object: names match exactly and null means absent.
type fields struct {
	values map[string]json.RawMessage
	ref    string
}

func object(frame []byte) (fields, error) {
	if len(frame) > MaxFrameBytes {
		return fields{}, chat.Refuse(chat.TooLarge, "", "the frame has %d bytes; at most %d are allowed", len(frame), MaxFrameBytes)
	}
	if !utf8.Valid(frame) {
		return fields{}, chat.Refuse(chat.BadRequest, "", "the frame is not valid UTF-8")
	}
	var o fields
	if json.Unmarshal(frame, &o.values) != nil || o.values == nil {
		return fields{}, chat.Refuse(chat.UnknownAction, "action", "the frame is not a JSON object with an action")
	}
	ref, err := o.text("ref", false, MaxRefBytes)
	if err != nil {
		return o, err
	}
	o.ref = ref
	return o, nil
}

func (o fields) field(name string) (json.RawMessage, bool) {
	raw, ok := o.values[name]
	return raw, ok && string(raw) != "null"
}

// recipient reads the conversation that a request is for, named by its id or by its other user.
func (o fields) recipient(from chat.User) (chat.ConversationID, error) {
	_, hasTo := o.field("to")
	_, hasConversation := o.field("conversation")
	switch {
	case hasTo && hasConversation:
		return "", chat.Refuse(chat.BadRequest, "to", "give either to or conversation")
	case hasConversation:
		id, err := o.text("conversation", true, math.MaxInt)
		if err != nil {
			return "", err
		}
		return conversation("conversation", id, from)
	}
	name, err := o.text("to", true, math.MaxInt)
	if err != nil {
		return "", err
	}
	to, err := chat.ParseUser(name)
	if err != nil {
		return "", chat.Refuse(chat.BadRequest, "to", "%v", err)
	}
	if to == from {
		return "", chat.Refuse(chat.BadRequest, "to", "a conversation is between two different users: %q is yourself", name)
	}
	return chat.Between(from, to), nil
}

func conversation(field, id string, from chat.User) (chat.ConversationID, error) {
	c, err := chat.ParseConversation(id)
	if err != nil {
		return "", chat.Refuse(chat.BadRequest, field, "%v", err)
	}
	if _, ok := c.Peer(from); !ok {
		return "", chat.Refuse(chat.Forbidden, field, "you are not in conversation %q", id)
	}
	return c, nil
}

func (o fields) text(name string, required bool, limit int) (string, error) {
	raw, ok := o.field(name)
	if !ok {
		if required {
			return "", chat.Refuse(chat.BadRequest, name, "%s is missing", name)
		}
		return "", nil
	}
	var s string
	if err := unquote(raw, &s); err != nil {
		if name == "text" { // refusals are logged, and what people write must not be
			return "", chat.Refuse(chat.BadRequest, name, "%s must be a string%v", name, err)
		}
		return "", chat.Refuse(chat.BadRequest, name, "%s must be a string%v, not %s", name, err, shorten(raw))
	}
	switch {
	case required && s == "":
		return "", chat.Refuse(chat.BadRequest, name, "%s must not be empty", name)
	case len(s) > limit:
		code := chat.BadRequest
		if name == "text" {
			code = chat.TooLarge
		}
		return "", chat.Refuse(code, name, "%s has %d bytes; at most %d are allowed", name, len(s), limit)
	}
	return s, nil
}

var errSurrogate = errors.New(" of valid Unicode without lone surrogates")

// unquote reads a JSON string. encoding/json would silently put U+FFFD in the place of a
// lone surrogate, so that what is stored differs from what was sent: it is refused instead.
func unquote(raw json.RawMessage, s *string) error {
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, s) != nil {
		return errors.New("")
	}
	if bytes.Contains(raw, []byte(`\u`)) && loneSurrogate(raw) {
		return errSurrogate
	}
	return nil
}

// loneSurrogate tells whether a valid JSON string has a \u escape of half a surrogate pair.
func loneSurrogate(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		if raw[i] != 'u' {
			continue
		}
		switch unit := hex4(raw[i+1:]); {
		case unit >= 0xDC00 && unit < 0xE000:
			return true
		case unit >= 0xD800 && unit < 0xDC00:
			rest := raw[i+5:]
			if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
				return true
			}
			if low := hex4(rest[2:]); low < 0xDC00 || low >= 0xE000 {
				return true
			}
			i += 6
		}
		i += 4
	}
	return false
}

func hex4(b []byte) uint64 {
	// The caller passes a valid escape, so this cannot fail.
	n, _ := strconv.ParseUint(string(b[:4]), 16, 32)
	return n
}

// number reads an integer of at least low; otherwise is its value when absent, 0 meaning required.
func (o fields) number(name string, low, otherwise int64) (int64, error) {
	raw, ok := o.field(name)
	if !ok {
		if otherwise == 0 {
			return 0, chat.Refuse(chat.BadRequest, name, "%s is missing", name)
		}
		return otherwise, nil
	}
	return number(name, raw, low)
}

func number(name string, raw json.RawMessage, low int64) (int64, error) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < low || n > MaxNumber {
		return 0, chat.Refuse(chat.BadRequest, name, "%s must be an integer from %d to %d, not %s", name, low, int64(MaxNumber), shorten(raw))
	}
	return n, nil
}

// shorten shows the start of a refused value, so that a long one does not come back whole.
func shorten(raw []byte) string {
	const most = 40
	if len(raw) <= most {
		return string(raw)
	}
	return string(bytes.ToValidUTF8(raw[:most], nil)) + "…"
}
