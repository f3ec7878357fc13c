package cloudtest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/remote"
)

// Engine is the URL of the DynamoDB that has the tables of local clouds under test, "" for the embedded
// one.
func Engine() string { return os.Getenv("DUET_TEST_DYNAMODB") }

// enginePoll is how often streams of other engines are polled under test.
const enginePoll = 50 * time.Millisecond

// newStack makes a name that no other test's stack has.
func newStack() string { return "duet-" + strings.ToLower(rand.Text()[:10]) }

// dropTables removes a stack's tables when the test has ended, and all that was started after this call:
// DynamoDB Local becomes slower with each table that it has.
func dropTables(t testing.TB, url, stack string) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
		defer cancel()
		d, err := remote.OpenDynamoDB(ctx, remote.DynamoDBOptions{URL: url})
		if err != nil {
			t.Errorf("drop the tables of %s: %v", stack, err)
			return
		}
		var page struct {
			TableNames             []string
			LastEvaluatedTableName string
		}
		for last := "begin"; last != ""; last = page.LastEvaluatedTableName {
			in := map[string]any{}
			if page.LastEvaluatedTableName != "" {
				in["ExclusiveStartTableName"] = page.LastEvaluatedTableName
			}
			page.LastEvaluatedTableName = ""
			body, _ := json.Marshal(in) // a name: cannot fail
			status, answer := d.Do(ctx, "DynamoDB_20120810.ListTables", body)
			if err := json.Unmarshal(answer, &page); err != nil || status != http.StatusOK {
				t.Errorf("list the tables of %s: %d %s", stack, status, answer)
				return
			}
			for _, table := range page.TableNames {
				if !strings.HasPrefix(table, stack+"-") {
					continue
				}
				if status, answer := d.Do(ctx, "DynamoDB_20120810.DeleteTable", []byte(`{"TableName":"`+table+`"}`)); status != http.StatusOK {
					t.Errorf("drop the table %s: %d %s", table, status, answer)
				}
			}
		}
	})
}
