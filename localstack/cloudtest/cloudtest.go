// Package cloudtest starts the local cloud for a test, as httptest starts a server: in the test's
// process, or as the real binary in a child process that can be killed.
package cloudtest

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/duet-chat/duet/localstack/cloud"
)

// Start starts a local cloud of its own for the test: in memory, on a free port, with passwords
// hashed as cheaply as possible. It is closed when the test ends; what it warns of is in the
// test's output. Each change may adjust its configuration.
//
// The environment variable DUET_FUNCTIONS says how functions run, as --functions does, and
// DUET_TEMPLATE names another template than the module's: `make test-process` sets both.
// DUET_TEST_DYNAMODB is the URL of a DynamoDB that has the tables, as --dynamodb does: `make
// test-dynamodb-local` sets it. There each local cloud has tables of its own.
func Start(t testing.TB, changes ...func(*cloud.Config)) *cloud.Cloud {
	t.Helper()
	config := cloud.Config{
		Template:     templateFile(t),
		Functions:    os.Getenv("DUET_FUNCTIONS"),
		PasswordCost: bcrypt.MinCost,
		Parameters:   map[string]string{"LogLevel": "WARN"},
		// Suites send and begin more than people do. Those that are about limits set them.
		Suggested: map[string]string{"MessagesPerMinute": "0", "NewConversationsPerDay": "0"},
		Log:       slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if url := Engine(); url != "" {
		config.DynamoDB, config.Stack, config.StreamDelay = url, newStack(), enginePoll
		dropTables(t, url, config.Stack)
	}
	for _, change := range changes {
		change(&config)
	}
	c, err := cloud.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Longer than Close waits: on a busy machine, a process for the last $disconnect takes a moment.
		ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
		defer cancel()
		if err := c.Shutdown(ctx); err != nil {
			t.Errorf("close the local cloud: %v", err)
		}
	})
	return c
}

func templateFile(t testing.TB) string {
	return cmp.Or(os.Getenv("DUET_TEMPLATE"), filepath.Join(Root(t), "template.yaml"))
}

// Root is the folder of the module: the nearest one above the test's with a go.mod.
func Root(t testing.TB) string {
	t.Helper()
	start, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		switch {
		case err == nil:
			return dir
		case !errors.Is(err, fs.ErrNotExist):
			t.Fatal(err)
		case dir == filepath.Dir(dir):
			t.Fatalf("there is no go.mod in %s or above it: run tests within the module", start)
		}
	}
}
