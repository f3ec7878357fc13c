package sqs_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/duet-chat/duet/localstack/meter"
	"github.com/duet-chat/duet/localstack/sqs"
)

// clock is a clock that a test steps.
type clock struct{ time.Time }

func (c *clock) now() time.Time       { return c.Time }
func (c *clock) step(d time.Duration) { c.Time = c.Add(d) }

func newClock() *clock { return &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

// Source: SQS developer guide, "Amazon SQS visibility timeout".
func TestVisibilityTimeout(t *testing.T) {
	now := newClock()
	c := client(t, sqs.Options{Now: now.now}, sqs.Queue{Name: "q"})
	q := url(t, c, "q")
	send(t, c, q, "a", "b")
	got, first := receive(t, c, awssqs.ReceiveMessageInput{QueueUrl: q})
	if got != "a b" {
		t.Fatalf("received %q, want the oldest first", got)
	}
	if got, _ := receive(t, c, awssqs.ReceiveMessageInput{QueueUrl: q}); got != "" {
		t.Fatalf("received %q, want nothing while all are hidden", got)
	}
	if _, err := c.DeleteMessage(t.Context(), &awssqs.DeleteMessageInput{QueueUrl: q, ReceiptHandle: first[0]}); err != nil {
		t.Fatal(err)
	}
	now.step(30*time.Second - time.Millisecond)
	if got, _ := receive(t, c, awssqs.ReceiveMessageInput{QueueUrl: q}); got != "" {
		t.Fatalf("received %q before the default of 30 s was over", got)
	}
	now.step(time.Millisecond)
	got, second := receive(t, c, awssqs.ReceiveMessageInput{QueueUrl: q, VisibilityTimeout: 60})
	if got != "b" {
		t.Fatalf("received %q, want what was not deleted", got)
	}
	// The handle of an earlier receive succeeds and deletes nothing.
	for _, handle := range []*string{first[1], first[0]} {
		if _, err := c.DeleteMessage(t.Context(), &awssqs.DeleteMessageInput{QueueUrl: q, ReceiptHandle: handle}); err != nil {
			t.Error(err)
		}
	}
	change := func(handle *string, d int32) string {
		_, err := c.ChangeMessageVisibility(t.Context(), &awssqs.ChangeMessageVisibilityInput{QueueUrl: q, ReceiptHandle: handle, VisibilityTimeout: d})
		return code(t, err)
	}
	if got := change(second[0], 0); got != "" {
		t.Errorf("change of a message in flight = %s", got)
	}
	if got := change(second[0], 10); got != "MessageNotInflight" && got != "AWS.SimpleQueueService.MessageNotInflight" {
		t.Errorf("change of a message that can be seen = %q, want MessageNotInflight", got)
	}
	if got := change(first[0], 10); got != "InvalidParameterValue" && got != "InvalidParameterValueException" {
		t.Errorf("change of a message that is gone = %q, want InvalidParameterValue", got)
	}
	out, err := c.ReceiveMessage(t.Context(), &awssqs.ReceiveMessageInput{QueueUrl: q, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}})
	if err != nil || len(out.Messages) != 1 {
		t.Fatalf("receive = %v, %v: want b, for which 0 s hide nothing any more", out, err)
	}
	m := out.Messages[0]
	want := map[string]string{
		"SenderId": "000000000000", "SentTimestamp": "1767225600000", "ApproximateFirstReceiveTimestamp": "1767225600000", "ApproximateReceiveCount": "3",
	}
	if fmt.Sprint(m.Attributes) != fmt.Sprint(want) {
		t.Errorf("attributes = %v, want %v", m.Attributes, want)
	}
}

