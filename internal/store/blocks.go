package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/duet-chat/duet/internal/chat"
)

// SetBlock lets a user block the peer of a conversation from a moment on, or ends it. The
// conversation need not have begun. The end of a block that never was leaves nothing behind. 4 WU, 2
// or 4 more when the user's row moves in its index.
func (s *Members) SetBlock(ctx context.Context, u chat.User, c chat.ConversationID, on bool, at int64) error {
	head := &types.Update{
		TableName:        &s.tables.Conversations,
		Key:              headKey(c),
		UpdateExpression: aws.String("DELETE shut :by"),
		// An update makes the item that is not there.
		ConditionExpression: aws.String("attribute_exists(conversation)"),
		ExpressionAttributeValues: item{
			":by": &types.AttributeValueMemberSS{Value: []string{blockedBy[c.Side(u)]}},
		},
	}
	row := &types.Update{
		TableName:                 &s.tables.Members,
		Key:                       memberKey(u, c),
		UpdateExpression:          aws.String("SET changed_at = :at, changed = :day REMOVE blocks"),
		ConditionExpression:       aws.String("attribute_exists(conversation)"),
		ExpressionAttributeValues: item{":at": num(at), ":day": num(chat.BucketAt(at))},
	}
	if on {
		s.opened(head)
		row.UpdateExpression = aws.String("SET changed_at = :at, changed = :day, blocks = :true")
		row.ConditionExpression = nil
		row.ExpressionAttributeValues[":true"] = &types.AttributeValueMemberBOOL{Value: true}
	}
	err := s.shut(ctx, c, head, row)
	if !on && missing(err) {
		return nil
	}
	return err
}

// missing tells whether a transaction was cancelled because its items are not there.
func missing(err error) bool {
	var cancelled *types.TransactionCanceledException
	return errors.As(err, &cancelled) && slices.ContainsFunc(cancelled.CancellationReasons, func(r types.CancellationReason) bool {
		return aws.ToString(r.Code) == "ConditionalCheckFailed"
	})
}

// opened lets the update shut a conversation that may not have begun: it stands there as an empty one.
func (s *Members) opened(head *types.Update) {
	head.ConditionExpression = nil
	head.UpdateExpression = aws.String("SET last_seq = if_not_exists(last_seq, :zero), #at = if_not_exists(#at, :zero), #bucket = if_not_exists(#bucket, :zero), tails = if_not_exists(tails, :none) ADD shut :by")
	head.ExpressionAttributeNames = names{"#at": "at", "#bucket": "bucket"}
	head.ExpressionAttributeValues[":zero"] = num(int64(0))
	head.ExpressionAttributeValues[":none"] = &types.AttributeValueMemberM{Value: item{}}
}

func (s *Members) shut(ctx context.Context, c chat.ConversationID, writes ...*types.Update) error {
	var all []types.TransactWriteItem
	for _, u := range writes {
		all = append(all, types.TransactWriteItem{Update: u})
	}
	// A conflict with a message that is just being sent passes.
	for round := 1; ; round++ {
		_, err := s.db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: all})
		if err == nil {
			return nil
		}
		if !busy(outcome(err, places{})) {
			return fmt.Errorf("shut or open %s: %w", c, err)
		}
		if err := pause(ctx, round); err != nil {
			return fmt.Errorf("shut or open %s: %w", c, err)
		}
	}
}

// Rows reads a user's own row about a conversation and the peer's, which may be a moment old: nil
// for one that is not there. 1 RU.
func (s *Members) Rows(ctx context.Context, u chat.User, c chat.ConversationID) (own, peer *chat.Membership, _ error) {
	p, _ := c.Peer(u)
	err := batchGet(ctx, s.db, map[string]types.KeysAndAttributes{
		s.tables.Members: {Keys: []item{memberKey(u, c), memberKey(p, c)}},
	}, func(_ string, it item) {
		m := membershipOf(it)
		if textOf(it, "user") == string(u) {
			own = &m
		} else {
			peer = &m
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read %s for %s: %w", c, u, err)
	}
	return own, peer, nil
}

// May tells of which of the users a user may know the presence: those with a conversation that
// neither has blocked. 1 RU each.
func (s *Members) May(ctx context.Context, u chat.User, others []chat.User) (map[chat.User]bool, error) {
	may := make(map[chat.User]bool, len(others))
	rows := map[chat.User]int{}
	for len(others) > 0 {
		batch := others[:min(maxBatchKeys/2, len(others))]
		others = others[len(batch):]
		var keys []item
		for _, other := range batch {
			c := chat.Between(u, other)
			keys = append(keys, memberKey(u, c), memberKey(other, c))
		}
		err := batchGet(ctx, s.db, map[string]types.KeysAndAttributes{s.tables.Members: {Keys: keys}}, func(_ string, it item) {
			m := membershipOf(it)
			peer, _ := m.Conversation.Peer(u)
			if rows[peer]++; m.Blocks {
				rows[peer] = -2 // never two
			}
			may[peer] = rows[peer] == 2
		})
		if err != nil {
			return nil, fmt.Errorf("read conversations of %s: %w", u, err)
		}
	}
	return may, nil
}
