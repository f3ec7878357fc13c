package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/cloud"
	"github.com/duet-chat/duet/localstack/cloudtest"
)

// varies are the fields whose values differ from run to run: an example shows one that is possible.
var varies = []string{"at", "since", "epoch", "last_seen", "registered_at", "connected_at", "session_end", "retry_after_ms"}

// TestProtocolExamples holds docs/protocol.md to what the server does. Its blocks of the language duet are
// one long talk: who sends what (→), who gets what (←), who connects and disconnects. Every field of every
// frame must be as it stands there, those that vary by their type, and nothing else may arrive. A value "…"
// in a request stands for the last one that the device got.
func TestProtocolExamples(t *testing.T) {
	t.Parallel()
	d := localTarget(t, "needs the names of the document, and no grace", grace(0), func(c *cloud.Config) { c.Limits.NoThrottling = true })
	talk := &talkOfDoc{t: t, d: d, users: map[string]*user{}, open: map[string]*conn{}, read: map[string]int{}, last: map[string]map[string]any{}}
	blocks := docBlocks(t)
	if len(blocks) < 15 {
		t.Fatalf("docs/protocol.md has %d blocks of the language duet: were they renamed?", len(blocks))
	}
	for _, b := range blocks {
		talk.run(b)
	}
	// Nothing that the document does not tell of has arrived since.
	for name, c := range talk.open {
		if c == nil || c.over() {
			continue // it has left, or was signed out
		}
		if k := talk.last[name]; k["type"] == "erased" {
			c.closed()
			continue
		}
		if _, err := c.ask(map[string]any{"action": "ping"}); err != nil {
			t.Fatal(err)
		}
		talk.expect(docLine{number: 0, who: name}, nil)
	}
}

// docLine is a line of an example.
type docLine struct {
	number int
	who    string // USER/DEVICE
	what   string // →, ←, connects or disconnects
	frame  string
}

// docBlocks reads the examples of docs/protocol.md.
func docBlocks(t testing.TB) (blocks [][]docLine) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(cloudtest.Root(t), "docs", "protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case line == "```duet":
			inside = true
			blocks = append(blocks, nil)
		case line == "```":
			inside = false
		case inside && strings.HasPrefix(line, " "): // a frame goes on
			b := blocks[len(blocks)-1]
			b[len(b)-1].frame += strings.TrimSpace(line)
		case inside:
			who, rest, _ := strings.Cut(line, " ")
			what, frame, _ := strings.Cut(strings.TrimSpace(rest), " ")
			if !slices.Contains([]string{"→", "←", "connects", "disconnects"}, what) {
				t.Fatalf("docs/protocol.md:%d: %q is neither sent, received, connects nor disconnects", i+1, line)
			}
			b := &blocks[len(blocks)-1]
			*b = append(*b, docLine{i + 1, who, what, strings.TrimSpace(frame)})
		}
	}
	return blocks
}

// talkOfDoc is the state of the talk that the document's examples are.
type talkOfDoc struct {
	t     testing.TB
	d     *target
	users map[string]*user
	open  map[string]*conn          // nil for who has disconnected
	read  map[string]int            // pushes that the examples have accounted for
	last  map[string]map[string]any // what a device got last, by field
}

func (k *talkOfDoc) run(b []docLine) {
	k.t.Helper()
	for _, line := range b { // who is named is there, unless the example says when
		if _, known := k.open[line.who]; !known && line.what != "connects" {
			k.connect(line.who)
		} else if !known {
			k.open[line.who] = nil
		}
	}
	for i := 0; i < len(b); i++ {
		line := b[i]
		switch line.what {
		case "connects":
			k.connect(line.who)
		case "disconnects":
			k.open[line.who].drop()
			k.open[line.who] = nil
		case "→":
			k.ask(line, b[i+1:])
		}
		// What arrives up to the next deed may come in any order between devices.
		arrivals := map[string][]docLine{}
		for i+1 < len(b) && b[i+1].what == "←" {
			i++
			arrivals[b[i].who] = append(arrivals[b[i].who], b[i])
		}
		for _, lines := range arrivals {
			pushes := slices.DeleteFunc(slices.Clone(lines), func(l docLine) bool { return strings.Contains(l.frame, `"ref"`) })
			k.expect(lines[0], pushes)
		}
	}
}

