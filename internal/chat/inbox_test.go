package chat_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duet-chat/duet/internal/chat"
)

// memIndex is alice's chat.Index in memory.
type memIndex struct {
	rows  []chat.Membership
	heads map[chat.ConversationID]*chat.Head
	peers map[chat.ConversationID]chat.Membership
	last  map[chat.ConversationID]chat.Message
	err   error
	asked int // rows read so far
}

func newMemIndex() *memIndex {
	return &memIndex{
		heads: map[chat.ConversationID]*chat.Head{}, peers: map[chat.ConversationID]chat.Membership{}, last: map[chat.ConversationID]chat.Message{},
	}
}

// add puts a conversation of alice's with a peer.
func (x *memIndex) add(peer chat.User, bucket chat.Bucket, head chat.Head) chat.ConversationID {
	c := chat.Between("alice", peer)
	head.Bucket = bucket
	x.rows = append(x.rows, chat.Membership{Conversation: c, Bucket: bucket})
	x.heads[c] = &head
	x.last[c] = chat.Message{Conversation: c, Seq: head.LastSeq, From: peer, Text: "last"}
	return c
}

func (x *memIndex) Active(_ context.Context, _ chat.User, lowest, highest chat.Bucket, limit int) ([]chat.Row, bool, error) {
	if x.err != nil {
		return nil, false, x.err
	}
	var rows []chat.Row
	for _, row := range x.rows {
		if row.Bucket >= lowest && (highest == 0 || row.Bucket <= highest) {
			rows = append(rows, chat.Row{Conversation: row.Conversation, Bucket: row.Bucket})
		}
	}
	slices.SortFunc(rows, func(a, b chat.Row) int {
		return cmp.Or(cmp.Compare(b.Bucket, a.Bucket), cmp.Compare(a.Conversation, b.Conversation))
	})
	for i := range rows {
		if i >= limit && rows[i].Bucket != rows[i-1].Bucket {
			x.asked += i
			return rows[:i], false, nil
		}
	}
	x.asked += len(rows)
	return rows, true, nil
}

func (x *memIndex) Changed(_ context.Context, _ chat.User, lowest chat.Bucket) ([]chat.ConversationID, error) {
	var found []chat.ConversationID
	for _, row := range x.rows {
		if at := max(row.ChangedAt, x.peers[row.Conversation].ChangedAt); at > 0 && chat.BucketAt(at) >= lowest {
			found = append(found, row.Conversation)
		}
	}
	x.asked += len(found)
	return found, x.err
}

func (x *memIndex) States(_ context.Context, _ chat.User, conversations []chat.ConversationID) (map[chat.ConversationID]chat.State, error) {
	states := map[chat.ConversationID]chat.State{}
	for _, row := range x.rows {
		if slices.Contains(conversations, row.Conversation) {
			states[row.Conversation] = chat.State{Head: x.heads[row.Conversation], Own: row, Peer: x.peers[row.Conversation]}
		}
	}
	return states, x.err
}

func (x *memIndex) At(_ context.Context, places map[chat.ConversationID]int64) (map[chat.ConversationID]chat.Message, error) {
	found := map[chat.ConversationID]chat.Message{}
	for c, seq := range places {
		if m, ok := x.last[c]; ok && m.Seq == seq {
			found[c] = m
		}
	}
	return found, nil
}

const dayMS = int64(24 * time.Hour / time.Millisecond)

// listed are the peers of a page, in its order.
func listed(page []chat.Summary) string {
	var peers []chat.User
	for _, s := range page {
		peers = append(peers, s.Peer)
	}
	return fmt.Sprint(peers)
}

func TestInboxListsWhatChanged(t *testing.T) {
	const noon = 20000*dayMS + dayMS/2
	x := newMemIndex()
	x.add("bob", 20000, chat.Head{LastSeq: 5, At: noon})
	x.add("carol", 20000, chat.Head{LastSeq: 9, At: noon + 5})
	x.add("dave", 19999, chat.Head{LastSeq: 2, At: noon - dayMS})
	x.add("erin", 19990, chat.Head{LastSeq: 1, At: noon - 10*dayMS})
	// frank's first message is being committed: his row is there, his head is not.
	x.rows = append(x.rows, chat.Membership{Conversation: "alice~frank", Bucket: 20000})
	skew := chat.ClockSkew.Milliseconds()
	tests := []struct {
		name    string
		since   int64
		cursors map[chat.ConversationID]int64
		want    string
	}{
		{"everything, newest first", 0, nil, "[carol bob dave erin]"},
		{"since an hour ago", noon - dayMS/24, nil, "[carol bob]"},
		{"since yesterday", noon - 2*dayMS, nil, "[carol bob dave]"},
		{"changed within the clocks' difference before", noon + 5 + skew, nil, "[carol]"},
		{"changed just before that", noon + 6 + skew, nil, "[]"},
		{"nothing since", noon + dayMS, nil, "[]"},
		{"the device has everything of one", 0, map[chat.ConversationID]int64{"alice~carol": 9}, "[bob dave erin]"},
		{"the device has a part of one", 0, map[chat.ConversationID]int64{"alice~carol": 8, "alice~bob": 5}, "[carol dave erin]"},
		{"the device has more than there is", 0, map[chat.ConversationID]int64{"alice~carol": 99}, "[bob dave erin]"},
		{"a cursor of nothing", 0, map[chat.ConversationID]int64{"alice~zoe": 3}, "[carol bob dave erin]"},
		{"both", noon - dayMS/24, map[chat.ConversationID]int64{"alice~bob": 5}, "[carol]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := chat.Inbox{Index: x}
			page, more, err := in.Page(t.Context(), chat.Changes{User: "alice", Since: tt.since, Cursors: tt.cursors})
			if err != nil || more || listed(page) != tt.want {
				t.Errorf("Page = %s, more %v, %v, want %s", listed(page), more, err, tt.want)
			}
		})
	}
}

