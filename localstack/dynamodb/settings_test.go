package dynamodb_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/duet-chat/duet/localstack/storage"
)

const plainTable = `"TableName":"plain","AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"}],"KeySchema":[{"AttributeName":"p","KeyType":"HASH"}]`

func TestCreateTableChecksBillingAndName(t *testing.T) {
	f := newFixture(t, "")
	for _, tt := range []struct{ name, body, message string }{
		{"provisioned without throughput", plainTable, "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"},
		{"by request with throughput", plainTable + `,"BillingMode":"PAY_PER_REQUEST","ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}`, "One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"},
		{"unknown mode", plainTable + `,"BillingMode":"FREE"`, "1 validation error detected: Value 'FREE' at 'billingMode' failed to satisfy constraint: Member must satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]"},
		{"name", strings.Replace(plainTable, "plain", "no such", 1) + `,"BillingMode":"PAY_PER_REQUEST"`, "1 validation error detected: Value 'no such' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"},
	} {
		if errorType, message := f.refused("CreateTable", "{"+tt.body+"}"); errorType != "ValidationException" || message != tt.message {
			t.Errorf("%s: %s: %s, want %s", tt.name, errorType, message, tt.message)
		}
	}
}

// What UpdateTable and its like change is kept with the data; what they cannot change is refused by name.
func TestSettingsAreKept(t *testing.T) {
	dir := t.TempDir()
	store, err := storage.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixtureOn(t, store)
	f.do("CreateTable", "{"+plainTable+`,"BillingMode":"PAY_PER_REQUEST","DeletionProtectionEnabled":true}`)
	if errorType, message := f.refused("DeleteTable", `{"TableName":"plain"}`); errorType != "ValidationException" || !strings.Contains(message, "protected against deletion") {
		t.Errorf("DeleteTable = %s: %s", errorType, message)
	}
	f.do("UpdateTable", `{"TableName":"plain","DeletionProtectionEnabled":false,"BillingMode":"PROVISIONED","ProvisionedThroughput":{"ReadCapacityUnits":3,"WriteCapacityUnits":4}}`)
	f.do("UpdateContinuousBackups", `{"TableName":"plain","PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":true}}`)
	f.do("UpdateTimeToLive", `{"TableName":"plain","TimeToLiveSpecification":{"Enabled":true,"AttributeName":"ttl"}}`)
	for body, want := range map[string]string{
		`{"TableName":"plain","StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_IMAGE"}}`: "The local DynamoDB does not support StreamSpecification in UpdateTable: delete the table and create it anew",
		`{"TableName":"plain","GlobalSecondaryIndexUpdates":[]}`:                                          "The local DynamoDB does not support GlobalSecondaryIndexUpdates in UpdateTable: delete the table and create it anew",
		`{"TableName":"plain"}`: "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required",
	} {
		if _, message := f.refused("UpdateTable", body); message != want {
			t.Errorf("UpdateTable %s = %s, want %s", body, message, want)
		}
	}
	if errorType, _ := f.refused("DescribeContinuousBackups", `{"TableName":"nosuch"}`); errorType != "TableNotFoundException" {
		t.Errorf("DescribeContinuousBackups of no table = %s, want TableNotFoundException", errorType)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	f = newFixture(t, dir)
	for operation, want := range map[string]string{
		"DescribeTable":             `"ProvisionedThroughput":{"NumberOfDecreasesToday":0,"ReadCapacityUnits":3,"WriteCapacityUnits":4}`,
		"DescribeContinuousBackups": `"PointInTimeRecoveryStatus":"ENABLED"`,
		"DescribeTimeToLive":        `{"AttributeName":"ttl","TimeToLiveStatus":"ENABLED"}`,
	} {
		if got := asJSON(t, f.do(operation, `{"TableName":"plain"}`)); !strings.Contains(got, want) {
			t.Errorf("after a restart %s = %s, want %s", operation, got, want)
		}
	}
	f.do("DeleteTable", `{"TableName":"plain"}`)
}

// For the race detector: settings change while the table is described, ensured and swept.
func TestSettingsChangeUnderUse(t *testing.T) {
	f := newFixture(t, "")
	f.ensure(things)
	do := func(operation, body string) {
		if status, response := f.call(operation, body); status != 200 {
			t.Errorf("%s = %s", operation, response)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 100 {
			do("UpdateContinuousBackups", fmt.Sprintf(`{"TableName":"things","PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":%t}}`, i%2 == 0))
			f.call("UpdateTimeToLive", fmt.Sprintf(`{"TableName":"things","TimeToLiveSpecification":{"Enabled":%t,"AttributeName":"ttl"}}`, i%2 == 1))
		}
	})
	wg.Go(func() {
		for range 100 {
			do("DescribeTable", `{"TableName":"things"}`)
			if err := f.Sweep(); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for range 100 {
			if _, err := f.EnsureTable(things); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
}

// What is wrong with a request about a table is told before what is wrong with the table; texts as observed on AWS.
func TestOperationsOnTablesRefuse(t *testing.T) {
	f := newFixture(t, "")
	f.ensure(things)
	ttl := func(enabled bool, attribute string) string {
		return fmt.Sprintf(`{"TableName":"things","TimeToLiveSpecification":{"Enabled":%t,"AttributeName":%q}}`, enabled, attribute)
	}
	one := func(name, more string) string {
		return fmt.Sprintf(`{"TableName":%q,"BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"}],"KeySchema":[{"AttributeName":"p","KeyType":"HASH"}]%s}`, name, more)
	}
	index := func(more string) string {
		return `,"GlobalSecondaryIndexes":[{"KeySchema":[{"AttributeName":"p","KeyType":"HASH"}],` + more + `}]`
	}
	const detected, wrong = "1 validation error detected: Value ", "One or more parameter values were invalid: "
	if things.TimeToLiveAttribute != "ttl" {
		t.Fatalf("the TTL of things is %q, want ttl", things.TimeToLiveAttribute)
	}
	for _, tt := range []struct{ operation, body, errorType, message string }{
		{"DescribeTable", `{}`, "ValidationException", detected + "null at 'tableName' failed to satisfy constraint: Member must not be null"},
		{"DeleteTable", `{"TableName":"ab"}`, "ValidationException", detected + "'ab' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3"},
		{"UpdateTable", `{"TableName":"another","DeletionProtectionEnabled":true}`, "ResourceNotFoundException", "Requested resource not found: Table: another not found"},
		{"ListTables", `{"ExclusiveStartTableName":"a b"}`, "ValidationException", detected + "'a b' at 'exclusiveStartTableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"},
		{"CreateTable", one("things", `,"GlobalSecondaryIndexes":[]`), "ValidationException", wrong + "List of GlobalSecondaryIndexes is empty"},
		{"CreateTable", one("things", `,"StreamSpecification":{}`), "ValidationException", detected + "null at 'streamSpecification.streamEnabled' failed to satisfy constraint: Member must not be null"},
		{"CreateTable", one("things", ""), "ResourceInUseException", "Table already exists: things"},
		{"CreateTable", one("other", index(`"IndexName":"i","Projection":{"ProjectionType":"ALL"}`)), "ValidationException", detected + "'i' at 'indexName' failed to satisfy constraint: Member must have length greater than or equal to 3"},
		{"CreateTable", one("other", index(`"IndexName":"ix1","Projection":{"ProjectionType":"INCLUDE"}`)), "ValidationException", wrong + "ProjectionType is INCLUDE, but NonKeyAttributes is not specified"},
		{"CreateTable", one("other", index(`"IndexName":"ix1","Projection":{"ProjectionType":"ALL","NonKeyAttributes":["a"]}`)), "ValidationException", wrong + "ProjectionType is ALL, but NonKeyAttributes is specified"},
		{"CreateTable", one("other", index(`"IndexName":"ix1","Projection":{"ProjectionType":"ALL"},"ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":1}`)), "ValidationException", wrong + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: ix1 when BillingMode is PAY_PER_REQUEST"},
		{"UpdateTimeToLive", ttl(true, "ttl"), "ValidationException", "TimeToLive is already enabled"},
		{"UpdateTimeToLive", ttl(true, "other"), "ValidationException", "TimeToLive is active on a different AttributeName: current AttributeName is ttl"},
		{"UpdateTimeToLive", `{"TableName":"things"}`, "ValidationException", detected + "null at 'timeToLiveSpecification' failed to satisfy constraint: Member must not be null"},
		{"Streams.DescribeStream", `{}`, "ValidationException", detected + "null at 'streamArn' failed to satisfy constraint: Member must not be null"},
		{"Streams.DescribeStream", `{"StreamArn":"arn","ExclusiveStartShardId":"x"}`, "ValidationException", detected + "'x' at 'exclusiveStartShardId' failed to satisfy constraint: Member must have length greater than or equal to 28"},
		{"Streams.GetShardIterator", `{"StreamArn":"arn","ShardId":"shardId-00000000000000000001-00000000","ShardIteratorType":"LATEST","SequenceNumber":""}`, "ValidationException", wrong + "SequenceNumber should not be passed for this iterator type"},
		{"Streams.GetShardIterator", `{"StreamArn":"arn","ShardId":"shardId-00000000000000000001-00000000","ShardIteratorType":"LATEST"}`, "ResourceNotFoundException", "Requested resource not found: Stream: arn not found"},
	} {
		if errorType, message := f.refused(tt.operation, tt.body); errorType != tt.errorType || message != tt.message {
			t.Errorf("%s %s = %s: %s, want %s: %s", tt.operation, tt.body, errorType, message, tt.errorType, tt.message)
		}
	}
}
