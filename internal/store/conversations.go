package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

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
func NewConversations(cfg aws.Config, tables ConversationTables, now func() time.Time) *Conversations {
	messages := NewMessages(cfg, tables.Messages, now)
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

func tailItem(t chat.Tail) item {
	return item{"n": num(t.N), "seq": num(t.Seq)}
}

func tailOf(it item) chat.Tail {
	return chat.Tail{N: numberOf(it, "n"), Seq: numberOf(it, "seq")}
}

// Attributes by side: of the first user of the conversation's id, and of the second.
var (
	textsOf = [2]string{"texts_a", "texts_b"}
	sawOf   = [2]string{"saw_a", "saw_b"}
)

// paceOf is the attribute that counts what a side writes in the minutes of a slot.
func paceOf(side chat.Side, slot int) string {
	return [2]string{"pace_a", "pace_b"}[side] + strconv.Itoa(slot)
}

// paceIn finds the one slot in which a side's entries are counted.
func paceIn(it item, side chat.Side) chat.Pace {
	for slot := range chat.PaceSlots {
		if n := numberOf(it, paceOf(side, slot)); n > 0 {
			return chat.Pace{Slot: slot, Count: n}
		}
	}
	return chat.Pace{}
}

// Members of the set "shut", by side. DynamoDB has no empty sets: without reasons there is none.
var (
	blockedBy = [2]string{"blocked_by_a", "blocked_by_b"}
	goneIs    = [2]string{"gone_a", "gone_b"}
)

func shutOf(it item) chat.Shut {
	set, _ := it["shut"].(*types.AttributeValueMemberSS)
	if set == nil {
		return chat.Shut{}
	}
	has := func(names [2]string) [2]bool {
		return [2]bool{slices.Contains(set.Value, names[0]), slices.Contains(set.Value, names[1])}
	}
	return chat.Shut{Blocked: has(blockedBy), Gone: has(goneIs)}
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
		Texts:   [2]int64{numberOf(it, textsOf[0]), numberOf(it, textsOf[1])},
		Saw:     [2]int64{numberOf(it, sawOf[0]), numberOf(it, sawOf[1])},
		Pace:    [2]chat.Pace{paceIn(it, 0), paceIn(it, 1)},
		Shut:    shutOf(it),
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
// conversation (two rows of members with an index entry each, the recipient's check), and 2 if it
// is counted; 12 more for the first one of a day in it (two rows, whose index entries move); 2 more
// when a tail is parked; 2 more for an amended text, and 2 if it was edited before. A lost attempt
// costs the same.
func (s *Conversations) Append(ctx context.Context, a chat.Attempt) error {
	writes := []types.TransactWriteItem{s.head(a), s.message(a.Message)}
	if a.EnterBucket {
		first, second := a.Message.Conversation.Users()
		writes = append(writes, s.member(first, a), s.member(second, a))
	}
	if a.Park != nil {
		it := parkedKey(a.Message.Conversation, a.Park.Key)
		maps.Copy(it, tailItem(a.Park.Tail))
		writes = append(writes, types.TransactWriteItem{Put: &types.Put{TableName: &s.tables.Conversations, Item: it}})
	}
	var at places
	if a.Amend != nil {
		at.amend = len(writes)
		writes = append(writes, s.amend(a)...)
	}
	if a.Message.Seq == 1 { // a block may have made the conversation before
		at.registered = len(writes)
		to, _ := a.Message.Conversation.Peer(a.Message.From)
		writes = append(writes, types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
			TableName:                &s.tables.Users,
			Key:                      item{"user": str(string(to))},
			ConditionExpression:      aws.String("attribute_exists(#user) AND " + staying),
			ExpressionAttributeNames: names{"#user": "user"},
		}})
	}
	if a.Quota != nil {
		at.quota = len(writes)
		writes = append(writes, s.count(a.Message.From, *a.Quota))
	}
	_, err := s.appends.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	if err == nil {
		return nil
	}
	return fmt.Errorf("append to %s at %d: %w", a.Message.Conversation, a.Message.Seq, outcome(err, at))
}

// Places of the writes in every transaction, and with it of the reasons why it was cancelled.
const (
	headWrite    = 0
	messageWrite = 1
)

// places are those of the writes that some transactions have; 0 is none, since there the head is.
type places struct{ registered, amend, quota int }

// busy tells whether an outcome may pass.
func busy(err error) bool { return errors.Is(err, chat.ErrBusy) }

