package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/localstack/cloud"
	"github.com/duet-chat/duet/localstack/cloudtest"
)

// redriven runs the command on an endpoint and returns its report and what it printed.
func redriven(t *testing.T, f flags) (report, string) {
	t.Helper()
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	r, err := newRedrive(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r.out = &out
	got, err := r.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got, out.String()
}

// A poison record goes to the queue, the function is mended, and the redrive delivers the record: with
// the very commands, clients and function binary that AWS would see (G10).
func TestPoisonQueueFixRedrive(t *testing.T) {
	c := cloudtest.Start(t, func(o *cloud.Config) {
		o.Template, o.Functions, o.Parameters = "testdata/template.yaml", cloud.Process, nil
	})
	f := flags{Endpoint: c.URL(), Limit: 100}
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithBaseEndpoint(c.URL()), config.WithRegion("us-east-1"),
		config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	if err != nil {
		t.Fatal(err)
	}
	db, queue := dynamodb.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	put := func(table string, item map[string]types.AttributeValue) {
		t.Helper()
		if _, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(c.Outputs()[table]), Item: item}); err != nil {
			t.Fatal(err)
		}
	}
	sink := func() string {
		t.Helper()
		out, err := db.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(c.Outputs()["Sink"])})
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, item := range out.Items {
			texts = append(texts, item["text"].(*types.AttributeValueMemberS).Value)
		}
		slices.Sort(texts)
		return strings.Join(texts, " ")
	}
	for i, text := range []string{"first", "poison", "last"} {
		put("Source", map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: "a"}, "sk": &types.AttributeValueMemberN{Value: fmt.Sprint(i)}, "text": &types.AttributeValueMemberS{Value: text},
		})
	}
	// waiting is whether the queue has a message, which it leaves where it is.
	waiting := func(wait int32) bool {
		t.Helper()
		out, err := queue.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: aws.String(c.Outputs()["Failures"]), WaitTimeSeconds: wait, VisibilityTimeout: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range out.Messages {
			if _, err := queue.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{
				QueueUrl: aws.String(c.Outputs()["Failures"]), ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0,
			}); err != nil {
				t.Fatal(err)
			}
		}
		return len(out.Messages) == 1
	}
	if !waiting(20) {
		t.Fatal("the poison record is not in the queue after 20 s")
	}

	dry := f
	dry.DryRun = true
	if got, out := redriven(t, dry); got.delivered != 1 || !strings.Contains(out, "PickyFunction would get ") || !waiting(0) {
		t.Fatalf("dry run = %+v:\n%s\nwant one batch, which stays in the queue", got, out)
	}
	if got, out := redriven(t, f); got.failed != 1 || !strings.Contains(out, "failed at the record") || !waiting(0) {
		t.Fatalf("redrive of a function that is not mended = %+v:\n%s\nwant a failure, and the message in the queue", got, out)
	}
	put("Settings", map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "mended"}})
	if got, out := redriven(t, f); got.delivered != 1 || got.failed != 0 {
		t.Fatalf("redrive = %+v:\n%s\nwant it delivered", got, out)
	}
	if waiting(0) {
		t.Error("the message is still in the queue")
	}
	if got := sink(); !strings.Contains(got, "poison") || !strings.Contains(got, "first") {
		t.Errorf("delivered %q, want all", got)
	}
	if got, _ := redriven(t, f); got != (report{}) {
		t.Errorf("redrive of an empty queue = %+v", got)
	}
}

// fake answers as AWS's services do, by operation, and notes what is asked of it.
type fake struct {
	answers map[string][]string // by X-Amz-Target's operation, or "Invoke"; the last one goes on
	asked   []string
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if strings.HasSuffix(r.URL.Path, "/invocations") {
		operation = "Invoke"
	}
	body, _ := io.ReadAll(r.Body)
	f.asked = append(f.asked, operation+" "+string(body))
	answers := f.answers[operation]
	if len(answers) == 0 {
		answers = []string{"{}"}
	}
	if len(answers) > 1 {
		f.answers[operation] = answers[1:]
	}
	if strings.Contains(answers[0], "__type") {
		w.WriteHeader(http.StatusBadRequest)
	}
	if strings.Contains(answers[0], "errorMessage") {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
	}
	_, _ = io.WriteString(w, answers[0])
}

const (
	trimmed  = `{"__type":"com.amazonaws.dynamodb.v20120810#TrimmedDataAccessException","message":"gone"}`
	noStream = `{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"none"}`
	iterator = `{"ShardIterator":"i"}`
)

// page is an answer of GetRecords.
func page(next string, sequences ...string) string {
	out := map[string]any{"Records": []any{}}
	var records []any
	for _, s := range sequences {
		records = append(records, map[string]any{"eventName": "INSERT", "dynamodb": map[string]any{"SequenceNumber": s, "Keys": map[string]any{}}})
	}
	out["Records"] = records
	if next != "" {
		out["NextShardIterator"] = next
	}
	j, _ := json.Marshal(out)
	return string(j)
}

