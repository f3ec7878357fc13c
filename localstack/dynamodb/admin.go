package dynamodb

import (
	"encoding/json"
	"slices"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/storage"
)

// adminOperations work on tables rather than items. They are rare, so they read JSON by reflection.
var adminOperations = map[string]func(db *DB, body []byte) ([]byte, error){
	"CreateTable":               (*DB).createTable,
	"DescribeTable":             (*DB).describeTable,
	"DeleteTable":               (*DB).deleteTable,
	"ListTables":                (*DB).listTables,
	"UpdateTimeToLive":          (*DB).updateTTL,
	"DescribeTimeToLive":        (*DB).describeTTL,
	"UpdateTable":               (*DB).updateTable,
	"DescribeContinuousBackups": (*DB).describeBackups,
	"UpdateContinuousBackups":   (*DB).updateBackups,
	"DescribeLimits":            (*DB).describeLimits,
	"TagResource":               (*DB).tagResource,
	"UntagResource":             (*DB).untagResource,
	"ListTagsOfResource":        (*DB).listTags,
	"DescribeEndpoints":         (*DB).describeEndpoints,
}

func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return refuse(attr.SerializationException, "%v", err)
	}
	return nil
}

func (db *DB) createTable(body []byte) ([]byte, error) {
	var in struct {
		TableSpec
		TimeToLiveAttribute       *string // not of CreateTable
		DeletionProtectionEnabled bool
		Tags                      []Tag
	}
	var required struct {
		StreamSpecification *struct{ StreamEnabled *bool }
	}
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	if err := decode(body, &required); err != nil {
		return nil, err
	}
	if s := required.StreamSpecification; s != nil && s.StreamEnabled == nil {
		return nil, missing("streamSpecification.streamEnabled")
	}
	for name, list := range map[string][]IndexSpec{"LocalSecondaryIndexes": in.LocalSecondaryIndexes, "GlobalSecondaryIndexes": in.GlobalSecondaryIndexes} {
		if list != nil && len(list) == 0 {
			return nil, invalid("One or more parameter values were invalid: List of %s is empty", name)
		}
	}
	if err := checkBilling(in.BillingMode, in.ProvisionedThroughput); err != nil {
		return nil, err
	}
	for _, ix := range in.GlobalSecondaryIndexes {
		if err := checkIndexBilling(in.BillingMode, ix); err != nil {
			return nil, err
		}
	}
	s := newSettings(in.TableSpec)
	s.DeletionProtection = in.DeletionProtectionEnabled
	if len(in.Tags) > 0 {
		if err := addTags(&s, in.Tags); err != nil {
			return nil, err
		}
	}
	t, err := db.create(in.TableSpec, s)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"TableDescription": db.describe(t, "ACTIVE")})
}

func (db *DB) named(body []byte) (*table, error) {
	name, err := nameIn(body)
	if err != nil {
		return nil, err
	}
	t, err := db.table(name)
	if err != nil {
		return nil, tableNotFound(name)
	}
	return t, nil
}

// nameIn is the name or the ARN of the table that a request is about.
func nameIn(body []byte) (string, error) {
	var in struct{ TableName *string }
	if err := decode(body, &in); err != nil {
		return "", err
	}
	if in.TableName == nil {
		return "", missing("tableName")
	}
	var v violations
	v.name(*in.TableName, "tableName")
	return *in.TableName, v.err()
}

func (db *DB) describeTable(body []byte) ([]byte, error) {
	t, err := db.named(body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"Table": db.describe(t, "ACTIVE")})
}

func (db *DB) deleteTable(body []byte) ([]byte, error) {
	t, err := db.named(body)
	if err != nil {
		return nil, err
	}
	description := db.describe(t, "DELETING")
	if _, err := db.drop(t.Spec.TableName); err != nil {
		return nil, err
	}
	if t.stream != nil {
		t.stream.close()
	}
	return json.Marshal(map[string]any{"TableDescription": description})
}

