// Localstack is Duet's local cloud: it runs template.yaml in one process, without Docker, Java or
// an account. It is not the product of that name.
//
//	go run ./localstack --port 4566 --data .duet
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/duet-chat/duet/localstack/cloud"
	"github.com/duet-chat/duet/localstack/fault"
	"github.com/duet-chat/duet/localstack/gateway"
	"github.com/duet-chat/duet/localstack/streams"
)

type flags struct {
	Port      int               `default:"4566" help:"Port; 0 picks a free one."`
	Host      string            `default:"127.0.0.1" help:"Address to listen on. Nothing asks who calls: whoever reaches another one can do everything."`
	Data      string            `placeholder:"DIR" help:"Keep everything in this folder, durable before it is acknowledged. Default: in memory."`
	Functions string            `enum:"inprocess,process" default:"inprocess" help:"Run functions in this process, or as the binaries that SAM deploys."`
	Template  string            `default:"template.yaml" placeholder:"FILE" help:"The stack."`
	Outputs   string            `placeholder:"FILE" help:"Write the stack's outputs to this file as JSON, once ready."`
	Stack     string            `default:"duet" placeholder:"NAME" help:"Name of the stack, of which names of tables and queues are made."`
	DynamoDB  string            `name:"dynamodb" placeholder:"URL" help:"Have the tables in this DynamoDB, such as DynamoDB Local's http://localhost:8000, not in the embedded one."`
	Cognito   string            `placeholder:"URL" help:"Have the user pools there, not in the embedded Cognito."`
	CognitoID map[string]string `name:"cognito-id" placeholder:"NAME=ID" help:"The id of a user pool or client of the template, with --cognito; may be repeated. Default: found by its name, or made."`
	Watch     bool              `help:"Reload on a change of the template or of the functions' code; connections and data stay."`
	Parameter map[string]string `placeholder:"NAME=VALUE" help:"A parameter of the template."`
	Fault     []string          `sep:"none" placeholder:"RULE" help:"Let something fail, as in 'dynamodb/PutItem p=0.1 error=ThrottlingException'; may be repeated. See docs/local-cloud.md."`
	Faults    string            `placeholder:"FILE" help:"Let fail what stands in this file."`
	FaultSeed uint64            `placeholder:"N" help:"Seed of what chance decides about faults. Default: the file's, or a new one."`
	Limit     map[string]string `placeholder:"NAME=VALUE" help:"A limit of API Gateway that is other than AWS's, as in idle=5s; may be repeated. See docs/local-cloud.md."`
	Throttle  bool              `default:"true" negatable:"" help:"Refuse what is beyond the rates of the template and of an AWS account. On by default."`
	// Not a duration: "aws" is one of its values.
	StreamDelay streamDelay `default:"0" placeholder:"DURATION" help:"Poll streams so often, aws (250ms) as Lambda does; 0 hands records to functions at once (with --dynamodb: aws)."`
	LogLevel    slog.Level  `default:"WARN" help:"DEBUG, INFO (a line per frame), WARN or ERROR."`
}

// streamDelay is a duration of at least 0, or "aws".
type streamDelay time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *streamDelay) UnmarshalText(text []byte) error {
	if string(text) == "aws" {
		*d = streamDelay(streams.AWSPoll)
		return nil
	}
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is neither aws nor a duration like 250ms", text)
	}
	*d = streamDelay(v)
	return nil
}

func main() {
	var f flags
	kong.Parse(&f, kong.Name("localstack"), kong.Description("Duet's local cloud: the whole stack in one process."))
	// Garbage is short-lived here: collecting half as often costs little memory and saves processor.
	debug.SetGCPercent(200)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, f); err != nil {
		fmt.Fprintln(os.Stderr, "localstack:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags) error {
	limits, err := gateway.ParseLimits(f.Limit)
	if err != nil {
		return fmt.Errorf("--limit %w", err)
	}
	limits.NoThrottling = !f.Throttle
	c, err := cloud.Start(ctx, cloud.Config{
		Template: f.Template, Host: f.Host, Port: f.Port, Dir: f.Data, Functions: f.Functions, Parameters: f.Parameter,
		Stack: f.Stack, DynamoDB: f.DynamoDB, Cognito: f.Cognito, CognitoIDs: f.CognitoID,
		StreamDelay: time.Duration(f.StreamDelay),
		Suggested:   map[string]string{"LogLevel": f.LogLevel.String()},
		Limits:      limits,
		Faults:      cloud.Faults{Rules: f.Fault, File: f.Faults, Seed: f.FaultSeed},
		Log:         slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: f.LogLevel})),
		Tell:        func(line string) { fmt.Println(line) },
	})
	if err != nil {
		return err
	}
	if f.Outputs != "" {
		if err := writeOutputs(f.Outputs, c.Outputs()); err != nil {
			_ = c.Close()
			return err
		}
	}
	greet(c, f)
	if f.Watch {
		if err := watchStack(c, f); err != nil {
			fmt.Fprintln(os.Stderr, "localstack: it runs, but does not reload:", err)
		}
	}
	<-ctx.Done()
	return c.Close()
}

