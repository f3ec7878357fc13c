package template

import (
	"maps"
	"strings"

	"github.com/duet-chat/duet/localstack/dynamodb"
)

// kind is a type of resources: the properties that are known, whether they mean something here or
// only when the template is deployed, and what reads those that do.
type kind struct {
	phase      int
	properties schema
	read       func(*reader, *resource, *node) error
}

var kinds map[string]kind

func init() {
	// Filled here, since the functions refer to the map.
	kinds = map[string]kind{
		"AWS::Serverless::Function": {functions, functionSchema(names(
			"CodeUri", "InlineCode", "ImageUri", "Tracing", "Policies", "Events", "AutoPublishAlias", "AutoPublishAliasAllProperties", "AutoPublishCodeSha256",
			"ProvisionedConcurrencyConfig", "DeploymentPreference", "EventInvokeConfig", "VersionDescription", "VersionDeletionPolicy",
			"AssumeRolePolicyDocument", "PermissionsBoundary", "RolePath", "PropagateTags",
		)), (*reader).readFunction},
		"AWS::Lambda::Function": {functions, functionSchema(names("Code", "TracingConfig")), (*reader).readFunction},
		"AWS::Serverless::WebSocketApi": {rest, names(
			"Name", "Description", "RouteSelectionExpression", "StageName", "Auth", "DefaultRouteSettings", "RouteSettings", "Routes",
			"AccessLogSettings", "Tags", "PropagateTags", "DisableExecuteApiEndpoint", "IpAddressType", "Domain", "ApiKeySelectionExpression", "DisableSchemaValidation",
		), (*reader).readAPI},
		"AWS::ApiGatewayV2::RouteResponse": {rest, names("ApiId", "RouteId", "RouteResponseKey", "ModelSelectionExpression"), (*reader).readRouteResponse},
		"AWS::ApiGatewayV2::Api": {rest, names(
			"Name", "Description", "ProtocolType", "RouteSelectionExpression", "DisableExecuteApiEndpoint", "DisableSchemaValidation", "IpAddressType", "Version", "Tags", "ApiKeySelectionExpression",
		), (*reader).readRawAPI},
		routeKind: {rest, names(
			"ApiId", "RouteKey", "AuthorizationType", "AuthorizerId", "OperationName", "Target", "RouteResponseSelectionExpression", "ApiKeyRequired",
		), (*reader).readRawPart},
		integrationKind: {rest, names(
			"ApiId", "IntegrationType", "IntegrationUri", "IntegrationMethod", "TimeoutInMillis", "Description", "PassthroughBehavior", "PayloadFormatVersion",
			"ContentHandlingStrategy", "ConnectionType", "CredentialsArn", "TemplateSelectionExpression", "RequestTemplates",
		), (*reader).readRawPart},
		authorizerKind: {rest, names(
			"ApiId", "AuthorizerType", "AuthorizerUri", "IdentitySource", "Name", "AuthorizerCredentialsArn", "AuthorizerResultTtlInSeconds",
		), (*reader).readRawPart},
		deploymentKind: {rest, names("ApiId", "Description", "StageName"), (*reader).readRawPart},
		stageKind: {rest, names(
			"ApiId", "StageName", "DeploymentId", "AutoDeploy", "Description", "DefaultRouteSettings", "RouteSettings", "AccessLogSettings", "StageVariables", "Tags",
		), (*reader).readRawPart},
		"AWS::Serverless::SimpleTable": {tables, with(names(
			"TableName", "PointInTimeRecoverySpecification", "SSESpecification", "Tags",
		), schema{"PrimaryKey": names("Name", "Type"), "ProvisionedThroughput": throughput}), (*reader).readSimpleTable},
		"AWS::DynamoDB::Table": {tables, with(names(
			"TableName", "BillingMode", "PointInTimeRecoverySpecification", "SSESpecification",
			"DeletionProtectionEnabled", "TableClass", "Tags", "OnDemandThroughput", "ContributorInsightsSpecification", "WarmThroughput",
		), schema{
			"AttributeDefinitions": names("AttributeName", "AttributeType"), "KeySchema": keySchema, "ProvisionedThroughput": throughput,
			"LocalSecondaryIndexes":   {"IndexName": nil, "KeySchema": keySchema, "Projection": projection},
			"GlobalSecondaryIndexes":  {"IndexName": nil, "KeySchema": keySchema, "Projection": projection, "ProvisionedThroughput": throughput},
			"StreamSpecification":     names("StreamViewType"),
			"TimeToLiveSpecification": names("AttributeName", "Enabled"),
		}), (*reader).readTable},
		"AWS::Lambda::EventSourceMapping": {rest, with(names("FunctionName", "EventSourceArn", "Tags"), mappingSchema()), (*reader).readMapping},
		"AWS::SQS::Queue": {functions, names(
			"QueueName", "MessageRetentionPeriod", "SqsManagedSseEnabled", "VisibilityTimeout", "Tags", "KmsMasterKeyId",
			"DelaySeconds", "ReceiveMessageWaitTimeSeconds", "MaximumMessageSize",
		), (*reader).readQueue},
		eventBusKind: {functions, names("Name", "Description", "Tags", "KmsKeyIdentifier", "LogConfig"), (*reader).readEventBus},
		eventRuleKind: {rest, with(names("Name", "Description", "EventBusName", "State", "ScheduleExpression", "RoleArn", "Tags"), schema{
			"EventPattern": nil, "Targets": names("Arn", "Id", "RoleArn"),
		}), (*reader).readEventRule},
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
		versionKind: {rest, names(
			"FunctionName", "CodeSha256", "Description", "ProvisionedConcurrencyConfig", "RuntimePolicy",
		), (*reader).readVersion},
		aliasKind: {rest, names(
			"Name", "FunctionName", "FunctionVersion", "Description", "ProvisionedConcurrencyConfig", "RoutingConfig",
		), (*reader).readVersion},
		permissionKind: {rest, names("Action", "FunctionName", "Principal", "SourceArn", "SourceAccount"), (*reader).readPermission},
		roleKind: {roles, with(names(
			"RoleName", "Path", "Description", "MaxSessionDuration", "ManagedPolicyArns", "AssumeRolePolicyDocument", "Tags", "PermissionsBoundary",
		), schema{"Policies": {"PolicyName": nil, "PolicyDocument": policySchema}}), (*reader).readRole},
		managedPolicyKind:  {policies, with(names("ManagedPolicyName", "Path", "Description", "Roles"), schema{"PolicyDocument": policySchema}), (*reader).readManagedPolicy},
		"AWS::IAM::Policy": {policies, with(names("PolicyName", "Roles"), schema{"PolicyDocument": policySchema}), (*reader).readRolesPolicy},
	}
	for name, d := range deployedOnly {
		kinds[name] = kind{rest, d.properties, (*reader).readDeployedOnly}
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
	return r.makeTable(res, spec)
}

// readSimpleTable reads SAM's short form of a table with a partition key alone.
// Source: SAM developer guide, "AWS::Serverless::SimpleTable".
func (r *reader) readSimpleTable(res *resource, p *node) error {
	name, kind := "id", "String"
	if key := p.at("PrimaryKey"); key != nil {
		var err error
		if name, err = key.need("Name"); err != nil {
			return err
		}
		if kind, err = key.need("Type"); err != nil {
			return err
		}
	}
	short := map[string]string{"String": "S", "Number": "N", "Binary": "B"}[kind]
	if short == "" {
		return p.at("PrimaryKey").fail("Type must be String, Number or Binary, not %q", kind)
	}
	spec := dynamodb.TableSpec{
		TableName: res.ref, BillingMode: "PAY_PER_REQUEST",
		AttributeDefinitions: []dynamodb.AttributeDefinition{{AttributeName: name, AttributeType: short}},
		KeySchema:            []dynamodb.KeyElement{{AttributeName: name, KeyType: "HASH"}},
	}
	if p.at("ProvisionedThroughput") != nil {
		spec.BillingMode = "PROVISIONED"
		if err := p.into(&spec, "ProvisionedThroughput"); err != nil {
			return err
		}
	}
	return r.makeTable(res, spec)
}

func (r *reader) makeTable(res *resource, spec dynamodb.TableSpec) error {
	info, err := r.CreateTable(spec)
	if err != nil {
		return res.node.fail("table %s: %v", res.id, err)
	}
	if info.StreamARN != "" {
		res.attributes["StreamArn"] = info.StreamARN
		r.streams[info.StreamARN] = res.attributes["Arn"] + info.StreamARN[max(0, strings.Index(info.StreamARN, "/stream/")):]
	}
	keys := r.stack.Policies.PartitionKeys
	keys[spec.TableName] = partitionKey(spec.KeySchema)
	for _, ix := range append(spec.LocalSecondaryIndexes, spec.GlobalSecondaryIndexes...) {
		keys[spec.TableName+"/index/"+ix.IndexName] = partitionKey(ix.KeySchema)
	}
	return nil
}

func partitionKey(schema []dynamodb.KeyElement) string {
	for _, e := range schema {
		if e.KeyType == "HASH" {
			return e.AttributeName
		}
	}
	return ""
}
