package attr

import (
	"encoding/base64"
	"slices"
	"unicode/utf8"
)

// AppendJSON appends the item in typed JSON, attributes sorted by name.
func (it Item) AppendJSON(dst []byte) []byte {
	var buf [16]string
	dst = append(dst, '{')
	for i, name := range it.names(buf[:0]) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, name)
		dst = append(dst, ':')
		dst = it[name].AppendJSON(dst)
	}
	return append(dst, '}')
}

// names appends the item's attribute names to dst and sorts them.
func (it Item) names(dst []string) []string {
	for name := range it {
		dst = append(dst, name)
	}
	slices.Sort(dst)
	return dst
}

// AppendJSON appends the value in typed JSON. The zero Value is null.
func (v Value) AppendJSON(dst []byte) []byte {
	if v.IsZero() {
		return append(dst, "null"...)
	}
	dst = appendType(dst, v.typ)
	switch v.typ {
	case BOOL:
		dst = appendBool(dst, v.flag)
	case NULL:
		dst = appendBool(dst, true)
	case M:
		dst = v.kids.m.AppendJSON(dst)
	case L:
		dst = append(dst, '[')
		for i, e := range v.kids.list {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = e.AppendJSON(dst)
		}
		dst = append(dst, ']')
	case SS, NS, BS:
		dst = append(dst, '[')
		for i, m := range v.kids.set {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendScalar(dst, v.typ, m)
		}
		dst = append(dst, ']')
	default:
		dst = appendScalar(dst, v.typ, v.str)
	}
	return append(dst, '}')
}

// appendType opens a typed value: {"S":
func appendType(dst []byte, t Type) []byte {
	dst = append(dst, '{', '"')
	dst = append(dst, typeNames[t]...)
	return append(dst, '"', ':')
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, "true"...)
	}
	return append(dst, "false"...)
}

// appendScalar appends the content of an S, N or B, or a member of a set of them.
func appendScalar[T string | []byte](dst []byte, t Type, content T) []byte {
	switch t {
	case N, NS:
		dst = append(dst, '"')
		dst = append(dst, content...)
		return append(dst, '"')
	case B, BS:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, []byte(content))
		return append(dst, '"')
	}
	return appendText(dst, content)
}

// AppendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte { return appendText(dst, s) }

func appendText[T string | []byte](dst []byte, s T) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0 // s[:done] is written
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			end := min(i+utf8.UTFMax, len(s))
			r, n := utf8.DecodeRuneInString(string(s[i:end]))
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, s[done:i]...)
				dst = append(dst, "\uFFFD"...)
				done = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[done:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		done = i
	}
	dst = append(dst, s[done:]...)
	return append(dst, '"')
}
