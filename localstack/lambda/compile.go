package lambda

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// compile makes the binary as SAM's build methods do: by the go command, or by a Makefile's target.
func (s source) compile(ctx context.Context, output string) error {
	// As SAM's Go builds but for -trimpath, so that packages which the local cloud has in common
	// with the functions need not be compiled twice. Without the norpc tag aws-lambda-go brings
	// along what the retired go1.x runtime needed. A commit alone must not make another binary.
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-ldflags=-s -w", "-tags=lambda.norpc", "-o", output, ".")
	if s.target != "" {
		// Source: SAM developer guide, "Building Lambda functions with custom runtimes".
		cmd = exec.CommandContext(ctx, "make", "--silent", s.target, "ARTIFACTS_DIR="+filepath.Dir(output))
	}
	cmd.Dir = s.folder
	cmd.WaitDelay = time.Second // for the compilers that the go command leaves behind when it is killed
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH, "ARTIFACTS_DIR="+filepath.Dir(output))
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound) && s.target != "":
		return fmt.Errorf("%s cannot be built, for there is no make command: install it: %w", s.shown, err)
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%s cannot be built, for there is no go command: install Go, or run with --functions=inprocess: %w", s.shown, err)
	case ctx.Err() != nil:
		return fmt.Errorf("build %s: %w", s.shown, ctx.Err())
	}
	return &compilerError{strings.TrimSpace(string(out))}
}

// compilerError is what the compiler, or make, says of code that does not build.
type compilerError struct{ output string }

func (e *compilerError) Error() string { return e.output }

// machines are the processors of Lambda in ELF's terms.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkBinary refuses what this machine cannot run: a package that is no program, or one for
// another system or processor, which is what a deployment usually needs.
func checkBinary(path string) error {
	if runtime.GOOS != "linux" {
		return nil // its own loader says so
	}
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s is no program for this machine (linux/%s): the code must be package main, and a Makefile must take GOOS and GOARCH from the environment: %w",
			path, runtime.GOARCH, err)
	}
	defer f.Close()
	if want := machines[runtime.GOARCH]; f.Machine != want && want != 0 {
		return fmt.Errorf("%s is for the processor %v, this machine has %v: let the local cloud build it from its code, or let the Makefile take GOARCH from the environment", path, f.Machine, want)
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return fmt.Errorf("%s is no program: its code must be package main", path)
	}
	return nil
}
