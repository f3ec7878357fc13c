package dynamodb

import (
	"strconv"
	"sync"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/meter"
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

// spent is the capacity that one table gave to one request, in half units. A request reads or
// writes, never both.
type spent struct {
	table    *table
	read     int64
	write    int64
	indexes  map[string]int64 // of both, by name
	transact bool             // answers tell of a transaction whether it read or wrote
}

// of returns the entry of a table in the costs of a request, made if there is none.
func of(costs *[]spent, t *table) *spent {
	for i := range *costs {
		if (*costs)[i].table == t {
			return &(*costs)[i]
		}
	}
	*costs = append(*costs, spent{table: t})
	return &(*costs)[len(*costs)-1]
}

// writesSpent is what a request's writes take of each table: those of a transaction count twice, for
// preparing and for committing. Source: DynamoDB developer guide, "Amazon DynamoDB Transactions: How
// it works". changes are those writes that have been made.
func writesSpent(writes []*write, changes []change, transact bool) []spent {
	factor := int64(1)
	if transact {
		factor = 2
	}
	var all []spent
	for _, w := range writes {
		s := of(&all, w.table)
		s.write += factor * 2 * w.units()
		s.transact = transact
	}
	for i := range changes {
		s := of(&all, changes[i].table)
		for name, n := range changes[i].indexes {
			if s.indexes == nil {
				s.indexes = map[string]int64{}
			}
			s.indexes[name] += factor * n
		}
	}
	return all
}

// count adds what a request spent to the meter.
func (s spent) count(q *request, operation string) {
	read, write := s.read, s.write
	for _, n := range s.indexes {
		if s.write > 0 {
			write += n
		} else {
			read += n
		}
	}
	s.table.requests[operation].Add(1)
	s.table.reads.AddHalf(read)
	s.table.writes.AddHalf(write)
	if q.caller != "" {
		by := s.table.countersOf(q.caller)
		by.requests.Add(1)
		by.reads.AddHalf(read)
		by.writes.AddHalf(write)
	}
}

// callers are the counters of what functions do with a table, by function.
type callers struct {
	meter *meter.Meter
	by    sync.Map // string → *callerCounters
}

type callerCounters struct{ requests, reads, writes *meter.Counter }

// countersOf costs some 20 ns, but for a function's first request.
func (t *table) countersOf(function string) *callerCounters {
	if c, ok := t.callers.by.Load(function); ok {
		return c.(*callerCounters)
	}
	of := func(metric string) *meter.Counter {
		return t.callers.meter.Counter("dynamodb_by_function", function, metric+"."+t.Spec.TableName)
	}
	c, _ := t.callers.by.LoadOrStore(function, &callerCounters{of("requests"), of("read_units"), of("write_units")})
	return c.(*callerCounters)
}

// append appends a ConsumedCapacity object, as far as the request asked for it.
func (s spent) append(dst []byte, detail string) []byte {
	total := s.read + s.write
	for _, n := range s.indexes {
		total += n
	}
	dst = append(dst, `{"TableName":`...)
	dst = attr.AppendString(dst, s.table.Spec.TableName)
	dst = s.appendUnits(append(dst, ','), total)
	if detail == "INDEXES" {
		dst = s.appendUnits(append(dst, `,"Table":{`...), s.read+s.write)
		dst = append(dst, '}')
		dst = s.appendIndexes(dst, `,"LocalSecondaryIndexes":{`, false)
		dst = s.appendIndexes(dst, `,"GlobalSecondaryIndexes":{`, true)
	}
	return append(dst, '}')
}

func (s spent) appendIndexes(dst []byte, member string, global bool) []byte {
	opened := false
	for _, ix := range s.table.indexes {
		n, ok := s.indexes[ix.name]
		if !ok || ix.global != global {
			continue
		}
		if opened {
			dst = append(dst, ',')
		} else {
			dst = append(dst, member...)
		}
		opened = true
		dst = attr.AppendString(dst, ix.name)
		dst = append(s.appendUnits(append(dst, `:{`...), n), '}')
	}
	if opened {
		dst = append(dst, '}')
	}
	return dst
}

// appendUnits appends the members that tell a number of half units.
func (s spent) appendUnits(dst []byte, halves int64) []byte {
	dst = appendHalves(append(dst, `"CapacityUnits":`...), halves)
	if !s.transact {
		return dst
	}
	if s.read > 0 {
		return appendHalves(append(dst, `,"ReadCapacityUnits":`...), halves)
	}
	return appendHalves(append(dst, `,"WriteCapacityUnits":`...), halves)
}

func appendHalves(dst []byte, halves int64) []byte {
	return strconv.AppendFloat(dst, float64(halves)/2, 'f', 1, 64)
}

// appendCosts appends the capacities of several tables behind a separator, if the request asked for them.
func appendCosts(dst []byte, separator string, q *request, costs []spent) []byte {
	if !q.wantsCapacity() {
		return dst
	}
	dst = append(append(dst, separator...), `"ConsumedCapacity":[`...)
	for i, c := range costs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = c.append(dst, q.ReturnCapacity)
	}
	return append(dst, ']')
}

func (q *request) wantsCapacity() bool {
	return q.ReturnCapacity == "TOTAL" || q.ReturnCapacity == "INDEXES"
}
