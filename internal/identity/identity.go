// Package identity finds out who opens a connection: it takes the token and the device from the
// handshake and checks the token by the issuer's published keys (G9). Why a token was refused is
// for the log; clients are told only that it was.
package identity

import (
	"errors"
	"fmt"
	"time"

	"github.com/duet-chat/duet/internal/chat"
)

// Identity is whom a valid token speaks for.
type Identity struct {
	User chat.User
	// Session names the sign-in that the token comes from: origin_jti, sid or jti, whichever the
	// issuer sends; "" if none.
	Session string
	// SignedIn is when the user proved who they are: the claim auth_time, or, of an issuer that does
	// not send it, when the token was made.
	SignedIn time.Time
	// SessionEnd is when the token expires.
	SessionEnd time.Time
}

// Category says why a token was refused, in words that a log can be searched by.
type Category string

// The categories. KeysUnavailable alone says nothing about the token: try again.
const (
	Missing         Category = "missing"          // no token was sent
	Ambiguous       Category = "ambiguous"        // two different tokens were sent
	Malformed       Category = "malformed"        // not a signed JWT
	Algorithm       Category = "algorithm"        // neither RS256 nor ES256
	UnknownKey      Category = "unknown_key"      // the issuer publishes no such key
	Signature       Category = "signature"        // tampered with, or signed by another key
	Issuer          Category = "issuer"           // another issuer's
	Audience        Category = "audience"         // made for another client or service
	TokenUse        Category = "token_use"        // an id token
	Expired         Category = "expired"          // its time is over, or it never ends
	NotYetValid     Category = "not_yet_valid"    // its time has not come
	UserClaim       Category = "user_claim"       // it names no valid user
	KeysUnavailable Category = "keys_unavailable" // the issuer's keys cannot be fetched
)

// Error is a token that was refused. Its text never holds the token.
type Error struct {
	Category Category
	Detail   error // for the log only
}

func (e *Error) Error() string {
	if e.Detail == nil {
		return "token refused: " + string(e.Category)
	}
	return fmt.Sprintf("token refused: %s: %v", e.Category, e.Detail)
}

func (e *Error) Unwrap() error { return e.Detail }

// Why returns the category of an error of this package, "" for any other.
func Why(err error) Category {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.Category
	}
	return ""
}

func refuse(why Category, format string, args ...any) *Error {
	return &Error{Category: why, Detail: fmt.Errorf(format, args...)}
}