func TestInboxSummarizes(t *testing.T) {
	const noon = 20000*dayMS + dayMS/2
	tests := []struct {
		name      string
		head      chat.Head
		own, peer chat.Membership
		unread    int64
	}{
		{"nothing read, nothing written", chat.Head{LastSeq: 5, Texts: [2]int64{0, 5}}, chat.Membership{}, chat.Membership{}, 5},
		{"read in part", chat.Head{LastSeq: 5, Texts: [2]int64{0, 5}}, chat.Membership{Read: 3, Delivered: 4, ReadTexts: 3}, chat.Membership{Read: 1, Delivered: 2}, 2},
		{"read to the end", chat.Head{LastSeq: 5, Texts: [2]int64{0, 5}}, chat.Membership{Read: 5, ReadTexts: 5}, chat.Membership{}, 0},
		{"own message last", chat.Head{LastSeq: 5, Texts: [2]int64{1, 4}, Saw: [2]int64{4, 0}}, chat.Membership{Read: 2, ReadTexts: 2}, chat.Membership{}, 0},
		{"own message after what was read", chat.Head{LastSeq: 5, Texts: [2]int64{1, 4}, Saw: [2]int64{2, 1}}, chat.Membership{Read: 1, ReadTexts: 1}, chat.Membership{}, 2},
		{"read after the own message", chat.Head{LastSeq: 5, Texts: [2]int64{1, 4}, Saw: [2]int64{2, 1}}, chat.Membership{Read: 4, ReadTexts: 3}, chat.Membership{}, 1},
		{"reactions and edits do not count", chat.Head{LastSeq: 9, Texts: [2]int64{0, 2}}, chat.Membership{Read: 1, ReadTexts: 1}, chat.Membership{}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := newMemIndex()
			tt.head.At = noon
			c := x.add("bob", 20000, tt.head)
			x.rows[0].Read, x.rows[0].Delivered, x.rows[0].ReadTexts = tt.own.Read, tt.own.Delivered, tt.own.ReadTexts
			x.peers[c] = tt.peer
			in := chat.Inbox{Index: x}
			page, _, err := in.Page(t.Context(), chat.Changes{User: "alice"})
			if err != nil || len(page) != 1 {
				t.Fatalf("Page = %+v, %v", page, err)
			}
			last := x.last[c]
			want := chat.Summary{
				Conversation: c, Bucket: 20000, Peer: "bob", LastSeq: tt.head.LastSeq, At: noon, Read: tt.own.Read, Delivered: tt.own.Delivered,
				PeerRead: tt.peer.Read, PeerDelivered: tt.peer.Delivered, Unread: tt.unread, Last: page[0].Last,
			}
			if page[0] != want || page[0].Last == nil || *page[0].Last != last {
				t.Errorf("summary = %+v, want %+v with %+v", page[0], want, last)
			}
		})
	}
}

// Retention may have removed the last message: the summary stands without it.
func TestInboxWithoutLastMessage(t *testing.T) {
	x := newMemIndex()
	c := x.add("bob", 20000, chat.Head{LastSeq: 5, At: 20000 * dayMS})
	delete(x.last, c)
	in := chat.Inbox{Index: x}
	if page, _, err := in.Page(t.Context(), chat.Changes{User: "alice"}); err != nil || len(page) != 1 || page[0].Last != nil {
		t.Errorf("Page = %+v, %v, want a summary without a last message", page, err)
	}
}

func TestInboxReportsItsIndexsFaults(t *testing.T) {
	x := newMemIndex()
	x.err = errors.New("throttled")
	in := chat.Inbox{Index: x}
	if _, _, err := in.Page(t.Context(), chat.Changes{User: "alice"}); !errors.Is(err, x.err) {
		t.Errorf("Page = %v, want %v", err, x.err)
	}
}