// describe is a table's TableDescription. AWS updates ItemCount and TableSizeBytes every six hours
// or so; here they are counted when they are asked for.
func (db *DB) describe(t *table, status string) map[string]any {
	count, size := db.measure(t.itemPrefix())
	set := t.setting()
	d := map[string]any{
		"TableName": t.Spec.TableName, "TableArn": t.arn, "TableId": t.ID, "TableStatus": status,
		"AttributeDefinitions": t.Spec.AttributeDefinitions, "KeySchema": t.Spec.KeySchema,
		"CreationDateTime": float64(t.CreatedAt.UnixMilli()) / 1000,
		"ItemCount":        count, "TableSizeBytes": size,
		"DeletionProtectionEnabled": set.DeletionProtection,
		"ProvisionedThroughput": map[string]any{
			"NumberOfDecreasesToday": 0, "ReadCapacityUnits": set.Throughput.ReadCapacityUnits, "WriteCapacityUnits": set.Throughput.WriteCapacityUnits,
		},
	}
	if set.BillingMode == "PAY_PER_REQUEST" {
		d["BillingModeSummary"] = map[string]any{"BillingMode": "PAY_PER_REQUEST", "LastUpdateToPayPerRequestDateTime": float64(t.CreatedAt.UnixMilli()) / 1000}
	}
	indexes := func(specs []IndexSpec, global bool) []map[string]any {
		var all []map[string]any
		for _, s := range specs {
			var count, size int64
			if ix, err := t.index(s.IndexName); err == nil {
				count, size = db.measure(t.entryPrefix(ix))
			}
			ix := map[string]any{
				"IndexName": s.IndexName, "KeySchema": s.KeySchema, "Projection": s.Projection,
				"IndexArn": t.arn + "/index/" + s.IndexName, "IndexSizeBytes": size, "ItemCount": count,
			}
			if global {
				ix["IndexStatus"] = "ACTIVE"
				ix["ProvisionedThroughput"] = map[string]any{"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0}
			}
			all = append(all, ix)
		}
		return all
	}
	if all := indexes(t.Spec.LocalSecondaryIndexes, false); all != nil {
		d["LocalSecondaryIndexes"] = all
	}
	if all := indexes(t.Spec.GlobalSecondaryIndexes, true); all != nil {
		d["GlobalSecondaryIndexes"] = all
	}
	if t.stream != nil {
		d["StreamSpecification"] = t.Spec.StreamSpecification
		d["LatestStreamLabel"], d["LatestStreamArn"] = t.stream.label, t.stream.arn
	}
	return d
}

// measure counts what is stored behind a prefix: the items of a table or the entries of an index.
func (db *DB) measure(prefix []byte) (count, size int64) {
	_ = db.store.Range(prefix, storage.After(prefix), false, func(_, value []byte) bool {
		n, err := attr.SizeBinary(value)
		count, size = count+1, size+int64(n)
		return err == nil
	})
	return count, size
}

func (db *DB) listTables(body []byte) ([]byte, error) {
	var in struct {
		ExclusiveStartTableName *string
		Limit                   *int
	}
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	if in.ExclusiveStartTableName != nil {
		var v violations
		if v.name(*in.ExclusiveStartTableName, "exclusiveStartTableName"); len(v) > 0 {
			return nil, v.err()
		}
	}
	limit := 100
	if in.Limit != nil {
		if limit = *in.Limit; limit < 1 || limit > 100 {
			return nil, invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value between 1 and 100", limit)
		}
	}
	db.tablesMu.RLock()
	names := sortedKeys(db.tables)
	db.tablesMu.RUnlock()
	names = slices.DeleteFunc(names, func(name string) bool {
		return in.ExclusiveStartTableName != nil && name <= *in.ExclusiveStartTableName
	})
	out := map[string]any{"TableNames": names}
	if len(names) > limit {
		out["TableNames"], out["LastEvaluatedTableName"] = names[:limit], names[limit-1]
	}
	return json.Marshal(out)
}

func (db *DB) describeLimits([]byte) ([]byte, error) {
	return json.Marshal(map[string]any{
		"AccountMaxReadCapacityUnits": 80000, "AccountMaxWriteCapacityUnits": 80000,
		"TableMaxReadCapacityUnits": 40000, "TableMaxWriteCapacityUnits": 40000,
	})
}

func (db *DB) describeEndpoints([]byte) ([]byte, error) {
	return json.Marshal(map[string]any{"Endpoints": []any{map[string]any{
		"Address": "dynamodb." + db.region + ".amazonaws.com", "CachePeriodInMinutes": 1440,
	}}})
}
