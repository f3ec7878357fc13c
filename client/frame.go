package client

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/duet-chat/duet/internal/wire"
)

// frame is any frame of the server, or of the gateway, read in one pass. Fields that a type does
// not have stay zero. Type is "" for the gateway's own frames: they have only a Message.
type frame struct {
	Type wire.Type `json:"type"`
	Ref  string    `json:"ref"`

	// sent, message
	Conversation string `json:"conversation"`
	Seq          int64  `json:"seq"`
	N            int64  `json:"n"`
	At           int64  `json:"at"`
	Duplicate    bool   `json:"duplicate"`

	// message
	From    string    `json:"from"`
	Device  string    `json:"device"`
	Kind    wire.Kind `json:"kind"`
	Text    string    `json:"text"`
	ReplyTo int64     `json:"reply_to"`
	Target  int64     `json:"target"`
	Emoji   string    `json:"emoji"`

	// acked, receipt, typing, presence
	User      string              `json:"user"`
	Delivered int64               `json:"delivered"`
	Read      int64               `json:"read"`
	On        bool                `json:"on"`
	Online    bool                `json:"online"`
	LastSeen  int64               `json:"last_seen"`
	Users     []wire.UserPresence `json:"users"`

	// account, erased
	RegisteredAt int64                    `json:"registered_at"`
	Visible      bool                     `json:"visible"`
	Connections  []wire.AccountConnection `json:"connections"`
	Done         bool                     `json:"done"`

	// synced, page, pong, closing
	Epoch         string         `json:"epoch"`
	Conversations []wire.Summary `json:"conversations"`
	Since         string         `json:"since"`
	Messages      []wire.Message `json:"messages"`
	More          bool           `json:"more"`
	Behind        bool           `json:"behind"`
	Reason        string         `json:"reason"`

	// error, and Message of the gateway
	Code         string `json:"code"`
	Message      string `json:"message"`
	Field        string `json:"field"`
	Retry        bool   `json:"retry"`
	RetryAfterMS int64  `json:"retry_after_ms"`
	LastN        *int64 `json:"last_n"`
}

func decode(data []byte) (*frame, error) {
	f := new(frame)
	err := json.Unmarshal(data, f)
	return f, err
}

// refusal is what an error frame says.
func (f *frame) refusal() *Error {
	return &Error{
		Code: f.Code, Field: f.Field, Message: f.Message, Retry: f.Retry,
		RetryAfter: time.Duration(f.RetryAfterMS) * time.Millisecond,
	}
}

// pushed is the message that a push carries.
func (f *frame) pushed(user string) Message {
	return Message{
		Conversation: f.Conversation, From: f.From, Device: f.Device, Seq: f.Seq, N: f.N,
		Text: f.Text, Kind: string(f.Kind), ReplyTo: f.ReplyTo, Target: f.Target, Emoji: f.Emoji,
		At: time.UnixMilli(f.At), Own: f.From == user,
	}
}

// The requests, as they are written.
type (
	sendRequest struct {
		Action  wire.Action `json:"action"`
		Ref     string      `json:"ref"`
		To      string      `json:"to"`
		N       int64       `json:"n"`
		Text    string      `json:"text"`
		ReplyTo int64       `json:"reply_to,omitempty"`
		Seen    int64       `json:"seen"`
	}
	amendRequest struct {
		Action       wire.Action `json:"action"`
		Ref          string      `json:"ref"`
		Conversation string      `json:"conversation"`
		N            int64       `json:"n"`
		Target       int64       `json:"target"`
		Text         string      `json:"text,omitempty"`  // of an edit
		Emoji        *string     `json:"emoji,omitempty"` // of a reaction
		Seen         int64       `json:"seen"`
	}
	syncRequest struct {
		Action  wire.Action      `json:"action"`
		Ref     string           `json:"ref"`
		Cursors map[string]int64 `json:"cursors,omitempty"`
		Since   string           `json:"since,omitempty"`
	}
	historyRequest struct {
		Action       wire.Action `json:"action"`
		Ref          string      `json:"ref"`
		Conversation string      `json:"conversation"`
		After        *int64      `json:"after,omitempty"`
		Before       *int64      `json:"before,omitempty"`
		Limit        int         `json:"limit,omitempty"`
	}
	// plainRequest is ping and account.
	plainRequest struct {
		Action wire.Action `json:"action"`
		Ref    string      `json:"ref"`
	}
	ackRequest struct {
		Action       wire.Action `json:"action"`
		Ref          string      `json:"ref"`
		Conversation string      `json:"conversation"`
		Delivered    int64       `json:"delivered,omitempty"`
		Read         int64       `json:"read,omitempty"`
	}
	typingRequest struct {
		Action       wire.Action `json:"action"`
		Ref          string      `json:"ref"`
		Conversation string      `json:"conversation"`
		On           bool        `json:"on"`
	}
	watchRequest struct {
		Action  wire.Action `json:"action"`
		Ref     string      `json:"ref"`
		Users   []string    `json:"users"`
		Visible *bool       `json:"visible,omitempty"`
	}
	// userRequest is block, unblock and erase.
	userRequest struct {
		Action wire.Action `json:"action"`
		Ref    string      `json:"ref"`
		User   string      `json:"user"`
	}
	signOutRequest struct {
		Action wire.Action `json:"action"`
		Ref    string      `json:"ref"`
		Scope  Scope       `json:"scope"`
	}
)

// encode writes a request. Requests are made of strings and numbers, so it cannot fail.
func encode(request any) []byte {
	b, err := wire.Encode(request)
	if err != nil {
		panic("client: encode request: " + err.Error())
	}
	return b
}

// newRef names a request. A name is used once in a client's life.
func (c *Client) newRef() string {
	c.refs++
	return strconv.FormatInt(c.refs, 36)
}
