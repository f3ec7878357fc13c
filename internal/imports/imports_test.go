// Package imports_test holds the boundaries of ARCHITECTURE.md: who may import what.
package imports_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/duet-chat/duet/"
	aws    = "github.com/aws/"
)

// source is a Go file that ships: no test.
type source struct {
	file    string // from the module's root, with slashes
	imports []string
}

// within tells whether a file or import lies in a folder or is it.
func within(p string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return p == f || strings.HasPrefix(p, f+"/") })
}

// rule allows or forbids one import of one file. local is the import's path in this module, "" for any
// other's.
type rule struct {
	name  string
	check func(file, imported, local string) bool // true when it is allowed
}

var product = []string{"internal", "functions", "client", "cmd"}

var rules = []rule{
	{"the product imports nothing of the local cloud", func(file, _, local string) bool {
		return !within(file, product...) || !within(local, "localstack")
	}},
	{"the local cloud imports the handlers only where it registers them", func(file, _, local string) bool {
		return !within(file, "localstack") || !within(local, "internal/handler") || file == "localstack/cloud/functions.go"
	}},
	{"the local cloud knows of the product no more than how a function is built", func(file, _, local string) bool {
		return !within(file, "localstack") || file == "localstack/cloud/functions.go" || local == "internal/function" || !within(local, product...)
	}},
	{"only the store talks to DynamoDB, and redrive reads its streams", func(file, imported, _ string) bool {
		return !within(file, product...) || !within(imported, aws+"aws-sdk-go-v2/service/dynamodb", aws+"aws-sdk-go-v2/service/dynamodbstreams") || within(file, "internal/store") ||
			within(file, "cmd/redrive") && within(imported, aws+"aws-sdk-go-v2/service/dynamodbstreams")
	}},
	{"only post talks to @connections", func(file, imported, _ string) bool {
		return !within(file, product...) || !within(imported, aws+"aws-sdk-go-v2/service/apigatewaymanagementapi") || within(file, "internal/post")
	}},
	{"the domain knows no AWS and no JSON", func(file, imported, local string) bool {
		return !within(file, "internal/chat") || !within(imported, strings.TrimSuffix(aws, "/"), "encoding/json") && (local == "" || within(local, "internal/chat"))
	}},
	{"the protocol stands on the domain alone", func(file, imported, local string) bool {
		return !within(file, "internal/wire") || !within(imported, strings.TrimSuffix(aws, "/")) && (local == "" || within(local, "internal/chat", "internal/wire"))
	}},
	{"the client library imports the protocol and the domain alone", func(file, imported, local string) bool {
		return !within(file, "client") || !within(imported, strings.TrimSuffix(aws, "/")) && (local == "" || within(local, "client", "internal/wire", "internal/chat"))
	}},
	{"the command stands on the client library", func(file, _, local string) bool {
		return !within(file, "cmd") || !within(local, "internal") || within(local, "internal/wire", "internal/chat")
	}},
	{"functions wire their handlers and nothing more", func(file, _, local string) bool {
		return !within(file, "functions") || local == "" || local == "internal/function" || local == "internal/handler/"+path.Base(path.Dir(file))
	}},
	{"functions know no HTTP server and no WebSocket library", func(file, imported, _ string) bool {
		return !within(file, "internal", "functions") || !within(imported, "github.com/coder/websocket", "github.com/gobwas/ws")
	}},
}

// broken lists the imports that break rules.
func broken(files []source) (found []string) {
	for _, f := range files {
		for _, imported := range f.imports {
			local, ok := strings.CutPrefix(imported, module)
			if !ok {
				local = ""
			}
			for _, r := range rules {
				if !r.check(f.file, imported, local) {
					found = append(found, fmt.Sprintf("%s imports %s: %s", f.file, imported, r.name))
				}
			}
		}
	}
	return found
}

// sources reads the imports of all files of the module that ship.
func sources(t *testing.T, root string) (files []source) {
	t.Helper()
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && p != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(set, p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		f := source{file: filepath.ToSlash(rel)}
		for _, i := range parsed.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, imported)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestImportsKeepTheBoundaries(t *testing.T) {
	files := sources(t, "../..")
	for _, folder := range []string{"internal/chat", "internal/store", "functions/send", "client", "localstack/cloud"} {
		if !slices.ContainsFunc(files, func(f source) bool { return path.Dir(f.file) == folder }) {
			t.Errorf("%s was not found: the rules would hold of nothing", folder)
		}
	}
	for _, b := range broken(files) {
		t.Error(b)
	}
}

// The rules find what they are for.
func TestRules(t *testing.T) {
	tests := []struct {
		file, imported string
		allowed        bool
	}{
		{"internal/store/users.go", aws + "aws-sdk-go-v2/service/dynamodb/types", true},
		{"internal/store/storetest/storetest.go", aws + "aws-sdk-go-v2/service/dynamodb", true},
		{"internal/handler/send/send.go", aws + "aws-sdk-go-v2/service/dynamodb", false},
		{"internal/storefront/x.go", aws + "aws-sdk-go-v2/service/dynamodb", false},
		{"cmd/duet/main.go", aws + "aws-sdk-go-v2/service/dynamodb", false},
		{"internal/post/post.go", aws + "aws-sdk-go-v2/service/apigatewaymanagementapi", true},
		{"internal/handler/deliver/courier.go", aws + "aws-sdk-go-v2/service/apigatewaymanagementapi/types", false},
		{"internal/store/store.go", module + "localstack/dynamodb", false},
		{"functions/send/main.go", module + "internal/handler/send", true},
		{"functions/send/main.go", module + "internal/handler/sync", false},
		{"functions/send/main.go", module + "localstack", false},
		{"client/client.go", module + "internal/wire", true},
		{"client/client.go", module + "internal/store", false},
		{"client/client.go", aws + "aws-sdk-go-v2/aws", false},
		{"cmd/duet/chat.go", module + "client", true},
		{"cmd/duet/chat.go", module + "internal/handler/send", false},
		{"internal/chat/sender.go", aws + "aws-lambda-go/events", false},
		{"internal/chat/sender.go", "encoding/json", false},
		{"internal/chat/sender.go", "context", true},
		{"internal/chat/sender.go", module + "internal/wire", false},
		{"internal/wire/wire.go", module + "internal/store", false},
		{"localstack/cloud/functions.go", module + "internal/handler/send", true},
		{"localstack/cloud/cloud.go", module + "internal/handler/send", false},
		{"localstack/cloud/cloud.go", module + "localstack/gateway", true},
		{"localstack/lambda/inprocess.go", module + "internal/function", true},
		{"localstack/gateway/conn.go", module + "internal/wire", false},
		{"localstack/gateway/conn.go", "github.com/gobwas/ws", true},
		{"internal/handler/ping/ping.go", "github.com/gobwas/ws", false},
	}
	for _, tt := range tests {
		got := broken([]source{{tt.file, []string{tt.imported}}})
		if (len(got) == 0) != tt.allowed {
			t.Errorf("%s imports %s: %q, allowed should be %v", tt.file, tt.imported, got, tt.allowed)
		}
	}
}
