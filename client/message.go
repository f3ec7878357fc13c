package client

import (
	"time"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/wire"
)

// Limits of the protocol, for programs that check before they send.
const (
	MaxTextBytes = wire.MaxTextBytes    // UTF-8 bytes in one message's text; at least 1
	MaxInFlight  = wire.MaxInFlight     // unanswered sends per conversation; more wait in the client
	MaxPage      = wire.MaxPageMessages // messages in a page of history
	MaxEmoji     = chat.MaxEmojiBytes   // UTF-8 bytes of a reaction
	MaxWatched   = wire.MaxWatched      // users whose presence one client watches
)

// Kinds of entries.
const (
	KindText     = string(chat.KindText)
	KindEdit     = string(chat.KindEdit)     // gives Target the text Text; "" if there is a newer edit
	KindUnsend   = string(chat.KindUnsend)   // takes the text of Target away
	KindReaction = string(chat.KindReaction) // Emoji about Target; "" takes the author's reaction back
)

// Message is one entry of a conversation's log. A [Thread] makes of entries what is to be shown.
type Message struct {
	Conversation string // the two users' names, sorted, joined by '~'
	From         string
	Device       string    // the sender's device
	Seq          int64     // place in the conversation: 1, 2, 3, … without gaps
	N            int64     // the sending device's own number for it
	Text         string    // of a text: the newest one at the time; "" if it was unsent
	Kind         string    // KindText, KindEdit, KindUnsend or KindReaction
	ReplyTo      int64     // Seq of the message that it answers; 0 for none
	Target       int64     // Seq of the text that an edit, unsend or reaction is about
	Emoji        string    // of a reaction
	Edited       int64     // Seq of the edit that Text is of; 0: it is the first one
	Unsent       int64     // Seq of the entry that took the text away; 0: it stands
	At           time.Time // when it was stored
	Own          bool      // sent by this user, from this or another device
}

// Peer returns the name of the other user of the message's conversation, as user sees it.
func (m Message) Peer(user string) string { return peerOf(m.Conversation, user) }

// Sent says where a message stands, once it is durably stored (G1).
type Sent struct {
	Conversation string
	// Seq is its place in the log; 0 if it was stored so long ago that it is no longer kept.
	Seq int64
	At  time.Time
	// Duplicate is set when an earlier copy, whose answer had not come, had been stored already.
	Duplicate bool
}

// Conversation is the state of one conversation as the server summed it up.
type Conversation struct {
	ID      string
	Peer    string    // the other user
	LastSeq int64     // the highest Seq
	Unread  int64     // texts of the peer that this user has neither read nor written after
	Last    *Message  // the last entry; from a sync, its text is cut to 120 bytes; nil if it is no longer kept
	At      time.Time // when the last entry was stored
	Own     Mark      // how far this user has come
	Theirs  Mark      // how far the peer has come
	Blocked bool      // this user has blocked the peer
}

// Page is a piece of a conversation's log, in ascending order of Seq.
type Page struct {
	Messages []Message
	More     bool // there is more in the direction asked for
}

// Phase is what a client is doing.
type Phase int

const (
	// Connecting: a connection is being opened, or is open and being synced.
	Connecting Phase = iota + 1
	// Online: connected, and the server has told everything that happened meanwhile.
	Online
	// Offline: waiting for RetryIn before the next attempt. Err says why.
	Offline
	// Closed: Run has returned or is about to. Err says why; nil after Close.
	Closed
)

// String returns the phase's name in lower case.
func (p Phase) String() string {
	switch p {
	case Connecting:
		return "connecting"
	case Online:
		return "online"
	case Offline:
		return "offline"
	case Closed:
		return "closed"
	}
	return "idle"
}

// Status tells about a client's connection.
type Status struct {
	Phase   Phase
	Err     error         // with Offline and Closed
	RetryIn time.Duration // with Offline
}

func messageFrom(m *wire.Message, user string) Message {
	return Message{
		Conversation: m.Conversation, From: m.From, Device: m.Device, Seq: m.Seq, N: m.N,
		Text: m.Text, Kind: string(m.Kind), ReplyTo: m.ReplyTo, Target: m.Target, Emoji: m.Emoji,
		Edited: m.Edited, Unsent: m.Unsent, At: time.UnixMilli(m.At), Own: m.From == user,
	}
}

func conversationFrom(s *wire.Summary, user string) Conversation {
	c := Conversation{
		ID: s.Conversation, Peer: s.Peer, LastSeq: s.LastSeq, Unread: s.Unread, At: time.UnixMilli(s.At),
		Own: Mark{s.Delivered, s.Read}, Theirs: Mark{s.PeerDelivered, s.PeerRead}, Blocked: s.Blocked,
	}
	if s.Last != nil {
		last := messageFrom(s.Last, user)
		c.Last = &last
	}
	return c
}
