package cognito

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
)

// keyBits is the size of the keys with which Cognito signs.
const keyBits = 2048

// signer holds a pool's signing key. Making one takes a tenth of a second or more, so it is opened
// while other things start, and its users wait for it.
type signer struct {
	opened chan struct{} // closed when the fields below are set
	key    *rsa.PrivateKey
	kid    string
	jwks   []byte
	err    error
}

func newSigner() *signer { return &signer{opened: make(chan struct{})} }

// open reads the pool's key, or makes and stores it.
func (s *signer) open(store Store, poolID string) {
	defer close(s.opened)
	name := storeKey(keyKind, poolID, "")
	der, ok, err := store.Get(name)
	switch {
	case err != nil:
		s.err = fmt.Errorf("read signing key: %w", err)
		return
	case ok:
		parsed, err := x509.ParsePKCS8PrivateKey(der)
		if s.key, ok = parsed.(*rsa.PrivateKey); !ok {
			s.err = fmt.Errorf("stored signing key of pool %s is not an RSA key: %w", poolID, err)
			return
		}
	default:
		if s.key, err = rsa.GenerateKey(rand.Reader, keyBits); err == nil {
			der, err = x509.MarshalPKCS8PrivateKey(s.key)
		}
		if err == nil {
			err = store.Put(name, der)
		}
		if err != nil {
			s.err = fmt.Errorf("make signing key: %w", err)
			return
		}
	}
	s.publish()
}

// publish sets the key's id, which is a digest of the key in Cognito's form, and the JWKS.
func (s *signer) publish() {
	public := s.key.Public().(*rsa.PublicKey)
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(public))
	s.kid = base64.StdEncoding.EncodeToString(sum[:])
	s.jwks, s.err = json.Marshal(map[string]any{"keys": []map[string]string{{
		"alg": "RS256", "kty": "RSA", "use": "sig", "kid": s.kid,
		"n": base64.RawURLEncoding.EncodeToString(public.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
	}}})
}

// wait returns when the key can be used.
func (s *signer) wait(ctx context.Context) error {
	select {
	case <-s.opened:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("signing key is not ready: %w", ctx.Err())
	}
}
