package lambda_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/meter"
)

// handler is a function's code in a test.
type handler func(ctx context.Context, event []byte) ([]byte, error)

func (h handler) Invoke(ctx context.Context, event []byte) ([]byte, error) { return h(ctx, event) }

// inProcess runs one function Fn with a time-out of two seconds.
func inProcess(t testing.TB, o lambda.Options, h handler) *lambda.InProcess {
	t.Helper()
	if o.Functions == nil {
		o.Functions = []lambda.Function{{Name: "Fn", Folder: "fn", Timeout: 2 * time.Second}}
	}
	o.Region, o.Account, o.Now = "us-east-1", "000000000000", time.Now
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p, err := lambda.NewInProcess(o, map[string]function.Constructor{
		"fn": func(function.Env) (awslambda.Handler, error) { return h, nil },
	}, unconnected)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// unconnected gives functions no services.
func unconnected(string) (aws.Config, *http.Client) { return aws.Config{}, http.DefaultClient }

type refusal struct{}

func (*refusal) Error() string { return "no" }

func TestInProcessResults(t *testing.T) {
	tests := []struct {
		name          string
		handler       handler
		payload       string // "" when only type and message are compared
		errorType     string
		errorContains string
	}{
		{"a response is the payload", func(_ context.Context, e []byte) ([]byte, error) { return append([]byte("got "), e...), nil }, "got {}", "", ""},
		{"an error has its Go type's name", func(context.Context, []byte) ([]byte, error) { return nil, errors.New("broken") },
			`{"errorMessage":"broken","errorType":"errorString"}`, "errorString", "broken"},
		{"a pointer's type counts", func(context.Context, []byte) ([]byte, error) { return nil, &refusal{} },
			`{"errorMessage":"no","errorType":"refusal"}`, "refusal", "no"},
		{"an error may be Lambda's own", func(context.Context, []byte) ([]byte, error) {
			return nil, messages.InvokeResponse_Error{Type: "Mine", Message: "as I say"}
		}, `{"errorMessage":"as I say","errorType":"Mine"}`, "Mine", "as I say"},
		{"a panic is an error", func(context.Context, []byte) ([]byte, error) { panic("oh") }, "", "string", "oh"},
		{"a fault of the runtime is an error", func(_ context.Context, event []byte) ([]byte, error) {
			return event[len(event)+1:], nil
		}, "", "boundsError", "out of range"},
		{"an ended goroutine is an error", func(context.Context, []byte) ([]byte, error) { runtime.Goexit(); return nil, nil },
			"", "Runtime.ExitError", "goroutine"},
		{"a response has a bound", func(context.Context, []byte) ([]byte, error) { return make([]byte, lambda.MaxResponse+1), nil },
			"", "Function.ResponseSizeTooLarge", "6291556"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := inProcess(t, lambda.Options{}, test.handler)
			got, err := p.Invoke(t.Context(), "Fn", []byte("{}"))
			if err != nil {
				t.Fatal(err)
			}
			if test.payload != "" && string(got.Payload) != test.payload {
				t.Errorf("payload = %s, want %s", got.Payload, test.payload)
			}
			if got.ErrorType != test.errorType || !strings.Contains(got.ErrorMessage, test.errorContains) {
				t.Errorf("error = %q %q, want %q %q", got.ErrorType, got.ErrorMessage, test.errorType, test.errorContains)
			}
			if failed := test.errorType != ""; failed != (got.FunctionError == "Unhandled") {
				t.Errorf("FunctionError = %q", got.FunctionError)
			}
		})
	}
}

func TestPanicTellsWhere(t *testing.T) {
	p := inProcess(t, lambda.Options{}, func(context.Context, []byte) ([]byte, error) { panic("oh") })
	result, err := p.Invoke(t.Context(), "Fn", nil)
	if err != nil {
		t.Fatal(err)
	}
	var report messages.InvokeResponse_Error
	if err := json.Unmarshal(result.Payload, &report); err != nil {
		t.Fatal(err)
	}
	for _, frame := range report.StackTrace {
		if strings.Contains(frame.Label, "TestPanicTellsWhere") && strings.HasSuffix(frame.Path, "inprocess_test.go") {
			return
		}
	}
	t.Errorf("stack trace %s does not name the place of the panic", result.Payload)
}

func TestHandlerSeesItsInvocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := inProcess(t, lambda.Options{}, func(ctx context.Context, _ []byte) ([]byte, error) {
			lc, _ := lambdacontext.FromContext(ctx)
			deadline, ok := ctx.Deadline()
			if !ok || time.Until(deadline) != 2*time.Second {
				t.Errorf("deadline in %v, want 2s", time.Until(deadline))
			}
			if want := "arn:aws:lambda:us-east-1:000000000000:function:Fn"; lc.InvokedFunctionArn != want {
				t.Errorf("ARN = %q, want %q", lc.InvokedFunctionArn, want)
			}
			return []byte(lc.AwsRequestID), nil
		})
		result, err := p.Invoke(t.Context(), "Fn", nil)
		if err != nil || string(result.Payload) != result.RequestID || len(result.RequestID) != 36 {
			t.Errorf("request id %q, want %q (%v)", result.Payload, result.RequestID, err)
		}
	})
}

func TestTimeoutFreesTheCaller(t *testing.T) {
	release := make(chan struct{})
	for name, h := range map[string]handler{
		"honoured": func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); <-release; return nil, ctx.Err() },
		"ignored":  func(context.Context, []byte) ([]byte, error) { <-release; return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release = make(chan struct{})
				m := meter.New()
				p := inProcess(t, lambda.Options{Meter: m}, h)
				start := time.Now()
				result, err := p.Invoke(t.Context(), "Fn", nil)
				if err != nil {
					t.Fatal(err)
				}
				if result.ErrorType != "Sandbox.Timedout" || result.ErrorMessage != "Task timed out after 2.00 seconds" {
					t.Errorf("error = %q %q", result.ErrorType, result.ErrorMessage)
				}
				if took := time.Since(start); took != 2*time.Second {
					t.Errorf("Invoke took %v, want the time-out of 2s", took)
				}
				usage := m.Usage()["lambda"]["Fn"]
				if usage["invocations"] != 1 || usage["errors"] != 1 || usage["billed_ms"] != 2000 {
					t.Errorf("usage = %v", usage)
				}
				close(release)
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// On AWS a function runs on when its caller has gone, and is billed.
func TestCallerMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meter.New()
		finished := false
		p := inProcess(t, lambda.Options{Meter: m}, func(ctx context.Context, _ []byte) ([]byte, error) {
			select {
			case <-time.After(time.Second):
				finished = true
			case <-ctx.Done():
			}
			return nil, ctx.Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := p.Invoke(ctx, "Fn", nil)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 100*time.Millisecond {
			t.Errorf("Invoke = %v after %v, want the caller's deadline", err, time.Since(start))
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if ms := m.Usage()["lambda"]["Fn"]["billed_ms"]; !finished || ms != 1000 {
			t.Errorf("finished = %v, billed %v ms; want true and 1000", finished, ms)
		}
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := inProcess(t, lambda.Options{Concurrent: 2}, func(context.Context, []byte) ([]byte, error) { <-release; return nil, nil })
		for range 2 {
			go func() { _, _ = p.Invoke(t.Context(), "Fn", nil) }()
		}
		synctest.Wait()
		if _, err := p.Invoke(t.Context(), "Fn", nil); !errors.Is(err, lambda.ErrThrottled) {
			t.Errorf("third Invoke = %v, want ErrThrottled", err)
		}
		close(release)
		synctest.Wait()
		if _, err := p.Invoke(t.Context(), "Fn", nil); err != nil {
			t.Errorf("Invoke after the others = %v", err)
		}
	})
}

// Source: Lambda developer guide, "Configuring reserved concurrency for a function".
func TestReservedConcurrency(t *testing.T) {
	two, none := 2, 0
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := inProcess(t, lambda.Options{Concurrent: 3, Functions: []lambda.Function{
			{Name: "Reserved", Folder: "fn", ReservedConcurrency: &two}, {Name: "Off", Folder: "fn", ReservedConcurrency: &none},
			{Name: "A", Folder: "fn"}, {Name: "B", Folder: "fn"},
		}}, func(context.Context, []byte) ([]byte, error) { <-release; return nil, nil })
		for _, test := range []struct {
			function  string
			throttled bool
		}{
			{"Off", true},
			{"A", false}, // the only one that is not reserved
			{"B", true},
			{"Reserved", false},
			{"Reserved", false},
			{"Reserved", true},
		} {
			failed := make(chan error, 1)
			go func() { _, err := p.Invoke(t.Context(), test.function, nil); failed <- err }()
			synctest.Wait()
			select {
			case err := <-failed:
				if !test.throttled || !errors.Is(err, lambda.ErrThrottled) {
					t.Errorf("Invoke of %s = %v", test.function, err)
				}
			default:
				if test.throttled {
					t.Errorf("%s runs, and should be throttled", test.function)
				}
			}
		}
		close(release)
	})
}

