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

// Watcher is a connection that is told of a user's presence; without a device it is a denial: no
// connection of its user is told, whatever it watches.
type Watcher struct {
	Watched    chat.User
	User       chat.User
	Device     chat.Device
	Connection chat.ConnectionID
	Until      int64 // Unix seconds: when the connection has ended for certain, or the denial ends
}

// NewDenial denies a user another one's presence from a moment on, in Unix milliseconds: until every
// connection has ended of which a watch may have been allowed before.
func NewDenial(watched, by chat.User, at int64) Watcher {
	return Watcher{Watched: watched, User: by, Until: at/1000 + int64((chat.MaxConnectionAge + 10*time.Minute).Seconds())}
}

// Told are those of a user's watchers, as Of returns them, that are told of the user's presence now.
func Told(watchers []Watcher, now time.Time) []Watcher {
	var denied chat.User // to the watcher before; a denial stands before the devices of its user
	var told []Watcher
	for _, w := range watchers {
		switch {
		case w.Until <= now.Unix(): // DynamoDB removes it
		case w.Device == "":
			denied = w.User
		case w.User != denied:
			told = append(told, w)
		}
	}
	return told
}

// Watchers keeps who is told of whose presence: a row for each watched user and watching device, so
// that a device that connects anew takes the place of its former connection.
type Watchers struct {
	db    *dynamodb.Client
	table string
}

// NewWatchers makes the store of the watchers in a table.
func NewWatchers(cfg aws.Config, table string) *Watchers {
	return &Watchers{db: client(cfg), table: table}
}

func watcherKey(w Watcher) item {
	return item{"user": str(string(w.Watched)), "watcher": str(string(chat.NewTailKey(w.User, w.Device)))}
}

// Of reads a user's watchers and denials in their order, at most those of one other user if by is not
// "". 1 RU for about 30: consistently, so that who was denied a moment ago is not told.
func (s *Watchers) Of(ctx context.Context, watched, by chat.User) ([]Watcher, error) {
	in := &dynamodb.QueryInput{
		TableName:                 &s.table,
		KeyConditionExpression:    aws.String("#user = :user"),
		ExpressionAttributeNames:  names{"#user": "user"},
		ExpressionAttributeValues: item{":user": str(string(watched))},
		ConsistentRead:            aws.Bool(true),
	}
	if by != "" {
		in.KeyConditionExpression = aws.String("#user = :user AND begins_with(watcher, :by)")
		in.ExpressionAttributeValues[":by"] = str(string(chat.NewTailKey(by, "")))
	}
	var found []Watcher
	for pages := dynamodb.NewQueryPaginator(s.db, in); pages.HasMorePages(); {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read watchers of %s: %w", watched, err)
		}
		for _, it := range out.Items {
			user, device := chat.TailKey(textOf(it, "watcher")).Split()
			found = append(found, Watcher{
				Watched: watched, User: user, Device: device,
				Connection: chat.ConnectionID(textOf(it, "connection")), Until: numberOf(it, "ttl"),
			})
		}
	}
	return found, nil
}

// Drop removes a watcher whose connection is gone, unless a newer connection of the device has taken its
// place. 1 WU.
func (s *Watchers) Drop(ctx context.Context, w Watcher) error {
	_, err := s.db.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &s.table, Key: watcherKey(w),
		ConditionExpression:       aws.String("#connection = :gone"),
		ExpressionAttributeNames:  names{"#connection": "connection"},
		ExpressionAttributeValues: item{":gone": str(string(w.Connection))},
	})
	var newer *types.ConditionalCheckFailedException
	if err != nil && !errors.As(err, &newer) {
		return fmt.Errorf("drop a watcher of %s: %w", w.Watched, err)
	}
	return nil
}

// Change adds watchers and denials, or brings them up to date, and removes others. 1 WU each.
func (s *Watchers) Change(ctx context.Context, add, remove []Watcher) error {
	var writes []types.WriteRequest
	for _, w := range add {
		it := watcherKey(w)
		it["ttl"] = num(w.Until)
		if w.Connection != "" {
			it["connection"] = str(string(w.Connection))
		}
		writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: it}})
	}
	for _, w := range remove {
		writes = append(writes, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: watcherKey(w)}})
	}
	if err := batchWrite(ctx, s.db, s.table, writes); err != nil {
		return fmt.Errorf("change watchers: %w", err)
	}
	return nil
}
