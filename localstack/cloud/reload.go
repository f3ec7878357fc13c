package cloud

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/duet-chat/duet/localstack/streams"
	"github.com/duet-chat/duet/localstack/template"
	"github.com/duet-chat/duet/localstack/watch"
)

// Reload is what came of a change of code or template.
type Reload struct {
	Took time.Duration
	// Done says what is another now, a phrase each: nothing if the change made no difference.
	Done []string
	// Restart names the changed files that are part of the local cloud itself.
	Restart []string
	// Err says why everything is as it was.
	Err error
}

// String is the reload in a line, but for the output of a compiler; "" if there is nothing to tell.
func (r Reload) String() string {
	var lines []string
	switch {
	case r.Err != nil:
		lines = append(lines, fmt.Sprintf("not reloaded, what ran keeps running: %v", r.Err))
	case len(r.Done) > 0:
		lines = append(lines, fmt.Sprintf("reloaded in %d ms: %s", r.Took.Milliseconds(), strings.Join(r.Done, "; ")))
	}
	if len(r.Restart) > 0 {
		lines = append(lines, fmt.Sprintf("restart to use the change of %s: that is the local cloud itself", strings.Join(r.Restart, ", ")))
	}
	return strings.Join(lines, "\n")
}

// Watch reloads on each change of the functions' code or of the template, and reports what came of it,
// until the cloud is closed. When it returns, it watches. Connections stay open, and data stays.
func (c *Cloud) Watch(report func(Reload)) error {
	file, err := filepath.Abs(c.config.Template)
	if err != nil {
		return err
	}
	data, err := filepath.Abs(c.config.Dir)
	if err != nil {
		return err
	}
	w := &watcher{cloud: c, template: file}
	skipped := []string{data}
	if c.config.Dir == "" {
		skipped = nil
	}
	if w.files, err = watch.NewFiles(c.background, w.wants, skipped...); err != nil {
		return err
	}
	if err := w.follow(c.stack.Load()); err != nil {
		return err
	}
	c.running.Go(func() {
		for changed := range w.files.Changes() {
			r := c.reload(c.background, changed)
			if c.background.Err() != nil {
				return
			}
			if err := w.follow(c.stack.Load()); err != nil && r.Err == nil {
				r.Err = err
			}
			report(r)
		}
	})
	return nil
}

// watcher knows which files a stack is made of.
type watcher struct {
	cloud    *Cloud
	files    *watch.Files
	template string
}

// wants tells whether a file can be part of a program, or is the template.
func (w *watcher) wants(file string) bool {
	if file == w.template {
		return true
	}
	name := filepath.Base(file)
	return strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") ||
		slices.Contains([]string{"go.mod", "go.sum", "Makefile", "bootstrap"}, name)
}

// follow watches the template's folder, and the modules of the functions, or their folders without one.
func (w *watcher) follow(s *template.Stack) error {
	if err := w.files.AddFolder(filepath.Dir(w.template)); err != nil {
		return err
	}
	roots := map[string]bool{}
	for _, function := range s.Functions {
		folder, err := w.cloud.fleet.folder(function)
		if err != nil {
			return err
		}
		if _, err := os.Stat(folder); err != nil {
			continue // a copy of the product's template alone has no code beside it
		}
		if root := watch.Root(folder); root != "" {
			folder = root
		}
		roots[folder] = true
	}
	for _, root := range slices.Sorted(maps.Keys(roots)) {
		if err := w.files.Add(root); err != nil {
			return err
		}
	}
	return nil
}

// reload brings everything to what the template and the code say now, or leaves it as it is.
func (c *Cloud) reload(ctx context.Context, changed []string) Reload {
	began := time.Now()
	c.deploying.Lock()
	defer c.deploying.Unlock()
	r := Reload{Restart: c.ofTheCloud(changed)}
	r.Done, r.Err = c.deploy(ctx, changed)
	r.Took = time.Since(began)
	return r
}

func (c *Cloud) deploy(ctx context.Context, changed []string) ([]string, error) {
	before := c.stack.Load()
	next, planned, err := c.load()
	if err != nil {
		return nil, err
	}
	if err := fixed(before, next); err != nil {
		return nil, err
	}
	missing := planned.Missing()
	if next, planned, err = c.provide(next, planned); err != nil {
		return nil, err
	}
	functions, err := c.fleet.start(ctx, next.Functions, c.current, c.affected(ctx, next, changed))
	if err != nil {
		return nil, err
	}
	// From here on nothing fails but by a fault of the machine.
	done := difference(before, next, functions.replaced, missing)
	return done, c.install(next, planned, functions)
}

