// Package watch notices that files of a stack have changed, and finds out whose programs are made of
// them. It changes nothing, and costs nothing while nothing changes.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Editors and version control write many files at once. Quiet is how long there must be no change
// before those that came are told, and most how long they are held back at all.
const (
	quiet = 100 * time.Millisecond
	most  = 2 * time.Second
)

// Files tells of changes of files.
type Files struct {
	system  *fsnotify.Watcher
	wanted  func(path string) bool
	skipped map[string]bool // folders
	changes chan []string
}

// NewFiles watches the folders that are given, all below them too but what is hidden, built, installed,
// or skipped. Of all files it tells those that are wanted; paths are absolute. It stops, and closes
// Changes, when ctx ends.
func NewFiles(ctx context.Context, wanted func(path string) bool, skipped ...string) (*Files, error) {
	system, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("changes of files cannot be watched: %w", err)
	}
	f := &Files{system: system, wanted: wanted, skipped: map[string]bool{}, changes: make(chan []string)}
	for _, folder := range skipped {
		f.skipped[folder] = true
	}
	go f.run(ctx)
	return f, nil
}

// Changes gives the files that have changed, come or gone, sorted, once nothing changes any more.
func (f *Files) Changes() <-chan []string { return f.changes }

// Add watches a folder and what is below it. One that is watched already is no error.
func (f *Files) Add(root string) error {
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it went while it was looked at
		case err != nil:
			return err
		case !entry.IsDir():
			return nil
		case path != root && f.skip(path):
			return filepath.SkipDir
		}
		return f.system.Add(path)
	})
	if err != nil {
		return fmt.Errorf("changes in %s cannot be watched: %w", root, err)
	}
	return nil
}

// AddFolder watches the files of a folder, but nothing below it.
func (f *Files) AddFolder(folder string) error {
	if err := f.system.Add(folder); err != nil {
		return fmt.Errorf("changes in %s cannot be watched: %w", folder, err)
	}
	return nil
}

func (f *Files) skip(folder string) bool {
	name := filepath.Base(folder)
	return strings.HasPrefix(name, ".") || slices.Contains([]string{"bin", "node_modules", "testdata"}, name) || f.skipped[folder]
}

func (f *Files) run(ctx context.Context) {
	defer close(f.changes)
	defer f.system.Close()
	pending := map[string]bool{}
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	var latest time.Time // when the pending ones are told at the latest
	var ready chan<- []string
	for {
		var told []string
		if ready != nil {
			told = slices.Sorted(maps.Keys(pending))
		}
		select {
		case <-ctx.Done():
			return
		case event, ok := <-f.system.Events:
			if !ok {
				return
			}
			for _, path := range f.meant(event) {
				if len(pending) == 0 {
					latest = time.Now().Add(most)
				}
				pending[path] = true
			}
			if len(pending) > 0 {
				ready = nil
				timer.Reset(min(quiet, max(0, time.Until(latest))))
			}
		case <-timer.C:
			ready = f.changes
		case ready <- told:
			clear(pending)
			ready = nil
		case <-f.system.Errors: // events were lost; what comes next is told again
		}
	}
}

// meant are the wanted files of an event. Those in a new folder may have been there before it was
// watched.
func (f *Files) meant(event fsnotify.Event) []string {
	if event.Op == fsnotify.Chmod {
		return nil
	}
	info, err := os.Stat(event.Name)
	if err != nil || !info.IsDir() {
		if f.wanted(event.Name) {
			return []string{event.Name}
		}
		return nil
	}
	if !event.Has(fsnotify.Create) || f.skip(event.Name) {
		return nil
	}
	_ = f.Add(event.Name) // an error means that it has gone again
	var found []string
	_ = filepath.WalkDir(event.Name, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && f.wanted(path) {
			found = append(found, path)
		}
		return nil
	})
	return found
}
