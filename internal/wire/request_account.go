package wire

import (
	"math"

	"github.com/duet-chat/duet/internal/chat"
)

// SignOut asks to end connections of the asking user.
type SignOut struct {
	Ref   string
	Scope chat.Scope
}

// DecodeSignOut reads a signout.
func DecodeSignOut(frame []byte) (r SignOut, _ error) {
	o, err := object(frame)
	r.Ref = o.ref
	if err != nil {
		return r, err
	}
	scope, err := o.text("scope", false, math.MaxInt)
	if err != nil {
		return r, err
	}
	switch r.Scope = chat.Scope(scope); r.Scope {
	case "":
		r.Scope = chat.ThisSession
	case chat.ThisSession, chat.OtherSessions, chat.AllSessions:
	default:
		return r, chat.Refuse(chat.BadRequest, "scope", "scope must be %s, %s or %s, not %.40q", chat.ThisSession, chat.OtherSessions, chat.AllSessions, scope)
	}
	return r, nil
}

// Account asks what is kept about the asking user.
type Account struct{ Ref string }

// DecodeAccount reads an account.
func DecodeAccount(frame []byte) (r Account, _ error) {
	o, err := object(frame)
	return Account{Ref: o.ref}, err
}

// Erase asks to delete the asking user's account.
type Erase struct{ Ref string }

// DecodeErase reads an erase, which must name the user, so that none is sent by mistake.
func DecodeErase(frame []byte, from chat.User) (r Erase, _ error) {
	o, err := object(frame)
	r.Ref = o.ref
	if err != nil {
		return r, err
	}
	name, err := o.text("user", true, math.MaxInt)
	if err != nil {
		return r, err
	}
	if chat.User(name) != from {
		return r, chat.Refuse(chat.Forbidden, "user", "only %q can be erased here: the account of this connection", from)
	}
	return r, nil
}