// affected are the functions whose programs are made of changed files.
func (c *Cloud) affected(ctx context.Context, s *template.Stack, changed []string) map[string]bool {
	folders := map[string]string{}
	for _, function := range s.Functions {
		if folder, err := c.fleet.folder(function); err == nil {
			folders[function.Name] = folder
		}
	}
	users := watch.Users(ctx, slices.Compact(slices.Sorted(maps.Values(folders))), changed)
	names := map[string]bool{}
	for name, folder := range folders {
		if users[folder] {
			names[name] = true
		}
	}
	return names
}

// fixed says what of a stack has changed that cannot be changed while it runs.
func fixed(before, next *template.Stack) error {
	restart := func(at, what string) error {
		return fmt.Errorf("%s: %s cannot be changed while the stack runs: change it back, or restart", at, what)
	}
	switch {
	case before.API == nil && next.API == nil:
	case before.API == nil || next.API == nil:
		return restart(next.Where("", "AWS::Serverless::WebSocketApi", "AWS::ApiGatewayV2::Api", "AWS::Serverless::Function"), "that there is a WebSocket API, or none,")
	case before.API.ID != next.API.ID, before.API.Stage != next.API.Stage:
		return restart(next.Where(next.API.Name), "the stage or the name of a WebSocket API")
	}
	if !reflect.DeepEqual(before.Pools, next.Pools) {
		return restart(next.Where("", "AWS::Cognito::UserPool", "AWS::Cognito::UserPoolClient", "AWS::Serverless::Function"), "a user pool")
	}
	if !reflect.DeepEqual(before.Queues, next.Queues) {
		return restart(next.Where("", "AWS::SQS::Queue", "AWS::Serverless::Function"), "a queue")
	}
	if !reflect.DeepEqual(before.EventBuses, next.EventBuses) || !reflect.DeepEqual(before.EventRules, next.EventRules) {
		return restart(next.Where("", "AWS::Events::EventBus", "AWS::Events::Rule", "AWS::Serverless::Function"), "an event bus or rule")
	}
	return nil
}

// difference says what a deployment changes, a phrase each.
func difference(before, next *template.Stack, replaced, tables []string) []string {
	var done []string
	tell := func(what string, names []string) {
		if len(names) > 0 {
			done = append(done, what+" "+strings.Join(names, ", "))
		}
	}
	tell("functions", replaced)
	gone := func(old, kept []string) []string {
		return slices.DeleteFunc(old, func(name string) bool { return slices.Contains(kept, name) })
	}
	tell("without functions", gone(functionNames(before), functionNames(next)))
	if !reflect.DeepEqual(before.API, next.API) {
		done = append(done, "routes and authorizer of "+next.API.Name)
	}
	if !slices.EqualFunc(before.Mappings, next.Mappings, streams.Mapping.Equal) {
		done = append(done, "event source mappings")
	}
	tell("new tables", tables)
	if !maps.Equal(before.Outputs, next.Outputs) {
		done = append(done, "outputs")
	}
	var policies []string // of those that go on
	for _, name := range functionNames(next) {
		if old, ok := before.Policies.Roles[name]; ok && !slices.Contains(replaced, name) && !reflect.DeepEqual(old, next.Policies.Roles[name]) {
			policies = append(policies, name)
		}
	}
	tell("policies of", policies)
	return done
}

func functionNames(s *template.Stack) []string {
	var names []string
	for _, function := range s.Functions {
		names = append(names, function.Name)
	}
	return names
}

// ofTheCloud are the changed files that this program is made of, seen from their module: no function
// is.
func (c *Cloud) ofTheCloud(changed []string) []string {
	var files []string
	for _, file := range changed {
		root, path := moduleOf(filepath.Dir(file))
		if path != module || filepath.Ext(file) != ".go" {
			continue
		}
		if rest, err := filepath.Rel(root, file); err == nil && strings.HasPrefix(filepath.ToSlash(rest), "localstack/") {
			files = append(files, filepath.ToSlash(rest))
		}
	}
	return files
}
