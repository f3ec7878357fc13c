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

// ConversationTables names the tables that an append writes to.
type ConversationTables struct {
	Conversations, Members, Messages, Users string
}

// Conversations appends to conversations. It implements chat.Log.
type Conversations struct {
	db *dynamodb.Client
	// appends tries once: who appends tries again by what the answer says, and tries of the SDK
	// within each of those would multiply them.
	appends *dynamodb.Client
	tables  ConversationTables
	*Messages
}

// NewConversations makes the store of the conversations in the tables.
func NewConversations(cfg aws.Config, tables ConversationTables) *Conversations {
	messages := NewMessages(cfg, tables.Messages)
	appends := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} })
	return &Conversations{db: messages.db, appends: appends, tables: tables, Messages: messages}
}

func headKey(c chat.ConversationID) item {
	return item{"conversation": str(string(c))}
}

// parkedKey is the key of a tail that does not fit into the head. No conversation's id has a '#'.
func parkedKey(c chat.ConversationID, key chat.TailKey) item {
	return item{"conversation": str(string(c) + "#" + string(key))}
}

func tailValue(t chat.Tail) types.AttributeValue {
	return &types.AttributeValueMemberM{Value: item{"n": num(t.N), "seq": num(t.Seq)}}
}

func tailOf(it item) chat.Tail {
	return chat.Tail{N: numberOf(it, "n"), Seq: numberOf(it, "seq")}
}

func headOf(it item) *chat.Head {
	if len(it) == 0 {
		return nil
	}
	tails, _ := it["tails"].(*types.AttributeValueMemberM)
	head := &chat.Head{
		LastSeq: numberOf(it, "last_seq"),
		At:      numberOf(it, "at"),
		Bucket:  chat.Bucket(numberOf(it, "bucket")),
		Parked:  flagOf(it, "parked"),
		Tails:   map[chat.TailKey]chat.Tail{},
	}
	if tails != nil {
		for key, value := range tails.Value {
			if m, ok := value.(*types.AttributeValueMemberM); ok {
				head.Tails[chat.TailKey(key)] = tailOf(m.Value)
			}
		}
	}
	return head
}

// Append makes one attempt in one transaction, by one request. 4 WU; 10 more for the first message of a
// conversation (two rows of members with an index entry each, the recipient's check), 12 more for
// the first one of a day in it (two rows, whose index entries move), 2 more when a tail is
// parked. A lost attempt costs the same.
func (s *Conversations) Append(ctx context.Context, a chat.Attempt) error {
	writes := []types.TransactWriteItem{s.head(a), s.message(a.Message)}
	if a.EnterBucket {
		first, second := a.Message.Conversation.Users()
		writes = append(writes, s.member(first, a), s.member(second, a))
	}
	if a.Park != nil {
		it := parkedKey(a.Message.Conversation, a.Park.Key)
		it["n"], it["seq"] = num(a.Park.Tail.N), num(a.Park.Tail.Seq)
		writes = append(writes, types.TransactWriteItem{Put: &types.Put{TableName: &s.tables.Conversations, Item: it}})
	}
	registered := -1
	if a.Create {
		registered = len(writes)
		to, _ := a.Message.Conversation.Peer(a.Message.From)
		writes = append(writes, types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
			TableName:                &s.tables.Users,
			Key:                      item{"user": str(string(to))},
			ConditionExpression:      aws.String("attribute_exists(#user)"),
			ExpressionAttributeNames: names{"#user": "user"},
		}})
	}
	_, err := s.appends.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	if err == nil {
		return nil
	}
	return fmt.Errorf("append to %s at %d: %w", a.Message.Conversation, a.Message.Seq, outcome(err, registered))
}

// Places of the writes in the transaction, and with it of the reasons why it was cancelled.
const (
	headWrite    = 0
	messageWrite = 1
)

// outcome names why a transaction failed; registered is the place of the recipient's check, -1 if
// there is none. What it does not know may have committed.
func outcome(err error, registered int) error {
	var (
		cancelled *types.TransactionCanceledException
		progress  *types.TransactionInProgressException
		throttled *types.ProvisionedThroughputExceededException
		limited   *types.RequestLimitExceeded
		throttle  *types.ThrottlingException
	)
	switch {
	case errors.As(err, &progress), errors.As(err, &throttled), errors.As(err, &limited), errors.As(err, &throttle):
		return fmt.Errorf("%w: %v", chat.ErrBusy, err)
	case !errors.As(err, &cancelled):
		return err
	}
	failed := func(i int) bool {
		return i >= 0 && i < len(cancelled.CancellationReasons) &&
			aws.ToString(cancelled.CancellationReasons[i].Code) == "ConditionalCheckFailed"
	}
	switch {
	case failed(headWrite):
		return &chat.Lost{Head: headOf(cancelled.CancellationReasons[headWrite].Item)}
	case failed(registered):
		return chat.ErrUnknownUser
	case failed(messageWrite):
		return errors.New("the log is ahead of its conversation: were the tables restored to different points in time?")
	}
	for _, reason := range cancelled.CancellationReasons {
		switch aws.ToString(reason.Code) {
		case "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
			return fmt.Errorf("%w: %s", chat.ErrBusy, aws.ToString(reason.Code))
		}
	}
	return err
}

