package chat_test

import (
	"testing"

	"github.com/duet-chat/duet/internal/chat"
)

// A sync lists what changed of receipts and blocks, after what was written: nothing of a peer while one of the
// two blocks the other, not even that something changed.
func TestInboxListsChangesOfReceiptsAndBlocks(t *testing.T) {
	const noon, morning = 20000*dayMS + dayMS/2, 20000 * dayMS
	old := chat.Head{LastSeq: 4, At: noon - 5*dayMS, Texts: [2]int64{2, 2}}
	shut := old
	shut.Shut.Blocked[1] = true
	tests := []struct {
		name      string
		head      chat.Head
		bucket    chat.Bucket
		own, peer chat.Membership
		since     int64
		cursor    int64
		want      bool
	}{
		{"the own receipt", old, 19995, chat.Membership{ChangedAt: noon}, chat.Membership{}, morning, 0, true},
		{"the peer's receipt", old, 19995, chat.Membership{}, chat.Membership{ChangedAt: noon, Read: 3}, morning, 0, true},
		{"the peer's receipt, of a device that has everything", old, 19995, chat.Membership{}, chat.Membership{ChangedAt: noon}, morning, 4, true},
		{"the peer's receipt of before", old, 19995, chat.Membership{}, chat.Membership{ChangedAt: noon - dayMS}, morning, 0, false},
		{"the peer's receipt while one blocks", shut, 19995, chat.Membership{}, chat.Membership{ChangedAt: noon, Read: 3}, morning, 0, false},
		{"the own receipt while one blocks", shut, 19995, chat.Membership{ChangedAt: noon}, chat.Membership{}, morning, 0, true},
		{"the own block", shut, 19995, chat.Membership{ChangedAt: noon, Blocks: true}, chat.Membership{}, morning, 0, true},
		{"the peer's block in a conversation of today", func() chat.Head { h := shut; h.At = morning - dayMS; return h }(), 20000, chat.Membership{}, chat.Membership{ChangedAt: noon, Blocks: true}, morning, 4, false},
		{"nothing", old, 19995, chat.Membership{}, chat.Membership{}, morning, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := newMemIndex()
			x.add("carol", 20000, chat.Head{LastSeq: 1, At: noon})
			c := x.add("bob", tt.bucket, tt.head)
			row := &x.rows[1]
			row.ChangedAt, row.Blocks = tt.own.ChangedAt, tt.own.Blocks
			x.peers[c] = tt.peer
			q := chat.Changes{User: "alice", Since: tt.since}
			if tt.cursor > 0 {
				q.Cursors = map[chat.ConversationID]int64{c: tt.cursor}
			}
			in := chat.Inbox{Index: x}
			page, more, err := in.Page(t.Context(), q)
			want := "[carol]"
			if tt.want {
				want = "[carol bob]"
			}
			if err != nil || more || listed(page) != want {
				t.Fatalf("Page = %s, more %v, %v, want %s", listed(page), more, err, want)
			}
			if !tt.want {
				return
			}
			s := page[1]
			if s.Blocked != tt.own.Blocks {
				t.Errorf("blocked = %v, want %v", s.Blocked, tt.own.Blocks)
			}
			if told := s.PeerRead; tt.head.Shut.Any() && told != 0 || !tt.head.Shut.Any() && told != tt.peer.Read {
				t.Errorf("peer_read = %d", told)
			}
		})
	}
}

// A sync costs in proportion to what changed: old conversations are not looked at.
func TestInboxAsksForWhatChangedAlone(t *testing.T) {
	const noon = 20000*dayMS + dayMS/2
	x := newMemIndex()
	for _, c := range [...]chat.User{"bob", "carol", "dave", "erin", "frank"} {
		x.add(c, 19000, chat.Head{LastSeq: 1, At: noon - 1000*dayMS})
	}
	x.rows[3].ChangedAt = noon
	in := chat.Inbox{Index: x}
	page, _, err := in.Page(t.Context(), chat.Changes{User: "alice", Since: noon - dayMS/4})
	if err != nil || listed(page) != "[erin]" || x.asked != 1 {
		t.Errorf("Page = %s, %v, after %d rows, want erin after one", listed(page), err, x.asked)
	}
}
