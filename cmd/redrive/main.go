// Redrive gives a function again what an event source mapping gave up. The failure queue of a mapping
// says which records of which stream those were; redrive reads them from the stream, which keeps
// them for 24 hours, invokes the function with them in their order, and deletes the queue's message
// once the function has taken all of them. It works alike on AWS and on the local cloud.
//
//	go run ./cmd/redrive --queue-url URL --dry-run
//	go run ./cmd/redrive --endpoint http://localhost:4566
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

type flags struct {
	QueueURL string `placeholder:"URL" help:"The failure queue. Default: the only queue that there is."`
	Endpoint string `placeholder:"URL" help:"Where the AWS APIs answer, as in http://localhost:4566 for the local cloud. Default: AWS."`
	Function string `placeholder:"NAME" help:"Invoke this function or version instead of the one that gave the batch up."`
	Limit    int    `default:"1000" help:"Take at most so many messages from the queue."`
	DryRun   bool   `help:"Read queue and stream, and say what would be done."`
	DropGone bool   `help:"Delete messages whose records the stream does not keep any more."`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Name("redrive"), kong.Description("Gives a function again what its event source mapping gave up."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, f); err != nil {
		fmt.Fprintln(os.Stderr, "redrive:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags) error {
	r, err := newRedrive(ctx, f)
	if err != nil {
		return err
	}
	r.out = os.Stdout
	report, err := r.run(ctx)
	if err != nil {
		return err
	}
	fmt.Println(report)
	if kept := report.failed + report.gone; kept > 0 && !f.DryRun {
		return fmt.Errorf("%d messages stay in the queue", kept)
	}
	return nil
}

// newRedrive makes the clients and finds the queue.
func newRedrive(ctx context.Context, f flags) (*redrive, error) {
	var options []func(*config.LoadOptions) error
	if f.Endpoint != "" {
		options = append(options, config.WithBaseEndpoint(f.Endpoint))
		if os.Getenv("AWS_ACCESS_KEY_ID") == "" { // the local cloud takes any, but the SDK wants some
			options = append(options, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("local", "local", "")))
		}
		if os.Getenv("AWS_REGION") == "" && os.Getenv("AWS_DEFAULT_REGION") == "" {
			options = append(options, config.WithRegion("us-east-1"))
		}
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("configuration of AWS: %w", err)
	}
	r := &redrive{
		queue: sqs.NewFromConfig(cfg), streams: dynamodbstreams.NewFromConfig(cfg), functions: lambda.NewFromConfig(cfg),
		url: f.QueueURL, function: f.Function, limit: f.Limit, dryRun: f.DryRun, dropGone: f.DropGone,
	}
	if r.url == "" {
		if r.url, err = onlyQueue(ctx, r.queue); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func onlyQueue(ctx context.Context, queue *sqs.Client) (string, error) {
	out, err := queue.ListQueues(ctx, &sqs.ListQueuesInput{MaxResults: aws.Int32(20)})
	switch {
	case err != nil:
		return "", fmt.Errorf("list the queues, to find the one that is meant: %w", err)
	case len(out.QueueUrls) == 0:
		return "", errors.New("there is no queue: name the right account and Region, or the local cloud's --endpoint")
	case len(out.QueueUrls) > 1:
		return "", fmt.Errorf("there are several queues, choose one with --queue-url:\n  %s", strings.Join(out.QueueUrls, "\n  "))
	}
	return out.QueueUrls[0], nil
}
