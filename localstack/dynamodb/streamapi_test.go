package dynamodb_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

func TestStreamsAPIByTheSDK(t *testing.T) {
	f := newFixture(t, "")
	info := f.ensure(things)
	api, ctx := f.streamsAPI(), t.Context()
	for s := range 5 {
		f.put("a", s, `,"x":{"L":[{"BOOL":true},{"NULL":true}]}`)
	}
	listed, err := api.ListStreams(ctx, &dynamodbstreams.ListStreamsInput{TableName: aws.String("things")})
	if err != nil || len(listed.Streams) != 1 || *listed.Streams[0].StreamArn != info.StreamARN {
		t.Fatalf("ListStreams = %+v, %v", listed, err)
	}
	described, err := api.DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: &info.StreamARN})
	if err != nil || described.StreamDescription.StreamStatus != types.StreamStatusEnabled || len(described.StreamDescription.Shards) != 4 {
		t.Fatalf("DescribeStream = %+v, %v", described, err)
	}
	iterator := func(shard string, kind types.ShardIteratorType, sequence *string) *string {
		t.Helper()
		out, err := api.GetShardIterator(ctx, &dynamodbstreams.GetShardIteratorInput{
			StreamArn: &info.StreamARN, ShardId: &shard, ShardIteratorType: kind, SequenceNumber: sequence,
		})
		if err != nil {
			t.Fatal(err)
		}
		return out.ShardIterator
	}
	read := func(it *string, limit int32) ([]types.Record, *string) {
		t.Helper()
		out, err := api.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: it, Limit: &limit})
		if err != nil {
			t.Fatal(err)
		}
		return out.Records, out.NextShardIterator
	}
	var all []types.Record
	var shard string
	for _, s := range described.StreamDescription.Shards {
		it := iterator(*s.ShardId, types.ShardIteratorTypeTrimHorizon, nil)
		for {
			var records []types.Record
			if records, it = read(it, 2); len(records) == 0 {
				break
			}
			if len(records) > 2 {
				t.Fatalf("%d records, want at most 2", len(records))
			}
			all, shard = append(all, records...), *s.ShardId
		}
	}
	if len(all) != 5 {
		t.Fatalf("%d records, want 5", len(all))
	}
	for i, r := range all {
		s, ok := r.Dynamodb.Keys["s"].(*types.AttributeValueMemberN)
		list, isList := r.Dynamodb.NewImage["x"].(*types.AttributeValueMemberL)
		if !ok || s.Value != fmt.Sprint(i) || r.EventName != types.OperationTypeInsert || !isList || len(list.Value) != 2 || r.Dynamodb.ApproximateCreationDateTime == nil {
			t.Errorf("record %d = %+v", i, r)
		}
	}
	third := all[2].Dynamodb.SequenceNumber
	for kind, want := range map[types.ShardIteratorType]int{
		types.ShardIteratorTypeAtSequenceNumber: 3, types.ShardIteratorTypeAfterSequenceNumber: 2, types.ShardIteratorTypeLatest: 0,
	} {
		from := third
		if kind == types.ShardIteratorTypeLatest {
			from = nil
		}
		if records, _ := read(iterator(shard, kind, from), 100); len(records) != want {
			t.Errorf("%s: %d records, want %d", kind, len(records), want)
		}
	}
	latest := iterator(shard, types.ShardIteratorTypeLatest, nil)
	f.put("a", 9, "")
	records, latest := read(latest, 100)
	if len(records) != 1 {
		t.Errorf("after LATEST: %d records, want 1", len(records))
	}
	f.advance(16 * time.Minute)
	var expired *types.ExpiredIteratorException
	if _, err := api.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: latest}); !errors.As(err, &expired) {
		t.Errorf("an iterator of 16 minutes = %v, want ExpiredIteratorException", err)
	}
	var missing *types.ResourceNotFoundException
	if _, err := api.DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: aws.String(info.StreamARN + "0")}); !errors.As(err, &missing) {
		t.Errorf("a stream that there is not = %v, want ResourceNotFoundException", err)
	}
}

// streamsAPI reads the fixture's streams with AWS's own client.
func (f *fixture) streamsAPI() *dynamodbstreams.Client {
	f.Helper()
	server := httptest.NewServer(f.DB)
	f.Cleanup(server.Close)
	return dynamodbstreams.NewFromConfig(aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, BaseEndpoint: &server.URL})
}

