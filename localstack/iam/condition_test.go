package iam_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/caller"
	"github.com/duet-chat/duet/localstack/iam"
)

func condition(t testing.TB, operator, key string, values ...string) iam.Condition {
	t.Helper()
	c, err := iam.ParseCondition(operator, key, values)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// conditioned is a guard by which Send may do anything if conditions hold.
func conditioned(conditions ...iam.Condition) *iam.Guard {
	g := iam.New(iam.Options{
		Region: "us-east-1", Account: "000000000000", Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) },
	})
	g.Set(iam.Policies{
		Roles: map[string]iam.Role{"Send": {Name: "duet-SendRole", ARN: "arn:aws:iam::000000000000:role/duet-SendRole", Statements: []iam.Statement{
			{Actions: []string{"*"}, Resources: []string{"*"}, Conditions: conditions},
		}}},
		PartitionKeys: map[string]string{"T": "user", "T/index/by-day": "day"},
	})
	return g
}

// Source: IAM user guide, "IAM JSON policy elements: Condition operators".
func TestConditionOperators(t *testing.T) {
	const role = "arn:aws:iam::000000000000:role/duet-SendRole"
	for _, test := range []struct {
		operator, key string
		values        []string
		want          bool
	}{
		{"StringEquals", "aws:PrincipalType", []string{"User", "AssumedRole"}, true},
		{"StringEquals", "AWS:principaltype", []string{"AssumedRole"}, true}, // keys in any case
		{"StringEquals", "aws:PrincipalType", []string{"assumedrole"}, false},
		{"StringEquals", "aws:PrincipalType", []string{"Assumed*"}, false},
		{"StringEqualsIgnoreCase", "aws:PrincipalType", []string{"assumedrole"}, true},
		{"StringLike", "aws:PrincipalType", []string{"Assumed????"}, true},
		{"StringNotEquals", "aws:PrincipalType", []string{"User", "AssumedRole"}, false},
		{"StringNotEquals", "aws:PrincipalType", []string{"User", "Account"}, true},
		{"StringNotEqualsIgnoreCase", "aws:PrincipalType", []string{"ASSUMEDROLE"}, false},
		{"StringNotLike", "aws:PrincipalType", []string{"Assumed*"}, false},
		{"ArnEquals", "aws:PrincipalArn", []string{role}, true},
		{"ArnEquals", "aws:PrincipalArn", []string{"arn:aws:iam::*:role/duet-*"}, true},
		{"ArnLike", "aws:PrincipalArn", []string{"arn:*:iam:*:*:*:role/duet-SendRole"}, false}, // parts match one by one
		{"ArnNotLike", "aws:PrincipalArn", []string{"arn:aws:iam::*:role/duet-*"}, false},
		{"ArnNotEquals", "aws:PrincipalArn", []string{"arn:aws:iam::*:user/*"}, true},
		{"StringLike", "aws:PrincipalArn", []string{"arn:*Role"}, true},
		{"Bool", "aws:SecureTransport", []string{"True"}, true},
		{"Bool", "aws:ViaAWSService", []string{"true"}, false},
		{"DateGreaterThan", "aws:CurrentTime", []string{"2026-11-24T11:59:59Z"}, true},
		{"DateGreaterThan", "aws:CurrentTime", []string{"2026-11-24T12:00:00Z"}, false},
		{"DateGreaterThanEquals", "aws:CurrentTime", []string{"2026-11-24T13:00+01:00"}, true},
		{"DateLessThan", "aws:CurrentTime", []string{"2026-11-25"}, true},
		{"DateLessThanEquals", "aws:EpochTime", []string{"1795521600"}, true}, // this instant
		{"DateEquals", "aws:EpochTime", []string{"2026-11-24T12:00:00Z"}, true},
		{"DateNotEquals", "aws:EpochTime", []string{"2026-11-24T12:00:00Z"}, false},
		{"NumericLessThan", "aws:EpochTime", []string{"1795521600"}, false},
		{"NumericLessThanEquals", "aws:EpochTime", []string{"1795521600"}, true},
		{"NumericGreaterThan", "aws:EpochTime", []string{"1"}, true},
		{"NumericGreaterThanEquals", "aws:EpochTime", []string{"1795521601"}, false},
		{"NumericEquals", "aws:EpochTime", []string{"1795521600.0"}, true},
		{"NumericNotEquals", "aws:EpochTime", []string{"1795521600"}, false},
		{"ArnLike", "lambda:SourceFunctionArn", []string{"arn:aws:lambda:us-east-1:000000000000:function:Send"}, true},
		{"StringEquals", "aws:PrincipalAccount", []string{"000000000000"}, true},
		{"StringEquals", "aws:ResourceAccount", []string{"000000000001"}, false},
		{"StringEquals", "aws:RequestedRegion", []string{"us-east-1"}, true},
		{"Bool", "aws:PrincipalIsAWSService", []string{"false"}, true},

		// A key that the request has not.
		{"ArnLike", "aws:SourceArn", []string{"arn:aws:*:*:*:*"}, false},
		{"ArnLikeIfExists", "aws:SourceArn", []string{"arn:aws:s3:::x"}, true},
		{"ArnNotLike", "aws:SourceArn", []string{"arn:aws:s3:::x"}, true},
		{"StringEquals", "aws:SourceAccount", []string{"*"}, false},
		{"StringNotEqualsIfExists", "aws:SourceAccount", []string{"x"}, true},
		{"Null", "aws:SourceArn", []string{"true"}, true},
		{"Null", "aws:SourceArn", []string{"false"}, false},
		{"Null", "aws:PrincipalArn", []string{"true"}, false},
		{"Null", "aws:PrincipalArn", []string{"false"}, true},
		{"ForAllValues:StringEquals", "dynamodb:LeadingKeys", []string{"x"}, true},
		{"ForAnyValue:StringEquals", "dynamodb:LeadingKeys", []string{"x"}, false},
		{"ForAnyValue:StringNotEquals", "dynamodb:LeadingKeys", []string{"x"}, false},
		{"ForAnyValue:StringEqualsIfExists", "dynamodb:LeadingKeys", []string{"x"}, true},
	} {
		name := test.operator + " " + test.key + " " + strings.Join(test.values, ",")
		err := conditioned(condition(t, test.operator, test.key, test.values...)).Check("Send", "sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:Q")
		if (err == nil) != test.want {
			t.Errorf("%s: Check = %v, want allowed: %v", name, err, test.want)
		}
	}
}

