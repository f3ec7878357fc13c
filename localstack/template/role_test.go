package template_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/iam"
	"github.com/duet-chat/duet/localstack/template"
)

// guardOf is a guard by the policies of a template.
func guardOf(t *testing.T, file string) *iam.Guard {
	t.Helper()
	stack, err := template.Load(file, options(nil))
	if err != nil {
		t.Fatal(err)
	}
	g := iam.New(iam.Options{Region: "us-east-1", Account: "000000000000", Log: slog.New(slog.DiscardHandler)})
	g.Set(stack.Policies)
	return g
}

// A role has what stands in it, what it names, and what names it.
func TestRoles(t *testing.T) {
	const arn = "arn:aws:dynamodb:us-east-1:000000000000:table/"
	g := guardOf(t, raw)
	for _, test := range []struct {
		name, function, action, table string
		want                          bool
	}{
		{"its own policy", "raffle-guard-dev", "dynamodb:PutItem", "tickets-dev", true},
		{"on another table", "raffle-guard-dev", "dynamodb:DeleteItem", "tickets-dev", false},
		{"a managed policy of the template", "raffle-guard-dev", "dynamodb:GetItem", "tickets-dev", true},
		{"a policy that names it", "raffle-guard-dev", "dynamodb:UpdateItem", "duet-Winners", true},
		{"what that excludes", "raffle-guard-dev", "dynamodb:DeleteItem", "duet-Winners", false},
		{"a policy that names the role that SAM makes", "Draw", "dynamodb:UpdateItem", "duet-Winners", true},
		{"another function's", "Draw", "dynamodb:PutItem", "tickets-dev", false},
		{"a stream, by the function's event", "Draw", "dynamodb:GetRecords", "tickets-dev/stream/now", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := g.Check(test.function, test.action, arn+test.table); (err == nil) != test.want {
				t.Errorf("Check = %v, want allowed: %v", err, test.want)
			}
		})
	}
	for function, want := range map[string]string{
		"raffle-guard-dev": "arn:aws:iam::000000000000:role/raffle/raffle-guard", "Draw": "arn:aws:iam::000000000000:role/duet-DrawRole",
	} {
		if got := g.Rights()[function].Role; got != want {
			t.Errorf("%s acts as %s, want %s", function, got, want)
		}
	}
	err := g.Check("raffle-guard-dev", "dynamodb:Scan", arn+"tickets-dev")
	if want := "User: arn:aws:sts::000000000000:assumed-role/raffle-guard/raffle-guard-dev is not authorized to perform: dynamodb:Scan on resource: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Check = %v, want %s…", err, want)
	}
}

const trust = "{ Statement: { Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: 'sts:AssumeRole' } }"

// withRole is a function with a role of some properties.
func withRole(function, properties string) string {
	return "Resources:\n  Acts:\n    Type: AWS::IAM::Role\n    Properties:\n      " + properties +
		"\n  Work:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: functions/work\n      Runtime: provided.al2023\n      " + function + "\n"
}

func TestBadRoles(t *testing.T) {
	const acts = "Role: !GetAtt Acts.Arn"
	trusts := "AssumeRolePolicyDocument: " + trust
	for _, test := range []struct{ name, text, want string }{
		{"a role of elsewhere", withRole("Role: arn:aws:iam::000000000000:role/other #!", trusts), "no role of this template"},
		{"a role's name", withRole("Role: !Ref Acts #!", trusts), "no role of this template"},
		{"a role that is not there", withRole("Role: !GetAtt Other.Arn #!", trusts), "no parameter or resource Other"},
		{"nobody may assume it", strings.Replace(withRole(acts, "Path: /x/"), "Properties:", "Properties: #!", 1), "AssumeRolePolicyDocument is missing"},
		{"another service may", withRole(acts, strings.Replace(trusts, "lambda.", "apigateway.", 1)+" #!"), "cannot be assumed by Lambda"},
		{"Lambda may not", withRole(acts, strings.Replace(trusts, "Allow", "Deny", 1)+" #!"), "cannot be assumed by Lambda"},
		{"Lambda may do something else", withRole(acts, strings.Replace(trusts, "sts:AssumeRole", "sts:TagSession", 1)+" #!"), "cannot be assumed by Lambda"},
		{"Lambda may now and then", withRole(acts, strings.Replace(trusts, "Effect", "Condition: {}, Effect", 1)+" #!"), "does not know Condition"},
		{"SAM's role", withRole("AssumeRolePolicyDocument: "+strings.Replace(trust, "lambda.", "sqs.", 1)+" #!", trusts), "cannot be assumed by Lambda"},
		{"a managed policy by its name", withRole(acts, trusts+"\n      ManagedPolicyArns: [AmazonSQSFullAccess] #!"), "takes ARNs"},
		{"a managed policy by half its name", withRole(acts, trusts+"\n      ManagedPolicyArns: ['arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole'] #!"), "write out"},
		{"a boundary", withRole(acts, trusts+"\n      PermissionsBoundary: arn:aws:iam::000000000000:policy/all #!"), "no permissions boundaries"},
		{"a path without an end", withRole(acts, trusts+"\n      Path: /x #!"), "begins and ends with /"},
		{"a policy without a document", withRole(acts, trusts+"\n      Policies:\n        - PolicyName: x #!"), "PolicyDocument is missing"},
		{"a name twice", withRole(acts, trusts+"\n      RoleName: x\n  More:\n    Type: AWS::IAM::Role\n    Properties: { RoleName: x, AssumeRolePolicyDocument: {} } #!"), "named x already"},
		{"a policy of no role", withRole(acts, trusts) + "  Policy:\n    Type: AWS::IAM::Policy\n    Properties:\n      PolicyName: x\n      PolicyDocument: { Statement: { Effect: Allow, Action: 'a:b', Resource: '*' } }\n      Roles: [other] #!\n", `no role "other"`},
		{"a policy of users", withRole(acts, trusts) + "  Policy:\n    Type: AWS::IAM::Policy\n    Properties:\n      Users: [other] #!\n", "does not know Users"},
		{"a plain function without a role", "Resources:\n  Work:\n    Type: AWS::Lambda::Function\n    Properties: { Code: functions/work, Runtime: provided.al2023 } #!\n", "Role is missing"},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, test.text, nil, test.want) })
	}
}

