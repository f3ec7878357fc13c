package cognito

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Keys: 'c', a letter for the kind, the pool's id, NUL, the name within the pool.
//
//	cu POOL \0 user name           user
//	cs POOL \0 origin_jti          session
//	ck POOL \0                     signing key
const (
	userKind    = 'u'
	sessionKind = 's'
	keyKind     = 'k'
)

func storeKey(kind byte, poolID, name string) []byte {
	key := make([]byte, 0, 3+len(poolID)+len(name))
	key = append(append(key, 'c', kind), poolID...)
	return append(append(key, 0), name...)
}

// Status of a user. Source: Cognito API reference, UserType.
const (
	unconfirmed = "UNCONFIRMED"
	confirmed   = "CONFIRMED"
)

// user is a stored user.
type user struct {
	Name       string            `json:"name"`
	Sub        string            `json:"sub"`
	Status     string            `json:"status"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Password   []byte            `json:"password"` // see hash
	// Generation counts global sign-outs: sessions of an older one are revoked.
	Generation int       `json:"generation"`
	Created    time.Time `json:"created"`
	Modified   time.Time `json:"modified"`
}

// session is a stored sign-in: all the tokens that come of it share its origin_jti, which is its
// key and follows from the refresh token (see sessionID).
type session struct {
	User       string    `json:"user"`
	Sub        string    `json:"sub"` // a name that was deleted and taken again has another
	Client     string    `json:"client"`
	Refresh    []byte    `json:"refresh"` // SHA-256 of the refresh token
	Generation int       `json:"generation"`
	SignedIn   time.Time `json:"signed_in"`
	Ends       time.Time `json:"ends"`
	Revoked    bool      `json:"revoked,omitempty"`
}

// of tells whether a session still belongs to a user.
func (s *session) of(u *user) bool { return u != nil && s.Sub == u.Sub }

// revoked tells whether a session was ended by RevokeToken or GlobalSignOut.
func (s *session) revoked(u *user) bool { return s.Revoked || s.Generation < u.Generation }

func (p *pool) userKey(name string) []byte {
	if p.CaseInsensitive {
		name = strings.ToLower(name)
	}
	return storeKey(userKind, p.ID, name)
}

// user returns nil when there is none.
func (p *Pools) user(in *pool, name string) (*user, error) {
	return load[user](p.store, in.userKey(name))
}

func (p *Pools) putUser(in *pool, u *user) error {
	return save(p.store, in.userKey(u.Name), u)
}

// changeUser changes a user who exists, or returns nil.
func (p *Pools) changeUser(in *pool, name string, change func(*user)) (*user, error) {
	in.users.Lock()
	defer in.users.Unlock()
	u, err := p.user(in, name)
	if u == nil || err != nil {
		return nil, err
	}
	change(u)
	u.Modified = p.now()
	return u, p.putUser(in, u)
}

// session returns nil when there is none.
func (p *Pools) session(in *pool, id string) (*session, error) {
	return load[session](p.store, storeKey(sessionKind, in.ID, id))
}

func (p *Pools) putSession(in *pool, id string, s *session) error {
	return save(p.store, storeKey(sessionKind, in.ID, id), s)
}

// sweep removes the sessions that have ended, so that a data folder does not grow with each sign-in
// for ever. Their refresh tokens are refused by time as well.
func (p *Pools) sweep(ctx context.Context, in *pool) {
	now := p.now()
	var ended [][]byte
	err := p.store.Scan(storeKey(sessionKind, in.ID, ""), func(key, value []byte) bool {
		var s session
		if json.Unmarshal(value, &s) == nil && !now.Before(s.Ends) {
			ended = append(ended, append([]byte(nil), key...))
		}
		return ctx.Err() == nil
	})
	for _, key := range ended {
		if err != nil || ctx.Err() != nil {
			break
		}
		err = p.store.Delete(key)
	}
	if err != nil {
		p.log.Warn("sessions that have ended stay in the store", "pool", in.ID, "error", err)
	}
}

func load[T any](s Store, key []byte) (*T, error) {
	value, ok, err := s.Get(key)
	if err != nil || !ok {
		return nil, err
	}
	t := new(T)
	if err := json.Unmarshal(value, t); err != nil {
		return nil, fmt.Errorf("stored %T cannot be read: %w", *t, err)
	}
	return t, nil
}

func save(s Store, key []byte, t any) error {
	value, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return s.Put(key, value)
}