// Messages, how often they were received and until when they are hidden outlive a restart.
func TestMessagesSurviveRestart(t *testing.T) {
	dir := t.TempDir()
	now := newClock()
	queues := []sqs.Queue{{Name: "failures"}, {Name: "failures-of-others"}}
	t.Run("first", func(t *testing.T) {
		s := open(t, dir, sqs.Options{Now: now.now}, queues...)
		for _, m := range []string{`{"a":1}`, "text"} {
			if err := s.Send(background, arn+"failures", []byte(m)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Send(background, arn+"failures-of-others", []byte("3")); err != nil {
			t.Fatal(err)
		}
		status, body, _ := s.Do(background, "ReceiveMessage", []byte(`{"QueueUrl":"http://x/000000000000/failures"}`))
		if status != 200 || !strings.Contains(string(body), `{\"a\":1}`) {
			t.Errorf("receive = %d %s", status, body)
		}
	})
	t.Run("after a restart", func(t *testing.T) {
		s := open(t, dir, sqs.Options{Now: now.now}, queues...)
		if err := s.Send(background, arn+"failures", []byte("4")); err != nil {
			t.Fatal(err)
		}
		all, err := s.Messages()
		if got, want := fmt.Sprintf("%s", all), `map[`+arn+`failures:[{"a":1} "text" 4] `+arn+`failures-of-others:[3]]`; err != nil || got != want {
			t.Errorf("messages = %s %v, want %s", got, err, want)
		}
		_, body, _ := s.Do(background, "ReceiveMessage", []byte(`{"QueueUrl":"http://x/000000000000/failures","MaxNumberOfMessages":10}`))
		if strings.Contains(string(body), `{\"a\":1}`) {
			t.Error("a message that is hidden was received")
		}
		now.step(time.Minute)
		_, body, _ = s.Do(background, "ReceiveMessage", []byte(`{"QueueUrl":"http://x/000000000000/failures","AttributeNames":["ApproximateReceiveCount"]}`))
		if !strings.Contains(string(body), `{"ApproximateReceiveCount":"2"}`) {
			t.Errorf("received %s, want the second receive of the first message", body)
		}
		if err := s.Send(background, arn+"nowhere", nil); err == nil || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("error = %v, want one that names the queue", err)
		}
	})
}

// Source: SQS API reference, CreateQueue, MessageRetentionPeriod and DelaySeconds.
func TestRetentionAndDelay(t *testing.T) {
	now := newClock()
	c := client(t, sqs.Options{Now: now.now}, sqs.Queue{Name: "q", Retention: time.Minute, Delay: 10 * time.Second})
	q := url(t, c, "q")
	send(t, c, q, "old")
	counts := func() string {
		out, err := c.GetQueueAttributes(t.Context(), &awssqs.GetQueueAttributesInput{QueueUrl: q, AttributeNames: []types.QueueAttributeName{"All"}})
		if err != nil {
			t.Fatal(err)
		}
		a := out.Attributes
		return a["ApproximateNumberOfMessages"] + a["ApproximateNumberOfMessagesNotVisible"] + a["ApproximateNumberOfMessagesDelayed"]
	}
	for _, step := range []struct {
		after    time.Duration
		received string
		counts   string // visible, in flight, delayed
	}{
		{9 * time.Second, "", "001"},
		{time.Second, "old", "010"},
		{30 * time.Second, "old", "010"},
		{21 * time.Second, "", "000"},
	} {
		now.step(step.after)
		if got, _ := receive(t, c, awssqs.ReceiveMessageInput{QueueUrl: q}); got != step.received {
			t.Errorf("after %v more received %q, want %q", step.after, got, step.received)
		}
		if got := counts(); got != step.counts {
			t.Errorf("after %v more the counts are %s, want %s", step.after, got, step.counts)
		}
	}
}

// A long poll costs nothing while it waits, and ends when there is a message, or when the time is up.
// Source: SQS developer guide, "Amazon SQS short and long polling".
func TestLongPolling(t *testing.T) {
	const poll = `{"QueueUrl":"http://x/000000000000/q","WaitTimeSeconds":20,"VisibilityTimeout":5}`
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "", sqs.Options{}, sqs.Queue{Name: "q"})
		began := time.Now()
		want := func(what, text string, after time.Duration) {
			t.Helper()
			_, body, _ := s.Do(t.Context(), "ReceiveMessage", []byte(poll))
			if took := time.Since(began); took != after || strings.Contains(string(body), `"Body"`) != (text != "") || !strings.Contains(string(body), text) {
				t.Errorf("%s: after %v received %s, want %q after %v", what, took, body, text, after)
			}
			began = time.Now()
		}
		want("nothing comes", "", 20*time.Second)
		time.AfterFunc(3*time.Second, func() { _ = s.Send(background, arn+"q", []byte("late")) })
		want("one is sent", "late", 3*time.Second)
		want("it can be seen again", "late", 5*time.Second)
		_, _, _ = s.Do(background, "PurgeQueue", []byte(`{"QueueUrl":"http://x/000000000000/q"}`))
		_, _, _ = s.Do(background, "SendMessage", []byte(`{"QueueUrl":"http://x/000000000000/q","MessageBody":"delayed","DelaySeconds":7}`))
		want("its delay is over", "delayed", 7*time.Second)
	})
}

