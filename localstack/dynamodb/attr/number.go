package attr

import (
	"cmp"
	"strconv"
	"strings"
)

// Limits of a DynamoDB number ("Supported data types: Numbers" in the developer
// guide): 38 significant digits, magnitude from 1E-130 to 9.99…E+125.
const (
	maxDigits   = 38
	minExponent = -130 // of the first significant digit
	maxExponent = 125  // of the first significant digit
)

// AWS's texts for numbers that it does not take.
const (
	textNotANumber = "The parameter cannot be converted to a numeric value"
	textDigits     = "Attempting to store more than 38 significant digits in a Number"
	textOverflow   = "Number overflow. Attempting to store a number with magnitude larger than supported range"
	textUnderflow  = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
)

// decimal is a number taken apart: ±0.d₁d₂d₃… × 10^(exp+1), that is, exp is the
// exponent of the first digit. Zero has no digits. The first and the last digit
// are never '0'.
type decimal struct {
	neg    bool
	digits string
	exp    int
}

// Number makes an N from decimal text such as "-12.50" or "1e3", normalized as
// DynamoDB returns it. The error is AWS's: not a number, more than 38 significant
// digits, magnitude out of range.
func Number(text string) (Value, error) {
	norm, err := normalize(text)
	if err != nil {
		return Value{}, err
	}
	return Value{typ: N, str: norm}, nil
}

// normalize is the canonical text of a number: no exponent, no needless zeros or
// plus sign. Most numbers are short plain integers, which pass through as they are.
func normalize(text string) (string, *Error) {
	if plainInt(text) {
		return text, nil
	}
	d, err := parseDecimal(text)
	if err != nil {
		return "", err
	}
	return d.text(), nil
}

// plainInt reports whether text is a canonical integer of at most 18 digits.
func plainInt(text string) bool {
	digits := text
	if len(digits) > 1 && digits[0] == '-' {
		digits = digits[1:]
		if digits[0] == '0' {
			return false
		}
	}
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(digits) > 1 {
		return false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
	}
	return true
}

// smallInt is the value of a normalized number that is an integer of at most 18 digits.
func smallInt(norm string) (n int64, ok bool) {
	if !plainInt(norm) {
		return 0, false
	}
	n, err := strconv.ParseInt(norm, 10, 64)
	return n, err == nil
}

// parseDecimal reads [sign] digits [. digits] [e [sign] digits] with at least one
// digit before the exponent.
func parseDecimal(text string) (decimal, *Error) {
	bad := func() (decimal, *Error) { return decimal{}, Invalid("%s: %s", textNotANumber, text) }
	if text == "" {
		return decimal{}, Invalid(textNotANumber)
	}
	rest := text
	var d decimal
	if rest[0] == '-' || rest[0] == '+' {
		d.neg = rest[0] == '-'
		rest = rest[1:]
	}
	mantissa := rest
	exp10 := 0
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		mantissa = rest[:i]
		e := rest[i+1:]
		unsigned := strings.TrimLeft(e, "+-")
		if len(e)-len(unsigned) > 1 || !allDigits(unsigned) || unsigned == "" {
			return bad()
		}
		n, err := strconv.Atoi(e)
		if err != nil || n > 1<<20 || n < -1<<20 {
			n = 1 << 20 // far outside the range; the sign decides which error
			if e[0] == '-' {
				n = -n
			}
		}
		exp10 = n
	}
	whole, frac, _ := strings.Cut(mantissa, ".")
	if whole == "" && frac == "" || !allDigits(whole) || !allDigits(frac) {
		return bad()
	}
	digits := whole
	if frac != "" {
		digits += frac
	}
	trimmed := strings.TrimLeft(digits, "0")
	d.exp = len(whole) - 1 - (len(digits) - len(trimmed)) + exp10
	d.digits = strings.TrimRight(trimmed, "0")
	if d.digits == "" {
		return decimal{}, nil
	}
	return d, d.check()
}

// check refuses what DynamoDB cannot store.
func (d decimal) check() *Error {
	switch {
	case d.digits == "":
		return nil
	case d.exp > maxExponent:
		return Invalid(textOverflow)
	case d.exp < minExponent:
		return Invalid(textUnderflow)
	case len(d.digits) > maxDigits:
		return Invalid(textDigits)
	}
	return nil
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// text is the canonical text.
func (d decimal) text() string {
	if d.digits == "" {
		return "0"
	}
	var b strings.Builder
	if d.neg {
		b.WriteByte('-')
	}
	switch point := d.exp + 1; { // digits before the decimal point
	case point <= 0:
		b.WriteString("0.")
		b.WriteString(strings.Repeat("0", -point))
		b.WriteString(d.digits)
	case point >= len(d.digits):
		b.WriteString(d.digits)
		b.WriteString(strings.Repeat("0", point-len(d.digits)))
	default:
		b.WriteString(d.digits[:point])
		b.WriteByte('.')
		b.WriteString(d.digits[point:])
	}
	return b.String()
}

// split takes a normalized number apart.
func split(norm string) decimal {
	var d decimal
	if norm[0] == '-' {
		d.neg = true
		norm = norm[1:]
	}
	whole, frac, _ := strings.Cut(norm, ".")
	if whole == "0" {
		d.digits = strings.TrimLeft(frac, "0")
		d.exp = -1 - (len(frac) - len(d.digits))
		return d
	}
	d.exp = len(whole) - 1
	if frac == "" {
		d.digits = strings.TrimRight(whole, "0")
		return d
	}
	d.digits = whole + frac
	return d
}

// compareNumbers orders two normalized numbers by value.
func compareNumbers(a, b string) int {
	if x, ok := smallInt(a); ok {
		if y, ok := smallInt(b); ok {
			return cmp.Compare(x, y)
		}
	}
	x, y := split(a), split(b)
	order := cmp.Compare(x.sign(), y.sign())
	if order != 0 || x.digits == "" {
		return order
	}
	order = cmp.Or(cmp.Compare(x.exp, y.exp), strings.Compare(x.digits, y.digits))
	if x.neg {
		return -order
	}
	return order
}

// sign is -1, 0 or 1.
func (d decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.neg:
		return -1
	}
	return 1
}