// A role that a condition takes away leaves SAM's.
func TestRoleByCondition(t *testing.T) {
	for condition, want := range map[string]string{"[a, a]": "duet-Acts", "[a, b]": "duet-WorkRole"} {
		file, _ := write(t, "Conditions: { Own: !Equals "+condition+" }\n"+withRole("Role: !If [Own, !GetAtt Acts.Arn, !Ref AWS::NoValue]", "AssumeRolePolicyDocument: "+trust))
		stack, err := template.Load(file, options(nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := stack.Policies.Roles["Work"].Name; got != want {
			t.Errorf("where %s are equal the function acts as %s, want %s", condition, got, want)
		}
	}
}

// Where there is a Role, SAM takes no notice of Policies, and the local cloud says so.
func TestPoliciesBesideRole(t *testing.T) {
	file, _ := write(t, sam+withRole("Handler: bootstrap\n      Role: !GetAtt Acts.Arn\n      Policies: [AmazonSQSFullAccess]", "AssumeRolePolicyDocument: "+trust))
	stack, err := template.Load(file, options(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(stack.Warnings) != 1 || !strings.Contains(stack.Warnings[0], "SAM ignores its Policies") || len(stack.Policies.Roles["Work"].Statements) != 0 {
		t.Errorf("warnings = %q, Work may do %+v", stack.Warnings, stack.Policies.Roles["Work"].Statements)
	}
}

// feed is a table with a stream, a failure queue, and a mapping between them and a function.
func feed(policies, function, destination string) string {
	return `Resources:
  Log:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
      StreamSpecification: { StreamViewType: NEW_IMAGE }
  Failures: { Type: AWS::SQS::Queue }
  Acts:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: ` + trust + `
      Policies: [{ PolicyName: acts, PolicyDocument: { Statement: [` + policies + `] } }]
  Work:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/work
      Runtime: provided.al2023
` + function + destination
}

// A mapping acts with its function's role: what that lacks, Lambda refuses to make.
// Source: Lambda API reference, CreateEventSourceMapping.
func TestMappingsNeedRights(t *testing.T) {
	const (
		role    = "      Role: !GetAtt Acts.Arn\n"
		event   = "      Events:\n        Feed:\n          Type: DynamoDB\n          Properties:\n            StartingPosition: LATEST\n            Stream: !GetAtt Log.StreamArn"
		refusal = " #!\n"
		raw     = "  Feed:\n    Type: AWS::Lambda::EventSourceMapping\n    Properties:\n      StartingPosition: LATEST\n      FunctionName: !GetAtt Work.Arn\n      EventSourceArn: !GetAtt Log.StreamArn"
		onRaw   = "\n      DestinationConfig:\n        OnFailure:\n          Destination: !GetAtt Failures.Arn"
		onEvent = "\n            DestinationConfig:\n              OnFailure:\n                Destination: !GetAtt Failures.Arn"
		reads   = "{ Effect: Allow, Action: ['dynamodb:GetRecords', 'dynamodb:GetShardIterator', 'dynamodb:DescribeStream', 'dynamodb:ListStreams'], Resource: !GetAtt Log.StreamArn }"
		sends   = "{ Effect: Allow, Action: 'sqs:SendMessage', Resource: !GetAtt Failures.Arn }"
	)
	lacks := func(action string) string {
		return strings.Replace(strings.Replace(reads, "'dynamodb:"+action+"', ", "", 1), ", 'dynamodb:"+action+"'", "", 1)
	}
	for _, test := range []struct{ name, text, want string }{ // "" loads
		{"a role that may read", feed(reads, role+event+"\n", ""), ""},
		{"SAM's own role", feed(reads, event+"\n", ""), ""},
		{"a role that may read all but records", feed(lacks("GetRecords"), role+event+refusal, ""), "Please ensure the role can perform the GetRecords"},
		{"a role that may read nothing", feed(sends, role, raw+refusal), "Cannot access stream arn:aws:dynamodb:us-east-1:000000000000:table/duet-Log/stream/now"},
		{"a role without GetShardIterator", feed(lacks("GetShardIterator"), role, raw+refusal), "dynamodb:GetShardIterator"},
		{"a role without DescribeStream", feed(lacks("DescribeStream"), role, raw+refusal), "dynamodb:DescribeStream"},
		{"a role without ListStreams", feed(lacks("ListStreams"), role, raw+refusal), "dynamodb:ListStreams"},
		{"SAM's role for a mapping of its own", feed(reads, "", raw+refusal), "Cannot access stream"},
		{"a role that may send", feed(reads+", "+sends, role, raw+onRaw+"\n"), ""},
		{"a role that may not send", feed(reads, role, raw+onRaw+refusal), "does not have permissions to call SendMessage on SQS"},
		{"SAM's role for a destination of a type", feed(reads, event+onEvent+"\n                Type: SQS\n", ""), ""},
		{"SAM's role for a destination without a type", feed(reads, event+onEvent+refusal, ""), "destination of Type SQS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.want != "" {
				refused(t, test.text, nil, test.want)
				return
			}
			file, _ := write(t, test.text)
			if _, err := template.Load(file, options(nil)); err != nil {
				t.Error(err)
			}
		})
	}
}
