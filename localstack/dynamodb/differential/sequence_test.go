package differential

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// run is a sequence of requests on some tables.
type run struct {
	*engines
	t      *rapid.T
	tables []*schema
}

func (r *run) table() *schema { return pick(r.t, "table", r.tables...) }

// The same sequence of any operations on items gives the same answers, and leaves the same items, index
// entries and stream records.
func TestSequencesOfOperations(t *testing.T) {
	e := newEngines(t)
	e.check(t, 40, func(t *rapid.T) {
		e.diverged = false
		r := &run{engines: e, t: t}
		for range rapid.IntRange(1, 2).Draw(t, "tables") {
			s := newSchema(t)
			for _, engine := range []engine{e.local, e.embedded} {
				if a := ask(t, engine, target+"CreateTable", s.create()); a.failed() {
					t.Fatalf("CreateTable %s: %s", text(s.create()), a)
				}
			}
			defer func() {
				for _, engine := range []engine{e.local, e.embedded} {
					_ = ask(t, engine, target+"DeleteTable", object{"TableName": s.table})
				}
			}()
			r.tables = append(r.tables, s)
			r.fill(s)
		}
		for range rapid.IntRange(5, 40).Draw(t, "requests") {
			if r.step(); r.diverged {
				return
			}
		}
		for _, s := range r.tables {
			r.compareTables(s)
			r.compareStreams(s)
		}
	})
}

// fill puts some items.
func (r *run) fill(s *schema) {
	for range rapid.IntRange(0, 6).Draw(r.t, "items") {
		r.both(r.t, "PutItem", object{"TableName": s.table, "Item": s.item(r.t)})
	}
}

func (r *run) step() {
	switch pick(r.t, "operation", "PutItem", "PutItem", "UpdateItem", "UpdateItem", "UpdateItem", "DeleteItem", "GetItem", "Query", "Query", "Scan",
		"BatchGetItem", "BatchWriteItem", "TransactWriteItems", "TransactWriteItems", "TransactGetItems") {
	case "PutItem":
		s := r.table()
		request, x := object{"TableName": s.table, "Item": s.item(r.t)}, newExpressions(r.t, s)
		r.conditional(request, x)
		request["ReturnValues"] = pick(r.t, "return", "NONE", "ALL_OLD")
		x.attach(request)
		r.both(r.t, "PutItem", request)
	case "UpdateItem":
		s := r.table()
		request, x := object{"TableName": s.table, "Key": s.key(r.t)}, newExpressions(r.t, s)
		if chance(r.t, "update", 95) {
			request["UpdateExpression"] = x.spoil(x.update())
		}
		r.conditional(request, x)
		onExisting(request)
		request["ReturnValues"] = pick(r.t, "return", "NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW")
		x.attach(request)
		r.both(r.t, "UpdateItem", request)
	case "DeleteItem":
		s := r.table()
		request, x := object{"TableName": s.table, "Key": s.key(r.t)}, newExpressions(r.t, s)
		r.conditional(request, x)
		request["ReturnValues"] = pick(r.t, "return", "NONE", "ALL_OLD")
		x.attach(request)
		r.both(r.t, "DeleteItem", request)
	case "GetItem":
		s := r.table()
		request, x := object{"TableName": s.table, "Key": s.key(r.t)}, newExpressions(r.t, s)
		r.projected(request, x)
		request["ConsistentRead"] = rapid.Bool().Draw(r.t, "consistent")
		r.capacity(request)
		x.values = object{}
		x.attach(request)
		r.both(r.t, "GetItem", request)
	case "Query":
		r.query()
	case "Scan":
		r.scan()
	case "BatchGetItem":
		r.batchGet()
	case "BatchWriteItem":
		r.batchWrite()
	case "TransactWriteItems":
		r.transactWrite()
	case "TransactGetItems":
		r.transactGet()
	}
}

// onExisting keeps an update that only removes from items that do not exist: DynamoDB Local makes one, AWS
// does not (see OnlyRemoves in package expr).
func onExisting(update object) {
	source, ok := update["UpdateExpression"].(string)
	if ok && !strings.Contains(source, "SET") && !strings.Contains(source, "ADD") {
		update["ConditionExpression"] = "attribute_exists(p)"
	}
}

func (r *run) capacity(request object) {
	if level := pick(r.t, "capacity", "", "TOTAL", "INDEXES", "NONE"); level != "" {
		request["ReturnConsumedCapacity"] = level
	}
}

