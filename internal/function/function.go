// Package function is what every Lambda of Duet stands on: the environment it
// is built from and the start of its process. The local cloud builds the same
// functions from an environment of its own and runs them in-process, so a
// constructor reads nothing but its Env.
package function

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// Env is all that a function may know of the world outside its invocations.
type Env struct {
	// Getenv reads one of the variables that template.yaml gives the function.
	Getenv func(key string) string
	// AWS is the configuration from which the function makes its SDK clients.
	AWS aws.Config
	// HTTP fetches what is not an AWS API: the issuer's signing keys.
	HTTP *http.Client
	// Now is the clock.
	Now func() time.Time
	// Sleep waits, or returns the context's error when that ends first: a function's time, which is paid for.
	Sleep func(context.Context, time.Duration) error
	// Log receives one line per invocation; never text of messages, never tokens.
	Log *slog.Logger
}

// Constructor builds a function's handler. The handler must be safe for
// concurrent invocations: the local cloud runs them in one process.
type Constructor func(Env) (lambda.Handler, error)

// Require reads variables that must be set, and names all that are missing.
func (e Env) Require(keys ...string) (map[string]string, error) {
	values := make(map[string]string, len(keys))
	var missing []string
	for _, key := range keys {
		if values[key] = e.Getenv(key); values[key] == "" {
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("environment variables %v are not set: template.yaml must give them to this function", missing)
	}
	return values, nil
}

// Start runs a function in a Lambda environment and never returns.
func Start(build Constructor) {
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level(os.Getenv("LOG_LEVEL"))}))
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err == nil {
		var h lambda.Handler
		h, err = build(Env{
			Getenv: os.Getenv,
			AWS:    cfg,
			HTTP:   &http.Client{Timeout: 5 * time.Second},
			Now:    time.Now,
			Sleep:  Sleep,
			Log:    log,
		})
		if err == nil {
			lambda.Start(h)
			return
		}
	}
	log.Error("function cannot start", "error", err)
	os.Exit(1)
}

func level(name string) slog.Level {
	var l slog.Level
	if l.UnmarshalText([]byte(name)) != nil {
		return slog.LevelInfo
	}
	return l
}
