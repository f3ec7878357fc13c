package template

import (
	"maps"
	"path"
	"strconv"
	"strings"

	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/lambda"
)

// kind is a type of resources: the properties that are known, whether they mean something here or
// only when the template is deployed, and what reads those that do.
type kind struct {
	phase      int
	properties schema
	read       func(*reader, *resource, *node) error
}

// deployOnly is for resources that have no counterpart on a laptop.
func deployOnly(*reader, *resource, *node) error { return nil }

var kinds map[string]kind

func init() {
	// Filled here, since the functions refer to the map.
	kinds = map[string]kind{
		"AWS::Serverless::Function": {functions, with(names(
			"CodeUri", "Handler", "Runtime", "Architectures", "MemorySize", "Timeout", "Policies", "Description",
			"FunctionName", "Role", "Tags", "Tracing", "LoggingConfig", "ReservedConcurrentExecutions", "EphemeralStorage", "AutoPublishAlias", "PropagateTags",
		), schema{"Environment": names("Variables")}), (*reader).readFunction},
		"AWS::Serverless::WebSocketApi": {rest, names(
			"Name", "Description", "RouteSelectionExpression", "StageName", "Auth", "DefaultRouteSettings", "RouteSettings", "Routes",
			"AccessLogSettings", "Tags", "PropagateTags", "DisableExecuteApiEndpoint", "IpAddressType",
		), (*reader).readAPI},
		"AWS::ApiGatewayV2::RouteResponse": {rest, names("ApiId", "RouteId", "RouteResponseKey", "ModelSelectionExpression"), (*reader).readRouteResponse},
		"AWS::DynamoDB::Table": {tables, with(names(
			"TableName", "BillingMode", "PointInTimeRecoverySpecification", "SSESpecification",
			"DeletionProtectionEnabled", "TableClass", "Tags", "OnDemandThroughput", "ContributorInsightsSpecification",
		), schema{
			"AttributeDefinitions": names("AttributeName", "AttributeType"), "KeySchema": keySchema, "ProvisionedThroughput": throughput,
			"LocalSecondaryIndexes":   {"IndexName": nil, "KeySchema": keySchema, "Projection": projection},
			"GlobalSecondaryIndexes":  {"IndexName": nil, "KeySchema": keySchema, "Projection": projection, "ProvisionedThroughput": throughput},
			"StreamSpecification":     names("StreamViewType"),
			"TimeToLiveSpecification": names("AttributeName", "Enabled"),
		}), (*reader).readTable},
		"AWS::Lambda::EventSourceMapping": {rest, with(names(
			"FunctionName", "EventSourceArn", "StartingPosition", "BatchSize", "MaximumBatchingWindowInSeconds", "ParallelizationFactor",
			"FunctionResponseTypes", "BisectBatchOnFunctionError", "MaximumRetryAttempts", "MaximumRecordAgeInSeconds", "Enabled", "Tags",
		), schema{
			"DestinationConfig": {"OnFailure": names("Destination")}, "FilterCriteria": {"Filters": names("Pattern")},
		}), (*reader).readMapping},
		"AWS::SQS::Queue": {functions, names(
			"QueueName", "MessageRetentionPeriod", "SqsManagedSseEnabled", "VisibilityTimeout", "Tags", "KmsMasterKeyId",
			"DelaySeconds", "ReceiveMessageWaitTimeSeconds", "MaximumMessageSize",
		), (*reader).readQueue},
		"AWS::Cognito::UserPool": {rest, with(names(
			"UserPoolName", "DeletionProtection", "UserPoolTier", "UserPoolTags", "MfaConfiguration",
		), schema{
			"UsernameConfiguration": names("CaseSensitive"), "AdminCreateUserConfig": names("AllowAdminCreateUserOnly"),
			"LambdaConfig": names("PreSignUp", "PostConfirmation"),
			"Policies": {"PasswordPolicy": names(
				"MinimumLength", "RequireUppercase", "RequireLowercase", "RequireNumbers", "RequireSymbols", "TemporaryPasswordValidityDays",
			)},
		}), (*reader).readPool},
		"AWS::Cognito::UserPoolClient": {rest, with(names(
			"UserPoolId", "ClientName", "GenerateSecret", "ExplicitAuthFlows", "AccessTokenValidity", "IdTokenValidity", "RefreshTokenValidity",
			"EnableTokenRevocation", "PreventUserExistenceErrors",
		), schema{"TokenValidityUnits": names("AccessToken", "IdToken", "RefreshToken")}), (*reader).readPoolClient},
		"AWS::Lambda::Permission":    {rest, names("Action", "FunctionName", "Principal", "SourceArn", "SourceAccount"), deployOnly},
		"AWS::Logs::LogGroup":        {rest, names("LogGroupName", "RetentionInDays", "KmsKeyId", "LogGroupClass", "Tags"), deployOnly},
		"AWS::CloudWatch::Dashboard": {rest, names("DashboardName", "DashboardBody"), deployOnly},
		"AWS::CloudWatch::Alarm": {rest, names(
			"AlarmName", "AlarmDescription", "Namespace", "MetricName", "Dimensions", "Statistic", "ExtendedStatistic", "Period", "EvaluationPeriods",
			"DatapointsToAlarm", "Threshold", "ComparisonOperator", "TreatMissingData", "AlarmActions", "OKActions", "Metrics", "Unit", "Tags",
		), deployOnly},
	}
}

