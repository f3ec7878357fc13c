package differential

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// wording is a refusal that DynamoDB Local gives in its own words, as a pair of patterns for the whole
// text: where its answer matches local, the embedded engine's has to match aws, with the same type. If
// both patterns have a group, both texts have to agree there.
type wording struct {
	local, aws string
	source     string
	anyType    bool // the types of the errors differ too
}

const (
	dynalite = "observed on AWS by dynalite's tests"
	apiModel = "constraints of the API's model, as AWS's front end reports them"
	hashMap  = "the same list; DynamoDB Local gives it in the order of a hash table"
)

// indexType is a wording's place that is needed elsewhere.
const indexType = 0

// wordings are all texts that may differ.
var wordings = []wording{
	indexType: {`One or more parameter values were invalid: Type mismatch for Index Key|Invalid attribute value type`,
		`One or more parameter values were invalid: Type mismatch for Index Key \w+ Expected: [SNB] Actual: \w+ IndexName: \w+`, dynalite, false},
	{`BatchGetItem must have some requests set|BatchWriteItem cannot have a null or no requests set`,
		`1 validation error detected: Value '\{\}' at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1`, dynalite, false},
	{`Consistent read cannot be true when (?:querying|scanning) a GSI`, `Consistent reads are not supported on global secondary indexes`, dynalite, false},
	{`Consistent read cannot be true when scanning a GSI`, `Invalid \w+: .*|.*: Select type ALL_ATTRIBUTES is not supported .*`, "seen before the expressions here, after them in a Query", false},
	{`(Invalid ProjectionExpression): Two document paths .*`, `(Invalid ProjectionExpression): An expression attribute name used in .* is not defined; .*`, "of several wrong paths another one is told", false},
	{`.*: Global secondary index \w+ does not project .*`, `.*: Secondary index \w+ does not project one or more filter attributes: .*`, "both are so; a Scan looks at the projection first", false},
	{`Query condition missed key schema element`, `Query condition missed key schema element: \w+`, dynalite, false},
	{`(Invalid \w+: The BETWEEN operator requires [^;]*); .*`, `(Invalid \w+: The BETWEEN operator requires [^;]*); .*`,
		"numbers are told as they were written, and binary values as Java objects", false},
	{`(Invalid \w+: Two document paths) (?:overlap|conflict) with each other; must remove or rewrite one of these paths; .*`,
		`(Invalid \w+: Two document paths) (?:overlap|conflict) with each other; must remove or rewrite one of these paths; .*`,
		"of three paths or more it may tell two that do not overlap", false},
	{`Invalid UpdateExpression: (?:Incorrect operand type for operator or function; operator: (?:ADD|DELETE), operand type: .*|An expression attribute (?:value|name) used in .* is not defined; .*|Two document paths .*)`,
		`Invalid UpdateExpression: (?:Incorrect operand type for operator or function; operator: (?:ADD|DELETE), operand type: .*|An expression attribute (?:value|name) used in .* is not defined; .*|Two document paths .*)`,
		"of several wrong operands another one is told: DynamoDB Local looks at DELETE first; the order is not documented", false},
	{`Key attributes must be scalars; .*`, `Filter Expression can only contain non-primary key attributes: Primary key attribute: \w+`, dynalite, false},
	{`Provided list of item keys contains duplicates`, `Invalid ProjectionExpression: .*`, dynalite, false},
	{`Invalid (\w+): Syntax error; token: .*, near: ":\w+.*`, `Invalid (\w+): Syntax error; token: ":\w+", near: "\. :.*`, "a value behind a dot is let pass at first", false},
	{`DynamoDB only supports precision up to 38 digits`, `Attempting to store more than 38 significant digits in a Number`, dynalite, false},
	{`A value provided cannot be converted into a number`, `The parameter cannot be converted to a numeric value(?:: .*)?`, dynalite, false},
}

func (w wording) same(local, aws string) bool {
	one, two := whole(w.local).FindStringSubmatch(local), whole(w.aws).FindStringSubmatch(aws)
	return one != nil && two != nil && (len(one) < 2 || len(two) < 2 || one[1] == two[1])
}

func whole(pattern string) *regexp.Regexp { return regexp.MustCompile(`^(?s:` + pattern + `)$`) }

// runtime are the refusals of an update that the item does not allow. Of several that one update
// deserves, DynamoDB does not document which it gets.
var runtime = []string{
	"The provided expression refers to an attribute that does not exist in the item",
	"An operand in the update expression has an incorrect data type",
	"The document path provided in the update expression is invalid for update",
	"DynamoDB only supports precision up to 38 digits", // DynamoDB Local
	"Attempting to store more than 38 significant digits in a Number",
}

