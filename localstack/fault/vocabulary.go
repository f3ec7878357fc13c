package fault

import (
	"maps"
	"slices"
	"strings"
)

// Points are where faults happen.
const (
	tables      = "dynamodb"    // a request to DynamoDB or its streams
	invocations = "invoke"      // an invocation of a function, whoever makes it
	batches     = "batch"       // an invocation by an event source mapping
	connections = "connections" // a request to the @connections API
	replies     = "reply"       // a route's answer on its way to the client
	disconnects = "disconnect"  // a $disconnect event on its way to its function
	sockets     = "socket"      // a write to a client
	now         = "now"         // the instant at which the rule is set, or its from=
)

// act is what is done to an event.
type act string

// What is done, and what its caller is told:
//
//	          done               told
//	error     no                 an error
//	lose      yes                an error, or nothing at all
//	drop      no                 success
//	repeat    twice, or in part  the last answer
//	kill      no, or yes         nothing: the calling function ends here
//	cut       -                  the socket ends without a close frame
//	backup    all tables are remembered
//	restore   all tables go back to the last backup, or are empty; sockets are cut
//	delay     later              later
//	hold      at once            later
//
// delay and hold stand alone or beside one of the others.
const (
	fail     act = "error"
	lose     act = "lose"
	drop     act = "drop"
	repeat   act = "repeat"
	kill     act = "kill"
	cut      act = "cut"
	backup   act = "backup"
	restore  act = "restore"
	delaying act = "delay"
	holding  act = "hold"
)

// point says what a rule for it may be made of.
type point struct {
	operations []string // it has; nil asks Names
	of         string   // what Names calls its operations: function or route
	filters    []string
	acts       []act
	errors     []string // of error= and lose=
}

// half is what repeat may be limited to: the batch again from its middle.
const half = "half"

// Sides of a call at which kill ends the function that makes it.
const (
	before = "before"
	after  = "after"
)

// points is the whole vocabulary. It is never changed.
var points = map[string]point{
	tables: {
		operations: []string{
			"BatchGetItem", "BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "TransactGetItems", "TransactWriteItems",
			"UpdateItem", "DescribeStream", "GetRecords", "GetShardIterator", "ListStreams",
		},
		filters: []string{"table", "function"},
		acts:    []act{fail, lose, kill, delaying, holding},
		errors:  slices.Sorted(maps.Keys(tableErrors)),
	},
	invocations: {
		of:     "function",
		acts:   []act{fail, lose, repeat, delaying, holding},
		errors: invokeErrors,
	},
	batches: {
		of:     "function",
		acts:   []act{fail, lose, repeat, delaying, holding},
		errors: invokeErrors,
	},
	connections: {
		operations: []string{"POST", "GET", "DELETE"},
		filters:    []string{"user", "function"},
		acts:       []act{fail, lose, drop, repeat, kill, delaying, holding},
		errors:     slices.Sorted(maps.Keys(connectionErrors)),
	},
	replies:     {of: "route", filters: []string{"user"}, acts: []act{drop, delaying}},
	disconnects: {filters: []string{"user"}, acts: []act{drop, delaying}},
	sockets:     {filters: []string{"user"}, acts: []act{cut, delaying}},
	now:         {filters: []string{"user"}, acts: []act{cut, backup, restore}},
}

// Names are what rules may name of a stack. A list that is nil is not checked.
type Names struct{ Functions, Tables, Routes []string }

// of lists the names of a kind.
func (n Names) of(kind string) []string {
	switch kind {
	case "function":
		return n.Functions
	case "table":
		return n.Tables
	case "route":
		return n.Routes
	}
	return nil
}

// resolve finds a name by itself, or by what a stack's prefix leaves of it: MessagesTable is
// duet-MessagesTable.
func (n Names) resolve(kind, value string) (string, bool) {
	list := n.of(kind)
	if list == nil || slices.Contains(list, value) || kind == "function" && value == owner {
		return value, true
	}
	if first, rest, several := strings.Cut(value, "+"); several {
		first, known := n.resolve(kind, first)
		rest, alsoKnown := n.resolve(kind, rest)
		return first + "+" + rest, known && alsoKnown
	}
	if i := slices.IndexFunc(list, func(name string) bool { return strings.HasSuffix(name, "-"+value) }); i >= 0 {
		return list[i], true
	}
	return "", false
}
