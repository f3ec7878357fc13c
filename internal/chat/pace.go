package chat

import "time"

// PaceSlots is how many minutes are told apart when entries are counted. An append counts in the
// slot of its minute and empties the others, all in the write that is made anyway: a limit costs
// nothing. A side whose entries are whole multiples of so many minutes apart counts on in the same
// slot; to be refused for that it would have to do so as often as the limit allows in one minute.
const PaceSlots = 8

// Pace is how much one side has written in a minute.
type Pace struct {
	Slot  int // the minute, modulo PaceSlots
	Count int64
}

// PaceSlot is the slot of a time in Unix milliseconds.
func PaceSlot(at int64) int { return int(at / time.Minute.Milliseconds() % PaceSlots) }

// tooFast refuses a message beyond the side's limit for this minute.
func (s *Sender) tooFast(pace Pace, now int64) error {
	if s.PerMinute <= 0 || pace.Slot != PaceSlot(now) || pace.Count < int64(s.PerMinute) {
		return nil
	}
	minute := time.Minute.Milliseconds()
	wait := time.Duration(minute-now%minute) * time.Millisecond
	e := Refuse(RateLimited, "", "you have sent %d messages in this conversation in this minute, which is all that is allowed: wait %v", pace.Count, wait)
	e.Retry, e.RetryAfter = true, wait
	return e
}

// quota is the attempt's count of the user's new conversations today: of begun's day, where the clock of
// another function was ahead around midnight.
func (s *Sender) quota(begun Quota, today Bucket) (*Quota, error) {
	if s.NewPerDay <= 0 {
		return nil, nil
	}
	if begun.Day < today {
		return &Quota{Day: today}, nil
	}
	if begun.Begun >= int64(s.NewPerDay) {
		wait := time.UnixMilli(int64(begun.Day+1) * (24 * time.Hour).Milliseconds()).Sub(s.Now())
		e := Refuse(RateLimited, "", "%d conversations were begun today, which is all that is allowed: wait until tomorrow (UTC)", begun.Begun)
		e.Retry, e.RetryAfter = true, wait
		return nil, e
	}
	return &begun, nil
}
