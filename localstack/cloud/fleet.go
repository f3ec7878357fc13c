package cloud

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"

	"github.com/duet-chat/duet/localstack/lambda"
)

// module is the one whose functions this program has in it.
const module = "github.com/duet-chat/duet"

// fleet knows how functions are run: in this process those that the registry has, as processes all
// others.
type fleet struct {
	cloud   *Cloud
	mode    string // InProcess or Process
	dir     string // of the template
	host    string
	port    string
	options lambda.Options
}

func (c *Cloud) newFleet(o Config, host string) (*fleet, error) {
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		return nil, err
	}
	f := &fleet{cloud: c, mode: o.Functions, dir: filepath.Dir(o.Template), host: host, port: port, options: lambda.Options{
		Region: Region, Account: Account, Now: time.Now, Meter: c.meter, Log: o.Log,
	}}
	if f.mode == "" {
		f.mode = InProcess
	}
	if f.mode != InProcess && f.mode != Process {
		return nil, fmt.Errorf("functions run %s or %s, not %q", InProcess, Process, f.mode)
	}
	return f, nil
}

// runningFunctions is who runs which function.
type runningFunctions struct {
	functions []lambda.Function
	runners   map[string]lambda.Runner
	binaries  map[string]string // of those that run as processes
	replaced  []string          // the functions that are new here, or run otherwise than before
}

// start starts functions, each where it can run. Those of before go on if they are the same; of the
// changed ones the code may be another. Nothing of before is ended.
func (f *fleet) start(ctx context.Context, functions []lambda.Function, before runningFunctions, changed map[string]bool) (runningFunctions, error) {
	next := runningFunctions{functions: functions, runners: map[string]lambda.Runner{}, binaries: map[string]string{}}
	var here, apart, build []lambda.Function
	for _, function := range functions {
		same := before.has(function)
		switch {
		case same && !changed[function.Name]:
			next.runners[function.Name] = before.runners[function.Name]
			if binary := before.binaries[function.Name]; binary != "" {
				next.binaries[function.Name] = binary
			}
		case f.isHere(function) && before.binaries[function.Name] == "" && !changed[function.Name]:
			here = append(here, function)
		default:
			build = append(build, function)
		}
	}
	binaries, err := f.build(ctx, build)
	if err != nil {
		return runningFunctions{}, err
	}
	for _, function := range build {
		name := function.Name
		next.binaries[name] = binaries[name]
		if before.has(function) && before.binaries[name] == binaries[name] {
			next.runners[name] = before.runners[name] // another source, but the same program
			continue
		}
		apart = append(apart, function)
	}
	if len(apart) > 0 {
		processes, err := f.processes(ctx, apart, binaries)
		if err != nil {
			return runningFunctions{}, err
		}
		next.assign(processes, apart)
	}
	if len(here) > 0 {
		inProcess, err := f.inProcess(here)
		if err != nil {
			if len(apart) > 0 {
				err = errors.Join(err, next.runners[apart[0].Name].Close(ctx))
			}
			return runningFunctions{}, err
		}
		next.assign(inProcess, here)
	}
	slices.Sort(next.replaced)
	return next, nil
}

func (r *runningFunctions) assign(to lambda.Runner, functions []lambda.Function) {
	for _, function := range functions {
		r.runners[function.Name] = to
		r.replaced = append(r.replaced, function.Name)
	}
}

// has tells whether a function runs with the same settings, wherever they stand.
func (r *runningFunctions) has(function lambda.Function) bool {
	i := slices.IndexFunc(r.functions, func(other lambda.Function) bool { return other.Name == function.Name })
	if i < 0 {
		return false
	}
	other := r.functions[i]
	other.At = function.At
	return reflect.DeepEqual(other, function)
}

// isHere tells whether a function's code is in this program, and is to run here.
func (f *fleet) isHere(function lambda.Function) bool {
	return f.mode == InProcess && registry[function.Folder] != nil && f.isProduct(function.Folder)
}