// connect signs a user in on a device: a session of its own.
func (k *talkOfDoc) connect(who string) {
	k.t.Helper()
	name, device, _ := strings.Cut(who, "/")
	if k.users[name] == nil {
		u := &user{target: k.d, name: name}
		if status, body := k.d.cognito(k.t, "SignUp", map[string]any{"ClientId": k.d.outputs["UserPoolClientId"], "Username": name, "Password": password}); status != 200 {
			k.t.Fatalf("sign up %s: %d %s", name, status, body)
		}
		k.users[name] = u
	}
	k.open[who] = k.users[name].again(k.t).connect(k.t, device)
	k.read[who] = 0
	k.d.settle(k.t, func(usage) bool { // presence follows a moment later
		row := k.d.dynamodb(k.t, "GetItem", map[string]any{
			"TableName": k.d.outputs["UsersTable"], "ConsistentRead": true, "Key": map[string]any{"user": map[string]string{"S": name}},
		})
		return strings.Contains(string(row), "online_until")
	})
}

// ask sends a request and compares its answer, which is among the lines that follow.
func (k *talkOfDoc) ask(line docLine, following []docLine) {
	k.t.Helper()
	var request map[string]any
	if err := json.Unmarshal([]byte(line.frame), &request); err != nil {
		k.t.Fatalf("docs/protocol.md:%d: %v: %s", line.number, err, line.frame)
	}
	for field, value := range request {
		if value == "…" {
			request[field] = k.last[line.who][field]
		}
	}
	want := slices.IndexFunc(following, func(l docLine) bool {
		return l.what == "←" && l.who == line.who && strings.Contains(l.frame, fmt.Sprintf(`"ref":%q`, request["ref"]))
	})
	if want < 0 {
		k.t.Fatalf("docs/protocol.md:%d: the request has no answer in its block", line.number)
	}
	ref := request["ref"]
	f, err := k.open[line.who].ask(request) // under a ref of its own
	if err != nil {
		k.t.Fatalf("docs/protocol.md:%d: %v", line.number, err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(f.raw), &got); err != nil {
		k.t.Fatal(err)
	}
	got["ref"] = ref
	k.compare(following[want], got)
	k.last[line.who] = got
}

// expect waits for the pushes that the lines tell of, and no others.
func (k *talkOfDoc) expect(at docLine, lines []docLine) {
	k.t.Helper()
	c := k.open[at.who]
	from := k.read[at.who]
	all := c.pushes(fmt.Sprintf("what docs/protocol.md:%d tells", at.number), func(all []frame) bool { return len(all) >= from+len(lines) })
	if len(all) > from+len(lines) {
		k.t.Errorf("docs/protocol.md:%d: %s got more than it tells: %s", at.number, at.who, all[from+len(lines)].raw)
	}
	for i, line := range lines {
		var got map[string]any
		if err := json.Unmarshal([]byte(all[from+i].raw), &got); err != nil {
			k.t.Fatal(err)
		}
		k.compare(line, got)
	}
	k.read[at.who] = len(all)
}

// compare checks that a frame is as the document shows it.
func (k *talkOfDoc) compare(line docLine, got map[string]any) {
	k.t.Helper()
	var want map[string]any
	if err := json.Unmarshal([]byte(line.frame), &want); err != nil {
		k.t.Fatalf("docs/protocol.md:%d: %v: %s", line.number, err, line.frame)
	}
	if a, b := shape("", want), shape("", got); !reflect.DeepEqual(a, b) {
		raw, _ := json.Marshal(got) // it was JSON
		k.t.Errorf("docs/protocol.md:%d: %s got\n%s\nthe document says\n%s", line.number, line.who, raw, line.frame)
	}
}

// over tells whether a connection was told that it ends.
func (c *conn) over() bool {
	return len(of(c.pushes("", func([]frame) bool { return true }), "closing")) > 0
}

// shape replaces what varies by its type.
func shape(field string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		of := map[string]any{}
		for name, value := range v {
			of[name] = shape(name, value)
		}
		return of
	case []any:
		of := make([]any, len(v))
		for i, value := range v {
			of[i] = shape("", value)
		}
		return of
	}
	if slices.Contains(varies, field) {
		return reflect.TypeOf(v)
	}
	return v
}
