package client

import (
	"maps"
	"slices"
	"sync"
)

// State keeps what a device must not forget. Everything in it belongs together: it is to be lost
// as a whole or not at all. Two clients must not use one State at the same time.
//
// The client calls Save before it hands a new message to the network, so that it is neither lost
// nor numbered twice after a crash; what was acknowledged or shown since is saved with it, at the
// latest a second later and when Run ends. So after a crash a message may be shown again, and a
// stored one be sent again, which the server notices.
type State interface {
	// Load returns what was saved; the zero value if nothing was.
	Load() (Saved, error)
	// Save makes a change durable before it returns. The change's maps and slices are the
	// State's to keep.
	Save(Change) error
}

// Saved is what a device remembers.
type Saved struct {
	Device        string                       `json:"device"`
	Epoch         string                       `json:"epoch,omitempty"`
	Since         string                       `json:"since,omitempty"`
	Conversations map[string]SavedConversation `json:"conversations,omitempty"` // by conversation id
}

// SavedConversation is what a device remembers of one conversation.
type SavedConversation struct {
	Cursor int64    `json:"cursor"`           // everything up to here was shown; -1: not known yet
	NextN  int64    `json:"next_n"`           // the device's next number here
	Unsent []Unsent `json:"unsent,omitempty"` // not acknowledged yet, by N

	// Delivered and Read are receipts that the server has not confirmed yet; 0: there is none.
	Delivered int64 `json:"delivered,omitempty"`
	Read      int64 `json:"read,omitempty"`
}

// Unsent is an entry that is not acknowledged yet.
type Unsent struct {
	N       int64  `json:"n"`
	Kind    string `json:"kind,omitempty"` // KindEdit, KindUnsend, KindReaction; "": KindText
	Text    string `json:"text,omitempty"`
	ReplyTo int64  `json:"reply_to,omitempty"`
	Target  int64  `json:"target,omitempty"` // seq of the text that an edit, unsend or reaction is about
	Emoji   string `json:"emoji,omitempty"`
	// Unsure is set when it may have been stored in an earlier epoch, under another number.
	Unsure bool `json:"unsure,omitempty"`
	// Refused is set when the server refused it: only its number is kept, until it is free.
	Refused bool `json:"refused,omitempty"`
}

// Change replaces parts of what is saved.
type Change struct {
	// Reset drops all conversations first.
	Reset bool
	// Device, Epoch and Since replace the saved ones.
	Device, Epoch, Since string
	// Conversations are those that changed.
	Conversations map[string]SavedConversation
}

// apply makes the change in place.
func (s *Saved) apply(c Change) {
	s.Device, s.Epoch, s.Since = c.Device, c.Epoch, c.Since
	if c.Reset || s.Conversations == nil {
		s.Conversations = make(map[string]SavedConversation, len(c.Conversations))
	}
	maps.Copy(s.Conversations, c.Conversations)
}

// clone copies what a later change would write to. The Unsent are never changed in place.
func (s *Saved) clone() Saved {
	c := *s
	c.Conversations = maps.Clone(s.Conversations)
	for id, conversation := range c.Conversations {
		conversation.Unsent = slices.Clip(conversation.Unsent)
		c.Conversations[id] = conversation
	}
	return c
}

// NewMemoryState returns a State that lasts as long as the process.
func NewMemoryState() State { return &memoryState{} }

type memoryState struct {
	mu    sync.Mutex // guards saved
	saved Saved
}

func (s *memoryState) Load() (Saved, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saved.clone(), nil
}

func (s *memoryState) Save(c Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved.apply(c)
	return nil
}
