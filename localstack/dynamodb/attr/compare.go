package attr

import (
	"slices"
	"strings"
)

// Equal reports whether two values have the same type and content. Sets are equal
// whatever the order of their members was; numbers whatever their notation was.
func Equal(a, b Value) bool {
	if a.typ != b.typ || a.str != b.str || a.flag != b.flag {
		return false
	}
	if a.kids == b.kids {
		return true
	}
	return EqualItems(a.kids.m, b.kids.m) &&
		slices.EqualFunc(a.kids.list, b.kids.list, Equal) &&
		slices.Equal(a.kids.set, b.kids.set)
}

// EqualItems reports whether two items have the same attributes with equal values.
func EqualItems(a, b Item) bool {
	if len(a) != len(b) {
		return false
	}
	for name, v := range a {
		w, ok := b[name]
		if !ok || !Equal(v, w) {
			return false
		}
	}
	return true
}

// Compare orders two values of one scalar type, S and B by bytes, N by value. ok
// is false when the types differ or have no order.
func Compare(a, b Value) (order int, ok bool) {
	if a.typ != b.typ || !a.typ.Scalar() {
		return 0, false
	}
	if a.typ == N {
		return compareNumbers(a.str, b.str), true
	}
	return strings.Compare(a.str, b.str), true
}
