package chat

import (
	"fmt"
	"time"
)

// Code tells programs why a request was refused. Codes are part of the protocol:
// the list only ever grows. Text for people may change at any time.
type Code string

const (
	BadRequest     Code = "bad_request"     // a field is missing, of the wrong type or out of its limits
	TooLarge       Code = "too_large"       // the text or the frame is over its limit
	UnknownAction  Code = "unknown_action"  // no such action in this version
	UnknownUser    Code = "unknown_user"    // the recipient is not registered
	NotFound       Code = "not_found"       // the message or conversation does not exist
	Forbidden      Code = "forbidden"       // somebody else's conversation
	Blocked        Code = "blocked"         // one of the two blocked the other
	OutOfOrder     Code = "out_of_order"    // n is not the device's next; LastN says where to resend from
	RateLimited    Code = "rate_limited"    // wait RetryAfter
	SessionExpired Code = "session_expired" // connect anew with a fresh token
	Conflict       Code = "conflict"        // n was used for something else: the device must take a new id
	Unavailable    Code = "unavailable"     // try again: whether it was done is unknown, a repeat is safe
)

// Error is a refusal with everything that a client may be told about it.
// Any other error is answered as Unavailable, with its detail only in the log.
type Error struct {
	Code       Code
	Field      string // the field at fault, if one is
	Message    string // for people: what was wrong and what to do
	Retry      bool   // the same request may succeed later
	RetryAfter time.Duration
	LastN      *int64 // with OutOfOrder: the device's last accepted n
	Cause      error  // for the log only
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Field != "" {
		s += " (" + e.Field + ")"
	}
	s += ": " + e.Message
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Cause }

// Refuse makes a refusal that names a field ("" if no single one is at fault).
func Refuse(code Code, field, format string, args ...any) *Error {
	return &Error{Code: code, Field: field, Message: fmt.Sprintf(format, args...)}
}

// TryAgain makes the refusal for a fault that may pass.
func TryAgain(cause error) *Error {
	return &Error{Code: Unavailable, Message: "the request could not be finished now: send it again, unchanged", Retry: true, Cause: cause}
}
