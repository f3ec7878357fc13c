package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/store"
	"github.com/duet-chat/duet/internal/store/storetest"
)

const coral = "com.amazonaws.dynamodb.v20120810#"

func failing(status int, errorType, more string) *answer {
	return &answer{status, fmt.Sprintf(`{"__type":%q,"message":"no"%s}`, errorType, more)}
}

func reasons(codes ...string) string {
	list := make([]map[string]any, len(codes))
	for i, code := range codes {
		list[i] = map[string]any{"Code": code}
	}
	j, _ := json.Marshal(list) // strings: cannot fail
	return `,"CancellationReasons":` + string(j)
}

// What DynamoDB says of a failed transaction has a name, so that a sender knows whether something
// was written; what is not known to be undone may have been done.
func TestAppendNamesWhyItFailed(t *testing.T) {
	const cancelled = coral + "TransactionCanceledException"
	tests := []struct {
		name   string
		answer *answer
		is     error // nil: none of a sender's errors
		lost   bool
	}{
		{"another transaction", failing(400, cancelled, reasons("TransactionConflict", "None")), chat.ErrBusy, false},
		{"throttled table", failing(400, cancelled, reasons("None", "ThrottlingError")), chat.ErrBusy, false},
		{"throughput exceeded", failing(400, cancelled, reasons("None", "ProvisionedThroughputExceeded")), chat.ErrBusy, false},
		{"the head says more than a conflict", failing(400, cancelled, reasons("ConditionalCheckFailed", "TransactionConflict")), nil, true},
		{"the same transaction is in progress", failing(400, coral+"TransactionInProgressException", ""), chat.ErrBusy, false},
		{"throttled request", failing(400, "com.amazon.coral.availability#ThrottlingException", ""), chat.ErrBusy, false},
		{"request limit", failing(400, coral+"RequestLimitExceeded", ""), chat.ErrBusy, false},
		{"no throughput left", failing(400, coral+"ProvisionedThroughputExceededException", ""), chat.ErrBusy, false},
		{"item too large", failing(400, cancelled, reasons("ValidationError", "None")), nil, false},
		{"internal error", failing(500, coral+"InternalServerError", ""), nil, false},
		{"no permission", failing(400, coral+"AccessDeniedException", ""), nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // nothing may wait between tries
				calls := 0
				e := &engine{between: func(string, []byte) *answer { calls++; return tt.answer }}
				conversations := store.NewConversations(e.config(), store.ConversationTables{Conversations: "c", Members: "m", Messages: "l", Users: "u"}, time.Now)
				err := conversations.Append(t.Context(), chat.Attempt{Message: chat.Message{Conversation: "alice~bob", Seq: 2, From: "alice", Device: "a1", N: 2}})
				var lost *chat.Lost
				if err == nil || errors.As(err, &lost) != tt.lost {
					t.Fatalf("Append = %v, lost should be %v", err, tt.lost)
				}
				if got := errors.Is(err, chat.ErrBusy); got != (tt.is == chat.ErrBusy) {
					t.Errorf("Append = %v, want %v", err, tt.is)
				}
				if calls != 1 {
					t.Errorf("Append made %d requests, want one: its caller tries again", calls)
				}
				if errors.Is(err, chat.ErrUnknownUser) {
					t.Errorf("Append = %v: nobody said so", err)
				}
			})
		})
	}
}

func newInbox(tables storetest.Tables) *store.Inbox {
	return store.NewInbox(tables.AWS, store.InboxTables{Conversations: tables.Conversations, Members: tables.Members, Messages: tables.Messages}, time.Now)
}

// A throttled table answers a part: the rest is asked for again.
func TestBatchesAskAgainForUnprocessedKeys(t *testing.T) {
	e := newEngine(t)
	tables := e.tables(t)
	users, conversations := stores(tables)
	places := map[chat.ConversationID]int64{}
	for i := range 10 {
		peer := chat.User(fmt.Sprint("peer", i))
		m := chat.Message{Conversation: chat.Between("alice", peer), Seq: 1, From: "alice", Device: "a1", N: 1, Kind: chat.KindText, Text: "hi"}
		err := users.RegisterUser(t.Context(), peer, at)
		if err == nil {
			err = conversations.Append(t.Context(), chat.Attempt{Message: m, Create: true, FirstHere: true, Bucket: 1, EnterBucket: true})
		}
		if err != nil {
			t.Fatal(err)
		}
		places[m.Conversation] = 1
	}
	calls := 0
	e.between = func(target string, body []byte) *answer {
		if !strings.HasSuffix(target, "BatchGetItem") {
			return nil
		}
		calls++
		var in struct {
			RequestItems map[string]struct {
				Keys           []json.RawMessage
				ConsistentRead bool
			}
		}
		if err := json.Unmarshal(body, &in); err != nil {
			t.Fatal(err)
		}
		asked := in.RequestItems[tables.Messages]
		if !asked.ConsistentRead {
			t.Error("asked again without ConsistentRead")
		}
		rest := asked
		const perCall = 4
		asked.Keys, rest.Keys = asked.Keys[:min(perCall, len(asked.Keys))], asked.Keys[min(perCall, len(asked.Keys)):]
		in.RequestItems[tables.Messages] = asked
		part, _ := json.Marshal(in)
		status, response := e.db.Do(t.Context(), target, part)
		var out map[string]any
		if err := json.Unmarshal(response, &out); err != nil {
			t.Fatal(err)
		}
		if len(rest.Keys) > 0 {
			out["UnprocessedKeys"] = map[string]any{tables.Messages: rest}
		}
		response, _ = json.Marshal(out)
		return &answer{status, string(response)}
	}
	found, err := newInbox(tables).At(t.Context(), places)
	if err != nil || len(found) != 10 || calls != 3 {
		t.Errorf("At = %d messages after %d calls, %v, want 10 after 3", len(found), calls, err)
	}
}

