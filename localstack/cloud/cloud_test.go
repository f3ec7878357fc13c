package cloud_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/crypto/bcrypt"

	"github.com/duet-chat/duet/localstack/cloud"
	"github.com/duet-chat/duet/localstack/cloudtest"
)

func config(t testing.TB) cloud.Config {
	return cloud.Config{Template: filepath.Join(cloudtest.Root(t), "template.yaml"), PasswordCost: bcrypt.MinCost}
}

// mustFail starts a local cloud that must not start, and returns why it does not.
func mustFail(t *testing.T, c cloud.Config) string {
	t.Helper()
	began := time.Now()
	started, err := cloud.Start(t.Context(), c)
	if err == nil {
		_ = started.Close()
		t.Fatal("it starts, want an error")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v to fail", took)
	}
	return err.Error()
}

// What keeps the local cloud from starting is told with the value at fault and what to do.
func TestStartFails(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	port := busy.Addr().(*net.TCPAddr).Port

	inUse := t.TempDir()
	cloudtest.Start(t, func(c *cloud.Config) { c.Dir = inUse })

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("no folder"), 0o600); err != nil {
		t.Fatal(err)
	}

	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("Resources:\n  Bucket:\n    Type: AWS::S3::Bucket\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	for name, test := range map[string]struct {
		change func(*cloud.Config)
		want   []string
	}{
		"port in use":                      {func(c *cloud.Config) { c.Port = port }, []string{fmt.Sprintf("port %d is in use", port), "--port"}},
		"no port":                          {func(c *cloud.Config) { c.Port = 99999 }, []string{"port 99999"}},
		"data folder in use":               {func(c *cloud.Config) { c.Dir = inUse }, []string{inUse, "--data"}},
		"data folder a file":               {func(c *cloud.Config) { c.Dir = file }, []string{file}},
		"data folder corrupt":              {func(c *cloud.Config) { c.Dir = corrupt(t) }, []string{"corrupt"}},
		"no template":                      {func(c *cloud.Config) { c.Template = "nowhere.yaml" }, []string{"nowhere.yaml"}},
		"bad template":                     {func(c *cloud.Config) { c.Template = bad }, []string{bad + ":3:", "AWS::S3::Bucket"}},
		"unknown parameter":                {func(c *cloud.Config) { c.Parameters = map[string]string{"Colour": "red"} }, []string{"no parameter Colour"}},
		"issuer without audience":          {func(c *cloud.Config) { c.Parameters = map[string]string{"OidcIssuer": "https://issuer.example"} }, []string{"AUDIENCE"}},
		"bad parameter":                    {func(c *cloud.Config) { c.Parameters = map[string]string{"LogLevel": "LOUD"} }, []string{"LogLevel", "LOUD", "DEBUG"}},
		"unknown way of running functions": {func(c *cloud.Config) { c.Functions = "docker" }, []string{"docker", cloud.InProcess, cloud.Process}},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t)
			test.change(&c)
			got := mustFail(t, c)
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("error = %q, want %q in it", got, want)
				}
			}
		})
	}
}

