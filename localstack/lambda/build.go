package lambda

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"
)

// build makes the binary of each folder, as SAM does but for this machine, and returns its path by
// folder: CACHE/FOLDER/bootstrap. All failures are reported, each with the compiler's output.
//
// A build of what has not changed costs some 200 ms of looking, for all that differ together.
func build(ctx context.Context, dir, cache string, functions []Function) (map[string]string, error) {
	cache, err := filepath.Abs(cache)
	if err != nil {
		return nil, fmt.Errorf("folder for built functions %s: %w", cache, err)
	}
	binaries := map[string]string{}
	for _, f := range functions {
		if f.Folder == "" || f.Folder != filepath.Base(f.Folder) || !filepath.IsLocal(f.Folder) {
			return nil, fmt.Errorf("function %s: %q is not the name of a folder in functions/", f.Name, f.Folder)
		}
		binaries[f.Folder] = filepath.Join(cache, f.Folder, "bootstrap")
	}
	failures := make(chan error, len(binaries))
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for folder, binary := range binaries {
		group.Go(func() error {
			if err := buildOne(ctx, dir, folder, binary); err != nil {
				failures <- err
			}
			return nil
		})
	}
	_ = group.Wait() // failures are collected, so that all are shown at once
	close(failures)
	var all []error
	for err := range failures {
		all = append(all, err)
	}
	return binaries, errors.Join(all...)
}

func buildOne(ctx context.Context, dir, folder, binary string) error {
	// As SAM's Go builds but for -trimpath, so that packages which the local cloud has in common
	// with the functions need not be compiled twice. Without the norpc tag aws-lambda-go brings
	// along what the retired go1.x runtime needed.
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-tags=lambda.norpc", "-o", binary, "./functions/"+folder)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	output, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("functions/%s cannot be built, for there is no go command: install Go, or run with --functions=inprocess: %w", folder, err)
	case ctx.Err() != nil:
		return fmt.Errorf("build functions/%s: %w", folder, ctx.Err())
	}
	return fmt.Errorf("functions/%s does not build (%w):\n%s", folder, err, strings.TrimSpace(string(output)))
}
