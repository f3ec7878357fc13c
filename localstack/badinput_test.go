package main_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/cloudtest"
)

// Stacks of one function, complete and with something wrong in line 9.
const (
	head = `AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Parameters:
  Size: { Type: Number, Default: 3 }
Resources:
  Work:
    Type: AWS::Serverless::Function
    Properties:
`
	rest = `      CodeUri: work
      Runtime: provided.al2023
      Handler: bootstrap
`
	stage = `  Room:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      StageName: dev
`
)

// refusal runs the local cloud, which must not start, and returns the line that says why.
func refusal(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), cloudtest.Binary(t), args...)
	cmd.Dir = cloudtest.Root(t)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() < 1 {
		t.Errorf("it ended with %v, want an exit code above 0", err)
	}
	if stdout.Len() > 0 {
		t.Errorf("it wrote to stdout: %s", stdout.String())
	}
	line, more, _ := strings.Cut(stderr.String(), "\n")
	if more != "" || line == "" {
		t.Errorf("it wrote to stderr:\n%swant one line", stderr.String())
	}
	return line
}

// Bad input is told in one line with what is wrong, where, and what to do, and the exit code is not 0.
func TestBadTemplates(t *testing.T) {
	for name, test := range map[string]struct {
		template, at string   // at is the line at fault
		want         []string // in the message, the remedy among it
		flags        []string
	}{
		"empty":                      {"\n", ":1:", []string{"empty", "Resources"}, nil},
		"no YAML":                    {head + "      : [\n", ":9:", []string{"not YAML"}, nil},
		"resource type unknown":      {head + rest + "  Files:\n    Type: AWS::S3::Bucket\n", ":13:", []string{"AWS::S3::Bucket", "it knows"}, nil},
		"property unknown":           {head + "      Timeuot: 3\n" + rest, ":9:", []string{"Timeuot", "Timeout"}, nil},
		"intrinsic unknown":          {head + "      Timeout: !Sum [1, 2]\n" + rest, ":9:", []string{"Sum", "it knows"}, nil},
		"intrinsic of AWS's":         {head + "      Role: !ImportValue role\n" + rest, ":9:", []string{"ImportValue", "--parameter"}, nil},
		"reference to nothing":       {head + "      Timeout: !Ref Sice\n" + rest, ":9:", []string{"no parameter or resource Sice"}, nil},
		"parameter unknown":          {head + rest, ":1:", []string{"no parameter Sice", "it has Size"}, []string{"--parameter", "Sice=3"}},
		"parameter of another type":  {head + rest, ":4:", []string{"Size", "must be a number"}, []string{"--parameter", "Size=three"}},
		"no code":                    {head + strings.Replace(rest, "work", "wrok", 1), ":9:", []string{"function Work", "no folder wrok"}, nil},
		"no Go code":                 {head + strings.Replace(rest, "work", "empty", 1), ":9:", []string{"neither Go code nor a binary", "give it the folder of a main package"}, nil},
		"another language":           {head + "      CodeUri: work\n      Runtime: python3.13\n", ":10:", []string{"python3.13", "provided.al2023"}, nil},
		"route to a missing funtion": {head + rest + stage + "      Routes:\n        say: { FunctionArn: !GetAtt Wrok.Arn }\n", ":18:", []string{"Wrok"}, nil},
		"route to another's function": {head + rest + stage + "      Routes:\n        say: { FunctionArn: arn:aws:lambda:us-east-1:000000000000:function:Wrok }\n", ":18:",
			[]string{"no function of this template", "it has Work"}, nil},
		"circle":      {head + "      Description: !Ref Jobs\n" + rest + "  Jobs:\n    Type: AWS::SQS::Queue\n    Properties: { QueueName: !Sub '${Work}-jobs' }\n", ":15:", []string{"circular dependency: Work → Jobs → Work"}, nil},
		"event":       {head + rest + "      Events:\n        Daily: { Type: Schedule }\n", ":13:", []string{"Schedule", "DynamoDB"}, nil},
		"two anchors": {head + "      Tags: &tags { a: b }\n" + rest, ":9:", []string{"anchors", "write it out"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "app.yaml")
			if err := os.WriteFile(file, []byte(test.template), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(dir, "empty"), 0o700); err != nil {
				t.Fatal(err)
			}
			line := refusal(t, append([]string{"--port", "0", "--template", file}, test.flags...)...)
			if !strings.HasPrefix(line, "localstack: "+file+test.at+" ") {
				t.Errorf("it says %q, want %s%s", line, file, test.at)
			}
			for _, want := range test.want {
				if !strings.Contains(line, want) {
					t.Errorf("it says %q, want %q in it", line, want)
				}
			}
		})
	}
}

// What is wrong around the template is told as well.
func TestBadSurroundings(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	port := strconv.Itoa(busy.Addr().(*net.TCPAddr).Port)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	used, corrupt := t.TempDir(), t.TempDir()
	for _, dir := range []string{used, corrupt} {
		cloudtest.StartProcess(t, dir).Interrupt()
	}
	damage(t, corrupt)
	// Other tables, and the same ones with other keys.
	const table = "Resources:\n  %:\n    Type: AWS::DynamoDB::Table\n    Properties:\n      BillingMode: PAY_PER_REQUEST\n" +
		"      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]\n      KeySchema: [{ AttributeName: id, KeyType: HASH }]\n"
	stack := func(name string) string {
		file := filepath.Join(t.TempDir(), "app.yaml")
		if err := os.WriteFile(file, []byte(strings.Replace(table, "%", name, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	others, changed := stack("Others"), stack("UsersTable")
	for name, test := range map[string]struct {
		flags []string
		want  []string
	}{
		"port in use":               {[]string{"--port", port}, []string{"port " + port + " is in use", "--port"}},
		"no template":               {[]string{"--template", "nowhere.yaml"}, []string{"nowhere.yaml", "--template"}},
		"data folder a file":        {[]string{"--data", file}, []string{file}},
		"data folder corrupt":       {[]string{"--data", corrupt}, []string{corrupt, "corrupt", "remove it"}},
		"data of another stack":     {[]string{"--data", used, "--template", others}, []string{others + ":1:", used, "duet-UsersTable", "--data"}},
		"data of other keys":        {[]string{"--data", used, "--template", changed}, []string{changed + ":2:", "UsersTable", "empty data folder"}},
		"limit misspelt":            {[]string{"--limit", "idel=5s"}, []string{"--limit idel=5s", "there are", "idle", "message-bytes"}},
		"limit without a unit":      {[]string{"--limit", "idle=5"}, []string{"--limit idle=5", "as in 5s"}},
		"functions in another mode": {[]string{"--functions", "docker"}, []string{"docker", "inprocess", "process"}},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(strings.Join(test.flags, " "), "--port") {
				test.flags = append(test.flags, "--port", "0")
			}
			line := refusal(t, test.flags...)
			for _, want := range test.want {
				if !strings.Contains(line, want) {
					t.Errorf("it says %q, want %q in it", line, want)
				}
			}
		})
	}
	// The refused templates have left nothing in the folder.
	cloudtest.StartProcess(t, used)
}

// damage overwrites what a data folder says of itself.
func damage(t *testing.T, dir string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	if err != nil || len(found) == 0 {
		t.Fatalf("there is no manifest in %s: %v", dir, err)
	}
	for _, file := range found {
		if err := os.WriteFile(file, bytes.Repeat([]byte{0xff}, 512), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
