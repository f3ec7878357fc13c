package dynamodb

import (
	"strconv"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

// Capacity is counted in half units: an eventually consistent read of 4 KB is one half.
// Source: DynamoDB developer guide, "DynamoDB read and write operations".

// writeUnits is what writing an item of a size takes, in whole units: 1 for each KB, at least 1.
func writeUnits(size int) int64 { return int64(max(1, (size+1023)/1024)) }

// readHalves is what reading bytes takes, in half units: for each 4 KB 1 half, or 2 consistently.
func readHalves(size int, consistent bool) int64 {
	blocks := int64(max(1, (size+4095)/4096))
	if consistent {
		return 2 * blocks
	}
	return blocks
}

// spent is the capacity that one table gave to one request, in half units.
type spent struct {
	table   *table
	read    int64
	write   int64
	indexes map[string]int64 // of both, by name
}

// count adds what was spent to the meter.
func (s spent) count(operation string) {
	s.table.requests[operation].Add(1)
	s.table.reads.AddHalf(s.read)
	s.table.writes.AddHalf(s.write)
	for _, n := range s.indexes {
		if s.write > 0 {
			s.table.writes.AddHalf(n)
		} else {
			s.table.reads.AddHalf(n)
		}
	}
}

// appendCapacity appends a ConsumedCapacity object, as far as the request asked for it.
func (s spent) append(dst []byte, detail string) []byte {
	total := s.read + s.write
	for _, n := range s.indexes {
		total += n
	}
	dst = append(dst, `{"TableName":`...)
	dst = attr.AppendString(dst, s.table.Spec.TableName)
	dst = appendUnits(append(dst, `,"CapacityUnits":`...), total)
	if detail == "INDEXES" {
		dst = appendUnits(append(dst, `,"Table":{"CapacityUnits":`...), s.read+s.write)
		dst = append(dst, '}')
		for _, global := range []bool{false, true} {
			opened := false
			for _, ix := range s.table.indexes {
				n, ok := s.indexes[ix.name]
				if !ok || ix.global != global {
					continue
				}
				if !opened {
					name := `,"LocalSecondaryIndexes":{`
					if global {
						name = `,"GlobalSecondaryIndexes":{`
					}
					dst = append(dst, name...)
				} else {
					dst = append(dst, ',')
				}
				opened = true
				dst = attr.AppendString(dst, ix.name)
				dst = append(appendUnits(append(dst, `:{"CapacityUnits":`...), n), '}')
			}
			if opened {
				dst = append(dst, '}')
			}
		}
	}
	return append(dst, '}')
}

func appendUnits(dst []byte, halves int64) []byte {
	return strconv.AppendFloat(dst, float64(halves)/2, 'f', 1, 64)
}

// checkCapacityDetail checks ReturnConsumedCapacity.
func (q *request) checkCapacityDetail() error {
	switch q.ReturnCapacity {
	case "", "NONE", "TOTAL", "INDEXES":
		return nil
	}
	return invalid("1 validation error detected: Value '%s' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]", q.ReturnCapacity)
}

func (q *request) wantsCapacity() bool {
	return q.ReturnCapacity == "TOTAL" || q.ReturnCapacity == "INDEXES"
}
