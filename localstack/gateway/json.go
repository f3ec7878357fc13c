package gateway

import (
	"encoding/hex"
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// This file walks JSON texts that json.Valid has accepted, without decoding
// what nobody asks for: a message is read for one key of its top level, a
// function's response for two. It trusts its input to be valid.

// members calls yield for each member of the object that doc is, with the key as
// it stands between its quotes and the value's text; it reports whether doc is an object.
func members(doc []byte, yield func(key, value []byte)) bool {
	i := skipSpace(doc, 0)
	if i == len(doc) || doc[i] != '{' {
		return false
	}
	i = skipSpace(doc, i+1)
	for doc[i] != '}' {
		end := skipString(doc, i)
		key := doc[i+1 : end-1]
		i = skipSpace(doc, skipSpace(doc, end)+1) // over the colon
		end = skipValue(doc, i)
		yield(key, doc[i:end])
		if i = skipSpace(doc, end); doc[i] == ',' {
			i = skipSpace(doc, i+1)
		}
	}
	return true
}

func skipSpace(doc []byte, i int) int {
	for i < len(doc) && (doc[i] == ' ' || doc[i] == '\t' || doc[i] == '\n' || doc[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index after the string that starts with the quote at i.
func skipString(doc []byte, i int) int {
	for i++; doc[i] != '"'; i++ {
		if doc[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func skipValue(doc []byte, i int) int {
	switch doc[i] {
	case '"':
		return skipString(doc, i)
	case '{', '[':
		for depth := 0; ; {
			switch doc[i] {
			case '"':
				i = skipString(doc, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	}
	for i < len(doc) {
		switch doc[i] {
		case ',', '}', ']', ' ', '\t', '\n', '\r':
			return i
		}
		i++
	}
	return i
}

// appendUnquoted appends the text that a JSON string, quotes included, stands for.
// Like encoding/json, it puts U+FFFD in place of lone surrogates.
func appendUnquoted(dst, quoted []byte) []byte {
	s := quoted[1 : len(quoted)-1]
	for start, i := 0, 0; ; i++ {
		if i == len(s) {
			return append(dst, s[start:]...)
		}
		if s[i] != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		i++
		switch s[i] {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := unit(s[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				pair := utf8.RuneError
				if i+6 < len(s) && s[i+1] == '\\' && s[i+2] == 'u' {
					pair = utf16.DecodeRune(r, unit(s[i+2:]))
				}
				if r = pair; pair != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		default: // a quote, a slash or a backslash
			dst = append(dst, s[i])
		}
		start = i + 1
	}
}

// unit reads uXXXX.
func unit(s []byte) rune {
	var b [2]byte
	_, _ = hex.Decode(b[:], s[1:5]) // the text is valid JSON
	return rune(b[0])<<8 | rune(b[1])
}

// isString reports whether a value's text is a JSON string.
func isString(value []byte) bool { return value[0] == '"' }

// appendString appends valid UTF-8 as a JSON string. Unlike json.Marshal, it
// leaves <, > and & as they are.
func appendString[S []byte | string](dst []byte, s S) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		b := s[i]
		if b >= 0x20 && b != '"' && b != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		switch b {
		case '"', '\\':
			dst = append(dst, '\\', b)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[b>>4], digits[b&0xf])
		}
		start = i + 1
	}
	return append(append(dst, s[start:]...), '"')
}

// appendJSON appends maps and slices of strings, which always encode.
func appendJSON(dst []byte, v any) []byte {
	b, _ := json.Marshal(v)
	return append(dst, b...)
}
