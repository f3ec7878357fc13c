package expr_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

// TestRecordedAnswersAreStillGiven asks a DynamoDB, such as a newer DynamoDB Local,
// everything in testdata again, so that the recordings can be checked and extended.
func TestRecordedAnswersAreStillGiven(t *testing.T) {
	endpoint := os.Getenv("DUET_DYNAMODB_LOCAL")
	if endpoint == "" {
		t.Skip("needs DynamoDB Local: run make test-differential")
	}
	c := live{t, endpoint}
	c.makeTable("recorded-items", `[{"AttributeName":"pk","AttributeType":"S"}]`, `[{"AttributeName":"pk","KeyType":"HASH"}]`)
	c.makeTable("recorded-keys", `[{"AttributeName":"pk","AttributeType":"S"},{"AttributeName":"sk","AttributeType":"N"}]`,
		`[{"AttributeName":"pk","KeyType":"HASH"},{"AttributeName":"sk","KeyType":"RANGE"}]`)
	c.do("PutItem", map[string]any{"TableName": "recorded-keys", "Item": json.RawMessage(`{"pk":{"S":"a"},"sk":{"N":"1"}}`)})
	const key = `{"pk":{"S":"a"}}`
	for _, kind := range []string{"condition", "update", "projection", "key"} {
		for _, r := range load(t, kind+".json") {
			c.do("DeleteItem", map[string]any{"TableName": "recorded-items", "Key": json.RawMessage(`{"pk":{"S":"zz"}}`)})
			c.do("PutItem", map[string]any{"TableName": "recorded-items", "Item": json.RawMessage(recordedItem)})
			request := map[string]any{"TableName": "recorded-items", "Key": json.RawMessage(key)}
			if r.Names != nil {
				request["ExpressionAttributeNames"] = r.Names
			}
			if r.Values != nil {
				request["ExpressionAttributeValues"] = r.Values
			}
			operation := "UpdateItem"
			switch kind {
			case "condition":
				request["ConditionExpression"], request["UpdateExpression"] = r.Src, "REMOVE zzzz"
			case "update":
				request["UpdateExpression"], request["ReturnValues"] = r.Src, "ALL_NEW"
				if r.Absent {
					request["Key"] = json.RawMessage(`{"pk":{"S":"zz"}}`)
				}
			case "projection":
				operation, request["ProjectionExpression"] = "GetItem", r.Src
			case "key":
				operation, request["KeyConditionExpression"], request["TableName"] = "Query", r.Src, "recorded-keys"
				delete(request, "Key")
			}
			status, answer := c.do(operation, request)
			c.compare(kind, r, status, answer)
		}
	}
}

type live struct {
	t        *testing.T
	endpoint string
}

func (c live) makeTable(name, attributes, keys string) {
	c.t.Helper()
	status, answer := c.do("CreateTable", map[string]any{"TableName": name, "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": json.RawMessage(attributes), "KeySchema": json.RawMessage(keys)})
	if status != http.StatusOK {
		c.t.Fatalf("CreateTable %s: %d %v", name, status, answer)
	}
	c.t.Cleanup(func() { c.do("DeleteTable", map[string]any{"TableName": name}) })
}

func (c live) do(operation string, request any) (int, map[string]json.RawMessage) {
	c.t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local/20200101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=none")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		c.t.Fatalf("%s: %d: %v", operation, resp.StatusCode, err)
	}
	return resp.StatusCode, answer
}

// sortBraces puts what stands in {…} in order: DynamoDB Local lists a hash table's keys as they come.
func sortBraces(message string) string {
	return braces.ReplaceAllStringFunc(message, func(list string) string {
		keys := strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune("{}, ", r) })
		slices.Sort(keys)
		return "{" + strings.Join(keys, ",") + "}"
	})
}

var braces = regexp.MustCompile(`\{[^{}]*\}`)

// compare compares an answer with the recorded one.
func (c live) compare(kind string, r recorded, status int, answer map[string]json.RawMessage) {
	c.t.Helper()
	var message, typ string
	_ = json.Unmarshal(answer["Message"], &message)
	_ = json.Unmarshal(answer["__type"], &typ)
	failed := strings.HasSuffix(typ, "#ConditionalCheckFailedException")
	if failed {
		message = ""
	}
	if sortBraces(message) != sortBraces(r.Error) {
		c.t.Errorf("%s %.200q %v %s:\n got %s\nwant %s", kind, r.Src, r.Names, r.Values, message, r.Error)
		return
	}
	if r.Error != "" {
		return
	}
	got := string(r.Result)
	switch kind {
	case "condition":
		got = "true"
		if failed {
			got = "false"
		}
	case "key":
		got = "true"
		if string(answer["Count"]) == "0" {
			got = "false"
		}
	case "update":
		if !attr.EqualItems(mustItem(c.t, string(answer["Attributes"])), r.updated(c.t)) {
			got = string(answer["Attributes"])
		}
	case "projection":
		if !attr.EqualItems(mustItem(c.t, string(answer["Item"])), mustItem(c.t, got)) {
			got = string(answer["Item"])
		}
	}
	if got != string(r.Result) || status/100 != 2 && !failed {
		c.t.Errorf("%s %.200q %s: %d %s, want %s", kind, r.Src, r.Values, status, got, r.Result)
	}
}
