package lambda

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Build finds or makes the binary of each function, as SAM does but for this machine, and returns
// their paths by the functions' names. Functions that share their code share the binary. All
// failures are reported, each with the compiler's output.
//
// A binary's path names its content: what has been built anew has another path, and environments
// that run the old one are not disturbed. A build of what has not changed costs some 200 ms of
// looking, for all that differ together.
func Build(ctx context.Context, dir, cache string, functions []Function) (map[string]string, error) {
	users := map[source][]Function{}
	var all []error
	for _, f := range functions {
		s, err := sourceOf(dir, f)
		if err != nil {
			all = append(all, f.wrong(err))
			continue
		}
		users[s] = append(users[s], f)
	}
	var mu sync.Mutex                 // guards all, broken and binaries
	broken := map[string][]Function{} // by the compiler's output
	binaries := map[string]string{}
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for s, functions := range users {
		group.Go(func() error {
			path, err := s.build(ctx, cache)
			mu.Lock()
			defer mu.Unlock()
			var words *compilerError
			switch {
			case errors.As(err, &words):
				broken[words.output] = append(broken[words.output], functions[0])
			case err != nil:
				all = append(all, functions[0].wrong(err))
			}
			for _, f := range functions {
				binaries[f.Name] = path
			}
			return nil // failures are collected, so that all are shown at once
		})
	}
	_ = group.Wait()
	for output, functions := range broken {
		all = append(all, doNotBuild(functions, output))
	}
	slices.SortFunc(all, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return binaries, errors.Join(all...)
}

// doNotBuild says once what the compiler says of all functions that are made of a broken package.
func doNotBuild(functions []Function, output string) error {
	slices.SortFunc(functions, func(a, b Function) int { return strings.Compare(a.Name, b.Name) })
	first, others := functions[0], functions[1:]
	also := ""
	for i, f := range others {
		also += map[bool]string{true: ", and with it ", false: ", "}[i == 0] + f.Name
	}
	return first.wrong(fmt.Errorf("%s does not build%s:\n%s", first.Folder, also, output))
}

// wrong says of which function something is wrong, and where it stands.
func (f Function) wrong(err error) error {
	if f.At == "" {
		return fmt.Errorf("function %s: %w", f.Name, err)
	}
	return fmt.Errorf("%s: function %s: %w", f.At, f.Name, err)
}

// source is what a binary is made of, or the binary itself.
type source struct {
	folder string // absolute
	shown  string // as the template has it
	target string // of the folder's Makefile; "" builds with the go command
	binary string // in the folder, which has no code then; "" otherwise
}

// FolderFrom is where the code is, seen from the template's folder.
func (f Function) FolderFrom(dir string) (string, error) {
	folder := filepath.FromSlash(f.Folder)
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(dir, folder)
	}
	return filepath.Abs(folder)
}

func sourceOf(dir string, f Function) (source, error) {
	if f.Folder == "" {
		return source{}, errors.New("it has no folder of code")
	}
	folder, err := f.FolderFrom(dir)
	if err != nil {
		return source{}, fmt.Errorf("folder %s: %w", f.Folder, err)
	}
	s := source{folder: folder, shown: f.Folder, target: f.MakeTarget}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return source{}, fmt.Errorf("there is no folder %s with its code, seen from the template: %w", f.Folder, err)
	}
	if s.target != "" || slices.ContainsFunc(entries, isGo) {
		return s, nil
	}
	for _, name := range []string{"bootstrap", f.Handler} {
		if name != "" && slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == name && !e.IsDir() }) {
			s.binary = name
			return s, nil
		}
	}
	return source{}, fmt.Errorf("in %s there is neither Go code nor a binary named bootstrap: give it the folder of a main package", f.Folder)
}

// build makes the binary and keeps it in the cache, unless the folder has it.
func (s source) build(ctx context.Context, cache string) (string, error) {
	if s.binary != "" {
		path := filepath.Join(s.folder, s.binary)
		return path, checkBinary(path)
	}
	sum := sha256.Sum256([]byte(s.folder + "\x00" + s.target))
	place, err := filepath.Abs(filepath.Join(cache, filepath.Base(s.folder)+"-"+hex.EncodeToString(sum[:4])))
	if err != nil {
		return "", fmt.Errorf("folder for built functions %s: %w", cache, err)
	}
	// The go command looks at the last output, and is quick when nothing has changed.
	output := filepath.Join(place, "build", "bootstrap")
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return "", fmt.Errorf("folder for built functions: %w", err)
	}
	if err := s.compile(ctx, output); err != nil {
		return "", err
	}
	if err := checkBinary(output); err != nil {
		return "", err
	}
	kept, err := keep(output, place)
	if err == nil {
		prune(place, kept, time.Now())
	}
	return kept, err
}

// keptFor is how long a binary stays that no build has made again: another local cloud may run it.
const keptFor = 7 * 24 * time.Hour

// prune removes what has not been built for long. It only saves space: errors are of no account.
func prune(place, kept string, now time.Time) {
	_ = os.Chtimes(filepath.Dir(kept), now, now)
	versions, _ := filepath.Glob(filepath.Join(place, "*", "bootstrap"))
	for _, version := range versions {
		folder := filepath.Dir(version)
		if info, err := os.Stat(folder); err == nil && filepath.Base(folder) != "build" && now.Sub(info.ModTime()) > keptFor {
			_ = os.RemoveAll(folder)
		}
	}
}

func isGo(e os.DirEntry) bool {
	return !e.IsDir() && strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go")
}

// keep copies a binary to where its content says.
func keep(output, place string) (string, error) {
	from, err := os.Open(output)
	if err != nil {
		return "", fmt.Errorf("built function: %w", err)
	}
	defer from.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, from); err != nil {
		return "", fmt.Errorf("built function: %w", err)
	}
	kept := filepath.Join(place, hex.EncodeToString(hash.Sum(nil)[:8]), "bootstrap")
	if _, err := os.Stat(kept); err == nil {
		return kept, nil
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return "", fmt.Errorf("folder for built functions: %w", err)
	}
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("built function: %w", err)
	}
	// In one step, so that nobody finds half of it.
	to, err := os.CreateTemp(filepath.Dir(kept), "new-*")
	if err != nil {
		return "", fmt.Errorf("built function cannot be kept: %w", err)
	}
	_, err = io.Copy(to, from)
	err = errors.Join(err, to.Chmod(0o755), to.Close())
	if err == nil {
		err = os.Rename(to.Name(), kept)
	}
	if err != nil {
		_ = os.Remove(to.Name())
		return "", fmt.Errorf("built function cannot be kept: %w", err)
	}
	return kept, nil
}
