package fault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rule says where, when and what fails. It is made by Parse.
type Rule struct {
	text string

	point, operation      string // "" for any operation
	table, function, user string // "" for any; A+B is a request to these tables and no others

	p            float64  // chance, 1 for always
	nth          []uint64 // which matches, nil for any
	first, every uint64   // 0 for no limit
	from, until  time.Duration

	act         act    // "" with delay or hold alone
	name        string // error's and lose's error, kill's side, repeat's part
	delay, hold span
}

// String is the rule as it was written.
func (r *Rule) String() string { return r.text }

// span is a duration, or a range to draw one from.
type span struct{ least, most time.Duration }

func (s span) draw(chance *rand.Rand) time.Duration {
	if s.most <= s.least {
		return s.least
	}
	return s.least + time.Duration(chance.Int64N(int64(s.most-s.least)+1))
}

// Parse reads a rule. Its error is one line that quotes the rule and says what is allowed.
//
//	POINT[/OPERATION] [table= function= user=]            where
//	[p= nth= first= every= from= until=]                  when; all of them must hold
//	[error=NAME | lose[=NAME] | drop | repeat[=half] | kill=before|after | cut | backup | restore] [delay= hold=]   what
//
// nth=3,7, first= and every= count what matches the rule. from= and until= are times since the
// rules were set. Durations are Go's, as in 250ms; delay and hold may be ranges, as in 1ms..20ms.
func Parse(text string, names Names) (*Rule, error) {
	words := strings.Fields(text)
	r := &Rule{text: strings.Join(words, " "), p: 1}
	if len(words) == 0 {
		return nil, errors.New("fault rule is empty: it must be a point, a time and a fault, as in: dynamodb/PutItem p=0.1 error=ThrottlingException")
	}
	if err := r.parse(words, names); err != nil {
		return nil, fmt.Errorf("fault rule %q: %w", r.text, err)
	}
	return r, nil
}

func (r *Rule) parse(words []string, names Names) error {
	r.point, r.operation, _ = strings.Cut(words[0], "/")
	p, ok := points[r.point]
	if !ok {
		return oneOf("point", r.point, sortedKeys(points))
	}
	if err := r.checkOperation(p, names); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, word := range words[1:] {
		key, value, valued := strings.Cut(word, "=")
		if seen[key] {
			return fmt.Errorf("%s is there twice", key)
		}
		seen[key] = true
		if valued && value == "" {
			return fmt.Errorf("%s has no value", key)
		}
		if err := r.word(p, names, key, value, valued); err != nil {
			return err
		}
	}
	if r.act == "" && r.delay == (span{}) && r.hold == (span{}) {
		return fmt.Errorf("it says not what is to fail: %s takes %s", r.point, list(p.acts))
	}
	if (r.act == backup || r.act == restore) && r.user != "" {
		return fmt.Errorf("%s is of all tables: it takes no user", r.act)
	}
	if r.until > 0 && r.until <= r.from {
		return fmt.Errorf("until=%v is not after from=%v", r.until, r.from)
	}
	return nil
}

func (r *Rule) checkOperation(p point, names Names) error {
	switch {
	case r.operation == "":
		return nil
	case p.of != "":
		name, ok := names.resolve(p.of, r.operation)
		if !ok {
			return oneOf(p.of, r.operation, names.of(p.of))
		}
		r.operation = name
		return nil
	case p.operations == nil:
		return fmt.Errorf("%s has no operations, such as %q: write %s alone", r.point, r.operation, r.point)
	case !slices.Contains(p.operations, r.operation):
		return oneOf("operation of "+r.point, r.operation, p.operations)
	}
	return nil
}

// word reads one word after the point.
func (r *Rule) word(p point, names Names, key, value string, valued bool) (err error) {
	switch key {
	case "table", "function", "user":
		if !slices.Contains(p.filters, key) {
			return fmt.Errorf("%s cannot be told apart by %s: it takes %s", r.point, key, orNone(p.filters))
		}
		name, ok := names.resolve(key, value)
		if !ok {
			return oneOf(key, value, names.of(key))
		}
		*map[string]*string{"table": &r.table, "function": &r.function, "user": &r.user}[key] = name
		return nil
	case "p":
		r.p, err = strconv.ParseFloat(value, 64)
		if err != nil || !(r.p > 0 && r.p <= 1) {
			return fmt.Errorf("p=%s is no chance: it must be above 0 and at most 1", value)
		}
		return nil
	case "nth":
		for each := range strings.SplitSeq(value, ",") {
			n, err := positive(key, each)
			if err != nil {
				return err
			}
			r.nth = append(r.nth, n)
		}
		slices.Sort(r.nth)
		return nil
	case "first":
		r.first, err = positive(key, value)
		return err
	case "every":
		r.every, err = positive(key, value)
		return err
	case "from":
		r.from, err = duration(key, value)
		return err
	case "until":
		r.until, err = duration(key, value)
		return err
	}
	if !slices.Contains(p.acts, act(key)) {
		return fmt.Errorf("%q is nothing that %s takes: it takes %s, and p, nth, first, every, from, until", key, r.point, strings.Join(append(p.filters[:len(p.filters):len(p.filters)], list(p.acts)), ", "))
	}
	switch a := act(key); a {
	case delaying:
		r.delay, err = parseSpan(key, value)
		return err
	case holding:
		r.hold, err = parseSpan(key, value)
		return err
	default:
		if r.act != "" {
			return fmt.Errorf("%s and %s exclude each other: a rule does one thing", r.act, a)
		}
		r.act, r.name = a, value
		return r.checkName(p, value, valued)
	}
}

