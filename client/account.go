package client

import (
	"context"
	"errors"
	"time"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/wire"
)

// Account is what the server keeps about a user besides the conversations.
type Account struct {
	User         string
	RegisteredAt time.Time
	Visible      bool // others may see the user's presence
	Connections  []Connection
}

// Connection is an open connection of a user's.
type Connection struct {
	Device      string
	ConnectedAt time.Time
	SessionEnd  time.Time // when its token ends
}

// Account returns what the server keeps about this user. It waits for a connection.
func (c *Client) Account(ctx context.Context) (Account, error) {
	f, err := c.roundTrip(ctx, func(ref string) any { return plainRequest{wire.ActionAccount, ref} })
	if err != nil {
		return Account{}, err
	}
	a := Account{User: f.User, RegisteredAt: time.UnixMilli(f.RegisteredAt), Visible: f.Visible}
	for _, o := range f.Connections {
		a.Connections = append(a.Connections, Connection{
			Device: o.Device, ConnectedAt: time.UnixMilli(o.ConnectedAt), SessionEnd: time.Unix(o.SessionEnd, 0),
		})
	}
	return a, nil
}

// Block makes the server take nothing of a user's any more, and tell them nothing of this one:
// neither messages nor typing, presence or receipts. Neither can write to the other until Unblock.
// It waits for a connection. Errors: ErrUnknownUser.
func (c *Client) Block(ctx context.Context, user string) error {
	return c.setBlock(ctx, wire.ActionBlock, user)
}

// Unblock takes Block back.
func (c *Client) Unblock(ctx context.Context, user string) error {
	return c.setBlock(ctx, wire.ActionUnblock, user)
}

func (c *Client) setBlock(ctx context.Context, action wire.Action, user string) error {
	if err := c.checkPeer("user", user); err != nil {
		return err
	}
	if _, err := c.roundTrip(ctx, func(ref string) any { return userRequest{action, ref, user} }); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.convs[c.between(user)]; v != nil {
		v.card.blocked = action == wire.ActionBlock
		c.stopped(v)
	}
	c.watchAgain(user)
	return nil
}

// Scope says which sessions a sign-out ends.
type Scope string

const (
	ThisSession   Scope = Scope(chat.ThisSession)   // the one that this client's token is of, on all its connections
	OtherSessions Scope = Scope(chat.OtherSessions) // all others, as after a change of password
	AllSessions   Scope = Scope(chat.AllSessions)
)

// SignOut ends sessions of this user at once: their connections are closed, and their tokens open no
// other. If this session is among them, Run ends with ErrSignedOut. The user pool is told by
// Accounts.SignOut. It waits for a connection.
func (c *Client) SignOut(ctx context.Context, scope Scope) error {
	_, err := c.roundTrip(ctx, func(ref string) any { return signOutRequest{wire.ActionSignOut, ref, scope} })
	if errors.Is(err, ErrClosed) && scope != OtherSessions {
		// The connection that asks may be closed before it has the answer; without one, the next
		// connection is refused.
		c.mu.Lock()
		defer c.mu.Unlock()
		if errors.Is(c.err, ErrSignedOut) || errors.Is(c.err, ErrUnauthorized) || errors.Is(c.err, ErrBadCredentials) {
			return nil
		}
	}
	return err
}

// Erase deletes this user's account: profile, receipts, and the texts of all messages that the user
// wrote. The places of the messages stay, and what the peers wrote. It works step by step until all is
// done; what was begun and broke off is taken up by calling it again. Then Run ends with
// ErrErased. The user pool's account is deleted by Accounts.DeleteUser.
func (c *Client) Erase(ctx context.Context) error {
	for {
		f, err := c.roundTrip(ctx, func(ref string) any { return userRequest{wire.ActionErase, ref, c.cfg.User} })
		if err == nil && !f.Done {
			continue
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if errors.Is(err, ErrClosed) && errors.Is(c.err, ErrErased) {
			return nil // the connection may end before it has brought the answer; the next one is refused
		}
		return err
	}
}

// signedOut ends the client: its session is over.
func (c *Client) signedOut() {
	c.forgetTokens()
	c.end(ErrSignedOut)
}

func (c *Client) forgetTokens() {
	if source, ok := c.cfg.Tokens.(interface{ Forget() }); ok {
		source.Forget()
	}
}
