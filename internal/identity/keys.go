package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// When keys are fetched, beside the first time.
const (
	// RefetchInterval is the least time between two fetches for a key that is not known: a rotated
	// key is found within it, and a flood of made-up key ids costs the issuer no more than that.
	RefetchInterval = 10 * time.Second
	// RetryInterval is the least time from a fetch that failed to the next.
	RetryInterval = time.Second
	// KeysMaxAge is how long keys are used without asking again, so that a withdrawn key goes out
	// of use. While the issuer cannot be reached, known keys stay in use.
	KeysMaxAge = time.Hour

	fetchTimeout = 3 * time.Second
	maxDocument  = 256 << 10 // bytes
	minRSABits   = 2048
)

// keySet caches the issuer's public keys.
type keySet struct {
	issuer string
	http   *http.Client
	now    func() time.Time

	mu      sync.Mutex // guards all below; never held during a fetch
	keys    map[string]publicKey
	fetched time.Time // when keys came
	next    time.Time // no fetch before
	err     error     // of the last fetch
	running chan struct{}
	jwksURI string // from discovery
}

// publicKey is a key and the one algorithm that it is for.
type publicKey struct {
	algorithm string
	public    crypto.PublicKey
}

func newKeySet(issuer string, client *http.Client, now func() time.Time) *keySet {
	return &keySet{issuer: issuer, http: client, now: now}
}

// find returns a key by its id, fetching the keys when that may help. Errors are UnknownKey, or
// KeysUnavailable when only the issuer could tell.
func (s *keySet) find(ctx context.Context, kid string) (publicKey, error) {
	s.mu.Lock()
	key, known := s.keys[kid]
	now := s.now()
	if known && now.Sub(s.fetched) < KeysMaxAge {
		s.mu.Unlock()
		return key, nil
	}
	switch running := s.running; {
	case running != nil && known, running == nil && now.Before(s.next):
		s.mu.Unlock()
	case running != nil:
		s.mu.Unlock()
		select {
		case <-running:
		case <-ctx.Done():
			return publicKey{}, &Error{Category: KeysUnavailable, Detail: ctx.Err()}
		}
	default:
		s.running = make(chan struct{})
		s.mu.Unlock()
		s.fetch(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, known = s.keys[kid]; known {
		return key, nil
	}
	if s.err != nil {
		return publicKey{}, &Error{Category: KeysUnavailable, Detail: s.err}
	}
	return publicKey{}, refuse(UnknownKey, "the issuer has no key %.60q", kid)
}

// fetch gets the keys, for all who wait: it does not end with the one who happened to start it.
// It is awaited, as nothing may be left running when a Lambda returns.
func (s *keySet) fetch(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	keys, err := s.get(ctx)
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err = err; err == nil {
		s.keys, s.fetched, s.next = keys, now, now.Add(RefetchInterval)
	} else {
		s.next = now.Add(RetryInterval)
	}
	close(s.running)
	s.running = nil
}

// get asks the issuer for its keys. Source: OpenID Connect Discovery 1.0, section 4; RFC 7517.
// Only one get is running at a time.
func (s *keySet) get(ctx context.Context) (map[string]publicKey, error) {
	if s.jwksURI == "" {
		var d struct {
			Issuer  string `json:"issuer"`
			JWKSURI string `json:"jwks_uri"`
		}
		at := strings.TrimSuffix(s.issuer, "/") + "/.well-known/openid-configuration"
		if err := s.document(ctx, at, &d); err != nil {
			return nil, err
		}
		if d.Issuer != s.issuer {
			return nil, fmt.Errorf("%s speaks for issuer %q: ISSUER must be exactly that", at, d.Issuer)
		}
		if err := sameSecurity(s.issuer, d.JWKSURI); err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		s.jwksURI = d.JWKSURI
	}
	var set struct{ Keys []jwk }
	if err := s.document(ctx, s.jwksURI, &set); err != nil {
		s.jwksURI = "" // it may have moved: ask again next time
		return nil, err
	}
	keys := make(map[string]publicKey, len(set.Keys))
	for _, k := range set.Keys {
		// A key of another kind or use is no fault of the set.
		if key, ok := k.parse(); ok {
			keys[k.KID] = key
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s has no key for RS256 or ES256", s.jwksURI)
	}
	return keys, nil
}

// sameSecurity refuses keys that come over a weaker transport than the issuer's.
func sameSecurity(issuer, jwksURI string) error {
	a, errA := url.Parse(issuer)
	b, errB := url.Parse(jwksURI)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if b.Host == "" || b.Scheme != "https" && b.Scheme != a.Scheme {
		return fmt.Errorf("jwks_uri %q is not a URL as safe as the issuer's", jwksURI)
	}
	return nil
}

func (s *keySet) document(ctx context.Context, at string, v any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	response, err := s.http.Do(request)
	if err != nil {
		return err // names method and URL
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	switch {
	case err != nil:
		return fmt.Errorf("read %s: %w", at, err)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answers %s", at, response.Status)
	case len(body) > maxDocument:
		return fmt.Errorf("%s has more than %d bytes", at, maxDocument)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

// jwk is a published key. Source: RFC 7517, section 4; RFC 7518, section 6.
type jwk struct {
	KID, KTY, Alg, Use, N, E, Crv, X, Y string
}

// parse reads a key that signs by RS256 or ES256, and none that is too weak.
func (k jwk) parse() (publicKey, bool) {
	if k.KID == "" || k.Use != "" && k.Use != "sig" {
		return publicKey{}, false
	}
	switch {
	case k.KTY == "RSA" && (k.Alg == "" || k.Alg == "RS256"):
		n, okN := number(k.N)
		e, okE := number(k.E)
		if !okN || !okE || n.BitLen() < minRSABits || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
			return publicKey{}, false
		}
		return publicKey{"RS256", &rsa.PublicKey{N: n, E: int(e.Int64())}}, true
	case k.KTY == "EC" && k.Crv == "P-256" && (k.Alg == "" || k.Alg == "ES256"):
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		if errX != nil || errY != nil || len(x) != 32 || len(y) != 32 {
			return publicKey{}, false
		}
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		return publicKey{"ES256", public}, err == nil
	}
	return publicKey{}, false
}

func number(s string) (*big.Int, bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return new(big.Int).SetBytes(b), err == nil && len(b) > 0
}