// message is an answer of ReceiveMessage.
func message(bodies ...string) string {
	var all []any
	for i, body := range bodies {
		all = append(all, map[string]any{"MessageId": fmt.Sprintf("m%d", i), "ReceiptHandle": fmt.Sprintf("h%d", i), "Body": body})
	}
	j, _ := json.Marshal(map[string]any{"Messages": all})
	return string(j)
}

func batch(start, end string) string {
	return fmt.Sprintf(`{"requestContext":{"functionArn":"arn:aws:lambda:us-east-1:1:function:Fn"},"DDBStreamBatchInfo":{"shardId":"s","startSequenceNumber":%q,"endSequenceNumber":%q,"batchSize":2,"streamArn":"arn"}}`, start, end)
}

// What a message needs to be deleted, and what a batch becomes whose records are not all there.
func TestOutcomes(t *testing.T) {
	for _, test := range []struct {
		name     string
		answers  map[string][]string
		dropGone bool
		want     report
		deleted  string // handles
		released string
		invoked  string // sequence numbers by invocation
		says     string
	}{
		{"all taken", map[string][]string{
			"ReceiveMessage": {message(batch("8", "10")), "{}"}, "GetShardIterator": {iterator},
			"GetRecords": {page("i"), page("i", "8", "9"), page("i", "10", "11")}, "Invoke": {"null"},
		}, false, report{delivered: 1}, "h0", "", "8,9,10", "took 3 records"},
		{"in the order of their records", map[string][]string{
			"ReceiveMessage": {message(batch("10", "10"), batch("9", "9")), "{}"}, "GetShardIterator": {iterator},
			"GetRecords": {page("i", "9", "10"), page("i", "10")},
		}, false, report{delivered: 2}, "h1 h0", "", "9 10", ""},
		{"taken in part", map[string][]string{
			"ReceiveMessage": {message(batch("8", "10")), "{}"}, "GetShardIterator": {iterator},
			"GetRecords": {page("", "8", "9", "10")}, "Invoke": {`{"batchItemFailures":[{"itemIdentifier":"10"},{"itemIdentifier":"9"}]}`},
		}, false, report{failed: 1}, "", "h0", "8,9,10", "failed at the record 9"},
		{"an unknown record reported", map[string][]string{
			"ReceiveMessage": {message(batch("8", "8")), "{}"}, "GetShardIterator": {iterator},
			"GetRecords": {page("", "8")}, "Invoke": {`{"batchItemFailures":[{"itemIdentifier":""}]}`},
		}, false, report{failed: 1}, "", "h0", "8", "failed at the record 8"},
		{"function error", map[string][]string{
			"ReceiveMessage": {message(batch("8", "8")), "{}"}, "GetShardIterator": {iterator},
			"GetRecords": {page("", "8")}, "Invoke": {`{"errorMessage":"broken"}`},
		}, false, report{failed: 1}, "", "h0", "8", "broken"},
		{"trimmed", map[string][]string{
			"ReceiveMessage": {message(batch("8", "10")), "{}"}, "GetShardIterator": {trimmed, iterator}, "GetRecords": {page("", "11")},
		}, false, report{gone: 1}, "", "h0", "", "24 hours"},
		{"trimmed between two calls", map[string][]string{
			"ReceiveMessage": {message(batch("8", "10")), "{}"}, "GetShardIterator": {iterator}, "GetRecords": {trimmed, page("", "12")},
		}, false, report{gone: 1}, "", "h0", "", "24 hours"},
		{"trimmed in part", map[string][]string{
			"ReceiveMessage": {message(batch("8", "10")), "{}"}, "GetShardIterator": {trimmed, iterator}, "GetRecords": {page("", "9", "10")},
		}, false, report{gone: 1}, "", "h0", "9,10", "those before 9"},
		{"trimmed, to be dropped", map[string][]string{
			"ReceiveMessage": {message(batch("8", "10")), "{}"}, "GetShardIterator": {trimmed, iterator}, "GetRecords": {page("")},
		}, true, report{dropped: 1}, "h0", "", "", "24 hours"},
		{"no such stream", map[string][]string{
			"ReceiveMessage": {message(batch("8", "10")), "{}"}, "GetShardIterator": {noStream},
		}, false, report{gone: 1}, "", "h0", "", "disabled"},
		{"a message of somebody else", map[string][]string{
			"ReceiveMessage": {message(`{"hello":"world"}`, "text"), "{}"},
		}, false, report{failed: 2}, "", "h0 h1", "", "is no batch"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fake{answers: test.answers}
			server := httptest.NewServer(f)
			defer server.Close()
			t.Setenv("AWS_MAX_ATTEMPTS", "1")
			got, out := redriven(t, flags{Endpoint: server.URL, QueueURL: server.URL + "/1/q", Limit: 10, DropGone: test.dropGone})
			if got != test.want || !strings.Contains(out, test.says) {
				t.Errorf("report = %+v, want %+v; it says:\n%s", got, test.want, out)
			}
			var deleted, released, invoked []string
			for _, asked := range f.asked {
				operation, body, _ := strings.Cut(asked, " ")
				var in struct {
					ReceiptHandle string
					Records       []struct {
						Dynamodb struct{ SequenceNumber string }
					}
				}
				_ = json.Unmarshal([]byte(body), &in)
				switch operation {
				case "DeleteMessage":
					deleted = append(deleted, in.ReceiptHandle)
				case "ChangeMessageVisibility":
					released = append(released, in.ReceiptHandle)
				case "Invoke":
					var s []string
					for _, r := range in.Records {
						s = append(s, r.Dynamodb.SequenceNumber)
					}
					invoked = append(invoked, strings.Join(s, ","))
				}
			}
			if d, r, i := strings.Join(deleted, " "), strings.Join(released, " "), strings.Join(invoked, " "); d != test.deleted || r != test.released || i != test.invoked {
				t.Errorf("deleted %q, released %q, invoked with %q; want %q, %q, %q", d, r, i, test.deleted, test.released, test.invoked)
			}
		})
	}
}

