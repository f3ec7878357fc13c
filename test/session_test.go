package test

import (
	"net/http"
	"testing"
)

func signOut(scope string) map[string]any { return map[string]any{"action": "signout", "scope": scope} }

// ends waits until a connection was told that it ends, and why, and its socket is closed.
func (c *conn) ends(reason string) {
	c.t.Helper()
	c.closed()
	c.mu.Lock()
	defer c.mu.Unlock()
	if got := of(c.pushed, "closing"); len(got) != 1 || got[0].Reason != reason {
		c.t.Errorf("%s was told %v before its end, want %s", c, got, reason)
	}
}

// again signs a user in once more: another session.
func (u *user) again(t testing.TB) *user {
	t.Helper()
	other := &user{target: u.target, name: u.name}
	other.signIn(t)
	return other
}

// refuses checks that no connection can be opened with the user's token.
func (u *user) refuses(t testing.TB, device string) {
	t.Helper()
	_, resp, err := u.target.dial(t.Context(), as(u.AccessToken, device))
	if err == nil || resp == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a token of an ended session opens a connection: %v, want 401", err)
	}
}

// A sign-out ends all sockets of its scope at once, and its tokens open no other.
func TestSignOut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		scope               string
		own, other          bool // end
		ownAgain, otherOpen bool // sessions that still open connections
	}{
		{scope: "session", own: true, otherOpen: true},
		{scope: "others", other: true, ownAgain: true},
		{scope: "all", own: true, other: true},
	} {
		t.Run(test.scope, func(t *testing.T) {
			t.Parallel()
			d := newTarget(t)
			alice, bob := d.user(t, "alice"), d.user(t, "bob")
			elsewhere := alice.again(t)
			laptop, phone := alice.connect(t, "laptop"), alice.connect(t, "phone")
			tablet := elsewhere.connect(t, "tablet")
			b := bob.connect(t, "laptop")

			_, _ = laptop.ask(signOut(test.scope)) // its answer may be lost with its own socket
			for _, c := range []struct {
				conn *conn
				ends bool
			}{{phone, test.own}, {laptop, test.own}, {tablet, test.other}} {
				if c.ends {
					c.conn.ends("signed_out")
				} else {
					c.conn.must("pong", map[string]any{"action": "ping"})
				}
			}
			b.send(alice, 1, "are you there?")
			if test.ownAgain {
				alice.connect(t, "new").must("pong", map[string]any{"action": "ping"})
			} else {
				alice.refuses(t, "new")
			}
			if test.otherOpen {
				elsewhere.connect(t, "new").must("pong", map[string]any{"action": "ping"})
			} else {
				elsewhere.refuses(t, "new")
			}
			if rows := bob.rows(t); len(rows) != 1 {
				t.Errorf("bob has the connections %v: another's sign-out is none of theirs", rows)
			}
		})
	}
}

// A session that began a moment ago ends too, connected or not: with the second of its beginning.
func TestSignOutEndsTheYoungest(t *testing.T) {
	t.Parallel()
	for _, scope := range []string{"others", "all"} {
		d := newTarget(t)
		alice := d.user(t, "alice")
		laptop := alice.connect(t, "laptop")
		for range 3 {
			young := alice.again(t)
			_, _ = laptop.ask(signOut(scope))
			young.refuses(t, "phone")
			if scope == "all" {
				laptop.closed()
				alice = alice.again(t)
				laptop = alice.connect(t, "laptop")
			}
		}
	}
}

// Who signs in again after a sign-out of all is let in. Tokens tell the time of signing in by the second.
func TestSignInAfterSignOut(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice := d.user(t, "alice")
	_, _ = alice.connect(t, "laptop").ask(signOut("all"))
	alice.refuses(t, "laptop")
	alice.again(t).connect(t, "laptop").must("pong", map[string]any{"action": "ping"})
}
