package template_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/iam"
	"github.com/duet-chat/duet/localstack/template"
)

// Each right in the template is what allows its action on its resource: without it, this is denied with
// AWS's words, and nothing else is. So no right stands there twice, and none is wider than it says.
func TestEachRightIsNeeded(t *testing.T) {
	stack, err := template.Load(product, options(nil))
	if err != nil {
		t.Fatal(err)
	}
	g := iam.New(iam.Options{Region: "us-east-1", Account: "000000000000", Log: slog.New(slog.DiscardHandler)})
	checked := 0
	for function, role := range stack.Policies.Roles {
		all := single(role.Statements)
		check := func(s iam.Statement) (action, resource string, err error) {
			// Something that the right's patterns stand for.
			action, resource = strings.ReplaceAll(s.Actions[0], "*", "X"), strings.ReplaceAll(s.Resources[0], "*", "x")
			return action, resource, g.Check(function, action, resource)
		}
		for i, right := range all {
			checked++
			less := role
			less.Statements = slices.Delete(slices.Clone(all), i, i+1)
			g.Set(iam.Policies{Roles: map[string]iam.Role{function: less}})
			action, resource, err := check(right)
			want := "User: arn:aws:sts::000000000000:assumed-role/" + role.Name + "/" + function + " is not authorized to perform: " + action +
				" on resource: " + resource + " because no identity-based policy allows the " + action + " action"
			switch {
			case err == nil:
				t.Errorf("%s may do %s on %s by another right too: take one of them away", function, right.Actions[0], right.Resources[0])
			case err.Error() != want:
				t.Errorf("%s without its right: %v, want %s", function, err, want)
			}
			for _, other := range less.Statements {
				if action, resource, err := check(other); err != nil {
					t.Errorf("%s without %s on %s may not do %s on %s either: %v", function, right.Actions[0], right.Resources[0], action, resource, err)
				}
			}
		}
	}
	if checked < len(stack.Functions) {
		t.Errorf("%d rights of %d functions", checked, len(stack.Functions))
	}
}

// single are statements of one right each. Conditions are left out: what they ask is in no right.
func single(statements []iam.Statement) (all []iam.Statement) {
	for _, s := range statements {
		for _, action := range s.Actions {
			for _, resource := range s.Resources {
				all = append(all, iam.Statement{Actions: []string{action}, Resources: []string{resource}})
			}
		}
	}
	return all
}