// A table that stays throttled ends in an error, soon, and at once when the context ends.
func TestBatchesGiveUpBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		e := &engine{between: func(_ string, body []byte) *answer {
			calls++
			var in struct{ RequestItems json.RawMessage }
			_ = json.Unmarshal(body, &in)
			return &answer{200, `{"Responses":{},"UnprocessedKeys":` + string(in.RequestItems) + `}`}
		}}
		inbox := newInbox(storetest.Tables{AWS: e.config(), Conversations: "conversations", Members: "members", Messages: "messages"})
		start := time.Now()
		found, err := inbox.At(t.Context(), map[chat.ConversationID]int64{"alice~bob": 1})
		if err == nil || len(found) != 0 || calls != 6 {
			t.Errorf("At = %v, %v after %d calls, want an error after 6", found, err, calls)
		}
		if took, most := time.Since(start), 700*time.Millisecond; took > most {
			t.Errorf("it took %v to give up, want at most %v: there is nothing to wait for after the last call", took, most)
		}
	})
}

// A stream record is read back as the message that was written; what is no message is refused, not guessed.
func TestStreamRecordsAreMessages(t *testing.T) {
	image := func(change func(map[string]any)) string {
		it := map[string]any{
			"conversation": map[string]any{"S": "alice~bob"}, "seq": map[string]any{"N": "7"}, "from": map[string]any{"S": "alice"},
			"device": map[string]any{"S": "a1"}, "n": map[string]any{"N": "3"}, "kind": map[string]any{"S": "text"},
			"text": map[string]any{"S": "hé"}, "at": map[string]any{"N": "1790000000000"}, "reply_to": map[string]any{"N": "2"},
			"later": map[string]any{"M": map[string]any{"x": map[string]any{"BOOL": true}}},
		}
		change(it)
		j, _ := json.Marshal(map[string]any{"Records": []any{map[string]any{
			"eventName": "INSERT", "dynamodb": map[string]any{"SequenceNumber": "100000000000000000001", "NewImage": it},
		}}})
		return string(j)
	}
	set := func(name string, value any) func(map[string]any) { return func(it map[string]any) { it[name] = value } }
	tests := []struct {
		name  string
		event string
		ok    bool
	}{
		{"whole", image(func(map[string]any) {}), true},
		{"no conversation", image(func(it map[string]any) { delete(it, "conversation") }), false},
		{"no such conversation", image(set("conversation", map[string]any{"S": "alice"})), false},
		{"of a stranger", image(set("from", map[string]any{"S": "carol"})), false},
		{"no seq", image(func(it map[string]any) { delete(it, "seq") }), false},
		{"seq of another type", image(set("seq", map[string]any{"S": "7"})), false},
		{"seq that is no integer", image(set("seq", map[string]any{"N": "7.5"})), false},
	}
	want := chat.Message{Conversation: "alice~bob", Seq: 7, From: "alice", Device: "a1", N: 3, Kind: "text", Text: "hé", ReplyTo: 2, At: 1790000000000}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			event, err := store.DecodeStreamEvent([]byte(tt.event))
			if err != nil || len(event.Records) != 1 || !event.Records[0].IsNewMessage() {
				t.Fatalf("DecodeStreamEvent = %+v, %v", event, err)
			}
			got, err := event.Records[0].Message()
			if tt.ok && (err != nil || got != want) {
				t.Errorf("Message = %+v, %v, want %+v", got, err, want)
			}
			if !tt.ok && (err == nil || !strings.Contains(err.Error(), "100000000000000000001")) {
				t.Errorf("Message = %+v, %v, want an error that names the record", got, err)
			}
		})
	}
	if _, err := store.DecodeStreamEvent([]byte("nope")); err == nil {
		t.Error("an event that is not JSON was read")
	}
}
