package attr

import "slices"

// Union is the set of the members of a and b, sets of one type.
func Union(a, b Value) Value {
	return newSet(a.typ, slices.Concat(a.Members(), b.Members()))
}

// Difference is the set of a's members that b, a set of the same type, does not
// have; ok is false when none are left, because no set is empty.
func Difference(a, b Value) (v Value, ok bool) {
	var left []string
	for _, m := range a.Members() {
		if !slices.Contains(b.Members(), m) {
			left = append(left, m)
		}
	}
	if len(left) == 0 {
		return Value{}, false
	}
	return newSet(a.typ, left), true
}
