package chat

import (
	"context"
	"time"
)

// Presence is what others see of a user.
type Presence struct {
	Online   bool
	LastSeen int64 // Unix milliseconds; 0 if it is not told, or while online
}

// Profile is a user's own row.
type Profile struct {
	User         User
	RegisteredAt int64 // Unix milliseconds
	// OnlineUntil is when the last of the user's connections has ended for certain, in Unix seconds;
	// 0 while there is none. It heals the presence of whose $disconnect never came.
	OnlineUntil int64
	LastSeen    int64 // Unix milliseconds: when the last connection ended, or the user hid
	Hidden      bool  // the user is invisible
	Erasing     int64 // Unix milliseconds since when the account is being erased; 0 if it is not
	Erased      bool  // the account is gone: only its name is kept, so that nobody takes it
	SignOuts    SignOuts
}

// Seen is the presence that others see.
func (p *Profile) Seen(now time.Time) Presence {
	switch {
	case p.Erased || p.Erasing > 0:
		return Presence{}
	case p.Hidden:
		return Presence{LastSeen: p.LastSeen}
	case p.OnlineUntil > now.Unix():
		return Presence{Online: true}
	case p.OnlineUntil > 0:
		return Presence{LastSeen: p.OnlineUntil * 1000} // nobody saw the end
	}
	return Presence{LastSeen: p.LastSeen}
}

// PresenceStore keeps what presence is made of.
type PresenceStore interface {
	// Profile reads a user's row consistently: nil if the user is not registered.
	Profile(context.Context, User) (*Profile, error)
	// Of reads a user's connections consistently.
	Of(context.Context, User) ([]Connection, error)
	// SetOnline notes until when a user is online, unless that is noted for longer already.
	SetOnline(ctx context.Context, u User, until int64) error
	// SetOffline notes that a user has no connection any more.
	SetOffline(ctx context.Context, u User, lastSeen int64) error
}

// Presences keeps users' presence in step with their connections.
type Presences struct {
	Store PresenceStore
	Now   func() time.Time
}

// presenceTries bounds how often a user comes and goes within one Refresh.
const presenceTries = 5

// Refresh brings a user's presence in step with the connections that there are now, and returns it
// if others see a change. Whoever adds or removes a connection calls it afterwards; ended says that one
// was removed, and the grace is over: only then the user goes offline. Two that run at once cannot leave a
// wrong state behind: one that has written looks again, and sees a connection that came or went
// meanwhile, which another one may have taken for no change. One that fails after it has written returns
// what has changed so far together with its error: a repeat would take it for known.
//
// Cost: 2 RU; 1 WU and 1 or 2 RU more when the last connection ends or a newer one lasts longer.
func (p *Presences) Refresh(ctx context.Context, u User, ended bool) (*Presence, error) {
	var first, noted *Presence
	failed := func(err error) (*Presence, error) {
		if noted == nil {
			return nil, err
		}
		return changed(*first, *noted), err
	}
	for range presenceTries {
		profile, err := p.Store.Profile(ctx, u)
		if err != nil {
			return failed(err)
		}
		if profile == nil || profile.Erased {
			return nil, nil
		}
		now := p.Now()
		before := profile.Seen(now)
		if first == nil {
			first = &before
		}
		until, err := p.until(ctx, u)
		if err != nil {
			return failed(err)
		}
		switch {
		case until > now.Unix():
			if until > profile.OnlineUntil {
				if err := p.Store.SetOnline(ctx, u, until); err != nil {
					return failed(err)
				}
				profile.OnlineUntil = until
				seen := profile.Seen(now)
				noted = &seen
				if left, err := p.until(ctx, u); err != nil {
					return failed(err)
				} else if left <= now.Unix() {
					ended = true // meanwhile, and perhaps its own Refresh has run: nobody else looks again
					continue
				}
			}
			return changed(*first, profile.Seen(now)), nil
		case profile.OnlineUntil == 0 || !ended: // what has ended is looked at after the grace
			return changed(*first, before), nil
		}
		lastSeen := min(now.UnixMilli(), profile.OnlineUntil*1000)
		if profile.Hidden {
			lastSeen = profile.LastSeen // what an invisible user does is not told
		}
		if err := p.Store.SetOffline(ctx, u, lastSeen); err != nil {
			return failed(err)
		}
		profile.OnlineUntil, profile.LastSeen = 0, lastSeen
		seen := profile.Seen(now)
		noted = &seen
		// Somebody may have connected meanwhile: look again.
	}
	return failed(TryAgain(nil))
}

// until is when the last of a user's connections has ended for certain, in Unix seconds.
func (p *Presences) until(ctx context.Context, u User) (until int64, _ error) {
	connections, err := p.Store.Of(ctx, u)
	for _, c := range connections {
		until = max(until, c.Until())
	}
	return until, err
}

// changed is what others see now, nil if they saw as much before.
func changed(before, now Presence) *Presence {
	if before.Online == now.Online {
		return nil
	}
	return &now
}
