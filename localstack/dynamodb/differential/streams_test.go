package differential

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// streamRequests are requests of DynamoDB Streams that both take. Words in capitals stand for what has another
// name in each engine.
func streamRequests(table string) map[string]object {
	return map[string]object{
		"ListStreams":      {"TableName": table, "Limit": 10},
		"DescribeStream":   {"StreamArn": "ARN", "Limit": 10, "ExclusiveStartShardId": "SHARD"},
		"GetShardIterator": {"StreamArn": "ARN", "ShardId": "SHARD", "ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": "NUMBER"},
		"GetRecords":       {"ShardIterator": "ITERATOR", "Limit": 10},
	}
}

// Requests of DynamoDB Streams that are wrong in one place are refused by both, with the same type of error.
func TestMalformedStreamRequests(t *testing.T) {
	e := newEngines(t)
	table := tableName()
	names := map[engine]map[string]string{}
	for _, engine := range []engine{e.local, e.embedded} {
		names[engine] = openStream(t, engine, table)
	}
	e.check(t, 300, func(t *rapid.T) {
		requests := streamRequests(table)
		operation := rapid.SampledFrom(slices.Sorted(maps.Keys(requests))).Draw(t, "operation")
		request := requests[operation]
		if operation == "GetShardIterator" && chance(t, "another type", 40) {
			request["ShardIteratorType"] = pick(t, "type", "AT_SEQUENCE_NUMBER", "LATEST", "TRIM_HORIZON")
			if chance(t, "no number", 50) {
				delete(request, "SequenceNumber")
			}
		}
		mistyped := spoil(t, request)
		local := ask(t, e.local, streamsTarget+operation, named(request, names[e.local]))
		embedded := ask(t, e.embedded, streamsTarget+operation, named(request, names[e.embedded]))
		if strings.HasSuffix(embedded.Type, "#SerializationException") && mistyped {
			return // DynamoDB Local takes much for what it is not
		}
		if local.Status == http.StatusInternalServerError && embedded.Status == http.StatusBadRequest {
			return // it breaks on what AWS refuses
		}
		if local.failed() && matches(several+`.*`, embedded.Message) {
			return // AWS's front end, which DynamoDB Local lacks, looks before anything else
		}
		_, want, _ := strings.Cut(local.Type, "#")
		if _, got, _ := strings.Cut(embedded.Type, "#"); got != want {
			if !e.order && local.failed() && embedded.failed() {
				t.Logf("of several refusals another one: %s %.500s: %.200s, local: %.200s", operation, text(request), embedded, local)
				return
			}
			e.differ(t, operation, request, local, embedded, "-"+want+" +"+got)
		}
	})
}

// openStream makes a table with a stream that has a record, and tells the names of all that.
func openStream(t *testing.T, e engine, table string) map[string]string {
	t.Helper()
	do := func(target string, request object) object {
		t.Helper()
		a := ask(t, e, target, request)
		if a.failed() {
			t.Fatalf("%s: %s", target, a)
		}
		return a.Body
	}
	s := &schema{table: table, keys: []key{{"p", "S"}}, view: "KEYS_ONLY"}
	do(target+"CreateTable", s.create())
	t.Cleanup(func() { do(target+"DeleteTable", object{"TableName": table}) })
	do(target+"PutItem", object{"TableName": table, "Item": object{"p": object{"S": "a"}}})
	arn := do(target+"DescribeTable", object{"TableName": table})["Table"].(object)["LatestStreamArn"].(string)
	shards := do(streamsTarget+"DescribeStream", object{"StreamArn": arn})["StreamDescription"].(object)["Shards"].([]any)
	for _, one := range shards {
		shard := one.(object)["ShardId"].(string)
		iterator := do(streamsTarget+"GetShardIterator", object{"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"})["ShardIterator"].(string)
		records := do(streamsTarget+"GetRecords", object{"ShardIterator": iterator})["Records"].([]any)
		if len(records) > 0 {
			number := records[0].(object)["dynamodb"].(object)["SequenceNumber"].(string)
			return map[string]string{"ARN": arn, "SHARD": shard, "ITERATOR": iterator, "NUMBER": number}
		}
	}
	t.Fatalf("no shard of %s has a record", arn)
	return nil
}

// named puts an engine's names into a request.
func named(request object, names map[string]string) object {
	out := object{}
	for member, value := range request {
		if word, ok := value.(string); ok && names[word] != "" {
			value = names[word]
		}
		out[member] = value
	}
	return out
}
