package cloud_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/duet-chat/duet/localstack/cloud"
	"github.com/duet-chat/duet/localstack/cloudtest"
)

const echoTemplate = `Resources:
  Room:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      StageName: dev
      Routes:
        $default: { FunctionArn: !GetAtt Echo.Arn, RouteResponseSelectionExpression: $default }
        # more routes
  Answer:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: !Ref Room, RouteId: !Ref RoomDefaultRoute, RouteResponseKey: $default }
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: cmd/echo
      Runtime: provided.al2023
      Environment: { Variables: { TAIL: "." } }
  Notes:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
# more resources
`

// more is what is added to the template: a route with its function, and a table.
const more = `  ShoutAnswer:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: !Ref Room, RouteId: !Ref RoomShoutRoute, RouteResponseKey: $default }
  Shout:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: cmd/echo
      Runtime: provided.al2023
      Environment: { Variables: { TAIL: "!!!" } }
  Shouts:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
`

const echoCode = `package main

import (
	"context"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"example.com/echo/word"
)

func main() {
	lambda.Start(func(context.Context, events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
		return events.APIGatewayProxyResponse{StatusCode: 200, Body: word.Word + os.Getenv("TAIL")}, nil
	})
}
`

// workshop is a stack in a folder of its own that is being changed.
type workshop struct {
	t       *testing.T
	dir     string
	cloud   *cloud.Cloud
	reloads chan cloud.Reload
}

func (w *workshop) write(file, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, filepath.FromSlash(file))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// open starts the stack and watches it.
func (w *workshop) open() {
	w.t.Helper()
	w.cloud = cloudtest.Start(w.t, func(c *cloud.Config) {
		c.Template, c.Parameters = filepath.Join(w.dir, "template.yaml"), nil
	})
	w.reloads = make(chan cloud.Reload, 10)
	if err := w.cloud.Watch(func(r cloud.Reload) { w.reloads <- r }); err != nil {
		w.t.Fatal(err)
	}
}

// reloaded waits for what comes of a change.
func (w *workshop) reloaded() cloud.Reload {
	w.t.Helper()
	select {
	case r := <-w.reloads:
		return r
	case <-time.After(3 * time.Minute): // a first build may take its time
		w.t.Fatal("the change is not noticed")
	}
	return cloud.Reload{}
}

