package iam_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/duet-chat/duet/localstack/iam"
)

// A right is used when it lets something through: each of a statement's alone, and each statement's that
// lets the same through.
func TestRightsUsed(t *testing.T) {
	const t1, t2, posts = "arn:aws:dynamodb:::table/T1", "arn:aws:dynamodb:::table/T2", "arn:aws:execute-api:::api/prod/POST/@connections/*"
	statements := []iam.Statement{
		{Actions: []string{"dynamodb:GetItem", "dynamodb:PutItem"}, Resources: []string{t1, t2}},
		{Actions: []string{"dynamodb:Get*"}, Resources: []string{"*"}},
		{NotActions: []string{"dynamodb:*", "execute-api:*"}, NotResources: []string{t1}},
		{Actions: []string{"execute-api:ManageConnections"}, Resources: []string{posts}},
		{Deny: true, Actions: []string{"dynamodb:*"}, Resources: []string{t2}},
	}
	all := []iam.Right{
		{Action: "dynamodb:GetItem", Resource: t1}, {Action: "dynamodb:GetItem", Resource: t2}, {Action: "dynamodb:PutItem", Resource: t1}, {Action: "dynamodb:PutItem", Resource: t2},
		{Action: "dynamodb:Get*", Resource: "*"}, {Action: "all but dynamodb:*, execute-api:*", Resource: "all but " + t1}, {Action: "execute-api:ManageConnections", Resource: posts},
	}
	for _, test := range []struct {
		name, action, resource string
		used                   []int // of all
		denied                 []iam.Right
	}{
		{"nothing", "", "", nil, nil},
		{"two statements allow it", "dynamodb:GetItem", t1, []int{0, 4}, nil},
		{"one does", "dynamodb:PutItem", t1, []int{2}, nil},
		{"what is denied is not used", "dynamodb:GetItem", t2, nil, []iam.Right{{Action: "dynamodb:GetItem", Resource: t2}}},
		{"all but some", "sqs:SendMessage", "arn:aws:sqs:::Q", []int{5}, nil},
		{"a connection", "execute-api:ManageConnections", "arn:aws:execute-api:::api/prod/POST/@connections/AbC=", []int{6}, nil},
		{"a connection in vain", "execute-api:ManageConnections", "arn:aws:execute-api:::api/prod/DELETE/@connections/AbC=", nil,
			[]iam.Right{{Action: "execute-api:ManageConnections", Resource: "arn:aws:execute-api:::api/prod/DELETE/@connections/*"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := guard(statements...)
			if test.action != "" {
				_ = g.Check("Send", test.action, test.resource) // Denied tells what it said
			}
			for _, when := range []string{"at once", "after a deployment"} {
				rights := g.Rights()["Send"]
				var used []iam.Right
				for _, i := range test.used {
					used = append(used, all[i])
				}
				if !slices.Equal(rights.Used, used) {
					t.Errorf("%s used %v, want %v", when, rights.Used, used)
				}
				if len(rights.Used)+len(rights.NeverUsed) != len(all) {
					t.Errorf("%s used %v, never used %v, want %v together", when, rights.Used, rights.NeverUsed, all)
				}
				if !slices.Equal(rights.Denied, test.denied) {
					t.Errorf("%s denied %v, want %v", when, rights.Denied, test.denied)
				}
				set(g, statements...)
			}
		})
	}
}

// However much a function asks for in vain, what is remembered of it is bounded.
func TestDeniedIsBounded(t *testing.T) {
	g := guard()
	for i := range 1000 {
		_ = g.Check("Send", "dynamodb:GetItem", fmt.Sprintf("arn:aws:dynamodb:::table/T%d", i)) // Denied tells what it said
	}
	if n := len(g.Rights()["Send"].Denied); n != 100 {
		t.Errorf("%d denied requests are remembered, want 100", n)
	}
}

func BenchmarkConnection(b *testing.B) {
	g := guard(
		allow("dynamodb:Query", "arn:aws:dynamodb:us-east-1:000000000000:table/C"), allow("sqs:SendMessage", queue),
		allow("execute-api:ManageConnections", "arn:aws:execute-api:us-east-1:000000000000:api/prod/POST/@connections/*"),
	)
	b.ReportAllocs()
	for b.Loop() {
		if err := g.Check("Send", "execute-api:ManageConnections", "arn:aws:execute-api:us-east-1:000000000000:api/prod/POST/@connections/AbC="); err != nil {
			b.Fatal(err)
		}
	}
}
