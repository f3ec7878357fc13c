package chat

import "context"

// repeat answers a message whose n was accepted before: with its place, if it is the same
// message. If it is another one, the device has lost its memory and numbers from the start
// again; under the old numbers its new messages would be taken for repeats and be lost.
func (s *Sender) repeat(ctx context.Context, d Draft, tail Tail) (*Sent, error) {
	m, err := s.find(ctx, d, tail)
	switch {
	case err != nil:
		return nil, err
	case m == nil:
		e := Refuse(NotFound, "n", "message %d of this device was accepted, but is no longer kept", d.N)
		e.LastN = &tail.N
		return nil, e
	case !m.same(d):
		e := Refuse(Conflict, "n", "n = %d of device %q already stands for another message: number on from %d, or, if this device lost its memory, take a new device id", d.N, d.Device, tail.N+1)
		e.LastN = &tail.N
		return nil, e
	}
	return &Sent{Seq: m.Seq, At: m.At, Duplicate: true}, nil
}

// same tells whether the entry is what the draft says. A text that was amended since is not
// compared: what it said first is not kept, so that what was unsent is gone.
func (m *Message) same(d Draft) bool {
	amended := m.Edited > 0 || m.Unsent > 0 || m.Kind == KindEdit && m.Text == ""
	return m.Kind == d.Kind && m.Target == d.Target && m.Emoji == d.Emoji && m.ReplyTo == d.ReplyTo &&
		(amended || m.Text == d.Text)
}

// findPage is how many entries a step of find reads: about 2 read units of common messages.
const findPage = 32

// find looks for the message that a device numbered n, given its tail. The head remembers only
// the last number, since repeats of older ones are rare: for these it searches the log by
// halves. A device's numbers rise by one with its messages, so each one seen on the way narrows
// the range from its side. Work: about log2(range/32) reads of 32 entries.
func (s *Sender) find(ctx context.Context, d Draft, tail Tail) (*Message, error) {
	low, high := d.N, tail.Seq-(tail.N-d.N)
	for low <= high {
		probe := low + max(0, (high-low+1-findPage)/2)
		own, err := s.ownFrom(ctx, d, probe, high)
		if err != nil {
			return nil, err
		}
		if len(own) == 0 || own[0].N > d.N {
			high = probe - 1
			continue
		}
		for _, m := range own {
			if m.N == d.N {
				return &m, nil
			}
			if m.N > d.N {
				high = m.Seq - (m.N - d.N)
				break
			}
			low = m.Seq + (d.N - m.N)
		}
	}
	return nil, nil
}

// ownFrom returns the device's own messages of the first page, from first on, that has any.
func (s *Sender) ownFrom(ctx context.Context, d Draft, first, last int64) ([]Message, error) {
	for first <= last {
		page, err := s.Log.Entries(ctx, d.Conversation, first, last, findPage, false)
		if err != nil || len(page) == 0 {
			return nil, err
		}
		var own []Message
		for _, m := range page {
			if m.From == d.From && m.Device == d.Device {
				own = append(own, m)
			}
		}
		if len(own) > 0 {
			return own, nil
		}
		first = page[len(page)-1].Seq + 1
	}
	return nil, nil
}
