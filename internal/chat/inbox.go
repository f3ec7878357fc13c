package chat

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Membership is a user's own row about a conversation.
type Membership struct {
	Conversation ConversationID
	Bucket       Bucket
	Read         int64 // seq up to which the user has read
	Delivered    int64 // seq up to which a device of the user has everything
	ReadTexts    int64 // how many of the peer's texts stand up to Read
	// ChangedAt is when the receipts or a block changed last, in Unix milliseconds.
	ChangedAt int64
	// Noted is the day of which the peer's index of changes has heard from this user's receipts.
	Noted  Bucket
	Blocks bool // the user has blocked the peer
}

// Summary is the state of one conversation for one of its users.
type Summary struct {
	Conversation            ConversationID
	Bucket                  Bucket // where the user's own row stood when it was read
	Peer                    User
	LastSeq, At             int64
	Read, Delivered         int64
	PeerRead, PeerDelivered int64
	Unread                  int64
	Blocked                 bool     // by the user
	Last                    *Message // nil if retention has removed it
}

// Place is where a page of conversations ended: the next one goes on after it. The zero Place
// is the start.
type Place struct {
	Bucket       Bucket
	At           int64
	Conversation ConversationID
}

// Row is a conversation in the index by activity.
type Row struct {
	Conversation ConversationID
	Bucket       Bucket
}

// State is a conversation as both its users see it.
type State struct {
	Head      *Head
	Own, Peer Membership
}

// Index lists conversations.
type Index interface {
	// Active lists a user's conversations with a bucket of at least lowest, newest bucket first, from
	// bucket highest on (0 for no bound), until those of at least one bucket are complete and
	// there are at least limit rows or no more. complete says that there are no more.
	Active(ctx context.Context, u User, lowest, highest Bucket, limit int) (rows []Row, complete bool, _ error)
	// Changed lists a user's conversations in which receipts or blocks changed on the day lowest, or
	// later, in any order.
	Changed(ctx context.Context, u User, lowest Bucket) ([]ConversationID, error)
	// States reads the heads and the user's own rows consistently, and the peers' rows.
	States(ctx context.Context, u User, conversations []ConversationID) (map[ConversationID]State, error)
	// At reads the entries at the given places.
	At(ctx context.Context, places map[ConversationID]int64) (map[ConversationID]Message, error)
}

// ClockSkew bounds how far the clocks of two functions may be apart, and how long a transaction
// takes: a conversation that changed less than this before the last sync is listed again.
const ClockSkew = time.Minute

// summaryPage bounds the summaries of one page, and with it the reads behind it.
const summaryPage = 100

// Inbox answers what changed for a user while a device was away (G5, G8).
type Inbox struct{ Index Index }

// Changes asks for a page of conversations.
type Changes struct {
	User    User
	Since   int64                    // Unix milliseconds; 0 for everything
	Cursors map[ConversationID]int64 // conversations of which the device has everything up to a seq
	After   Place
}

// Page lists the conversations that changed since, newest activity first, and whether more follow.
//
// Cost: the index rows of the buckets read, and 2.5 read units for each conversation in them. A
// page that ends inside a bucket is followed by one that reads that bucket again: to put its
// conversations in order, all of them must be known.
func (in *Inbox) Page(ctx context.Context, q Changes) (page []Summary, more bool, _ error) {
	since := int64(0)
	if q.Since > 0 {
		since = q.Since - ClockSkew.Milliseconds()
	}
	lowest, highest := BucketAt(since), q.After.Bucket
	for {
		rows, complete, err := in.Index.Active(ctx, q.User, lowest, highest, summaryPage)
		if err != nil {
			return nil, false, err
		}
		found, err := in.summaries(ctx, q, since, rows)
		if err != nil {
			return nil, false, err
		}
		page = append(page, found...)
		if complete {
			if found, err = in.changed(ctx, q, since, lowest, rows); err != nil {
				return nil, false, err
			}
			page = append(page, found...)
			break
		}
		if len(page) >= summaryPage {
			more = true
			break
		}
		highest = rows[len(rows)-1].Bucket - 1
	}
	if len(page) > summaryPage {
		page, more = page[:summaryPage], true
	}
	return page, more, in.addLast(ctx, page)
}

