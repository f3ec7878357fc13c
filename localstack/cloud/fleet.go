package cloud

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
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

// start starts functions, each where it can run, and says who runs which.
func (f *fleet) start(ctx context.Context, functions []lambda.Function) (map[string]lambda.Runner, error) {
	here, apart := f.split(functions)
	runners := map[string]lambda.Runner{}
	if len(apart) > 0 {
		processes, err := f.processes(ctx, apart)
		if err != nil {
			return nil, err
		}
		assign(runners, processes, apart)
	}
	if len(here) > 0 {
		inProcess, err := f.inProcess(here)
		if err != nil {
			if len(apart) > 0 {
				err = errors.Join(err, runners[apart[0].Name].Close(ctx))
			}
			return nil, err
		}
		assign(runners, inProcess, here)
	}
	return runners, nil
}

func assign(runners map[string]lambda.Runner, r lambda.Runner, functions []lambda.Function) {
	for _, function := range functions {
		runners[function.Name] = r
	}
}

// split tells the functions that run in this process from those that run as processes.
func (f *fleet) split(functions []lambda.Function) (here, apart []lambda.Function) {
	for _, function := range functions {
		if f.mode == InProcess && registry[function.Folder] != nil && f.isProduct(function.Folder) {
			here = append(here, function)
		} else {
			apart = append(apart, function)
		}
	}
	return here, apart
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

// processes builds functions and runs them as processes; ctx bounds the building.
func (f *fleet) processes(ctx context.Context, functions []lambda.Function) (*lambda.Process, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("there is no folder for the functions' binaries: %w", err)
	}
	cache = filepath.Join(cache, "duet")
	roots := filepath.Join(cache, "roots-"+f.port+".pem")
	if err := f.cloud.authority.WriteRoots(roots); err != nil {
		return nil, err
	}
	o := f.options
	o.Functions = functions
	return lambda.NewProcess(ctx, o, lambda.ProcessOptions{
		Dir: f.dir, Cache: filepath.Join(cache, "functions"), Endpoint: "http://" + f.host,
		// What a function addresses to AWS comes here, however it makes the address, and never gets there.
		Variables: map[string]string{"HTTPS_PROXY": "http://" + f.host, "SSL_CERT_FILE": roots},
	})
}

// note says in a line which functions run as processes though others run in this one; "" if none does.
func (f *fleet) note(functions []lambda.Function) string {
	_, apart := f.split(functions)
	if f.mode == Process || len(apart) == 0 {
		return ""
	}
	var names []string
	for _, function := range apart {
		names = append(names, function.Name)
	}
	slices.Sort(names)
	return fmt.Sprintf("built and run as processes, for this program does not have their code in it: %s", strings.Join(names, ", "))
}
