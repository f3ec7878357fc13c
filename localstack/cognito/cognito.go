// Package cognito is a user pool that speaks Amazon Cognito's JSON 1.1 protocol: sign-up with its
// Lambda triggers, sign-in by password, refresh, revocation, and tokens that any OIDC verifier can
// check by the pool's JWKS. SDKs and the AWS CLI work on it.
//
// It sends no mail: a user is confirmed by the PreSignUp trigger or by AdminConfirmSignUp. It has
// no groups, MFA, devices, client secrets, hosted UI or lock-out after wrong passwords; an operation
// that it does not know is refused by name. Operations of administrators are open to everybody, as nobody signs requests
// locally.
package cognito

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/duet-chat/duet/localstack/lambda"
)

// DefaultPasswordCost is bcrypt's cost when Options name none: about 50 ms of CPU a password.
const DefaultPasswordCost = bcrypt.DefaultCost

// Store keeps what must outlive the process. *storage.Store is one; all keys begin with 'c'.
type Store interface {
	Get(key []byte) (value []byte, ok bool, err error)
	// Put and Delete are durable when they return.
	Put(key, value []byte) error
	Delete(key []byte) error
	// Scan calls fn with each key that has the prefix; the slices are valid within fn only.
	Scan(prefix []byte, fn func(key, value []byte) (more bool)) error
}

// Options is what user pools need from their surroundings. Store, BaseURL and Pools are required,
// Invoker is when a pool has triggers.
type Options struct {
	Pools   []Pool
	Store   Store
	Invoker lambda.Invoker
	// BaseURL is where ServeHTTP answers, without a slash at the end. BaseURL/POOL is the issuer
	// of a pool's tokens: it must stay the same for tokens to stay valid.
	BaseURL         string
	Region, Account string
	Now             func() time.Time
	// Rand makes ids and refresh tokens; the default is crypto/rand. Keys and password salts
	// always come from crypto/rand.
	Rand io.Reader
	Log  *slog.Logger
	// PasswordCost is bcrypt's, 4 to 31; 0 is DefaultPasswordCost.
	PasswordCost int
}

// Pools serves user pools. Its methods may be called concurrently.
type Pools struct {
	byID     map[string]*pool
	byClient map[string]*client
	store    Store
	invoker  lambda.Invoker
	region   string
	now      func() time.Time
	rand     io.Reader
	log      *slog.Logger
	cost     int

	stop    context.CancelFunc
	running sync.WaitGroup
}

// pool is a Pool at work.
type pool struct {
	Pool
	arn    string
	issuer string
	policy PasswordPolicy
	signer *signer
	// users guards every read-then-write of the pool's users and sessions.
	users sync.Mutex
}

type client struct {
	Client
	pool *pool
}

// New makes the pools. Their signing keys are read from the store, or made while the rest of the
// local cloud starts: only what needs a key waits for it.
func New(o Options) (*Pools, error) {
	switch {
	case o.Store == nil:
		return nil, errors.New("cognito: a store is needed")
	case o.BaseURL == "" || strings.HasSuffix(o.BaseURL, "/"):
		return nil, fmt.Errorf("cognito: base URL %q must be set, without a slash at the end", o.BaseURL)
	case o.PasswordCost == 0:
		o.PasswordCost = DefaultPasswordCost
	case o.PasswordCost < bcrypt.MinCost || o.PasswordCost > bcrypt.MaxCost:
		return nil, fmt.Errorf("cognito: password cost %d is not %d to %d", o.PasswordCost, bcrypt.MinCost, bcrypt.MaxCost)
	}
	p := &Pools{
		byID:     make(map[string]*pool, len(o.Pools)),
		byClient: map[string]*client{},
		store:    o.Store, invoker: o.Invoker, region: o.Region,
		now: o.Now, rand: o.Rand, log: o.Log, cost: o.PasswordCost,
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.rand == nil {
		p.rand = rand.Reader
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	for _, settings := range o.Pools {
		if err := p.add(settings, o); err != nil {
			return nil, fmt.Errorf("user pool %s: %w", settings.ID, err)
		}
	}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	for _, pool := range p.byID {
		p.running.Go(func() { pool.signer.open(p.store, pool.ID) })
		p.running.Go(func() { p.sweep(ctx, pool) })
	}
	return p, nil
}

func (p *Pools) add(settings Pool, o Options) error {
	if err := settings.check(); err != nil {
		return err
	}
	if p.byID[settings.ID] != nil {
		return errors.New("there are two pools with this id")
	}
	if settings.PreSignUp+settings.PostConfirmation != "" && o.Invoker == nil {
		return errors.New("it has triggers, which need an invoker")
	}
	pool := &pool{
		Pool:   settings,
		arn:    fmt.Sprintf("arn:aws:cognito-idp:%s:%s:userpool/%s", o.Region, o.Account, settings.ID),
		issuer: o.BaseURL + "/" + settings.ID,
		policy: DefaultPasswordPolicy,
		signer: newSigner(),
	}
	if settings.PasswordPolicy != nil {
		pool.policy = *settings.PasswordPolicy
	}
	for _, c := range settings.Clients {
		if p.byClient[c.ID] != nil {
			return fmt.Errorf("client id %s is used twice", c.ID)
		}
		p.byClient[c.ID] = &client{Client: c.orDefaults(), pool: pool}
	}
	p.byID[settings.ID] = pool
	return nil
}

// Issuer returns the issuer of a pool's tokens.
func (p *Pools) Issuer(poolID string) string {
	if pool := p.byID[poolID]; pool != nil {
		return pool.issuer
	}
	return ""
}

// Close waits for the work that New left running. Call it after the last request and before the
// store is closed.
func (p *Pools) Close() error {
	p.stop()
	p.running.Wait()
	return nil
}