func (r *run) conditional(request object, x *expressions) {
	if chance(r.t, "condition", 50) {
		request["ConditionExpression"] = x.spoil(x.condition(2))
	}
	if chance(r.t, "return on failure", 50) {
		request["ReturnValuesOnConditionCheckFailure"] = pick(r.t, "on failure", "ALL_OLD", "NONE")
	}
	r.capacity(request)
}

func (r *run) projected(request object, x *expressions) {
	if chance(r.t, "projection", 40) {
		request["ProjectionExpression"] = x.spoil(x.projection())
	}
}

// ranged draws what Query and Scan have in common.
func (r *run) ranged(request object, x *expressions, s *schema) (ix *indexSchema) {
	if len(s.indexes) > 0 && chance(r.t, "index", 60) {
		i := rapid.IntRange(0, len(s.indexes)-1).Draw(r.t, "which index")
		ix = &s.indexes[i]
		request["IndexName"] = ix.name
	}
	if chance(r.t, "filter", 40) {
		request["FilterExpression"] = x.spoil(x.condition(1))
	}
	r.projected(request, x)
	if chance(r.t, "select", 25) {
		request["Select"] = pick(r.t, "Select", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "SPECIFIC_ATTRIBUTES")
	}
	if chance(r.t, "consistent", 30) {
		request["ConsistentRead"] = true
	}
	r.capacity(request)
	return ix
}

// query reads a partition page by page.
func (r *run) query() {
	s := r.table()
	request, x := object{"TableName": s.table}, newExpressions(r.t, s)
	ix := r.ranged(request, x, s)
	keys := s.keys
	if ix != nil {
		keys = ix.keys
	}
	request["KeyConditionExpression"] = x.spoil(x.keyCondition(keys))
	if chance(r.t, "direction", 50) {
		request["ScanIndexForward"] = rapid.Bool().Draw(r.t, "forward")
	}
	if ix != nil {
		// Entries of an index with equal keys have no order that is documented: what a page holds is not either.
		x.attach(request)
		r.whole("Query", request)
		return
	}
	if chance(r.t, "limit", 50) {
		request["Limit"] = rapid.IntRange(1, 3).Draw(r.t, "Limit")
	}
	x.attach(request)
	for range 20 {
		local, embedded := ask(r.t, r.local, target+"Query", request), ask(r.t, r.engines.embedded, target+"Query", request)
		freeReads(local)
		freeReads(embedded)
		r.compare(r.t, "Query", request, local, embedded)
		if local.failed() || embedded.failed() || embedded.Body["LastEvaluatedKey"] == nil {
			return
		}
		request["ExclusiveStartKey"] = embedded.Body["LastEvaluatedKey"]
	}
}

// freeReads takes away the cost of a page on which nothing was read: DynamoDB Local counts nothing, AWS the
// least that a read takes. Source: DynamoDB developer guide, "Read and write operations". What the embedded
// engine counts is held in TestCapacityFollowsTheDocumentedRules.
func freeReads(a answer) {
	if a.Body["ConsumedCapacity"] != nil && fmt.Sprint(a.Body["ScannedCount"]) == "0" {
		delete(a.Body, "ConsumedCapacity")
	}
}

// scan reads a whole table or index page by page. Partitions come in no documented order, so it is what
// all pages hold together that is compared.
func (r *run) scan() {
	s := r.table()
	request, x := object{"TableName": s.table}, newExpressions(r.t, s)
	r.ranged(request, x, s)
	if chance(r.t, "limit", 30) {
		request["Limit"] = rapid.IntRange(1, 3).Draw(r.t, "Limit")
	}
	x.attach(request)
	r.whole("Scan", request)
}

// whole compares what all pages of a Query or Scan hold together.
func (r *run) whole(operation string, request object) {
	local, embedded := r.pages(r.local, operation, request), r.pages(r.engines.embedded, operation, request)
	r.compare(r.t, operation, request, local, embedded)
}

