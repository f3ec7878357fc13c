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

// MemberTables names the tables that receipts concern.
type MemberTables struct {
	Conversations, Members, Messages string
}

// Members keeps the users' rows about their conversations. It implements chat.Shelf.
type Members struct {
	db     *dynamodb.Client
	tables MemberTables
}

// NewMembers makes the store of the users' rows.
func NewMembers(cfg aws.Config, tables MemberTables) *Members {
	return &Members{db: client(cfg), tables: tables}
}

func memberKey(u chat.User, c chat.ConversationID) item {
	return item{"user": str(string(u)), "conversation": str(string(c))}
}

func membershipOf(it item) chat.Membership {
	return chat.Membership{
		Conversation: chat.ConversationID(textOf(it, "conversation")),
		Bucket:       chat.Bucket(numberOf(it, "bucket")),
		Read:         numberOf(it, "read"),
		Delivered:    numberOf(it, "delivered"),
		ReadTexts:    numberOf(it, "read_texts"),
		ChangedAt:    numberOf(it, "changed_at"),
		Noted:        chat.Bucket(numberOf(it, "noted")),
		Blocks:       flagOf(it, "blocks"),
	}
}

// Standing reads a conversation's head and a user's row, consistently. 2 RU.
func (s *Members) Standing(ctx context.Context, u chat.User, c chat.ConversationID) (head *chat.Head, own *chat.Membership, _ error) {
	err := batchGet(ctx, s.db, map[string]types.KeysAndAttributes{
		s.tables.Conversations: {Keys: []item{headKey(c)}, ConsistentRead: aws.Bool(true)},
		s.tables.Members:       {Keys: []item{memberKey(u, c)}, ConsistentRead: aws.Bool(true)},
	}, func(table string, it item) {
		if table == s.tables.Conversations {
			head = headOf(it)
			return
		}
		m := membershipOf(it)
		own = &m
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read %s for %s: %w", c, u, err)
	}
	return head, own, nil
}

// Advance writes a receipt. 1 WU; 1 or 2 more on the first change of a day, which moves the row in
// its index.
func (s *Members) Advance(ctx context.Context, u chat.User, from, to chat.Membership) error {
	values := item{
		":read": num(to.Read), ":delivered": num(to.Delivered), ":texts": num(to.ReadTexts), ":at": num(to.ChangedAt),
		":day": num(chat.BucketAt(to.ChangedAt)),
	}
	condition := "attribute_exists(conversation)"
	for _, was := range []struct {
		name string
		seq  int64
	}{{"read", from.Read}, {"delivered", from.Delivered}} {
		if was.seq == 0 {
			condition += " AND attribute_not_exists(#" + was.name + ")"
		} else {
			condition += " AND #" + was.name + " = :was_" + was.name
			values[":was_"+was.name] = num(was.seq)
		}
	}
	set := "SET #delivered = :delivered, read_texts = :texts, changed_at = :at, changed = :day"
	if to.Noted > from.Noted {
		set += ", noted = :noted"
		values[":noted"] = num(to.Noted)
	}
	if to.Read > 0 {
		set += ", #read = :read"
	} else {
		delete(values, ":read")
	}
	_, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                           &s.tables.Members,
		Key:                                 memberKey(u, from.Conversation),
		UpdateExpression:                    &set,
		ConditionExpression:                 &condition,
		ExpressionAttributeNames:            names{"#read": "read", "#delivered": "delivered"},
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var lost *types.ConditionalCheckFailedException
	switch {
	case errors.As(err, &lost):
		return &chat.Moved{Actual: membershipOf(lost.Item)}
	case err != nil:
		return fmt.Errorf("acknowledge %s for %s: %w", from.Conversation, u, err)
	}
	return nil
}

// NoteChange moves the conversation in the user's index of changes to a day. 1 WU, 1 or 2 more
// when it was not there yet.
func (s *Members) NoteChange(ctx context.Context, u chat.User, c chat.ConversationID, day chat.Bucket) error {
	_, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.tables.Members,
		Key:                       memberKey(u, c),
		UpdateExpression:          aws.String("SET changed = :day"),
		ConditionExpression:       aws.String("attribute_exists(conversation) AND (attribute_not_exists(changed) OR changed < :day)"),
		ExpressionAttributeValues: item{":day": num(day)},
	})
	var there *types.ConditionalCheckFailedException
	if err != nil && !errors.As(err, &there) {
		return fmt.Errorf("note a change of %s for %s: %w", c, u, err)
	}
	return nil
}

// Texts counts a user's texts between two places, consistently. 1 RU for each 4 KB passed.
func (s *Members) Texts(ctx context.Context, c chat.ConversationID, from chat.User, first, last int64) (int64, error) {
	if first > last {
		return 0, nil
	}
	pages := dynamodb.NewQueryPaginator(s.db, &dynamodb.QueryInput{
		TableName:                &s.tables.Messages,
		KeyConditionExpression:   aws.String("conversation = :c AND seq BETWEEN :first AND :last"),
		FilterExpression:         aws.String("#from = :from AND kind = :text"),
		ExpressionAttributeNames: names{"#from": "from"},
		ExpressionAttributeValues: item{
			":c": str(string(c)), ":first": num(first), ":last": num(last), ":from": str(string(from)), ":text": str(string(chat.KindText)),
		},
		Select:         types.SelectCount,
		ConsistentRead: aws.Bool(true),
	})
	var count int64
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return 0, fmt.Errorf("count texts %d to %d of %s: %w", first, last, c, err)
		}
		count += int64(out.Count)
	}
	return count, nil
}
