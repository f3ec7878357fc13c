package chat

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Draft is a message as a device sends it.
type Draft struct {
	Conversation ConversationID
	From         User
	Device       Device
	N            int64
	Kind         Kind // KindText if it is empty
	Text         string
	Target       int64 // of any other kind
	Emoji        string
	ReplyTo      int64 // 0 for none
	Seen         int64 // the device's guess of the conversation's last seq
}

// Sent says where a message stands.
type Sent struct {
	Seq       int64
	At        int64 // Unix milliseconds
	Duplicate bool  // it stood there before this request
}

// Sender appends messages so that each stands in its log once (G2), in one order for everybody
// (G3), and each device's in the order of its n (G4).
type Sender struct {
	Log Log
	// Now is the clock.
	Now func() time.Time
	// Sleep waits, or returns the context's error when that ends first.
	Sleep func(context.Context, time.Duration) error
	// PerMinute bounds what a user may append to a conversation in one minute of the clock; 0 does not.
	PerMinute int
	// NewPerDay bounds the conversations that a user begins on a day (UTC); 0 does not.
	NewPerDay int
	// Retention is how long messages are kept; 0 is for ever.
	Retention time.Duration
}

const (
	// MaxEarly is how far n may run ahead of the device's last accepted one and still be waited
	// for: a device has at most so many sends in flight.
	MaxEarly = 16
	// earlyWait bounds the wait for an early frame's predecessors.
	earlyWait = 2 * time.Second
	// shortestWait and longestWait bound one step of it.
	shortestWait = 200 * time.Microsecond
	longestWait  = 100 * time.Millisecond
	// maxTries bounds the attempts of one send. Each lost one means that another append went
	// through; both users with eight devices each, pipelining, stay far below it.
	maxTries = 40
)

// Send appends a message, or finds it where it already stands. The error is an *Error.
//
// A text's first attempt trusts the device's guess, so that the common case is one round trip. A lost
// attempt brings the head back, so that the second needs no read. What the head says decides:
// a repeat, an early frame, or another try. What is about another message reads the head and that
// message first.
func (s *Sender) Send(ctx context.Context, d Draft) (Sent, error) {
	sent, err := s.send(ctx, d)
	var refusal *Error
	if err != nil && !errors.As(err, &refusal) {
		return Sent{}, TryAgain(err)
	}
	return sent, err
}

func (s *Sender) send(ctx context.Context, d Draft) (Sent, error) {
	if d.Kind == "" {
		d.Kind = KindText
	}
	attempt, begun := s.blind(d), Quota{}
	if d.ReplyTo > d.Seen || d.Kind != KindText {
		// Only the head can tell whether there is such a message, or whether this one is a repeat.
		head, err := s.Log.Head(ctx, d.Conversation)
		if err != nil {
			return Sent{}, err
		}
		var sent *Sent
		if attempt, sent, err = s.next(ctx, d, head, 0); err != nil || sent != nil {
			return deref(sent), err
		}
	}
	var lastFault error
	var unknown Message // of an attempt that may have been done
	for try := range maxTries {
		began := s.Now()
		err := s.Log.Append(ctx, attempt)
		took := s.Now().Sub(began)
		var lost *Lost
		var beganMore *QuotaLost
		switch {
		case err == nil:
			return Sent{Seq: attempt.Message.Seq, At: attempt.Message.At}, nil
		case errors.Is(err, ErrUnknownUser):
			to, _ := d.Conversation.Peer(d.From)
			return Sent{}, Refuse(UnknownUser, "to", "there is no user %q: the name is wrong, or they have not signed up yet", to)
		case errors.Is(err, ErrErased):
			return Sent{}, Refuse(Forbidden, "", "your account is being erased: it begins no conversation any more")
		case errors.As(err, &lost):
			var sent *Sent
			if attempt, sent, err = s.next(ctx, d, lost.Head, took); err != nil || sent != nil {
				if sent != nil && sent.Seq == unknown.Seq && sent.At == unknown.At {
					sent.Duplicate = false // this very request has stored it, and the answer was lost
				}
				return deref(sent), err
			}
		case errors.As(err, &beganMore):
			begun = beganMore.Actual
			if attempt.Quota, err = s.quota(begun, attempt.Bucket); err != nil {
				return Sent{}, err
			}
		case errors.Is(err, ErrAmended):
			head, err := s.Log.Head(ctx, d.Conversation)
			if err != nil {
				return Sent{}, err
			}
			var sent *Sent
			if attempt, sent, err = s.next(ctx, d, head, 0); err != nil || sent != nil {
				return deref(sent), err
			}
		case ctx.Err() != nil:
			return Sent{}, err
		default:
			// Busy, or unknown whether it was done: the same attempt again settles it, since a
			// done one then fails its condition and the head shows it as a repeat.
			lastFault = err
			if !errors.Is(err, ErrBusy) {
				unknown = attempt.Message
			}
			if err := s.Sleep(ctx, backoff(try)); err != nil {
				return Sent{}, errors.Join(err, lastFault)
			}
		}
	}
	busy := TryAgain(lastFault)
	busy.RetryAfter = time.Second
	return Sent{}, busy
}

func deref(sent *Sent) Sent {
	if sent == nil {
		return Sent{}
	}
	return *sent
}

// backoff is full jitter over 10 ms, doubling to 320 ms.
// Source: AWS Architecture Blog, "Exponential Backoff And Jitter".
func backoff(try int) time.Duration {
	return rand.N(10 * time.Millisecond << min(try, 5))
}