// folder is where a function's code is.
func (f *fleet) folder(function lambda.Function) (string, error) {
	return function.FolderFrom(f.dir)
}

// isProduct tells whether a folder of the registry's is this module's, or not there at all, as with
// a copy of the template alone. Another stack may have a folder of that name with its own code.
func (f *fleet) isProduct(folder string) bool {
	dir, err := filepath.Abs(filepath.Join(f.dir, filepath.FromSlash(folder)))
	if err != nil {
		return false
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return true
	}
	root, path := moduleOf(dir)
	return path == module && filepath.Join(root, filepath.FromSlash(folder)) == dir
}

// moduleOf is the folder of the Go module that a folder belongs to, and its path; "" without one.
func moduleOf(dir string) (root, path string) {
	for ; ; dir = filepath.Dir(dir) {
		if file, err := os.Open(filepath.Join(dir, "go.mod")); err == nil {
			defer file.Close()
			lines := bufio.NewScanner(file)
			for lines.Scan() {
				if path, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "module "); ok {
					return dir, strings.Trim(strings.TrimSpace(path), `"`)
				}
			}
			return dir, ""
		}
		if dir == filepath.Dir(dir) {
			return "", ""
		}
	}
}

func (f *fleet) inProcess(functions []lambda.Function) (*lambda.InProcess, error) {
	o := f.options
	o.Functions = functions
	return lambda.NewInProcess(o, registry, func(name string) (aws.Config, *http.Client) {
		services := &inProcessServices{cloud: f.cloud, host: f.host, function: name}
		return aws.Config{
			Region:       Region,
			Credentials:  aws.AnonymousCredentials{},
			HTTPClient:   services,
			BaseEndpoint: aws.String("http://" + f.host),
			APIOptions:   []func(*middleware.Stack) error{lighten},
		}, &http.Client{Transport: services, Timeout: 5 * time.Second}
	})
}

// cache is where binaries and what they need are kept.
func (f *fleet) cache() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no folder for the functions' binaries: %w", err)
	}
	return filepath.Join(cache, "duet"), nil
}

// build makes the binaries of functions, by their names.
func (f *fleet) build(ctx context.Context, functions []lambda.Function) (map[string]string, error) {
	if len(functions) == 0 {
		return nil, nil
	}
	cache, err := f.cache()
	if err != nil {
		return nil, err
	}
	if tell := f.cloud.config.Tell; tell != nil {
		slow := time.AfterFunc(time.Second, func() {
			tell("building functions; the first time everything they are made of is compiled, which may take a minute …")
		})
		defer slow.Stop()
	}
	return lambda.Build(ctx, f.dir, filepath.Join(cache, "functions"), functions)
}

// processes runs functions as processes.
func (f *fleet) processes(ctx context.Context, functions []lambda.Function, binaries map[string]string) (*lambda.Process, error) {
	cache, err := f.cache()
	if err != nil {
		return nil, err
	}
	roots := filepath.Join(cache, "roots-"+f.port+".pem")
	if err := f.cloud.authority.WriteRoots(roots); err != nil {
		return nil, err
	}
	o := f.options
	o.Functions = functions
	return lambda.NewProcess(ctx, o, lambda.ProcessOptions{
		Dir: f.dir, Binaries: binaries, Endpoint: "http://" + f.host,
		// What a function addresses to AWS comes here, however it makes the address, and never gets there.
		Variables: map[string]string{"HTTPS_PROXY": "http://" + f.host, "SSL_CERT_FILE": roots},
	})
}

// note says in a line which functions run as processes though others run in this one; "" if none does.
func (f *fleet) note(r runningFunctions) string {
	if f.mode == Process || len(r.binaries) == 0 {
		return ""
	}
	return "built and run as processes, for this program does not have their code in it: " + strings.Join(slices.Sorted(maps.Keys(r.binaries)), ", ")
}
