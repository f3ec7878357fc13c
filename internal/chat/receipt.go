package chat

import (
	"context"
	"errors"
	"time"
)

// Receipt says how far a user has come in a conversation, by seq. It never goes back.
type Receipt struct {
	Delivered int64 // a device of the user has everything up to here
	Read      int64 // the user has read everything up to here, which was then delivered too
}

// covers tells whether there is nothing new in another receipt.
func (r Receipt) covers(other Receipt) bool {
	return r.Delivered >= other.Delivered && r.Read >= other.Read
}

// Receipt is what a user's row says.
func (m *Membership) Receipt() Receipt { return Receipt{m.Delivered, m.Read} }

// Moved reports a row that is not as expected; nothing was written.
type Moved struct{ Actual Membership }

func (*Moved) Error() string { return "the receipt has moved on" }

// Shelf keeps the users' rows about their conversations.
type Shelf interface {
	// Standing reads a conversation's head and a user's own row, consistently: nil without them.
	Standing(context.Context, User, ConversationID) (*Head, *Membership, error)
	// Advance writes the receipt of a user's row that must still be as in from, or returns *Moved.
	Advance(ctx context.Context, u User, from, to Membership) error
	// NoteChange lists the conversation among those that changed for a user on the day, if it is
	// not listed yet.
	NoteChange(context.Context, User, ConversationID, Bucket) error
	// Texts counts a user's texts with first <= seq <= last.
	Texts(ctx context.Context, c ConversationID, from User, first, last int64) (int64, error)
}

// Receipts takes what devices acknowledge.
type Receipts struct {
	Shelf Shelf
	Now   func() time.Time
}

// Acked is what came of an acknowledgement.
type Acked struct {
	Receipt Receipt // as it stands now
	// Tell says that the user's other devices should hear of it, TellPeer that the peer should.
	Tell, TellPeer bool
}

// ackTries bounds the attempts of one acknowledgement. Each lost one means that another device of
// the same user went through.
const ackTries = 10

// Ack notes how far a user has come. What is not ahead of what stands there changes nothing. The
// error is an *Error, or a fault that may pass.
//
// Cost: 2 RU and 1 WU; for the first one of a day in the conversation up to 3 WU more; for a user
// who reads only a part of what is unread, the reading of the shorter part.
func (r *Receipts) Ack(ctx context.Context, u User, c ConversationID, ack Receipt) (Acked, error) {
	ack.Delivered = max(ack.Delivered, ack.Read)
	for range ackTries {
		head, own, err := r.Shelf.Standing(ctx, u, c)
		switch {
		case err != nil:
			return Acked{}, err
		case head == nil || own == nil:
			return Acked{}, Refuse(NotFound, "conversation", "there is no conversation %q yet", c)
		case ack.Delivered > head.LastSeq:
			field := "delivered"
			if ack.Read > head.LastSeq {
				field = "read"
			}
			return Acked{}, Refuse(BadRequest, field, "there is no message %d to acknowledge: the last one is %d", ack.Delivered, head.LastSeq)
		}
		acked, err := r.advance(ctx, u, head, *own, ack)
		var moved *Moved
		if !errors.As(err, &moved) {
			return acked, err
		}
	}
	return Acked{}, TryAgain(errors.New("the receipt is being written to by other devices"))
}

func (r *Receipts) advance(ctx context.Context, u User, head *Head, own Membership, ack Receipt) (Acked, error) {
	acked := Acked{Receipt: own.Receipt(), TellPeer: !head.Shut.Any()}
	if own.Receipt().covers(ack) {
		// Perhaps a repeat, whose first answer was lost together with what was to be told.
		acked.Tell = own.Receipt() == ack
		acked.TellPeer = acked.TellPeer && acked.Tell
		return acked, nil
	}
	now := r.Now().UnixMilli()
	to := own
	to.Delivered, to.Read, to.ChangedAt = max(own.Delivered, ack.Delivered), max(own.Read, ack.Read), now
	var err error
	if to.ReadTexts, err = r.readTexts(ctx, u, head, own, to.Read); err != nil {
		return Acked{}, err
	}
	if today := BucketAt(now); own.Noted < today && acked.TellPeer {
		// First, so that a receipt never stands there of which the peer's syncs are not told.
		peer, _ := own.Conversation.Peer(u)
		if err := r.Shelf.NoteChange(ctx, peer, own.Conversation, today); err != nil {
			return Acked{}, err
		}
		to.Noted = today
	}
	if err := r.Shelf.Advance(ctx, u, own, to); err != nil {
		return Acked{}, err
	}
	acked.Receipt, acked.Tell = to.Receipt(), true
	return acked, nil
}

// readTexts is how many of the peer's texts stand up to read: all, when everything is read, which is
// the common case; otherwise those of the shorter part are counted.
func (r *Receipts) readTexts(ctx context.Context, u User, head *Head, own Membership, read int64) (int64, error) {
	peer, _ := own.Conversation.Peer(u)
	all := head.Texts[own.Conversation.Side(peer)]
	switch {
	case read == own.Read:
		return own.ReadTexts, nil
	case read == head.LastSeq:
		return all, nil
	case head.LastSeq-read < read-own.Read:
		after, err := r.Shelf.Texts(ctx, own.Conversation, peer, read+1, head.LastSeq)
		return all - after, err
	default:
		more, err := r.Shelf.Texts(ctx, own.Conversation, peer, own.Read+1, read)
		return own.ReadTexts + more, err
	}
}
