package attr

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The binary form of an item, made to be read in place:
//
//	item   = count { name value }       names sorted
//	name   = length bytes
//	value  = tag content
//	S N B  = length bytes               N as its normalized text
//	BOOL   = 0 | 1
//	NULL   = (nothing)
//	M      = size item                  size in 4 bytes, so that it can be filled
//	L      = size count { value }       in afterwards and a reader can step over
//	sets   = size count { length bytes }
//
// tag is the Type; count and length are unsigned varints.

// errCorrupt is what is wrong with stored bytes that no AppendBinary wrote.
var errCorrupt = errors.New("corrupt binary item")

// AppendBinary appends the item's compact form for storage. Equal items have
// equal bytes: attributes are sorted by name, set members by value.
func (it Item) AppendBinary(dst []byte) []byte {
	var buf [16]string
	dst = binary.AppendUvarint(dst, uint64(len(it)))
	for _, name := range it.names(buf[:0]) {
		dst = appendBytes(dst, name)
		dst = it[name].appendBinary(dst)
	}
	return dst
}

func appendBytes(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func (v Value) appendBinary(dst []byte) []byte {
	dst = append(dst, byte(v.typ))
	switch v.typ {
	case S, N, B:
		return appendBytes(dst, v.str)
	case BOOL:
		if v.flag {
			return append(dst, 1)
		}
		return append(dst, 0)
	case NULL:
		return dst
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	switch v.typ {
	case M:
		dst = v.kids.m.AppendBinary(dst)
	case L:
		dst = binary.AppendUvarint(dst, uint64(len(v.kids.list)))
		for _, e := range v.kids.list {
			dst = e.appendBinary(dst)
		}
	default:
		dst = binary.AppendUvarint(dst, uint64(len(v.kids.set)))
		for _, m := range v.kids.set {
			dst = appendBytes(dst, m)
		}
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}

// DecodeBinary decodes what Item.AppendBinary wrote. data may be reused
// afterwards: the item's strings share one copy of it.
func DecodeBinary(data []byte) (Item, error) {
	c := cursor[string]{data: string(data)}
	it := c.item()
	return it, c.end()
}

// LookupBinary decodes one top-level attribute only, stepping over the others; ok
// is false when the item has none of that name.
func LookupBinary(data []byte, name string) (v Value, ok bool, err error) {
	c := cursor[[]byte]{data: data}
	for n := c.count(); n > 0 && !c.bad; n-- {
		if string(c.bytes()) != name {
			c.skip()
			continue
		}
		start := c.pos
		c.skip()
		if c.bad {
			break
		}
		one := cursor[string]{data: string(data[start:c.pos])}
		v = one.value()
		return v, true, one.end()
	}
	if c.bad {
		return Value{}, false, c.corrupt()
	}
	return Value{}, false, nil
}

// AppendBinaryJSON appends the typed JSON of an item in its binary form, the same
// bytes as decoding it and Item.AppendJSON, without making values.
func AppendBinaryJSON(dst, data []byte) ([]byte, error) {
	c := cursor[[]byte]{data: data}
	dst = c.itemJSON(dst)
	return dst, c.end()
}

// SizeBinary is Size of an item in its binary form, without decoding it.
func SizeBinary(data []byte) (int, error) {
	c := cursor[[]byte]{data: data}
	n, _ := c.itemSize()
	return n, c.end()
}

// cursor walks over the binary form, either of a string that decoded values may
// share or of the stored bytes themselves. Once bad, it yields zero values.
type cursor[T string | []byte] struct {
	data T
	pos  int
	bad  bool
}

func (c *cursor[T]) corrupt() error { return fmt.Errorf("%w: at byte %d", errCorrupt, c.pos) }

// end is the error of the whole walk: bytes left over are one too.
func (c *cursor[T]) end() error {
	if c.bad || c.pos != len(c.data) {
		return c.corrupt()
	}
	return nil
}

func (c *cursor[T]) byte() byte {
	if c.bad || c.pos >= len(c.data) {
		c.bad = true
		return 0
	}
	c.pos++
	return c.data[c.pos-1]
}

// count reads a varint that counts at least one byte each, so that corrupt data
// cannot ask for more memory than there is data.
func (c *cursor[T]) count() int {
	var n uint64
	for shift := 0; shift < 35; shift += 7 {
		b := c.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if n > uint64(len(c.data)-c.pos) {
				break
			}
			return int(n)
		}
	}
	c.bad = true
	return 0
}

func (c *cursor[T]) bytes() (b T) {
	n := c.count()
	if c.bad {
		return b
	}
	c.pos += n
	return c.data[c.pos-n : c.pos]
}

// tag reads a value's type and, of the nested ones, the size.
func (c *cursor[T]) tag() (t Type, size int) {
	t = Type(c.byte())
	if t == 0 || t > BS {
		c.bad = true
		return 0, 0
	}
	if t >= M {
		size = int(c.byte())<<24 | int(c.byte())<<16 | int(c.byte())<<8 | int(c.byte())
		if size > len(c.data)-c.pos {
			c.bad = true
		}
	}
	return t, size
}

func (c *cursor[T]) skip() {
	switch t, size := c.tag(); t {
	case S, N, B:
		c.bytes()
	case BOOL:
		c.byte()
	case NULL:
	default:
		if !c.bad {
			c.pos += size
		}
	}
}

func (c *cursor[T]) item() Item {
	n := c.count()
	it := make(Item, n)
	for ; n > 0 && !c.bad; n-- {
		name := string(c.bytes())
		it[name] = c.value()
	}
	return it
}

func (c *cursor[T]) value() Value {
	t, _ := c.tag()
	switch t {
	case S, N, B:
		return Value{typ: t, str: string(c.bytes())}
	case BOOL:
		return Bool(c.byte() != 0)
	case NULL:
		return Null()
	case M:
		return Map(c.item())
	case L:
		list := make([]Value, c.count())
		for i := range list {
			if c.bad {
				break
			}
			list[i] = c.value()
		}
		return List(list)
	case SS, NS, BS:
		set := make([]string, c.count())
		for i := range set {
			set[i] = string(c.bytes())
		}
		return Value{typ: t, kids: &children{set: set}}
	}
	return Value{}
}

func (c *cursor[T]) itemJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i, n := 0, c.count(); i < n && !c.bad; i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, c.bytes())
		dst = append(dst, ':')
		dst = c.valueJSON(dst)
	}
	return append(dst, '}')
}

