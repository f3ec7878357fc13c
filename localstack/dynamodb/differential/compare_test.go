package differential

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// newAnswer reads a response. An error's text is called message by AWS and Message by DynamoDB Local.
func newAnswer(status int, response []byte) (answer, error) {
	a := answer{Status: status}
	d := json.NewDecoder(bytes.NewReader(response))
	d.UseNumber()
	if err := d.Decode(&a.Body); err != nil {
		return a, err
	}
	if a.failed() {
		a.Type, _ = a.Body["__type"].(string)
		for _, name := range []string{"message", "Message"} {
			if text, ok := a.Body[name].(string); ok {
				a.Message = text
			}
			delete(a.Body, name)
		}
		delete(a.Body, "__type")
	}
	a.Body, _ = normal(a.Body).(object)
	return a, nil
}

// normal puts in order what has no order: the members of sets.
func normal(v any) any {
	switch v := v.(type) {
	case object:
		for key, member := range v {
			v[key] = normal(member)
		}
		for _, set := range []string{"SS", "NS", "BS"} {
			if members, ok := v[set].([]any); ok && len(v) == 1 {
				slices.SortFunc(members, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			}
		}
		if n, ok := v["CapacityUnits"].(json.Number); ok {
			f, _ := n.Float64()
			v["CapacityUnits"] = f
		}
	case []any:
		for i := range v {
			v[i] = normal(v[i])
		}
	}
	return v
}

// plain writes all numbers of a document as DynamoDB does.
func plain(v any) {
	switch v := v.(type) {
	case object:
		if n, ok := v["N"].(string); ok && len(v) == 1 {
			if r, ok := new(big.Rat).SetString(n); ok {
				v["N"] = decimal(r)
			}
		}
		if list, ok := v["NS"].([]any); ok && len(v) == 1 {
			for i := range list {
				n := object{"N": list[i]}
				plain(n)
				list[i] = n["N"]
			}
			normal(v)
		}
		for _, member := range v {
			plain(member)
		}
	case []any:
		for _, member := range v {
			plain(member)
		}
	}
}

// decimal writes a number without an exponent and without zeroes that say nothing.
func decimal(r *big.Rat) string {
	s := r.FloatString(170)
	s = strings.TrimRight(s, "0")
	return strings.TrimSuffix(s, ".")
}

// text is a value in a form in which equal ones are equal.
func text(v any) string {
	j, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(j)
}

// compare fails the test if two answers differ in what is not in the table of differences.
func (e *engines) compare(t rapid.TB, operation string, request any, local, embedded answer) {
	t.Helper()
	e.diverged = e.diverged || local.failed() != embedded.failed()
	want := expected(operation, request, local, embedded)
	if diff := cmp.Diff(want, embedded); diff != "" {
		if !e.order && another(want, embedded) {
			t.Logf("of several refusals another one: %s %.500s: %.200s, local: %.200s", operation, text(request), embedded, want)
			return
		}
		e.differ(t, operation, request, want, embedded, diff)
	}
}

func (e *engines) differ(t rapid.TB, operation string, request any, want, got fmt.Stringer, diff string) {
	t.Helper()
	body, ok := request.([]byte)
	if !ok {
		body, _ = json.Marshal(request)
	}
	report := fmt.Sprintf("%s %.3000s\n     local: %.3000s\n  embedded: %.3000s\n(-local +embedded)\n%.3000s", operation, body, want, got, diff)
	if e.survey == nil {
		t.Fatal(report)
	}
	e.survey.add(operation, want, got, report)
}

// another reports whether two answers refuse a request for different reasons, the embedded engine's because
// of the request itself. Refusals that begin alike are of one reason, and have to be the same.
func another(want, got answer) bool {
	const alike = 24 // characters
	begin := func(s string) string { return s[:min(len(s), alike)] }
	return want.Status == http.StatusBadRequest && got.Status == want.Status &&
		strings.HasSuffix(got.Type, "#ValidationException") && begin(want.Message) != begin(got.Message)
}

// survey collects differences by kind.
type survey struct {
	mu      sync.Mutex
	seen    map[string]int // by signature
	reports []string
}

func (s *survey) add(operation string, want, got fmt.Stringer, report string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	signature := operation
	for _, a := range []fmt.Stringer{want, got} {
		if a, ok := a.(answer); ok && a.failed() {
			message := a.Message
			signature += "|" + a.Type + " " + message[:min(len(message), 60)]
		} else {
			signature += "|ok"
		}
	}
	if s.seen[signature]++; s.seen[signature] == 1 {
		s.reports = append(s.reports, report)
	}
}

func (s *survey) report(t *testing.T) {
	if s == nil {
		return
	}
	for _, report := range s.reports {
		t.Errorf("%s", report)
	}
	t.Logf("%d kinds of differences: %v", len(s.seen), s.seen)
}
