package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/duet-chat/duet/internal/chat"
)

// Some lists at most limit of a user's conversations, in no order of use to people. 1 RU for about
// 40 rows.
func (s *Members) Some(ctx context.Context, u chat.User, limit int) ([]chat.ConversationID, error) {
	out, err := s.db.Query(ctx, &dynamodb.QueryInput{
		TableName:                 &s.tables.Members,
		KeyConditionExpression:    aws.String("#user = :user"),
		ProjectionExpression:      aws.String("conversation"),
		ExpressionAttributeNames:  names{"#user": "user"},
		ExpressionAttributeValues: item{":user": str(string(u))},
		ConsistentRead:            aws.Bool(true),
		Limit:                     aws.Int32(int32(limit)),
	})
	if err != nil {
		return nil, fmt.Errorf("read conversations of %s: %w", u, err)
	}
	var found []chat.ConversationID
	for _, it := range out.Items {
		found = append(found, chat.ConversationID(textOf(it, "conversation")))
	}
	return found, nil
}

// ShutFor shuts a conversation for good, because the account of one of its users is erased. 2 WU.
func (s *Members) ShutFor(ctx context.Context, u chat.User, c chat.ConversationID) error {
	head := &types.Update{
		TableName: &s.tables.Conversations,
		Key:       headKey(c),
		ExpressionAttributeValues: item{
			":by": &types.AttributeValueMemberSS{Value: []string{goneIs[c.Side(u)]}},
		},
	}
	s.opened(head)
	return s.shut(ctx, c, head)
}

// Leave deletes a user's row about a conversation. 1 WU, 1 or 2 more for its indexes.
func (s *Members) Leave(ctx context.Context, u chat.User, c chat.ConversationID) error {
	_, err := s.db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.tables.Members, Key: memberKey(u, c)})
	if err != nil {
		return fmt.Errorf("delete the row of %s about %s: %w", u, c, err)
	}
	return nil
}

// EraseTexts takes away what a user wrote in a conversation: texts and reactions. The places stay. It
// may be called again after it failed half-way, and goes on where it was. 1 RU for each 4 KB of the
// conversation, 1 WU for each entry.
func (s *Members) EraseTexts(ctx context.Context, c chat.ConversationID, u chat.User) error {
	pages := dynamodb.NewQueryPaginator(s.db, &dynamodb.QueryInput{
		TableName:                 &s.tables.Messages,
		KeyConditionExpression:    aws.String("conversation = :c"),
		FilterExpression:          aws.String("#from = :from AND (attribute_exists(#text) OR attribute_exists(emoji))"),
		ProjectionExpression:      aws.String("seq"),
		ExpressionAttributeNames:  names{"#from": "from", "#text": "text"},
		ExpressionAttributeValues: item{":c": str(string(c)), ":from": str(string(u))},
		ConsistentRead:            aws.Bool(true),
	})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("read what %s wrote in %s: %w", u, c, err)
		}
		for _, it := range out.Items {
			_, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
				TableName:                 &s.tables.Messages,
				Key:                       item{"conversation": str(string(c)), "seq": it["seq"]},
				UpdateExpression:          aws.String("SET unsent = if_not_exists(unsent, :seq) REMOVE #text, emoji"),
				ConditionExpression:       aws.String("attribute_exists(seq)"),
				ExpressionAttributeNames:  names{"#text": "text"},
				ExpressionAttributeValues: item{":seq": it["seq"]},
			})
			var removed *types.ConditionalCheckFailedException // by retention, just now
			if err != nil && !errors.As(err, &removed) {
				return fmt.Errorf("erase entry %d of %s: %w", numberOf(it, "seq"), c, err)
			}
		}
	}
	return nil
}