// checkName checks what stands behind an act.
func (r *Rule) checkName(p point, value string, valued bool) error {
	var allowed []string
	required := false
	switch r.act {
	case fail:
		allowed, required = p.errors, true
	case lose:
		allowed = p.errors
	case kill:
		allowed, required = []string{before, after}, true
	case repeat:
		if r.point == batches {
			allowed = []string{half}
		}
	}
	switch {
	case valued && len(allowed) == 0:
		return fmt.Errorf("%s takes no value, such as %q", r.act, value)
	case valued && !slices.Contains(allowed, value), required && !valued:
		return oneOf(string(r.act)+" of "+r.point, value, allowed)
	}
	return nil
}

func positive(key, value string) (uint64, error) {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%s=%s is no number from 1", key, value)
	}
	return n, nil
}

func duration(key, value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s=%s is no duration, as in 250ms or 2s", key, value)
	}
	return d, nil
}

func parseSpan(key, value string) (s span, err error) {
	least, most, ranged := strings.Cut(value, "..")
	if s.least, err = duration(key, least); err != nil {
		return s, fmt.Errorf("%s=%s is no duration or range of them, as in 250ms or 1ms..20ms", key, value)
	}
	if s.most = s.least; ranged {
		if s.most, err = duration(key, most); err != nil || s.most < s.least {
			return s, fmt.Errorf("%s=%s is no range of durations, as in 1ms..20ms", key, value)
		}
	}
	if s.most == 0 {
		return s, fmt.Errorf("%s=%s delays nothing", key, value)
	}
	return s, nil
}

// oneOf says what a value should have been.
func oneOf[S ~string](what, value string, allowed []S) error {
	if value == "" {
		return fmt.Errorf("the %s is missing: it must be one of %s", what, list(allowed))
	}
	return fmt.Errorf("%q is no %s: it must be one of %s", value, what, list(allowed))
}

func list[S ~string](values []S) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}

func orNone(values []string) string {
	if len(values) == 0 {
		return "nothing of the kind"
	}
	return list(values)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// matches tells whether the rule is about an event.
func (r *Rule) matches(e event) bool {
	return r.point == e.point &&
		(r.operation == "" || r.operation == e.operation) &&
		(r.table == "" || r.table == e.table || slices.Contains(strings.Split(e.table, "+"), r.table)) &&
		(r.function == "" || r.function == e.function) &&
		(r.user == "" || r.user == e.user) &&
		(r.point != tables || r.applies(e.operation))
}

// during tells whether the rule holds at a time of the run.
func (r *Rule) during(at time.Duration) bool {
	return at >= r.from && (r.until == 0 || at < r.until)
}

// due tells whether the rule means its n-th match, but for chance.
func (r *Rule) due(n uint64) bool {
	if r.nth != nil {
		if _, found := slices.BinarySearch(r.nth, n); !found {
			return false
		}
	}
	return (r.first == 0 || n <= r.first) && (r.every == 0 || n%r.every == 0)
}

// where is the rule's WHERE.
func (r *Rule) where() string { return where(r.point, r.operation, r.table, r.function, r.user) }

// where writes a WHERE: the same text for the same event, and one that Parse reads.
func where(point, operation, table, function, user string) string {
	b := make([]byte, 0, 96)
	b = append(b, point...)
	if operation != "" {
		b = append(append(b, '/'), operation...)
	}
	for _, label := range [...][2]string{{" table=", table}, {" function=", function}, {" user=", user}} {
		if label[1] != "" {
			b = append(append(b, label[0]...), label[1]...)
		}
	}
	return string(b)
}

// String is the fault as the WHAT of a rule.
func (f *fault) String() string {
	var words []string
	switch {
	case f.act != "" && f.name != "":
		words = append(words, string(f.act)+"="+f.name)
	case f.act != "":
		words = append(words, string(f.act))
	}
	if f.delay > 0 {
		words = append(words, "delay="+f.delay.String())
	}
	if f.hold > 0 {
		words = append(words, "hold="+f.hold.String())
	}
	return strings.Join(words, " ")
}
