package fault_test

import (
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/fault"
)

var names = fault.Names{
	Functions: []string{"SendFunction", "DeliverFunction"},
	Tables:    []string{"duet-MessagesTable", "duet-UsersTable"},
	Routes:    []string{"$default", "send"},
}

func TestParse(t *testing.T) {
	for _, test := range []struct{ name, rule, refusal string }{
		{"a table throttles by chance", "dynamodb/PutItem table=MessagesTable p=0.1 error=ThrottlingException", ""},
		{"a table by its whole name, and several", "dynamodb table=duet-MessagesTable+UsersTable lose", ""},
		{"a transaction conflicts", "dynamodb/TransactWriteItems nth=3,7 error=TransactionConflict", ""},
		{"a function is killed at a call", "dynamodb function=SendFunction nth=2 kill=after", ""},
		{"a function's answer is lost", "invoke/SendFunction first=2 lose", ""},
		{"a batch again from its middle", "batch/DeliverFunction every=3 repeat=half", ""},
		{"a post is lost late", "connections/POST user=alice lose delay=1ms..20ms hold=1s", ""},
		{"an answer is lost on its way", "reply/send from=1s until=2s drop", ""},
		{"all clients are cut", "now cut", ""},
		{"tables go back", "now from=1s restore", ""},
		{"a client stalls", "socket user=alice delay=5s", ""},

		{"empty", "  ", "fault rule is empty"},
		{"unknown point", "dynamo error=X", `"dynamo" is no point: it must be one of batch, connections, disconnect, dynamodb, invoke, now, reply, socket`},
		{"unknown operation", "dynamodb/PutItm lose", `"PutItm" is no operation of dynamodb: it must be one of BatchGetItem, `},
		{"unknown function", "invoke/Sned lose", `"Sned" is no function: it must be one of SendFunction, DeliverFunction`},
		{"unknown table", "dynamodb table=Message lose", `"Message" is no table: it must be one of duet-MessagesTable, duet-UsersTable`},
		{"unknown route", "reply/sync drop", `"sync" is no route: it must be one of $default, send`},
		{"a point without operations", "disconnect/x drop", `disconnect has no operations, such as "x"`},
		{"unknown error", "dynamodb error=Throttling", `"Throttling" is no error of dynamodb: it must be one of InternalServerError, `},
		{"error of another service", "connections error=ThrottlingException", `it must be one of ForbiddenException, GoneException, `},
		{"error without name", "invoke error", `the error of invoke is missing: it must be one of Runtime.ExitError, `},
		{"kill without side", "dynamodb kill", `the kill of dynamodb is missing: it must be one of before, after`},
		{"an act of another point", "reply/send kill=after", `"kill" is nothing that reply takes: it takes user, drop, delay, and p, nth, `},
		{"a filter of another point", "dynamodb user=alice lose", `dynamodb cannot be told apart by user: it takes table, function`},
		{"two acts", "connections drop lose", `drop and lose exclude each other`},
		{"nothing to do", "dynamodb/PutItem p=0.5", `it says not what is to fail: dynamodb takes error, lose, kill, delay, hold`},
		{"said twice", "dynamodb p=1 p=1 lose", `p is there twice`},
		{"no chance", "dynamodb p=0 lose", `p=0 is no chance: it must be above 0 and at most 1`},
		{"above certain", "dynamodb p=1.5 lose", `p=1.5 is no chance`},
		{"not a number", "dynamodb p=NaN lose", `p=NaN is no chance`},
		{"the zeroth", "dynamodb nth=0 lose", `nth=0 is no number from 1`},
		{"no duration", "dynamodb delay=5", `delay=5 is no duration or range of them`},
		{"a range that goes back", "dynamodb delay=5s..1s", `delay=5s..1s is no range of durations`},
		{"an end before the start", "dynamodb from=2s until=1s lose", `until=1s is not after from=2s`},
		{"a value where none is taken", "reply drop=yes", `drop takes no value, such as "yes"`},
		{"a user's tables", "now user=alice restore", `restore is of all tables: it takes no user`},
		{"no value", "dynamodb table= lose", `table has no value`},
	} {
		t.Run(test.name, func(t *testing.T) {
			rule, err := fault.Parse(test.rule, names)
			if test.refusal == "" {
				if err != nil || rule.String() != test.rule {
					t.Errorf("Parse(%q) = %v, %v", test.rule, rule, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.refusal) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Parse(%q) = %v, want one line with %s", test.rule, err, test.refusal)
			}
		})
	}
}

func TestRead(t *testing.T) {
	for _, test := range []struct {
		name, text string
		rules      int
		seed       uint64
		refusal    string
	}{
		{"YAML", "seed: 42\nrules:\n  - now cut\n  - reply/send p=0.5 drop # a comment\n", 2, 42, ""},
		{"JSON", `{"seed": 18446744073709551615, "rules": ["now cut"]}`, 1, 1<<64 - 1, ""},
		{"phases", "phases:\n  - for: 10s\n  - for: 5s\n    rules: [now cut, dynamodb lose]\n  - rules: [reply drop]", 3, 0, ""},
		{"nothing", "rules: []", 0, 0, ""},
		{"not YAML", "rules: [now cut\n", 0, 0, "plan:1: this is not YAML: "},
		{"empty", "", 0, 0, "plan: it must be one YAML document"},
		{"another shape", "- now cut", 0, 0, "plan:1: a plan of faults must be a map with the members phases, rules, seed"},
		{"an unknown member", "seed: 1\nrule: []", 0, 0, `plan:2: "rule" is no member of a plan of faults: it must be one of phases, rules, seed`},
		{"a bad seed", "seed: -1", 0, 0, `plan:1: seed "-1" is no number from 0 to 2^64-1`},
		{"rules that are no list", "rules: now cut", 0, 0, "plan:1: rules must be a list"},
		{"a rule that is no text", "rules:\n  - now cut\n  - dynamodb: lose", 0, 0, "plan:3: a rule is one line of text"},
		{"a wrong rule", "rules:\n  - now cut\n\n  - dynamodb p=2 lose", 0, 0, `plan:4: fault rule "dynamodb p=2 lose": p=2 is no chance`},
		{"an endless phase in the middle", "phases:\n  - rules: [now cut]\n  - for: 1s", 0, 0, "plan:2: only the last phase may go on for ever"},
		{"a wrong phase", "phases:\n  - for: 1s\n  - for: soon", 0, 0, "plan:3: for: soon is no duration"},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := fault.Read("plan", []byte(test.text), names)
			if test.refusal == "" {
				if err != nil || len(plan.Rules) != test.rules || plan.Seed != test.seed {
					t.Errorf("Read = %d rules with seed %d, %v, want %d with %d", len(plan.Rules), plan.Seed, err, test.rules, test.seed)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), test.refusal) {
				t.Errorf("Read = %v, want %s", err, test.refusal)
			}
		})
	}
}
