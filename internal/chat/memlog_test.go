package chat_test

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/duet-chat/duet/internal/chat"
)

// memLog is a chat.Log in memory that checks an attempt's expectations as the store's
// transaction does.
type memLog struct {
	mu         sync.Mutex // guards the fields below
	heads      map[chat.ConversationID]*chat.Head
	parked     map[chat.TailKey]chat.Tail
	entries    map[chat.ConversationID][]chat.Message
	registered map[chat.User]bool
	begun      map[chat.User]chat.Quota
	attempts   int
	reads      int
	// fault, if set, is asked before (done = false) and after (done = true) every append that succeeds.
	fault func(a chat.Attempt, done bool) error
}

func newMemLog(users ...chat.User) *memLog {
	l := &memLog{
		heads:      map[chat.ConversationID]*chat.Head{},
		parked:     map[chat.TailKey]chat.Tail{},
		entries:    map[chat.ConversationID][]chat.Message{},
		registered: map[chat.User]bool{},
		begun:      map[chat.User]chat.Quota{},
	}
	for _, u := range users {
		l.registered[u] = true
	}
	return l
}

func (l *memLog) Append(_ context.Context, a chat.Attempt) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts++
	m := a.Message
	head := l.heads[m.Conversation]
	key := chat.NewTailKey(m.From, m.Device)
	if !expected(head, key, a) {
		return &chat.Lost{Head: clone(head)}
	}
	if to, _ := m.Conversation.Peer(m.From); m.Seq == 1 && !l.registered[to] {
		return chat.ErrUnknownUser
	}
	if a.Amend != nil {
		target := l.entries[m.Conversation][a.Amend.Target-1]
		if target.From != m.From || target.Unsent > 0 || target.Edited != a.Amend.Edited {
			return chat.ErrAmended
		}
	}
	if q := a.Quota; q != nil {
		if was := l.begun[m.From]; q.Begun == 0 && was.Day >= q.Day || q.Begun > 0 && was != *q {
			return &chat.QuotaLost{Actual: was}
		}
	}
	if l.fault != nil {
		if err := l.fault(a, false); err != nil {
			return err
		}
	}
	if head == nil {
		head = &chat.Head{Tails: map[chat.TailKey]chat.Tail{}}
		l.heads[m.Conversation] = head
	}
	if a.Park != nil {
		l.parked[a.Park.Key] = a.Park.Tail
		delete(head.Tails, a.Park.Key)
		head.Parked = true
	}
	head.LastSeq, head.At = m.Seq, m.At
	head.Tails[key] = chat.Tail{N: m.N, Seq: m.Seq}
	me := m.Conversation.Side(m.From)
	if slot := chat.PaceSlot(m.At); a.PerMinute > 0 && head.Pace[me].Slot == slot {
		head.Pace[me].Count++
	} else if a.PerMinute > 0 {
		head.Pace[me] = chat.Pace{Slot: slot, Count: 1}
	}
	head.Saw[me] = head.Texts[me.Other()]
	if m.Kind == chat.KindText {
		head.Texts[me]++
	}
	if a.Quota != nil {
		l.begun[m.From] = chat.Quota{Day: a.Quota.Day, Begun: a.Quota.Begun + 1}
	}
	if a.Amend != nil {
		l.amend(m, *a.Amend)
	}
	if a.EnterBucket {
		head.Bucket = a.Bucket
	}
	l.entries[m.Conversation] = append(l.entries[m.Conversation], m)
	if l.fault != nil {
		return l.fault(a, true)
	}
	return nil
}

// amend changes a text as the store does.
func (l *memLog) amend(m chat.Message, a chat.Amendment) {
	log := l.entries[m.Conversation]
	target := &log[a.Target-1]
	if a.Edited > 0 {
		log[a.Edited-1].Text = ""
	}
	if a.Erase {
		target.Text, target.Unsent = "", m.Seq
		return
	}
	target.Text, target.Edited = m.Text, m.Seq
}

func expected(head *chat.Head, key chat.TailKey, a chat.Attempt) bool {
	if a.Create || head == nil {
		return a.Create && head == nil
	}
	tail, ok := head.Tails[key]
	pace := head.Pace[a.Message.Conversation.Side(a.Message.From)]
	return head.LastSeq == a.Message.Seq-1 && !head.Shut.Any() &&
		(a.PerMinute == 0 || pace.Slot != chat.PaceSlot(a.Message.At) || pace.Count < a.PerMinute) &&
		ok == !a.FirstHere && (!ok || tail.N == a.Message.N-1) &&
		(!a.NothingParked || !head.Parked && len(head.Tails) < chat.MaxTails) &&
		(a.EnterBucket || head.Bucket >= a.Bucket)
}

func clone(h *chat.Head) *chat.Head {
	if h == nil {
		return nil
	}
	c := *h
	c.Tails = maps.Clone(h.Tails)
	return &c
}

func (l *memLog) Head(_ context.Context, c chat.ConversationID) (*chat.Head, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	return clone(l.heads[c]), nil
}

func (l *memLog) Parked(_ context.Context, _ chat.ConversationID, key chat.TailKey) (chat.Tail, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	return l.parked[key], nil
}

func (l *memLog) Entries(_ context.Context, c chat.ConversationID, first, last int64, limit int, descending bool) ([]chat.Message, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	var found []chat.Message
	for _, m := range l.entries[c] {
		if first <= m.Seq && m.Seq <= last {
			found = append(found, m)
		}
	}
	if descending {
		slices.Reverse(found)
	}
	return found[:min(limit, len(found))], nil
}