// What is not understood is refused by name: a condition that is not looked at would allow too much.
func TestBadConditions(t *testing.T) {
	for _, test := range []struct {
		operator, key string
		values        []string
		want          string
	}{
		{"IpAddress", "aws:SourceIp", []string{"10.0.0.0/8"}, "does not know the condition operator IpAddress: it knows ArnEquals"},
		{"BinaryEquals", "aws:PrincipalArn", []string{"eA=="}, "condition operator BinaryEquals"},
		{"stringequals", "aws:PrincipalArn", []string{"x"}, "condition operator stringequals"},
		{"StringEquals", "aws:PrincipalTag/team", []string{"x"}, "does not know the condition key aws:PrincipalTag/team: it knows aws:CurrentTime"},
		{"ForSomeValues:StringEquals", "dynamodb:LeadingKeys", []string{"x"}, "ForAllValues: or ForAnyValue: may stand before an operator"},
		{"StringEquals", "dynamodb:LeadingKeys", []string{"x"}, "put ForAllValues: or ForAnyValue: before StringEquals"},
		{"NullIfExists", "aws:SourceArn", []string{"true"}, "Null stands alone"},
		{"ForAllValues:Null", "dynamodb:LeadingKeys", []string{"true"}, "Null stands alone"},
		{"Null", "aws:SourceArn", []string{"yes"}, "true or false"},
		{"Bool", "aws:SecureTransport", []string{"yes"}, "true or false"},
		{"Bool", "aws:PrincipalArn", []string{"true"}, "whose values are no booleans"},
		{"NumericEquals", "aws:SecureTransport", []string{"1"}, "whose values are no numbers"},
		{"ArnLike", "aws:PrincipalAccount", []string{"arn:aws:iam::0:role/x"}, "whose values are no ARNs"},
		{"ArnLike", "aws:PrincipalArn", []string{"role/x"}, "an ARN of six parts"},
		{"DateLessThan", "aws:CurrentTime", []string{"tomorrow"}, "takes a date"},
		{"StringEquals", "aws:PrincipalArn", nil, "no values"},
		{"StringEquals", "aws:PrincipalArn", []string{"${aws:username}"}, "no policy variables"},
	} {
		if _, err := iam.ParseCondition(test.operator, test.key, test.values); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("ParseCondition(%s, %s, %v) = %v, want %q", test.operator, test.key, test.values, err, test.want)
		}
	}
}