// effect waits for a reload that has something to tell: changes that are made one after the other may be
// noticed one after the other.
func (w *workshop) effect() cloud.Reload {
	w.t.Helper()
	for {
		if r := w.reloaded(); r.String() != "" {
			return r
		}
	}
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	w := &workshop{t: t, dir: t.TempDir()}
	sums, err := os.ReadFile(filepath.Join(cloudtest.Root(t), "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	w.write("go.mod", "module example.com/echo\n\ngo 1.26.0\n\nrequire github.com/aws/aws-lambda-go v1.55.1\n")
	w.write("go.sum", string(sums))
	w.write("word/word.go", "package word\n\nconst Word = \"one\"\n")
	w.write("cmd/echo/main.go", echoCode)
	w.write("template.yaml", echoTemplate)
	w.open()
	return w
}

// Whoever is connected stays so while the code changes: the next message has the new answer, and the
// old one when the code does not build.
func TestReloadCode(t *testing.T) {
	w := newWorkshop(t)
	s := dial(t, w.cloud)
	wantAnswer := func(want string) {
		t.Helper()
		if got := s.say("{}"); got != want {
			t.Errorf("answer = %q, want %q", got, want)
		}
	}
	wantAnswer("one.")

	w.write("word/word.go", "package word\n\nconst Word = \"two\"\n")
	if r := w.reloaded(); r.Err != nil || !slices.Equal(r.Done, []string{"functions Echo"}) || r.Took <= 0 {
		t.Errorf("reload = %+v, want Echo replaced", r)
	}
	wantAnswer("two.")

	w.write("word/word.go", "package word\n\nconst Word = tow\n")
	r := w.reloaded()
	if r.Err == nil || !strings.Contains(r.Err.Error(), "undefined: tow") || !strings.Contains(r.String(), "what ran keeps running") {
		t.Errorf("reload of broken code = %v, want the compiler's words", r)
	}
	wantAnswer("two.")

	w.write("word/word.go", "package word\n\nconst Word = \"two\"\n")
	if r := w.reloaded(); r.Err != nil || r.String() != "" {
		t.Errorf("reload of what makes the same program = %v, want nothing to tell", r)
	}
	wantAnswer("two.")

	w.write("word/more/more.go", "package more\n\nconst Word = \"three\"\n")
	w.write("word/word.go", "package word\n\nimport \"example.com/echo/word/more\"\n\nconst Word = more.Word\n")
	if r := w.effect(); r.Err != nil || !slices.Equal(r.Done, []string{"functions Echo"}) {
		t.Errorf("reload with a new package = %+v, want Echo replaced", r)
	}
	wantAnswer("three.")
	w.write("word/more/more.go", "package more\n\nconst Word = \"four\"\n")
	if r := w.reloaded(); r.Err != nil {
		t.Errorf("reload in a new folder = %v", r)
	}
	wantAnswer("four.")
}

// The template is read anew: functions, routes and tables come, data and connections stay. What cannot be
// changed is refused with its line, and changes nothing.
func TestReloadTemplate(t *testing.T) {
	w := newWorkshop(t)
	s := dial(t, w.cloud)
	dynamo := func(operation string, in map[string]any) (int, string) {
		t.Helper()
		status, _, body := call(t, w.cloud.URL()+"/", "DynamoDB_20120810."+operation, in)
		return status, string(body)
	}
	note := map[string]any{"id": map[string]string{"S": "kept"}}
	if status, body := dynamo("PutItem", map[string]any{"TableName": "duet-Notes", "Item": note}); status != 200 {
		t.Fatalf("PutItem = %d %s", status, body)
	}

	wider := strings.NewReplacer(
		`TAIL: "."`, `TAIL: "?"`,
		"        # more routes", "        shout: { FunctionArn: !GetAtt Shout.Arn, RouteResponseSelectionExpression: $default }",
		"# more resources\n", more,
	).Replace(echoTemplate)
	w.write("template.yaml", wider)
	want := []string{"functions Echo, Shout", "routes and authorizer of Room", "new tables duet-Shouts"}
	if r := w.reloaded(); r.Err != nil || !slices.Equal(r.Done, want) {
		t.Errorf("reload = %+v, want %v", r, want)
	}
	check := func() {
		t.Helper()
		for frame, want := range map[string]string{`{}`: "one?", `{"action":"shout"}`: "one!!!"} {
			if got := s.say(frame); got != want {
				t.Errorf("answer to %s = %q, want %q", frame, got, want)
			}
		}
		if status, body := dynamo("GetItem", map[string]any{"TableName": "duet-Notes", "Key": note}); status != 200 || !strings.Contains(body, "kept") {
			t.Errorf("GetItem = %d %s, want what was put before", status, body)
		}
		if status, body := dynamo("PutItem", map[string]any{"TableName": "duet-Shouts", "Item": note}); status != 200 {
			t.Errorf("PutItem into the new table = %d %s", status, body)
		}
	}
	check()

	for name, test := range map[string]struct{ old, new, at, want string }{
		"unknown property":   {"StageName: dev", "StageNam: dev", ":6:", "StageNam"},
		"another stage":      {"StageName: dev", "StageName: live", ":2:", "cannot be changed while the stack runs"},
		"other keys":         {"KeySchema: [{ AttributeName: id, KeyType: HASH }]\n  ShoutAnswer", "KeySchema: [{ AttributeName: id, KeyType: RANGE }]\n  ShoutAnswer", ":19:", "duet-Notes"},
		"a missing function": {"!GetAtt Shout.Arn", "!GetAtt Shuot.Arn", ":9:", "Shuot"},
		"missing code":       {"CodeUri: cmd/echo\n      Runtime: provided.al2023\n      Environment: { Variables: { TAIL: \"!!!\"", "CodeUri: cmd/gone\n      Runtime: provided.al2023\n      Environment: { Variables: { TAIL: \"!!!\"", ":31:", "no folder cmd/gone"},
	} {
		t.Run(name, func(t *testing.T) {
			broken := strings.Replace(wider, test.old, test.new, 1)
			if broken == wider {
				t.Fatalf("the template has no %q", test.old)
			}
			w.write("template.yaml", broken)
			if r := w.reloaded(); r.Err == nil || !strings.Contains(r.Err.Error(), "template.yaml"+test.at) || !strings.Contains(r.Err.Error(), test.want) {
				t.Errorf("reload = %v, want an error at %s with %q", r, test.at, test.want)
			}
			check()
		})
	}
	w.write("template.yaml", wider)
	if r := w.reloaded(); r.Err != nil || r.String() != "" {
		t.Errorf("reload of what runs = %v, want nothing to tell", r)
	}
	if status, body := dynamo("DescribeTable", map[string]any{"TableName": "duet-Gone"}); status == 200 {
		t.Errorf("DescribeTable of nothing = %s", body)
	}
}

// Of the product's functions only the changed ones leave this process, and who is connected does not notice.
func TestReloadProduct(t *testing.T) {
	w := &workshop{t: t, dir: t.TempDir()}
	root := cloudtest.Root(t)
	for _, part := range []string{"go.mod", "go.sum", "template.yaml", "functions", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, part), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			relative, err := filepath.Rel(root, path)
			w.write(filepath.ToSlash(relative), string(text))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.open()
	if notes := w.cloud.Notes(); len(notes) != 0 {
		t.Errorf("notes = %q, want none: all functions run in this process", notes)
	}
	signUp(t, w.cloud, "alice")
	token, _ := signIn(t, w.cloud, "alice")
	s := connect(t, w.cloud, token, "laptop")
	before := s.ask(`{"action":"ping"}`)
	code, err := os.ReadFile(filepath.Join(w.dir, "functions", "ping", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	w.write("functions/ping/main.go", string(code)+"\nvar _ = \"changed\"\n")
	if r := w.reloaded(); r.Err != nil || !slices.Equal(r.Done, []string{"functions PingFunction"}) {
		t.Errorf("reload = %+v, want PingFunction replaced and no other", r)
	}
	if after := s.ask(`{"action":"ping"}`); after["type"] != before["type"] {
		t.Errorf("ping is answered by %v, was answered by %v", after, before)
	}
	w.write("localstack/new.go", "package main\n")
	if r := w.effect(); !slices.Equal(r.Restart, []string{"localstack/new.go"}) || !strings.Contains(r.String(), "restart") {
		t.Errorf("reload = %v, want a word that a restart is needed", r)
	}
}

// dial connects to a stack without an authorizer.
func dial(t *testing.T, c *cloud.Cloud) socket {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), c.WebSocketURL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	return socket{t, ws}
}

// say sends a frame and returns the answer.
func (s socket) say(frame string) string {
	s.t.Helper()
	if err := s.Write(s.t.Context(), websocket.MessageText, []byte(frame)); err != nil {
		s.t.Fatal(err)
	}
	_, data, err := s.Read(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}
