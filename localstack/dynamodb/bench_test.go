package dynamodb_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/duet-chat/duet/localstack/dynamodb"
)

// The benchmarks make the requests that Duet's stores make, as the AWS SDK writes them: these are
// what a chat message costs. They go through Do, parsing and answering included.

// duet makes Duet's tables.
func (f *fixture) duet() {
	f.Helper()
	table := func(name string, keys string) dynamodb.TableSpec {
		spec := dynamodb.TableSpec{TableName: name, BillingMode: "PAY_PER_REQUEST"}
		for i, key := range strings.Fields(keys) {
			kind := "S"
			if key == "seq" {
				kind = "N"
			}
			spec.AttributeDefinitions = append(spec.AttributeDefinitions, dynamodb.AttributeDefinition{AttributeName: key, AttributeType: kind})
			spec.KeySchema = append(spec.KeySchema, dynamodb.KeyElement{AttributeName: key, KeyType: []string{"HASH", "RANGE"}[i]})
		}
		return spec
	}
	f.ensure(table("duet-Connections", "user connection"))
	f.ensure(table("duet-Conversations", "conversation"))
	messages := table("duet-Messages", "conversation seq")
	messages.StreamSpecification = &dynamodb.StreamSpecification{StreamEnabled: true, StreamViewType: "NEW_IMAGE"}
	f.ensure(messages)
}

// append is the transaction of internal/store for message n of alice's device in a conversation.
func appendRequest(conversation string, n int) []byte {
	return fmt.Appendf(make([]byte, 0, 1400), `{"ClientRequestToken":"8878e15d-7a6f-4fc7-9680-%012d","TransactItems":[`+
		`{"Update":{"ConditionExpression":"last_seq = :last AND tails.#device.n = :previous AND #bucket >= :bucket",`+
		`"ExpressionAttributeNames":{"#bucket":"bucket","#at":"at","#device":"alice/a1"},`+
		`"ExpressionAttributeValues":{":seq":{"N":"%[2]d"},":at":{"N":"1790000000000"},":last":{"N":"%[3]d"},":tail":{"M":{"n":{"N":"%[2]d"},"seq":{"N":"%[2]d"}}},":previous":{"N":"%[3]d"},":bucket":{"N":"20717"}},`+
		`"Key":{"conversation":{"S":%[4]q}},"ReturnValuesOnConditionCheckFailure":"ALL_OLD","TableName":"duet-Conversations",`+
		`"UpdateExpression":"SET last_seq = :seq, #at = :at, tails.#device = :tail"}},`+
		`{"Put":{"ConditionExpression":"attribute_not_exists(seq)","Item":{"at":{"N":"1790000000000"},"conversation":{"S":%[4]q},"seq":{"N":"%[2]d"},"from":{"S":"alice"},"device":{"S":"a1"},"n":{"N":"%[2]d"},"kind":{"S":"text"},"text":{"S":"The quick brown fox jumps over the lazy dog, and over the fence, and then it runs home again."}},"TableName":"duet-Messages"}}]}`,
		tokens.Add(1), n, n-1, conversation)
}

var tokens atomic.Int64

const transactWrite, query = "DynamoDB_20120810.TransactWriteItems", "DynamoDB_20120810.Query"

// conversation makes a conversation in which alice has sent nothing and bob has a tail.
func (f *fixture) conversation(id string) {
	f.Helper()
	f.do("PutItem", fmt.Sprintf(`{"TableName":"duet-Conversations","Item":{"conversation":{"S":%q},"last_seq":{"N":"0"},"at":{"N":"1790000000000"},"bucket":{"N":"20717"},`+
		`"tails":{"M":{"alice/a1":{"M":{"n":{"N":"0"},"seq":{"N":"0"}}},"bob/b1":{"M":{"n":{"N":"9"},"seq":{"N":"9"}}}}}}}`, id))
}

func BenchmarkSendTransaction(b *testing.B) {
	f := newFixture(b, "")
	f.duet()
	f.conversation("alice~bob")
	b.ReportAllocs()
	for n := 1; b.Loop(); n++ {
		if status, response := f.Do(context.Background(), transactWrite, appendRequest("alice~bob", n)); status != 200 {
			b.Fatalf("%s", response)
		}
	}
}

// BenchmarkSendTransactionDurable is the same of many conversations at once, with an fsync before each
// answer that they share.
func BenchmarkSendTransactionDurable(b *testing.B) {
	f := newFixture(b, b.TempDir())
	f.duet()
	var conversations atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		id := fmt.Sprint("alice~b", conversations.Add(1))
		f.conversation(id)
		for n := 1; pb.Next(); n++ {
			if status, response := f.Do(context.Background(), transactWrite, appendRequest(id, n)); status != 200 {
				b.Errorf("%s", response)
			}
		}
	})
}

// BenchmarkLostTransaction is the answer to a wrong guess: the head comes back.
func BenchmarkLostTransaction(b *testing.B) {
	f := newFixture(b, "")
	f.duet()
	f.conversation("alice~bob")
	b.ReportAllocs()
	for b.Loop() {
		if status, _ := f.Do(context.Background(), transactWrite, appendRequest("alice~bob", 99)); status != 400 {
			b.Fatal("a wrong guess was accepted")
		}
	}
}

func BenchmarkConnectionsQuery(b *testing.B) {
	f := newFixture(b, "")
	f.duet()
	for i := range 2 {
		f.do("PutItem", fmt.Sprintf(`{"TableName":"duet-Connections","Item":{"user":{"S":"alice"},"connection":{"S":"R1kmxc2VNjMCFI%d="},"device":{"S":"phone-%d"},`+
			`"connected_at":{"N":"1790000000000"},"session_end":{"N":"1790003600"},"ttl":{"N":"1790007800"}}}`, i, i))
	}
	// A chat's writes are what stands around the rows that are read.
	for i := range 2000 {
		f.do("PutItem", fmt.Sprintf(`{"TableName":"duet-Connections","Item":{"user":{"S":"user%d"},"connection":{"S":"R1kmxc2VNjMCFIA="}}}`, i))
	}
	body := []byte(`{"ConsistentRead":true,"ExpressionAttributeNames":{"#user":"user"},"ExpressionAttributeValues":{":user":{"S":"alice"}},"KeyConditionExpression":"#user = :user","TableName":"duet-Connections"}`)
	b.ReportAllocs()
	for b.Loop() {
		if status, response := f.Do(context.Background(), query, body); status != 200 || !strings.Contains(string(response), `"Count":2`) {
			b.Fatalf("%s", response)
		}
	}
}
