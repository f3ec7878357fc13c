package watch_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/watch"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// next waits for changes.
func next(t *testing.T, f *watch.Files) []string {
	t.Helper()
	select {
	case files, ok := <-f.Changes():
		if !ok {
			t.Fatal("the watch has ended")
		}
		return files
	case <-time.After(20 * time.Second):
		t.Fatal("no change is told")
	}
	return nil
}

// Changes are told together, new folders and their files among them; what is hidden, built or not wanted is not.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a", "a.go"), "1")
	write(t, filepath.Join(dir, ".git", "b.go"), "1")
	write(t, filepath.Join(dir, "data", "c.go"), "1")
	ctx, cancel := context.WithCancel(t.Context())
	f, err := watch.NewFiles(ctx, func(path string) bool { return filepath.Ext(path) == ".go" }, filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Add(dir); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, ".git", "b.go"), "2")
	write(t, filepath.Join(dir, "data", "c.go"), "2")
	write(t, filepath.Join(dir, "a", "notes.txt"), "2")
	write(t, filepath.Join(dir, "a", "a.go"), "2")
	write(t, filepath.Join(dir, "new", "deep", "d.go"), "2")
	if got, want := next(t, f), []string{filepath.Join(dir, "a", "a.go"), filepath.Join(dir, "new", "deep", "d.go")}; !slices.Equal(got, want) {
		t.Errorf("changes = %v, want %v", got, want)
	}
	write(t, filepath.Join(dir, "new", "deep", "d.go"), "3")
	if got, want := next(t, f), []string{filepath.Join(dir, "new", "deep", "d.go")}; !slices.Equal(got, want) {
		t.Errorf("changes in a new folder = %v, want %v", got, want)
	}
	if err := os.Remove(filepath.Join(dir, "a", "a.go")); err != nil {
		t.Fatal(err)
	}
	if got, want := next(t, f), []string{filepath.Join(dir, "a", "a.go")}; !slices.Equal(got, want) {
		t.Errorf("what has gone = %v, want %v", got, want)
	}
	cancel()
	if _, ok := <-f.Changes(); ok {
		t.Error("a change is told after the end")
	}
}

// A program is affected by the packages that it is made of, directly or not, and by no others.
func TestUsers(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module example.com/m\n\ngo 1.26\n")
	write(t, filepath.Join(dir, "deep", "deep.go"), "package deep\n\nconst Word = 1\n")
	write(t, filepath.Join(dir, "shared", "shared.go"), "package shared\n\nimport \"example.com/m/deep\"\n\nconst Word = deep.Word\n")
	write(t, filepath.Join(dir, "one", "main.go"), "package main\n\nimport \"example.com/m/shared\"\n\nfunc main() { println(shared.Word) }\n")
	write(t, filepath.Join(dir, "two", "main.go"), "package main\n\nfunc main() {}\n")
	write(t, filepath.Join(dir, "other", "go.mod"), "module example.com/other\n\ngo 1.26\n")
	write(t, filepath.Join(dir, "other", "main.go"), "package main\n\nfunc main() {}\n")
	one, two, other := filepath.Join(dir, "one"), filepath.Join(dir, "two"), filepath.Join(dir, "other")
	users := func(changed ...string) []string {
		for i := range changed {
			changed[i] = filepath.Join(dir, changed[i])
		}
		return slices.Sorted(maps.Keys(watch.Users(t.Context(), []string{one, two, other}, changed)))
	}
	for _, test := range []struct {
		name    string
		changed []string
		want    []string
	}{
		{"its own file", []string{"two/main.go"}, []string{two}},
		{"a package", []string{"shared/shared.go"}, []string{one}},
		{"a package's package", []string{"deep/gone.go"}, []string{one}},
		{"nobody's package", []string{"unused/x.go"}, nil},
		{"the module", []string{"go.mod"}, []string{one, two}},
		{"another module", []string{"other/main.go"}, []string{other}},
		{"a Makefile", []string{"two/Makefile"}, []string{two}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := users(test.changed...); !slices.Equal(got, test.want) {
				t.Errorf("users of %v = %v, want %v", test.changed, got, test.want)
			}
		})
	}
	write(t, filepath.Join(dir, "shared", "shared.go"), "package shared\n\nimport \"example.com/m/gone\"\n")
	if got := users("shared/shared.go"); !slices.Contains(got, one) {
		t.Errorf("users of what does not parse = %v, want %s among them", got, one)
	}
}
