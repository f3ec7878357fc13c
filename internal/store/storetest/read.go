package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/internal/chat"
)

// messageItems are messages of a conversation as the store keeps them, of so many bytes of text.
func messageItems(c chat.ConversationID, count, bytes int) []item {
	var items []item
	for seq := 1; seq <= count; seq++ {
		items = append(items, item{
			"conversation": str(string(c)), "seq": num(seq), "from": str("alice"), "device": str("a1"), "n": num(seq),
			"kind": str("text"), "text": str(strings.Repeat("x", bytes)), "at": num(at + seq),
		})
	}
	return items
}

func seqs(messages []chat.Message) []int64 {
	var all []int64
	for _, m := range messages {
		all = append(all, m.Seq)
	}
	return all
}

func entries(t *testing.T, s *suite) {
	s.putAll(t, s.Messages, messageItems(ab, 12, 10))
	s.putAll(t, s.Messages, messageItems("alice~bobby", 3, 10))
	const all = 1<<53 - 1
	tests := []struct {
		first, last int64
		limit       int
		descending  bool
		want        []int64
	}{
		{1, all, 100, false, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
		{1, all, 3, false, []int64{1, 2, 3}},
		{9, all, 3, false, []int64{9, 10, 11}}, // by number, not by text
		{4, 6, 100, false, []int64{4, 5, 6}},
		{12, 12, 1, false, []int64{12}},
		{13, all, 5, false, nil},
		{5, 4, 5, false, nil},
		{1, 0, 5, true, nil},
		{1, all, 3, true, []int64{12, 11, 10}},
		{1, 10, 3, true, []int64{10, 9, 8}},
		{1, 2, 100, true, []int64{2, 1}},
	}
	for _, tt := range tests {
		got, err := s.conversations.Entries(t.Context(), ab, tt.first, tt.last, tt.limit, tt.descending)
		if err != nil || !slices.Equal(seqs(got), tt.want) {
			t.Errorf("Entries(%d to %d, %d, descending %v) = %v, %v, want %v", tt.first, tt.last, tt.limit, tt.descending, seqs(got), err, tt.want)
		}
	}
}

// DynamoDB reads at most 1 MB at once: a page over it is made of several reads.
func entriesOverOneMegabyte(t *testing.T, s *suite) {
	const count = 300
	s.putAll(t, s.Messages, messageItems(ab, count, 4096))
	for _, descending := range []bool{false, true} {
		got, err := s.conversations.Entries(t.Context(), ab, 1, 1000, count-1, descending)
		if err != nil || len(got) != count-1 {
			t.Fatalf("Entries = %d messages, %v, want %d", len(got), err, count-1)
		}
		for i, m := range got {
			want := int64(i + 1)
			if descending {
				want = int64(count - i)
			}
			if m.Seq != want {
				t.Fatalf("message %d has seq %d, want %d", i, m.Seq, want)
			}
		}
	}
}

func connections(t *testing.T, s *suite) {
	ctx := t.Context()
	of := func(u chat.User, want ...chat.Connection) {
		t.Helper()
		got, err := s.connections.Of(ctx, u)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("connections of %s: %v (-want +got)\n%s", u, err, diff)
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	behind := func(id chat.ConnectionID, wantBehind, wantKnown bool) {
		t.Helper()
		if isBehind, known, err := s.connections.IsBehind(ctx, "alice", id); err != nil || isBehind != wantBehind || known != wantKnown {
			t.Fatalf("IsBehind(%s) = %v, %v, %v, want %v, %v", id, isBehind, known, err, wantBehind, wantKnown)
		}
	}
	a1 := chat.Connection{User: "alice", ID: "A1=", Device: "phone", ConnectedAt: at, SessionEnd: at/1000 + 3600}
	a2 := chat.Connection{User: "alice", ID: "A2=", Device: "web", ConnectedAt: at + 5, SessionEnd: at/1000 + 60}
	b1 := chat.Connection{User: "bob", ID: "B1=", Device: "phone", ConnectedAt: at, SessionEnd: at/1000 + 3600}
	of("alice")
	behind("A1=", false, false)
	for _, c := range []chat.Connection{a1, a2, b1} {
		do(s.connections.Add(ctx, c))
	}
	of("alice", a1, a2)
	of("bob", b1)
	of("alic")

	behind("A1=", false, true)
	do(s.connections.MarkBehind(ctx, "alice", "A1="))
	do(s.connections.MarkBehind(ctx, "alice", "A1="))
	behind("A1=", true, true)
	marked := a1
	marked.Behind = true
	of("alice", marked, a2)
	do(s.connections.ClearBehind(ctx, "alice", "A1="))
	do(s.connections.ClearBehind(ctx, "alice", "A1="))
	of("alice", a1, a2)

	do(s.connections.Remove(ctx, "alice", "A1="))
	do(s.connections.Remove(ctx, "alice", "A1="))
	of("alice", a2)
	// One that is gone stays gone: a late note about it makes no row.
	do(s.connections.MarkBehind(ctx, "alice", "A1="))
	do(s.connections.ClearBehind(ctx, "alice", "A1="))
	do(s.connections.MarkBehind(ctx, "carol", "A2="))
	of("alice", a2)
	of("carol")
	behind("A1=", false, false)

	// TTL removes the row for certain only after API Gateway has ended the connection.
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.Connections, Key: item{"user": str("bob"), "connection": str("B1=")}})
	if err != nil {
		t.Fatal(err)
	}
	var ttl int64
	if _, err := fmt.Sscanf(fmt.Sprint(plain(out.Item["ttl"])), "number %d", &ttl); err != nil {
		t.Fatal(err)
	}
	if end := at/1000 + int64(chat.MaxConnectionAge/time.Second); ttl <= end || ttl > end+3600 {
		t.Errorf("ttl = %d, want soon after %d", ttl, end)
	}
}

func users(t *testing.T, s *suite) {
	registered := func(u chat.User, want bool) {
		t.Helper()
		if got, err := s.users.IsRegistered(t.Context(), u); err != nil || got != want {
			t.Fatalf("IsRegistered(%s) = %v, %v, want %v", u, got, err, want)
		}
	}
	registered("alice", false)
	s.register(t, "alice")
	registered("alice", true)
	registered("alic", false)
	before := s.everything(t)
	if err := s.users.RegisterUser(t.Context(), "alice", time.UnixMilli(at+99999)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, s.everything(t)); diff != "" {
		t.Errorf("who is registered already has changed (-before +after)\n%s", diff)
	}
}
