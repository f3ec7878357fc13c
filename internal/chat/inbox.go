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
	Read         int64
	Delivered    int64
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
	Last                    *Message // nil if retention has removed it
}

// Place is where a page of conversations ended: the next one goes on after it. The zero Place
// is the start.
type Place struct {
	Bucket       Bucket
	At           int64
	Conversation ConversationID
}

// Index lists conversations.
type Index interface {
	// Memberships reads a user's rows with a bucket of at least lowest, newest bucket first, from
	// bucket highest on (0 for no bound), until the rows of at least one bucket are complete and
	// there are at least limit rows or no more. complete says that there are no more.
	Memberships(ctx context.Context, u User, lowest, highest Bucket, limit int) (rows []Membership, complete bool, _ error)
	// Heads reads the heads and the peers' rows of the conversations, consistently.
	Heads(ctx context.Context, u User, conversations []ConversationID) (map[ConversationID]*Head, map[ConversationID]Membership, error)
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
// Cost: the membership rows of the buckets read, and one read unit for each head in them. A
// page that ends inside a bucket is followed by one that reads that bucket again: to put its
// conversations in order, all of them must be known.
func (in *Inbox) Page(ctx context.Context, q Changes) (page []Summary, more bool, _ error) {
	since := int64(0)
	if q.Since > 0 {
		since = q.Since - ClockSkew.Milliseconds()
	}
	lowest, highest := BucketAt(since), q.After.Bucket
	for {
		rows, complete, err := in.Index.Memberships(ctx, q.User, lowest, highest, summaryPage)
		if err != nil {
			return nil, false, err
		}
		found, err := in.summaries(ctx, q, since, rows)
		if err != nil {
			return nil, false, err
		}
		page = append(page, found...)
		if complete || len(page) >= summaryPage {
			more = !complete
			break
		}
		highest = rows[len(rows)-1].Bucket - 1
	}
	if len(page) > summaryPage {
		page, more = page[:summaryPage], true
	}
	return page, more, in.addLast(ctx, page)
}

// summaries makes the summaries of the rows that the question asks for, in order.
func (in *Inbox) summaries(ctx context.Context, q Changes, since int64, rows []Membership) ([]Summary, error) {
	ids := make([]ConversationID, len(rows))
	for i, row := range rows {
		ids[i] = row.Conversation
	}
	heads, peers, err := in.Index.Heads(ctx, q.User, ids)
	if err != nil {
		return nil, err
	}
	found := make([]Summary, 0, len(rows))
	for _, row := range rows {
		head := heads[row.Conversation]
		// A head that is not there yet belongs to a transaction that is just being committed:
		// its message is delivered live, since this connection stands in the table already (G8).
		if head == nil || head.At < since {
			continue
		}
		if cursor, ok := q.Cursors[row.Conversation]; ok && cursor >= head.LastSeq {
			continue
		}
		s := summarize(q.User, row, peers[row.Conversation], head)
		if q.After != (Place{}) && newestFirst(s, Summary{Bucket: q.After.Bucket, At: q.After.At, Conversation: q.After.Conversation}) <= 0 {
			continue
		}
		found = append(found, s)
	}
	slices.SortFunc(found, newestFirst)
	return found, nil
}

// summarize puts a summary together. Who writes in a conversation has read it: unread are the
// peer's entries after the user's own last one, or after what was acknowledged as read.
func summarize(u User, own, peer Membership, head *Head) Summary {
	p, _ := own.Conversation.Peer(u)
	return Summary{
		Conversation: own.Conversation, Bucket: own.Bucket, Peer: p, LastSeq: head.LastSeq, At: head.At,
		Read: own.Read, Delivered: own.Delivered, PeerRead: peer.Read, PeerDelivered: peer.Delivered,
		Unread: head.LastSeq - max(own.Read, head.LastSent(u)),
	}
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
