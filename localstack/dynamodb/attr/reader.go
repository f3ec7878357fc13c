package attr

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Reader reads one JSON text from front to back, without reflection: requests of
// DynamoDB's JSON protocol and the typed attribute values in them. Errors stick:
// after the first, every method returns zero values at once, so that callers check
// Err once at the end. Strings that it returns share one copy of the text.
//
// AWS first deserializes the whole body and then validates it. A Reader keeps the
// two apart: Err is the SerializationException, Invalid the first
// ValidationException of an attribute value, to be reported after the checks that
// AWS makes earlier.
type Reader struct {
	src     string
	pos     int
	err     *Error
	invalid *Error
}

// maxDepth bounds the nesting of JSON that is skipped, so that a hostile body
// cannot exhaust the stack. Attribute values have their own, lower bound.
const maxDepth = 512

// NewReader reads body, which it copies.
func NewReader(body []byte) *Reader { return &Reader{src: string(body)} }

// Err is the first SerializationException, or nil. Its message is empty when the
// text is not JSON at all, as AWS's is.
func (r *Reader) Err() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

// Invalid is the first ValidationException of an attribute value, or nil.
func (r *Reader) Invalid() error {
	if r.invalid == nil {
		return nil
	}
	return r.invalid
}

// End reports an error unless only white space is left.
func (r *Reader) End() {
	if r.err == nil && r.peek() != 0 {
		r.malformed()
	}
}

// fail records the first error and moves to the end, where every method stops.
func (r *Reader) fail(message string) {
	if r.err == nil {
		r.err = &Error{Type: SerializationException, Message: message}
	}
	r.pos = len(r.src)
}

func (r *Reader) malformed() { r.fail("") }

// reject records the first ValidationException; reading goes on.
func (r *Reader) reject(err *Error) {
	if r.invalid == nil {
		r.invalid = err
	}
}

// peek skips white space and returns the next byte, 0 at the end.
func (r *Reader) peek() byte {
	for r.pos < len(r.src) {
		switch c := r.src[r.pos]; c {
		case ' ', '\n', '\t', '\r':
			r.pos++
		case 0:
			r.malformed()
			return 0
		default:
			return c
		}
	}
	return 0
}

// take consumes c if it is next.
func (r *Reader) take(c byte) bool {
	if r.peek() != c {
		return false
	}
	r.pos++
	return true
}

func (r *Reader) literal(word string) {
	if !strings.HasPrefix(r.src[r.pos:], word) {
		r.malformed()
		return
	}
	r.pos += len(word)
}

// Null reports whether the next value is null, and consumes it if so.
func (r *Reader) Null() bool {
	if r.peek() != 'n' {
		return false
	}
	r.literal("null")
	return r.err == nil
}

// unexpected reports a value whose JSON type the operation does not take, in the
// words that AWS uses for a target type such as "String". class is its Java name,
// which AWS lets out when it finds an array.
func (r *Reader) unexpected(target, class string) {
	switch c := r.peek(); {
	case r.err != nil:
	case c == 't':
		r.fail("TRUE_VALUE cannot be converted to " + target)
	case c == 'f':
		r.fail("FALSE_VALUE cannot be converted to " + target)
	case c == '"':
		r.fail("STRING_VALUE cannot be converted to " + target)
	case c == '[':
		r.fail("Unrecognized collection type class " + class)
	case c == '{':
		r.fail("Start of structure or map found where not expected")
	case c == '-' || c >= '0' && c <= '9':
		kind := "NUMBER_VALUE"
		if strings.ContainsAny(r.number(), ".eE") {
			kind = "DECIMAL_VALUE"
		}
		r.fail(kind + " cannot be converted to " + target)
	default:
		r.malformed()
	}
}

