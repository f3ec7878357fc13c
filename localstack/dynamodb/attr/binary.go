package attr

// AppendBinary appends the item's compact form for storage. Equal items have
// equal bytes: attributes are sorted by name, set members by value.
func (it Item) AppendBinary(dst []byte) []byte { return dst }

// DecodeBinary decodes what Item.AppendBinary wrote. data may be reused afterwards.
func DecodeBinary(data []byte) (Item, error) { return nil, nil }

// LookupBinary decodes one attribute only; ok is false when the item has none of
// that name. The name can be a top-level one only.
func LookupBinary(data []byte, name string) (v Value, ok bool, err error) { return Value{}, false, nil }

// AppendBinaryJSON appends the typed JSON of an item in its binary form, the same
// bytes as decoding it and Item.AppendJSON, without making values.
func AppendBinaryJSON(dst, data []byte) ([]byte, error) { return dst, nil }

// SizeBinary is Size of an item in its binary form, without decoding it.
func SizeBinary(data []byte) (int, error) { return 0, nil }
