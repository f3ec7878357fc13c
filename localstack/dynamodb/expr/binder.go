package expr

import (
	"slices"
	"strings"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

// maxPlaceholder is the longest placeholder in bytes, with its # or :.
const maxPlaceholder = 255

// Bind starts the expressions of one request (or of one action of a transaction)
// with its ExpressionAttributeNames and -Values, either of which may be nil when
// the request has none; present but empty is an error, as is a malformed key.
func (c *Cache) Bind(names map[string]string, values attr.Item) (*Binder, error) {
	if names != nil && len(names) == 0 {
		return nil, attr.Invalid("ExpressionAttributeNames must not be empty")
	}
	var wrong error // of the first key, of several that are
	first := ""
	note := func(key string, err error) {
		if err != nil && (wrong == nil || key < first) {
			wrong, first = err, key
		}
	}
	for key, name := range names {
		note(key, checkPlaceholder("ExpressionAttributeNames", '#', key))
		if name == "" {
			note(key, attr.Invalid("ExpressionAttributeNames contains invalid value: Empty attribute name for key %s", key))
		}
	}
	if wrong != nil {
		return nil, wrong
	}
	if values != nil && len(values) == 0 {
		return nil, attr.Invalid("ExpressionAttributeValues must not be empty")
	}
	for key := range values {
		note(key, checkPlaceholder("ExpressionAttributeValues", ':', key))
	}
	if wrong != nil {
		return nil, wrong
	}
	return &Binder{cache: c, names: names, values: values}, nil
}

func checkPlaceholder(parameter string, sign byte, key string) error {
	if len(key) < 2 || key[0] != sign || wordEnd(key, 1) != len(key) {
		return attr.Invalid(`%s contains invalid key: Syntax error; key: "%s"`, parameter, key)
	}
	if len(key) > maxPlaceholder {
		const text = "%s contains invalid key: The expression attribute map contains a key that is too long;"
		if sign == ':' {
			return attr.Invalid(text, parameter)
		}
		return attr.Invalid(text+" size of key: %d", parameter, len(key))
	}
	return nil
}

// Binder binds the placeholders of one request. It is not safe for concurrent
// use; what it returns is immutable and is.
type Binder struct {
	cache  *Cache
	names  map[string]string
	values attr.Item
	used   []*parsed // the expressions bound so far
}

// bind finds the expression and the meaning of its placeholders. Those that are
// not defined stay empty: the checks report them where AWS does.
func (b *Binder) bind(kind Kind, src string) (bound, error) {
	p, err := b.cache.get(kind, src)
	if err != nil {
		return bound{}, err
	}
	b.used = append(b.used, p)
	o := bound{parsed: p}
	if len(p.names) > 0 {
		o.names = make([]string, len(p.names))
		for i, placeholder := range p.names {
			o.names[i] = b.names[placeholder]
		}
	}
	if len(p.values) > 0 {
		o.values = make([]attr.Value, len(p.values))
		for i, placeholder := range p.values {
			o.values[i] = b.values[placeholder]
		}
	}
	return o, nil
}

// Condition parses (or finds) and binds a condition or filter expression.
func (b *Binder) Condition(kind Kind, src string) (*Condition, error) {
	o, err := b.bind(kind, src)
	if err != nil {
		return nil, err
	}
	if err := o.checkCondition(o.parsed.cond); err != nil {
		return nil, kind.invalid(err)
	}
	return &Condition{o}, nil
}

// Update parses (or finds) and binds an update expression.
func (b *Binder) Update(src string) (*Update, error) {
	o, err := b.bind(UpdateExpression, src)
	if err != nil {
		return nil, err
	}
	if err := o.checkUpdate(); err != nil {
		return nil, UpdateExpression.invalid(err)
	}
	return &Update{o}, nil
}

// Projection parses (or finds) and binds a projection expression.
func (b *Binder) Projection(src string) (*Projection, error) {
	o, err := b.bind(ProjectionExpression, src)
	if err != nil {
		return nil, err
	}
	if err := o.checkPaths(o.parsed.paths); err != nil {
		return nil, ProjectionExpression.invalid(err)
	}
	return newProjection(o, o.parsed.paths), nil
}

// KeyCondition parses (or finds) and binds a key condition, yet of no particular key:
// AWS looks at that after all expressions of the request.
func (b *Binder) KeyCondition(src string) (*KeyExpression, error) {
	o, err := b.bind(KeyConditionExpression, src)
	if err != nil {
		return nil, err
	}
	if err := o.checkCondition(o.parsed.cond); err != nil {
		return nil, KeyConditionExpression.invalid(err)
	}
	return &KeyExpression{o}, nil
}

// KeyExpression is a bound key condition expression.
type KeyExpression struct{ bound }

// On is what the expression says of the key of a table or index, whose partition key
// is pk and whose sort key is sk (the zero Key if it has none).
func (k *KeyExpression) On(pk, sk Key) (KeyCondition, error) { return k.keyCondition(pk, sk) }

// Finish reports the placeholders that no expression used. Call it after all
// expressions of the request are bound.
func (b *Binder) Finish() error {
	if unused := unusedKeys(b, b.names, func(p *parsed) []string { return p.names }); unused != "" {
		return attr.Invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", unused)
	}
	if unused := unusedKeys(b, b.values, func(p *parsed) []string { return p.values }); unused != "" {
		return attr.Invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", unused)
	}
	return nil
}

// unusedKeys lists, sorted, the keys that no expression refers to.
func unusedKeys[V any](b *Binder, defined map[string]V, of func(*parsed) []string) string {
	var unused []string
	for key := range defined {
		used := slices.ContainsFunc(b.used, func(p *parsed) bool { return slices.Contains(of(p), key) })
		if !used {
			unused = append(unused, key)
		}
	}
	slices.Sort(unused)
	return strings.Join(unused, ", ")
}
