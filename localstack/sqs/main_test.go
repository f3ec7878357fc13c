package sqs_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

	"github.com/duet-chat/duet/localstack/sqs"
	"github.com/duet-chat/duet/localstack/storage"
)

const arn = "arn:aws:sqs:us-east-1:000000000000:"

// open makes a service on a store in a folder, "" for memory.
func open(t testing.TB, dir string, o sqs.Options, queues ...sqs.Queue) *sqs.Service {
	t.Helper()
	store, err := storage.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	o.Store, o.Region, o.Account = store, "us-east-1", "000000000000"
	if o.BaseURL == "" {
		o.BaseURL = "http://localhost:4566"
	}
	s, err := sqs.New(o, queues...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// client is AWS's own client of a service.
func client(t testing.TB, o sqs.Options, queues ...sqs.Queue) *awssqs.Client {
	t.Helper()
	var service http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { service.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	o.BaseURL = server.URL
	service = open(t, "", o, queues...)
	return awssqs.New(awssqs.Options{
		BaseEndpoint: &server.URL, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""), RetryMaxAttempts: 1,
	})
}

// url is where the client finds a queue.
func url(t testing.TB, c *awssqs.Client, name string) *string {
	t.Helper()
	out, err := c.GetQueueUrl(t.Context(), &awssqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return out.QueueUrl
}

func send(t testing.TB, c *awssqs.Client, url *string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if _, err := c.SendMessage(t.Context(), &awssqs.SendMessageInput{QueueUrl: url, MessageBody: &body}); err != nil {
			t.Fatal(err)
		}
	}
}

// receive receives up to ten messages and returns their bodies and handles.
func receive(t testing.TB, c *awssqs.Client, in awssqs.ReceiveMessageInput) (bodies string, handles []*string) {
	t.Helper()
	in.MaxNumberOfMessages = 10
	out, err := c.ReceiveMessage(t.Context(), &in)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range out.Messages {
		all, handles = append(all, *m.Body), append(handles, m.ReceiptHandle)
	}
	return strings.Join(all, " "), handles
}

// code is the code of an API error, "" for none.
func code(t testing.TB, err error) string {
	t.Helper()
	var api smithy.APIError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &api):
		t.Fatalf("%v is no API error", err)
	}
	return api.ErrorCode()
}

var background = context.Background()

func to[T any](v T) *T { return &v }
