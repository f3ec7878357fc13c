package template_test

import (
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/template"
)

// An API without SAM may invoke only what a permission of the function, or a role of the integration,
// lets it: one that is of another function, alias, action, principal or source is none.
func TestPermissionsToInvoke(t *testing.T) {
	const (
		allowed = "{ Action: lambda:InvokeFunction, FunctionName: !Ref Work, Principal: apigateway.amazonaws.com }"
		role    = "CredentialsArn: arn:aws:iam::000000000000:role/gateway\n      IntegrationUri"
	)
	with := func(properties string) string { return strings.Replace(allowed, " }", ", "+properties+" }", 1) }
	source := func(rest string) string {
		return with("SourceArn: !Sub 'arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Room}/" + rest + "'")
	}
	for name, test := range map[string]struct {
		permission, integration string
		denied                  bool
	}{
		"for anything":               {permission: allowed},
		"by the function's ARN":      {permission: strings.Replace(allowed, "!Ref Work", "!GetAtt Work.Arn", 1)},
		"for the route":              {permission: source("dev/say")},
		"for the stage":              {permission: source("dev/*")},
		"for any stage's route":      {permission: source("*/say")},
		"for another route":          {permission: source("dev/shout"), denied: true},
		"for another stage":          {permission: source("prod/*"), denied: true},
		"for its authorizers":        {permission: source("authorizers/*"), denied: true},
		"for a method of a REST API": {permission: source("*/POST/say"), denied: true},
		"for the account":            {permission: with("SourceAccount: !Ref 'AWS::AccountId'")},
		"for another account":        {permission: with("SourceAccount: '111111111111'"), denied: true},
		"any invocation":             {permission: strings.Replace(allowed, "lambda:InvokeFunction", "lambda:*", 1)},
		"another action":             {permission: strings.Replace(allowed, "lambda:InvokeFunction", "lambda:GetFunction", 1), denied: true},
		"anybody":                    {permission: strings.Replace(allowed, "apigateway.amazonaws.com", "'*'", 1)},
		"another service":            {permission: strings.Replace(allowed, "apigateway", "events", 1), denied: true},
		"an alias alone":             {permission: strings.Replace(allowed, "!Ref Work", "!Sub '${Work.Arn}:live'", 1), denied: true},
		"the route's alias":          {permission: strings.Replace(allowed, "!Ref Work", "!Sub '${Work.Arn}:live'", 1), integration: "${Work.Arn}:live/invocations"},
		"not the route's alias":      {permission: allowed, integration: "${Work.Arn}:live/invocations", denied: true},
		"by a role":                  {permission: strings.Replace(allowed, "apigateway", "events", 1), integration: role},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(sam+rawAPI(), allowed, test.permission, 1)
			if test.integration == role {
				text = strings.Replace(text, "IntegrationUri", role, 1)
			} else if test.integration != "" {
				text = strings.Replace(text, "${Work.Arn}/invocations", test.integration, 1)
			}
			if !strings.Contains(text, test.permission) || !strings.Contains(text, test.integration) {
				t.Fatal("the API looks otherwise now")
			}
			file, _ := write(t, text)
			stack, err := template.Load(file, options(nil))
			if err != nil {
				t.Fatal(err)
			}
			denied := stack.API.Routes["say"].Denied
			if (denied != "") != test.denied {
				t.Errorf("denied %q, want denied: %v", denied, test.denied)
			}
			if test.denied && (len(stack.Warnings) != 1 || !strings.Contains(stack.Warnings[0], "no AWS::Lambda::Permission lets apigateway.amazonaws.com invoke Work") ||
				!strings.Contains(stack.Warnings[0], "/dev/say: it fails, as on AWS")) {
				t.Errorf("warnings = %q, want what is lacking", stack.Warnings)
			}
		})
	}
}
