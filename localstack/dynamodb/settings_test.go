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