// Source: SQS API reference, errors of each action; codes as AWS's own client reads them.
func TestRefusals(t *testing.T) {
	now := newClock()
	m := meter.New()
	c := client(t, sqs.Options{Now: now.now, Meter: m}, sqs.Queue{Name: "q", MaximumSize: 2048})
	q := url(t, c, "q")
	nowhere := to(strings.Replace(*q, "/q", "/nowhere", 1))
	ctx := t.Context()
	if _, err := c.PurgeQueue(ctx, &awssqs.PurgeQueueInput{QueueUrl: q}); err != nil {
		t.Fatal(err)
	}
	type calls = func() error
	for name, test := range map[string]struct {
		call calls
		want string // the end of the code
	}{
		"unknown queue's URL": {func() error { _, err := c.GetQueueUrl(ctx, &awssqs.GetQueueUrlInput{QueueName: to("p")}); return err }, "QueueDoesNotExist"},
		"unknown queue": {func() error {
			_, err := c.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: nowhere})
			return err
		}, "QueueDoesNotExist"},
		"no body": {func() error {
			_, err := c.SendMessage(ctx, &awssqs.SendMessageInput{QueueUrl: q, MessageBody: to("")})
			return err
		}, "MissingParameter"},
		"body too long": {func() error {
			_, err := c.SendMessage(ctx, &awssqs.SendMessageInput{QueueUrl: q, MessageBody: to(strings.Repeat("x", 2049))})
			return err
		}, "InvalidParameterValue"},
		"control character": {func() error {
			_, err := c.SendMessage(ctx, &awssqs.SendMessageInput{QueueUrl: q, MessageBody: to("\x01")})
			return err
		}, "InvalidMessageContents"},
		"delay too long": {func() error {
			_, err := c.SendMessage(ctx, &awssqs.SendMessageInput{QueueUrl: q, MessageBody: to("x"), DelaySeconds: 901})
			return err
		}, "InvalidParameterValue"},
		"eleven messages": {func() error {
			_, err := c.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: q, MaxNumberOfMessages: 11})
			return err
		}, "InvalidParameterValue"},
		"wait too long": {func() error {
			_, err := c.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: q, WaitTimeSeconds: 21})
			return err
		}, "InvalidParameterValue"},
		"handle of nothing": {func() error {
			_, err := c.DeleteMessage(ctx, &awssqs.DeleteMessageInput{QueueUrl: q, ReceiptHandle: to("x")})
			return err
		}, "ReceiptHandleIsInvalid"},
		"unknown attribute": {func() error {
			_, err := c.GetQueueAttributes(ctx, &awssqs.GetQueueAttributesInput{QueueUrl: q, AttributeNames: []types.QueueAttributeName{"Colour"}})
			return err
		}, "InvalidAttributeName"},
		"purged again": {func() error { _, err := c.PurgeQueue(ctx, &awssqs.PurgeQueueInput{QueueUrl: q}); return err }, "PurgeQueueInProgress"},
		"unsupported":  {func() error { _, err := c.CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: to("new")}); return err }, "UnsupportedOperation"},
		"attributes": {func() error {
			_, err := c.SendMessage(ctx, &awssqs.SendMessageInput{QueueUrl: q, MessageBody: to("x"), MessageAttributes: map[string]types.MessageAttributeValue{"a": {DataType: to("String"), StringValue: to("b")}}})
			return err
		}, "UnsupportedOperation"},
		"empty batch": {func() error {
			_, err := c.DeleteMessageBatch(ctx, &awssqs.DeleteMessageBatchInput{QueueUrl: q, Entries: []types.DeleteMessageBatchRequestEntry{}})
			return err
		}, "EmptyBatchRequest"},
		"entries not distinct": {func() error {
			_, err := c.DeleteMessageBatch(ctx, &awssqs.DeleteMessageBatchInput{QueueUrl: q, Entries: []types.DeleteMessageBatchRequestEntry{{Id: to("1"), ReceiptHandle: to("x")}, {Id: to("1"), ReceiptHandle: to("x")}}})
			return err
		}, "BatchEntryIdsNotDistinct"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.call()
			if got := strings.TrimSuffix(code(t, err), "Exception"); !strings.HasSuffix(got, test.want) && !(test.want == "QueueDoesNotExist" && errors.As(err, to((*types.QueueDoesNotExist)(nil)))) {
				t.Errorf("error = %v, want %s", err, test.want)
			}
		})
	}
	now.step(time.Minute)
	if _, err := c.PurgeQueue(ctx, &awssqs.PurgeQueueInput{QueueUrl: q}); err != nil {
		t.Errorf("purge a minute later = %v", err)
	}
	if m.Usage()["sqs"]["q"]["requests"] == 0 {
		t.Error("requests are not counted")
	}
}