// head advances the conversation, if it is as the attempt expects.
func (s *Conversations) head(a chat.Attempt) types.TransactWriteItem {
	m := a.Message
	tail := chat.Tail{N: m.N, Seq: m.Seq}
	device := string(chat.NewTailKey(m.From, m.Device))
	u := &types.Update{
		TableName:                           &s.tables.Conversations,
		Key:                                 headKey(m.Conversation),
		ExpressionAttributeNames:            names{"#at": "at"},
		ExpressionAttributeValues:           item{":seq": num(m.Seq), ":at": num(m.At)},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	set, condition, remove := "SET last_seq = :seq, #at = :at", "", ""
	if a.Create {
		condition = "attribute_not_exists(conversation)"
		set += ", tails = :tails"
		u.ExpressionAttributeValues[":tails"] = &types.AttributeValueMemberM{Value: item{device: tailValue(tail)}}
	} else {
		condition = "last_seq = :last"
		u.ExpressionAttributeValues[":last"] = num(m.Seq - 1)
		u.ExpressionAttributeNames["#device"] = device
		set += ", tails.#device = :tail"
		u.ExpressionAttributeValues[":tail"] = tailValue(tail)
		if a.FirstHere {
			condition += " AND attribute_not_exists(tails.#device)"
		} else {
			condition += " AND tails.#device.n = :previous"
			u.ExpressionAttributeValues[":previous"] = num(m.N - 1)
		}
		if a.NothingParked {
			// A parked tail may be this device's, and a full head has no room for another one.
			condition += " AND attribute_not_exists(parked) AND size(tails) < :room"
			u.ExpressionAttributeValues[":room"] = num(int64(chat.MaxTails))
		}
		if a.Park != nil {
			u.ExpressionAttributeNames["#parked"] = string(a.Park.Key)
			u.ExpressionAttributeValues[":true"] = &types.AttributeValueMemberBOOL{Value: true}
			set += ", parked = :true"
			remove = " REMOVE tails.#parked"
		}
	}
	u.ExpressionAttributeNames["#bucket"] = "bucket"
	u.ExpressionAttributeValues[":bucket"] = num(a.Bucket)
	if a.EnterBucket {
		set += ", #bucket = :bucket"
	} else {
		condition += " AND #bucket >= :bucket"
	}
	u.UpdateExpression = aws.String(set + remove)
	u.ConditionExpression = &condition
	return types.TransactWriteItem{Update: u}
}

// message puts the message. That none stands there follows from the head; the condition keeps
// an acknowledged message safe (G1) even where tables were restored to different points in time.
func (s *Conversations) message(m chat.Message) types.TransactWriteItem {
	return types.TransactWriteItem{Put: &types.Put{
		TableName:           &s.tables.Messages,
		Item:                messageItem(m),
		ConditionExpression: aws.String("attribute_not_exists(seq)"),
	}}
}

// member moves a user's row about the conversation to the attempt's bucket, making it when it is new.
func (s *Conversations) member(u chat.User, a chat.Attempt) types.TransactWriteItem {
	return types.TransactWriteItem{Update: &types.Update{
		TableName:                 &s.tables.Members,
		Key:                       memberKey(u, a.Message.Conversation),
		UpdateExpression:          aws.String("SET #bucket = :bucket"),
		ExpressionAttributeNames:  names{"#bucket": "bucket"},
		ExpressionAttributeValues: item{":bucket": num(a.Bucket)},
	}}
}

// Head reads a conversation's head consistently. 1 RU.
func (s *Conversations) Head(ctx context.Context, c chat.ConversationID) (*chat.Head, error) {
	it, err := s.get(ctx, headKey(c))
	if err != nil {
		return nil, fmt.Errorf("read head of %s: %w", c, err)
	}
	return headOf(it), nil
}

// Parked reads the tail of a device that is not in the head. 1 RU.
func (s *Conversations) Parked(ctx context.Context, c chat.ConversationID, key chat.TailKey) (chat.Tail, error) {
	it, err := s.get(ctx, parkedKey(c, key))
	if err != nil {
		return chat.Tail{}, fmt.Errorf("read parked tail %s of %s: %w", key, c, err)
	}
	return tailOf(it), nil
}

func (s *Conversations) get(ctx context.Context, key item) (item, error) {
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:      &s.tables.Conversations,
		Key:            key,
		ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}