// In a Lambda event the members of userIdentity begin in lower case, in the API they do not.
func TestStreamsAPITellsRemovalsByTTL(t *testing.T) {
	f := newFixture(t, "")
	info := f.ensure(things)
	f.put("a", 1, fmt.Sprintf(`,"ttl":{"N":"%d"}`, f.now().Unix()-1))
	if err := f.Sweep(); err != nil {
		t.Fatal(err)
	}
	api, shard := f.streamsAPI(), f.shardWith(f.stream(info))
	it, err := api.GetShardIterator(t.Context(), &dynamodbstreams.GetShardIteratorInput{StreamArn: &info.StreamARN, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		t.Fatal(err)
	}
	out, err := api.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: it.ShardIterator})
	if err != nil || len(out.Records) != 2 {
		t.Fatalf("GetRecords = %+v, %v", out, err)
	}
	if who := out.Records[1].UserIdentity; who == nil || aws.ToString(who.Type) != "Service" || aws.ToString(who.PrincipalId) != "dynamodb.amazonaws.com" {
		t.Errorf("userIdentity = %+v", who)
	}
	if out.Records[0].UserIdentity != nil {
		t.Errorf("the insertion has a userIdentity: %+v", out.Records[0].UserIdentity)
	}
}

func TestStreamsAPIPagesAndRefuses(t *testing.T) {
	f := newFixture(t, "")
	info := f.ensure(things)
	second := things
	second.TableName = "things2"
	f.ensure(second)
	do := func(operation, body string) map[string]any {
		t.Helper()
		return f.do("Streams."+operation, body)
	}
	page := do("ListStreams", `{"Limit":1}`)
	rest := do("ListStreams", fmt.Sprintf(`{"ExclusiveStartStreamArn":%q}`, page["LastEvaluatedStreamArn"]))
	if n := len(page["Streams"].([]any)) + len(rest["Streams"].([]any)); n != 2 || rest["LastEvaluatedStreamArn"] != nil {
		t.Errorf("ListStreams in pages = %v, %v", page, rest)
	}
	page = do("DescribeStream", fmt.Sprintf(`{"StreamArn":%q,"Limit":3}`, info.StreamARN))["StreamDescription"].(map[string]any)
	rest = do("DescribeStream", fmt.Sprintf(`{"StreamArn":%q,"ExclusiveStartShardId":%q}`, info.StreamARN, page["LastEvaluatedShardId"]))["StreamDescription"].(map[string]any)
	if n := len(page["Shards"].([]any)) + len(rest["Shards"].([]any)); n != 4 || rest["LastEvaluatedShardId"] != nil {
		t.Errorf("DescribeStream in pages = %v, %v", page, rest)
	}

	f.put("a", 1, "")
	shard := f.shardWith(f.stream(info))
	iterator := func(more string) string {
		return fmt.Sprintf(`{"StreamArn":%q,"ShardId":%q,%s}`, info.StreamARN, shard, more)
	}
	first := do("GetShardIterator", iterator(`"ShardIteratorType":"AT_SEQUENCE_NUMBER","SequenceNumber":"100000000000000000001"`))["ShardIterator"]
	if records := do("GetRecords", fmt.Sprintf(`{"ShardIterator":%q}`, first))["Records"].([]any); len(records) != 1 {
		t.Errorf("at the first number: %d records, want 1", len(records))
	}
	for _, tt := range []struct{ operation, body, errorType, message string }{
		{"ListStreams", `{"Limit":0}`, "ValidationException", "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"ListStreams", `{"Limit":101}`, "ValidationException", "One or more parameter values were invalid: Limit cannot be greater than the maximum: 100"},
		{"GetShardIterator", iterator(`"ShardIteratorType":"AT_SEQUENCE_NUMBER","SequenceNumber":"12"`), "ValidationException", "1 validation error detected: Value '12' at 'sequenceNumber' failed to satisfy constraint: Member must have length greater than or equal to 21"},
		{"GetShardIterator", iterator(`"ShardIteratorType":"AT_SEQUENCE_NUMBER","SequenceNumber":"100000000000000000000"`), "ValidationException", "One or more parameter values were invalid: Invalid SequenceNumber"},
		{"GetShardIterator", iterator(`"ShardIteratorType":"LATEST","SequenceNumber":"100000000000000000001"`), "ValidationException", "One or more parameter values were invalid: SequenceNumber should not be passed for this iterator type"},
		{"GetRecords", `{"ShardIterator":"nonsense"}`, "ValidationException", "Invalid ShardIterator"},
	} {
		if errorType, message := f.refused("Streams."+tt.operation, tt.body); errorType != tt.errorType || message != tt.message {
			t.Errorf("%s %s = %s: %s, want %s: %s", tt.operation, tt.body, errorType, message, tt.errorType, tt.message)
		}
	}

	// What lies behind an iterator may be trimmed while it waits.
	f.put("a", 2, "")
	f.advance(24*time.Hour - 10*time.Minute)
	after := do("GetShardIterator", iterator(`"ShardIteratorType":"AFTER_SEQUENCE_NUMBER","SequenceNumber":"100000000000000000001"`))["ShardIterator"]
	f.advance(11 * time.Minute)
	if err := f.Sweep(); err != nil {
		t.Fatal(err)
	}
	if errorType, _ := f.refused("Streams.GetRecords", fmt.Sprintf(`{"ShardIterator":%q}`, after)); errorType != "TrimmedDataAccessException" {
		t.Errorf("GetRecords behind what was trimmed = %s, want TrimmedDataAccessException", errorType)
	}
}
