package remote

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// request is what is to be known of a request on items.
type request struct {
	TableName              string
	TransactItems          []map[string]struct{ TableName string }
	RequestItems           map[string]json.RawMessage
	ReturnConsumedCapacity *string
	valid                  bool
}

func readRequest(body []byte) (q request) {
	q.valid = json.Unmarshal(body, &q) == nil // else it is for the engine to refuse
	return q
}

// tables names the request's tables, each once.
func (q *request) tables() []string {
	names := map[string]bool{}
	if q.TableName != "" {
		names[q.TableName] = true
	}
	for _, action := range q.TransactItems {
		for _, a := range action {
			names[a.TableName] = true
		}
	}
	for table := range q.RequestItems {
		names[table] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func (q *request) wantsCapacity() bool {
	return !q.valid || q.ReturnConsumedCapacity != nil && *q.ReturnConsumedCapacity != "NONE"
}

// withCapacity is the request that asks for the capacity which it takes.
func (q *request) withCapacity(body []byte) []byte {
	const member = `"ReturnConsumedCapacity":"TOTAL"`
	switch {
	case q.wantsCapacity():
		return body
	case q.ReturnConsumedCapacity != nil:
		var all map[string]json.RawMessage
		if json.Unmarshal(body, &all) != nil {
			return body
		}
		all["ReturnConsumedCapacity"] = json.RawMessage(`"TOTAL"`)
		return encode(all)
	}
	open := bytes.IndexByte(body, '{') + 1
	if open == 0 {
		return body // null
	}
	asking := make([]byte, 0, len(body)+len(member)+1)
	asking = append(append(asking, body[:open]...), member...)
	if rest := bytes.TrimLeft(body[open:], " \t\r\n"); len(rest) > 0 && rest[0] != '}' {
		asking = append(asking, ',')
	}
	return append(asking, body[open:]...)
}

// consumed is the capacity that a request took of one table and its indexes.
type consumed struct {
	TableName     string
	CapacityUnits float64
}

// splitCapacity reads the capacity out of an answer, and takes it away if it was not asked for.
func splitCapacity(answer []byte, away bool) (all []consumed, rest []byte) {
	var members map[string]json.RawMessage
	if json.Unmarshal(answer, &members) != nil {
		return nil, answer
	}
	told := members["ConsumedCapacity"]
	var one consumed
	if json.Unmarshal(told, &all) != nil && json.Unmarshal(told, &one) == nil {
		all = []consumed{one}
	}
	if !away || told == nil {
		return all, answer
	}
	delete(members, "ConsumedCapacity")
	return all, encode(members)
}

// encode writes what was decoded, strings as they were.
func encode(members map[string]json.RawMessage) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(members) // it was valid JSON
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
