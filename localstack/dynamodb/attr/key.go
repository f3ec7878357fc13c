package attr

// AppendKey appends v, an S, N or B, so that bytes.Compare of encodings is Compare
// of values of one type, also when more is appended behind. It panics on any other type.
func AppendKey(dst []byte, v Value) []byte { return dst }

// AppendKeyPrefix appends what the encodings of all S or B that begin with v begin with.
func AppendKeyPrefix(dst []byte, v Value) []byte { return dst }

// DecodeKey decodes one value that AppendKey wrote and returns what follows it.
func DecodeKey(src []byte) (v Value, rest []byte, err error) { return Value{}, nil, nil }