// Parts of a table's schema.
var (
	keySchema  = names("AttributeName", "KeyType")
	projection = names("ProjectionType", "NonKeyAttributes")
	throughput = names("ReadCapacityUnits", "WriteCapacityUnits")
)

// with is a schema and another one's members.
func with(s, more schema) schema {
	maps.Copy(s, more)
	return s
}

func (r *reader) readFunction(res *resource, p *node) error {
	global := func(name string) *node {
		if n := p.at(name); n != nil || r.globals == nil {
			return n
		}
		return r.globals.at(name)
	}
	number := func(name string, otherwise int) (int, error) {
		n := global(name)
		if n == nil {
			return otherwise, nil
		}
		v, err := r.scope.text(n)
		if err != nil {
			return 0, err
		}
		i, err := strconv.Atoi(v)
		if err != nil {
			return 0, n.fail("%s must be an integer, not %q", name, v)
		}
		return i, nil
	}
	if n := global("Runtime"); n == nil {
		return p.fail("the function %s has no Runtime: give it provided.al2023", res.id)
	} else if n.scalar == nil || !strings.HasPrefix(*n.scalar, "provided.") {
		return n.fail("the function %s has no runtime provided.al2023: the local cloud runs Go functions only", res.id)
	}
	uri, err := p.need("CodeUri")
	if err != nil {
		return err
	}
	// The local cloud finds a function's code by the folder alone, as processes and in-process.
	if path.Dir(path.Clean(uri)) != "functions" {
		return p.at("CodeUri").fail("CodeUri is %q: the local cloud runs functions whose code is in functions/NAME", uri)
	}
	// Defaults: Lambda's. Source: Lambda API reference, CreateFunction.
	timeout, err := number("Timeout", 3)
	if err != nil {
		return err
	}
	memory, err := number("MemorySize", 128)
	if err != nil {
		return err
	}
	f := lambda.Function{Name: res.id, Folder: path.Base(uri), Timeout: seconds(timeout), MemoryMB: memory, Env: map[string]string{}}
	var sources []*node
	if r.globals != nil {
		sources = append(sources, r.globals.at("Environment"))
	}
	for _, source := range append(sources, p.at("Environment")) {
		if source == nil || source.at("Variables") == nil {
			continue
		}
		variables, err := r.scope.eval(source.at("Variables"))
		if err != nil {
			return err
		}
		for _, key := range variables.keys {
			value, err := variables.str(key, "")
			if err != nil {
				return err
			}
			f.Env[key] = r.local(value)
		}
	}
	statements, err := readPolicies(p)
	if err != nil {
		return err
	}
	r.stack.Policies[f.Name] = statements
	r.stack.Functions = append(r.stack.Functions, f)
	return nil
}

func (r *reader) readTable(res *resource, p *node) error {
	spec := dynamodb.TableSpec{}
	for _, name := range []string{"AttributeDefinitions", "KeySchema", "LocalSecondaryIndexes", "GlobalSecondaryIndexes"} {
		if _, err := p.maps(name); err != nil {
			return err
		}
	}
	if err := p.into(&spec, "AttributeDefinitions", "KeySchema", "LocalSecondaryIndexes", "GlobalSecondaryIndexes", "BillingMode", "ProvisionedThroughput"); err != nil {
		return err
	}
	spec.TableName = res.ref
	if s := p.at("StreamSpecification"); s != nil {
		view, err := s.need("StreamViewType")
		if err != nil {
			return err
		}
		spec.StreamSpecification = &dynamodb.StreamSpecification{StreamEnabled: true, StreamViewType: view}
	}
	if t := p.at("TimeToLiveSpecification"); t != nil {
		enabled, err := t.boolean("Enabled", false)
		if err != nil {
			return err
		}
		if enabled {
			if spec.TimeToLiveAttribute, err = t.need("AttributeName"); err != nil {
				return err
			}
		}
	}
	info, err := r.CreateTable(spec)
	if err != nil {
		return res.node.fail("table %s: %v", res.id, err)
	}
	if info.StreamARN != "" {
		res.attributes["StreamArn"] = info.StreamARN
	}
	return nil
}
