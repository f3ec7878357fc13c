package template_test

import "testing"

// What is misspelt, or means something that the local cloud does not do, is refused at every depth:
// a setting that is silently left out makes the local cloud another stack than the deployed one.
func TestRefusedAtEveryDepth(t *testing.T) {
	table := func(property string) string {
		return "Resources:\n  Log:\n    Type: AWS::DynamoDB::Table\n    Properties:\n      " + property + "\n"
	}
	pool := func(property string) string {
		return "Resources:\n  Pool:\n    Type: AWS::Cognito::UserPool\n    Properties:\n      " + property + "\n"
	}
	queue := func(property string) string {
		return "Resources:\n  Failures:\n    Type: AWS::SQS::Queue\n    Properties:\n      " + property + "\n"
	}
	rule := func(property string) string {
		return "Resources:\n  Told:\n    Type: AWS::Events::Rule\n    Properties:\n      " + property + "\n"
	}
	code := func(properties string) string {
		return "Resources:\n  Work:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: provided.al2023\n      " + properties + "\n"
	}
	for _, test := range []struct{ name, text, want string }{
		{"global environment", "Globals:\n  Function:\n    Environment:\n      Vars: {} #!\nResources:" + function, "Vars in Globals.Function.Environment"},
		{"globals of the API", "Globals:\n  WebSocketApi: {} #!\nResources:" + function, "does not know WebSocketApi in Globals"},
		{"environment without variables", code("CodeUri: functions/work\n      Environment: { LEVEL: high } #!"), "does not know LEVEL in AWS::Serverless::Function.Environment"},
		{"code in a bucket", code("CodeUri: { Bucket: b, Key: k } #!"), "packaged already"},
		{"code of an image", code("PackageType: Image #!"), "container image"},
		{"code in the template", code("InlineCode: x #!"), "InlineCode"},
		{"global of an API", "Globals:\n  WebSocketApi: {} #!\nResources:" + function, "does not know WebSocketApi in Globals"},
		{"outputs no map", "Resources:" + function + "Outputs: [a] #!\n", "must be a map"},

		{"keys no list", table("KeySchema: { AttributeName: id, KeyType: HASH } #!"), "must be a list"},
		{"keys a text", table("KeySchema: id #!"), "made of AttributeName, KeyType"},
		{"key misspelt", table("KeySchema: [{ AttributeName: id, KeyTyp: HASH }] #!"), "does not know KeyTyp in AWS::DynamoDB::Table.KeySchema"},
		{"index's key misspelt", table("LocalSecondaryIndexes:\n        - KeySchema:\n            - Attribute: id #!"), "LocalSecondaryIndexes.KeySchema"},
		{"stream misspelt", table("StreamSpecification: { ViewType: NEW_IMAGE } #!"), "does not know ViewType"},
		{"TTL misspelt", table("TimeToLiveSpecification: { Attribute: ttl, Enabled: true } #!"), "does not know Attribute in"},

		{"destination of successes", mapping("StartingPosition: LATEST\n      DestinationConfig:\n        OnSuccess: {} #!", stream), "does not know OnSuccess"},
		{"destination elsewhere", mapping("StartingPosition: LATEST\n      DestinationConfig:\n        OnFailure:\n          Destination: arn:aws:sns:us-east-1:000000000000:topic #!", stream), "no SQS queue of this template"},
		{"timeout too long", code("CodeUri: functions/work\n      Timeout: 901 #!"), "Timeout must be 1 to 900"},
		{"memory too small", code("CodeUri: functions/work\n      MemorySize: 64 #!"), "MemorySize must be 128 to 10240"},
		{"all reserved", code("CodeUri: functions/work\n      ReservedConcurrentExecutions: 901 #!"), "ReservedConcurrentExecutions must be 0 to 900"},
		{"too much reserved together", code("CodeUri: functions/work\n      ReservedConcurrentExecutions: 500") +
			"  More:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: provided.al2023\n      CodeUri: functions/work\n      ReservedConcurrentExecutions: 401 #!\n", "reserve 901"},
		{"batch too large", mapping("StartingPosition: LATEST\n      BatchSize: 20000 #!", stream), "BatchSize must be 1 to 10000"},
		{"no parallelization", mapping("StartingPosition: LATEST\n      ParallelizationFactor: 0 #!", stream), "ParallelizationFactor must be 1 to 10"},
		{"window too long", mapping("StartingPosition: LATEST\n      MaximumBatchingWindowInSeconds: 301 #!", stream), "must be 0 to 300"},
		{"attempts below -1", mapping("StartingPosition: LATEST\n      MaximumRetryAttempts: -2 #!", stream), "must be -1 to 10000"},
		{"age of half a minute", mapping("StartingPosition: LATEST\n      MaximumRecordAgeInSeconds: 30 #!", stream), "must be -1 or 60 to 604800"},
		{"no age", mapping("StartingPosition: LATEST\n      MaximumRecordAgeInSeconds: 0 #!", stream), "must be -1 or 60 to 604800"},
		{"start at a time", mapping("StartingPosition: AT_TIMESTAMP #!", stream), "StartingPosition must be TRIM_HORIZON or LATEST"},
		{"tumbling window", mapping("StartingPosition: LATEST\n      TumblingWindowInSeconds: 60 #!", stream), "does not know TumblingWindowInSeconds"},
		{"numeric filter", mapping("StartingPosition: LATEST\n      FilterCriteria:\n        Filters:\n          - Pattern: '{\"dynamodb\":{\"Keys\":{\"id\":{\"N\":[{\"numeric\":[\">\",1]}]}}}}' #!", stream), "numeric matches nothing"},
		{"filters no list", mapping("StartingPosition: LATEST\n      FilterCriteria: { Filters: { Pattern: '{}' } } #!", stream), "must be a list"},
		{"filters of texts", mapping("StartingPosition: LATEST\n      FilterCriteria: { Filters: ['{}'] } #!", stream), "made of Pattern"},

		{"schedule", rule("ScheduleExpression: rate(5 minutes) #!"), "runs no schedules"},
		{"rule without a pattern", "Resources:\n  Log:\n    Type: AWS::Events::Rule\n    Properties: { Description: x } #!\n", "has no EventPattern"},
		{"pattern of texts", rule("EventPattern: { source: duet } #!"), "EventPattern"},
		{"rule of another bus", rule("EventPattern: { source: [duet] }\n      EventBusName: nowhere #!"), "there is no event bus nowhere"},
		{"target elsewhere", rule("EventPattern: { source: [duet] }\n      Targets: [{ Id: a, Arn: 'arn:aws:sns:us-east-1:000000000000:topic' }] #!"), "neither a queue nor a function"},
		{"retention too long", queue("MessageRetentionPeriod: 1209601 #!"), "MessageRetentionPeriod must be 60 to 1209600"},
		{"no retention", queue("MessageRetentionPeriod: 0 #!"), "MessageRetentionPeriod must not be 0"},
		{"hidden too long", queue("VisibilityTimeout: 43201 #!"), "VisibilityTimeout must be 0 to 43200"},
		{"messages too large", queue("MaximumMessageSize: 2097152 #!"), "MaximumMessageSize must be 1024 to 1048576"},
		{"FIFO", queue("FifoQueue: true #!"), "does not know FifoQueue"},
		{"dead letters", queue("RedrivePolicy: { maxReceiveCount: 3 } #!"), "does not know RedrivePolicy"},

		{"password rule misspelt", pool("Policies: { PasswordPolicy: { MinLength: 8 } } #!"), "does not know MinLength in AWS::Cognito::UserPool.Policies.PasswordPolicy"},
		{"other policies of a pool", pool("Policies: { SignInPolicy: {} } #!"), "does not know SignInPolicy"},
		{"second factor", pool("MfaConfiguration: OPTIONAL #!"), "set OFF"},
		{"client of no pool", "Resources:\n  Client:\n    Type: AWS::Cognito::UserPoolClient\n    Properties: { UserPoolId: us-east-1_x } #!\n", "no user pool of this template"},
		{"flows no list", poolClient("ExplicitAuthFlows: ALLOW_USER_PASSWORD_AUTH #!"), "must be a list"},
		{"unit misspelt", poolClient("TokenValidityUnits: { Access: minutes } #!"), "does not know Access"},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, test.text, nil, test.want) })
	}
}