func TestInvokeRefuses(t *testing.T) {
	p := inProcess(t, lambda.Options{}, func(context.Context, []byte) ([]byte, error) { return nil, nil })
	if _, err := p.Invoke(t.Context(), "Other", nil); !errors.Is(err, lambda.ErrNotFound) {
		t.Errorf("Invoke of an unknown function = %v", err)
	}
	if _, err := p.Invoke(t.Context(), "Fn", make([]byte, lambda.MaxPayload+1)); !errors.Is(err, lambda.ErrTooLarge) {
		t.Errorf("Invoke with a large event = %v", err)
	}
	if _, err := p.Invoke(t.Context(), "Fn", make([]byte, lambda.MaxPayload)); err != nil {
		t.Errorf("Invoke with the largest event = %v", err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Invoke(t.Context(), "Fn", nil); !errors.Is(err, lambda.ErrClosed) {
		t.Errorf("Invoke after Close = %v", err)
	}
}

func TestCloseCancelsWhatItCannotAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := inProcess(t, lambda.Options{}, func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() })
		results := make(chan lambda.Result, 1)
		go func() {
			result, _ := p.Invoke(t.Context(), "Fn", nil)
			results <- result
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Close(ctx); err == nil || !strings.Contains(err.Error(), "1 invocations") {
			t.Errorf("Close = %v, want an error that counts what runs", err)
		}
		if result := <-results; result.FunctionError == "" {
			t.Errorf("result = %+v, want an error", result)
		}
	})
}

func TestNewInProcessNamesWhatIsWrong(t *testing.T) {
	none := func(function.Env) (awslambda.Handler, error) { return nil, errors.New("TABLE is not set") }
	for name, test := range map[string]struct {
		f    lambda.Function
		want string
	}{
		"no code":         {lambda.Function{Name: "Fn", Folder: "gone"}, "folder gone is registered"},
		"no start":        {lambda.Function{Name: "Fn", Folder: "fn"}, "function Fn cannot start: TABLE is not set"},
		"large variables": {lambda.Function{Name: "Fn", Folder: "fn", Env: map[string]string{"A": strings.Repeat("x", 4096)}}, "4097 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := lambda.NewInProcess(lambda.Options{Functions: []lambda.Function{test.f}, Log: slog.New(slog.DiscardHandler)},
				map[string]function.Constructor{"fn": none}, unconnected)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("NewInProcess = %v, want %q", err, test.want)
			}
		})
	}
}

func BenchmarkInProcess(b *testing.B) {
	p := inProcess(b, lambda.Options{Meter: meter.New()}, func(_ context.Context, e []byte) ([]byte, error) { return e, nil })
	event := []byte(`{}`)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := p.Invoke(b.Context(), "Fn", event); err != nil {
				b.Fatal(err)
			}
		}
	})
}
