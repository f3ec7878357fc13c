// Package expr implements DynamoDB's expressions: condition, filter, key
// condition, update and projection. Sources are parsed once and cached; each
// request binds its #names and :values to the parsed form and gets something that
// can be evaluated on items. Errors are *attr.Error with AWS's own texts, compared
// with DynamoDB Local, which shares the service's expression code.
//
// One request uses one Binder for all its expressions, because AWS reports a
// placeholder as unused only when none of them uses it:
//
//	b, err := cache.Bind(names, values)
//	cond, err := b.Condition(expr.ConditionExpression, src)
//	upd, err := b.Update(src2)
//	err = b.Finish()
//	ok := cond.Eval(item)
package expr

import (
	"strings"
	"sync"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

// Kind names the request parameter that an expression came in, which AWS puts
// into error texts and which decides about what is allowed.
type Kind uint8

// The kinds of expressions.
const (
	ConditionExpression Kind = iota
	FilterExpression
	KeyConditionExpression
	UpdateExpression
	ProjectionExpression
)

var kindNames = [...]string{"ConditionExpression", "FilterExpression", "KeyConditionExpression", "UpdateExpression", "ProjectionExpression"}

// String is the request parameter's name.
func (k Kind) String() string { return kindNames[k] }

// invalid puts AWS's prefix before the error of an expression of that kind.
func (k Kind) invalid(err *attr.Error) *attr.Error {
	return attr.Invalid("Invalid %s: %s", k, err.Message)
}

// Cache keeps parsed expressions by source text; it holds a bounded number and is
// safe for concurrent use. Expressions that do not parse are not kept.
//
// It has two generations: what is used moves to the young one; when that is full it
// becomes the old one, and what was old and not used since is forgotten.
type Cache struct {
	size int

	mu         sync.RWMutex // guards the generations
	young, old map[source]*parsed
}

// source tells expressions apart. Only the three kinds of grammar matter, but the
// kind is at hand.
type source struct {
	kind Kind
	text string
}

// NewCache makes a cache of at least size and at most twice as many expressions.
func NewCache(size int) *Cache {
	return &Cache{size: size, young: map[source]*parsed{}}
}

func (c *Cache) get(kind Kind, src string) (*parsed, *attr.Error) {
	key := source{kind, src}
	c.mu.RLock()
	p := c.young[key]
	c.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	// The source may be part of a whole request body, which must not live on with it.
	key.text = strings.Clone(src)
	p, err := parse(kind, key.text)
	if err != nil {
		return nil, kind.invalid(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if kept := c.old[key]; kept != nil {
		p = kept
	}
	if len(c.young) >= c.size {
		c.young, c.old = map[source]*parsed{}, c.young
	}
	c.young[key] = p
	return p, nil
}
