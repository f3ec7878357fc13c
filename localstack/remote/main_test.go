package remote_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/meter"
	"github.com/duet-chat/duet/localstack/remote"
	"github.com/duet-chat/duet/localstack/storage"
)

// engine serves the embedded DynamoDB over HTTP, as any other would be.
func engine(t testing.TB) (url string, db *dynamodb.DB) {
	t.Helper()
	store, err := storage.Open("")
	if err != nil {
		t.Fatal(err)
	}
	db, err = dynamodb.New(dynamodb.Options{Store: store, Region: "eu-west-1", Account: "111122223333", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(db)
	t.Cleanup(func() {
		server.Close()
		_ = db.Close()
		_ = store.Close()
	})
	return server.URL, db
}

func open(t testing.TB, url string) (*remote.DynamoDB, *meter.Meter) {
	t.Helper()
	m := meter.New()
	d, err := remote.OpenDynamoDB(t.Context(), remote.DynamoDBOptions{URL: url, Poll: time.Millisecond, Meter: m})
	if err != nil {
		t.Fatal(err)
	}
	return d, m
}

// do makes a request and returns its answer without white space.
func do(t testing.TB, d dynamodb.Doer, operation, body string) (status int, answer string) {
	t.Helper()
	status, raw := d.Do(context.Background(), "DynamoDB_20120810."+operation, []byte(body))
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %d %s", operation, status, raw)
	}
	j, _ := json.Marshal(v)
	return status, string(j)
}

// notes is a table with everything that a plan knows.
func notes() dynamodb.TableSpec {
	return dynamodb.TableSpec{
		TableName: "app-Notes", BillingMode: "PAY_PER_REQUEST",
		AttributeDefinitions: []dynamodb.AttributeDefinition{{AttributeName: "id", AttributeType: "S"}, {AttributeName: "n", AttributeType: "N"}, {AttributeName: "tag", AttributeType: "S"}},
		KeySchema:            []dynamodb.KeyElement{{AttributeName: "id", KeyType: "HASH"}, {AttributeName: "n", KeyType: "RANGE"}},
		GlobalSecondaryIndexes: []dynamodb.IndexSpec{{
			IndexName: "by-tag", KeySchema: []dynamodb.KeyElement{{AttributeName: "tag", KeyType: "HASH"}},
			Projection: dynamodb.ProjectionSpec{ProjectionType: "INCLUDE", NonKeyAttributes: []string{"title", "author"}},
		}},
		StreamSpecification: &dynamodb.StreamSpecification{StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES"},
		TimeToLiveAttribute: "ttl",
	}
}

func plan(t testing.TB, d *remote.DynamoDB, specs ...dynamodb.TableSpec) (*remote.Plan, []dynamodb.TableInfo) {
	t.Helper()
	p := d.NewPlan(t.Context())
	var infos []dynamodb.TableInfo
	for _, spec := range specs {
		info, err := p.Table(spec)
		if err != nil {
			t.Fatal(err)
		}
		infos = append(infos, info)
	}
	return p, infos
}

// Nothing is made before Apply; then the tables are there with all that the template says of them, and a
// second start finds them as they are.
func TestPlanMakesWhatIsMissing(t *testing.T) {
	url, db := engine(t)
	d, _ := open(t, url)
	p, _ := plan(t, d, notes())
	if db.HasTable("app-Notes") || strings.Join(p.Missing(), ",") != "app-Notes" {
		t.Fatalf("missing %v; there before Apply: %t", p.Missing(), db.HasTable("app-Notes"))
	}
	if err := p.Apply(); err != nil {
		t.Fatal(err)
	}
	again, infos := plan(t, d, notes())
	if len(again.Missing()) != 0 || len(again.Names()) != 1 {
		t.Errorf("missing %v of %v, want none", again.Missing(), again.Names())
	}
	if arn := infos[0].StreamARN; !strings.HasPrefix(arn, "arn:aws:dynamodb:eu-west-1:111122223333:table/app-Notes/stream/2") {
		t.Errorf("stream %s is not the engine's", arn)
	}
	if err := again.Apply(); err != nil {
		t.Error(err)
	}
	if _, ttl := do(t, d, "DescribeTimeToLive", `{"TableName":"app-Notes"}`); !strings.Contains(ttl, `"ttl"`) {
		t.Errorf("TTL: %s", ttl)
	}
	without := notes()
	without.TimeToLiveAttribute = ""
	p, _ = plan(t, d, without)
	if err := p.Apply(); err != nil {
		t.Error(err)
	}
	if _, ttl := do(t, d, "DescribeTimeToLive", `{"TableName":"app-Notes"}`); !strings.Contains(ttl, "DISABLED") {
		t.Errorf("TTL after the template has none: %s", ttl)
	}
}

func TestPlanRefusesOtherTables(t *testing.T) {
	url, _ := engine(t)
	d, _ := open(t, url)
	p, _ := plan(t, d, notes())
	if err := p.Apply(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*dynamodb.TableSpec){
		"another type of key": func(s *dynamodb.TableSpec) { s.AttributeDefinitions[1].AttributeType = "S" },
		"another projection":  func(s *dynamodb.TableSpec) { s.GlobalSecondaryIndexes[0].Projection.NonKeyAttributes[0] = "text" },
		"another view":        func(s *dynamodb.TableSpec) { s.StreamSpecification.StreamViewType = "NEW_IMAGE" },
		"no stream":           func(s *dynamodb.TableSpec) { s.StreamSpecification = nil },
	} {
		spec := notes()
		change(&spec)
		_, err := d.NewPlan(t.Context()).Table(spec)
		if err == nil || !strings.Contains(err.Error(), "app-Notes") || !strings.Contains(err.Error(), url) || !strings.Contains(err.Error(), "--stack") {
			t.Errorf("%s: %v, want an error with table, URL and remedy", name, err)
		}
	}
	order := notes() // which means nothing
	order.GlobalSecondaryIndexes[0].Projection.NonKeyAttributes = []string{"author", "title"}
	if _, err := d.NewPlan(t.Context()).Table(order); err != nil {
		t.Errorf("another order of attributes: %v", err)
	}
}

// The engine counts capacity; an answer has it only for who asked.
func TestCapacityIsMetered(t *testing.T) {
	url, _ := engine(t)
	d, m := open(t, url)
	p, _ := plan(t, d, notes())
	if err := p.Apply(); err != nil {
		t.Fatal(err)
	}
	const item = `"Item":{"id":{"S":"<a&b>"},"n":{"N":"1"},"tag":{"S":"x"}}`
	tests := []struct {
		operation, body  string
		has              bool // ConsumedCapacity
		reads, writes    float64
		requests, status int
	}{
		{"PutItem", `{"TableName":"app-Notes",` + item + `}`, false, 0, 2, 1, 200},
		{"PutItem", ` {"ReturnConsumedCapacity":"NONE","TableName":"app-Notes",` + item + `,"ReturnValues":"ALL_OLD"}`, false, 0, 1, 2, 200},
		{"PutItem", `{"ReturnConsumedCapacity":"INDEXES","TableName":"app-Notes",` + item + `}`, true, 0, 1, 3, 200},
		{"GetItem", `{"TableName":"app-Notes","Key":{"id":{"S":"<a&b>"},"n":{"N":"1"}}}`, false, 0.5, 0, 1, 200},
		{"Query", `{"TableName":"app-Notes","ConsistentRead":true,"KeyConditionExpression":"id = :i","ExpressionAttributeValues":{":i":{"S":"<a&b>"}}}`, false, 1, 0, 1, 200},
		{"BatchGetItem", `{"RequestItems":{"app-Notes":{"Keys":[{"id":{"S":"q"},"n":{"N":"1"}}]}}}`, false, 0.5, 0, 1, 200},
		{"TransactWriteItems", `{"TransactItems":[{"Delete":{"TableName":"app-Notes","Key":{"id":{"S":"q"},"n":{"N":"1"}}}}]}`, false, 0, 2, 1, 200},
		{"PutItem", `{"TableName":"app-Notes","Item":{}}`, false, 0, 0, 4, 400},
		{"PutItem", `{`, false, 0, 0, 4, 400},
		{"PutItem", `null`, false, 0, 0, 4, 400},
	}
	for _, test := range tests {
		before := m.Usage()["dynamodb"]["app-Notes"]
		status, answer := do(t, d, test.operation, test.body)
		if status != test.status || strings.Contains(answer, "ConsumedCapacity") != test.has {
			t.Errorf("%s %s = %d %s, want %d, with capacity: %t", test.operation, test.body, status, answer, test.status, test.has)
		}
		after := m.Usage()["dynamodb"]["app-Notes"]
		if r, w := after["read_units"]-before["read_units"], after["write_units"]-before["write_units"]; r != test.reads || w != test.writes {
			t.Errorf("%s %s took %g read and %g write units, want %g and %g", test.operation, test.body, r, w, test.reads, test.writes)
		}
		if n := after["requests."+test.operation]; n != float64(test.requests) {
			t.Errorf("%s %s: %g requests, want %d", test.operation, test.body, n, test.requests)
		}
	}
	if _, answer := do(t, d, "GetItem", `{"TableName":"app-Notes","Key":{"id":{"S":"<a&b>"},"n":{"N":"1"}}}`); answer != `{"Item":{"id":{"S":"\u003ca\u0026b\u003e"},"n":{"N":"1"},"tag":{"S":"x"}}}` {
		t.Errorf("item = %s", answer)
	}
}

func TestOpenRefuses(t *testing.T) {
	answers := func(status int, body string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	// Without credentials anywhere.
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	for _, test := range []struct{ name, url, want string }{
		{"no URL", "localhost:8000", "is no URL"},
		{"another scheme", "dynamodb://localhost", "is no URL"},
		{"nobody there", gone.URL, "connection refused"},
		{"a web page", answers(200, "<html>\n<body>Welcome"), `does not speak AWS's JSON protocol: status 200, text/html; charset=utf-8, "<html> <body>Welcome"`},
		{"a web server's refusal", answers(404, "404 page not found"), "status 404"},
		{"another service", answers(400, `{"__type":"UnknownOperationException"}`), "does not know ListTables"},
		{"another JSON", answers(200, `{"hello":"world"}`), "does not know ListTables"},
		{"a refusal", answers(400, `{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"The security token included in the request is invalid."}`), "UnrecognizedClientException: The security token"},
		{"no credentials", "https://dynamodb.eu-west-1.amazonaws.com", "AWS_ACCESS_KEY_ID"},
	} {
		_, err := remote.OpenDynamoDB(t.Context(), remote.DynamoDBOptions{URL: test.url})
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %s", test.name, err, test.want)
		}
	}
	// Who may not list tables may do what is needed.
	if _, err := remote.OpenDynamoDB(t.Context(), remote.DynamoDBOptions{URL: answers(400, `{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not authorized"}`)}); err != nil {
		t.Error(err)
	}
}

// An engine that goes away is an InternalServerError, which SDKs take for what may have been done.
func TestEngineGoesAway(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"TableNames":[]}`)) }))
	d, _ := open(t, server.URL)
	server.Close()
	if status, answer := do(t, d, "GetItem", `{"TableName":"T"}`); status != 500 || !strings.Contains(answer, "InternalServerError") || !strings.Contains(answer, server.URL) {
		t.Errorf("= %d %s, want an InternalServerError that names the URL", status, answer)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if status, _ := d.Do(ended, "DynamoDB_20120810.GetItem", []byte(`{}`)); status != dynamodb.NoAnswer {
		t.Errorf("of a caller that has gone = %d, want no answer", status)
	}
}
