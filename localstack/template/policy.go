package template

import (
	"slices"
	"strings"

	"github.com/duet-chat/duet/localstack/iam"
)

// policySchema is of a policy document.
var policySchema = schema{"Version": nil, "Id": nil, "Statement": names("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition")}

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
		read := r.policyTemplate
		switch {
		case policy.scalar != nil:
			read = r.managed
		case policy.at("Statement") != nil:
			read = r.document
		}
		statements, err := read(policy)
		if err != nil {
			return nil, err
		}
		found = append(found, statements...)
	}
	return found, nil
}

// document reads a policy document.
func (r *reader) document(policy *node) ([]iam.Statement, error) {
	if err := policySchema.check(policy, "a policy"); err != nil {
		return nil, err
	}
	all, err := statements(policy)
	if err != nil {
		return nil, err
	}
	found := make([]iam.Statement, len(all))
	for i, n := range all {
		if found[i], err = r.statement(n); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// statements are those of a document; one may stand without a list.
func statements(policy *node) ([]*node, error) {
	version, err := policy.str("Version", "2012-10-17")
	if err != nil {
		return nil, err
	}
	if version != "2012-10-17" && version != "2008-10-17" {
		return nil, policy.at("Version").fail("the Version of a policy is 2012-10-17, not %q", version)
	}
	n := policy.at("Statement")
	switch {
	case n == nil:
		return nil, policy.fail("the policy has no Statement")
	case n.members != nil:
		return []*node{n}, nil
	}
	return policy.maps("Statement")
}

// effect tells whether a statement denies.
func (n *node) effect() (deny bool, err error) {
	effect, err := n.need("Effect")
	if err == nil && effect != "Allow" && effect != "Deny" {
		err = n.at("Effect").fail("Effect must be Allow or Deny, not %q", effect)
	}
	return effect == "Deny", err
}

// oneOrMore is a list of strings that may stand as a string if there is one.
func (n *node) oneOrMore(name string) ([]string, error) {
	if v := n.at(name); v != nil && v.scalar != nil {
		return []string{*v.scalar}, nil
	}
	return n.strings(name)
}

func (r *reader) statement(n *node) (s iam.Statement, err error) {
	if s.Deny, err = n.effect(); err != nil {
		return s, err
	}
	for _, either := range []struct {
		name, not   string
		to, exclude *[]string
		check       func(string) error
	}{
		{"Action", "NotAction", &s.Actions, &s.NotActions, iam.CheckAction},
		{"Resource", "NotResource", &s.Resources, &s.NotResources, iam.CheckResource},
	} {
		if *either.to, err = r.patterns(n, either.name, either.check); err != nil {
			return s, err
		}
		if *either.exclude, err = r.patterns(n, either.not, either.check); err != nil {
			return s, err
		}
		switch there, excluded := len(*either.to) > 0, len(*either.exclude) > 0; {
		case there && excluded:
			return s, n.at(either.not).fail("a statement has %s or %s, not both", either.name, either.not)
		case !there && !excluded:
			return s, n.fail("the statement has no %s", either.name)
		}
	}
	s.Conditions, err = conditions(n.at("Condition"))
	return s, err
}

// patterns are a statement's actions or resources.
func (r *reader) patterns(n *node, name string, check func(string) error) ([]string, error) {
	all, err := n.oneOrMore(name)
	if err != nil {
		return nil, err
	}
	for i, pattern := range all {
		if err := check(pattern); err != nil {
			at := n.at(name)
			if at.list != nil {
				at = at.list[i]
			}
			return nil, at.fail("%v", err)
		}
		if own, ok := r.streams[pattern]; ok {
			all[i] = own
		}
	}
	return all, nil
}

// conditions reads a statement's Condition: operators of keys of values.
func conditions(n *node) (all []iam.Condition, err error) {
	if n == nil {
		return nil, nil
	}
	if n.members == nil {
		return nil, n.fail("Condition must be a map of operators, this is %s", n.kind())
	}
	for _, operator := range n.keys {
		keys := n.members[operator]
		if keys.members == nil {
			return nil, keys.fail("%s must be a map of condition keys, this is %s", operator, keys.kind())
		}
		for _, key := range keys.keys {
			values, err := keys.oneOrMore(key)
			if err != nil {
				return nil, err
			}
			c, err := iam.ParseCondition(operator, key, values)
			if err != nil {
				return nil, keys.members[key].fail("%v", err)
			}
			all = append(all, c)
		}
	}
	return all, nil
}

// managedPolicies are AWS's that stacks like these name, with what they allow of what the local cloud
// serves. Source: AWS managed policy reference guide.
var managedPolicies = map[string][]iam.Statement{
	"service-role/AWSLambdaBasicExecutionRole":          nil, // logs
	"service-role/AWSLambdaVPCAccessExecutionRole":      nil, // logs, and interfaces of a network that is not here
	"service-role/AmazonAPIGatewayPushToCloudWatchLogs": nil, // of the gateway's own role
	"CloudWatchLambdaInsightsExecutionRolePolicy":       nil,
	"CloudWatchFullAccess":                              nil,
	"AmazonSNSFullAccess":                               nil,
	"AmazonSSMReadOnlyAccess":                           nil,
	"AWSXRayDaemonWriteAccess":                          nil,
	"AWSXrayWriteOnlyAccess":                            nil,
	"CloudWatchLogsFullAccess":                          nil,
	"service-role/AWSLambdaDynamoDBExecutionRole":       readStreams,
	"service-role/AWSLambdaSQSQueueExecutionRole":       {{Actions: []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}, Resources: everything}},
	"AWSLambda_FullAccess":                              {{Actions: []string{"lambda:*"}, Resources: everything}},
	"service-role/AWSLambdaRole":                        {{Actions: []string{"lambda:InvokeFunction"}, Resources: everything}},
	"AmazonDynamoDBFullAccess":                          {{Actions: []string{"dynamodb:*"}, Resources: everything}},
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

// readStreams is what reading DynamoDB's streams takes.
var readStreams = []iam.Statement{{
	Actions: []string{"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"}, Resources: everything,
}}

// managed is what a managed policy allows: one of the template's by its ARN, or one of AWS's by its ARN
// or, as SAM has it, its name.
func (r *reader) managed(policy *node) ([]iam.Statement, error) {
	name := *policy.scalar
	if statements, ok := r.managedPolicies[name]; ok {
		return statements, nil
	}
	short := strings.TrimPrefix(name, "arn:aws:iam::aws:policy/")
	for known, statements := range managedPolicies {
		if known == short || short == name && known[strings.LastIndexByte(known, '/')+1:] == name {
			return statements, nil
		}
	}
	return nil, policy.fail("the local cloud does not know the managed policy %q: write out what the function may do", name)
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
	"DynamoDBReconfigurePolicy": {"TableName", []string{"dynamodb:UpdateTable"}, []string{"dynamodb:%region:%account:table/%s"}},
	"LambdaInvokePolicy":        {"FunctionName", []string{"lambda:InvokeFunction"}, []string{"lambda:%region:%account:function:%s*"}},
}

// idlePolicies are SAM's policy templates that allow nothing of what the local cloud serves.
var idlePolicies = []string{
	"AWSSecretsManagerGetSecretValuePolicy", "CloudWatchDescribeAlarmHistoryPolicy", "CloudWatchDashboardPolicy", "CloudWatchPutMetricPolicy",
	"EventBridgePutEventsPolicy", "FilterLogEventsPolicy", "KMSDecryptPolicy", "KMSEncryptPolicy", "S3CrudPolicy", "S3FullAccessPolicy",
	"S3ReadPolicy", "S3WritePolicy", "SESBulkTemplatedCrudPolicy", "SESCrudPolicy", "SESEmailTemplateCrudPolicy", "SESSendBouncePolicy",
	"SNSCrudPolicy", "SNSPublishMessagePolicy", "SSMParameterReadPolicy", "SSMParameterWithSlashPrefixReadPolicy", "StepFunctionsExecutionPolicy",
	"VPCAccessPolicy",
}

// policyTemplate is what one of SAM's policy templates allows.
func (r *reader) policyTemplate(policy *node) ([]iam.Statement, error) {
	if len(policy.keys) != 1 {
		return nil, policy.fail("a policy must have a Statement, or be one of SAM's policy templates")
	}
	name := policy.keys[0]
	if slices.Contains(idlePolicies, name) {
		return nil, nil
	}
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
