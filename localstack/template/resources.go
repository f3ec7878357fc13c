package template

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/duet-chat/duet/localstack/cognito"
	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/gateway"
	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/streams"
)

// kind is a type of resources: the properties that are known, whether they mean something here or
// only when the template is deployed, and what reads those that do.
type kind struct {
	phase      int
	properties []string
	read       func(*reader, *resource, *node) error
}

// deployOnly is for resources that have no counterpart on a laptop.
func deployOnly(*reader, *resource, *node) error { return nil }

var kinds map[string]kind

func init() {
	// Filled here, since the functions refer to the map.
	kinds = map[string]kind{
		"AWS::Serverless::Function": {functions, []string{
			"CodeUri", "Handler", "Runtime", "Architectures", "MemorySize", "Timeout", "Environment", "Policies", "Description",
			"FunctionName", "Role", "Tags", "Tracing", "LoggingConfig", "ReservedConcurrentExecutions", "EphemeralStorage", "AutoPublishAlias", "PropagateTags",
		}, (*reader).readFunction},
		"AWS::Serverless::WebSocketApi": {rest, []string{
			"Name", "Description", "RouteSelectionExpression", "StageName", "Auth", "DefaultRouteSettings", "RouteSettings", "Routes",
			"AccessLogSettings", "Tags", "PropagateTags", "DisableExecuteApiEndpoint", "IpAddressType",
		}, (*reader).readAPI},
		"AWS::ApiGatewayV2::RouteResponse": {rest, []string{"ApiId", "RouteId", "RouteResponseKey", "ModelSelectionExpression"}, (*reader).readRouteResponse},
		"AWS::DynamoDB::Table": {tables, []string{
			"TableName", "BillingMode", "ProvisionedThroughput", "AttributeDefinitions", "KeySchema", "LocalSecondaryIndexes", "GlobalSecondaryIndexes",
			"StreamSpecification", "TimeToLiveSpecification", "PointInTimeRecoverySpecification", "SSESpecification",
			"DeletionProtectionEnabled", "TableClass", "Tags", "OnDemandThroughput", "ContributorInsightsSpecification",
		}, (*reader).readTable},
		"AWS::Lambda::EventSourceMapping": {rest, []string{
			"FunctionName", "EventSourceArn", "StartingPosition", "BatchSize", "MaximumBatchingWindowInSeconds", "ParallelizationFactor",
			"FunctionResponseTypes", "BisectBatchOnFunctionError", "MaximumRetryAttempts", "MaximumRecordAgeInSeconds", "DestinationConfig",
			"FilterCriteria", "Enabled", "Tags",
		}, (*reader).readMapping},
		"AWS::SQS::Queue": {functions, []string{
			"QueueName", "MessageRetentionPeriod", "SqsManagedSseEnabled", "VisibilityTimeout", "Tags", "KmsMasterKeyId",
		}, func(r *reader, res *resource, _ *node) error {
			r.stack.Queues = append(r.stack.Queues, res.attributes["Arn"])
			return nil
		}},
		"AWS::Cognito::UserPool": {rest, []string{
			"UserPoolName", "UsernameConfiguration", "AdminCreateUserConfig", "Policies", "LambdaConfig", "DeletionProtection",
			"UserPoolTier", "UserPoolTags", "MfaConfiguration",
		}, (*reader).readPool},
		"AWS::Cognito::UserPoolClient": {rest, []string{
			"UserPoolId", "ClientName", "GenerateSecret", "ExplicitAuthFlows", "AccessTokenValidity", "IdTokenValidity", "RefreshTokenValidity",
			"TokenValidityUnits", "EnableTokenRevocation", "PreventUserExistenceErrors",
		}, (*reader).readPoolClient},
		"AWS::Lambda::Permission":    {rest, []string{"Action", "FunctionName", "Principal", "SourceArn", "SourceAccount"}, deployOnly},
		"AWS::Logs::LogGroup":        {rest, []string{"LogGroupName", "RetentionInDays", "KmsKeyId", "LogGroupClass", "Tags"}, deployOnly},
		"AWS::CloudWatch::Dashboard": {rest, []string{"DashboardName", "DashboardBody"}, deployOnly},
		"AWS::CloudWatch::Alarm": {rest, []string{
			"AlarmName", "AlarmDescription", "Namespace", "MetricName", "Dimensions", "Statistic", "ExtendedStatistic", "Period", "EvaluationPeriods",
			"DatapointsToAlarm", "Threshold", "ComparisonOperator", "TreatMissingData", "AlarmActions", "OKActions", "Metrics", "Unit", "Tags",
		}, deployOnly},
	}
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
	uri, err := p.need("CodeUri")
	if err != nil {
		return err
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
	f := lambda.Function{Name: res.id, Folder: folder(uri), Timeout: seconds(timeout), MemoryMB: memory, Env: map[string]string{}}
	if n := global("Runtime"); n == nil || n.scalar == nil || !strings.HasPrefix(*n.scalar, "provided.") {
		return p.fail("the function %s has no runtime provided.al2023: the local cloud runs Go functions only", res.id)
	}
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
	r.stack.Functions = append(r.stack.Functions, f)
	return nil
}

func (r *reader) readAPI(res *resource, p *node) error {
	if r.stack.API != nil {
		return res.node.fail("the local cloud runs one WebSocket API, and %s is there already", r.stack.API.Name)
	}
	selection, err := p.need("RouteSelectionExpression")
	if err != nil {
		return err
	}
	stage, err := p.str("StageName", "default")
	if err != nil {
		return err
	}
	api := &gateway.API{ID: res.ref, Name: res.id, Stage: stage, RouteSelectionExpression: selection, Routes: map[string]gateway.Route{}}
	if auth := p.at("Auth"); auth != nil {
		if api.Authorizer, err = r.readAuth(auth); err != nil {
			return err
		}
	}
	routes := p.at("Routes")
	if routes == nil || len(routes.keys) == 0 {
		return p.fail("%s has no Routes", res.id)
	}
	for _, key := range routes.keys {
		n := routes.members[key]
		if err := known(n, "route", "FunctionArn", "IntegrationTimeout", "RouteResponseSelectionExpression", "OperationName", "ApiKeyRequired"); err != nil {
			return err
		}
		function, err := r.functionOf(n, "FunctionArn")
		if err != nil {
			return err
		}
		timeout, err := n.integer("IntegrationTimeout", 0)
		if err != nil {
			return err
		}
		api.Routes[key] = gateway.Route{Function: function, Timeout: time.Duration(timeout) * time.Millisecond}
	}
	r.stack.API = api
	// Replies need a selection expression and a route response: see readRouteResponse.
	for _, other := range r.resources {
		if other.kind != "AWS::ApiGatewayV2::RouteResponse" {
			continue
		}
		response, err := r.scope.eval(other.properties)
		if err != nil {
			return err
		}
		route, err := response.need("RouteId")
		if err != nil {
			return err
		}
		key, ok := strings.CutPrefix(route, res.id+" ")
		if !ok {
			continue
		}
		if n := routes.at(key).at("RouteResponseSelectionExpression"); n == nil || n.scalar == nil || *n.scalar != "$default" {
			return other.node.fail("the route %s has a route response, but no RouteResponseSelectionExpression $default: API Gateway would send no reply", key)
		}
		with := api.Routes[key]
		with.Reply = true
		api.Routes[key] = with
	}
	return nil
}

func (r *reader) readAuth(auth *node) (*gateway.Authorizer, error) {
	if err := known(auth, "WebSocketApi's Auth", "AuthType", "AuthArn", "IdentitySource", "InvokeRole", "Name"); err != nil {
		return nil, err
	}
	kind, err := auth.need("AuthType")
	if err != nil {
		return nil, err
	}
	switch kind {
	case "NONE":
		return nil, nil
	case "CUSTOM":
	default:
		return nil, auth.at("AuthType").fail("the local cloud knows the AuthTypes CUSTOM and NONE, in upper case, not %q: SAM makes an open API of any other spelling", kind)
	}
	function, err := r.functionOf(auth, "AuthArn")
	if err != nil {
		return nil, err
	}
	sources, err := auth.strings("IdentitySource")
	return &gateway.Authorizer{Function: function, IdentitySources: sources}, err
}

// readRouteResponse checks one; readAPI puts it to use.
func (r *reader) readRouteResponse(_ *resource, p *node) error {
	key, err := p.need("RouteResponseKey")
	if err == nil && key != "$default" {
		err = p.at("RouteResponseKey").fail("API Gateway knows the RouteResponseKey $default only, not %q", key)
	}
	return err
}

func (r *reader) readTable(res *resource, p *node) error {
	spec := dynamodb.TableSpec{}
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

func (r *reader) readMapping(res *resource, p *node) error {
	m := streams.Mapping{Name: res.id}
	var err error
	if m.Function, err = r.functionOf(p, "FunctionName"); err != nil {
		return err
	}
	if m.StreamARN, err = p.need("EventSourceArn"); err != nil {
		return err
	}
	if !strings.Contains(m.StreamARN, ":dynamodb:") {
		return p.at("EventSourceArn").fail("the local cloud knows mappings of DynamoDB streams only, not of %s", m.StreamARN)
	}
	start, err := p.need("StartingPosition")
	if err != nil {
		return err
	}
	m.StartingPosition = streams.StartingPosition(start)
	window, age := 0, 0
	// Defaults: Lambda's. Source: Lambda API reference, CreateEventSourceMapping.
	for name, field := range map[string]struct {
		to        *int
		otherwise int
	}{
		"BatchSize": {&m.BatchSize, 100}, "ParallelizationFactor": {&m.ParallelizationFactor, 1},
		"MaximumRetryAttempts": {&m.MaximumRetryAttempts, -1}, "MaximumBatchingWindowInSeconds": {&window, 0},
		"MaximumRecordAgeInSeconds": {&age, -1},
	} {
		if *field.to, err = p.integer(name, field.otherwise); err != nil {
			return err
		}
	}
	m.BatchingWindow = seconds(window)
	if age > 0 {
		m.MaximumRecordAge = seconds(age)
	}
	if m.BisectOnError, err = p.boolean("BisectBatchOnFunctionError", false); err != nil {
		return err
	}
	responses, err := p.strings("FunctionResponseTypes")
	if err != nil {
		return err
	}
	for _, response := range responses {
		if response != "ReportBatchItemFailures" {
			return p.at("FunctionResponseTypes").fail("FunctionResponseTypes must be ReportBatchItemFailures, not %q", response)
		}
		m.ReportBatchItemFailures = true
	}
	if d := p.at("DestinationConfig").at("OnFailure"); d != nil {
		if m.FailureQueueARN, err = d.need("Destination"); err != nil {
			return err
		}
	}
	if f := p.at("FilterCriteria").at("Filters"); f != nil {
		for _, filter := range f.list {
			pattern, err := filter.need("Pattern")
			if err != nil {
				return err
			}
			parsed, err := streams.ParseFilter(pattern)
			if err != nil {
				return filter.fail("%v", err)
			}
			m.Filters = append(m.Filters, parsed)
		}
	}
	if enabled, err := p.boolean("Enabled", true); err != nil || !enabled {
		return err
	}
	r.stack.Mappings = append(r.stack.Mappings, m)
	return nil
}

func (r *reader) readPool(res *resource, p *node) error {
	pool := cognito.Pool{ID: res.ref}
	var err error
	if pool.Name, err = p.str("UserPoolName", res.id); err != nil {
		return err
	}
	if u := p.at("UsernameConfiguration"); u != nil {
		sensitive, err := u.boolean("CaseSensitive", true)
		if err != nil {
			return err
		}
		pool.CaseInsensitive = !sensitive
	}
	if a := p.at("AdminCreateUserConfig"); a != nil {
		if pool.AdminOnly, err = a.boolean("AllowAdminCreateUserOnly", false); err != nil {
			return err
		}
	}
	if n := p.at("Policies").at("PasswordPolicy"); n != nil {
		policy := cognito.PasswordPolicy{}
		if err := n.into(&policy, "MinimumLength", "RequireUppercase", "RequireLowercase", "RequireNumbers", "RequireSymbols"); err != nil {
			return err
		}
		pool.PasswordPolicy = &policy
	}
	if l := p.at("LambdaConfig"); l != nil {
		if err := known(l, "user pool's LambdaConfig", "PreSignUp", "PostConfirmation"); err != nil {
			return err
		}
		for name, to := range map[string]*string{"PreSignUp": &pool.PreSignUp, "PostConfirmation": &pool.PostConfirmation} {
			if l.at(name) == nil {
				continue
			}
			if *to, err = r.functionOf(l, name); err != nil {
				return err
			}
		}
	}
	// Its clients may have been read before it.
	for i := range r.stack.Pools {
		if r.stack.Pools[i].ID == pool.ID {
			pool.Clients = r.stack.Pools[i].Clients
			r.stack.Pools[i] = pool
			return nil
		}
	}
	r.stack.Pools = append(r.stack.Pools, pool)
	return nil
}

func (r *reader) readPoolClient(res *resource, p *node) error {
	poolID, err := p.need("UserPoolId")
	if err != nil {
		return err
	}
	c := cognito.Client{ID: res.ref}
	if c.Name, err = p.str("ClientName", res.id); err != nil {
		return err
	}
	if secret, err := p.boolean("GenerateSecret", false); err != nil || secret {
		return p.at("GenerateSecret").fail("the local cloud knows public clients only: set GenerateSecret to false")
	}
	if c.ExplicitAuthFlows, err = p.strings("ExplicitAuthFlows"); err != nil {
		return err
	}
	existence, err := p.str("PreventUserExistenceErrors", "LEGACY")
	if err != nil {
		return err
	}
	c.PreventUserExistenceErrors = existence == "ENABLED"
	// Default units: Cognito's. Source: Cognito API reference, TokenValidityUnitsType.
	for name, t := range map[string]struct {
		to   *time.Duration
		unit string
	}{
		"AccessToken": {&c.AccessTokenValidity, "hours"}, "IdToken": {&c.IDTokenValidity, "hours"}, "RefreshToken": {&c.RefreshTokenValidity, "days"},
	} {
		n, err := p.integer(name+"Validity", 0)
		if err != nil {
			return err
		}
		unit := t.unit
		if units := p.at("TokenValidityUnits"); units != nil {
			if unit, err = units.str(name, unit); err != nil {
				return err
			}
		}
		scale, ok := map[string]time.Duration{"seconds": time.Second, "minutes": time.Minute, "hours": time.Hour, "days": 24 * time.Hour}[unit]
		if !ok {
			return p.at("TokenValidityUnits").fail("%s must be seconds, minutes, hours or days, not %q", name, unit)
		}
		*t.to = time.Duration(n) * scale
	}
	for i := range r.stack.Pools {
		if r.stack.Pools[i].ID == poolID {
			r.stack.Pools[i].Clients = append(r.stack.Pools[i].Clients, c)
			return nil
		}
	}
	r.stack.Pools = append(r.stack.Pools, cognito.Pool{ID: poolID, Clients: []cognito.Client{c}})
	return nil
}

// into fills a struct from the named members, which are spelled as its fields.
func (n *node) into(target any, names ...string) error {
	part := &node{members: map[string]*node{}}
	for _, name := range names {
		if v := n.at(name); v != nil {
			part.keys = append(part.keys, name)
			part.members[name] = v
		}
	}
	j, err := json.Marshal(part.plain())
	if err != nil {
		return n.fail("%v", err)
	}
	if err := json.Unmarshal(j, target); err != nil {
		return n.fail("%v", err)
	}
	return nil
}

// plain is a node as values of encoding/json: scalars that look like numbers or booleans become such.
func (n *node) plain() any {
	switch {
	case n.members != nil:
		m := map[string]any{}
		for _, key := range n.keys {
			m[key] = n.members[key].plain()
		}
		return m
	case n.list != nil:
		l := make([]any, len(n.list))
		for i, e := range n.list {
			l[i] = e.plain()
		}
		return l
	}
	if i, err := strconv.ParseInt(*n.scalar, 10, 64); err == nil {
		return i
	}
	if b, err := strconv.ParseBool(*n.scalar); err == nil {
		return b
	}
	return *n.scalar
}