// A refused start leaves neither the port nor the folder taken.
func TestStartAfterAFailedOne(t *testing.T) {
	c := config(t)
	c.Dir, c.Port = t.TempDir(), freePort(t)
	good := c.Template
	c.Parameters = map[string]string{"Colour": "red"}
	mustFail(t, c)
	c.Template, c.Parameters = good, nil
	started, err := cloud.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := started.Close(); err != nil {
		t.Error(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// With an issuer of one's own there is no user pool, and its operations say so.
func TestForeignIssuer(t *testing.T) {
	c := cloudtest.Start(t, func(c *cloud.Config) {
		c.Parameters["OidcIssuer"], c.Parameters["OidcAudience"] = "https://issuer.example", "duet"
	})
	if value, ok := c.Outputs()["UserPoolEndpoint"]; ok || c.Outputs()["Issuer"] != "https://issuer.example" {
		t.Errorf("UserPoolEndpoint = %q, Issuer = %q, want none and the parameter", value, c.Outputs()["Issuer"])
	}
	status, _, body := call(t, c.URL()+"/", "AWSCognitoIdentityProviderService.SignUp", map[string]any{
		"ClientId": "x", "Username": "alice", "Password": "Correct-horse-7",
	})
	if status != http.StatusBadRequest || !strings.Contains(string(body), "ResourceNotFoundException") {
		t.Errorf("SignUp = %d %s, want ResourceNotFoundException", status, body)
	}
}

// corrupt is a data folder whose files have been damaged.
func corrupt(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	c := config(t)
	c.Dir = dir
	started, err := cloud.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	signUp(t, started, "alice")
	if err := started.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there is no manifest in %s: %v", dir, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range data[:len(data)/2] {
			data[i] ^= 0x5a
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A folder with the data of a stack whose tables have other keys is left alone.
func TestDataOfAnotherStack(t *testing.T) {
	table := func(key string) string {
		return "Resources:\n  UsersTable:\n    Type: AWS::DynamoDB::Table\n    Properties:\n" +
			"      AttributeDefinitions: [{ AttributeName: " + key + ", AttributeType: S }]\n      KeySchema: [{ AttributeName: " + key + ", KeyType: HASH }]\n"
	}
	c := config(t)
	c.Dir, c.Template = t.TempDir(), filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(c.Template, []byte(table("email")), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := cloud.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	c.Template = config(t).Template
	if got := mustFail(t, c); !strings.Contains(got, "UsersTable") || !strings.Contains(got, "template.yaml:") {
		t.Errorf("error = %q, want the table and the template's line in it", got)
	}
}

// The one port finds the service that a request is for, and says what there is otherwise.
func TestOnePort(t *testing.T) {
	c := cloudtest.Start(t)
	var outputs map[string]string
	if status := get(t, c.URL()+"/_local/outputs", &outputs); status != http.StatusOK || len(outputs) != len(c.Outputs()) || outputs["WebSocketUrl"] != c.Outputs()["WebSocketUrl"] {
		t.Errorf("outputs = %d %v, want %v", status, outputs, c.Outputs())
	}
	var health struct {
		Status        string
		StartupMS     int64 `json:"startup_ms"`
		ResidentBytes int64 `json:"resident_bytes"`
		Goroutines    int
	}
	if status := get(t, c.URL()+"/_local/health", &health); status != http.StatusOK || health.Status != "ready" || health.StartupMS > 1000 || health.Goroutines == 0 {
		t.Errorf("health = %d %+v", status, health)
	}
	signUp(t, c, "alice")
	var usage map[string]map[string]map[string]float64
	if status := get(t, c.URL()+"/_local/usage", &usage); status != http.StatusOK || usage["lambda"]["RegisterFunction"]["invocations"] != 2 ||
		usage["dynamodb"]["duet-UsersTable"]["write_units"] == 0 {
		t.Errorf("usage after a sign-up = %d %v", status, usage)
	}
	var queues map[string][]any
	if status := get(t, c.URL()+"/_local/queues", &queues); status != http.StatusOK || len(queues) != 1 {
		t.Errorf("queues = %d %v", status, queues)
	}
	var keys struct{ Keys []map[string]string }
	if status := get(t, c.Outputs()["Issuer"]+"/.well-known/jwks.json", &keys); status != http.StatusOK || len(keys.Keys) == 0 {
		t.Errorf("keys = %d %v", status, keys)
	}
	for path, want := range map[string]string{"/": "/_local/outputs", "/nothing": "/prod", "/production": "/prod", "/_local/nothing": "/_local/usage"} {
		var refusal struct{ Message string }
		if status := get(t, c.URL()+path, &refusal); status != http.StatusNotFound || !strings.Contains(refusal.Message, want) {
			t.Errorf("GET %s = %d %q, want 404 and what there is", path, status, refusal.Message)
		}
	}
	for target, want := range map[string]string{
		"":                        "UnknownOperationException",
		"AmazonSNS.Publish":       "UnknownOperationException",
		"DynamoDB_20120810.Frown": "UnknownOperationException",
		"DynamoDB_19990101.Scan":  "UnknownOperationException",
		"AWSCognitoIdentityProviderService.Frown": "",
	} {
		status, header, body := call(t, c.URL()+"/", target, map[string]any{})
		if status != http.StatusBadRequest || !strings.Contains(header.Get("X-Amzn-ErrorType")+string(body), want) {
			t.Errorf("X-Amz-Target %q = %d %v %s, want 400 and %s", target, status, header, body, want)
		}
	}
}

// What AWS's own SDK and CLI do works: DynamoDB over HTTP, signed.
func TestDynamoDBBySDK(t *testing.T) {
	c := cloudtest.Start(t)
	for _, name := range []string{"alice", "bob", "carol"} {
		signUp(t, c, name)
	}
	db := dynamodb.New(dynamodb.Options{
		Region: cloud.Region, BaseEndpoint: aws.String(c.URL()),
		Credentials: credentials.NewStaticCredentialsProvider("any", "thing", ""),
	})
	table := aws.String(c.Outputs()["UsersTable"])
	found, err := db.Scan(t.Context(), &dynamodb.ScanInput{TableName: table})
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, item := range found.Items {
		user, _ := item["user"].(*types.AttributeValueMemberS)
		names[user.Value] = true
	}
	if len(names) != 3 || !names["alice"] || !names["bob"] || !names["carol"] {
		t.Errorf("users = %v, want the three who signed up", names)
	}
	described, err := db.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: table})
	if err != nil || described.Table.TableStatus != types.TableStatusActive {
		t.Errorf("DescribeTable = %+v, %v", described, err)
	}
}

// Ctrl-C ends everything within a second, however many are connected, and tells them (1001).
func TestCloseWithConnections(t *testing.T) {
	kept := config(t)
	kept.Dir = t.TempDir()
	c, err := cloud.Start(t.Context(), kept)
	if err != nil {
		t.Fatal(err)
	}
	var sockets []socket
	for i := range 20 {
		name := fmt.Sprintf("user%d", i)
		signUp(t, c, name)
		token, _ := signIn(t, c, name)
		s := connect(t, c, token, "laptop")
		s.ask(`{"action":"ping"}`)
		sockets = append(sockets, s)
	}
	closed := make(chan error, len(sockets))
	for _, s := range sockets {
		go func() {
			_, _, err := s.Read(context.Background())
			closed <- err
		}()
	}
	began := time.Now()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("Close took %v, want at most a second", took)
	}
	for range sockets {
		if err := <-closed; !strings.Contains(err.Error(), "1001") && !strings.Contains(err.Error(), "StatusGoingAway") {
			t.Errorf("a connection ended with %v, want 1001", err)
		}
	}
	if _, err := http.Get(c.URL() + "/_local/health"); err == nil {
		t.Error("it still answers")
	}
	// $disconnect has run for each of them.
	again := cloudtest.Start(t, func(c *cloud.Config) { c.Dir = kept.Dir })
	var left struct{ Count int }
	status, _, body := call(t, again.URL(), "DynamoDB_20120810.Scan", map[string]any{"TableName": again.Outputs()["ConnectionsTable"]})
	if err := json.Unmarshal(body, &left); err != nil || status != http.StatusOK || left.Count != 0 {
		t.Errorf("the table of connections = %d %s, want it empty", status, body)
	}
}

// life is what is told apart between runs of a local cloud.
type life struct {
	epoch, access, refresh, client, pool, url string
	messages                                  int
}

// live runs a local cloud for a while: alice, who signs up if she has no token yet, sends a message.
func live(t *testing.T, c cloud.Config, before *life) (l life) {
	t.Helper()
	started, err := cloud.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := started.Close(); err != nil {
			t.Error(err)
		}
	}()
	if before == nil {
		signUp(t, started, "alice")
		signUp(t, started, "bob")
		l.access, l.refresh = signIn(t, started, "alice")
	} else {
		l.access, l.refresh = before.access, before.refresh
		signIn(t, started, "alice") // the password is known
		cognito(t, started, "InitiateAuth", map[string]any{
			"AuthFlow": "REFRESH_TOKEN_AUTH", "AuthParameters": map[string]string{"REFRESH_TOKEN": l.refresh},
		})
		l.messages = before.messages
	}
	s := connect(t, started, l.access, "laptop")
	l.messages++
	sent := s.ask(fmt.Sprintf(`{"action":"send","to":"bob","n":%d,"text":"hello"}`, l.messages))
	if seq, _ := sent["seq"].(float64); sent["type"] != "sent" || int(seq) != l.messages {
		t.Errorf("message %d = %v", l.messages, sent)
	}
	page := s.ask(`{"action":"history","conversation":"alice~bob","after":0}`)
	if all, _ := page["messages"].([]any); len(all) != l.messages {
		t.Errorf("history = %v, want %d messages", page, l.messages)
	}
	synced := s.ask(`{"action":"sync"}`)
	l.epoch, _ = synced["epoch"].(string)
	outputs := started.Outputs()
	l.client, l.pool, l.url = outputs["UserPoolClientId"], outputs["UserPoolId"], outputs["WebSocketUrl"]
	return l
}

// With a data folder, users, tokens, messages and the epoch outlive the process; without one,
// each run is a new life of the data. Names stay the same in either case.
func TestRestart(t *testing.T) {
	c := config(t)
	c.Dir = t.TempDir()
	c.Port = freePort(t) // tokens name their issuer, and with it the port
	first := live(t, c, nil)
	second := live(t, c, &first)
	third := live(t, c, &second)
	if third.messages != 3 || first.epoch == "" || third.epoch != first.epoch {
		t.Errorf("epochs %q, %q, %q, want the same", first.epoch, second.epoch, third.epoch)
	}
	c.Dir = ""
	fourth, fifth := live(t, c, nil), live(t, c, nil)
	if fourth.epoch == first.epoch || fourth.epoch == fifth.epoch {
		t.Errorf("epochs in memory %q, %q, want new ones", fourth.epoch, fifth.epoch)
	}
	for _, l := range []life{third, fifth} {
		if l.client != first.client || l.pool != first.pool || l.url != first.url {
			t.Errorf("outputs changed from %+v to %+v", first, l)
		}
	}
}

// Functions in this process and as processes are the same functions: the same first chat.
func TestFirstChat(t *testing.T) {
	for _, mode := range []string{cloud.InProcess, cloud.Process} {
		t.Run(mode, func(t *testing.T) {
			if mode == cloud.Process && testing.Short() {
				t.Skip("builds the functions' binaries: run without -short")
			}
			c := cloudtest.Start(t, func(c *cloud.Config) { c.Functions = mode })
			signUp(t, c, "alice")
			signUp(t, c, "bob")
			alice, _ := signIn(t, c, "alice")
			bob, _ := signIn(t, c, "bob")
			a, b := connect(t, c, alice, "laptop"), connect(t, c, bob, "phone")
			a.ask(`{"action":"sync"}`)
			sent := a.ask(`{"action":"send","ref":"s1","to":"bob","n":1,"text":"hello"}`)
			delete(sent, "at")
			if got, want := fmt.Sprint(sent), "map[conversation:alice~bob n:1 ref:s1 seq:1 type:sent]"; got != want {
				t.Errorf("sent = %s, want %s", got, want)
			}
			pushed := b.next()
			delete(pushed, "at")
			if got, want := fmt.Sprint(pushed), "map[conversation:alice~bob device:laptop from:alice kind:text n:1 seq:1 text:hello type:message]"; got != want {
				t.Errorf("pushed = %s, want %s", got, want)
			}
			refused := b.ask(`{"action":"send","ref":"s1","to":"nobody","n":1,"text":"hello"}`)
			if refused["code"] != "unknown_user" || refused["ref"] != "s1" {
				t.Errorf("a message to nobody = %v", refused)
			}
			if answer := b.ask(`{"action":"shout"}`); answer["code"] != "unknown_action" {
				t.Errorf("an unknown action = %v", answer)
			}
			if pong := b.ask(`{"action":"ping"}`); pong["type"] != "pong" || pong["behind"] != false {
				t.Errorf("pong = %v", pong)
			}
		})
	}
}
