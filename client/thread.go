package client

import (
	"cmp"
	"maps"
	"slices"
	"sync"
)

// Item is a text of a conversation as it is to be shown.
type Item struct {
	Message              // Text is the newest one; "" once Unsent is set
	Reactions []Reaction // by user; none once Unsent is set
}

// Reaction is a user's emoji about a text.
type Reaction struct {
	User, Emoji string
}

// Thread makes of a conversation's entries what is to be shown: its texts, with what edits, unsends
// and reactions made of them. It takes entries in any order and any number of times, live ones as
// well as pages of history, and shows the same in the end. What it knows of a text that it has not
// got is kept until it does. The zero value is an empty one; it may be used concurrently.
type Thread struct {
	mu    sync.Mutex
	texts map[int64]*threaded // by seq
	seqs  []int64             // of the texts that are there, ascending
}

// threaded is what is known of one text.
type threaded struct {
	there     bool
	text      Message
	edited    int64  // seq of the edit that newest is of
	newest    string // while edited is set
	unsent    int64
	reactions map[string]reacted // by user
}

type reacted struct {
	seq   int64
	emoji string
}

// Apply takes an entry. It returns the Seq of the text that has changed by it, or that is new; 0 if
// nothing is to be shown otherwise than before.
func (t *Thread) Apply(m Message) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	seq := m.Target
	if m.Kind == KindText {
		seq = m.Seq
	}
	if seq < 1 {
		return 0 // of a kind that is not known here
	}
	if t.texts == nil {
		t.texts = make(map[int64]*threaded)
	}
	x := t.texts[seq]
	if x == nil {
		x = &threaded{}
		t.texts[seq] = x
	}
	if !x.apply(m) || !x.there {
		return 0
	}
	if i, known := slices.BinarySearch(t.seqs, seq); !known {
		t.seqs = slices.Insert(t.seqs, i, seq)
	}
	return seq
}

// apply takes an entry and tells whether it changed anything.
func (x *threaded) apply(m Message) bool {
	switch m.Kind {
	case KindText:
		changed := !x.there
		if x.there = true; changed {
			x.text = m
		}
		return x.edit(m.Edited, m.Text) || x.takeAway(m.Unsent) || changed
	case KindEdit:
		// Without a text, there is a newer edit, which comes.
		return m.Text != "" && x.edit(m.Seq, m.Text)
	case KindUnsend:
		return x.takeAway(m.Seq)
	case KindReaction:
		return x.react(m)
	}
	return false
}

func (x *threaded) edit(seq int64, text string) bool {
	if seq <= x.edited || x.unsent > 0 {
		return false
	}
	x.edited, x.newest = seq, text
	return true
}

func (x *threaded) takeAway(seq int64) bool {
	if seq == 0 || x.unsent > 0 {
		return false
	}
	x.unsent, x.newest, x.text.Text, x.reactions = seq, "", "", nil
	return true
}

func (x *threaded) react(m Message) bool {
	before := x.reactions[m.From]
	if m.Seq <= before.seq || x.unsent > 0 {
		return false
	}
	if x.reactions == nil {
		x.reactions = make(map[string]reacted)
	}
	x.reactions[m.From] = reacted{m.Seq, m.Emoji}
	return before.emoji != m.Emoji
}

// item is what to show.
func (x *threaded) item() Item {
	it := Item{Message: x.text}
	it.Unsent = x.unsent
	if x.unsent > 0 {
		it.Text, it.Edited = "", 0
		return it
	}
	if it.Edited = x.edited; x.edited > 0 {
		it.Text = x.newest
	}
	for user, r := range x.reactions {
		if r.emoji != "" {
			it.Reactions = append(it.Reactions, Reaction{user, r.emoji})
		}
	}
	slices.SortFunc(it.Reactions, func(a, b Reaction) int { return cmp.Compare(a.User, b.User) })
	return it
}

// Item returns the text at seq, if it is there.
func (t *Thread) Item(seq int64) (Item, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.texts[seq]
	if x == nil || !x.there {
		return Item{}, false
	}
	return x.item(), true
}

// Items returns all texts, in ascending order of Seq.
func (t *Thread) Items() []Item {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Item, len(t.seqs))
	for i, seq := range t.seqs {
		all[i] = t.texts[seq].item()
	}
	return all
}

// Latest returns the newest text of a user, if there is one that stands.
func (t *Thread) Latest(user string) (Item, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, seq := range slices.Backward(t.seqs) {
		if x := t.texts[seq]; x.text.From == user && x.unsent == 0 {
			return x.item(), true
		}
	}
	return Item{}, false
}

// Forget drops what is known of texts before seq, for programs that run for long.
func (t *Thread) Forget(seq int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, _ := slices.BinarySearch(t.seqs, seq)
	t.seqs = slices.Delete(t.seqs, 0, i)
	maps.DeleteFunc(t.texts, func(at int64, _ *threaded) bool { return at < seq })
}
