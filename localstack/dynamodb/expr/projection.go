package expr

import (
	"cmp"
	"slices"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

// Projection is a bound projection expression.
type Projection struct {
	names []string // of whole attributes
	tree  []branch // of what is within attributes
}

// branch is one member or element of a document and what is projected of it.
type branch struct {
	name  string // of a member
	index int    // of an element
	kids  []branch
	whole bool // all of it
}

func newProjection(b bound, paths []path) *Projection {
	p := &Projection{}
	for _, path := range paths {
		if len(path) == 1 {
			p.names = append(p.names, b.name(path[0]))
		} else {
			p.tree = b.grow(p.tree, path)
		}
	}
	return p
}

// grow adds a path to a tree, whose branches stay in the order of their indexes.
func (b *bound) grow(tree []branch, p path) []branch {
	if len(p) == 0 {
		return tree
	}
	name, index := b.name(p[0]), p[0].index
	i := slices.IndexFunc(tree, func(t branch) bool { return t.name == name && t.index == index })
	if i < 0 {
		i, _ = slices.BinarySearchFunc(tree, index, func(t branch, index int) int { return cmp.Compare(t.index, index) })
		tree = slices.Insert(tree, i, branch{name: name, index: index})
	}
	tree[i].whole = tree[i].whole || len(p) == 1
	tree[i].kids = b.grow(tree[i].kids, p[1:])
	return tree
}

// Project is the part of the item that the projection names; maps are cut down to
// the members, lists to the elements that it names. It shares values with the item.
func (p *Projection) Project(item attr.Item) attr.Item {
	part := make(attr.Item, len(p.names)+len(p.tree))
	for _, name := range p.names {
		if v, ok := item[name]; ok {
			part[name] = v
		}
	}
	projectMap(part, item, p.tree)
	return part
}

func projectMap(part, m attr.Item, tree []branch) {
	for _, t := range tree {
		if v, ok := t.project(m[t.name]); ok {
			part[t.name] = v
		}
	}
}

// project is the part of v that the branch names; ok is false if nothing is there.
func (t branch) project(v attr.Value) (part attr.Value, ok bool) {
	switch {
	case t.whole:
		return v, !v.IsZero()
	case v.Type() == attr.M:
		m := attr.Item{}
		projectMap(m, v.Map(), t.kids)
		return attr.Map(m), len(m) > 0
	case v.Type() == attr.L:
		var list []attr.Value
		for _, kid := range t.kids {
			if kid.name != "" || kid.index >= len(v.List()) {
				continue
			}
			if e, ok := kid.project(v.List()[kid.index]); ok {
				list = append(list, e)
			}
		}
		return attr.List(list), len(list) > 0
	}
	return attr.Value{}, false
}

// Attributes are the top-level attributes that the projection names, without repeats.
func (p *Projection) Attributes() []string {
	names := slices.Clone(p.names)
	for _, t := range p.tree {
		names = addOnce(names, t.name)
	}
	return names
}

// LooksInto reports whether the projection looks into a top-level attribute, by . or
// []. An engine refuses that of keys, which are scalars.
func (p *Projection) LooksInto(name string) bool {
	return slices.ContainsFunc(p.tree, func(t branch) bool { return t.name == name })
}
