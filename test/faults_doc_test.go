package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/cloudtest"
	"github.com/duet-chat/duet/localstack/fault"
)

// What docs/local-cloud.md shows of faults is taken as it stands there: its rules and its file; and each
// test that it names is there.
func TestDocumentedFaults(t *testing.T) {
	t.Parallel()
	d, faults := faultyTarget(t)
	text, err := os.ReadFile(filepath.Join(cloudtest.Root(t), "docs", "local-cloud.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "## Faults on demand")
	if !ok {
		t.Fatal("the section is not there")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	_, table, _ := strings.Cut(section, "| failure | rule |")
	code, count := regexp.MustCompile("`([^`]+)`"), 0
	suites, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range suites {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(source)
	}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for _, match := range code.FindAllStringSubmatch(cells[2], -1) {
			if rule := match[1]; strings.Contains(rule, " ") {
				faults.Set(1, rule)
				count++
			}
		}
		for _, match := range code.FindAllStringSubmatch(cells[3], -1) {
			if !strings.Contains(all.String(), "func "+match[1]+"(") {
				t.Errorf("there is no test %s", match[1])
			}
		}
	}
	if count < 25 {
		t.Errorf("%d rules in the table, want at least 25: has it moved?", count)
	}
	_, file, _ := strings.Cut(section, "```yaml\n")
	file, _, _ = strings.Cut(file, "```")
	if status, body := d.putFaults(t, file); status != http.StatusOK {
		t.Errorf("the file is answered %d %s", status, body)
	}
}

// putFaults sets a plan as it stands in a file.
func (d *target) putFaults(t testing.TB, plan string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, d.base+fault.Path, strings.NewReader(plan))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// The same seed gives the same faults to the same requests, and a script repeats them without
// chance.
func TestFaultsAreRepeated(t *testing.T) {
	t.Parallel()
	const messages = 60
	run := func(begin func(*target, *cloudtest.Faults)) (happened []string, script string) {
		d, faults := faultyTarget(t)
		tables := strings.TrimSuffix(d.outputs["UsersTable"], "UsersTable") // another stack's have other names
		alice, bob := d.user(t, "alice"), d.user(t, "bob")
		c := alice.connect(t, "laptop")
		begin(d, faults)
		for n := int64(1); n <= messages; n++ {
			c.send(bob, n, "again")
		}
		script = strings.ReplaceAll(faults.Script(), tables, "STACK-")
		for _, f := range faults.Clear().Faults {
			happened = append(happened, fmt.Sprint(strings.ReplaceAll(f.Where, tables, "STACK-"), " ", f.Occurrence, " ", f.What))
		}
		return happened, script
	}
	rules := []string{
		"dynamodb/TransactWriteItems p=0.1 error=TransactionConflict", "dynamodb function=SendFunction p=0.1 delay=0ms..2ms",
		"dynamodb/TransactWriteItems p=0.05 lose",
	}
	first, script := run(func(_ *target, f *cloudtest.Faults) { f.Set(7, rules...) })
	second, _ := run(func(_ *target, f *cloudtest.Faults) { f.Set(7, rules...) })
	replayed, _ := run(func(d *target, _ *cloudtest.Faults) {
		script := strings.ReplaceAll(script, "STACK-", strings.TrimSuffix(d.outputs["UsersTable"], "UsersTable"))
		if status, body := d.putFaults(t, script); status != http.StatusOK {
			t.Fatalf("the script is answered %d %s:\n%s", status, body, script)
		}
	})
	other, _ := run(func(_ *target, f *cloudtest.Faults) { f.Set(8, rules...) })
	if len(first) < 5 {
		t.Errorf("%d faults: nothing was tried", len(first))
	}
	want := strings.Join(first, "\n")
	if got := strings.Join(second, "\n"); got != want {
		t.Errorf("with the same seed:\n%s\nwant\n%s", got, want)
	}
	if got := strings.Join(replayed, "\n"); got != want {
		t.Errorf("by the script:\n%s\nwant\n%s", got, want)
	}
	if strings.Join(other, "\n") == want {
		t.Error("the same with another seed")
	}
}
