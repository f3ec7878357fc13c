package streams

import (
	"bytes"
	"encoding/json"
)

// The functions here look into valid JSON without decoding what is not asked for: a filter looks at
// one or two names of a record, and the record passes on as it is.

// member returns the value of a name in an object; ok is false when there is none, or no object.
func member(object []byte, name string) (value []byte, ok bool) {
	i := space(object, 0)
	if i == len(object) || object[i] != '{' {
		return nil, false
	}
	for i = space(object, i+1); i < len(object) && object[i] == '"'; {
		key := object[i:endOfValue(object, i)]
		start := space(object, i+len(key))               // the colon
		start = space(object, min(start+1, len(object))) // the value
		end := endOfValue(object, start)
		if isString(key, name) {
			return object[start:end], true
		}
		if i = space(object, end); i < len(object) && object[i] == ',' {
			i = space(object, i+1)
		}
	}
	return nil, false
}

// anyElement reports whether f holds for an element of an array.
func anyElement(array []byte, f func(element []byte) bool) bool {
	for i := space(array, 1); i < len(array) && array[i] != ']'; {
		end := endOfValue(array, i)
		if end == i {
			return false // not JSON
		}
		if f(array[i:end]) {
			return true
		}
		if i = space(array, end); i < len(array) && array[i] == ',' {
			i = space(array, i+1)
		}
	}
	return false
}

// isString reports whether a JSON value is the string s.
func isString(value []byte, s string) bool {
	text, ok := text(value)
	return ok && string(text) == s
}

// text is the content of a JSON string; ok is false for other values.
func text(value []byte) (content []byte, ok bool) {
	if len(value) < 2 || value[0] != '"' {
		return nil, false
	}
	content = value[1 : len(value)-1]
	if bytes.IndexByte(content, '\\') < 0 {
		return content, true
	}
	var s string
	if json.Unmarshal(value, &s) != nil {
		return nil, false
	}
	return []byte(s), true
}

// endOfValue is the index behind the value that starts at i.
func endOfValue(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return min(i+1, len(b))
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth <= 1 {
				return i + depth // its own end at depth 1, and that of what it stands in at 0
			}
			depth--
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

// space is the index of the first byte from i that is no white space.
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return min(i, len(b))
}
