package attr

// Add is a + b, exactly. Both must be N. The error is AWS's: more than 38
// significant digits, or out of range.
func Add(a, b Value) (Value, error) { return Value{}, nil }

// Sub is a - b, under the rules of Add.
func Sub(a, b Value) (Value, error) { return Value{}, nil }
