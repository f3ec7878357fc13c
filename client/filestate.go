package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// OpenFileState returns a State in a file, which need not exist yet; its folder must. Each save
// writes the file anew beside it, syncs it and renames it, so that a crash leaves the old or the
// new one, never a half: some milliseconds and as many bytes as the state has. Only the owner may
// read the file: it holds the text of unsent messages.
func OpenFileState(path string) (State, error) {
	s := &fileState{path: path}
	raw, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("open state: %w", err)
	default:
		if err := json.Unmarshal(raw, &s.saved); err != nil {
			return nil, fmt.Errorf("open state %s: %w: remove it to start over as a new device", path, err)
		}
	}
	return s, nil
}

type fileState struct {
	path string

	mu    sync.Mutex // guards saved and the file
	saved Saved
}

func (s *fileState) Load() (Saved, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saved.clone(), nil
}

func (s *fileState) Save(c Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved.apply(c)
	raw, err := json.Marshal(&s.saved)
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	if err := replaceFile(s.path, raw); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}

// replaceFile puts a file in the place of another, durably and at once.
func replaceFile(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(content); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	// The rename itself lasts once the folder is synced.
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
