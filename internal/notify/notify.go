// Package notify tells an EventBridge bus of messages whose recipient has no connection, so that
// somebody can make push notifications of them.
package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/duet-chat/duet/internal/chat"
)

// Names of the events, by which rules select them.
const (
	Source     = "duet"
	DetailType = "message waiting"
)

// Waiting is an event's detail.
type Waiting struct {
	To           string `json:"to"`
	From         string `json:"from"`
	Conversation string `json:"conversation"`
	Seq          int64  `json:"seq"`
	At           int64  `json:"at"` // Unix milliseconds
	ReplyTo      int64  `json:"reply_to,omitempty"`
	Text         string `json:"text,omitempty"` // only if it is switched on
}

// Bus sends events.
type Bus struct {
	api      *eventbridge.Client
	name     string
	withText bool
}

// New makes the sender to a bus, by its name or ARN. Texts leave Duet only withText.
func New(cfg aws.Config, bus string, withText bool) *Bus {
	return &Bus{api: eventbridge.NewFromConfig(cfg), name: bus, withText: withText}
}

// perCall is PutEvents' limit. Source: EventBridge quotas. Ten of the longest texts are below its
// 256 KB.
const perCall = 10

// Notify sends one event for each message, which waits for its recipient. An error says how many
// were not taken; they are not sent again, since a notification that comes late is worse than none.
func (b *Bus) Notify(ctx context.Context, messages []chat.Message) error {
	var errs []error
	for len(messages) > 0 {
		batch := messages[:min(perCall, len(messages))]
		messages = messages[len(batch):]
		in := &eventbridge.PutEventsInput{}
		for _, m := range batch {
			to, _ := m.Conversation.Peer(m.From)
			w := Waiting{
				To: string(to), From: string(m.From), Conversation: string(m.Conversation), Seq: m.Seq, At: m.At, ReplyTo: m.ReplyTo,
			}
			if b.withText {
				w.Text = m.Text
			}
			detail, err := json.Marshal(w)
			if err != nil {
				return fmt.Errorf("encode event: %w", err)
			}
			in.Entries = append(in.Entries, types.PutEventsRequestEntry{
				EventBusName: &b.name, Source: aws.String(Source), DetailType: aws.String(DetailType), Detail: aws.String(string(detail)),
			})
		}
		out, err := b.api.PutEvents(ctx, in)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("send %d events: %w", len(batch), err))
		case out.FailedEntryCount > 0:
			errs = append(errs, fmt.Errorf("%d of %d events were not taken: %s", out.FailedEntryCount, len(batch), firstReason(out.Entries)))
		}
	}
	return errors.Join(errs...)
}

func firstReason(entries []types.PutEventsResultEntry) string {
	for _, e := range entries {
		if e.ErrorCode != nil {
			return *e.ErrorCode + ": " + aws.ToString(e.ErrorMessage)
		}
	}
	return "no reason given"
}
