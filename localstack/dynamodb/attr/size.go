package attr

// MaxItemSize is the largest Size of an item in bytes.
const MaxItemSize = 400 * 1024

// Size is the size of an item in bytes as DynamoDB counts it for the 400 KB limit
// and for capacity units ("DynamoDB item sizes and formats"): names and values.
func Size(it Item) int {
	n := 0
	for name, v := range it {
		n += len(name) + v.Size()
	}
	return n
}

// Size is the size of one value in bytes, without its attribute's name: strings
// and binaries by length, BOOL and NULL one byte, maps and lists three bytes and
// one more for each element, sets the sum of their members.
func (v Value) Size() int {
	switch v.typ {
	case S, B:
		return len(v.str)
	case N:
		return numberSize(v.str)
	case BOOL, NULL:
		return 1
	case M:
		return 3 + len(v.kids.m) + Size(v.kids.m)
	case L:
		n := 3 + len(v.kids.list)
		for _, e := range v.kids.list {
			n += e.Size()
		}
		return n
	case SS, BS:
		n := 0
		for _, m := range v.kids.set {
			n += len(m)
		}
		return n
	case NS:
		n := 0
		for _, m := range v.kids.set {
			n += numberSize(m)
		}
		return n
	}
	return 0
}

// numberSize is one byte, one for each two significant digits (which are counted
// in pairs from the decimal point) and one for a minus sign. AWS documents it as
// approximate; the pairing is how independent emulators measured it.
func numberSize[T string | []byte](norm T) int {
	first, last, point, neg := -1, -1, -1, 0
	digits := 0 // digits before position i, not counting sign and point
	for i := range len(norm) {
		switch c := norm[i]; c {
		case '-':
			neg = 1
		case '.':
			point = digits
		default:
			if c != '0' {
				if first < 0 {
					first = digits
				}
				last = digits
			}
			digits++
		}
	}
	if first < 0 {
		return 1
	}
	if point < 0 {
		point = digits
	}
	// Pairs are aligned at the decimal point: shift positions so that it is even.
	first, last = first+point%2, last+point%2
	return 1 + last/2 - first/2 + 1 + neg
}
