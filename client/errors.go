package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/duet-chat/duet/internal/chat"
)

// Error is a refusal of the server. Compare with errors.Is and the Err… values of this package,
// which match by Code, or read Code: docs/protocol.md lists them.
type Error struct {
	Code       string
	Field      string // the field at fault, if one is
	Message    string // for people; may change at any time
	Retry      bool   // the same request may succeed later
	RetryAfter time.Duration
}

// Error implements error.
func (e *Error) Error() string {
	s := e.Code
	if e.Field != "" {
		s += " (" + e.Field + ")"
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Is reports whether target is a refusal with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Refusals by code, for errors.Is.
var (
	ErrBadRequest  error = &Error{Code: string(chat.BadRequest)}  // bad input: see Field and Message
	ErrTooLarge    error = &Error{Code: string(chat.TooLarge)}    // the text has over MaxTextBytes
	ErrUnknownUser error = &Error{Code: string(chat.UnknownUser)} // the recipient is not registered
	ErrForbidden   error = &Error{Code: string(chat.Forbidden)}   // somebody else's conversation
	ErrBlocked     error = &Error{Code: string(chat.Blocked)}     // one of the two has blocked the other
	ErrNotFound    error = &Error{Code: string(chat.NotFound)}    // the message or conversation does not exist
	ErrRateLimited error = &Error{Code: string(chat.RateLimited)} // too much at once: see RetryAfter, and Pending.Delay
)

// Reasons for which Run ends, or a request cannot be finished.
var (
	// ErrClosed: the client was closed, or Run ended, before the answer came. A send that was
	// under way stays in the State and is sent again by the next client on it.
	ErrClosed = errors.New("the client is closed")
	// ErrReplaced: the same device connected from elsewhere. Run ends with it, so that two
	// programs on one State do not throw each other out for ever.
	ErrReplaced = errors.New("this device has connected from elsewhere")
	// ErrSignedOut: this session was ended, here or from elsewhere: sign in anew.
	ErrSignedOut = errors.New("this session was signed out")
	// ErrUnauthorized: the server refused the token, and a refreshed one too: sign in anew.
	ErrUnauthorized = errors.New("the server refused the access token")
	// ErrRefused: the server refused the handshake for good (400 or 403).
	ErrRefused = errors.New("the server refused the connection")
	// ErrErased: the account has been erased, here or from elsewhere (403). It is an ErrRefused, too.
	ErrErased = fmt.Errorf("%w: the account has been erased", ErrRefused)
	// ErrNewEpoch: the server's data began a new life before this send was acknowledged, and
	// whether it is part of that life is unknown.
	ErrNewEpoch = errors.New("the server's data was restored: whether the message was stored is unknown")
	// ErrRunning: Run was called twice.
	ErrRunning = errors.New("the client has been run already")
)

// Refusals of Accounts. They wrap what the user pool said.
var (
	ErrUserExists     = errors.New("the user name is taken")
	ErrBadCredentials = errors.New("wrong user name or password, or the session has ended")
	ErrWeakPassword   = errors.New("the password is too weak")
	ErrBadName        = errors.New("the user name is not valid")
	ErrNotConfirmed   = errors.New("the account waits for confirmation")
	ErrTooMany        = errors.New("too many requests: slow down")
)
