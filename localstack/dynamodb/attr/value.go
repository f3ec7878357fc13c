// Package attr holds DynamoDB's attribute values: their ten types, their typed
// JSON, a compact binary form for storage, an order-preserving form for keys,
// exact decimal numbers and the documented size rules. It knows nothing about
// tables or expressions.
//
// Values are immutable: whoever changes an item builds new values along the path
// that changes and shares all others. What a value hands out (a map, a list, the
// members of a set) must therefore not be changed.
package attr

import (
	"slices"
	"strconv"
)

// Type is the type of a value. The zero Type belongs to the zero Value, which
// stands for "no such attribute".
type Type uint8

// The types of DynamoDB's data model, in the order of their binary tags. The
// numbers are stored: never renumber them.
const (
	S    Type = 1 + iota // string
	N                    // number, up to 38 significant digits
	B                    // binary
	BOOL                 // boolean
	NULL                 // null
	M                    // map
	L                    // list
	SS                   // set of strings
	NS                   // set of numbers
	BS                   // set of binaries
)

var typeNames = [...]string{"", "S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"}

// String is the type's descriptor in typed JSON, such as "S" or "BOOL".
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "Type(" + strconv.Itoa(int(t)) + ")"
}

// ParseType is the inverse of Type.String. ok is false for anything that is not
// one of the ten descriptors.
func ParseType(name string) (t Type, ok bool) {
	for i, n := range typeNames {
		if i > 0 && n == name {
			return Type(i), true
		}
	}
	return 0, false
}

// Scalar reports whether t can be a key attribute: S, N or B.
func (t Type) Scalar() bool { return t == S || t == N || t == B }

// Set reports whether t is one of the three set types.
func (t Type) Set() bool { return t >= SS && t <= BS }

// Element is the type of a set type's members: S, N or B; 0 for all other types.
func (t Type) Element() Type {
	if !t.Set() {
		return 0
	}
	return t - SS + S
}

// Value is one attribute value. The zero Value is "no value"; see IsZero.
type Value struct {
	str  string    // S: the text, N: the normalized number, B: the bytes
	kids *children // M, L and the sets
	typ  Type
	flag bool // BOOL
}

// children is what the document and set types hold, apart from Value so that the
// scalars, which are most values, stay small.
type children struct {
	m    Item
	list []Value
	set  []string // members in order, without repeats; numbers are normalized
}

// Item is a record: attribute values by name. It is also the content of a map.
type Item map[string]Value

// String makes an S.
func String(s string) Value { return Value{typ: S, str: s} }

// Int makes an N from an integer.
func Int(n int64) Value { return Value{typ: N, str: strconv.FormatInt(n, 10)} }

// Binary makes a B; the bytes are copied.
func Binary(b []byte) Value { return Value{typ: B, str: string(b)} }

// Bool makes a BOOL.
func Bool(b bool) Value { return Value{typ: BOOL, flag: b} }

// Null makes a NULL.
func Null() Value { return Value{typ: NULL} }

// Map makes an M that shares m, which must not be changed afterwards.
func Map(m Item) Value {
	if m == nil {
		m = Item{}
	}
	return Value{typ: M, kids: &children{m: m}}
}

// List makes an L that shares l, which must not be changed afterwards.
func List(l []Value) Value { return Value{typ: L, kids: &children{list: l}} }

// newSet makes a set of type t from its members (numbers already normalized),
// which it sorts in place and frees from repeats.
func newSet(t Type, members []string) Value {
	sortMembers(t, members)
	return Value{typ: t, kids: &children{set: slices.Compact(members)}}
}

func sortMembers(t Type, members []string) {
	if t == NS {
		slices.SortFunc(members, compareNumbers)
		return
	}
	slices.Sort(members)
}

// StringSet makes an SS. Repeats are dropped; an empty set is the caller's error.
func StringSet(members ...string) Value { return newSet(SS, slices.Clone(members)) }

// BinarySet makes a BS under the rules of StringSet; the bytes are copied.
func BinarySet(members ...[]byte) Value {
	set := make([]string, len(members))
	for i, m := range members {
		set[i] = string(m)
	}
	return newSet(BS, set)
}

// NumberSet makes an NS of Ns under the rules of StringSet. It panics when a
// member is not an N.
func NumberSet(members ...Value) Value {
	set := make([]string, len(members))
	for i, m := range members {
		if m.typ != N {
			panic("attr: a number set with a member of type " + m.typ.String())
		}
		set[i] = m.str
	}
	return newSet(NS, set)
}

// IsZero reports whether v is the zero Value: no attribute at all (not a NULL).
func (v Value) IsZero() bool { return v.typ == 0 }

// Type is v's type, or 0 for the zero Value.
func (v Value) Type() Type { return v.typ }

// Text is the text of an S, the normalized decimal text of an N, the bytes of a
// B as a string, and "" for every other type.
func (v Value) Text() string { return v.str }

// Bool is the content of a BOOL, false for every other type.
func (v Value) Bool() bool { return v.flag }

// Map is the content of an M, nil for every other type.
func (v Value) Map() Item {
	if v.kids == nil {
		return nil
	}
	return v.kids.m
}

// List is the content of an L, nil for every other type.
func (v Value) List() []Value {
	if v.kids == nil {
		return nil
	}
	return v.kids.list
}

// Members are the members of a set in order (strings and binaries by bytes,
// numbers by value), nil for every other type. Numbers are normalized, binaries
// are their raw bytes.
func (v Value) Members() []string {
	if v.kids == nil {
		return nil
	}
	return v.kids.set
}

// Levels is how deep v is nested: 1 for a scalar, a set or an empty map or list.
// Items take values of up to MaxNesting levels.
func (v Value) Levels() int {
	deepest := 0
	for _, member := range v.Map() {
		deepest = max(deepest, member.Levels())
	}
	for _, element := range v.List() {
		deepest = max(deepest, element.Levels())
	}
	return deepest + 1
}

// Int64 is the content of an N that is an integer within int64; ok is false for
// any other number or type.
func (v Value) Int64() (n int64, ok bool) {
	if v.typ != N {
		return 0, false
	}
	return smallInt(v.str)
}

// Clone is a copy of the item's first level; the values are shared, which is
// safe because they are immutable.
func (it Item) Clone() Item {
	c := make(Item, len(it)+1)
	for k, v := range it {
		c[k] = v
	}
	return c
}
