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

// maxBatchWrites is BatchWriteItem's limit. Source: DynamoDB API reference, BatchWriteItem.
const maxBatchWrites = 25

// batchRounds bounds how often a batch is asked for again.
const batchRounds = 6

// batchWrite makes the writes, asking again for what DynamoDB left unprocessed, at most batchRounds
// times for each batch.
func batchWrite(ctx context.Context, db *dynamodb.Client, table string, writes []types.WriteRequest) error {
	for len(writes) > 0 {
		batch := writes[:min(maxBatchWrites, len(writes))]
		writes = writes[len(batch):]
		for round := 1; len(batch) > 0; round++ {
			out, err := db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table: batch}})
			if err != nil {
				return err
			}
			if batch = out.UnprocessedItems[table]; len(batch) == 0 {
				break
			}
			if err := pause(ctx, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// pause waits before the next round of a batch.
func pause(ctx context.Context, round int) error {
	if round == batchRounds {
		return fmt.Errorf("batch: a part is left unprocessed after %d rounds: the table is throttled", round)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Millisecond << round):
		return nil
	}
}

// maxBatchKeys is BatchGetItem's limit. Source: DynamoDB API reference, BatchGetItem.
const maxBatchKeys = 100

// batchGet reads the items of one or more tables, asking again for what DynamoDB left
// unprocessed, at most batchRounds times in all.
func batchGet(ctx context.Context, db *dynamodb.Client, keys map[string]types.KeysAndAttributes, each func(table string, it item)) error {
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
		if err := pause(ctx, round); err != nil {
			return err
		}
	}
}
