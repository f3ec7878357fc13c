// Tiny is a function that does as the event says, for the tests of running functions as processes.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type request struct {
	Do   string `json:"do"`
	Text string `json:"text"`
	Here string `json:"here"` // named pipes of meet
	Wait string `json:"wait"`
}

type answer struct {
	Text      string            `json:"text,omitempty"`
	PID       int               `json:"pid"`
	RequestID string            `json:"request_id"`
	ARN       string            `json:"arn"`
	Left      time.Duration     `json:"left"`
	Env       map[string]string `json:"env,omitempty"`
}

type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

func handle(ctx context.Context, r request) (answer, error) {
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	a := answer{Text: r.Text, PID: os.Getpid(), RequestID: lc.AwsRequestID, ARN: lc.InvokedFunctionArn, Left: time.Until(deadline)}
	switch r.Do {
	case "echo":
	case "print":
		fmt.Println("on stdout: " + r.Text)
		fmt.Fprintln(os.Stderr, "on stderr: "+r.Text)
	case "log":
		fmt.Fprintln(os.Stderr, `{"level":"INFO","msg":"hi"}`)
	case "env":
		a.Env = map[string]string{}
		for _, pair := range os.Environ() {
			key, value, _ := strings.Cut(pair, "=")
			a.Env[key] = value
		}
	case "error":
		return answer{}, errors.New(r.Text)
	case "refuse":
		return answer{}, &refusal{r.Text}
	case "panic":
		panic(r.Text)
	case "exit":
		os.Exit(3)
	case "hang":
		select {}
	case "big":
		a.Text = strings.Repeat("x", 6<<20+101)
	case "meet": // opening a named pipe waits for its other end
		if err := touch(r.Here, os.O_WRONLY); err != nil {
			return answer{}, err
		}
		if err := touch(r.Wait, os.O_RDONLY); err != nil {
			return answer{}, err
		}
	default:
		return answer{}, fmt.Errorf("unknown order %q", r.Do)
	}
	return a, nil
}

func touch(pipe string, flag int) error {
	f, err := os.OpenFile(pipe, flag, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

func main() {
	// The first environment does not become ready.
	if path := os.Getenv("FAIL_ONCE"); path != "" {
		if f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			_ = f.Close()
			os.Exit(1)
		}
	}
	lambda.Start(handle)
}