// Object reads an object and calls field for each member; field must read the
// member's value (Skip, if it does not care). A null has no members.
func (r *Reader) Object(field func(key string)) {
	if r.Null() {
		return
	}
	if r.peek() != '{' {
		r.unexpectedValue("java.util.Map")
		return
	}
	for more := r.open('}'); more; more = r.next('}') {
		if key, ok := r.key(); ok {
			field(key)
		}
	}
}

// Array reads an array and calls element for each; element must read it. A null has none.
func (r *Reader) Array(element func()) {
	if r.Null() {
		return
	}
	if !r.isArray() {
		return
	}
	for more := r.open(']'); more; more = r.next(']') {
		element()
	}
}

// ArrayNext reports whether an array is next, and consumes nothing.
func (r *Reader) ArrayNext() bool { return r.peek() == '[' }

// isArray reports whether an array is next, and otherwise the error.
func (r *Reader) isArray() bool {
	switch r.peek() {
	case '[':
		return true
	case '{':
		r.fail("Start of structure or map found where not expected")
	case 0:
		r.malformed()
	default:
		r.scalarInstead("Unexpected field type")
	}
	return false
}

// unexpectedValue reports something that is not an object where one should be.
func (r *Reader) unexpectedValue(class string) {
	switch r.peek() {
	case '[':
		r.fail("Unrecognized collection type class " + class)
	case 0:
		r.malformed()
	default:
		r.scalarInstead("Unexpected value type in payload")
	}
}

// scalarInstead fails with message if a well-formed scalar is next.
func (r *Reader) scalarInstead(message string) {
	if r.Skip(); r.err == nil {
		r.fail(message)
	}
}

// open consumes the opening bracket and reports whether there is a first element.
func (r *Reader) open(closing byte) bool {
	r.pos++
	return !r.take(closing) && r.alive()
}

// next consumes what follows an element and reports whether there is another one.
func (r *Reader) next(closing byte) bool {
	if r.take(',') {
		return r.alive()
	}
	if !r.take(closing) {
		r.malformed()
	}
	return false
}

// alive reports whether there is something left to read; the end of the text
// inside an object or array is an error.
func (r *Reader) alive() bool {
	if r.err == nil && r.peek() == 0 {
		r.malformed()
	}
	return r.err == nil
}

// key reads a member's name and the colon.
func (r *Reader) key() (string, bool) {
	if r.peek() != '"' {
		r.malformed()
		return "", false
	}
	k := r.text()
	if !r.take(':') {
		r.malformed()
	}
	return k, r.err == nil
}

// String reads a string; null is "".
func (r *Reader) String() string {
	if r.peek() == '"' {
		return r.text()
	}
	if !r.Null() {
		r.unexpected("String", "java.lang.String")
	}
	return ""
}

// Strings reads an object of strings, such as ExpressionAttributeNames; null is nil.
func (r *Reader) Strings() map[string]string {
	if r.Null() {
		return nil
	}
	m := map[string]string{}
	r.Object(func(key string) { m[key] = r.String() })
	return m
}

// Int reads an integer; null is 0. As on AWS, a fraction is cut off downwards.
func (r *Reader) Int() int64 {
	c := r.peek()
	if c == '-' || c >= '0' && c <= '9' {
		text := r.number()
		n, err := strconv.ParseInt(text, 10, 64)
		if err == nil {
			return n
		}
		f, err := strconv.ParseFloat(text, 64)
		if err == nil && math.Abs(f) < math.MaxInt64 {
			return int64(math.Floor(f))
		}
		if r.err == nil {
			r.fail("NUMBER_VALUE cannot be converted to Integer")
		}
		return 0
	}
	if !r.Null() {
		r.unexpected("Integer", "java.lang.Integer")
	}
	return 0
}

// Bool reads a boolean; null is false. AWS takes some strings for booleans too.
func (r *Reader) Bool() bool {
	switch r.peek() {
	case 't':
		r.literal("true")
		return r.err == nil
	case 'f':
		r.literal("false")
		return false
	case '"':
		switch strings.ToUpper(r.text()) {
		case "TRUE", "1", "YES":
			return r.err == nil
		case "FALSE", "0", "NO":
			return false
		}
		r.fail("Unexpected token received from parser")
		return false
	}
	if !r.Null() {
		r.unexpected("Boolean", "java.lang.Boolean")
	}
	return false
}

