package store_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/duet-chat/duet/internal/store/storetest"
	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/meter"
	"github.com/duet-chat/duet/localstack/storage"
)

// engine is the local cloud's DynamoDB, in memory, reached through the AWS SDK without a socket.
type engine struct {
	db    *dynamodb.DB
	meter *meter.Meter
	// between, if set, may answer a request in the engine's place; nil lets the engine answer.
	between func(target string, body []byte) *answer
}

type answer struct {
	status int
	body   string
}

func newEngine(t testing.TB) *engine {
	t.Helper()
	kept, err := storage.Open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	e := &engine{meter: meter.New()}
	e.db, err = dynamodb.New(dynamodb.Options{
		Store: kept, Region: "us-east-1", Account: "000000000000", Now: time.Now, Meter: e.meter, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.db.Close() })
	return e
}

// Do implements aws.HTTPClient.
func (e *engine) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	target := r.Header.Get("X-Amz-Target")
	var given *answer
	if e.between != nil {
		given = e.between(target, body)
	}
	if given == nil {
		status, response := e.db.Do(r.Context(), target, body)
		given = &answer{status, string(response)}
	}
	return &http.Response{
		StatusCode: given.status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(bytes.NewReader([]byte(given.body))), ContentLength: int64(len(given.body)), Request: r,
	}, nil
}

func (e *engine) config() aws.Config {
	return aws.Config{
		Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, HTTPClient: e, BaseEndpoint: aws.String("http://engine"),
	}
}

func (e *engine) tables(t testing.TB) storetest.Tables {
	t.Helper()
	return storetest.Create(t, e.config(), "duet-")
}

// written is what a table's writes took so far, in write units.
func (e *engine) written(table string) float64 {
	return e.meter.Counter("dynamodb", table, "write_units").Value()
}

func (e *engine) read(table string) float64 {
	return e.meter.Counter("dynamodb", table, "read_units").Value()
}
