package chat

import (
	"context"
	"errors"
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
}

// TailKey names a device of a user within a head.
type TailKey string

// NewTailKey names a device of a user. Neither name can contain the separator.
func NewTailKey(u User, d Device) TailKey { return TailKey(string(u) + "/" + string(d)) }

// LastSent is the seq of a user's own last entry, 0 if there is none.
func (h *Head) LastSent(u User) int64 {
	var last int64
	for key, tail := range h.Tails {
		if key.of(u) {
			last = max(last, tail.Seq)
		}
	}
	return last
}

func (k TailKey) of(u User) bool {
	return len(k) > len(u) && string(k[:len(u)]) == string(u) && k[len(u)] == '/'
}

// evicted picks the tail that makes room for a new one: the least recent of a user who has
// another one, so that LastSent stays right. It returns "" while there is room.
func (h *Head) evicted() TailKey {
	if len(h.Tails) < MaxTails {
		return ""
	}
	count := map[User]int{}
	for key := range h.Tails {
		count[key.user()]++
	}
	var least TailKey
	for key, tail := range h.Tails {
		if count[key.user()] > 1 && (least == "" || tail.Seq < h.Tails[least].Seq) {
			least = key
		}
	}
	return least
}

func (k TailKey) user() User {
	for i := range len(k) {
		if k[i] == '/' {
			return User(k[:i])
		}
	}
	return ""
}

// Attempt is one try to append a message: it succeeds only if the head is as expected.
type Attempt struct {
	Message Message
	// Create makes the conversation: it must not exist, and the recipient must be registered.
	Create bool
	// FirstHere says that the head must hold no tail of the device; otherwise it must hold n-1.
	FirstHere bool
	// NothingParked says, with FirstHere, that no device's tail may be parked: nothing was looked up.
	NothingParked bool
	// Park moves this tail out of the head.
	Park *ParkedTail
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
	// ErrUnknownUser reports that a new conversation's recipient is not registered; nothing was written.
	ErrUnknownUser = errors.New("the recipient is not registered")
)

// Log keeps conversations.
type Log interface {
	// Append makes one attempt: one transaction. It returns nil, *Lost, ErrBusy, ErrUnknownUser, or
	// any other error when the outcome is unknown.
	Append(context.Context, Attempt) error
	// Head reads a conversation's head consistently: nil if there is no such conversation.
	Head(context.Context, ConversationID) (*Head, error)
	// Parked reads a device's parked tail consistently: the zero Tail if there is none.
	Parked(context.Context, ConversationID, TailKey) (Tail, error)
	// Entries reads at most limit entries with first <= seq <= last consistently, ascending or,
	// from the end, descending.
	Entries(ctx context.Context, c ConversationID, first, last int64, limit int, descending bool) ([]Message, error)
}