// G5: pages, wherever they are cut, list every conversation that changed once, newest bucket
// first and newest activity first within one. Clocks of functions differ, so that a message may
// carry a time before the bucket in which it stands.
func TestG5_PagesLoseAndRepeatNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newMemIndex()
		want := map[chat.ConversationID]bool{}
		cursors := map[chat.ConversationID]int64{}
		const today = 20000
		since := rapid.SampledFrom([]int64{0, (today - 1) * dayMS, today*dayMS + dayMS/2}).Draw(t, "since")
		days := rapid.IntRange(1, 4).Draw(t, "days")
		for i := range rapid.IntRange(0, 330).Draw(t, "conversations") {
			bucket := chat.Bucket(today - rapid.IntRange(0, days-1).Draw(t, "day"))
			// Few different times, so that many conversations share theirs.
			head := chat.Head{LastSeq: int64(1 + i), At: int64(bucket)*dayMS + rapid.SampledFrom([]int64{-100, -1, 0, 1, dayMS / 2, dayMS - 1}).Draw(t, "at")}
			c := x.add(chat.User(fmt.Sprintf("u%03d", i)), bucket, head)
			if rapid.IntRange(0, 9).Draw(t, "known") == 0 {
				cursors[c] = head.LastSeq
			} else if since == 0 || head.At >= since-chat.ClockSkew.Milliseconds() {
				want[c] = true
			}
			// Receipts change on their own, in old conversations too.
			if rapid.IntRange(0, 9).Draw(t, "acknowledged") == 0 {
				at := rapid.Int64Range((today-3)*dayMS, (today+1)*dayMS-1).Draw(t, "when")
				if rapid.Bool().Draw(t, "by the peer") {
					x.peers[c] = chat.Membership{Conversation: c, ChangedAt: at}
				} else {
					x.rows[len(x.rows)-1].ChangedAt = at
				}
				if since > 0 && at >= since-chat.ClockSkew.Milliseconds() {
					want[c] = true
				}
			}
		}
		in := chat.Inbox{Index: x}
		q := chat.Changes{User: "alice", Since: since, Cursors: cursors}
		seen := map[chat.ConversationID]bool{}
		var before *chat.Summary
		for pages := 0; ; pages++ {
			if pages > 400 {
				t.Fatal("the pages do not end")
			}
			page, more, err := in.Page(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) > 100 || more && len(page) == 0 {
				t.Fatalf("a page of %d, more %v", len(page), more)
			}
			// The answer may be cut further, so that it fits into a frame.
			if len(page) > 1 {
				if fits := rapid.IntRange(1, len(page)).Draw(t, "fits"); fits < len(page) {
					page, more = page[:fits], true
				}
			}
			for i, s := range page {
				if seen[s.Conversation] {
					t.Fatalf("%s came twice", s.Conversation)
				}
				seen[s.Conversation] = true
				if before != nil && (s.Bucket > before.Bucket || s.Bucket == before.Bucket && s.At > before.At) {
					t.Fatalf("%+v came after %+v", s, *before)
				}
				before = &page[i]
			}
			if !more {
				break
			}
			q.After = page[len(page)-1].Place()
		}
		if !maps.Equal(seen, want) {
			for c := range want {
				if !seen[c] {
					t.Errorf("%s (bucket %d, at %d) is missing", c, x.heads[c].Bucket, x.heads[c].At)
				}
			}
			t.Fatalf("%d conversations in all pages, want %d", len(seen), len(want))
		}
	})
}

// A conversation that gets a message between two pages may be left out of the later ones: it is
// delivered live, and the next sync asks from the first page's time on. The others are not affected.
func TestG8_MessagesBetweenPages(t *testing.T) {
	const noon = 20000*dayMS + dayMS/2
	x := newMemIndex()
	for i := range 250 {
		x.add(chat.User(fmt.Sprintf("u%03d", i)), 20000, chat.Head{LastSeq: 1, At: noon - int64(i)})
	}
	in := chat.Inbox{Index: x}
	first, more, err := in.Page(t.Context(), chat.Changes{User: "alice"})
	if err != nil || !more || len(first) != 100 {
		t.Fatalf("the first page has %d, more %v, %v", len(first), more, err)
	}
	x.heads["alice~u200"].At, x.heads["alice~u200"].LastSeq = noon+1, 2
	x.heads["alice~u050"].At, x.heads["alice~u050"].LastSeq = noon+2, 2
	seen := map[chat.User]int{}
	for page := first; ; {
		for _, s := range page {
			seen[s.Peer]++
		}
		if !more {
			break
		}
		if page, more, err = in.Page(t.Context(), chat.Changes{User: "alice", After: page[len(page)-1].Place()}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 250 {
		peer := chat.User(fmt.Sprintf("u%03d", i))
		if want := 1; seen[peer] != want && i != 200 {
			t.Errorf("%s came %d times, want %d", peer, seen[peer], want)
		}
	}
	next, _, err := in.Page(t.Context(), chat.Changes{User: "alice", Since: noon + 1})
	if err != nil || listed(next[:2]) != "[u050 u200]" {
		t.Errorf("the next sync lists %s, %v, want what changed meanwhile first", listed(next), err)
	}
}
