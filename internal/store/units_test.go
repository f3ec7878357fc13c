package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/store"
	"github.com/duet-chat/duet/internal/store/storetest"
	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

// kilobyte is what one write unit writes. Source: DynamoDB developer guide, "Read and write operations".
const kilobyte = 1024

var (
	longUsers   = [2]chat.User{chat.User(strings.Repeat("a", chat.MaxNameBytes)), chat.User(strings.Repeat("b", chat.MaxNameBytes))}
	longestPair = chat.Between(longUsers[0], longUsers[1])
)

func longDevice(i int) chat.Device {
	return chat.Device(fmt.Sprintf("%s%02d", strings.Repeat("D", chat.MaxNameBytes-2), i))
}

func stores(tables storetest.Tables) (*store.Users, *store.Conversations) {
	return store.NewUsers(tables.AWS, tables.Users), store.NewConversations(tables.AWS, store.ConversationTables{
		Conversations: tables.Conversations, Members: tables.Members, Messages: tables.Messages, Users: tables.Users,
	}, time.Now)
}

// size is the size of an item as DynamoDB counts it.
func (e *engine) size(t testing.TB, table, key string) int {
	t.Helper()
	status, response := e.db.Do(t.Context(), "DynamoDB_20120810.GetItem", fmt.Appendf(nil, `{"TableName":%q,"Key":%s}`, table, key))
	var out struct{ Item json.RawMessage }
	if err := json.Unmarshal(response, &out); err != nil || status != 200 || out.Item == nil {
		t.Fatalf("item %s of %s: %d %s", key, table, status, response)
	}
	it, err := attr.DecodeItem(out.Item)
	if err != nil {
		t.Fatal(err)
	}
	return attr.Size(it)
}

// The conversation's item and a message of 700 bytes stay within one write unit, whatever the
// names: this is what the budget of docs/guarantees.md stands on.
func TestItemsStayWithinOneWriteUnit(t *testing.T) {
	e := newEngine(t)
	tables := e.tables(t)
	users, conversations := stores(tables)
	if err := errors.Join(users.RegisterUser(t.Context(), longUsers[0], at), users.RegisterUser(t.Context(), longUsers[1], at)); err != nil {
		t.Fatal(err)
	}
	// The sender does not care how far the log is, so the numbers can be of the most digits.
	const high = int64(math.MaxInt32)
	for i := range chat.MaxTails {
		a := chat.Attempt{
			Message: chat.Message{
				Conversation: longestPair, Seq: high + int64(i), From: longUsers[i%2], Device: longDevice(i), N: high, Kind: chat.KindText,
				Text: strings.Repeat("x", 700), At: at.UnixMilli(), ReplyTo: high, Until: at.Unix(),
			},
			PerMinute: chat.MaxTails,
			Create:    i == 0, FirstHere: true, Bucket: 20000, EnterBucket: i == 0,
		}
		if i == chat.MaxTails-1 {
			a.Park = &chat.ParkedTail{Key: chat.NewTailKey(longUsers[1], "nobody"), Tail: chat.Tail{N: 1, Seq: 1}}
		}
		if err := conversations.Append(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	head, err := conversations.Head(t.Context(), longestPair)
	if err != nil || len(head.Tails) != chat.MaxTails || !head.Parked {
		t.Fatalf("head = %+v, %v, want %d tails and one parked", head, err, chat.MaxTails)
	}
	if n := e.size(t, tables.Conversations, fmt.Sprintf(`{"conversation":{"S":%q}}`, longestPair)); n > kilobyte {
		t.Errorf("the conversation's item has %d bytes, want at most %d", n, kilobyte)
	} else {
		t.Logf("the conversation's item has %d bytes", n)
	}
	if n := e.size(t, tables.Messages, fmt.Sprintf(`{"conversation":{"S":%q},"seq":{"N":"%d"}}`, longestPair, high)); n > kilobyte {
		t.Errorf("a message of 700 bytes has %d bytes, want at most %d", n, kilobyte)
	} else {
		t.Logf("a message of 700 bytes has %d bytes", n)
	}
}

// What each kind of append takes, as its doc comment says.
func TestAppendTakesItsWriteUnits(t *testing.T) {
	e := newEngine(t)
	tables := e.tables(t)
	users, conversations := stores(tables)
	if err := errors.Join(users.RegisterUser(t.Context(), "alice", at), users.RegisterUser(t.Context(), "bob", at)); err != nil {
		t.Fatal(err)
	}
	message := func(seq int64, device chat.Device, n int64) chat.Message {
		return chat.Message{
			Conversation: "alice~bob", Seq: seq, From: "alice", Device: device, N: n, Kind: chat.KindText,
			Text: strings.Repeat("x", 700), At: at.UnixMilli(),
		}
	}
	tests := []struct {
		name string
		a    chat.Attempt
		want float64
		lost bool
	}{
		{"the first message of a conversation", chat.Attempt{Message: message(1, "a1", 1), Create: true, FirstHere: true, NothingParked: true, Bucket: 10, EnterBucket: true}, 14, false},
		{"a message", chat.Attempt{Message: message(2, "a1", 2), Bucket: 10}, 4, false},
		{"a device's first", chat.Attempt{Message: message(3, "a2", 1), FirstHere: true, Bucket: 10}, 4, false},
		{"the first one of a day", chat.Attempt{Message: message(4, "a1", 3), Bucket: 11, EnterBucket: true}, 16, false},
		{"with a tail parked", chat.Attempt{
			Message: message(5, "a3", 1), FirstHere: true, Bucket: 11, Park: &chat.ParkedTail{Key: "alice/a2", Tail: chat.Tail{N: 1, Seq: 3}},
		}, 6, false},
		{"a lost one", chat.Attempt{Message: message(9, "a1", 4), Bucket: 11}, 4, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			units := func() map[string]float64 {
				return map[string]float64{
					"conversations": e.written(tables.Conversations), "members": e.written(tables.Members),
					"messages": e.written(tables.Messages), "users": e.written(tables.Users),
				}
			}
			before := units()
			var lost *chat.Lost
			if err := conversations.Append(t.Context(), tt.a); errors.As(err, &lost) != tt.lost || err != nil && !tt.lost {
				t.Fatal(err)
			}
			total, each := 0.0, units()
			for table := range each {
				each[table] -= before[table]
				total += each[table]
			}
			if total != tt.want {
				t.Errorf("%v write units (%v), want %v", total, each, tt.want)
			}
		})
	}
}

// Delivery looks a user's connections up for each batch: a few of them are one read unit.
func TestConnectionsTakeOneReadUnit(t *testing.T) {
	e := newEngine(t)
	tables := e.tables(t)
	connections := store.NewConnections(tables.AWS, tables.Connections)
	for i := range 25 {
		err := connections.Add(t.Context(), chat.Connection{
			User: "alice", ID: chat.ConnectionID(fmt.Sprintf("AbCdEfGhIjKlMn%02d=", i)), Device: longDevice(i),
			ConnectedAt: at.UnixMilli(), SessionEnd: at.Unix(),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := e.written(tables.Connections); got != 25 {
		t.Errorf("25 connections took %v write units, want 25", got)
	}
	before := e.read(tables.Connections)
	if found, err := connections.Of(t.Context(), "alice"); err != nil || len(found) != 25 {
		t.Fatalf("Of = %d connections, %v", len(found), err)
	}
	if got := e.read(tables.Connections) - before; got != 1 {
		t.Errorf("reading 25 connections took %v read units, want 1", got)
	}
}