// Skip reads over one value of any kind.
func (r *Reader) Skip() { r.skip(0) }

func (r *Reader) skip(depth int) {
	if depth > maxDepth {
		r.malformed()
		return
	}
	switch c := r.peek(); {
	case c == '{':
		for more := r.open('}'); more; more = r.next('}') {
			r.key()
			r.skip(depth + 1)
		}
	case c == '[':
		for more := r.open(']'); more; more = r.next(']') {
			r.skip(depth + 1)
		}
	case c == '"':
		r.text()
	case c == 't':
		r.literal("true")
	case c == 'f':
		r.literal("false")
	case c == 'n':
		r.literal("null")
	default:
		r.number()
	}
}

// number reads a JSON number and returns its text.
func (r *Reader) number() string {
	start := r.pos
	digits := func() bool {
		first := r.pos
		for r.pos < len(r.src) && r.src[r.pos] >= '0' && r.src[r.pos] <= '9' {
			r.pos++
		}
		return r.pos > first
	}
	at := func(set string) bool {
		if r.pos < len(r.src) && strings.IndexByte(set, r.src[r.pos]) >= 0 {
			r.pos++
			return true
		}
		return false
	}
	at("-")
	ok := at("0") || digits()
	if ok && at(".") {
		ok = digits()
	}
	if ok && at("eE") {
		at("+-")
		ok = digits()
	}
	if !ok {
		r.malformed()
		return ""
	}
	return r.src[start:r.pos]
}

// text reads a JSON string, the opening quote being next. Strings without
// escapes, nearly all, are substrings of the source.
func (r *Reader) text() string {
	start := r.pos + 1
	ascii := true
	for i := start; i < len(r.src); i++ {
		switch c := r.src[i]; {
		case c == '"':
			s := r.src[start:i]
			if !ascii && !utf8.ValidString(s) {
				r.malformed()
				return ""
			}
			r.pos = i + 1
			return s
		case c == '\\':
			return r.escaped(start, i)
		case c < ' ':
			r.malformed()
			return ""
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	r.malformed()
	return ""
}

// escaped reads the rest of a string whose first escape is at position i.
func (r *Reader) escaped(start, i int) string {
	var b strings.Builder
	b.WriteString(r.src[start:i])
	for i < len(r.src) {
		c := r.src[i]
		switch {
		case c == '"':
			r.pos = i + 1
			if s := b.String(); utf8.ValidString(s) {
				return s
			}
			r.malformed()
			return ""
		case c < ' ':
			r.malformed()
			return ""
		case c != '\\':
			b.WriteByte(c)
			i++
			continue
		}
		if i+1 >= len(r.src) {
			break
		}
		i += 2
		if c = r.src[i-1]; c != 'u' {
			plain := strings.IndexByte(`"\/bfnrt`, c)
			if plain < 0 {
				break
			}
			b.WriteByte("\"\\/\b\f\n\r\t"[plain])
			continue
		}
		u, ok := r.hex4(i)
		if !ok {
			break
		}
		i += 4
		if utf16.IsSurrogate(u) {
			low, ok := rune(0), false
			if strings.HasPrefix(r.src[i:], `\u`) {
				low, ok = r.hex4(i + 2)
			}
			// A lone surrogate is not a character: it becomes U+FFFD.
			if u = utf16.DecodeRune(u, low); ok && u != utf8.RuneError {
				i += 6
			}
		}
		b.WriteRune(u)
	}
	r.malformed()
	return ""
}

func (r *Reader) hex4(i int) (rune, bool) {
	if i+4 > len(r.src) {
		return 0, false
	}
	n, err := strconv.ParseUint(r.src[i:i+4], 16, 32)
	return rune(n), err == nil
}
