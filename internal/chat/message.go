package chat

// Kind says what an entry of a conversation's log is. Every kind has a seq and an n of its own, so
// that order, repeats and sync hold for all of them alike.
type Kind string

const (
	KindText     Kind = "text"     // a message that somebody wrote
	KindEdit     Kind = "edit"     // gives the target a new text
	KindUnsend   Kind = "unsend"   // takes the target's text away, from storage too
	KindReaction Kind = "reaction" // the author's emoji about the target; "" takes it back
)

// Message is one entry of a conversation's log.
type Message struct {
	Conversation ConversationID
	Seq          int64 // from 1, gapless (G3)
	From         User
	Device       Device
	N            int64 // the device's own number in this conversation, from 1 (G2)
	Kind         Kind
	Text         string // of a text: the newest one; of an edit: "" once there is a newer edit
	Target       int64  // seq of the text that an edit, unsend or reaction is about
	Emoji        string // of a reaction
	ReplyTo      int64  // seq of the message answered to; 0 for none
	Edited       int64  // seq of the text's newest edit; 0 for none
	Unsent       int64  // seq of the entry that took the text away; 0 for none
	At           int64  // Unix milliseconds
	Until        int64  // Unix seconds: not kept after; 0 for ever
}

// Expired tells whether retention has ended. DynamoDB removes the entry only some time later.
func (m *Message) Expired(unix int64) bool { return m.Until > 0 && m.Until <= unix }
