// Package differential holds the embedded DynamoDB against AWS's DynamoDB Local: both get the same
// requests, and what they answer is compared, errors included. Most requests are generated.
//
// DynamoDB Local is not DynamoDB. Where it is known to differ from AWS's documentation or from what was
// observed on AWS, the difference stands in differences_test.go, with its source; nothing else is let pass.
//
// Run it by make test-differential; without DUET_DYNAMODB_LOCAL the tests are skipped. A failure prints
// the seed, and DUET_DIFFERENTIAL_SEED runs that alone. DUET_DIFFERENTIAL_CHECKS is the number of generated
// cases per seed, DUET_DIFFERENTIAL_SURVEY=1 goes on after a difference and lists each kind once.
package differential

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/meter"
	"github.com/duet-chat/duet/localstack/storage"
)

// engine runs an operation of the JSON protocol.
type engine interface {
	do(target string, body []byte) (status int, response []byte, err error)
}

// embedded is the engine of the local cloud.
type embedded struct{ *dynamodb.DB }

func (e embedded) do(target string, body []byte) (int, []byte, error) {
	status, response := e.Do(context.Background(), target, body)
	return status, response, nil
}

// remote is a DynamoDB elsewhere.
type remote struct{ url string }

func (r remote) do(target string, body []byte) (int, []byte, error) {
	request, err := http.NewRequest(http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("X-Amz-Target", target)
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	// DynamoDB Local wants to see a signature, and does not check it.
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local/20200101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=none")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// engines are the two that are compared.
type engines struct {
	local, embedded engine
	survey          *survey // nil unless it was asked for
	order           bool    // it counts which of several refusals comes first
	diverged        bool    // one of them has refused what the other has done, as it may: they hold different data
}

// tables counts the tables of this run: each has a name of its own.
var tables atomic.Int64

func tableName() string { return fmt.Sprintf("t%d-%d", os.Getpid(), tables.Add(1)) }

func newEngines(t *testing.T) *engines {
	t.Helper()
	url := os.Getenv("DUET_DYNAMODB_LOCAL")
	if url == "" {
		t.Skip("needs DynamoDB Local: run make test-differential")
	}
	store, err := storage.Open("")
	if err != nil {
		t.Fatal(err)
	}
	db, err := dynamodb.New(dynamodb.Options{
		Store: store, Region: "us-east-1", Account: "000000000000", Now: time.Now, Meter: meter.New(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	e := &engines{local: remote{url}, embedded: embedded{db}}
	if os.Getenv("DUET_DIFFERENTIAL_SURVEY") != "" {
		e.survey = &survey{seen: map[string]int{}}
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		e.survey.report(t)
	})
	return e
}

// object is a JSON object.
type object = map[string]any

// answer is what an engine answered, in the form in which answers are compared.
type answer struct {
	Status  int
	Type    string // of an error
	Message string // of an error
	Body    object // of an error what else it says
}

func (a answer) failed() bool { return a.Status != http.StatusOK }

func (a answer) String() string {
	if a.failed() && len(a.Body) == 0 {
		return fmt.Sprintf("%d %s: %s", a.Status, a.Type, a.Message)
	}
	body, _ := json.Marshal(a.Body) // came from JSON
	if a.failed() {
		return fmt.Sprintf("%d %s: %s %s", a.Status, a.Type, a.Message, body)
	}
	return fmt.Sprintf("%d %s", a.Status, body)
}

const target, streamsTarget = "DynamoDB_20120810.", "DynamoDBStreams_20120810."

// ask runs an operation on one engine.
func ask(t rapid.TB, e engine, target string, request any) answer {
	t.Helper()
	body, ok := request.([]byte)
	if !ok {
		var err error
		if body, err = json.Marshal(request); err != nil {
			t.Fatal(err)
		}
	}
	status, response, err := e.do(target, body)
	if err != nil {
		t.Fatalf("%s %s: %v", target, body, err)
	}
	a, err := newAnswer(status, response)
	if err != nil {
		t.Fatalf("%s %s: %s: %v", target, body, response, err)
	}
	if _, ok := e.(remote); ok {
		// DynamoDB Local keeps numbers within documents as they were written. DynamoDB trims zeroes that
		// say nothing. Source: DynamoDB developer guide, "Data types", Number.
		plain(a.Body)
	}
	return a
}

// both runs an operation of DynamoDB on both engines, compares what they answer and returns the embedded
// one's answer, and DynamoDB Local's where the two differ as they may.
func (e *engines) both(t rapid.TB, operation string, request any) (local, embedded answer) {
	t.Helper()
	local, embedded = ask(t, e.local, target+operation, request), ask(t, e.embedded, target+operation, request)
	e.compare(t, operation, request, local, embedded)
	return local, embedded
}

// fixedSeeds are those of every run. Another one is random.
//
// Of a request that deserves several refusals AWS documents none to come first. With the fixed seeds the
// embedded engine gives the one that DynamoDB Local gives; with others, where new combinations come up in
// each run, it may give another one, which is logged: a survey lists them.
var fixedSeeds = []uint64{1, 2}

// check runs a property with every seed of this run. cases is how many cases a seed has.
func (e *engines) check(t *testing.T, cases int, property func(*rapid.T)) {
	seeds := append(fixedSeeds[:len(fixedSeeds):len(fixedSeeds)], rand.Uint64())
	if text := os.Getenv("DUET_DIFFERENTIAL_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("DUET_DIFFERENTIAL_SEED: %v", err)
		}
		seeds = []uint64{seed}
	}
	if text := os.Getenv("DUET_DIFFERENTIAL_CHECKS"); text != "" {
		var err error
		if cases, err = strconv.Atoi(text); err != nil {
			t.Fatalf("DUET_DIFFERENTIAL_CHECKS: %v", err)
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			for name, value := range map[string]string{
				"rapid.seed": fmt.Sprint(seed), "rapid.checks": fmt.Sprint(cases), "rapid.nofailfile": "true", "rapid.shrinktime": "20s",
			} {
				if err := flag.Set(name, value); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("DUET_DIFFERENTIAL_SEED=%d runs this again", seed)
			e.order = e.survey != nil || slices.Contains(fixedSeeds, seed)
			rapid.Check(t, property)
		})
	}
}
