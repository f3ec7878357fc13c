package attr

import (
	"fmt"
	"math/big"
	"strings"
)

// Add is a + b, exactly. Both must be N, otherwise it panics: callers check types
// to word their own error. The error is AWS's: more than 38 significant digits, or
// out of range.
func Add(a, b Value) (Value, error) { return sum(a, b, false) }

// Sub is a - b, under the rules of Add.
func Sub(a, b Value) (Value, error) { return sum(a, b, true) }

func sum(a, b Value, negate bool) (Value, error) {
	if a.typ != N || b.typ != N {
		panic(fmt.Sprintf("attr: arithmetic on %v and %v", a.typ, b.typ))
	}
	if x, ok := smallInt(a.str); ok {
		if y, ok := smallInt(b.str); ok { // at most 18 digits each: no overflow
			if negate {
				y = -y
			}
			return Int(x + y), nil
		}
	}
	x, y := split(a.str), split(b.str)
	if negate {
		y.neg = !y.neg
	}
	d, err := addDecimals(x, y)
	if err != nil {
		return Value{}, err
	}
	return Value{typ: N, str: d.text()}, nil
}

// addDecimals adds by scaling both to integers of one exponent. Numbers span 256
// decimal exponents, so the integers are short enough to do it always.
func addDecimals(x, y decimal) (decimal, *Error) {
	scale := min(x.lowest(), y.lowest())
	n := new(big.Int).Add(x.scaled(scale), y.scaled(scale))
	d := decimal{neg: n.Sign() < 0}
	digits := n.Abs(n).String()
	d.exp = scale + len(digits) - 1
	d.digits = strings.TrimRight(digits, "0")
	if err := d.check(); err != nil {
		return decimal{}, err
	}
	return d, nil
}

// lowest is the exponent of the last digit.
func (d decimal) lowest() int {
	if d.digits == "" {
		return 0
	}
	return d.exp - len(d.digits) + 1
}

// scaled is d / 10^scale, which must be an integer.
func (d decimal) scaled(scale int) *big.Int {
	n := new(big.Int)
	if d.digits == "" {
		return n
	}
	n.SetString(d.digits+strings.Repeat("0", d.lowest()-scale), 10)
	if d.neg {
		n.Neg(n)
	}
	return n
}
