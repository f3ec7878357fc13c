package template

import "strings"

// deployOnly is a type of resources that have no counterpart on a laptop: they are checked for what is
// misspelt, others can refer to them, and nothing else is done. In its patterns stand %name, %id (the
// logical one), %region, %account and %arn.
type deployOnly struct {
	properties schema
	// named is the property that has its name; without, the name is made of stack and logical id.
	named string
	arn   string // after arn:aws:
	// ref is what Ref gives; "" is the name.
	ref        string
	attributes map[string]string
	// lacking says what is not done here that a function or a person would notice; "" for nothing.
	lacking string
}

// Source: CloudFormation template reference, each type's Properties and Return values.
var deployedOnly = map[string]deployOnly{
	"AWS::Logs::LogGroup": {
		properties: names("LogGroupName", "RetentionInDays", "KmsKeyId", "LogGroupClass", "DataProtectionPolicy", "FieldIndexPolicies", "Tags"),
		named:      "LogGroupName", arn: "logs:%region:%account:log-group:%name:*", attributes: map[string]string{"Arn": "%arn"},
	},
	"AWS::Logs::MetricFilter": {
		properties: names("FilterName", "FilterPattern", "LogGroupName", "MetricTransformations", "ApplyOnTransformedLogs"), named: "FilterName",
	},
	"AWS::Logs::QueryDefinition": {properties: names("Name", "QueryString", "LogGroupNames", "QueryLanguage"), named: "Name"},
	"AWS::CloudWatch::Dashboard": {properties: names("DashboardName", "DashboardBody"), named: "DashboardName"},
	"AWS::CloudWatch::Alarm": {
		properties: names(
			"AlarmName", "AlarmDescription", "Namespace", "MetricName", "Dimensions", "Statistic", "ExtendedStatistic", "Period", "EvaluationPeriods",
			"DatapointsToAlarm", "Threshold", "ThresholdMetricId", "ComparisonOperator", "TreatMissingData", "EvaluateLowSampleCountPercentile",
			"ActionsEnabled", "AlarmActions", "OKActions", "InsufficientDataActions", "Metrics", "Unit", "Tags",
		), named: "AlarmName", arn: "cloudwatch:%region:%account:alarm:%name", attributes: map[string]string{"Arn": "%arn"},
	},
	"AWS::CloudWatch::CompositeAlarm": {
		properties: names("AlarmName", "AlarmDescription", "AlarmRule", "ActionsEnabled", "AlarmActions", "OKActions", "InsufficientDataActions",
			"ActionsSuppressor", "ActionsSuppressorExtensionPeriod", "ActionsSuppressorWaitPeriod", "Tags"),
		named: "AlarmName", arn: "cloudwatch:%region:%account:alarm:%name", attributes: map[string]string{"Arn": "%arn"},
	},
	"AWS::SNS::Topic": {
		properties: names(
			"TopicName", "DisplayName", "Subscription", "KmsMasterKeyId", "FifoTopic", "ContentBasedDeduplication", "FifoThroughputScope", "Tags",
			"TracingConfig", "SignatureVersion", "DataProtectionPolicy", "ArchivePolicy", "DeliveryStatusLogging",
		), named: "TopicName", arn: "sns:%region:%account:%name", ref: "%arn",
		attributes: map[string]string{"TopicArn": "%arn", "TopicName": "%name"}, lacking: "functions cannot publish to it",
	},
	"AWS::SNS::Subscription": {properties: names(
		"TopicArn", "Protocol", "Endpoint", "FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy", "DeliveryPolicy", "Region",
		"SubscriptionRoleArn", "ReplayPolicy",
	)},
	"AWS::SNS::TopicPolicy": {properties: names("PolicyDocument", "Topics")},
	"AWS::SQS::QueuePolicy": {properties: names("PolicyDocument", "Queues"), lacking: "queues are open to whom roles allow it"},
	"AWS::KMS::Key": {
		properties: names("Description", "KeyPolicy", "EnableKeyRotation", "RotationPeriodInDays", "Enabled", "KeySpec", "KeyUsage", "MultiRegion",
			"PendingWindowInDays", "Origin", "BypassPolicyLockoutSafetyCheck", "Tags"),
		arn: "kms:%region:%account:key/%name", attributes: map[string]string{"Arn": "%arn", "KeyId": "%name"}, lacking: "functions cannot use it",
	},
	"AWS::KMS::Alias": {properties: names("AliasName", "TargetKeyId"), named: "AliasName"},
	"AWS::SSM::Parameter": {
		properties: names("Name", "Type", "Value", "Description", "AllowedPattern", "DataType", "Policies", "Tier", "Tags"), named: "Name",
		lacking: "functions cannot read it",
	},
	"AWS::ApiGateway::Account": {properties: names("CloudWatchRoleArn")}, // WebSocket APIs write access logs by its role
	"AWS::ApiGatewayV2::DomainName": {
		properties: names("DomainName", "DomainNameConfigurations", "MutualTlsAuthentication", "RoutingMode", "Tags"), named: "DomainName",
		attributes: map[string]string{"RegionalDomainName": "%name", "RegionalHostedZoneId": "%id"}, lacking: "clients use the address that is told at the start",
	},
	"AWS::ApiGatewayV2::ApiMapping": {properties: names("ApiId", "ApiMappingKey", "DomainName", "Stage")},
	"AWS::Route53::RecordSet": {
		properties: names("Name", "Type", "TTL", "ResourceRecords", "AliasTarget", "HostedZoneId", "HostedZoneName", "Comment", "SetIdentifier",
			"Weight", "Region", "Failover", "GeoLocation", "HealthCheckId", "MultiValueAnswer"),
		named: "Name",
	},
	"AWS::CertificateManager::Certificate": {
		properties: names("DomainName", "SubjectAlternativeNames", "DomainValidationOptions", "ValidationMethod", "KeyAlgorithm", "CertificateExport",
			"CertificateTransparencyLoggingPreference", "CertificateAuthorityArn", "Tags"),
		arn: "acm:%region:%account:certificate/%id", ref: "%arn",
	},
	"AWS::ApplicationAutoScaling::ScalableTarget": {properties: names(
		"MinCapacity", "MaxCapacity", "ResourceId", "RoleARN", "ScalableDimension", "ServiceNamespace", "ScheduledActions", "SuspendedState",
	)},
	"AWS::ApplicationAutoScaling::ScalingPolicy": {properties: names(
		"PolicyName", "PolicyType", "ScalingTargetId", "ResourceId", "ScalableDimension", "ServiceNamespace", "StepScalingPolicyConfiguration",
		"TargetTrackingScalingPolicyConfiguration", "PredictiveScalingPolicyConfiguration",
	)},
	// What `sam init` adds for monitoring.
	"AWS::ResourceGroups::Group": {properties: names("Name", "Description", "ResourceQuery", "Configuration", "Resources", "Tags"), named: "Name"},
	"AWS::ApplicationInsights::Application": {properties: names(
		"ResourceGroupName", "AutoConfigurationEnabled", "AttachMissingPermission", "ComponentMonitoringSettings", "CustomComponents", "CWEMonitorEnabled",
		"GroupingType", "LogPatternSets", "OpsCenterEnabled", "OpsItemSNSTopicArn", "SNSNotificationArn", "Tags",
	)},
}

// nameDeployedOnly names what others may refer to.
func (r *reader) nameDeployedOnly(res *resource, d deployOnly) error {
	name := r.Stack + "-" + res.id
	if d.named != "" {
		var err error
		if name, err = r.ownName(res, d.named, name); err != nil {
			return err
		}
	}
	fill := strings.NewReplacer("%name", name, "%id", res.id, "%region", r.Region, "%account", r.Account)
	fill = strings.NewReplacer("%arn", "arn:aws:"+fill.Replace(d.arn), "%name", name, "%id", res.id)
	if res.ref = name; d.ref != "" {
		res.ref = fill.Replace(d.ref)
	}
	for attribute, pattern := range d.attributes {
		res.attributes[attribute] = fill.Replace(pattern)
	}
	return nil
}

// readDeployedOnly tells what is lacking.
func (r *reader) readDeployedOnly(res *resource, _ *node) error {
	if lacking := deployedOnly[res.kind].lacking; lacking != "" {
		r.warn(res.node, "%s (%s) is only deployed; here %s", res.id, res.kind, lacking)
	}
	return nil
}
