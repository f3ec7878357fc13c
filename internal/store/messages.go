package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/duet-chat/duet/internal/chat"
)

// Messages reads the logs of conversations.
type Messages struct {
	db    *dynamodb.Client
	table string
	now   func() time.Time
}

// NewMessages makes the store of the messages in a table. Messages whose retention has ended by now
// are passed over: DynamoDB removes them only days later.
func NewMessages(cfg aws.Config, table string, now func() time.Time) *Messages {
	return &Messages{db: client(cfg), table: table, now: now}
}

func messageItem(m chat.Message) item {
	it := item{
		"conversation": str(string(m.Conversation)),
		"seq":          num(m.Seq),
		"from":         str(string(m.From)),
		"device":       str(string(m.Device)),
		"n":            num(m.N),
		"kind":         str(string(m.Kind)),
		"at":           num(m.At),
	}
	for name, value := range map[string]string{"text": m.Text, "emoji": m.Emoji} {
		if value != "" {
			it[name] = str(value)
		}
	}
	for name, value := range map[string]int64{"target": m.Target, "reply_to": m.ReplyTo, "ttl": m.Until} {
		if value > 0 {
			it[name] = num(value)
		}
	}
	return it
}

func messageOf(it item) chat.Message {
	return chat.Message{
		Conversation: chat.ConversationID(textOf(it, "conversation")),
		Seq:          numberOf(it, "seq"),
		From:         chat.User(textOf(it, "from")),
		Device:       chat.Device(textOf(it, "device")),
		N:            numberOf(it, "n"),
		Kind:         chat.Kind(textOf(it, "kind")),
		Text:         textOf(it, "text"),
		Target:       numberOf(it, "target"),
		Emoji:        textOf(it, "emoji"),
		ReplyTo:      numberOf(it, "reply_to"),
		Edited:       numberOf(it, "edited"),
		Unsent:       numberOf(it, "unsent"),
		At:           numberOf(it, "at"),
		Until:        numberOf(it, "ttl"),
	}
}

// Entries reads at most limit entries with first <= seq <= last consistently, in ascending
// order or, descending, from the end. 1 RU for each 4 KB read.
func (s *Messages) Entries(ctx context.Context, c chat.ConversationID, first, last int64, limit int, descending bool) ([]chat.Message, error) {
	if first > last {
		return nil, nil
	}
	var found []chat.Message
	in := &dynamodb.QueryInput{
		TableName:              &s.table,
		KeyConditionExpression: aws.String("conversation = :c AND seq BETWEEN :first AND :last"),
		ExpressionAttributeValues: item{
			":c": str(string(c)), ":first": num(first), ":last": num(last),
		},
		ConsistentRead:   aws.Bool(true),
		ScanIndexForward: aws.Bool(!descending),
	}
	for {
		// limit is at most a few hundred.
		in.Limit = aws.Int32(int32(limit - len(found)))
		out, err := s.db.Query(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("read messages %d to %d of %s: %w", first, last, c, err)
		}
		for _, it := range out.Items {
			if m := messageOf(it); !m.Expired(s.now().Unix()) {
				found = append(found, m)
			}
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
		if len(in.ExclusiveStartKey) == 0 || len(found) >= limit {
			return found, nil
		}
	}
}

// StreamEvent is what the event source mapping of the messages' stream hands to its function.
type StreamEvent struct {
	Records []StreamRecord `json:"Records"`
}

// StreamRecord is one change of the messages' table.
type StreamRecord struct {
	EventName string `json:"eventName"`
	Change    struct {
		SequenceNumber string `json:"SequenceNumber"`
		NewImage       struct {
			Conversation text   `json:"conversation"`
			Seq          number `json:"seq"`
			From         text   `json:"from"`
			Device       text   `json:"device"`
			N            number `json:"n"`
			Kind         text   `json:"kind"`
			Text         text   `json:"text"`
			Target       number `json:"target"`
			Emoji        text   `json:"emoji"`
			ReplyTo      number `json:"reply_to"`
			At           number `json:"at"`
		} `json:"NewImage"`
	} `json:"dynamodb"`
}

// text and number are attribute values as they stand in a stream's record.
type (
	text   struct{ S string }
	number struct{ N string }
)

// integer is 0 for what is no integer: this package writes none such.
func (n number) integer() int64 {
	i, _ := strconv.ParseInt(n.N, 10, 64)
	return i
}

// IsNewMessage tells whether the record is of a message that was appended.
func (r *StreamRecord) IsNewMessage() bool { return r.EventName == "INSERT" }

// Message reads the message that was appended. An error says that no such message was ever
// written by this package.
func (r *StreamRecord) Message() (chat.Message, error) {
	image := &r.Change.NewImage
	c, err := chat.ParseConversation(image.Conversation.S)
	if err != nil {
		return chat.Message{}, fmt.Errorf("stream record %s: %w", r.Change.SequenceNumber, err)
	}
	m := chat.Message{
		Conversation: c, Seq: image.Seq.integer(), From: chat.User(image.From.S), Device: chat.Device(image.Device.S),
		N: image.N.integer(), Kind: chat.Kind(image.Kind.S), Text: image.Text.S, Target: image.Target.integer(), Emoji: image.Emoji.S,
		ReplyTo: image.ReplyTo.integer(), At: image.At.integer(),
	}
	if _, ok := c.Peer(m.From); !ok || m.Seq < 1 {
		return chat.Message{}, fmt.Errorf("stream record %s: seq %d of %s from %q is not a message", r.Change.SequenceNumber, m.Seq, c, m.From)
	}
	return m, nil
}

// DecodeStreamEvent reads an invocation's event.
func DecodeStreamEvent(event []byte) (StreamEvent, error) {
	var e StreamEvent
	if err := json.Unmarshal(event, &e); err != nil {
		return StreamEvent{}, fmt.Errorf("stream event: %w", err)
	}
	return e, nil
}
