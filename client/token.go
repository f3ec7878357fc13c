package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// TokenSource gives the access token to connect with. It may be used concurrently.
//
// A source that also has the method Invalidate(access string) is told of a token that the server
// refused, and asked again once. Of one with the method Forget() the client asks nothing more once
// the session was signed out.
type TokenSource interface {
	// Token returns an access token that is good now, and when it expires (zero: not known). A clock
	// that is wrong does no harm: what the server says counts more.
	Token(ctx context.Context) (access string, expires time.Time, err error)
}

// StaticToken is a source of one token.
func StaticToken(access string, expires time.Time) TokenSource {
	return staticToken{access, expires}
}

type staticToken struct {
	access  string
	expires time.Time
}

func (s staticToken) Token(context.Context) (string, time.Time, error) {
	return s.access, s.expires, nil
}

// refreshAhead is how long before its expiry a token is no longer given out: more than the
// client's own margin, so that the connection that replaces one in time gets a new token.
const refreshAhead = 5 * time.Minute

// accessLife is the longest that an access token is good. One that seems to have more left was kept
// by a clock that has been set since. Source: Amazon Cognito API reference, CreateUserPoolClient,
// AccessTokenValidity.
const accessLife = 24 * time.Hour

// Source is a token source that refreshes in time. onRefresh, if not nil, is called with each new
// set, to store it. Its Token fails with ErrBadCredentials when the refresh token has ended.
func (a *Accounts) Source(t Tokens, onRefresh func(Tokens)) TokenSource {
	return &refreshingSource{accounts: a, onRefresh: onRefresh, tokens: t, began: time.Now()}
}

type refreshingSource struct {
	accounts  *Accounts
	onRefresh func(Tokens)
	flight    singleflight.Group

	mu     sync.Mutex // guards what follows
	tokens Tokens
	began  time.Time

	forgotten bool
}

// Token implements TokenSource. However many ask, one refresh is under way.
func (s *refreshingSource) Token(ctx context.Context) (string, time.Time, error) {
	if t, ok := s.current(); ok {
		return t.Access, t.Expires, nil
	}
	done := s.flight.DoChan("", func() (any, error) {
		if t, ok := s.current(); ok {
			return t, nil
		}
		// The refresh serves everybody who asks, so it does not end with the first one's context.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		return s.refresh(ctx)
	})
	select {
	case <-ctx.Done():
		return "", time.Time{}, ctx.Err()
	case r := <-done:
		if r.Err != nil {
			return "", time.Time{}, r.Err
		}
		t := r.Val.(Tokens)
		return t.Access, t.Expires, nil
	}
}

func (s *refreshingSource) refresh(ctx context.Context) (Tokens, error) {
	s.mu.Lock()
	old, forgotten := s.tokens.Refresh, s.forgotten
	s.mu.Unlock()
	if forgotten {
		return Tokens{}, fmt.Errorf("%w: signed out", ErrBadCredentials)
	}
	began := time.Now()
	t, err := s.accounts.Refresh(ctx, old)
	if err != nil {
		return Tokens{}, err
	}
	s.mu.Lock()
	if s.forgotten {
		s.mu.Unlock()
		return Tokens{}, fmt.Errorf("%w: signed out", ErrBadCredentials)
	}
	s.tokens, s.began = t, began
	s.mu.Unlock()
	if s.onRefresh != nil {
		s.onRefresh(t)
	}
	return t, nil
}

// current returns the token if it is good for a while. A short-lived one is kept for half its life.
func (s *refreshingSource) current() (Tokens, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ahead, left := min(refreshAhead, s.tokens.Expires.Sub(s.began)/2), time.Until(s.tokens.Expires)
	return s.tokens, s.tokens.Access != "" && left > max(0, ahead) && left <= accessLife
}

// Invalidate makes the next Token refresh, unless that was done already.
func (s *refreshingSource) Invalidate(access string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens.Access == access {
		s.tokens.Access = ""
	}
}

// Forget drops the tokens: the session is over. Token fails with ErrBadCredentials from now on.
func (s *refreshingSource) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens, s.forgotten = Tokens{}, true
}
