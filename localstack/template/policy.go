package template

import (
	"strings"

	"github.com/duet-chat/duet/localstack/iam"
)

// policySchema is of an inline policy.
var policySchema = schema{"Version": nil, "Statement": names("Sid", "Effect", "Action", "Resource")}

// readPolicies reads a function's policies: documents, SAM's policy templates, and managed policies.
func (r *reader) readPolicies(p *node) ([]iam.Statement, error) {
	policies := p.at("Policies")
	if policies == nil {
		return nil, nil
	}
	all := policies.list
	if policies.members != nil || policies.scalar != nil {
		all = []*node{policies} // SAM takes one without a list
	}
	if all == nil {
		return nil, policies.fail("Policies must be a list of policy documents, this is %s: write out what the function may do", policies.kind())
	}
	var found []iam.Statement
	for _, policy := range all {
		if policy.scalar != nil {
			statements, err := managed(policy)
			if err != nil {
				return nil, err
			}
			found = append(found, statements...)
			continue
		}
		if policy.at("Statement") == nil {
			statements, err := r.policyTemplate(policy)
			if err != nil {
				return nil, err
			}
			found = append(found, statements...)
			continue
		}
		if err := policySchema.check(policy, "a policy"); err != nil {
			return nil, err
		}
		statements := policy.members["Statement"]
		if statements.members != nil {
			statements = &node{file: statements.file, line: statements.line, list: []*node{statements}}
		}
		for _, n := range statements.list {
			s, err := n.statement()
			if err != nil {
				return nil, err
			}
			found = append(found, s)
		}
	}
	return found, nil
}

func (n *node) statement() (iam.Statement, error) {
	effect, err := n.need("Effect")
	if err != nil {
		return iam.Statement{}, err
	}
	if effect != "Allow" && effect != "Deny" {
		return iam.Statement{}, n.at("Effect").fail("Effect must be Allow or Deny, not %q", effect)
	}
	s := iam.Statement{Deny: effect == "Deny"}
	for name, to := range map[string]*[]string{"Action": &s.Actions, "Resource": &s.Resources} {
		if v := n.at(name); v != nil && v.scalar != nil {
			*to = []string{*v.scalar}
			continue
		}
		if *to, err = n.strings(name); err != nil {
			return iam.Statement{}, err
		}
		if len(*to) == 0 {
			return iam.Statement{}, n.fail("the statement has no %s", name)
		}
	}
	return s, nil
}

// managedPolicies are AWS's that stacks like these name, with what they allow of what the local cloud
// serves. Source: AWS managed policy reference guide.
var managedPolicies = map[string][]iam.Statement{
	"AWSLambdaBasicExecutionRole": nil, // logs
	"AWSXRayDaemonWriteAccess":    nil,
	"AWSLambdaDynamoDBExecutionRole": {{
		Actions: []string{"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"}, Resources: everything,
	}},
	"AmazonDynamoDBFullAccess": {{Actions: []string{"dynamodb:*"}, Resources: everything}},
	"AmazonDynamoDBReadOnlyAccess": {{
		Actions: []string{
			"dynamodb:BatchGetItem", "dynamodb:Describe*", "dynamodb:GetItem", "dynamodb:GetRecords", "dynamodb:GetShardIterator",
			"dynamodb:List*", "dynamodb:Query", "dynamodb:Scan",
		}, Resources: everything,
	}},
	"AmazonAPIGatewayInvokeFullAccess": {{Actions: []string{"execute-api:Invoke", "execute-api:ManageConnections"}, Resources: everything}},
	"AmazonSQSFullAccess":              {{Actions: []string{"sqs:*"}, Resources: everything}},
}

var everything = []string{"*"}

// managed is what a managed policy allows, given by its name or its ARN.
func managed(policy *node) ([]iam.Statement, error) {
	name := (*policy.scalar)[strings.LastIndexByte(*policy.scalar, '/')+1:]
	statements, ok := managedPolicies[name]
	if !ok {
		return nil, policy.fail("the local cloud does not know the managed policy %q: write out what the function may do", *policy.scalar)
	}
	return statements, nil
}

// samPolicy is one of SAM's policy templates: its parameter, and what it allows on what that names.
type samPolicy struct {
	parameter string
	actions   []string
	resources []string // %s is the parameter, which stands after the service's ARN
}

// table is the resources of a policy template for a table and its indexes.
var table = []string{"dynamodb:%region:%account:table/%s", "dynamodb:%region:%account:table/%s/index/*"}

// Source: SAM developer guide, "AWS SAM policy template list".
var samPolicies = map[string]samPolicy{
	"DynamoDBCrudPolicy": {"TableName", []string{
		"dynamodb:GetItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Scan", "dynamodb:Query", "dynamodb:UpdateItem",
		"dynamodb:BatchWriteItem", "dynamodb:BatchGetItem", "dynamodb:DescribeTable", "dynamodb:ConditionCheckItem",
	}, table},
	"DynamoDBReadPolicy": {"TableName", []string{
		"dynamodb:GetItem", "dynamodb:Scan", "dynamodb:Query", "dynamodb:BatchGetItem", "dynamodb:DescribeTable",
	}, table},
	"DynamoDBWritePolicy":  {"TableName", []string{"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:BatchWriteItem"}, table},
	"SQSSendMessagePolicy": {"QueueName", []string{"sqs:SendMessage*"}, []string{"sqs:%region:%account:%s"}},
	"SQSPollerPolicy": {"QueueName", []string{
		"sqs:ChangeMessageVisibility", "sqs:ChangeMessageVisibilityBatch", "sqs:DeleteMessage", "sqs:DeleteMessageBatch",
		"sqs:GetQueueAttributes", "sqs:ReceiveMessage",
	}, []string{"sqs:%region:%account:%s"}},
	"LambdaInvokePolicy": {"FunctionName", []string{"lambda:InvokeFunction"}, []string{"lambda:%region:%account:function:%s*"}},
}

// policyTemplate is what one of SAM's policy templates allows.
func (r *reader) policyTemplate(policy *node) ([]iam.Statement, error) {
	if len(policy.keys) != 1 {
		return nil, policy.fail("a policy must have a Statement, or be one of SAM's policy templates")
	}
	name := policy.keys[0]
	known, ok := samPolicies[name]
	if !ok {
		return nil, policy.fail("the local cloud does not know SAM's policy template %s: write out what the function may do", name)
	}
	value, err := policy.members[name].need(known.parameter)
	if err != nil {
		return nil, err
	}
	s := iam.Statement{Actions: known.actions}
	for _, resource := range known.resources {
		s.Resources = append(s.Resources, "arn:aws:"+strings.NewReplacer("%region", r.Region, "%account", r.Account, "%s", value).Replace(resource))
	}
	return []iam.Statement{s}, nil
}
