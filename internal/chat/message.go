package chat

// Kind says what an entry of a conversation's log is.
type Kind string

// KindText is a message that somebody wrote. Edits, unsends and reactions will be kinds of their own.
const KindText Kind = "text"

// Message is one entry of a conversation's log.
type Message struct {
	Conversation ConversationID
	Seq          int64 // from 1, gapless (G3)
	From         User
	Device       Device
	N            int64 // the device's own number in this conversation, from 1 (G2)
	Kind         Kind
	Text         string
	ReplyTo      int64 // seq of the message answered to; 0 for none
	At           int64 // Unix milliseconds
}
