package attr

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

// NewReader reads body, which it copies.
func NewReader(body []byte) *Reader { return &Reader{src: string(body)} }

// Err is the first SerializationException, or nil.
func (r *Reader) Err() error { return nil }

// Invalid is the first ValidationException of an attribute value, or nil.
func (r *Reader) Invalid() error { return nil }

// End reports an error unless only white space is left.
func (r *Reader) End() {}

// Null reports whether the next value is null, and consumes it if so.
func (r *Reader) Null() bool { return false }

// Object reads an object and calls field for each member; field must read the
// member's value (Skip, if it does not care). A null has no members.
func (r *Reader) Object(field func(key string)) {}

// Array reads an array and calls element for each; element must read it. A null has none.
func (r *Reader) Array(element func()) {}

// String reads a string; null is "".
func (r *Reader) String() string { return "" }

// Int reads an integer; null is 0.
func (r *Reader) Int() int64 { return 0 }

// Bool reads a boolean; null is false.
func (r *Reader) Bool() bool { return false }

// Skip reads over one value of any kind.
func (r *Reader) Skip() {}

// Value reads one typed attribute value, such as {"S":"x"}.
func (r *Reader) Value() Value { return Value{} }

// Item reads an object of typed attribute values.
func (r *Reader) Item() Item { return nil }

// DecodeItem decodes one item in typed JSON.
func DecodeItem(data []byte) (Item, error) {
	r := NewReader(data)
	it := r.Item()
	r.End()
	if err := r.Err(); err != nil {
		return nil, err
	}
	return it, r.Invalid()
}

// DecodeValue decodes one attribute value in typed JSON.
func DecodeValue(data []byte) (Value, error) {
	r := NewReader(data)
	v := r.Value()
	r.End()
	if err := r.Err(); err != nil {
		return Value{}, err
	}
	return v, r.Invalid()
}

// AppendJSON appends the item in typed JSON, attributes sorted by name.
func (it Item) AppendJSON(dst []byte) []byte { return dst }

// AppendJSON appends the value in typed JSON.
func (v Value) AppendJSON(dst []byte) []byte { return dst }

// AppendString appends s as a JSON string.
func AppendString(dst []byte, s string) []byte { return dst }
