package lambda_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/duet-chat/duet/localstack/lambda"
)

// invoker is an Invoker of a Go function.
type invoker func(ctx context.Context, function string, event []byte) (lambda.Result, error)

func (i invoker) Invoke(ctx context.Context, function string, event []byte) (lambda.Result, error) {
	return i(ctx, function, event)
}

func api(t testing.TB, i invoker) *lambda.API {
	t.Helper()
	a, err := lambda.NewAPI(lambda.APIOptions{
		Invoker: i, Region: "us-east-1", Account: "000000000000", Log: slog.New(slog.DiscardHandler),
		Functions: []lambda.Function{{Name: "Fn", Env: map[string]string{"TABLE": "T"}, Timeout: 7 * time.Second}, {Name: "Another"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// Source: Lambda API reference, Invoke; as AWS's own client reads the answers.
func TestInvokeAPI(t *testing.T) {
	server := httptest.NewServer(api(t, func(_ context.Context, function string, event []byte) (lambda.Result, error) {
		switch string(event) {
		case `"throttle"`:
			return lambda.Result{}, fmt.Errorf("invoke: %w", lambda.ErrThrottled)
		case `"break"`:
			return lambda.Result{}, errors.New("no such file")
		case `"fail"`:
			return lambda.Result{RequestID: "r-2", FunctionError: "Unhandled", Payload: []byte(`{"errorMessage":"broken"}`)}, nil
		}
		return lambda.Result{RequestID: "r-1", Payload: fmt.Appendf(nil, `{"%s":%s}`, function, event)}, nil
	}))
	defer server.Close()
	c := awslambda.New(awslambda.Options{
		BaseEndpoint: &server.URL, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""), RetryMaxAttempts: 1,
	})
	for _, test := range []struct {
		name, function, payload string
		kind                    types.InvocationType
		status                  int32 // 0 for a refusal
		want                    string
	}{
		{"by name", "Fn", `{"a":1}`, "", 200, `{"Fn":{"a":1}}`},
		{"by ARN", "arn:aws:lambda:us-east-1:000000000000:function:Fn", `1`, types.InvocationTypeRequestResponse, 200, `{"Fn":1}`},
		{"by a part of the ARN, with the version", "000000000000:function:Fn:$LATEST", `1`, "", 200, `{"Fn":1}`},
		{"without event", "Fn", "", "", 200, `{"Fn":{}}`},
		{"function error", "Fn", `"fail"`, "", 200, `Unhandled {"errorMessage":"broken"}`},
		{"dry run", "Fn", `"break"`, types.InvocationTypeDryRun, 204, ""},
		{"event", "Fn", `1`, types.InvocationTypeEvent, 202, ""},
		{"throttled", "Fn", `"throttle"`, "", 0, "TooManyRequestsException"},
		{"broken platform", "Fn", `"break"`, "", 0, "ServiceException"},
		{"unknown function", "Gn", `1`, "", 0, "ResourceNotFoundException"},
		{"unknown version", "Fn:2", `1`, "", 0, "ResourceNotFoundException"},
		{"no JSON", "Fn", `{`, "", 0, "InvalidRequestContentException"},
		{"unknown type", "Fn", `1`, "Later", 0, "InvalidParameterValueException"},
		{"event too large", "Fn", `"` + strings.Repeat("x", 1<<20) + `"`, types.InvocationTypeEvent, 0, "RequestTooLargeException"},
		{"request too large", "Fn", `"` + strings.Repeat("x", 6<<20) + `"`, "", 0, "RequestTooLargeException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := c.Invoke(t.Context(), &awslambda.InvokeInput{FunctionName: &test.function, Payload: []byte(test.payload), InvocationType: test.kind})
			if test.status == 0 {
				var refusal smithy.APIError
				if !errors.As(err, &refusal) || refusal.ErrorCode() != test.want {
					t.Fatalf("error = %v, want %s", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := string(out.Payload)
			if out.FunctionError != nil {
				got = *out.FunctionError + " " + got
			}
			if out.StatusCode != test.status || got != test.want || out.ExecutedVersion == nil || *out.ExecutedVersion != "$LATEST" {
				t.Errorf("answer = %d %s, want %d %s of $LATEST", out.StatusCode, got, test.status, test.want)
			}
		})
	}
	list, err := c.ListFunctions(t.Context(), &awslambda.ListFunctionsInput{})
	if err != nil || len(list.Functions) != 2 || *list.Functions[1].FunctionName != "Fn" {
		t.Errorf("functions = %+v, %v", list, err)
	}
	name := "Fn"
	one, err := c.GetFunctionConfiguration(t.Context(), &awslambda.GetFunctionConfigurationInput{FunctionName: &name})
	if err != nil || *one.Timeout != 7 || *one.MemorySize != lambda.DefaultMemoryMB || one.Environment.Variables["TABLE"] != "T" {
		t.Errorf("configuration = %+v, %v", one, err)
	}
	if _, err := c.GetFunction(t.Context(), &awslambda.GetFunctionInput{FunctionName: &name}); err != nil {
		t.Error(err)
	}
}

// Source: Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation".
func TestAsynchronousRetries(t *testing.T) {
	throttled := fmt.Errorf("invoke: %w", lambda.ErrThrottled)
	broken := lambda.Result{FunctionError: "Unhandled"}
	for _, test := range []struct {
		name    string
		results []any // of each try: a lambda.Result or an error
		want    string
	}{
		{"at once", []any{lambda.Result{}}, "0s"},
		{"two retries after errors", []any{broken, broken, broken}, "0s 1m0s 3m0s"},
		{"it recovers", []any{broken, lambda.Result{}}, "0s 1m0s"},
		{"throttling costs no retries", []any{throttled, throttled, broken, broken, broken}, "0s 1s 3s 1m3s 3m3s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var mu sync.Mutex // guards tries
				var tries []string
				a := api(t, func(context.Context, string, []byte) (lambda.Result, error) {
					mu.Lock()
					defer mu.Unlock()
					tries = append(tries, time.Since(began).String())
					if err, ok := test.results[len(tries)-1].(error); ok {
						return lambda.Result{}, err
					}
					return test.results[len(tries)-1].(lambda.Result), nil
				})
				r := httptest.NewRequest(http.MethodPost, lambda.APIPath+"/Fn/invocations", strings.NewReader("{}"))
				r.Header.Set("X-Amz-Invocation-Type", "Event")
				w := httptest.NewRecorder()
				a.ServeHTTP(w, r)
				time.Sleep(7 * time.Hour) // of the bubble's clock: whatever is to come has come
				mu.Lock()
				defer mu.Unlock()
				if got := strings.Join(tries, " "); w.Code != http.StatusAccepted || got != test.want {
					t.Errorf("status %d, tries after %s, want %s", w.Code, got, test.want)
				}
			})
		})
	}
}
