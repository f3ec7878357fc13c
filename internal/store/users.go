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

// staying is the condition that a user's account is not being erased.
const staying = "attribute_not_exists(erasing_at) AND attribute_not_exists(erased_at)"

// count counts a new conversation of a user, if the quota is as expected.
func (s *Conversations) count(u chat.User, q chat.Quota) types.TransactWriteItem {
	condition := "(attribute_not_exists(begun_on) OR begun_on < :day)"
	values := item{":day": num(q.Day), ":begun": num(q.Begun + 1)}
	if q.Begun > 0 {
		condition = "begun_on = :day AND begun = :was"
		values[":was"] = num(q.Begun)
	}
	condition += " AND " + staying
	return types.TransactWriteItem{Update: &types.Update{
		TableName:                           &s.tables.Users,
		Key:                                 item{"user": str(string(u))},
		UpdateExpression:                    aws.String("SET begun_on = :day, begun = :begun"),
		ConditionExpression:                 &condition,
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}
}

func quotaOf(it item) chat.Quota {
	return chat.Quota{Day: chat.Bucket(numberOf(it, "begun_on")), Begun: numberOf(it, "begun")}
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

func profileKey(u chat.User) item { return item{"user": str(string(u))} }

func profileOf(it item) *chat.Profile {
	p := &chat.Profile{
		User:         chat.User(textOf(it, "user")),
		RegisteredAt: numberOf(it, "registered_at"),
		OnlineUntil:  numberOf(it, "online_until"),
		LastSeen:     numberOf(it, "last_seen"),
		Hidden:       flagOf(it, "invisible"),
		Erasing:      numberOf(it, "erasing_at"),
		Erased:       numberOf(it, "erased_at") > 0,
		SignOuts: chat.SignOuts{
			Before: numberOf(it, "signed_out_before"), Kept: chat.SessionID(textOf(it, "kept_session")),
		},
	}
	if ended, ok := it["ended_sessions"].(*types.AttributeValueMemberL); ok {
		for _, v := range ended.Value {
			if s, ok := v.(*types.AttributeValueMemberS); ok {
				p.SignOuts.Ended = append(p.SignOuts.Ended, chat.SessionID(s.Value))
			}
		}
	}
	return p
}

// Profile reads a user's row consistently, nil if there is none. 1 RU.
func (s *Users) Profile(ctx context.Context, u chat.User) (*chat.Profile, error) {
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: profileKey(u), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, fmt.Errorf("read user %s: %w", u, err)
	}
	if len(out.Item) == 0 {
		return nil, nil
	}
	return profileOf(out.Item), nil
}

// Profiles reads users' rows, which may be a moment old. 0.5 RU each.
func (s *Users) Profiles(ctx context.Context, users []chat.User) (map[chat.User]*chat.Profile, error) {
	found := make(map[chat.User]*chat.Profile, len(users))
	for len(users) > 0 {
		batch := users[:min(maxBatchKeys, len(users))]
		users = users[len(batch):]
		var keys []item
		for _, u := range batch {
			keys = append(keys, profileKey(u))
		}
		err := batchGet(ctx, s.db, map[string]types.KeysAndAttributes{s.table: {Keys: keys}}, func(_ string, it item) {
			p := profileOf(it)
			found[p.User] = p
		})
		if err != nil {
			return nil, fmt.Errorf("read users: %w", err)
		}
	}
	return found, nil
}

// change updates the row of a user who is registered; one who is not, or not any more, stays so. 1 WU.
func (s *Users) change(ctx context.Context, u chat.User, expression string, values item) error {
	_, err := s.changeIf(ctx, u, "", expression, values)
	return err
}

// changeIf is change with a further condition, and tells whether it was made.
func (s *Users) changeIf(ctx context.Context, u chat.User, condition, expression string, values item) (bool, error) {
	_, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.table, Key: profileKey(u), UpdateExpression: &expression,
		// Of an erased user nothing is kept, whoever comes late with it.
		ConditionExpression:       aws.String("attribute_exists(#user) AND attribute_not_exists(erased_at)" + condition),
		ExpressionAttributeNames:  names{"#user": "user"},
		ExpressionAttributeValues: values,
	})
	var refused *types.ConditionalCheckFailedException
	switch {
	case errors.As(err, &refused):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("update user %s: %w", u, err)
	}
	return true, nil
}

// SetOnline notes until when a user is online, unless that is noted for longer already. 1 WU.
func (s *Users) SetOnline(ctx context.Context, u chat.User, until int64) error {
	_, err := s.changeIf(ctx, u, " AND (attribute_not_exists(online_until) OR online_until < :until)", "SET online_until = :until", item{":until": num(until)})
	return err
}

// SetOffline notes that a user has no connection any more. 1 WU.
func (s *Users) SetOffline(ctx context.Context, u chat.User, lastSeen int64) error {
	return s.change(ctx, u, "SET last_seen = :seen REMOVE online_until", item{":seen": num(lastSeen)})
}

// Hide makes a user invisible from a moment on. 1 WU.
func (s *Users) Hide(ctx context.Context, u chat.User, at int64) error {
	return s.change(ctx, u, "SET invisible = :true, last_seen = :at", item{":true": &types.AttributeValueMemberBOOL{Value: true}, ":at": num(at)})
}

// Show makes a user visible. 1 WU.
func (s *Users) Show(ctx context.Context, u chat.User) error {
	return s.change(ctx, u, "REMOVE invisible", nil)
}

// SetSignOuts notes which sessions have ended, if those noted are still as in from; chat.ErrBusy says
// that they are not. 1 WU.
func (s *Users) SetSignOuts(ctx context.Context, u chat.User, from, to chat.SignOuts) error {
	list := func(sessions []chat.SessionID) types.AttributeValue {
		l := &types.AttributeValueMemberL{Value: []types.AttributeValue{}}
		for _, id := range sessions {
			l.Value = append(l.Value, str(string(id)))
		}
		return l
	}
	values := item{":before": num(to.Before), ":kept": str(string(to.Kept)), ":ended": list(to.Ended)}
	condition := " AND attribute_not_exists(ended_sessions)"
	if from.Before > 0 || len(from.Ended) > 0 {
		condition = " AND signed_out_before = :was_before AND kept_session = :was_kept AND ended_sessions = :was_ended"
		values[":was_before"], values[":was_kept"], values[":was_ended"] = num(from.Before), str(string(from.Kept)), list(from.Ended)
	}
	done, err := s.changeIf(ctx, u, condition, "SET signed_out_before = :before, kept_session = :kept, ended_sessions = :ended", values)
	if err == nil && !done {
		err = fmt.Errorf("sign out %s: %w", u, chat.ErrBusy)
	}
	return err
}

// BeginErasing notes that an account is being erased. 1 WU.
func (s *Users) BeginErasing(ctx context.Context, u chat.User, at int64) error {
	return s.change(ctx, u, "SET erasing_at = if_not_exists(erasing_at, :at)", item{":at": num(at)})
}

// Erase leaves nothing of a user but the name, so that nobody else takes it. 1 WU.
func (s *Users) Erase(ctx context.Context, u chat.User, at int64) error {
	it := profileKey(u)
	it["erased_at"] = num(at)
	if _, err := s.db.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.table, Item: it}); err != nil {
		return fmt.Errorf("erase user %s: %w", u, err)
	}
	return nil
}