// What SAM or API Gateway would get wrong silently is refused here already.
// Source: docs/decisions/0005-template.md.
func TestTrapsOfSAM(t *testing.T) {
	const toWork = "{ FunctionArn: !GetAtt Work.Arn }"
	answer := func(id string) string {
		return api("Routes: { send: { FunctionArn: !GetAtt Work.Arn, RouteResponseSelectionExpression: $default } }") +
			"  Answer:\n    Type: AWS::ApiGatewayV2::RouteResponse\n    Properties:\n      RouteResponseKey: $default\n      RouteId: " + id + "\n"
	}
	for _, test := range []struct{ name, text, want string }{
		{"routes that differ in case", api("Routes:\n        send: " + toWork + "\n        Send: " + toWork + " #!"), "both named ChatSendRoute"},
		{"a route beside $connect", api("Routes:\n        $connect: " + toWork + "\n        connect: " + toWork + " #!"), "both named ChatConnectRoute"},
		{"a route with a dash", api("Routes:\n        send-it: " + toWork + " #!"), "letters and digits"},
		{"a route that only looks like AWS's", api("Routes:\n        $send: " + toWork + " #!"), "reserves what begins with $"},
		{"an identity source that is no list", api("Auth:\n        AuthType: CUSTOM\n        AuthArn: !GetAtt Work.Arn\n        IdentitySource: route.request.header.Authorization #!"), "must be a list"},
		{"a route response for no route", answer("send #!"), "as in !Ref ChatSendRoute"},
		{"a route response for a route that is not there", answer("!Ref ChatSyncRoute #!"), "ChatSyncRoute"},
	} {
		t.Run(test.name, func(t *testing.T) { refused(t, test.text, nil, test.want) })
	}
}
