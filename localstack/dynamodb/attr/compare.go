package attr

// Equal reports whether two values have the same type and content. Sets are equal
// whatever the order of their members was; numbers whatever their notation was.
func Equal(a, b Value) bool { return false }

// EqualItems reports whether two items have the same attributes with equal values.
func EqualItems(a, b Item) bool { return false }

// Compare orders two values of one scalar type, S and B by bytes, N by value. ok
// is false when the types differ or have no order.
func Compare(a, b Value) (order int, ok bool) { return 0, false }