// blind is the attempt on nothing but the device's guess.
func (s *Sender) blind(d Draft) Attempt {
	now := s.Now().UnixMilli()
	a := Attempt{
		Create:        d.Seen == 0 && d.N == 1,
		FirstHere:     d.N == 1,
		NothingParked: d.N == 1,
		Bucket:        BucketAt(now),
		PerMinute:     int64(s.PerMinute),
	}
	a.EnterBucket = a.Create
	// The device's own n-1 messages stand in the log already.
	a.Message = s.message(d, max(d.Seen, d.N-1)+1, now)
	if a.Create {
		a.Quota, _ = s.quota(Quota{}, a.Bucket) // none was counted yet, so that none is too many
	}
	return a
}

func (s *Sender) message(d Draft, seq, at int64) Message {
	m := Message{
		Conversation: d.Conversation, Seq: seq, From: d.From, Device: d.Device, N: d.N,
		Kind: d.Kind, Text: d.Text, Target: d.Target, Emoji: d.Emoji, ReplyTo: d.ReplyTo, At: at,
	}
	if s.Retention > 0 {
		m.Until = time.UnixMilli(at).Add(s.Retention).Unix()
	}
	return m
}

// next decides by the head: the attempt to make, or the place where the message already
// stands, or a refusal. It waits for the predecessors of an early frame. Each of them takes a
// transaction, and took is how long one takes here: milliseconds on AWS, a fraction of one in a
// local cloud.
func (s *Sender) next(ctx context.Context, d Draft, head *Head, took time.Duration) (Attempt, *Sent, error) {
	wait, waited := max(took, shortestWait), time.Duration(0)
	for {
		tail, inHead, err := s.tail(ctx, d, head)
		switch {
		case err != nil:
			return Attempt{}, nil, err
		case d.N <= tail.N:
			sent, err := s.repeat(ctx, d, tail)
			return Attempt{}, sent, err
		case d.N == tail.N+1:
			a, err := s.informed(ctx, d, head, inHead)
			if err != nil || a.Amend == nil || a.Amend.Edited < a.Message.Seq {
				return a, nil, err
			}
			// The text was edited after the head was read: look again.
			if head, err = s.Log.Head(ctx, d.Conversation); err != nil {
				return Attempt{}, nil, err
			}
			continue
		case d.N > tail.N+MaxEarly || waited >= earlyWait:
			e := Refuse(OutOfOrder, "n", "n is %d, but the last accepted one of this device is %d: send again from %d", d.N, tail.N, tail.N+1)
			e.LastN, e.Retry = &tail.N, true
			return Attempt{}, nil, e
		}
		pause := min(wait*time.Duration(d.N-tail.N-1), longestWait)
		if err := s.Sleep(ctx, pause); err != nil {
			return Attempt{}, nil, err
		}
		waited += pause
		wait = wait * 3 / 2
		if head, err = s.Log.Head(ctx, d.Conversation); err != nil {
			return Attempt{}, nil, err
		}
	}
}

// tail finds the device's last accepted message; inHead says whether the head itself holds it.
func (s *Sender) tail(ctx context.Context, d Draft, head *Head) (_ Tail, inHead bool, _ error) {
	if head == nil {
		return Tail{}, false, nil
	}
	key := NewTailKey(d.From, d.Device)
	if tail, ok := head.Tails[key]; ok {
		return tail, true, nil
	}
	if !head.Parked {
		return Tail{}, false, nil
	}
	tail, err := s.Log.Parked(ctx, d.Conversation, key)
	return tail, false, err
}

// informed is the attempt that the head, nil for none, allows.
func (s *Sender) informed(ctx context.Context, d Draft, head *Head, inHead bool) (Attempt, error) {
	now := s.Now().UnixMilli()
	a := Attempt{Create: head == nil, FirstHere: !inHead, Bucket: BucketAt(now), EnterBucket: true, PerMinute: int64(s.PerMinute)}
	if head == nil {
		head = &Head{}
	} else {
		a.EnterBucket = head.Bucket < a.Bucket
	}
	if head.LastSeq == 0 { // a block may have made the head before
		a.Quota, _ = s.quota(Quota{}, a.Bucket) // none was counted yet, so that none is too many
	}
	if err := s.allowed(d, head, now); err != nil {
		return a, err
	}
	if d.Kind != KindText {
		var err error
		if a.Amend, err = s.amendment(ctx, d); err != nil {
			return a, err
		}
	}
	a.Message = s.message(d, head.LastSeq+1, now)
	if a.Amend != nil {
		// It is kept as long as the text, however retention was set when that was written: what amends
		// the text next takes this entry's copy away.
		a.Message.Until = longer(a.Message.Until, a.Amend.Until)
	}
	if !inHead {
		if key := head.evicted(); key != "" {
			a.Park = &ParkedTail{Key: key, Tail: head.Tails[key]}
		}
	}
	return a, nil
}

// longer is the later of two ends of retention.
func longer(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

// allowed says why the message may not be appended, if it may not.
func (s *Sender) allowed(d Draft, head *Head, now int64) error {
	me := d.Conversation.Side(d.From)
	peer, _ := d.Conversation.Peer(d.From)
	switch {
	case head.Shut.Gone[me.Other()]:
		return Refuse(UnknownUser, "to", "%q has deleted their account", peer)
	case head.Shut.Blocked[me]:
		return Refuse(Blocked, "to", "you have blocked %q: unblock them to write", peer)
	case head.Shut.Any():
		return Refuse(Blocked, "to", "%q does not take messages from you", peer)
	case d.ReplyTo > head.LastSeq:
		return Refuse(BadRequest, "reply_to", "there is no message %d to reply to: the last one is %d", d.ReplyTo, head.LastSeq)
	case d.Target > head.LastSeq:
		return Refuse(NotFound, "target", "there is no message %d: the last one is %d", d.Target, head.LastSeq)
	}
	return s.tooFast(head.Pace[me], now)
}
