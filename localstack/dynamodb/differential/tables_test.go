package differential

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Operations on tables, right or wrong in one place, are done or refused by both, with the same type of
// error; and what was made, changed or removed is the same afterwards. Texts are compared by kind: see cause.
func TestOperationsOnTables(t *testing.T) {
	e := newEngines(t)
	e.check(t, 150, func(t *rapid.T) {
		r := tableRun{engines: e, t: t, name: tableName()}
		create := r.valid()["CreateTable"]
		wrong := chance(t, "a wrong table", 50) && spoil(t, create)
		defer func() {
			for _, engine := range []engine{e.local, e.embedded} {
				for _, name := range []any{r.name, create["TableName"]} {
					_ = ask(t, engine, target+"UpdateTable", object{"TableName": name, "DeletionProtectionEnabled": false})
					_ = ask(t, engine, target+"DeleteTable", object{"TableName": name})
				}
			}
		}()
		if !r.send("CreateTable", create, wrong) {
			return
		}
		for range rapid.IntRange(1, 6).Draw(t, "requests") {
			requests := r.valid()
			operation := rapid.SampledFrom(slices.Sorted(maps.Keys(requests))).Draw(t, "operation")
			request := requests[operation]
			wrong := chance(t, "a wrong request", 60) && spoil(t, request)
			if !r.send(operation, request, wrong) {
				return
			}
		}
	})
}

type tableRun struct {
	*engines
	t    *rapid.T
	name string
}

// valid are requests that both take, if there is such a table, or none for CreateTable.
func (r *tableRun) valid() map[string]object {
	create := object{
		"TableName":            r.name,
		"AttributeDefinitions": []any{object{"AttributeName": "p", "AttributeType": "S"}, object{"AttributeName": "s", "AttributeType": "N"}, object{"AttributeName": "g", "AttributeType": "B"}},
		"KeySchema":            []any{object{"AttributeName": "p", "KeyType": "HASH"}, object{"AttributeName": "s", "KeyType": "RANGE"}},
		"LocalSecondaryIndexes": []any{object{"IndexName": "lsi", "KeySchema": []any{object{"AttributeName": "p", "KeyType": "HASH"}, object{"AttributeName": "g", "KeyType": "RANGE"}},
			"Projection": object{"ProjectionType": "INCLUDE", "NonKeyAttributes": []any{"a", "b"}}}},
		"GlobalSecondaryIndexes": []any{object{"IndexName": "gsi", "KeySchema": []any{object{"AttributeName": "g", "KeyType": "HASH"}}, "Projection": object{"ProjectionType": "ALL"}}},
		"BillingMode":            "PAY_PER_REQUEST",
		"StreamSpecification":    object{"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
	}
	if chance(r.t, "provisioned", 30) {
		create["BillingMode"], create["ProvisionedThroughput"] = "PROVISIONED", object{"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
		create["GlobalSecondaryIndexes"].([]any)[0].(object)["ProvisionedThroughput"] = object{"ReadCapacityUnits": 1, "WriteCapacityUnits": 2}
	}
	return map[string]object{
		"CreateTable":        create,
		"DescribeTable":      {"TableName": r.name},
		"DeleteTable":        {"TableName": r.name},
		"UpdateTable":        {"TableName": r.name, "DeletionProtectionEnabled": rapid.Bool().Draw(r.t, "protected")},
		"UpdateTimeToLive":   {"TableName": r.name, "TimeToLiveSpecification": object{"Enabled": rapid.Bool().Draw(r.t, "enabled"), "AttributeName": pick(r.t, "attribute", "ttl", "other")}},
		"DescribeTimeToLive": {"TableName": r.name},
		"ListTables":         {"Limit": 1, "ExclusiveStartTableName": r.name + "-"},
	}
}

// send sends a request to both engines, and compares the answers and the table. It reports whether the two
// may go on: not where one of them has taken what AWS refuses. mistyped is that a value of another JSON type stands
// somewhere in the request.
func (r *tableRun) send(operation string, request object, mistyped bool) (goOn bool) {
	r.t.Helper()
	local, embedded := ask(r.t, r.local, target+operation, request), ask(r.t, r.embedded, target+operation, request)
	if strings.HasSuffix(embedded.Type, "#SerializationException") && mistyped {
		return false // DynamoDB Local takes much for what it is not
	}
	if local.Status == http.StatusInternalServerError && embedded.Status == http.StatusBadRequest {
		return false // it breaks on what AWS refuses
	}
	if matches(several+`.*`, embedded.Message) { // AWS's front end, which DynamoDB Local lacks, looks before anything else
		if local.failed() {
			local = embedded
		} else if matches(`.* Member must satisfy enum value set: .*`, embedded.Message) {
			return false // taken by DynamoDB Local for the default
		}
	}
	if matches(`.*List of LocalSecondaryIndexes is empty`, embedded.Message) {
		return false // taken by DynamoDB Local, and refused by AWS, as dynalite's tests observed
	}
	if !r.alike(operation, request, local, embedded) {
		return false
	}
	describe := object{"TableName": r.name}
	return r.alike("then DescribeTable", request, ask(r.t, r.local, target+"DescribeTable", describe), ask(r.t, r.embedded, target+"DescribeTable", describe))
}

func (r *tableRun) alike(operation string, request object, local, embedded answer) bool {
	r.t.Helper()
	diff := cmp.Diff(seen(local), seen(embedded))
	if diff != "" && !r.order && local.failed() && embedded.failed() {
		r.t.Logf("of several refusals another one: %s %.500s: %.200s, local: %.200s", operation, text(request), embedded, local)
		return false
	}
	if diff != "" {
		r.differ(r.t, operation, request, local, embedded, diff)
	}
	return diff == ""
}

// seen is what of an answer is compared.
func seen(a answer) object {
	if a.failed() {
		_, kind, _ := strings.Cut(a.Type, "#")
		return object{"error": kind, "cause": cause(a.Message)}
	}
	out := object{}
	for _, member := range []string{"TableDescription", "Table"} {
		d, ok := a.Body[member].(object)
		if !ok {
			continue
		}
		for _, name := range []string{"TableName", "KeySchema", "StreamSpecification", "DeletionProtectionEnabled"} {
			out[name] = d[name]
		}
		definitions, _ := d["AttributeDefinitions"].([]any)
		slices.SortFunc(definitions, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		out["AttributeDefinitions"] = definitions
		for _, kind := range []string{"LocalSecondaryIndexes", "GlobalSecondaryIndexes"} {
			list, _ := d[kind].([]any)
			for _, one := range list {
				ix := one.(object)
				out[kind+fmt.Sprint(ix["IndexName"])] = []any{ix["KeySchema"], ix["Projection"]}
			}
		}
	}
	for _, name := range []string{"TimeToLiveDescription", "TimeToLiveSpecification"} {
		if v := a.Body[name]; v != nil {
			out[name] = v
		}
	}
	return out
}

// cause is what a refusal is for, where both tell it in the same words: settings of TTL. AWS tells more behind a
// colon.
func cause(message string) string {
	if !strings.HasPrefix(message, "TimeToLive is") {
		return ""
	}
	begin, _, _ := strings.Cut(message, ":")
	return begin
}
