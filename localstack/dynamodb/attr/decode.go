package attr

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// MaxNesting is how deep values nest: a scalar attribute is one level, a list of
// scalars two ("Service quotas", nested attribute depth).
const MaxNesting = 32

// AWS's texts for attribute values that it does not take, as observed on the
// service.
const (
	textEmptyValue    = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
	textManyTypes     = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
	textNesting       = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
	textEmptyName     = "Empty attribute name"
	textNullFalse     = "One or more parameter values were invalid: Null attribute value types must have the value of true"
	textEmptySS       = "One or more parameter values were invalid: An string set  may not be empty"
	textEmptyNS       = "One or more parameter values were invalid: An number set  may not be empty"
	textEmptyBS       = "One or more parameter values were invalid: Binary sets should not be empty"
	textNullMember    = "One or more parameter values were invalid: An string set may not have a null string as a member"
	textRepeatedSS    = "One or more parameter values were invalid: Input collection [%s] contains duplicates."
	textRepeatedNS    = "Input collection contains duplicates"
	textRepeatedBS    = "One or more parameter values were invalid: Input collection [%s]of type BS contains duplicates."
	textBlobType      = "only base-64-encoded strings are convertible to bytes"
	textBlobLength    = "Base64 encoded length is expected a multiple of 4 bytes but found: "
	textBlobCharacter = "Invalid last non-pad Base64 character dectected"
)

// The Java names that AWS lets out when it finds an array in the wrong place.
const (
	classValue  = "com.amazonaws.dynamodb.v20120810.AttributeValue"
	classValues = "Unrecognized collection type java.util.Map<java.lang.String, " + classValue + ">"
)

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

// Item reads an object of typed attribute values. A null is a nil Item, which is
// how a request without that member looks too.
func (r *Reader) Item() Item {
	if r.Null() {
		return nil
	}
	return r.values(1)
}

// ExpressionValues reads a request's ExpressionAttributeValues, about whose values
// AWS complains with their keys.
func (r *Reader) ExpressionValues() Item {
	if r.Null() {
		return nil
	}
	earlier := r.invalid
	values := Item{}
	r.Object(func(key string) {
		r.invalid = nil
		values[key] = r.value(1)
		if r.invalid != nil && earlier == nil {
			earlier = Invalid("ExpressionAttributeValues contains invalid value: %s for key %s", r.invalid.Message, key)
		}
	})
	r.invalid = earlier
	return values
}

// Value reads one typed attribute value, such as {"S":"x"}.
func (r *Reader) Value() Value { return r.value(1) }

// values reads the content of an item or a map; its values are at level depth.
func (r *Reader) values(depth int) Item {
	switch r.peek() {
	case '{':
	case '[':
		r.fail(classValues)
		return nil
	case 0:
		r.malformed()
		return nil
	default:
		r.scalarInstead("Unexpected field type")
		return nil
	}
	// Collected first, so that the map is made once and in the right size.
	var buf [12]attribute
	attributes := buf[:0]
	for more := r.open('}'); more; more = r.next('}') {
		name, ok := r.key()
		if !ok {
			return nil
		}
		if name == "" {
			r.reject(Invalid(textEmptyName))
		}
		attributes = append(attributes, attribute{name, r.value(depth)})
	}
	it := make(Item, len(attributes))
	for _, a := range attributes {
		it[a.name] = a.value
	}
	return it
}

type attribute struct {
	name  string
	value Value
}

// value reads {"TYPE": content}. Members that are null or not a type's descriptor
// do not count.
func (r *Reader) value(depth int) Value {
	if r.Null() {
		r.reject(Invalid(textEmptyValue))
		return Value{}
	}
	if r.peek() != '{' {
		r.unexpectedValue(classValue)
		return Value{}
	}
	var v Value
	types := 0
	for more := r.open('}'); more; more = r.next('}') {
		name, ok := r.key()
		if !ok {
			return Value{}
		}
		t, known := ParseType(name)
		switch {
		case !known:
			r.Skip()
		case r.Null():
		default:
			types++
			v = r.content(t, depth)
		}
	}
	switch {
	case types == 0:
		r.reject(Invalid(textEmptyValue))
	case types > 1:
		r.reject(Invalid(textManyTypes))
	}
	return v
}

// content reads what follows a type's descriptor.
func (r *Reader) content(t Type, depth int) Value {
	if depth > MaxNesting {
		r.reject(Invalid(textNesting))
		r.Skip()
		return Value{}
	}
	switch t {
	case S:
		return Value{typ: S, str: r.String()}
	case N:
		return Value{typ: N, str: r.decimal()}
	case B:
		return Value{typ: B, str: r.blob()}
	case BOOL:
		return Bool(r.Bool())
	case NULL:
		if !r.Bool() {
			r.reject(Invalid(textNullFalse))
		}
		return Null()
	case M:
		return Map(r.values(depth + 1))
	case L:
		list := []Value{}
		r.Array(func() { list = append(list, r.value(depth+1)) })
		return List(list)
	case SS:
		return r.set(t, textEmptySS, r.String)
	case NS:
		return r.set(t, textEmptyNS, r.decimal)
	}
	return r.set(t, textEmptyBS, r.blob)
}

// decimal reads a number, which is a JSON string, and normalizes it.
func (r *Reader) decimal() string {
	text := r.String()
	if r.err != nil {
		return ""
	}
	norm, err := normalize(text)
	if err != nil {
		r.reject(err)
		return "0"
	}
	return norm
}

// blob reads base64 text and returns the bytes.
func (r *Reader) blob() string {
	switch r.peek() {
	case '"':
	case '{', '[':
		r.unexpected("", "java.nio.ByteBuffer")
		return ""
	default:
		r.scalarInstead(textBlobType)
		return ""
	}
	text := r.text()
	switch raw, err := base64.StdEncoding.Strict().DecodeString(text); {
	case r.err != nil:
		return ""
	case len(text)%4 != 0:
		r.fail(textBlobLength + strconv.Itoa(len(text)))
		return ""
	case err != nil || strings.ContainsAny(text, "\r\n"): // which the decoder would skip
		r.fail(textBlobCharacter)
		return ""
	default:
		return string(raw)
	}
}

// set reads the members of a set of type t by member.
func (r *Reader) set(t Type, textEmpty string, member func() string) Value {
	members := []string{}
	r.Array(func() {
		if r.Null() {
			r.reject(Invalid(textNullMember))
			return
		}
		members = append(members, member())
	})
	if r.err != nil {
		return Value{}
	}
	if len(members) == 0 {
		r.reject(Invalid("%s", textEmpty))
	}
	v := newSet(t, slices.Clone(members))
	if len(v.kids.set) != len(members) {
		r.reject(repeated(t, members))
	}
	return v
}

// repeated is AWS's error for a set with a repeated member.
func repeated(t Type, members []string) *Error {
	switch t {
	case NS:
		return Invalid(textRepeatedNS)
	case BS:
		for i, m := range members {
			members[i] = base64.StdEncoding.EncodeToString([]byte(m))
		}
		return Invalid(textRepeatedBS, strings.Join(members, ", "))
	}
	return Invalid(textRepeatedSS, strings.Join(members, ", "))
}
