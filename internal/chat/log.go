package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Tail is a device's last accepted message in a conversation: what makes a repeat,
// a gap and the next message distinguishable (G2, G4).
type Tail struct{ N, Seq int64 }

// MaxTails bounds the tails inside a conversation's head, so that the item stays within one
// kilobyte, DynamoDB's write unit, with names of every allowed length. Further devices' tails
// are parked in items of their own, never dropped.
const MaxTails = 8

// Head is the state of a conversation that an append builds on.
type Head struct {
	LastSeq int64
	At      int64 // Unix milliseconds of the last entry
	Bucket  Bucket
	Tails   map[TailKey]Tail
	Parked  bool // some device's tail stands in an item of its own
	// Texts is how many texts each side has written.
	Texts [2]int64
	// Saw is how many of the peer's texts stood there when each side last wrote.
	Saw [2]int64
	// Pace is what each side wrote in the minute of its last entry.
	Pace [2]Pace
	Shut Shut
}

// Shut is why nothing may be appended to a conversation: by side, whose user has blocked the other,
// and whose account is gone.
type Shut struct{ Blocked, Gone [2]bool }

// Any tells whether anything shuts the conversation.
func (s Shut) Any() bool { return s != Shut{} }

// Unread is how many of the peer's texts a user has not read, where readTexts of them were
// acknowledged. Who writes in a conversation has read it.
func (h *Head) Unread(me Side, readTexts int64) int64 {
	return max(0, h.Texts[me.Other()]-max(readTexts, h.Saw[me]))
}

// TailKey names a device of a user within a head.
type TailKey string

// NewTailKey names a device of a user. Neither name can contain the separator.
func NewTailKey(u User, d Device) TailKey { return TailKey(string(u) + "/" + string(d)) }

// Split returns the user and the device that the key names.
func (k TailKey) Split() (User, Device) {
	user, device, _ := strings.Cut(string(k), "/")
	return User(user), Device(device)
}

// evicted picks the tail that makes room for a new one: the least recent. It returns "" while
// there is room.
func (h *Head) evicted() TailKey {
	if len(h.Tails) < MaxTails {
		return ""
	}
	var least TailKey
	for key, tail := range h.Tails {
		if least == "" || tail.Seq < h.Tails[least].Seq {
			least = key
		}
	}
	return least
}

// Attempt is one try to append a message: it succeeds only if the head is as expected.
type Attempt struct {
	Message Message
	// Create makes the conversation: it must not exist. With its first message, the recipient must be
	// registered.
	Create bool
	// FirstHere says that the head must hold no tail of the device; otherwise it must hold n-1.
	FirstHere bool
	// NothingParked says, with FirstHere, that no device's tail may be parked: nothing was looked up.
	NothingParked bool
	// Park moves this tail out of the head.
	Park *ParkedTail
	// PerMinute bounds the entries of the message's side in the minute of the message; 0 counts none.
	PerMinute int64
	// Amend changes the text that the entry is about.
	Amend *Amendment
	// Quota counts the new conversation, with its first message; nil does not count.
	Quota *Quota
	// Bucket is the activity bucket of the message. With EnterBucket the conversation moves there,
	// otherwise it must stand there, or further, already.
	Bucket      Bucket
	EnterBucket bool
}

// ParkedTail is a tail that leaves the head.
type ParkedTail struct {
	Key  TailKey
	Tail Tail
}

// Amendment changes a text that its author wrote, together with the entry that says so.
type Amendment struct {
	Target int64
	// Edited is the target's newest edit, which must still be so: its copy of the text goes.
	Edited int64
	Erase  bool // takes the text away; otherwise the entry's text takes its place
	// Until is when the target's retention ends, as in Message.
	Until int64
}

// Quota is how many conversations a user began on a day, before this one.
type Quota struct {
	Day   Bucket
	Begun int64
}

// Lost reports an attempt whose expectation was wrong; nothing was written.
type Lost struct {
	Head *Head // the head as it is; nil if the conversation does not exist
}

func (l *Lost) Error() string {
	if l.Head == nil {
		return "the conversation does not exist"
	}
	return "the conversation has moved on"
}

var (
	// ErrBusy reports an attempt that met another transaction or a throttle; nothing was written.
	ErrBusy = errors.New("the conversation is being written to")
	// ErrUnknownUser reports that a new conversation's recipient is not registered, or is leaving;
	// nothing was written.
	ErrUnknownUser = errors.New("the recipient is not registered")
	// ErrErased reports that the account of who begins a conversation is being erased; nothing was written.
	ErrErased = errors.New("the account is being erased")
	// ErrAmended reports that the text to amend is not as expected any more; nothing was written.
	ErrAmended = errors.New("the text has been changed meanwhile")
)

// QuotaLost reports that a user began another number of conversations; nothing was written.
type QuotaLost struct{ Actual Quota }

func (l *QuotaLost) Error() string {
	return fmt.Sprintf("the user began %d conversations on day %d", l.Actual.Begun, l.Actual.Day)
}

// Log keeps conversations.
type Log interface {
	// Append makes one attempt: one transaction. It returns nil, *Lost, *QuotaLost, ErrBusy,
	// ErrUnknownUser, ErrErased, ErrAmended, or any other error when the outcome is unknown.
	Append(context.Context, Attempt) error
	// Head reads a conversation's head consistently: nil if there is no such conversation.
	Head(context.Context, ConversationID) (*Head, error)
	// Parked reads a device's parked tail consistently: the zero Tail if there is none.
	Parked(context.Context, ConversationID, TailKey) (Tail, error)
	// Entries reads at most limit entries with first <= seq <= last consistently, ascending or,
	// from the end, descending.
	Entries(ctx context.Context, c ConversationID, first, last int64, limit int, descending bool) ([]Message, error)
}
