// Package deliver is the Lambda behind the messages' stream: it posts what was appended to the
// connections of both users, or leaves it for their next sync (G5, G6).
package deliver

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/notify"
	"github.com/duet-chat/duet/internal/post"
	"github.com/duet-chat/duet/internal/store"
)

// New builds the function. PUSH_BUS is the event bus that is told of messages whose recipient has no
// connection, none if it is empty; PUSH_TEXT "true" sends their text as well.
func New(env function.Env) (lambda.Handler, error) {
	v, err := env.Require("CONNECTIONS_TABLE", "CALLBACK_URL")
	if err != nil {
		return nil, err
	}
	courier := &Courier{
		Connections: store.NewConnections(env.AWS, v["CONNECTIONS_TABLE"]),
		Gateway:     post.New(env.AWS, v["CALLBACK_URL"]),
		Now:         env.Now,
		Log:         env.Log,
	}
	if bus := env.Getenv("PUSH_BUS"); bus != "" {
		courier.Notifier = notify.New(env.AWS, bus, env.Getenv("PUSH_TEXT") == "true")
	}
	return &handler{env: env, courier: courier}, nil
}

type handler struct {
	env     function.Env
	courier *Courier
}

// response reports the records that failed. Of a stream's batch Lambda retries everything from
// the lowest one on. Source: Lambda developer guide, "Reporting batch item failures".
type response struct {
	Failures []failure `json:"batchItemFailures"`
}

type failure struct {
	SequenceNumber string `json:"itemIdentifier"`
}

// Invoke implements lambda.Handler. It returns an error only for an event that cannot be read, and
// for a batch of several records at whose head stands one that never can be: what Lambda does with
// such a batch when that record is reported is not documented, but one that fails as a whole it
// bisects, which isolates the record in a few invocations and uses up none of the others' retries.
// Elsewhere in a batch the record is reported, which brings it to the head of the next one.
// Failures that may pass are always reported: bisecting would not help them.
// Source: Lambda developer guide, "Retain discarded records for a DynamoDB event source".
func (h *handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	event, err := store.DecodeStreamEvent(payload)
	if err != nil {
		return nil, err
	}
	failed, poison := h.deliver(ctx, event.Records)
	if poison != nil && len(event.Records) > 1 {
		return nil, fmt.Errorf("the first of %d records is no message: %w", len(event.Records), poison)
	}
	out := response{Failures: []failure{}}
	if failed != "" {
		out.Failures = append(out.Failures, failure{failed})
	}
	return json.Marshal(out)
}

// deliver delivers what can be read of a batch and returns the lowest stream sequence number that
// must come again, "" for none, and why the first record cannot be read, nil if it can. The others
// do not wait until that record is given up: they are delivered now, and again later (G7, G10).
func (h *handler) deliver(ctx context.Context, records []store.StreamRecord) (failed string, poison error) {
	messages := make([]chat.Message, 0, len(records))
	sequences := make([]string, 0, len(records))
	fail := func(sequence string, err error) {
		h.env.Log.ErrorContext(ctx, "record failed", "sequence", sequence, "error", err)
		if failed == "" || less(sequence, failed) {
			failed = sequence
		}
	}
	for i := range records {
		r := &records[i]
		if !r.IsNewMessage() {
			continue
		}
		m, err := r.Message()
		if err != nil {
			if i == 0 {
				poison = err
			}
			fail(r.Change.SequenceNumber, err)
			continue
		}
		messages = append(messages, m)
		sequences = append(sequences, r.Change.SequenceNumber)
	}
	for i, err := range h.courier.Deliver(ctx, messages) {
		if err != nil {
			fail(sequences[i], fmt.Errorf("deliver %s %d: %w", messages[i].Conversation, messages[i].Seq, err))
		}
	}
	return failed, poison
}

// less orders stream sequence numbers, decimal strings of numbers beyond 64 bits.
func less(a, b string) bool {
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return strings.Compare(a, b) < 0
}