// Each entry of a batch succeeds or fails alone.
func TestBatches(t *testing.T) {
	c := client(t, sqs.Options{}, sqs.Queue{Name: "q"})
	q := url(t, c, "q")
	sent, err := c.SendMessageBatch(t.Context(), &awssqs.SendMessageBatchInput{QueueUrl: q, Entries: []types.SendMessageBatchRequestEntry{
		{Id: to("1"), MessageBody: to("a")}, {Id: to("2"), MessageBody: to("b"), DelaySeconds: 1000}, {Id: to("3"), MessageBody: to("c")},
	}})
	if err != nil || len(sent.Successful) != 2 || len(sent.Failed) != 1 || *sent.Failed[0].Id != "2" || !sent.Failed[0].SenderFault {
		t.Fatalf("sent = %+v, %v", sent, err)
	}
	got, handles := receive(t, c, awssqs.ReceiveMessageInput{QueueUrl: q, VisibilityTimeout: 600})
	if got != "a c" {
		t.Fatalf("received %q", got)
	}
	deleted, err := c.DeleteMessageBatch(t.Context(), &awssqs.DeleteMessageBatchInput{QueueUrl: q, Entries: []types.DeleteMessageBatchRequestEntry{
		{Id: to("1"), ReceiptHandle: handles[0]}, {Id: to("2"), ReceiptHandle: to("x")},
	}})
	if err != nil || len(deleted.Successful) != 1 || len(deleted.Failed) != 1 || *deleted.Failed[0].Code != "ReceiptHandleIsInvalid" {
		t.Fatalf("deleted = %+v, %v", deleted, err)
	}
	changed, err := c.ChangeMessageVisibilityBatch(t.Context(), &awssqs.ChangeMessageVisibilityBatchInput{QueueUrl: q, Entries: []types.ChangeMessageVisibilityBatchRequestEntry{
		{Id: to("1"), ReceiptHandle: handles[1], VisibilityTimeout: 0},
	}})
	if err != nil || len(changed.Successful) != 1 {
		t.Fatalf("changed = %+v, %v", changed, err)
	}
	if got, _ := receive(t, c, awssqs.ReceiveMessageInput{QueueUrl: q}); got != "c" {
		t.Errorf("received %q, want what is neither deleted nor hidden", got)
	}
}

func TestListQueues(t *testing.T) {
	c := client(t, sqs.Options{}, sqs.Queue{Name: "duet-b"}, sqs.Queue{Name: "duet-a"}, sqs.Queue{Name: "other"})
	var pages []string
	for p := awssqs.NewListQueuesPaginator(c, &awssqs.ListQueuesInput{QueueNamePrefix: to("duet-"), MaxResults: to(int32(1))}); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page.QueueUrls {
			pages = append(pages, u[strings.LastIndexByte(u, '/')+1:])
		}
	}
	if got := strings.Join(pages, " "); got != "duet-a duet-b" {
		t.Errorf("queues = %s", got)
	}
}
