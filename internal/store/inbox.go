package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/duet-chat/duet/internal/chat"
)

// Indexes of a user's rows: by their conversations' activity bucket, and by the day on which
// receipts or blocks changed last.
const (
	activityIndex = "by-activity"
	changeIndex   = "by-change"
)

// InboxTables names the tables that a sync reads.
type InboxTables struct {
	Conversations, Members, Messages string
}

// Inbox lists what a user has missed. It implements chat.Index.
type Inbox struct {
	db     *dynamodb.Client
	tables InboxTables
	now    func() time.Time
}

// NewInbox makes the store behind a sync.
func NewInbox(cfg aws.Config, tables InboxTables, now func() time.Time) *Inbox {
	return &Inbox{db: client(cfg), tables: tables, now: now}
}

// Active lists a user's conversations, newest bucket first, consistently. 1 RU for about 40 rows.
func (s *Inbox) Active(ctx context.Context, u chat.User, lowest, highest chat.Bucket, limit int) (rows []chat.Row, complete bool, _ error) {
	if highest == 0 {
		highest = math.MaxInt64
	}
	if highest < lowest {
		return nil, true, nil
	}
	in := &dynamodb.QueryInput{
		TableName:                &s.tables.Members,
		IndexName:                aws.String(activityIndex),
		KeyConditionExpression:   aws.String("#user = :user AND #bucket BETWEEN :lowest AND :highest"),
		ExpressionAttributeNames: names{"#user": "user", "#bucket": "bucket"},
		ExpressionAttributeValues: item{
			":user": str(string(u)), ":lowest": num(lowest), ":highest": num(highest),
		},
		ConsistentRead:   aws.Bool(true),
		ScanIndexForward: aws.Bool(false),
		Limit:            aws.Int32(int32(limit)),
	}
	for {
		out, err := s.db.Query(ctx, in)
		if err != nil {
			return nil, false, fmt.Errorf("read conversations of %s: %w", u, err)
		}
		for _, it := range out.Items {
			rows = append(rows, chat.Row{Conversation: chat.ConversationID(textOf(it, "conversation")), Bucket: chat.Bucket(numberOf(it, "bucket"))})
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return rows, true, nil
		}
		// The last bucket may go on: only those before it are complete.
		whole := len(rows)
		for whole > 0 && rows[whole-1].Bucket == rows[len(rows)-1].Bucket {
			whole--
		}
		if whole >= limit {
			return rows[:whole], false, nil
		}
	}
}

// Changed lists the conversations whose receipts or blocks changed on a day, or later,
// consistently. 1 RU for about 40 rows.
func (s *Inbox) Changed(ctx context.Context, u chat.User, lowest chat.Bucket) ([]chat.ConversationID, error) {
	pages := dynamodb.NewQueryPaginator(s.db, &dynamodb.QueryInput{
		TableName:                 &s.tables.Members,
		IndexName:                 aws.String(changeIndex),
		KeyConditionExpression:    aws.String("#user = :user AND changed >= :lowest"),
		ExpressionAttributeNames:  names{"#user": "user"},
		ExpressionAttributeValues: item{":user": str(string(u)), ":lowest": num(lowest)},
		ConsistentRead:            aws.Bool(true),
	})
	var found []chat.ConversationID
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read changed conversations of %s: %w", u, err)
		}
		for _, it := range out.Items {
			found = append(found, chat.ConversationID(textOf(it, "conversation")))
		}
	}
	return found, nil
}

// States reads conversations as both users see them: the heads and the own rows consistently.
// 2.5 RU a conversation.
func (s *Inbox) States(ctx context.Context, u chat.User, conversations []chat.ConversationID) (map[chat.ConversationID]chat.State, error) {
	states := make(map[chat.ConversationID]chat.State, len(conversations))
	const perCall = maxBatchKeys / 2
	for len(conversations) > 0 {
		batch := conversations[:min(perCall, len(conversations))]
		conversations = conversations[len(batch):]
		var headKeys, ownKeys, peerKeys []item
		for _, c := range batch {
			peer, _ := c.Peer(u)
			headKeys = append(headKeys, headKey(c))
			ownKeys = append(ownKeys, memberKey(u, c))
			peerKeys = append(peerKeys, memberKey(peer, c))
		}
		// A table stands in a call once, and with one kind of reading: the peers' rows, which may be a
		// moment old, take a call of their own.
		for _, keys := range []map[string]types.KeysAndAttributes{
			{s.tables.Conversations: {Keys: headKeys, ConsistentRead: aws.Bool(true)}, s.tables.Members: {Keys: ownKeys, ConsistentRead: aws.Bool(true)}},
			{s.tables.Members: {Keys: peerKeys}},
		} {
			err := batchGet(ctx, s.db, keys, func(table string, it item) {
				c := chat.ConversationID(textOf(it, "conversation"))
				state := states[c]
				switch {
				case table == s.tables.Conversations:
					state.Head = headOf(it)
				case textOf(it, "user") == string(u):
					state.Own = membershipOf(it)
				default:
					state.Peer = membershipOf(it)
				}
				states[c] = state
			})
			if err != nil {
				return nil, fmt.Errorf("read conversations of %s: %w", u, err)
			}
		}
	}
	return states, nil
}

// At reads the entries at the given places, consistently. 1 RU a message of up to 4 KB.
func (s *Inbox) At(ctx context.Context, places map[chat.ConversationID]int64) (map[chat.ConversationID]chat.Message, error) {
	found := make(map[chat.ConversationID]chat.Message, len(places))
	var keys []item
	for c, seq := range places {
		keys = append(keys, item{"conversation": str(string(c)), "seq": num(seq)})
	}
	for len(keys) > 0 {
		batch := keys[:min(maxBatchKeys, len(keys))]
		keys = keys[len(batch):]
		err := batchGet(ctx, s.db, map[string]types.KeysAndAttributes{
			s.tables.Messages: {Keys: batch, ConsistentRead: aws.Bool(true)},
		}, func(_ string, it item) {
			if m := messageOf(it); !m.Expired(s.now().Unix()) {
				found[m.Conversation] = m
			}
		})
		if err != nil {
			return nil, fmt.Errorf("read last messages: %w", err)
		}
	}
	return found, nil
}
