package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/internal/chat"
)

// peers are alice's conversations with numbered users.
func peers(count int) []chat.ConversationID {
	var all []chat.ConversationID
	for i := range count {
		all = append(all, chat.Between("alice", chat.User(fmt.Sprintf("u%04d", i))))
	}
	return all
}

func memberItem(u chat.User, c chat.ConversationID, bucket chat.Bucket) item {
	return item{"user": str(string(u)), "conversation": str(string(c)), "bucket": num(bucket)}
}

// active: a page ends between buckets, so that whoever reads it knows every row of the buckets
// in it, and reading on from there finds every row once.
func active(t *testing.T, s *suite) {
	layout := []struct {
		bucket chat.Bucket
		rows   int
	}{{30, 5}, {29, 250}, {28, 1}, {20, 100}, {19, 99}, {7, 3}, {1, 1}}
	ids := peers(459)
	var items []item
	buckets := map[chat.ConversationID]chat.Bucket{}
	for _, l := range layout {
		for range l.rows {
			c := ids[len(items)]
			items = append(items, memberItem("alice", c, l.bucket))
			buckets[c] = l.bucket
		}
	}
	items = append(items, memberItem("alicia", "alicia~bob", 30))
	s.putAll(t, s.Members, items)
	count := func(lowest, highest chat.Bucket) (n int) {
		for _, b := range buckets {
			if lowest <= b && (highest == 0 || b <= highest) {
				n++
			}
		}
		return n
	}
	for _, tt := range []struct {
		lowest chat.Bucket
		limit  int
	}{{0, 100}, {0, 1}, {0, 6}, {0, 5000}, {20, 100}, {31, 100}, {29, 300}} {
		t.Run(fmt.Sprintf("from %d, limit %d", tt.lowest, tt.limit), func(t *testing.T) {
			seen := map[chat.ConversationID]bool{}
			highest := chat.Bucket(0)
			for pages := 0; ; pages++ {
				rows, complete, err := s.inbox.Active(t.Context(), "alice", tt.lowest, highest, tt.limit)
				if err != nil || pages > len(layout) {
					t.Fatalf("page %d: %v", pages, err)
				}
				if !slices.IsSortedFunc(rows, func(a, b chat.Row) int { return int(b.Bucket - a.Bucket) }) {
					t.Error("the newest bucket does not come first")
				}
				for _, row := range rows {
					if buckets[row.Conversation] != row.Bucket || seen[row.Conversation] {
						t.Fatalf("row %+v is wrong, or came twice", row)
					}
					seen[row.Conversation] = true
				}
				if complete {
					break
				}
				if len(rows) < tt.limit {
					t.Fatalf("%d rows and not complete, want at least %d", len(rows), tt.limit)
				}
				last := rows[len(rows)-1].Bucket
				if want := count(last, highest); len(rows) != want {
					t.Fatalf("%d rows down to bucket %d, want all %d of these buckets", len(rows), last, want)
				}
				highest = last - 1
			}
			if want := count(tt.lowest, 0); len(seen) != want {
				t.Errorf("%d rows in all, want %d", len(seen), want)
			}
		})
	}
	if rows, complete, err := s.inbox.Active(t.Context(), "alice", 20, 19, 100); err != nil || !complete || len(rows) != 0 {
		t.Errorf("an empty range = %v, %v, %v", rows, complete, err)
	}
	if rows, complete, err := s.inbox.Active(t.Context(), "nobody", 0, 0, 100); err != nil || !complete || len(rows) != 0 {
		t.Errorf("nobody's conversations = %v, %v, %v", rows, complete, err)
	}
}

// states of more conversations than one call reads.
func states(t *testing.T, s *suite) {
	ids := peers(120)
	var conversations, members []item
	want := map[chat.ConversationID]chat.State{}
	for i, c := range ids {
		peer, _ := c.Peer("alice")
		state := chat.State{
			Own:  chat.Membership{Conversation: c, Bucket: 10},
			Peer: chat.Membership{Conversation: c, Bucket: 10, Read: int64(i + 1), Delivered: int64(i + 2), ReadTexts: 1, ChangedAt: at, Blocks: true},
		}
		row := memberItem(peer, c, 10)
		row["read"], row["delivered"], row["read_texts"], row["changed_at"] = num(i+1), num(i+2), num(1), num(at)
		row["blocks"] = &types.AttributeValueMemberBOOL{Value: true}
		members = append(members, row, memberItem("alice", c, 10))
		if i%10 != 3 { // otherwise it is just being committed
			conversations = append(conversations, item{
				"conversation": str(string(c)), "last_seq": num(i), "at": num(at + i), "bucket": num(10),
				"texts_a": num(7), "saw_b": num(5), "shut": &types.AttributeValueMemberSS{Value: []string{"blocked_by_b", "gone_a"}},
			})
			state.Head = &chat.Head{
				LastSeq: int64(i), At: int64(at + i), Bucket: 10, Tails: map[chat.TailKey]chat.Tail{},
				Texts: [2]int64{7, 0}, Saw: [2]int64{0, 5}, Shut: chat.Shut{Blocked: [2]bool{false, true}, Gone: [2]bool{true, false}},
			}
		}
		want[c] = state
	}
	s.putAll(t, s.Conversations, conversations)
	s.putAll(t, s.Members, members)
	got, err := s.inbox.States(t.Context(), "alice", ids)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("states: %v (-want +got)\n%s", err, diff)
	}
	if got, err = s.inbox.States(t.Context(), "alice", nil); err != nil || len(got) != 0 {
		t.Errorf("states of nothing = %v, %v", got, err)
	}
}

// lastMessages of more conversations than one call reads.
func lastMessages(t *testing.T, s *suite) {
	places := map[chat.ConversationID]int64{}
	var items []item
	for i, c := range peers(150) {
		places[c] = 2
		if i%10 == 3 {
			continue // retention has removed it
		}
		items = append(items, messageItems(c, 3, 20)...)
	}
	s.putAll(t, s.Messages, items)
	got, err := s.inbox.At(t.Context(), places)
	if err != nil || len(got) != 135 {
		t.Fatalf("At = %d messages, %v, want 135", len(got), err)
	}
	for c, m := range got {
		if m.Conversation != c || m.Seq != 2 || m.N != 2 || m.From != "alice" {
			t.Errorf("At(%s) = %+v", c, m)
		}
	}
	if got, err := s.inbox.At(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("At of nothing = %v, %v", got, err)
	}
}
