package attr

// MaxItemSize is the largest Size of an item in bytes.
const MaxItemSize = 400 * 1024

// Size is the size of an item in bytes as DynamoDB counts it for the 400 KB limit
// and for capacity units.
func Size(it Item) int { return 0 }

// Size is the size of one value in bytes, without its attribute's name.
func (v Value) Size() int { return 0 }
