package expr

import (
	"cmp"
	"slices"
	"strings"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

// AWS's texts for updates that an item does not allow.
const (
	textMissing   = "The provided expression refers to an attribute that does not exist in the item"
	textOperand   = "An operand in the update expression has an incorrect data type"
	textBadTarget = "The document path provided in the update expression is invalid for update"
	textNesting   = "Nesting Levels have exceeded supported limits"
)

// Update is a bound update expression.
type Update struct{ bound }

// assignment is a value for a path.
type assignment struct {
	target path
	value  attr.Value
}

// comparePaths orders paths so that list elements come in the order of their indexes.
func (b *bound) comparePaths(x, y path) int {
	for i := range min(len(x), len(y)) {
		if order := cmp.Or(cmp.Compare(x[i].index, y[i].index), strings.Compare(b.name(x[i]), b.name(y[i]))); order != 0 {
			return order
		}
	}
	return cmp.Compare(len(x), len(y))
}

// Apply makes the updated item. old is the stored item, nil if there is none; then
// the update starts from key, the key attributes of the request. Neither is changed.
// All operands are of the item before the update.
func (u *Update) Apply(old, key attr.Item) (attr.Item, error) {
	base := old
	if base == nil {
		base = key
	}
	item := base.Clone()
	assignments, err := u.assignments(base)
	if err != nil {
		return nil, err
	}
	for _, a := range assignments {
		if err := u.change(item, a.target, a.value); err != nil {
			return nil, err
		}
	}
	var gone []path
	for _, a := range u.parsed.update.deletes {
		left, err := u.without(base, a)
		if err != nil {
			return nil, err
		}
		if left.IsZero() {
			gone = append(gone, a.target)
		} else if err := u.change(item, a.target, left); err != nil {
			return nil, err
		}
	}
	for _, a := range u.parsed.update.removes {
		gone = append(gone, a.target)
	}
	if err := u.removeAll(item, base, gone); err != nil {
		return nil, err
	}
	return item, nil
}

// without is what DELETE leaves of a set, the zero Value if nothing.
func (u *Update) without(base attr.Item, a action) (attr.Value, error) {
	set, members := u.lookup(base, a.target), u.values[a.value.slot]
	if set.IsZero() {
		return attr.Value{}, nil
	}
	if set.Type() != members.Type() {
		return attr.Value{}, attr.Invalid(textOperand)
	}
	left, _ := attr.Difference(set, members)
	return left, nil
}

// removeAll removes what is at the paths, of a list the last elements first. What
// was not there before the update stays, but its parent must have been there.
func (u *Update) removeAll(item, base attr.Item, gone []path) error {
	if u.parsed.update.indexed {
		slices.SortFunc(gone, func(x, y path) int { return u.comparePaths(y, x) })
	}
	for _, p := range gone {
		switch {
		case !u.lookup(base, p).IsZero():
			if err := u.change(item, p, attr.Value{}); err != nil {
				return err
			}
		case !u.hasParent(base, p):
			return attr.Invalid(textBadTarget)
		}
	}
	return nil
}

// hasParent reports whether what p's last step is in is a map or list, as it takes it for.
func (u *Update) hasParent(item attr.Item, p path) bool {
	last := len(p) - 1
	if last == 0 {
		return true
	}
	want := attr.M
	if p[last].isIndex {
		want = attr.L
	}
	return u.lookup(item, p[:last]).Type() == want
}

// assignments are what SET and ADD assign. Indexes always mean the list before the
// update, and elements behind its end are appended in the order of their indexes.
func (u *Update) assignments(base attr.Item) ([]assignment, error) {
	up := u.parsed.update
	list := make([]assignment, 0, len(up.sets)+len(up.adds))
	for _, a := range up.sets {
		v, err := u.value(a.value, base)
		if err != nil {
			return nil, err
		}
		if len(a.target)-1+v.Levels() > attr.MaxNesting {
			return nil, attr.Invalid(textNesting)
		}
		list = append(list, assignment{a.target, v})
	}
	for _, a := range up.adds {
		v, err := add(u.lookup(base, a.target), u.values[a.value.slot])
		if err != nil {
			return nil, err
		}
		list = append(list, assignment{a.target, v})
	}
	if up.indexed {
		slices.SortFunc(list, func(x, y assignment) int { return u.comparePaths(x.target, y.target) })
	}
	return list, nil
}

// value is what SET assigns.
func (b *bound) value(op operand, item attr.Item) (attr.Value, error) {
	switch op.kind {
	case valueOperand:
		return b.values[op.slot], nil
	case pathOperand:
		v := b.lookup(item, op.path)
		if v.IsZero() {
			return attr.Value{}, attr.Invalid(textMissing)
		}
		return v, nil
	}
	args := op.call.args
	if op.call.fn == "if_not_exists" {
		if v := b.lookup(item, args[0].path); !v.IsZero() {
			if args[1].kind != pathOperand {
				return v, nil
			}
			_, err := b.value(args[1], item) // AWS wants it there even when it is not used
			return v, err
		}
		return b.value(args[1], item)
	}
	x, err := b.value(args[0], item)
	if err != nil {
		return attr.Value{}, err
	}
	y, err := b.value(args[1], item)
	if err != nil {
		return attr.Value{}, err
	}
	if op.call.fn == "list_append" {
		if x.Type() != attr.L || y.Type() != attr.L {
			return attr.Value{}, attr.Invalid(textOperand)
		}
		return attr.List(slices.Concat(x.List(), y.List())), nil
	}
	if x.Type() != attr.N || y.Type() != attr.N {
		return attr.Value{}, attr.Invalid(textOperand)
	}
	if op.call.fn == "-" {
		return attr.Sub(x, y)
	}
	return attr.Add(x, y)
}

// add is what ADD makes of the value that is there: a sum, a union, or, if there
// is none, the operand itself.
func add(there, v attr.Value) (attr.Value, error) {
	switch {
	case there.IsZero():
		return v, nil
	case there.Type() != v.Type():
		return attr.Value{}, attr.Invalid(textOperand)
	case v.Type() == attr.N:
		return attr.Add(there, v)
	}
	return attr.Union(there, v), nil
}

// change puts v at a path of item, or removes what is there if v is the zero
// Value. item itself is changed; the maps and lists on the way are replaced by
// changed copies, because others share them.
func (b *bound) change(item attr.Item, p path, v attr.Value) error {
	name := b.name(p[0])
	if len(p) > 1 {
		there, ok := item[name]
		if !ok {
			return attr.Invalid(textBadTarget)
		}
		var err error
		if v, err = b.changed(there, p[1:], v); err != nil {
			return err
		}
	}
	if v.IsZero() {
		delete(item, name)
	} else {
		item[name] = v
	}
	return nil
}

// changed is a copy of the map or list doc with v at the path p in it.
func (b *bound) changed(doc attr.Value, p path, v attr.Value) (attr.Value, error) {
	step := p[0]
	if !step.isIndex {
		if doc.Type() != attr.M {
			return attr.Value{}, attr.Invalid(textBadTarget)
		}
		m := doc.Map().Clone()
		err := b.change(m, p, v)
		return attr.Map(m), err
	}
	if doc.Type() != attr.L {
		return attr.Value{}, attr.Invalid(textBadTarget)
	}
	list := slices.Clone(doc.List())
	there := step.index < len(list)
	if len(p) > 1 {
		if !there {
			return attr.Value{}, attr.Invalid(textBadTarget)
		}
		var err error
		if v, err = b.changed(list[step.index], p[1:], v); err != nil {
			return attr.Value{}, err
		}
	}
	switch {
	case there && v.IsZero():
		list = slices.Delete(list, step.index, step.index+1)
	case there:
		list[step.index] = v
	case !v.IsZero():
		list = append(list, v)
	}
	return attr.List(list), nil
}

// Attributes are the top-level attributes that the update changes, without
// repeats: an engine refuses those of the primary key.
func (u *Update) Attributes() []string {
	var names []string
	for _, p := range u.parsed.update.targets {
		names = addOnce(names, u.name(p[0]))
	}
	return names
}

// OnlyRemoves reports whether the update sets nothing. Of an item that does not exist
// it makes none. Source: observed on AWS by Scylla's tests of Alternator,
// test_update_item_non_existent.
func (u *Update) OnlyRemoves() bool {
	return len(u.parsed.update.sets)+len(u.parsed.update.adds) == 0
}

// LooksInto reports whether the update looks into a top-level attribute, by . or [],
// to write or to read. An engine refuses that of keys, which are scalars.
func (u *Update) LooksInto(name string) bool {
	found := false
	visit := func(p path) { found = found || len(p) > 1 && u.name(p[0]) == name }
	for _, p := range u.parsed.update.targets {
		visit(p)
	}
	for _, a := range u.parsed.update.sets {
		walkOperand(a.value, visit)
	}
	return found
}

// Changed is the part of an item that the update's paths touch, as
// ReturnValues=UPDATED_OLD (of the old item) and UPDATED_NEW (of the new item)
// return it; nil when nothing of it is there.
func (u *Update) Changed(item attr.Item) attr.Item {
	part := newProjection(u.bound, u.parsed.update.targets).Project(item)
	if len(part) == 0 {
		return nil
	}
	return part
}