// pages joins the pages of a Query or Scan: items in one order, sums of what is counted.
func (r *run) pages(e engine, operation string, request object) answer {
	page := object{}
	for name, member := range request {
		page[name] = member
	}
	var items []any
	var whole answer
	pages, count, scanned, units := 0, 0, 0, 0.0
	for {
		a := ask(r.t, e, target+operation, page)
		if a.failed() {
			return a
		}
		list, hasItems := a.Body["Items"].([]any)
		items = append(items, list...)
		pages++
		count += integer(a.Body["Count"])
		scanned += integer(a.Body["ScannedCount"])
		freeReads(a)
		if c, ok := a.Body["ConsumedCapacity"].(object); ok {
			f, _ := c["CapacityUnits"].(float64)
			units += f
			if pages > 1 {
				delete(a.Body, "ConsumedCapacity")
			}
		}
		last := a.Body["LastEvaluatedKey"]
		for _, name := range []string{"Items", "Count", "ScannedCount", "LastEvaluatedKey"} {
			delete(a.Body, name)
		}
		whole = a
		if last == nil {
			slices.SortFunc(items, func(a, b any) int { return cmpText(a, b) })
			a.Body["Count"], a.Body["ScannedCount"], a.Body["pages"] = count, scanned, pages
			if pages == 1 { // else what a page is rounded to depends on which items come together
				a.Body["units"] = units
			}
			if hasItems {
				a.Body["Items"] = items
			}
			return whole
		}
		page["ExclusiveStartKey"] = last
	}
}