// outcome names why a transaction failed. What it does not know may have committed.
func outcome(err error, at places) error {
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
		return i < len(cancelled.CancellationReasons) &&
			aws.ToString(cancelled.CancellationReasons[i].Code) == "ConditionalCheckFailed"
	}
	switch {
	case failed(headWrite):
		return &chat.Lost{Head: headOf(cancelled.CancellationReasons[headWrite].Item)}
	case at.registered > 0 && failed(at.registered):
		return chat.ErrUnknownUser
	case at.amend > 0 && failed(at.amend):
		return chat.ErrAmended
	case at.quota > 0 && failed(at.quota):
		if p := profileOf(cancelled.CancellationReasons[at.quota].Item); p.Erased || p.Erasing > 0 {
			return chat.ErrErased
		}
		return &chat.QuotaLost{Actual: quotaOf(cancelled.CancellationReasons[at.quota].Item)}
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
	tail, me := chat.Tail{N: m.N, Seq: m.Seq}, m.Conversation.Side(m.From)
	device := string(chat.NewTailKey(m.From, m.Device))
	u := &types.Update{
		TableName:                           &s.tables.Conversations,
		Key:                                 headKey(m.Conversation),
		ExpressionAttributeNames:            names{"#at": "at"},
		ExpressionAttributeValues:           item{":seq": num(m.Seq), ":at": num(m.At), ":zero": num(int64(0))},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	// Who writes has read what stands there.
	set := "SET last_seq = :seq, #at = :at, " + sawOf[me] + " = if_not_exists(" + textsOf[me.Other()] + ", :zero)"
	var condition string
	var remove []string
	count := func(name string) {
		set += ", " + name + " = if_not_exists(" + name + ", :zero) + :one"
		u.ExpressionAttributeValues[":one"] = num(int64(1))
	}
	if m.Kind == chat.KindText {
		count(textsOf[me])
	}
	pace := paceOf(me, chat.PaceSlot(m.At))
	if a.PerMinute > 0 {
		count(pace)
	}
	if a.Create {
		condition = "attribute_not_exists(conversation)"
		set += ", tails = :tails"
		u.ExpressionAttributeValues[":tails"] = &types.AttributeValueMemberM{Value: item{device: &types.AttributeValueMemberM{Value: tailItem(tail)}}}
	} else {
		condition = "last_seq = :last AND attribute_not_exists(shut)"
		u.ExpressionAttributeValues[":last"] = num(m.Seq - 1)
		u.ExpressionAttributeNames["#device"] = device
		if a.FirstHere {
			condition += " AND attribute_not_exists(tails.#device)"
			set += ", tails.#device = :tail"
			u.ExpressionAttributeValues[":tail"] = &types.AttributeValueMemberM{Value: tailItem(tail)}
		} else {
			condition += " AND tails.#device.n = :previous"
			set += ", tails.#device.n = :n, tails.#device.seq = :seq"
			u.ExpressionAttributeValues[":previous"], u.ExpressionAttributeValues[":n"] = num(m.N-1), num(m.N)
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
			remove = append(remove, "tails.#parked")
		}
		if a.PerMinute > 0 {
			condition += " AND (attribute_not_exists(" + pace + ") OR " + pace + " < :most)"
			u.ExpressionAttributeValues[":most"] = num(a.PerMinute)
			for slot := range chat.PaceSlots {
				if other := paceOf(me, slot); other != pace {
					remove = append(remove, other)
				}
			}
		}
	}
	u.ExpressionAttributeNames["#bucket"] = "bucket"
	u.ExpressionAttributeValues[":bucket"] = num(a.Bucket)
	if a.EnterBucket {
		set += ", #bucket = :bucket"
	} else {
		condition += " AND #bucket >= :bucket"
	}
	if len(remove) > 0 {
		set += " REMOVE " + strings.Join(remove, ", ")
	}
	u.UpdateExpression = &set
	u.ConditionExpression = &condition
	return types.TransactWriteItem{Update: u}
}

// amend changes a text as the attempt says, and takes its copy out of the edit before.
func (s *Conversations) amend(a chat.Attempt) []types.TransactWriteItem {
	m := a.Message
	key := func(seq int64) item { return item{"conversation": str(string(m.Conversation)), "seq": num(seq)} }
	u := &types.Update{
		TableName:                 &s.tables.Messages,
		Key:                       key(a.Amend.Target),
		UpdateExpression:          aws.String("SET #text = :text, edited = :seq"),
		ExpressionAttributeNames:  names{"#text": "text", "#from": "from"},
		ExpressionAttributeValues: item{":seq": num(m.Seq), ":from": str(string(m.From))},
	}
	if a.Amend.Erase {
		u.UpdateExpression = aws.String("SET unsent = :seq REMOVE #text")
	} else {
		u.ExpressionAttributeValues[":text"] = str(m.Text)
	}
	condition := "#from = :from AND attribute_not_exists(unsent) AND attribute_not_exists(edited)"
	writes := []types.TransactWriteItem{{Update: u}}
	if a.Amend.Edited > 0 {
		condition = "#from = :from AND attribute_not_exists(unsent) AND edited = :edited"
		u.ExpressionAttributeValues[":edited"] = num(a.Amend.Edited)
		writes = append(writes, types.TransactWriteItem{Update: &types.Update{
			TableName:                &s.tables.Messages,
			Key:                      key(a.Amend.Edited),
			UpdateExpression:         aws.String("REMOVE #text"),
			ConditionExpression:      aws.String("attribute_exists(seq)"),
			ExpressionAttributeNames: names{"#text": "text"},
		}})
	}
	u.ConditionExpression = &condition
	return writes
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
