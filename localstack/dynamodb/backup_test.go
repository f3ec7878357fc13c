package dynamodb_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A restored table is another one, with the items and index entries of its backup, and a stream of its
// own that begins empty. Without a backup all tables are empty.
func TestRestore(t *testing.T) {
	f := newFixture(t, "")
	f.do("CreateTable", `{"TableName":"tab","BillingMode":"PAY_PER_REQUEST","KeySchema":[{"AttributeName":"p","KeyType":"HASH"}],
		"AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"},{"AttributeName":"g","AttributeType":"S"}],"DeletionProtectionEnabled":true,
		"GlobalSecondaryIndexes":[{"IndexName":"by-g","KeySchema":[{"AttributeName":"g","KeyType":"HASH"}],"Projection":{"ProjectionType":"ALL"}}],
		"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_IMAGE"}}`)
	description := func() map[string]any { return f.do("DescribeTable", `{"TableName":"tab"}`)["Table"].(map[string]any) }
	before := description()
	f.do("PutItem", `{"TableName":"tab","Item":{"p":{"S":"a"},"g":{"S":"x"}}}`)
	f.do("PutItem", `{"TableName":"tab","Item":{"p":{"S":"b"},"g":{"S":"y"}}}`)
	backup, err := f.Backup()
	if err != nil {
		t.Fatal(err)
	}
	f.do("PutItem", `{"TableName":"tab","Item":{"p":{"S":"a"},"g":{"S":"y"}}}`)
	f.do("DeleteItem", `{"TableName":"tab","Key":{"p":{"S":"b"}}}`)

	const scan, byG = `{"TableName":"tab"}`, `{"TableName":"tab","IndexName":"by-g","KeyConditionExpression":"g = :g","ExpressionAttributeValues":{":g":{"S":"y"}}}`
	item := func(p, g string) map[string]any {
		return map[string]any{"p": map[string]any{"S": p}, "g": map[string]any{"S": g}}
	}
	labels := map[any]bool{before["LatestStreamArn"]: true}
	for _, test := range []struct {
		name       string
		restore    func() error
		items, byG []any
	}{
		{"a backup", func() error { return f.Restore(backup) }, []any{item("a", "x"), item("b", "y")}, []any{item("b", "y")}},
		{"the same one again", func() error { return f.Restore(backup) }, []any{item("a", "x"), item("b", "y")}, []any{item("b", "y")}},
		{"none", func() error { return f.Restore(nil) }, []any{}, []any{}},
	} {
		if err := test.restore(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.items, f.do("Scan", scan)["Items"]); diff != "" {
			t.Errorf("%s: items: %s", test.name, diff)
		}
		if diff := cmp.Diff(test.byG, f.do("Query", byG)["Items"]); diff != "" {
			t.Errorf("%s: index: %s", test.name, diff)
		}
		now := description()
		if labels[now["LatestStreamArn"]] || now["TableId"] == before["TableId"] || now["DeletionProtectionEnabled"] != true {
			t.Errorf("%s: table = %v, want another one with another stream, protected as before", test.name, now)
		}
		labels[now["LatestStreamArn"]] = true
		stream, err := f.Stream(now["LatestStreamArn"].(string))
		if err != nil {
			t.Fatal(err)
		}
		for _, shard := range stream.Shards() {
			if latest := stream.Latest(shard); latest != "" {
				t.Errorf("%s: the stream begins with %s, want nothing in it", test.name, latest)
			}
		}
		f.do("PutItem", `{"TableName":"tab","Item":{"p":{"S":"c"}}}`)
	}
}
