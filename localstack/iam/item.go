package iam

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// itemRequest is a request about items, or one entry of it, read for the keys that conditions name.
// Nothing of it is read before a condition asks.
// Source: DynamoDB developer guide, "Using IAM policy conditions for fine-grained access control".
type itemRequest struct {
	operation string            // as in GetItem; "" for a request about something else
	keys      map[string]string // see Policies.PartitionKeys
	enclosing string            // of an entry of a transaction
	table     string            // its name or ARN; of a query of an index TABLE/index/INDEX
	in        gjson.Result      // where the entry stands; nothing if it is the whole request
	whole     []byte
}

// value is what the request has for a context key.
func (q *itemRequest) value(key string) []string {
	if q.operation == "" {
		return nil
	}
	if !q.in.Exists() {
		q.in = gjson.ParseBytes(q.whole)
	}
	switch key {
	case "dynamodb:leadingkeys":
		return q.leadingKeys()
	case "dynamodb:attributes":
		return q.attributes()
	case "dynamodb:select":
		return q.selected()
	case "dynamodb:returnvalues":
		if q.operation == "PutItem" || q.operation == "UpdateItem" || q.operation == "DeleteItem" {
			return []string{orElse(q.in.Get("ReturnValues").String(), "NONE")}
		}
	case "dynamodb:returnconsumedcapacity":
		return []string{orElse(gjson.GetBytes(q.whole, "ReturnConsumedCapacity").String(), "NONE")}
	case "dynamodb:enclosingoperation":
		if q.enclosing != "" {
			return []string{q.enclosing}
		}
	}
	return nil
}

func orElse(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// items are the items and keys in the request.
func (q *itemRequest) items() []gjson.Result {
	switch q.operation {
	case "BatchGetItem":
		return q.in.Get("Keys").Array()
	case "BatchWriteItem":
		var all []gjson.Result
		for _, entry := range q.in.Array() {
			for _, path := range []string{"PutRequest.Item", "DeleteRequest.Key"} {
				if item := entry.Get(path); item.Exists() {
					all = append(all, item)
				}
			}
		}
		return all
	}
	var all []gjson.Result
	for _, name := range []string{"Key", "Item"} {
		if item := q.in.Get(name); item.Exists() {
			all = append(all, item)
		}
	}
	return all
}

// leadingKeys are the values of partition keys in the request. Of a table that is not the template's all
// keys are, so that none is overlooked. A scan has none.
func (q *itemRequest) leadingKeys() []string {
	table := q.table
	if _, after, ok := strings.Cut(table, ":table/"); ok {
		table = after
	}
	name := q.keys[table]
	var found []string
	add := func(value gjson.Result) {
		value.ForEach(func(_, v gjson.Result) bool { // {"S": "…"}; bytes are compared as base64
			found = append(found, v.String())
			return true
		})
	}
	for _, item := range q.items() {
		item.ForEach(func(attribute, value gjson.Result) bool {
			if attribute.String() == name || name == "" {
				add(value)
			}
			return true
		})
	}
	tokens := q.tokens("KeyConditionExpression")
	for i := 1; i+1 < len(tokens); i++ {
		if tokens[i] != "=" {
			continue
		}
		attribute, value := tokens[i-1], tokens[i+1]
		if attribute[0] == ':' {
			attribute, value = value, attribute
		}
		if q.name(attribute) == name || name == "" {
			add(q.in.Get("ExpressionAttributeValues").Map()[value])
		}
	}
	return found
}

// attributes are the top-level attributes that the request names: in keys, items and expressions.
func (q *itemRequest) attributes() []string {
	found := map[string]bool{}
	for _, item := range q.items() {
		item.ForEach(func(attribute, _ gjson.Result) bool {
			found[attribute.String()] = true
			return true
		})
	}
	for _, expression := range []string{"ProjectionExpression", "KeyConditionExpression", "FilterExpression", "ConditionExpression", "UpdateExpression"} {
		tokens := q.tokens(expression)
		for i, token := range tokens {
			switch {
			case !isName(token) && token[0] != '#':
			case slices.Contains(keywords, strings.ToUpper(token)):
			case i > 0 && tokens[i-1] == ".": // of a map within an attribute
			case i+1 < len(tokens) && tokens[i+1] == "(": // a function
			default:
				found[q.name(token)] = true
			}
		}
	}
	all := make([]string, 0, len(found))
	for name := range found {
		all = append(all, name)
	}
	return all
}

// keywords stand in expressions and are reserved, so no attribute is named so without a placeholder.
var keywords = []string{"SET", "REMOVE", "ADD", "DELETE", "AND", "OR", "NOT", "BETWEEN", "IN"}

// selected is what a read asks for, said or implied.
// Source: DynamoDB API reference, Query, Select.
func (q *itemRequest) selected() []string {
	switch q.operation {
	case "GetItem", "BatchGetItem", "Query", "Scan":
	default:
		return nil
	}
	implied := "ALL_ATTRIBUTES"
	switch {
	case q.in.Get("ProjectionExpression").Exists():
		implied = "SPECIFIC_ATTRIBUTES"
	case strings.Contains(q.table, "/index/"):
		implied = "ALL_PROJECTED_ATTRIBUTES"
	}
	return []string{orElse(q.in.Get("Select").String(), implied)}
}

// name is the attribute that a token stands for.
func (q *itemRequest) name(token string) string {
	if token[0] == '#' {
		return q.in.Get("ExpressionAttributeNames").Map()[token].String()
	}
	return token
}

// tokens are an expression's names, placeholders and signs.
func (q *itemRequest) tokens(expression string) []string {
	text := q.in.Get(expression).String()
	var tokens []string
	for i := 0; i < len(text); {
		j := i + 1
		if isName(text[i:j]) || text[i] == '#' || text[i] == ':' {
			for j < len(text) && (isName(text[j:j+1]) || text[j] >= '0' && text[j] <= '9') {
				j++
			}
		}
		if token := strings.TrimSpace(text[i:j]); token != "" {
			tokens = append(tokens, token)
		}
		i = j
	}
	return tokens
}

// isName tells whether a token begins as an attribute's name.
func isName(token string) bool {
	c := token[0] | 0x20
	return c >= 'a' && c <= 'z' || token[0] == '_'
}