// The records that a function gets again look as they did the first time.
func TestRecordsAsFromTheMapping(t *testing.T) {
	attributes := map[string]streamtypes.AttributeValue{
		"s": &streamtypes.AttributeValueMemberS{Value: "a<b"}, "n": &streamtypes.AttributeValueMemberN{Value: "1.50"},
		"b": &streamtypes.AttributeValueMemberB{Value: []byte{1}}, "t": &streamtypes.AttributeValueMemberBOOL{Value: true},
		"0": &streamtypes.AttributeValueMemberNULL{Value: true}, "ss": &streamtypes.AttributeValueMemberSS{Value: []string{"x"}},
		"ns": &streamtypes.AttributeValueMemberNS{Value: []string{"2"}}, "bs": &streamtypes.AttributeValueMemberBS{Value: [][]byte{{2}}},
		"m": &streamtypes.AttributeValueMemberM{Value: map[string]streamtypes.AttributeValue{"l": &streamtypes.AttributeValueMemberL{
			Value: []streamtypes.AttributeValue{&streamtypes.AttributeValueMemberS{Value: "in"}},
		}}},
	}
	j, err := json.Marshal(eventRecord(streamtypes.Record{
		AwsRegion: aws.String("us-east-1"), EventID: aws.String("1"), EventName: "REMOVE", EventSource: aws.String("aws:dynamodb"), EventVersion: aws.String("1.1"),
		Dynamodb: &streamtypes.StreamRecord{
			SequenceNumber: aws.String("100000000000000000001"), SizeBytes: aws.Int64(26), StreamViewType: "OLD_IMAGE", OldImage: attributes,
			Keys: map[string]streamtypes.AttributeValue{"s": attributes["s"]},
		},
		UserIdentity: &streamtypes.Identity{Type: aws.String("Service"), PrincipalId: aws.String("dynamodb.amazonaws.com")},
	}, "arn"))
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(j, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{
		"eventID":"1","eventName":"REMOVE","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"us-east-1","eventSourceARN":"arn",
		"dynamodb":{"Keys":{"s":{"S":"a<b"}},"SequenceNumber":"100000000000000000001","SizeBytes":26,"StreamViewType":"OLD_IMAGE","OldImage":{
			"s":{"S":"a<b"},"n":{"N":"1.50"},"b":{"B":"AQ=="},"t":{"BOOL":true},"0":{"NULL":true},"ss":{"SS":["x"]},"ns":{"NS":["2"]},"bs":{"BS":["Ag=="]},
			"m":{"M":{"l":{"L":[{"S":"in"}]}}}}},
		"userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"}}`), &want); err != nil {
		t.Fatal(err)
	}
	if difference := cmp.Diff(want, got); difference != "" {
		t.Error(difference)
	}
}

// An interrupted run leaves everything that it has not delivered to the next one.
func TestInterrupted(t *testing.T) {
	f := &fake{answers: map[string][]string{"ReceiveMessage": {message(batch("8", "8"), batch("9", "9")), "{}"}}}
	server := httptest.NewServer(f)
	defer server.Close()
	r, err := newRedrive(t.Context(), flags{Endpoint: server.URL, QueueURL: server.URL + "/1/q", Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.out = writerFunc(func() {})
	batches, _, err := r.receive(ctx)
	if err != nil || len(batches) != 2 {
		t.Fatal(batches, err)
	}
	f.answers["ReceiveMessage"] = []string{message(batch("8", "8"), batch("9", "9")), "{}"}
	f.answers["GetShardIterator"] = []string{noStream}
	r.out = writerFunc(cancel) // the first batch's failure is told, and somebody presses Ctrl-C
	f.asked = nil
	if _, err := r.run(ctx); err == nil || !strings.Contains(err.Error(), "1 messages were not looked at") {
		t.Errorf("run = %v, want that it was interrupted", err)
	}
	released := 0
	for _, asked := range f.asked {
		if strings.HasPrefix(asked, "ChangeMessageVisibility") {
			released++
		}
	}
	if released != 2 {
		t.Errorf("%d messages can be received again, want 2", released)
	}
}

type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) { f(); return len(p), nil }
