// Package store keeps Duet's data in DynamoDB. It is the only package that builds keys and
// expressions and that knows attribute names; a file per table. Capacity is stated at each
// method in DynamoDB's units (RU, WU), for items of up to one kilobyte.
package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type (
	item  = map[string]types.AttributeValue
	names = map[string]string
)

func str(s string) types.AttributeValue {
	return &types.AttributeValueMemberS{Value: s}
}

func num[T ~int64](n T) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(int64(n), 10)}
}

func textOf(it item, name string) string {
	s, _ := it[name].(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}

func numberOf(it item, name string) int64 {
	n, _ := it[name].(*types.AttributeValueMemberN)
	if n == nil {
		return 0
	}
	// Only this package writes these attributes, and only as integers.
	i, _ := strconv.ParseInt(n.Value, 10, 64)
	return i
}

func flagOf(it item, name string) bool {
	b, _ := it[name].(*types.AttributeValueMemberBOOL)
	return b != nil && b.Value
}

// client makes the DynamoDB client of a table's type. The SDK's own pauses between its three tries
// are of seconds, for which nobody in a chat waits: DynamoDB's own advice is to begin with 50 ms.
// Source: DynamoDB developer guide, "Error handling", error retries and exponential backoff.
func client(cfg aws.Config) *dynamodb.Client {
	return dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) {
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) { r.MaxBackoff = maxBackoff })
	})
}

// maxBackoff bounds the random pause between two tries of a request.
const maxBackoff = 100 * time.Millisecond

// maxBatchKeys is BatchGetItem's limit. Source: DynamoDB API reference, BatchGetItem.
const maxBatchKeys = 100

// batchGet reads the items of one or more tables, asking again for what DynamoDB left
// unprocessed, at most batchRounds times in all.
func batchGet(ctx context.Context, db *dynamodb.Client, keys map[string]types.KeysAndAttributes, each func(table string, it item)) error {
	const batchRounds = 6
	for round := 1; ; round++ {
		out, err := db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: keys})
		if err != nil {
			return err
		}
		for table, items := range out.Responses {
			for _, it := range items {
				each(table, it)
			}
		}
		if keys = out.UnprocessedKeys; len(keys) == 0 {
			return nil
		}
		if round == batchRounds {
			return fmt.Errorf("batch get: keys are left unprocessed after %d rounds: the table is throttled", round)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond << round):
		}
	}
}