// writeOutputs writes the file in one step, so that who waits for it never reads half of it.
func writeOutputs(file string, outputs map[string]string) error {
	j, err := json.MarshalIndent(outputs, "", "  ")
	if err != nil {
		return err
	}
	temporary := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".new")
	if err := os.WriteFile(temporary, append(j, '\n'), 0o644); err != nil {
		return fmt.Errorf("outputs cannot be written: %w", err)
	}
	if err := os.Rename(temporary, file); err != nil {
		return fmt.Errorf("outputs cannot be written: %w", err)
	}
	return nil
}

// watchStack tells of each reload in a line: good ones on stdout, others on stderr.
func watchStack(c *cloud.Cloud, f flags) error {
	return c.Watch(func(r cloud.Reload) {
		text := r.String()
		if f.Outputs != "" && r.Err == nil && len(r.Done) > 0 {
			if err := writeOutputs(f.Outputs, c.Outputs()); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
		if len(r.Restart) > 0 && f.Data == "" {
			text += "; data in memory is lost then"
		}
		switch {
		case text == "":
		case r.Err != nil:
			fmt.Fprintln(os.Stderr, text)
		default:
			fmt.Println(text)
		}
	})
}

// isDuet tells whether the stack is the product's: what to type next depends on it.
func isDuet(outputs map[string]string) bool {
	for _, name := range []string{"WebSocketUrl", "UserPoolClientId", "MessagesTable"} {
		if outputs[name] == "" {
			return false
		}
	}
	return true
}

func greet(c *cloud.Cloud, f flags) {
	data := "in memory: gone when this ends; --data DIR keeps it"
	if f.Data != "" {
		data = f.Data
	}
	if f.DynamoDB != "" {
		data += "; tables at " + f.DynamoDB
	}
	if f.Cognito != "" {
		data += "; users at " + f.Cognito
	}
	faults := ""
	if s := c.Faults().Status(); s.Active {
		faults = fmt.Sprintf("\n  Faults         %d rules, --fault-seed %d; %s%s tells what came of them", len(s.Rules), s.Seed, c.URL(), fault.Path)
	}
	for _, note := range c.Notes() {
		fmt.Println("Note:", note)
	}
	name := "The stack of " + f.Template
	if isDuet(c.Outputs()) {
		name = "Duet's local cloud"
	}
	fmt.Printf(`%s is ready (%d ms, %d MB).

  WebSocket API  %s
  AWS APIs       %s   (DynamoDB, DynamoDB Streams, SQS, Lambda, Cognito: aws … --endpoint-url %s)
  Outputs        %s/_local/outputs
  Usage, cost    %s/_local/
  Data           %s%s

`, name, c.StartupTime().Milliseconds(), cloud.Resident()>>20, cmp.Or(c.WebSocketURL(), "none"), c.URL(), c.URL(), c.URL(), c.URL(), data, faults)
	if isDuet(c.Outputs()) {
		where := ""
		if c.URL() != "http://localhost:4566" {
			where = " --endpoint " + c.URL()
		}
		fmt.Printf(`In another terminal:

  go run ./cmd/duet%s signup alice
  go run ./cmd/duet%s signup bob
  go run ./cmd/duet%s chat bob --as alice

and in a third one:

  go run ./cmd/duet%s chat alice --as bob

`, where, where, where, where)
	}
	if f.Watch {
		fmt.Println("Changes of the code and of the template are used at once. Ctrl-C ends it.")
	} else {
		fmt.Println("Ctrl-C ends it.")
	}
}
