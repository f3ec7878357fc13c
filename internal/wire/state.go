package wire

import "github.com/duet-chat/duet/internal/chat"

// OK answers what has nothing to tell: typing, block, unblock, signout.
type OK struct {
	Type Type   `json:"type"`
	Ref  string `json:"ref,omitempty"`
}

// NewOK is the answer to a request.
func NewOK(ref string) OK { return OK{Type: TypeOK, Ref: ref} }

// Acked answers ack: how far the user has come, which may be further than was said.
type Acked struct {
	Type         Type   `json:"type"`
	Ref          string `json:"ref,omitempty"`
	Conversation string `json:"conversation"`
	Delivered    int64  `json:"delivered"`
	Read         int64  `json:"read"`
}

// Receipt is pushed when a user of a conversation, or another device of the own, has come further.
type Receipt struct {
	Type         Type   `json:"type"`
	Conversation string `json:"conversation"`
	User         string `json:"user"`
	Delivered    int64  `json:"delivered"`
	Read         int64  `json:"read"`
}

// TypingPush is pushed while a peer writes. It ends with On false, with a message of the peer, or
// TypingLasts after the last one.
type TypingPush struct {
	Type         Type   `json:"type"`
	Conversation string `json:"conversation"`
	User         string `json:"user"`
	On           bool   `json:"on"`
}

// Presence answers presence.
type Presence struct {
	Type    Type           `json:"type"`
	Ref     string         `json:"ref,omitempty"`
	Users   []UserPresence `json:"users"`   // in the order asked for
	Visible bool           `json:"visible"` // whether others may see the asking user's presence
}

// UserPresence says whether a user has a connection.
type UserPresence struct {
	User     string `json:"user"`
	Online   bool   `json:"online"`
	LastSeen int64  `json:"last_seen,omitempty"` // Unix milliseconds; absent if it is not told
}

// PresencePush is pushed when the presence of a watched user changes.
type PresencePush struct {
	Type Type `json:"type"`
	UserPresence
}

// NewUserPresence is what a user may be told of another one.
func NewUserPresence(u chat.User, p chat.Presence) UserPresence {
	return UserPresence{User: string(u), Online: p.Online, LastSeen: p.LastSeen}
}

// AccountFrame answers account: what is kept about a user besides the conversations.
type AccountFrame struct {
	Type         Type                `json:"type"`
	Ref          string              `json:"ref,omitempty"`
	User         string              `json:"user"`
	RegisteredAt int64               `json:"registered_at"` // Unix milliseconds
	Visible      bool                `json:"visible"`
	Connections  []AccountConnection `json:"connections"` // oldest first
}

// AccountConnection is an open connection of the user's.
type AccountConnection struct {
	Device      string `json:"device"`
	ConnectedAt int64  `json:"connected_at"` // Unix milliseconds
	SessionEnd  int64  `json:"session_end"`  // Unix seconds
}

// Erased answers erase.
type Erased struct {
	Type Type   `json:"type"`
	Ref  string `json:"ref,omitempty"`
	Done bool   `json:"done"` // false: send erase again, a part of the work is left
}
