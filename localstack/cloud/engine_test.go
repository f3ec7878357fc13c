package cloud_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/cloud"
	"github.com/duet-chat/duet/localstack/cloudtest"
)

// on starts a local cloud whose tables are at a URL.
func on(t *testing.T, url string, changes ...func(*cloud.Config)) *cloud.Cloud {
	t.Helper()
	return cloudtest.Start(t, append([]func(*cloud.Config){func(c *cloud.Config) {
		c.DynamoDB, c.Stack, c.StreamDelay = url, "there", 5*time.Millisecond
	}}, changes...)...)
}

// A local cloud has its tables in another one, whose DynamoDB stands for any: messages are stored there,
// come back by the stream, and a restart on the same data folder repeats none and loses none.
func TestTablesElsewhere(t *testing.T) {
	engine := cloudtest.Start(t, func(c *cloud.Config) { c.DynamoDB, c.Stack = "", "engine" })
	dir := t.TempDir()
	var first string
	for life := 1; life <= 2; life++ {
		t.Run(fmt.Sprint("life ", life), func(t *testing.T) {
			c := on(t, engine.URL(), func(c *cloud.Config) { c.Dir = dir })
			if table := c.Outputs()["MessagesTable"]; table != "there-MessagesTable" {
				t.Errorf("the table is %s", table)
			}
			if life == 1 {
				signUp(t, c, "alice")
				signUp(t, c, "bob")
			}
			access, _ := signIn(t, c, "alice")
			alice := connect(t, c, access, "laptop")
			access, _ = signIn(t, c, "bob")
			bob := connect(t, c, access, "phone")
			synced := bob.ask(`{"action":"sync","req":"1"}`)
			epoch, _ := synced["epoch"].(string)
			if epoch == "" || life == 2 && epoch != first {
				t.Errorf("epoch %q, in the first life %q: the tables are the same", epoch, first)
			}
			first = epoch
			for n := range 3 {
				seq := 3*(life-1) + n + 1
				sent := alice.ask(fmt.Sprintf(`{"action":"send","req":"%d","to":"bob","n":%d,"text":"hello","seen":%d}`, n, seq, seq-1))
				if sent["type"] != "sent" || sent["seq"] != float64(seq) {
					t.Fatalf("sent %v", sent)
				}
				if got := bob.next(); got["type"] != "message" || got["seq"] != float64(seq) {
					t.Fatalf("bob got %v, want message %d", got, seq)
				}
			}
			usage := c.Meter().Usage()["dynamodb"]
			if n := usage["there-MessagesTable"]["write_units"]; n < 6 {
				t.Errorf("%g units were written to messages, want 2 for each", n)
			}
			_, _, listed := call(t, engine.URL(), "DynamoDB_20120810.ListTables", map[string]any{})
			if !strings.Contains(string(listed), "there-MessagesTable") {
				t.Errorf("the engine has %s", listed)
			}
		})
	}
}

func TestTablesElsewhereFail(t *testing.T) {
	engine := cloudtest.Start(t, func(c *cloud.Config) { c.DynamoDB, c.Stack = "", "engine" })
	status, _, body := call(t, engine.URL(), "DynamoDB_20120810.CreateTable", map[string]any{
		"TableName": "there-UsersTable", "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": []any{map[string]string{"AttributeName": "name", "AttributeType": "S"}},
		"KeySchema":            []any{map[string]string{"AttributeName": "name", "KeyType": "HASH"}},
	})
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	itself := fmt.Sprintf("http://localhost:%d", free)
	for _, test := range []struct {
		name   string
		change func(*cloud.Config)
		want   []string
	}{
		{"nobody there", func(c *cloud.Config) { c.DynamoDB = itself }, []string{"--dynamodb", itself, "refused"}},
		{"itself", func(c *cloud.Config) { c.DynamoDB, c.Port = itself, free }, []string{"--dynamodb", itself, "itself"}},
		{"another service", func(c *cloud.Config) { c.DynamoDB = engine.URL() + "/_local/outputs" }, []string{"--dynamodb", "no DynamoDB"}},
		{"a table with other keys", func(c *cloud.Config) { c.DynamoDB, c.Stack = engine.URL(), "there" }, []string{"template.yaml:", "there-UsersTable", "other keys", engine.URL(), "--stack"}},
		{"no name of a stack", func(c *cloud.Config) { c.Stack = "my stack" }, []string{"my stack", "letters"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := config(t)
			test.change(&c)
			got := mustFail(t, c)
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("error %q, want it to tell %q", got, want)
				}
			}
			if strings.Contains(got, "\n") {
				t.Errorf("error %q has more than one line", got)
			}
		})
	}
	_, _, listed := call(t, engine.URL(), "DynamoDB_20120810.ListTables", map[string]any{})
	if strings.Contains(string(listed), "there-MessagesTable") {
		t.Errorf("tables were made although one cannot be used: %s", listed)
	}
}