// changed makes the summaries of conversations whose last message is older than the question, but
// whose receipts or blocks are not: they follow all others, since their activity is older. Those of
// active have been looked at.
func (in *Inbox) changed(ctx context.Context, q Changes, since int64, lowest Bucket, active []Row) ([]Summary, error) {
	if since == 0 {
		return nil, nil // all are listed by their activity
	}
	ids, err := in.Index.Changed(ctx, q.User, lowest)
	ids = slices.DeleteFunc(ids, func(id ConversationID) bool {
		return slices.ContainsFunc(active, func(r Row) bool { return r.Conversation == id })
	})
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	states, err := in.Index.States(ctx, q.User, ids)
	if err != nil {
		return nil, err
	}
	rows := make([]Row, 0, len(ids))
	for _, id := range ids {
		if own := states[id].Own; own.Bucket < lowest {
			rows = append(rows, Row{Conversation: id, Bucket: own.Bucket})
		}
	}
	return choose(q, since, rows, states), nil
}

// summaries makes the summaries of the rows that the question asks for, in order.
func (in *Inbox) summaries(ctx context.Context, q Changes, since int64, rows []Row) ([]Summary, error) {
	ids := make([]ConversationID, len(rows))
	for i, row := range rows {
		ids[i] = row.Conversation
	}
	states, err := in.Index.States(ctx, q.User, ids)
	if err != nil {
		return nil, err
	}
	return choose(q, since, rows, states), nil
}

// choose makes the summaries of what changed, in order.
func choose(q Changes, since int64, rows []Row, states map[ConversationID]State) []Summary {
	found := make([]Summary, 0, len(rows))
	for _, row := range rows {
		state := states[row.Conversation]
		// A head that is not there yet belongs to a transaction that is just being committed:
		// its message is delivered live, since this connection stands in the table already (G8).
		if state.Head == nil {
			continue
		}
		changedAt := state.Own.ChangedAt
		if !state.Head.Shut.Any() { // otherwise nothing of the peer is told, nor when it changed
			changedAt = max(changedAt, state.Peer.ChangedAt)
		}
		if q.Since == 0 || changedAt < since {
			cursor, ok := q.Cursors[row.Conversation]
			if state.Head.At < since || ok && cursor >= state.Head.LastSeq {
				continue
			}
		}
		s := summarize(q.User, row, state)
		if q.After != (Place{}) && newestFirst(s, Summary{Bucket: q.After.Bucket, At: q.After.At, Conversation: q.After.Conversation}) <= 0 {
			continue
		}
		found = append(found, s)
	}
	slices.SortFunc(found, newestFirst)
	return found
}

// summarize puts a summary together. Nothing of a peer is told while one of the two blocks the other.
func summarize(u User, row Row, state State) Summary {
	p, _ := row.Conversation.Peer(u)
	own, head := state.Own, state.Head
	s := Summary{
		Conversation: row.Conversation, Bucket: row.Bucket, Peer: p, LastSeq: head.LastSeq, At: head.At,
		Read: own.Read, Delivered: own.Delivered,
		Unread: head.Unread(row.Conversation.Side(u), own.ReadTexts), Blocked: own.Blocks,
	}
	if !head.Shut.Any() {
		s.PeerRead, s.PeerDelivered = state.Peer.Read, state.Peer.Delivered
	}
	return s
}

// Place is where a page that ends with this summary ends.
func (s Summary) Place() Place {
	return Place{Bucket: s.Bucket, At: s.At, Conversation: s.Conversation}
}

// newestFirst orders by bucket before time: the next page goes on from the last one's bucket, and a
// message's time may lie before its bucket, when the clock of the function that wrote it was behind.
func newestFirst(a, b Summary) int {
	return cmp.Or(cmp.Compare(b.Bucket, a.Bucket), cmp.Compare(b.At, a.At), cmp.Compare(a.Conversation, b.Conversation))
}

func (in *Inbox) addLast(ctx context.Context, page []Summary) error {
	if len(page) == 0 {
		return nil
	}
	places := make(map[ConversationID]int64, len(page))
	for _, s := range page {
		places[s.Conversation] = s.LastSeq
	}
	last, err := in.Index.At(ctx, places)
	if err != nil {
		return err
	}
	for i := range page {
		if m, ok := last[page[i].Conversation]; ok {
			page[i].Last = &m
		}
	}
	return nil
}