// Conditions on items see what a request names, in whatever form.
// Source: DynamoDB developer guide, "Using IAM policy conditions for fine-grained access control".
func TestConditionsOnItems(t *testing.T) {
	own := condition(t, "ForAllValues:StringLike", "dynamodb:LeadingKeys", "alice", "alice-*")
	public := condition(t, "ForAllValues:StringEquals", "dynamodb:Attributes", "user", "day", "name")
	specific := condition(t, "StringEqualsIfExists", "dynamodb:Select", "SPECIFIC_ATTRIBUTES")
	quiet := condition(t, "StringEquals", "dynamodb:ReturnValues", "NONE", "UPDATED_NEW")
	uncounted := condition(t, "StringEquals", "dynamodb:ReturnConsumedCapacity", "NONE")
	together := condition(t, "StringEquals", "dynamodb:EnclosingOperation", "TransactWriteItems")
	for _, test := range []struct {
		name, operation, body string
		condition             iam.Condition
		want                  bool
	}{
		{"one's own item", "GetItem", `{"TableName":"T","Key":{"user":{"S":"alice"},"day":{"N":"7"}}}`, own, true},
		{"by the table's ARN", "GetItem", `{"TableName":"arn:aws:dynamodb:us-east-1:000000000000:table/T","Key":{"user":{"S":"alice"},"day":{"N":"7"}}}`, own, true},
		{"another's item", "GetItem", `{"TableName":"T","Key":{"user":{"S":"bob"},"day":{"N":"7"}}}`, own, false},
		{"a put", "PutItem", `{"TableName":"T","Item":{"user":{"S":"alice"},"name":{"S":"x"}}}`, own, true},
		{"another's put", "PutItem", `{"TableName":"T","Item":{"user":{"S":"bob"},"name":{"S":"alice"}}}`, own, false},
		{"a query", "Query", `{"TableName":"T","KeyConditionExpression":"(#u = :u) AND begins_with(day, :d)","ExpressionAttributeNames":{"#u":"user"},"ExpressionAttributeValues":{":u":{"S":"alice"},":d":{"S":"bob"}}}`, own, true},
		{"a query the other way round", "Query", `{"TableName":"T","KeyConditionExpression":":d=day and :u=user","ExpressionAttributeValues":{":u":{"S":"bob"},":d":{"S":"alice"}}}`, own, false},
		{"a query of an index", "Query", `{"TableName":"T","IndexName":"by-day","KeyConditionExpression":"day = :d","ExpressionAttributeValues":{":d":{"S":"alice-1"}}}`, own, true},
		{"a query of an index by its other key", "Query", `{"TableName":"T","IndexName":"by-day","KeyConditionExpression":"#u = :u AND day = :d","ExpressionAttributeNames":{"#u":"user"},"ExpressionAttributeValues":{":u":{"S":"alice"},":d":{"S":"bob"}}}`, own, false},
		{"a batch of reads", "BatchGetItem", `{"RequestItems":{"T":{"Keys":[{"user":{"S":"alice"}},{"user":{"S":"alice-2"}}]}}}`, own, true},
		{"one of a batch of reads", "BatchGetItem", `{"RequestItems":{"T":{"Keys":[{"user":{"S":"alice"}},{"user":{"S":"bob"}}]}}}`, own, false},
		{"one of a batch of writes", "BatchWriteItem", `{"RequestItems":{"T":[{"PutRequest":{"Item":{"user":{"S":"alice"}}}},{"DeleteRequest":{"Key":{"user":{"S":"bob"}}}}]}}`, own, false},
		{"a batch of writes", "BatchWriteItem", `{"RequestItems":{"T":[{"PutRequest":{"Item":{"user":{"S":"alice"}}}},{"DeleteRequest":{"Key":{"user":{"S":"alice"}}}}]}}`, own, true},
		{"one of a transaction", "TransactWriteItems", `{"TransactItems":[{"Update":{"TableName":"T","Key":{"user":{"S":"alice"}}}},{"Delete":{"TableName":"T","Key":{"user":{"S":"bob"}}}}]}`, own, false},
		{"a table that is not the template's", "GetItem", `{"TableName":"U","Key":{"user":{"S":"bob"},"day":{"S":"alice"}}}`, own, false},
		{"a scan names no key", "Scan", `{"TableName":"T"}`, own, true},

		{"attributes of an item", "PutItem", `{"TableName":"T","Item":{"user":{"S":"alice"},"secret":{"S":"x"}}}`, public, false},
		{"attributes of a key", "GetItem", `{"TableName":"T","Key":{"user":{"S":"alice"},"day":{"N":"7"}}}`, public, true},
		{"a projection", "GetItem", `{"TableName":"T","Key":{"user":{"S":"alice"}},"ProjectionExpression":"#n, #u","ExpressionAttributeNames":{"#n":"name","#u":"user"}}`, public, true},
		{"a projection of another", "GetItem", `{"TableName":"T","Key":{"user":{"S":"alice"}},"ProjectionExpression":"secret.part[0]"}`, public, false},
		{"a part of an attribute", "GetItem", `{"TableName":"T","Key":{"user":{"S":"alice"}},"ProjectionExpression":"#n.secret","ExpressionAttributeNames":{"#n":"name"}}`, public, true},
		{"an update", "UpdateItem", `{"TableName":"T","Key":{"user":{"S":"alice"}},"UpdateExpression":"SET #n = if_not_exists(#n, :x) REMOVE day","ExpressionAttributeNames":{"#n":"name"},"ConditionExpression":"attribute_exists(#n) AND NOT #n IN (:x)"}`, public, true},
		{"an update of another", "UpdateItem", `{"TableName":"T","Key":{"user":{"S":"alice"}},"UpdateExpression":"SET #n = secret","ExpressionAttributeNames":{"#n":"name"}}`, public, false},
		{"a condition on another", "DeleteItem", `{"TableName":"T","Key":{"user":{"S":"alice"}},"ConditionExpression":"attribute_not_exists(secret)"}`, public, false},
		{"a filter by another", "Scan", `{"TableName":"T","FilterExpression":"secret=:x"}`, public, false},

		{"some attributes", "Scan", `{"TableName":"T","ProjectionExpression":"name"}`, specific, true},
		{"all attributes", "Scan", `{"TableName":"T"}`, specific, false},
		{"a count", "Query", `{"TableName":"T","Select":"COUNT"}`, specific, false},
		{"all that an index has", "Query", `{"TableName":"T","IndexName":"by-day"}`, specific, false},
		{"a write selects nothing", "PutItem", `{"TableName":"T"}`, specific, true},
		{"no values returned", "PutItem", `{"TableName":"T"}`, quiet, true},
		{"values returned", "UpdateItem", `{"TableName":"T","ReturnValues":"ALL_OLD"}`, quiet, false},
		{"capacity told", "GetItem", `{"TableName":"T","ReturnConsumedCapacity":"TOTAL"}`, uncounted, false},
		{"capacity not told", "GetItem", `{"TableName":"T"}`, uncounted, true},
		{"in a transaction", "TransactWriteItems", `{"TransactItems":[{"Delete":{"TableName":"T"}}]}`, together, true},
		{"alone", "DeleteItem", `{"TableName":"T"}`, together, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := conditioned(test.condition).DynamoDB(&engine{})
			for range 2 { // what is decided of one request is not remembered for the next
				status, response := d.Do(caller.With(t.Context(), "Send"), "DynamoDB_20120810."+test.operation, []byte(test.body))
				if (status == 200) != test.want {
					t.Errorf("%d %s, want allowed: %v", status, response, test.want)
				}
			}
		})
	}
}

// Two requests of one action on one table are decided each by its own conditions.
func TestConditionsAreDecidedEachTime(t *testing.T) {
	d := conditioned(condition(t, "ForAllValues:StringEquals", "dynamodb:LeadingKeys", "alice")).DynamoDB(&engine{})
	for _, test := range []struct {
		user string
		want int
	}{{"alice", 200}, {"bob", 400}, {"alice", 200}, {"bob", 400}} {
		body := `{"TableName":"T","Key":{"user":{"S":"` + test.user + `"}}}`
		if status, response := d.Do(caller.With(t.Context(), "Send"), "DynamoDB_20120810.GetItem", []byte(body)); status != test.want {
			t.Errorf("%s: %d %s, want %d", test.user, status, response, test.want)
		}
	}
}
