package watch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Users finds out which programs, by the folders of their main packages, are made of any of the changed
// files. Where the go command cannot tell, because a package does not parse perhaps, the program is
// one: building it will say what is wrong. It costs a third of a second for each module.
func Users(ctx context.Context, folders, changed []string) map[string]bool {
	users := map[string]bool{}
	modules := map[string][]string{}
	for _, folder := range folders {
		root := Root(folder)
		modules[root] = append(modules[root], folder)
		// What is beside the code, as a Makefile or a binary that is there already, is known to the folder only.
		if slices.ContainsFunc(changed, func(file string) bool { return !isGo(file) && within(file, folder) }) {
			users[folder] = true
		}
	}
	for root, folders := range modules {
		if root == "" {
			continue
		}
		if slices.ContainsFunc(changed, func(file string) bool {
			return file == filepath.Join(root, "go.mod") || file == filepath.Join(root, "go.sum")
		}) {
			for _, folder := range folders {
				users[folder] = true
			}
			continue
		}
		if !slices.ContainsFunc(changed, func(file string) bool { return isGo(file) && within(file, root) }) {
			continue
		}
		packages, err := list(ctx, root, folders)
		for _, folder := range folders {
			if err != nil || packages.uses(folder, changed) {
				users[folder] = true
			}
		}
	}
	return users
}

func isGo(file string) bool { return filepath.Ext(file) == ".go" }

func within(file, folder string) bool {
	return strings.HasPrefix(file, folder+string(filepath.Separator))
}

// Root is the folder of the Go module that a folder belongs to; "" without one.
func Root(folder string) string {
	for ; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder
		}
		if folder == filepath.Dir(folder) {
			return ""
		}
	}
}

// listed is what `go list` says of a package.
type listed struct {
	ImportPath, Dir string
	Standard        bool
	Deps            []string
	Error           *struct{}
	DepsErrors      []struct{}
}

// packages are by import path.
type packages map[string]listed

// list asks for the programs in folders of a module, and all that they are made of.
func list(ctx context.Context, root string, folders []string) (packages, error) {
	arguments := []string{"list", "-e", "-deps", "-tags=lambda.norpc", "-json=ImportPath,Dir,Standard,Deps,Error,DepsErrors"}
	for _, folder := range folders {
		relative, err := filepath.Rel(root, folder)
		if err != nil {
			return nil, err
		}
		arguments = append(arguments, "./"+filepath.ToSlash(relative))
	}
	cmd := exec.CommandContext(ctx, "go", arguments...)
	cmd.Dir = root
	cmd.WaitDelay = time.Second
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	all := packages{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all[p.ImportPath] = p
	}
}

// uses tells whether the program in a folder is made of a changed file, or cannot be made at all.
func (p packages) uses(folder string, changed []string) bool {
	touched := func(dir string) bool {
		return slices.ContainsFunc(changed, func(file string) bool { return isGo(file) && filepath.Dir(file) == dir })
	}
	for _, main := range p {
		if main.Dir != folder {
			continue
		}
		if main.Error != nil || len(main.DepsErrors) > 0 || touched(main.Dir) {
			return true
		}
		return slices.ContainsFunc(main.Deps, func(path string) bool { return !p[path].Standard && touched(p[path].Dir) })
	}
	return true
}