func cmpText(a, b any) int {
	x, y := text(a), text(b)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func integer(v any) int {
	n := 0
	_, _ = fmt.Sscan(fmt.Sprint(v), &n)
	return n
}

func (r *run) batchGet() {
	items := object{}
	for _, s := range r.tables {
		if !chance(r.t, "asked", 70) {
			continue
		}
		var keys []any
		seen := map[string]bool{}
		for range rapid.IntRange(1, 4).Draw(r.t, "keys") {
			k := s.key(r.t)
			if seen[text(k)] && !chance(r.t, "twice", 10) {
				continue
			}
			seen[text(k)] = true
			keys = append(keys, k)
		}
		x := newExpressions(r.t, s)
		part := object{"Keys": keys}
		r.projected(part, x)
		if chance(r.t, "consistent", 30) {
			part["ConsistentRead"] = true
		}
		x.values = object{}
		x.attach(part)
		items[s.table] = part
	}
	request := object{"RequestItems": items}
	r.capacity(request)
	local, embedded := ask(r.t, r.local, target+"BatchGetItem", request), ask(r.t, r.engines.embedded, target+"BatchGetItem", request)
	for _, a := range []answer{local, embedded} {
		responses, _ := a.Body["Responses"].(object)
		for _, list := range responses {
			if list, ok := list.([]any); ok {
				slices.SortFunc(list, cmpText)
			}
		}
		byTable(a)
	}
	r.compare(r.t, "BatchGetItem", request, local, embedded)
}

// byTable sorts the consumed capacity of several tables: it has no order.
func byTable(a answer) {
	if list, ok := a.Body["ConsumedCapacity"].([]any); ok {
		slices.SortFunc(list, cmpText)
	}
}

func (r *run) batchWrite() {
	items := object{}
	seen := map[string]bool{}
	for _, s := range r.tables {
		var writes []any
		for range rapid.IntRange(0, 4).Draw(r.t, "writes") {
			it := s.item(r.t)
			k := object{}
			for _, a := range s.keys {
				k[a.name] = it[a.name]
			}
			if seen[s.table+text(k)] && !chance(r.t, "twice", 10) {
				continue
			}
			seen[s.table+text(k)] = true
			if rapid.Bool().Draw(r.t, "put") {
				writes = append(writes, object{"PutRequest": object{"Item": it}})
			} else {
				writes = append(writes, object{"DeleteRequest": object{"Key": k}})
			}
		}
		if writes != nil {
			items[s.table] = writes
		}
	}
	request := object{"RequestItems": items}
	r.capacity(request)
	r.unordered("BatchWriteItem", request)
}

func (r *run) unordered(operation string, request object) {
	local, embedded := ask(r.t, r.local, target+operation, request), ask(r.t, r.engines.embedded, target+operation, request)
	byTable(local)
	byTable(embedded)
	r.compare(r.t, operation, request, local, embedded)
}

func (r *run) transactWrite() {
	var actions []any
	seen := map[string]bool{}
	for range rapid.IntRange(1, 4).Draw(r.t, "actions") {
		s := r.table()
		x := newExpressions(r.t, s)
		x.broken = x.broken && chance(r.t, "broken action", 30)
		it := s.item(r.t)
		k := object{}
		for _, a := range s.keys {
			k[a.name] = it[a.name]
		}
		if seen[s.table+text(k)] && !chance(r.t, "twice", 10) {
			continue
		}
		seen[s.table+text(k)] = true
		kind := pick(r.t, "action", "Put", "Put", "Update", "Update", "Delete", "ConditionCheck")
		a := object{"TableName": s.table}
		if kind == "Put" {
			a["Item"] = it
		} else {
			a["Key"] = k
		}
		if kind == "Update" {
			a["UpdateExpression"] = x.spoil(x.update())
		}
		if kind == "ConditionCheck" || chance(r.t, "condition", 35) {
			a["ConditionExpression"] = x.spoil(x.condition(1))
		}
		onExisting(a)
		if chance(r.t, "return on failure", 50) {
			a["ReturnValuesOnConditionCheckFailure"] = pick(r.t, "on failure", "ALL_OLD", "NONE")
		}
		x.attach(a)
		actions = append(actions, object{kind: a})
	}
	request := object{"TransactItems": actions}
	if chance(r.t, "token", 20) {
		request["ClientRequestToken"] = tableName()
	}
	r.capacity(request)
	r.unordered("TransactWriteItems", request)
	if request["ClientRequestToken"] != nil {
		r.unordered("TransactWriteItems", request)
	}
}

func (r *run) transactGet() {
	var actions []any
	for range rapid.IntRange(1, 4).Draw(r.t, "gets") {
		s := r.table()
		x := newExpressions(r.t, s)
		get := object{"TableName": s.table, "Key": s.key(r.t)}
		r.projected(get, x)
		x.values = object{}
		x.attach(get)
		actions = append(actions, object{"Get": get})
	}
	request := object{"TransactItems": actions}
	r.capacity(request)
	r.unordered("TransactGetItems", request)
}

// compareTables compares a table and its indexes as a whole.
func (r *run) compareTables(s *schema) {
	r.whole("Scan", object{"TableName": s.table})
	for _, ix := range s.indexes {
		r.whole("Scan", object{"TableName": s.table, "IndexName": ix.name})
	}
}

// compareStreams compares what the streams tell of each item.
func (r *run) compareStreams(s *schema) {
	if s.view == "" {
		return
	}
	local, embedded := r.records(r.local, s), r.records(r.engines.embedded, s)
	if diff := cmp.Diff(local, embedded); diff != "" {
		r.differ(r.t, "GetRecords", s.create(), shown(local), shown(embedded), diff)
	}
}

// records are the stream records of each item, in order, by its key.
func (r *run) records(e engine, s *schema) object {
	list := ask(r.t, e, streamsTarget+"ListStreams", object{"TableName": s.table})
	streams, _ := list.Body["Streams"].([]any)
	if len(streams) != 1 {
		r.t.Fatalf("ListStreams: %s", list)
	}
	arn := streams[0].(object)["StreamArn"]
	description := ask(r.t, e, streamsTarget+"DescribeStream", object{"StreamArn": arn})
	shards := description.Body["StreamDescription"].(object)["Shards"].([]any)
	items := object{}
	for _, shard := range shards {
		a := ask(r.t, e, streamsTarget+"GetShardIterator", object{"StreamArn": arn, "ShardId": shard.(object)["ShardId"], "ShardIteratorType": "TRIM_HORIZON"})
		iterator := a.Body["ShardIterator"]
		for iterator != nil {
			a = ask(r.t, e, streamsTarget+"GetRecords", object{"ShardIterator": iterator})
			if a.failed() {
				r.t.Fatalf("GetRecords: %s", a)
			}
			found := a.Body["Records"].([]any)
			for _, record := range found {
				record := record.(object)
				change := record["dynamodb"].(object)
				for _, name := range []string{"eventID", "awsRegion"} {
					delete(record, name)
				}
				for _, name := range []string{"ApproximateCreationDateTime", "SequenceNumber"} {
					delete(change, name)
				}
				k := text(change["Keys"])
				earlier, _ := items[k].([]any)
				items[k] = append(earlier, record)
			}
			if iterator = a.Body["NextShardIterator"]; len(found) == 0 {
				break
			}
		}
	}
	return items
}

// shown shows a JSON object.
type shown object

func (s shown) String() string { return text(object(s)) }
