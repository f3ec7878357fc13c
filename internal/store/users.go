package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/duet-chat/duet/internal/chat"
)

// Users keeps who is registered.
type Users struct {
	db    *dynamodb.Client
	table string
}

// NewUsers makes the store of the users in a table.
func NewUsers(cfg aws.Config, table string) *Users {
	return &Users{db: client(cfg), table: table}
}

// RegisterUser registers a user; one who is registered already stays as they are. 1 WU.
func (s *Users) RegisterUser(ctx context.Context, u chat.User, at time.Time) error {
	_, err := s.db.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:                &s.table,
		Item:                     item{"user": str(string(u)), "registered_at": num(at.UnixMilli())},
		ConditionExpression:      aws.String("attribute_not_exists(#user)"),
		ExpressionAttributeNames: names{"#user": "user"},
	})
	var exists *types.ConditionalCheckFailedException
	if err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("register user %s: %w", u, err)
	}
	return nil
}

// IsRegistered tells whether a user is registered. 0.5 RU.
func (s *Users) IsRegistered(ctx context.Context, u chat.User) (bool, error) {
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.table,
		Key:       item{"user": str(string(u))},
	})
	if err != nil {
		return false, fmt.Errorf("read user %s: %w", u, err)
	}
	return len(out.Item) > 0, nil
}
