// Package wire is Duet's protocol, version 1: every frame, code and limit that
// travels on a WebSocket. Requests are decoded strictly (exact names and types),
// so that a refused one names its field; answers and pushes are encoded here and
// decoded by the Go client. The protocol for people is docs/protocol.md.
package wire

import "github.com/duet-chat/duet/internal/chat"

// Handshake names. Programs use the headers, browsers the subprotocols.
const (
	Subprotocol       = "duet.v1"       // the only subprotocol that the server selects
	BearerSubprotocol = "bearer."       // prefix of the subprotocol that carries the token
	DeviceSubprotocol = "device."       // prefix of the subprotocol that carries the device id
	DeviceHeader      = "X-Duet-Device" // the device id, for programs
)

// Limits. Bytes are bytes of UTF-8.
const (
	MaxFrameBytes   = 32 << 10  // one frame, either way: a frame over 32 KB closes the socket, and is metered twice
	MaxTextBytes    = 4096      // text of one message
	MaxRefBytes     = 64        // ref
	MaxPageMessages = 100       // limit of history
	MaxSinceBytes   = 512       // since of sync
	MaxInFlight     = 16        // unanswered sends of a device in one conversation
	MaxWatched      = 50        // users of presence
	MaxNumber       = 1<<53 - 1 // seq and n: what every JSON reader holds exactly
)

// Action names a request.
type Action string

const (
	ActionSend    Action = "send"
	ActionSync    Action = "sync"
	ActionHistory Action = "history"
	ActionPing    Action = "ping"
	ActionEdit    Action = "edit"
	ActionUnsend  Action = "unsend"
	ActionReact   Action = "react"
	ActionAck     Action = "ack"
	ActionTyping  Action = "typing"
	ActionWatch   Action = "presence"
	ActionBlock   Action = "block"
	ActionUnblock Action = "unblock"
	ActionSignOut Action = "signout"
	ActionAccount Action = "account"
	ActionErase   Action = "erase"
)

// Type names a frame that the server sends.
type Type string

const (
	TypeSent    Type = "sent"
	TypeSynced  Type = "synced"
	TypePage    Type = "page"
	TypePong    Type = "pong"
	TypeError   Type = "error"
	TypeMessage Type = "message"
	TypeBehind  Type = "behind"
	TypeClosing Type = "closing"

	TypeOK       Type = "ok"
	TypeAcked    Type = "acked"
	TypeReceipt  Type = "receipt"
	TypeTyping   Type = "typing"
	TypePresence Type = "presence" // the answer to presence, with users, and the push, with user
	TypeAccount  Type = "account"
	TypeErased   Type = "erased"
)

// Kind says what a message in the log is.
type Kind = chat.Kind

// Reasons of a closing frame.
const (
	ClosingSessionExpired = "session_expired"
	ClosingReplaced       = "replaced"
	ClosingSignedOut      = "signed_out"
)

// Sent answers send, edit, unsend and react: the entry stands in the log at Seq.
type Sent struct {
	Type         Type   `json:"type"`
	Ref          string `json:"ref,omitempty"`
	Conversation string `json:"conversation"`
	N            int64  `json:"n"`
	Seq          int64  `json:"seq"`
	At           int64  `json:"at"` // Unix milliseconds
	Duplicate    bool   `json:"duplicate,omitempty"`
}

// Message is one entry of a conversation's log, pushed live or in a page.
type Message struct {
	Type         Type   `json:"type,omitempty"` // set on a push, absent in a page or summary
	Conversation string `json:"conversation"`
	Seq          int64  `json:"seq"`
	From         string `json:"from"`
	Device       string `json:"device"`
	N            int64  `json:"n"`
	At           int64  `json:"at"` // Unix milliseconds
	Kind         Kind   `json:"kind"`
	Text         string `json:"text,omitempty"`
	Target       int64  `json:"target,omitempty"`   // seq of the text that an edit, unsend or reaction is about
	Emoji        string `json:"emoji,omitempty"`    // of a reaction; absent takes the reaction back
	ReplyTo      int64  `json:"reply_to,omitempty"` // seq
	Edited       int64  `json:"edited,omitempty"`   // seq of the newest edit, whose text this is
	Unsent       int64  `json:"unsent,omitempty"`   // seq of the entry that took the text away
}

// Synced answers sync.
type Synced struct {
	Type          Type      `json:"type"`
	Ref           string    `json:"ref,omitempty"`
	Epoch         string    `json:"epoch"`
	Conversations []Summary `json:"conversations"`
	Since         string    `json:"since"` // for the next sync, or with More for the next page
	More          bool      `json:"more"`
}

// Summary is the state of one conversation for one user.
type Summary struct {
	Conversation  string   `json:"conversation"`
	Peer          string   `json:"peer"`
	LastSeq       int64    `json:"last_seq"`
	Read          int64    `json:"read"`
	Delivered     int64    `json:"delivered"`
	PeerRead      int64    `json:"peer_read"`
	PeerDelivered int64    `json:"peer_delivered"`
	Unread        int64    `json:"unread"`
	Last          *Message `json:"last,omitempty"`    // the last message, its text cut to MaxSummaryText bytes
	At            int64    `json:"at"`                // Unix milliseconds of the last entry
	Blocked       bool     `json:"blocked,omitempty"` // by the user
}

// MaxSummaryText is where the text of a summary's last message is cut, on a character's border.
const MaxSummaryText = 120

// Page answers history: messages in ascending order of seq.
type Page struct {
	Type         Type      `json:"type"`
	Ref          string    `json:"ref,omitempty"`
	Conversation string    `json:"conversation"`
	Messages     []Message `json:"messages"`
	More         bool      `json:"more"` // there is more in the direction asked for
}

// Pong answers ping.
type Pong struct {
	Type   Type   `json:"type"`
	Ref    string `json:"ref,omitempty"`
	Behind bool   `json:"behind"` // something was not delivered to this connection: sync now
	At     int64  `json:"at"`     // Unix milliseconds
}

// Behind is pushed to a connection that missed something: sync now.
type Behind struct {
	Type Type `json:"type"`
}

// Closing is pushed before the server closes a connection.
type Closing struct {
	Type   Type   `json:"type"`
	Reason string `json:"reason"`
}

// Error answers any request that was refused.
type Error struct {
	Type         Type      `json:"type"`
	Ref          string    `json:"ref,omitempty"`
	Code         chat.Code `json:"code"`
	Message      string    `json:"message"`
	Field        string    `json:"field,omitempty"`
	Retry        bool      `json:"retry"`
	RetryAfterMS int64     `json:"retry_after_ms,omitempty"`
	LastN        *int64    `json:"last_n,omitempty"`
}

// NewError is the frame of a refusal.
func NewError(ref string, e *chat.Error) Error {
	return Error{
		Type: TypeError, Ref: ref, Code: e.Code, Message: e.Message, Field: e.Field,
		Retry: e.Retry, RetryAfterMS: e.RetryAfter.Milliseconds(), LastN: e.LastN,
	}
}
