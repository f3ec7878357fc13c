package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/duet-chat/duet/internal/chat"
)

// Connections keeps which sockets a user has: the only session registry that Duet needs.
type Connections struct {
	db    *dynamodb.Client
	table string
}

// NewConnections makes the store of the connections in a table.
func NewConnections(cfg aws.Config, table string) *Connections {
	return &Connections{db: client(cfg), table: table}
}

func connectionKey(u chat.User, id chat.ConnectionID) item {
	return item{"user": str(string(u)), "connection": str(string(id))}
}

// expiry is when DynamoDB may remove the row of a connection whose $disconnect never came: after
// API Gateway has ended it for certain. Until DynamoDB does, posts to it are answered 410.
func expiry(c chat.Connection) int64 {
	return c.ConnectedAt/1000 + int64((chat.MaxConnectionAge + 10*time.Minute).Seconds())
}

// Add writes a connection's row. 1 WU.
func (s *Connections) Add(ctx context.Context, c chat.Connection) error {
	it := connectionKey(c.User, c.ID)
	it["device"] = str(string(c.Device))
	it["connected_at"] = num(c.ConnectedAt)
	it["session"] = str(string(c.Session))
	it["session_end"] = num(c.SessionEnd)
	it["ttl"] = num(expiry(c))
	_, err := s.db.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.table, Item: it})
	if err != nil {
		return fmt.Errorf("add connection %s of %s: %w", c.ID, c.User, err)
	}
	return nil
}

// Remove deletes a connection's row, if it is there. 1 WU.
func (s *Connections) Remove(ctx context.Context, u chat.User, id chat.ConnectionID) error {
	_, err := s.db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.table, Key: connectionKey(u, id)})
	if err != nil {
		return fmt.Errorf("remove connection %s of %s: %w", id, u, err)
	}
	return nil
}

// Of reads all connections of a user consistently, so that one which is there before a message
// commits is found by that message's delivery (G8). 1 RU for about 25 connections.
func (s *Connections) Of(ctx context.Context, u chat.User) ([]chat.Connection, error) {
	var found []chat.Connection
	in := &dynamodb.QueryInput{
		TableName:                 &s.table,
		KeyConditionExpression:    aws.String("#user = :user"),
		ExpressionAttributeNames:  names{"#user": "user"},
		ExpressionAttributeValues: item{":user": str(string(u))},
		ConsistentRead:            aws.Bool(true),
	}
	for {
		out, err := s.db.Query(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("read connections of %s: %w", u, err)
		}
		for _, it := range out.Items {
			found = append(found, chat.Connection{
				User:        u,
				ID:          chat.ConnectionID(textOf(it, "connection")),
				Device:      chat.Device(textOf(it, "device")),
				ConnectedAt: numberOf(it, "connected_at"),
				Session:     chat.SessionID(textOf(it, "session")),
				SessionEnd:  numberOf(it, "session_end"),
				Behind:      flagOf(it, "behind"),
			})
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return found, nil
		}
	}
}

// IsBehind tells whether a connection missed something, and whether it is known at all:
// nothing is delivered to one that is not. 1 RU.
func (s *Connections) IsBehind(ctx context.Context, u chat.User, id chat.ConnectionID) (behind, known bool, _ error) {
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:      &s.table,
		Key:            connectionKey(u, id),
		ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return false, false, fmt.Errorf("read connection %s of %s: %w", id, u, err)
	}
	return flagOf(out.Item, "behind"), len(out.Item) > 0, nil
}

// MarkBehind notes that a connection missed something; one that is gone stays gone. 1 WU.
func (s *Connections) MarkBehind(ctx context.Context, u chat.User, id chat.ConnectionID) error {
	return s.update(ctx, u, id, "SET behind = :true", item{":true": &types.AttributeValueMemberBOOL{Value: true}})
}

// ClearBehind notes that a connection is about to sync. 1 WU.
func (s *Connections) ClearBehind(ctx context.Context, u chat.User, id chat.ConnectionID) error {
	return s.update(ctx, u, id, "REMOVE behind", nil)
}

// Watching reads whose presence a connection is told of, and whether the connection is known. 1 RU.
func (s *Connections) Watching(ctx context.Context, u chat.User, id chat.ConnectionID) (watched []chat.User, known bool, _ error) {
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.table, Key: connectionKey(u, id), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, false, fmt.Errorf("read connection %s of %s: %w", id, u, err)
	}
	if set, ok := out.Item["watching"].(*types.AttributeValueMemberSS); ok {
		for _, name := range set.Value {
			watched = append(watched, chat.User(name))
		}
	}
	return watched, len(out.Item) > 0, nil
}

// SetWatching notes whose presence a connection is told of. 1 or 2 WU, by the length of the list.
func (s *Connections) SetWatching(ctx context.Context, u chat.User, id chat.ConnectionID, watched []chat.User) error {
	if len(watched) == 0 { // DynamoDB has no empty sets
		return s.update(ctx, u, id, "REMOVE watching", nil)
	}
	set := &types.AttributeValueMemberSS{}
	for _, w := range watched {
		set.Value = append(set.Value, string(w))
	}
	return s.update(ctx, u, id, "SET watching = :watching", item{":watching": set})
}

func (s *Connections) update(ctx context.Context, u chat.User, id chat.ConnectionID, expression string, values item) error {
	_, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.table,
		Key:                       connectionKey(u, id),
		UpdateExpression:          &expression,
		ConditionExpression:       aws.String("attribute_exists(#user)"),
		ExpressionAttributeNames:  names{"#user": "user"},
		ExpressionAttributeValues: values,
	})
	var gone *types.ConditionalCheckFailedException
	if err != nil && !errors.As(err, &gone) {
		return fmt.Errorf("update connection %s of %s: %w", id, u, err)
	}
	return nil
}

// ConnectionChange is a connection that came or went.
type ConnectionChange struct {
	User  chat.User
	Ended bool
	At    time.Time // in whole seconds
}

// DecodeConnectionEvent reads the event of a mapping on the connections' stream.
func DecodeConnectionEvent(event []byte) ([]ConnectionChange, error) {
	var e struct {
		Records []struct {
			EventName string `json:"eventName"`
			Change    struct {
				At   float64 `json:"ApproximateCreationDateTime"`
				Keys struct {
					User text `json:"user"`
				} `json:"Keys"`
			} `json:"dynamodb"`
		} `json:"Records"`
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, fmt.Errorf("stream event: %w", err)
	}
	changes := make([]ConnectionChange, 0, len(e.Records))
	for _, r := range e.Records {
		if r.EventName == "MODIFY" {
			continue // it is still there
		}
		changes = append(changes, ConnectionChange{
			User: chat.User(r.Change.Keys.User.S), Ended: r.EventName == "REMOVE", At: time.Unix(int64(r.Change.At), 0),
		})
	}
	return changes, nil
}
