// Package expr implements DynamoDB's expressions: condition, filter, key
// condition, update and projection. Sources are parsed once and cached; each
// request binds its #names and :values to the parsed form and gets something that
// can be evaluated on items. Errors are *attr.Error with AWS's own texts.
//
// One request uses one Binder for all its expressions, because AWS reports a
// placeholder as unused only when none of them uses it:
//
//	b, err := cache.Bind(names, values)
//	cond, err := b.Condition(expr.ConditionExpression, src)
//	upd, err := b.Update(src2)
//	err = b.Finish()
//	ok, err := cond.Eval(item)
package expr

import "github.com/duet-chat/duet/localstack/dynamodb/attr"

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

// Cache keeps parsed expressions by source text; it holds a bounded number and is
// safe for concurrent use.
type Cache struct{}

// NewCache makes a cache of about size expressions.
func NewCache(size int) *Cache { return &Cache{} }

// Bind starts the expressions of one request (or of one action of a transaction)
// with its ExpressionAttributeNames and -Values, either of which may be nil when
// the request has none; present but empty is an error, as is a malformed key.
func (c *Cache) Bind(names map[string]string, values attr.Item) (*Binder, error) {
	return &Binder{}, nil
}

// Binder binds the placeholders of one request. It is not safe for concurrent
// use; what it returns is immutable and is.
type Binder struct{}

// Condition parses (or finds) and binds a condition or filter expression.
func (b *Binder) Condition(kind Kind, src string) (*Condition, error) { return &Condition{}, nil }

// Update parses (or finds) and binds an update expression.
func (b *Binder) Update(src string) (*Update, error) { return &Update{}, nil }

// Projection parses (or finds) and binds a projection expression.
func (b *Binder) Projection(src string) (*Projection, error) { return &Projection{}, nil }

// KeyCondition parses (or finds) and binds a key condition on a table or index
// whose partition key is pk and whose sort key is sk (the zero Key if it has none).
func (b *Binder) KeyCondition(src string, pk, sk Key) (KeyCondition, error) { return KeyCondition{}, nil }

// Finish reports the placeholders that no expression used. Call it after all
// expressions of the request are bound.
func (b *Binder) Finish() error { return nil }

// Condition is a bound condition or filter expression.
type Condition struct{}

// Eval reports whether the item fulfils the condition; an item that does not
// exist is nil.
func (c *Condition) Eval(item attr.Item) (bool, error) { return false, nil }

// Attributes are the top-level attributes that the condition names, without repeats.
func (c *Condition) Attributes() []string { return nil }

// Update is a bound update expression.
type Update struct{}

// Apply makes the updated item. old is the stored item, nil if there is none; then
// the update starts from key, the key attributes of the request. Neither is changed.
func (u *Update) Apply(old, key attr.Item) (attr.Item, error) { return nil, nil }

// Attributes are the top-level attributes that the update changes, without
// repeats: an engine refuses those of the primary key.
func (u *Update) Attributes() []string { return nil }

// Changed is the part of an item that the update's paths touch, as
// ReturnValues=UPDATED_OLD (of the old item) and UPDATED_NEW (of the new item)
// return it; nil when nothing of it is there.
func (u *Update) Changed(item attr.Item) attr.Item { return nil }

// Projection is a bound projection expression.
type Projection struct{}

// Project is the part of the item that the projection names. It shares values with it.
func (p *Projection) Project(item attr.Item) attr.Item { return nil }

// Attributes are the top-level attributes that the projection names, without repeats.
func (p *Projection) Attributes() []string { return nil }

// Key is a key attribute of a table or index.
type Key struct {
	Name string
	Type attr.Type // S, N or B
}

// Op is the operator of a condition on a sort key.
type Op uint8

// The operators of a sort key condition; Any is its absence.
const (
	Any Op = iota
	Equal
	Less
	LessOrEqual
	Greater
	GreaterOrEqual
	Between    // Low <= key <= High
	BeginsWith // S and B only; the prefix is Low
)

// KeyCondition is a bound key condition: one partition key value and a range of
// the sort key.
type KeyCondition struct {
	Partition attr.Value
	Sort      Op
	Low       attr.Value // the operand; of Between the lower one
	High      attr.Value // of Between only
}

// Match reports whether a sort key value is within the range.
func (k KeyCondition) Match(sort attr.Value) bool { return false }
