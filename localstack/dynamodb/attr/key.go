package attr

import (
	"errors"
	"fmt"
	"strings"
)

// The key form of a value orders bytes as DynamoDB orders values:
//
//	S B      = tag bytes 00 00          a 00 within is 00 FF
//	N = 0    = tag 02
//	N > 0    = tag 03 exponent pairs 00
//	N < 0    = tag 01 and the complement of all that follows 03 in -N
//
// tag is the Type. The exponent is that of the first digit plus 130, which fills
// exactly one byte, and a pair of significant digits is one byte, 1 … 100.
const (
	keyNegative = 1
	keyZero     = 2
	keyPositive = 3
)

var errKey = errors.New("corrupt key")

// AppendKey appends v, an S, N or B, so that bytes.Compare of encodings is Compare
// of values of one type, also when more is appended behind. It panics on any other
// type: callers have checked the key schema.
func AppendKey(dst []byte, v Value) []byte {
	switch v.typ {
	case S, B:
		return append(AppendKeyPrefix(dst, v), 0, 0)
	case N:
		return appendNumberKey(append(dst, byte(N)), v.str)
	}
	panic(fmt.Sprintf("attr: a key of type %v", v.typ))
}

// AppendKeyPrefix appends what the encodings of all S or B that begin with v begin with.
func AppendKeyPrefix(dst []byte, v Value) []byte {
	if v.typ != S && v.typ != B {
		panic(fmt.Sprintf("attr: a key prefix of type %v", v.typ))
	}
	dst = append(dst, byte(v.typ))
	rest := v.str
	for {
		i := strings.IndexByte(rest, 0)
		if i < 0 {
			return append(dst, rest...)
		}
		dst = append(dst, rest[:i]...)
		dst = append(dst, 0, 0xFF)
		rest = rest[i+1:]
	}
}

func appendNumberKey(dst []byte, norm string) []byte {
	d := split(norm)
	if d.digits == "" {
		return append(dst, keyZero)
	}
	if !d.neg {
		dst = append(dst, keyPositive)
	} else {
		dst = append(dst, keyNegative)
	}
	start := len(dst)
	dst = append(dst, byte(d.exp-minExponent))
	for i := 0; i < len(d.digits); i += 2 {
		pair := (d.digits[i] - '0') * 10
		if i+1 < len(d.digits) {
			pair += d.digits[i+1] - '0'
		}
		dst = append(dst, pair+1)
	}
	dst = append(dst, 0)
	if d.neg {
		for i := start; i < len(dst); i++ {
			dst[i] = ^dst[i]
		}
	}
	return dst
}

// DecodeKey decodes one value that AppendKey wrote and returns what follows it.
func DecodeKey(src []byte) (v Value, rest []byte, err error) {
	if len(src) < 2 {
		return Value{}, nil, errKey
	}
	switch t := Type(src[0]); t {
	case S, B:
		return decodeTextKey(t, src[1:])
	case N:
		return decodeNumberKey(src[1:])
	}
	return Value{}, nil, fmt.Errorf("%w: tag %d", errKey, src[0])
}

func decodeTextKey(t Type, src []byte) (Value, []byte, error) {
	var text []byte
	for i := 0; i+1 < len(src); i++ {
		switch {
		case src[i] != 0:
			text = append(text, src[i])
		case src[i+1] == 0:
			return Value{typ: t, str: string(text)}, src[i+2:], nil
		default:
			text = append(text, 0)
			i++
		}
	}
	return Value{}, nil, fmt.Errorf("%w: no end", errKey)
}

func decodeNumberKey(src []byte) (Value, []byte, error) {
	var d decimal
	var flip byte
	switch src[0] {
	case keyZero:
		return Int(0), src[1:], nil
	case keyNegative:
		d.neg, flip = true, 0xFF
	case keyPositive:
	default:
		return Value{}, nil, fmt.Errorf("%w: sign %d", errKey, src[0])
	}
	if len(src) < 2 {
		return Value{}, nil, errKey
	}
	d.exp = int(src[1]^flip) + minExponent
	var digits []byte
	for i := 2; i < len(src); i++ {
		pair := src[i] ^ flip
		switch {
		case pair > 100:
			return Value{}, nil, fmt.Errorf("%w: digits %d", errKey, pair)
		case pair > 0:
			digits = append(digits, '0'+(pair-1)/10, '0'+(pair-1)%10)
		default:
			d.digits = strings.TrimRight(string(digits), "0")
			if d.digits == "" || d.digits[0] == '0' || d.check() != nil {
				return Value{}, nil, fmt.Errorf("%w: number", errKey)
			}
			return Value{typ: N, str: d.text()}, src[i+1:], nil
		}
	}
	return Value{}, nil, fmt.Errorf("%w: no end", errKey)
}