func (c *cursor[T]) valueJSON(dst []byte) []byte {
	t, _ := c.tag()
	dst = appendType(dst, t)
	switch t {
	case S, N, B:
		dst = appendScalar(dst, t, c.bytes())
	case BOOL:
		dst = appendBool(dst, c.byte() != 0)
	case NULL:
		dst = appendBool(dst, true)
	case M:
		dst = c.itemJSON(dst)
	case L, SS, NS, BS:
		dst = append(dst, '[')
		for i, n := 0, c.count(); i < n && !c.bad; i++ {
			if i > 0 {
				dst = append(dst, ',')
			}
			if t == L {
				dst = c.valueJSON(dst)
			} else {
				dst = appendScalar(dst, t, c.bytes())
			}
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// itemSize is the size of an item and the number of its attributes.
func (c *cursor[T]) itemSize() (size, attributes int) {
	attributes = c.count()
	for i := 0; i < attributes && !c.bad; i++ {
		size += len(c.bytes())
		size += c.valueSize()
	}
	return size, attributes
}

func (c *cursor[T]) valueSize() int {
	t, _ := c.tag()
	switch t {
	case S, B:
		return len(c.bytes())
	case N:
		return numberSize(c.bytes())
	case BOOL:
		c.byte()
		return 1
	case NULL:
		return 1
	case M:
		size, n := c.itemSize()
		return 3 + n + size
	}
	size, n := 0, c.count()
	if t == L {
		size = 3 + n
	}
	for ; n > 0 && !c.bad; n-- {
		switch t {
		case L:
			size += c.valueSize()
		case NS:
			size += numberSize(c.bytes())
		default:
			size += len(c.bytes())
		}
	}
	return size
}
