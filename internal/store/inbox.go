package store

import (
	"context"
	"fmt"
	"math"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/duet-chat/duet/internal/chat"
)

// activityIndex orders a user's rows by their conversations' activity buckets.
const activityIndex = "by-activity"

// InboxTables names the tables that a sync reads.
type InboxTables struct {
	Conversations, Members, Messages string
}

// Inbox lists what a user has missed. It implements chat.Index.
type Inbox struct {
	db     *dynamodb.Client
	tables InboxTables
}

// NewInbox makes the store behind a sync.
func NewInbox(cfg aws.Config, tables InboxTables) *Inbox {
	return &Inbox{db: client(cfg), tables: tables}
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
	}
}

// Memberships reads a user's rows, newest bucket first, consistently. 1 RU for about 40 rows.
func (s *Inbox) Memberships(ctx context.Context, u chat.User, lowest, highest chat.Bucket, limit int) (rows []chat.Membership, complete bool, _ error) {
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
			rows = append(rows, membershipOf(it))
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

// Heads reads the conversations' heads, consistently, and the peers' rows. 1.5 RU a conversation.
func (s *Inbox) Heads(ctx context.Context, u chat.User, conversations []chat.ConversationID) (map[chat.ConversationID]*chat.Head, map[chat.ConversationID]chat.Membership, error) {
	heads := make(map[chat.ConversationID]*chat.Head, len(conversations))
	peers := make(map[chat.ConversationID]chat.Membership, len(conversations))
	const perCall = maxBatchKeys / 2
	for len(conversations) > 0 {
		batch := conversations[:min(perCall, len(conversations))]
		conversations = conversations[len(batch):]
		var headKeys, peerKeys []item
		for _, c := range batch {
			peer, _ := c.Peer(u)
			headKeys = append(headKeys, headKey(c))
			peerKeys = append(peerKeys, memberKey(peer, c))
		}
		err := batchGet(ctx, s.db, map[string]types.KeysAndAttributes{
			s.tables.Conversations: {Keys: headKeys, ConsistentRead: aws.Bool(true)},
			s.tables.Members:       {Keys: peerKeys},
		}, func(table string, it item) {
			c := chat.ConversationID(textOf(it, "conversation"))
			if table == s.tables.Conversations {
				heads[c] = headOf(it)
			} else {
				peers[c] = membershipOf(it)
			}
		})
		if err != nil {
			return nil, nil, fmt.Errorf("read heads for %s: %w", u, err)
		}
	}
	return heads, peers, nil
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
			m := messageOf(it)
			found[m.Conversation] = m
		})
		if err != nil {
			return nil, fmt.Errorf("read last messages: %w", err)
		}
	}
	return found, nil
}
