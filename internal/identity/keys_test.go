package identity_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/duet-chat/duet/internal/identity"
)

func check(t *testing.T, v *identity.Verifier, token string, want identity.Category) {
	t.Helper()
	if _, err := v.Verify(t.Context(), token); identity.Why(err) != want {
		t.Fatalf("Verify: %v, want the category %q", err, want)
	}
}

func TestKeysAreFetchedOnceAndOnlyWhenNeeded(t *testing.T) {
	key := rsaKey(t, "k", 2048)
	i := newIssuer(t, key.public)
	v := i.verifier(t, (&clock{}).Now)
	if n := i.discoveries.Load(); n != 0 {
		t.Fatalf("%d requests before the first token", n)
	}
	token := key.sign(t, i.accessClaims())
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if d, f := i.discoveries.Load(), i.fetches.Load(); d != 1 || f != 1 {
		t.Errorf("%d discoveries and %d fetches for 20 tokens at a time, want 1 and 1", d, f)
	}
}

func TestRotatedKeyIsFound(t *testing.T) {
	old, fresh := rsaKey(t, "old", 2048), rsaKey(t, "fresh", 2048)
	i := newIssuer(t, old.public)
	now := &clock{}
	v := i.verifier(t, now.Now)
	check(t, v, old.sign(t, i.accessClaims()), "")

	i.set(func(i *issuer) { i.jwks = []map[string]string{fresh.public} })
	now.Step(identity.RefetchInterval)
	check(t, v, fresh.sign(t, i.accessClaims()), "")
	check(t, v, old.sign(t, i.accessClaims()), identity.UnknownKey)
}

func TestWithdrawnKeyGoesOutOfUse(t *testing.T) {
	old, fresh := rsaKey(t, "old", 2048), rsaKey(t, "fresh", 2048)
	i := newIssuer(t, old.public)
	now := &clock{}
	v := i.verifier(t, now.Now)
	token := old.sign(t, i.accessClaims("exp", start.Add(24*time.Hour).Unix()))
	check(t, v, token, "")
	i.set(func(i *issuer) { i.jwks = []map[string]string{fresh.public} })
	now.Step(identity.KeysMaxAge - time.Second)
	check(t, v, token, "")
	now.Step(time.Second)
	check(t, v, token, identity.UnknownKey)
}

func TestFloodOfUnknownKeysDoesNotReachTheIssuer(t *testing.T) {
	key, stranger := rsaKey(t, "k", 2048), rsaKey(t, "stranger", 2048)
	i := newIssuer(t, key.public)
	now := &clock{}
	v := i.verifier(t, now.Now)
	flood := func() {
		var all sync.WaitGroup
		for n := range 50 {
			all.Go(func() {
				kid := func(h map[string]any) { h["kid"] = fmt.Sprint(n) }
				if _, err := v.Verify(t.Context(), stranger.sign(t, i.accessClaims(), kid)); identity.Why(err) != identity.UnknownKey {
					t.Errorf("Verify: %v, want %s", err, identity.UnknownKey)
				}
			})
		}
		all.Wait()
	}
	for intervals := int64(1); intervals <= 3; intervals++ {
		flood()
		check(t, v, key.sign(t, i.accessClaims()), "")
		if n := i.fetches.Load(); n != intervals {
			t.Fatalf("%d fetches in %d intervals", n, intervals)
		}
		now.Step(identity.RefetchInterval)
	}
}

func TestOutageOfTheIssuer(t *testing.T) {
	key := rsaKey(t, "k", 2048)
	i := newIssuer(t, key.public)
	now := &clock{}
	v := i.verifier(t, now.Now)
	token := key.sign(t, i.accessClaims("exp", start.Add(24*time.Hour).Unix()))

	i.set(func(i *issuer) { i.down = true })
	check(t, v, token, identity.KeysUnavailable)
	i.set(func(i *issuer) { i.down = false })
	check(t, v, token, identity.KeysUnavailable) // not yet asked again
	if n := i.discoveries.Load(); n != 1 {
		t.Fatalf("%d requests within the retry interval, want 1", n)
	}
	now.Step(identity.RetryInterval)
	check(t, v, token, "")

	// Known keys stay in use while the issuer is away, even past their age.
	i.set(func(i *issuer) { i.down = true })
	now.Step(identity.KeysMaxAge)
	check(t, v, token, "")
	unknown := key.sign(t, i.accessClaims(), func(h map[string]any) { h["kid"] = "unknown" })
	check(t, v, unknown, identity.KeysUnavailable)
}

// A client that leaves must not fail the others who wait for the same keys, nor the fetch.
func TestFetchOutlivesWhoStartedIt(t *testing.T) {
	key := rsaKey(t, "k", 2048)
	i := newIssuer(t, key.public)
	v := i.verifier(t, (&clock{}).Now)
	token := key.sign(t, i.accessClaims())
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := v.Verify(gone, token); err != nil {
		t.Fatalf("the fetch ended with its first client: %v", err)
	}
	check(t, v, token, "")
}

func TestWaitingForKeysEndsWithTheContext(t *testing.T) {
	key := rsaKey(t, "k", 2048)
	i := newIssuer(t, key.public)
	hold := make(chan struct{})
	i.set(func(i *issuer) { i.hold = hold })
	v := i.verifier(t, (&clock{}).Now)
	token := key.sign(t, i.accessClaims())
	first := make(chan error, 1)
	go func() {
		_, err := v.Verify(t.Context(), token)
		first <- err
	}()
	for i.discoveries.Load() == 0 { // until the first one's fetch is under way
		select {
		case err := <-first:
			t.Fatalf("Verify returned before the keys: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := v.Verify(gone, token); identity.Why(err) != identity.KeysUnavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("Verify: %v, want %s by the context", err, identity.KeysUnavailable)
	}
	close(hold)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestDiscoveryOfAnotherIssuerIsNotBelieved(t *testing.T) {
	key := rsaKey(t, "k", 2048)
	i := newIssuer(t, key.public)
	// The same server under another name publishes the first one's document.
	other, err := identity.NewVerifier(identity.Config{
		Issuer: i.URL + "/", Audience: clientID, UserClaim: "username", HTTP: i.Client(), Now: (&clock{}).Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	check(t, other, key.sign(t, i.accessClaims("iss", i.URL+"/")), identity.KeysUnavailable)
}
