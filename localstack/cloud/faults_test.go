package cloud_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/cloud"
	"github.com/duet-chat/duet/localstack/cloudtest"
)

// Faults come by rules and by a file, whose seed another one overrides; what is wrong with them is said
// before anything starts.
func TestFaultsFromTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "plan.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("seed: 5\nrules:\n  - invoke/SendFunction nth=1,2 lose")
	s := cloudtest.Start(t, func(c *cloud.Config) {
		c.Faults = cloud.Faults{File: file, Rules: []string{"dynamodb table=MessagesTable lose"}}
	}).Faults().Status()
	if !s.Active || s.Seed != 5 || len(s.Rules) != 2 {
		t.Errorf("status = %+v, want two rules and seed 5", s)
	}
	s = cloudtest.Start(t, func(c *cloud.Config) { c.Faults = cloud.Faults{File: file, Seed: 6} }).Faults().Status()
	if s.Seed != 6 {
		t.Errorf("seed = %d, want 6", s.Seed)
	}
	if s := cloudtest.Start(t).Faults().Status(); s.Active {
		t.Errorf("status = %+v, want nothing without rules", s)
	}

	write("rules:\n  - invoke/Send lose")
	for _, test := range []struct {
		faults cloud.Faults
		says   string
	}{
		{cloud.Faults{Rules: []string{"dynamodb table=Messages lose"}}, `fault rule "dynamodb table=Messages lose": "Messages" is no table: it must be one of duet-UsersTable, `},
		{cloud.Faults{File: file}, file + `:2: fault rule "invoke/Send lose": "Send" is no function: it must be one of `},
		{cloud.Faults{File: file + "x"}, "faults cannot be read: open " + file + "x"},
	} {
		c, err := cloud.Start(t.Context(), cloud.Config{Template: filepath.Join(cloudtest.Root(t), "template.yaml"), Faults: test.faults})
		if err == nil {
			_ = c.Close()
		}
		if err == nil || !strings.HasPrefix(err.Error(), test.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v, want one line with %s", test.faults, err, test.says)
		}
	}
}