// expected is what the embedded engine has to answer where DynamoDB Local answers local.
func expected(operation string, request any, local, embedded answer) answer {
	for _, d := range differences {
		local = d.expect(operation, request, local, embedded)
	}
	return local
}

// difference is a rule by which DynamoDB Local's answer becomes AWS's.
type difference struct {
	what   string
	source string
	expect func(operation string, request any, local, embedded answer) answer
}

var differences = []difference{
	{"refusals in other words", "see wordings", func(_ string, _ any, local, embedded answer) answer {
		if local.failed() && local.Type == embedded.Type {
			for _, w := range wordings {
				if w.same(local.Message, embedded.Message) {
					local.Message = embedded.Message
				}
			}
		}
		return local
	}},
	{"lists come in the order of a hash table", hashMap, func(_ string, _ any, local, embedded answer) answer {
		if local.failed() && sortLists(local.Message) == sortLists(embedded.Message) {
			local.Message = embedded.Message
		}
		return local
	}},
	{"DeleteItem tells its capacity unasked", "DynamoDB API reference, DeleteItem, ReturnConsumedCapacity: NONE is the default",
		func(operation string, request any, local, _ answer) answer {
			if q, _ := request.(object); operation == "DeleteItem" && (q["ReturnConsumedCapacity"] == nil || q["ReturnConsumedCapacity"] == "NONE") {
				delete(local.Body, "ConsumedCapacity")
			}
			return local
		}},
	{"PutItem of an item that lacks a key of an index may count a write of the index", "DynamoDB developer guide, \"Global secondary indexes\": an item without a key of the index does not stand in it",
		func(operation string, request any, local, embedded answer) answer {
			q, _ := request.(object)
			it, _ := q["Item"].(object)
			theirs, _ := embedded.Body["ConsumedCapacity"].(object)
			if operation == "PutItem" && (it["g"] == nil || it["h"] == nil) && local.Body["ConsumedCapacity"] != nil && theirs["GlobalSecondaryIndexes"] == nil {
				local.Body["ConsumedCapacity"] = embedded.Body["ConsumedCapacity"]
			}
			return local
		}},
	{"a page that ends on the very value of a condition on the sort key names no last key", "DynamoDB API reference, Query: a last key may be there even if nothing follows",
		func(operation string, request any, local, embedded answer) answer {
			last, _ := embedded.Body["LastEvaluatedKey"].(object)
			sort, _ := last["s"].(object)
			if operation == "Query" && !local.failed() && local.Body["LastEvaluatedKey"] == nil && sort != nil && strings.Contains(text(request), text(sort)) {
				delete(embedded.Body, "LastEvaluatedKey")
			}
			return local
		}},
	{"an index entry counts some bytes more than its attributes have", "DynamoDB developer guide, \"Local secondary indexes\": writes are counted by the size of the entry",
		func(operation string, _ any, local, embedded answer) answer {
			mine, _ := local.Body["ConsumedCapacity"].(object)
			theirs, _ := embedded.Body["ConsumedCapacity"].(object)
			more, _ := mine["CapacityUnits"].(float64)
			fewer, _ := theirs["CapacityUnits"].(float64)
			// Where an entry of several KB ends just below the next one, each of two indexes may show it.
			if strings.HasSuffix(operation, "Item") && text(mine["Table"]) == text(theirs["Table"]) && fewer >= 3 && more > fewer && more <= fewer+2 {
				local.Body["ConsumedCapacity"] = embedded.Body["ConsumedCapacity"]
			}
			return local
		}},
	{"a condition of a transaction fails with a full stop", "text of the single operations, as observed on AWS", func(_ string, _ any, local, _ answer) answer {
		reasons, _ := local.Body["CancellationReasons"].([]any)
		for _, r := range reasons {
			if r, ok := r.(object); ok && r["Message"] == "The conditional request failed." {
				r["Message"] = "The conditional request failed"
			}
		}
		return local
	}},
	{"an update of a transaction that the item does not allow is refused as a request", "DynamoDB API reference, TransactionCanceledException: a cancellation with the reason ValidationError",
		func(operation string, _ any, local, embedded answer) answer {
			if operation != "TransactWriteItems" || !slices.Contains(runtime, local.Message) {
				return local
			}
			if embedded.Type == local.Type {
				return embedded // what is wrong with the request itself comes first
			}
			for _, r := range reasonsOf(embedded) {
				if r["Code"] == "ValidationError" && slices.Contains(runtime, fmt.Sprint(r["Message"])) {
					return embedded
				}
			}
			return local
		}},
	{"a type of a transaction's item that does not fit an index is told shorter, or refused as a request", dynalite,
		func(operation string, _ any, local, embedded answer) answer {
			shorter := wordings[indexType]
			for i, r := range reasonsOf(embedded) {
				message := fmt.Sprint(r["Message"])
				if operation == "TransactWriteItems" && shorter.same(local.Message, message) {
					return embedded
				}
				if mine := reasonsOf(local); len(mine) > i && shorter.same(fmt.Sprint(mine[i]["Message"]), message) {
					mine[i]["Message"] = message
				}
			}
			return local
		}},
	{"an update of a key in a transaction gives one reason, whatever the number of actions", "DynamoDB API reference, TransactionCanceledException: a reason for each action, in their order",
		func(operation string, _ any, local, embedded answer) answer {
			mine := reasonsOf(local)
			if operation != "TransactWriteItems" || len(mine) != 1 {
				return local
			}
			for _, r := range reasonsOf(embedded) {
				if text(r) == text(mine[0]) && strings.Contains(text(r), "This attribute is part of the key") {
					return embedded
				}
			}
			return local
		}},
	{"of several actions or tables that are wrong another one is told", "the order is not documented", func(operation string, _ any, local, embedded answer) answer {
		const static = `(?:Value provided in|ExpressionAttribute|Invalid \w+Expression: ).*`
		if (strings.HasPrefix(operation, "Transact") || operation == "BatchGetItem") && matches(static, local.Message) && matches(static, embedded.Message) {
			local.Message = embedded.Message
		}
		return local
	}},
	{"actions of a transaction are tried before two of them are seen to be on one item", "DynamoDB API reference, TransactWriteItems: no two actions can target the same item",
		func(operation string, request any, local, embedded answer) answer {
			if operation == "TransactWriteItems" && local.failed() && embedded.Message == "Transaction request cannot include multiple operations on one item" && repeats(request) {
				return embedded
			}
			return local
		}},
	{"an update gives the key of a local secondary index a wrong type", "DynamoDB API reference, TransactionCanceledException: the update expression attempted to update the secondary index key to unsupported type",
		func(operation string, request any, local, embedded answer) answer {
			if operation == "UpdateItem" && !local.failed() && matches(wordings[indexType].aws, embedded.Message) {
				return embedded
			}
			return local
		}},
	{"an update of a key is refused only when its condition holds", dynalite, func(operation string, _ any, local, embedded answer) answer {
		if operation == "UpdateItem" && local.failed() && matches(`One or more parameter values were invalid: Cannot update attribute \w+\. This attribute is part of the key`, embedded.Message) {
			return embedded
		}
		return local
	}},
	{"a Scan of an index counts whole items", "DynamoDB developer guide, \"Global secondary indexes\": reading an index counts the size of its entries",
		func(operation string, request any, local, embedded answer) answer {
			q, _ := request.(object)
			mine, _ := local.Body["units"].(float64)
			theirs, _ := embedded.Body["units"].(float64)
			if operation == "Scan" && q["IndexName"] != nil && mine > theirs && theirs > 0 {
				local.Body["units"], local.Body["ConsumedCapacity"] = embedded.Body["units"], embedded.Body["ConsumedCapacity"]
			}
			return local
		}},
	{"a Scan of a local secondary index fetches for nothing", "DynamoDB developer guide, \"Local secondary indexes\": fetching an item costs a read of it; DynamoDB Local counts that in a Query",
		func(operation string, request any, local, embedded answer) answer {
			q, _ := request.(object)
			mine, _ := local.Body["units"].(float64)
			theirs, _ := embedded.Body["units"].(float64)
			if operation == "Scan" && q["IndexName"] == "lsi" && mine < theirs {
				local.Body["units"], local.Body["ConsumedCapacity"] = embedded.Body["units"], embedded.Body["ConsumedCapacity"]
			}
			return local
		}},
	{"a Scan of an index filters by what the index does not hold", "not documented; refused as of a Query, which DynamoDB Local refuses too",
		func(operation string, request any, local, embedded answer) answer {
			q, _ := request.(object)
			if operation == "Scan" && q["IndexName"] != nil && !local.failed() && matches(`.*Secondary index \w+ does not project one or more filter attributes: .*`, embedded.Message) {
				return embedded
			}
			return local
		}},
	{"conditions and updates of a transaction, and operands within functions of an update, may look into keys", "refused elsewhere, on AWS as on DynamoDB Local",
		func(operation string, _ any, local, embedded answer) answer {
			if (operation == "TransactWriteItems" || operation == "UpdateItem") && strings.HasPrefix(embedded.Message, "Key attributes must be scalars; ") && local.Message != embedded.Message {
				return embedded
			}
			return local
		}},
	{"of several refusals by the item another one comes first", "the order is not documented", func(operation string, request any, local, embedded answer) answer {
		if operation == "UpdateItem" && slices.Contains(runtime, local.Message) && slices.Contains(runtime, embedded.Message) {
			local.Message = embedded.Message
		}
		return local
	}},
	{"a value that does not fit an index is seen before expressions are checked", dynalite, func(_ string, _ any, local, embedded answer) answer {
		if matches(`One or more parameter values were invalid: Type mismatch for Index Key|Invalid attribute value type|One or more parameter values are not valid. A value specified for a secondary index key .*`, local.Message) &&
			matches(`Invalid (?:Condition|Update)Expression: .*`, embedded.Message) {
			local.Message = embedded.Message
		}
		return local
	}},
	{"UPDATED_OLD and UPDATED_NEW return the whole of a document of which a part was updated", "observed on AWS by Scylla's tests of Alternator, test_update_item_returnvalues_nested",
		func(operation string, request any, local, embedded answer) answer {
			q, _ := request.(object)
			returns, _ := q["ReturnValues"].(string)
			whole, _ := local.Body["Attributes"].(object)
			part, _ := embedded.Body["Attributes"].(object)
			if operation != "UpdateItem" || !strings.HasPrefix(returns, "UPDATED") {
				return local
			}
			for name, v := range whole {
				if part[name] != nil && contains(v, part[name]) {
					whole[name] = part[name]
				} else if part[name] == nil && isDocument(v) && returns == "UPDATED_NEW" {
					delete(whole, name) // its part was removed
				}
			}
			if whole != nil && len(whole) == 0 {
				delete(local.Body, "Attributes")
			}
			return local
		}},
	{"UpdateItem without an expression cannot return what it updated", "DynamoDB API reference, UpdateItem: UpdateExpression is not required",
		func(operation string, request any, local, embedded answer) answer {
			q, _ := request.(object)
			returns, _ := q["ReturnValues"].(string)
			if operation == "UpdateItem" && q["UpdateExpression"] == nil && strings.HasPrefix(returns, "UPDATED") && local.Status == 500 && !embedded.failed() && embedded.Body["Attributes"] == nil {
				return embedded
			}
			return local
		}},
	{"transactions and batches are counted by other rules", "DynamoDB developer guide, \"Read and write operations\"; what it asks for is held in TestCapacityFollowsTheDocumentedRules",
		func(operation string, _ any, local, embedded answer) answer {
			switch operation {
			case "TransactWriteItems", "TransactGetItems", "BatchGetItem", "BatchWriteItem":
				if (local.Body["ConsumedCapacity"] == nil) == (embedded.Body["ConsumedCapacity"] == nil) && !local.failed() {
					delete(local.Body, "ConsumedCapacity")
					delete(embedded.Body, "ConsumedCapacity")
				}
			}
			return local
		}},
}

