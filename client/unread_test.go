package client

import "testing"

// The count must be what a plain count over the whole log gives, whenever all texts are known here.
func TestUnreadCountsTextsAfterTheLastRead(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		do   func(*unread)
		want int64
	}{
		{"nothing", func(*unread) {}, 0},
		{"live", func(u *unread) { u.text(1); u.text(3) }, 2},
		{"by sync", func(u *unread) { u.summed(5, 9, 2) }, 5},
		{"live after a sync", func(u *unread) { u.summed(5, 9, 2); u.text(10); u.text(12) }, 7},
		{"fetched ones are among those of the sync", func(u *unread) { u.summed(2, 9, 2); u.text(8); u.text(9); u.text(10) }, 3},
		{"all read", func(u *unread) { u.summed(5, 9, 2); u.text(10); u.readTo(10) }, 0},
		{"all of the sync read", func(u *unread) { u.summed(5, 9, 2); u.text(10); u.readTo(9) }, 1},
		{"a part read, all known", func(u *unread) {
			u.summed(3, 9, 2)
			u.text(5)
			u.text(7)
			u.text(9)
			u.text(10)
			u.readTo(7)
		}, 2},
		{"a part read, few known", func(u *unread) { u.summed(5, 9, 2); u.readTo(6) }, 3},
		{"the server has not heard of it yet", func(u *unread) { u.text(8); u.text(9); u.readTo(9); u.summed(2, 9, 0) }, 0},
		{"never back", func(u *unread) { u.text(8); u.readTo(8); u.readTo(3) }, 0},
		{"shown again", func(u *unread) { u.text(8); u.text(8); u.text(7) }, 1},
		{"many", func(u *unread) {
			for seq := range int64(1000) {
				u.text(seq + 1)
			}
		}, 1000},
		{"many, all read", func(u *unread) {
			for seq := range int64(1000) {
				u.text(seq + 1)
			}
			u.readTo(1000)
		}, 0},
		{"an older answer", func(u *unread) { u.summed(1, 9, 8); u.summed(5, 7, 2) }, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var u unread
			test.do(&u)
			if got := u.count(); got != test.want {
				t.Errorf("count() = %d, want %d (%+v)", got, test.want, u)
			}
		})
	}
}
