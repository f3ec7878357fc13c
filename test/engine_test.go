package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/cloudtest"
)

// elsewhere is what cannot be held when the tables are on DynamoDB Local and not on the embedded engine:
// a test, or a part of one, and why. All other tests run on both, some with fewer messages: see times.
var elsewhere = map[string]string{
	"TestBudgets units":                  "DynamoDB Local counts a transaction's write twice as often as AWS does: 8 units a message, not 4",
	"TestBudgetsOfActions units":         "DynamoDB Local counts transactions otherwise than AWS does",
	"TestBudgetsOfEndings units":         "DynamoDB Local counts transactions otherwise than AWS does",
	"TestFaultsAreRepeated":              "how often the engine itself refuses a transaction for a conflict is chance, and each try counts",
	"TestPresenceDoesNotFlap":            "DynamoDB Local tells the time of a change in whole minutes, so that the grace seems to be over",
	"TestTablesRestoredToAnEarlierPoint": "the local cloud does not replace the tables of another engine, whose backups are its own",
}

// needEngine skips a test that another engine than the embedded one makes impossible.
func needEngine(t testing.TB) {
	t.Helper()
	test, _, _ := strings.Cut(t.Name(), "/")
	if why := elsewhere[test]; why != "" && cloudtest.Engine() != "" {
		t.Skip(why)
	}
}

// differs tells whether a part of a test is to be left out since another engine differs.
func differs(t testing.TB, part string) bool {
	t.Helper()
	test, _, _ := strings.Cut(t.Name(), "/")
	why := elsewhere[test+" "+part]
	if why == "" || cloudtest.Engine() == "" {
		return false
	}
	t.Logf("%s are not checked: %s", part, why)
	return true
}

// The list names tests that there are: one that was renamed would run again, or never.
func TestElsewhereNamesTests(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for entry := range elsewhere {
		test, part, partly := strings.Cut(entry, " ")
		if partly && !strings.Contains(all.String(), `differs(t, "`+part+`")`) {
			t.Errorf("elsewhere names %s of %s, which nothing asks for", part, test)
		}
		if !strings.Contains(all.String(), "func "+test+"(t *testing.T)") {
			t.Errorf("elsewhere names %s, which is no test", test)
		}
	}
}