func matches(pattern, text string) bool { return whole(pattern).MatchString(text) }

// repeats reports whether a transaction has two actions on one item.
func repeats(request any) bool {
	q, _ := request.(object)
	actions, _ := q["TransactItems"].([]any)
	seen := map[string]bool{}
	for _, a := range actions {
		for _, member := range a.(object) {
			a := member.(object)
			k := object{}
			for _, from := range []string{"Key", "Item"} {
				of, _ := a[from].(object)
				for _, name := range []string{"p", "s"} {
					if of[name] != nil {
						k[name] = of[name]
					}
				}
			}
			id := fmt.Sprint(a["TableName"], text(k))
			if seen[id] {
				return true
			}
			seen[id] = true
		}
	}
	return false
}

func isDocument(v any) bool {
	o, _ := v.(object)
	return o["M"] != nil || o["L"] != nil
}

// contains reports whether a value is the other one with more in it: members of maps, elements of lists.
func contains(whole, part any) bool {
	if text(whole) == text(part) {
		return true
	}
	w, _ := whole.(object)
	p, _ := part.(object)
	if wm, ok := w["M"].(object); ok {
		pm, ok := p["M"].(object)
		for name := range pm {
			ok = ok && wm[name] != nil && contains(wm[name], pm[name])
		}
		return ok
	}
	if wl, ok := w["L"].([]any); ok {
		pl, ok := p["L"].([]any)
		for len(pl) > 0 && len(wl) > 0 { // in the same order
			if contains(wl[0], pl[0]) {
				pl = pl[1:]
			}
			wl = wl[1:]
		}
		return ok && len(pl) == 0
	}
	return false
}

func reasonsOf(a answer) []object {
	list, _ := a.Body["CancellationReasons"].([]any)
	var reasons []object
	for _, r := range list {
		if r, ok := r.(object); ok {
			reasons = append(reasons, r)
		}
	}
	return reasons
}

var lists = regexp.MustCompile(`\{[^{}]*\}|\[[^\[\]]*\]`)

// sortLists puts in order what stands in {…} and […].
func sortLists(message string) string {
	return lists.ReplaceAllStringFunc(message, func(list string) string {
		members := strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune("{}[], ", r) })
		slices.Sort(members)
		return strings.Join(members, ",")
	})
}
