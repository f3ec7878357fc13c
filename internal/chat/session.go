package chat

import (
	"slices"
	"time"
)

// Scope says which connections a sign-out ends.
type Scope string

const (
	ThisSession   Scope = "session" // all of the session that asks
	OtherSessions Scope = "others"  // all of other sessions, as after a change of password
	AllSessions   Scope = "all"
)

// SessionID names a sign-in: tokens that are refreshed keep it.
type SessionID string

// Token is what a handshake's token says of its session.
type Token struct {
	Session SessionID
	// SignedIn is when the user gave the password, in Unix seconds.
	SignedIn int64
}

// MaxEnded bounds the sessions that a profile remembers as ended: of more, the oldest are dropped,
// whose tokens end first.
const MaxEnded = 32

// SignOuts is which sessions of a user have been ended although their tokens have not.
type SignOuts struct {
	// Before ends every session begun before it, in Unix seconds, but Kept.
	Before int64
	Kept   SessionID
	// Ended are single sessions, oldest first.
	Ended []SessionID
}

// Ends tells whether a token's session has been ended.
func (s SignOuts) Ends(t Token) bool {
	return t.SignedIn < s.Before && t.Session != s.Kept || slices.Contains(s.Ended, t.Session)
}

// With is s after another sign-out by a session.
func (s SignOuts) With(scope Scope, own SessionID, now time.Time) SignOuts {
	switch scope {
	case ThisSession:
		if s.Kept == own {
			s.Kept = ""
		}
	case OtherSessions:
		s.Before, s.Kept = max(s.Before, SignOutOver(now).Unix()), own
	case AllSessions:
		s.Before, s.Kept = max(s.Before, SignOutOver(now).Unix()), ""
	}
	if scope != OtherSessions && !slices.Contains(s.Ended, own) {
		ended := append(slices.Clone(s.Ended), own)
		s.Ended = ended[max(0, len(ended)-MaxEnded):]
	}
	return s
}

// SignOutOver is when a sign-out of other sessions is over: tokens tell the second of their sign-in alone, so
// that it ends those of its whole second, and who signs in within the rest of it would be refused.
func SignOutOver(now time.Time) time.Time { return now.Truncate(time.Second).Add(time.Second) }

// Covers tells whether a sign-out of this scope ends a connection.
func (s Scope) Covers(own SessionID, c Connection) bool {
	switch s {
	case ThisSession:
		return c.Session == own
	case OtherSessions:
		return c.Session != own
	}
	return true
}
