package chat_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duet-chat/duet/internal/chat"
)

// memPresence is alice's chat.PresenceStore in memory.
type memPresence struct {
	profile     *chat.Profile
	connections []chat.Connection
	calls       []string
	failAt      int // the call that fails; 0 is none
}

func (m *memPresence) called(name string) error {
	m.calls = append(m.calls, name)
	if len(m.calls) == m.failAt {
		return chat.ErrBusy
	}
	return nil
}

func (m *memPresence) Profile(context.Context, chat.User) (*chat.Profile, error) {
	if err := m.called("profile"); err != nil || m.profile == nil {
		return nil, err
	}
	p := *m.profile
	return &p, nil
}

func (m *memPresence) Of(context.Context, chat.User) ([]chat.Connection, error) {
	return slices.Clone(m.connections), m.called("connections")
}

func (m *memPresence) SetOnline(_ context.Context, _ chat.User, until int64) error {
	if err := m.called("online"); err != nil {
		return err
	}
	m.profile.OnlineUntil = max(m.profile.OnlineUntil, until)
	return nil
}

func (m *memPresence) SetOffline(_ context.Context, _ chat.User, lastSeen int64) error {
	if err := m.called("offline"); err != nil {
		return err
	}
	m.profile.OnlineUntil, m.profile.LastSeen = 0, lastSeen
	return nil
}

func (m *memPresence) remove(id chat.ConnectionID) {
	m.connections = slices.DeleteFunc(m.connections, func(c chat.Connection) bool { return c.ID == id })
}

// socket is a connection of alice's that was opened just now, with a token for some minutes.
func socket(id chat.ConnectionID, minutes int) chat.Connection {
	return chat.Connection{User: "alice", ID: id, Device: chat.Device(id), ConnectedAt: day.UnixMilli(), SessionEnd: day.Add(time.Duration(minutes) * time.Minute).Unix()}
}

func TestRefreshFollowsTheConnections(t *testing.T) {
	ms, unix := day.UnixMilli(), day.Unix()
	hour := socket("c", 60).Until()
	tests := []struct {
		name        string
		profile     *chat.Profile
		connections []chat.Connection
		told        *chat.Presence
		want        *chat.Profile
		calls       string
	}{
		{"not registered", nil, nil, nil, nil, "[profile]"},
		{"the first connection", &chat.Profile{LastSeen: 5}, []chat.Connection{socket("c", 60)}, &chat.Presence{Online: true}, &chat.Profile{LastSeen: 5, OnlineUntil: hour}, "[profile connections online connections]"},
		{"another one that ends earlier", &chat.Profile{OnlineUntil: hour}, []chat.Connection{socket("c", 60), socket("d", 30)}, nil, &chat.Profile{OnlineUntil: hour}, "[profile connections]"},
		{"another one that lasts longer", &chat.Profile{OnlineUntil: hour - 60}, []chat.Connection{socket("c", 60), socket("d", 30)}, nil, &chat.Profile{OnlineUntil: hour}, "[profile connections online connections]"},
		{"one of two is left", &chat.Profile{OnlineUntil: hour}, []chat.Connection{socket("d", 30)}, nil, &chat.Profile{OnlineUntil: hour}, "[profile connections]"},
		{"the last one has ended", &chat.Profile{OnlineUntil: hour}, nil, &chat.Presence{LastSeen: ms}, &chat.Profile{LastSeen: ms}, "[profile connections offline profile connections]"},
		{"only ones whose tokens have ended", &chat.Profile{OnlineUntil: hour}, []chat.Connection{socket("c", 0)}, &chat.Presence{LastSeen: ms}, &chat.Profile{LastSeen: ms}, "[profile connections offline profile connections]"},
		{"nobody saw the end, which others have seen since", &chat.Profile{OnlineUntil: unix - 60}, nil, nil, &chat.Profile{LastSeen: ms - 60_000}, "[profile connections offline profile connections]"},
		{"gone already", &chat.Profile{LastSeen: 5}, nil, nil, &chat.Profile{LastSeen: 5}, "[profile connections]"},
		{"hidden, comes", &chat.Profile{LastSeen: 5, Hidden: true}, []chat.Connection{socket("c", 60)}, nil, &chat.Profile{LastSeen: 5, Hidden: true, OnlineUntil: hour}, "[profile connections online connections]"},
		{"hidden, goes", &chat.Profile{LastSeen: 5, Hidden: true, OnlineUntil: hour}, nil, nil, &chat.Profile{LastSeen: 5, Hidden: true}, "[profile connections offline profile connections]"},
		{"erased, while a connection is left", &chat.Profile{Erased: true}, []chat.Connection{socket("c", 60)}, nil, &chat.Profile{Erased: true}, "[profile]"},
		{"being erased", &chat.Profile{Erasing: 5}, []chat.Connection{socket("c", 60)}, nil, &chat.Profile{Erasing: 5, OnlineUntil: hour}, "[profile connections online connections]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := &memPresence{profile: tt.profile, connections: tt.connections}
			p := chat.Presences{Store: m, Now: func() time.Time { return day }}
			told, err := p.Refresh(t.Context(), "alice", true)
			if err != nil || (told == nil) != (tt.told == nil) || told != nil && *told != *tt.told {
				t.Errorf("Refresh = %+v, %v, want %+v", told, err, tt.told)
			}
			if tt.want != nil && fmt.Sprintf("%+v", *m.profile) != fmt.Sprintf("%+v", *tt.want) {
				t.Errorf("profile = %+v, want %+v", *m.profile, *tt.want)
			}
			if got := fmt.Sprint(m.calls); got != tt.calls {
				t.Errorf("calls = %s, want %s", got, tt.calls)
			}
		})
	}
}

// Who has come and gone before the arrival was looked at, while online by an earlier connection, stays so for
// the grace: that is left to the Refresh of the end.
func TestAnArrivalTakesNobodyOffline(t *testing.T) {
	m := &memPresence{profile: &chat.Profile{OnlineUntil: day.Unix() + 60}}
	p := chat.Presences{Store: m, Now: func() time.Time { return day }}
	if told, err := p.Refresh(t.Context(), "alice", false); err != nil || told != nil || m.profile.OnlineUntil == 0 {
		t.Errorf("Refresh = %+v, %v, want nothing to change", told, err)
	}
	if told, err := p.Refresh(t.Context(), "alice", true); err != nil || told == nil || told.Online {
		t.Errorf("Refresh after the grace = %+v, %v, want offline", told, err)
	}
}

// One that ends while its arrival is being noted may have been looked at already: the arrival does it.
func TestAnArrivalThatEndsMeanwhileIsTakenBack(t *testing.T) {
	m := &memPresence{profile: &chat.Profile{}, connections: []chat.Connection{socket("c", 60)}}
	p := chat.Presences{Store: stepped{m, func() {
		if slices.Contains(m.calls, "online") {
			m.remove("c")
		}
	}}, Now: func() time.Time { return day }}
	told, err := p.Refresh(t.Context(), "alice", false)
	if want := "[profile connections online connections profile connections offline profile connections]"; err != nil || told != nil || fmt.Sprint(m.calls) != want {
		t.Errorf("Refresh = %+v, %v by %v, want nothing told, by %s", told, err, m.calls, want)
	}
}

// What others see, at a moment: a $disconnect that never came heals by OnlineUntil.
// A refresh that fails at any call, and is repeated, tells of each change: of what it had written before it
// failed, and of the rest when it is repeated.
func TestRefreshThatFailsTellsWhatItHasWritten(t *testing.T) {
	hour := socket("c", 60).Until()
	for _, tt := range []struct {
		name        string
		profile     chat.Profile
		connections []chat.Connection
		online      bool
	}{
		{"coming", chat.Profile{LastSeen: 5}, []chat.Connection{socket("c", 60)}, true},
		{"going", chat.Profile{OnlineUntil: hour}, nil, false},
	} {
		for failAt := 1; ; failAt++ {
			profile := tt.profile
			m := &memPresence{profile: &profile, connections: tt.connections, failAt: failAt}
			p := chat.Presences{Store: m, Now: func() time.Time { return day }}
			var told []bool
			refresh := func() error {
				seen, err := p.Refresh(t.Context(), "alice", true)
				if seen != nil {
					told = append(told, seen.Online)
				}
				return err
			}
			failed := refresh()
			if failed == nil {
				if failAt < 4 {
					t.Errorf("%s: a refresh made %d calls", tt.name, len(m.calls))
				}
				break
			}
			if !errors.Is(failed, chat.ErrBusy) {
				t.Errorf("%s, call %d: %v", tt.name, failAt, failed)
			}
			if err := refresh(); err != nil || !slices.Equal(told, []bool{tt.online}) {
				t.Errorf("%s failed at call %d: told %v, %v, want %v once", tt.name, failAt, told, err, tt.online)
			}
		}
	}
}

func TestSeen(t *testing.T) {
	unix := day.Unix()
	for _, tt := range []struct {
		name string
		p    chat.Profile
		want chat.Presence
	}{
		{"online", chat.Profile{OnlineUntil: unix + 1, LastSeen: 5}, chat.Presence{Online: true}},
		{"the end was not seen", chat.Profile{OnlineUntil: unix, LastSeen: 5}, chat.Presence{LastSeen: unix * 1000}},
		{"offline", chat.Profile{LastSeen: 5}, chat.Presence{LastSeen: 5}},
		{"never there", chat.Profile{}, chat.Presence{}},
		{"hidden and there", chat.Profile{OnlineUntil: unix + 1, LastSeen: 5, Hidden: true}, chat.Presence{LastSeen: 5}},
		{"hidden, the end was not seen", chat.Profile{OnlineUntil: unix - 1, LastSeen: 5, Hidden: true}, chat.Presence{LastSeen: 5}},
		{"being erased", chat.Profile{OnlineUntil: unix + 1, LastSeen: 5, Erasing: 1}, chat.Presence{}},
		{"erased", chat.Profile{Erased: true, LastSeen: 5}, chat.Presence{}},
	} {
		if got := tt.p.Seen(day); got != tt.want {
			t.Errorf("%s: Seen = %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// change is something that happens to alice's connections, followed by a Refresh.
type change struct {
	does func(*memPresence)
	ends bool
}

func opens(c chat.Connection) change {
	return change{does: func(m *memPresence) { m.connections = append(m.connections, c) }}
}

func closes(id chat.ConnectionID) change {
	return change{does: func(m *memPresence) { m.remove(id) }, ends: true}
}

// arrives is a connection that is there already.
func arrives(*memPresence) {}

// interleave runs the changes with their Refreshes at once: before each call to the store, choose picks
// who of so many goes on.
func interleave(m *memPresence, changes []change, choose func(int) int) error {
	var running []func() (struct{}, bool)
	var errs []error
	for _, c := range changes {
		next, stop := iter.Pull(func(yield func(struct{}) bool) {
			step := func() { yield(struct{}{}) }
			step()
			c.does(m)
			p := chat.Presences{Store: stepped{m, step}, Now: func() time.Time { return day }}
			if _, err := p.Refresh(context.Background(), "alice", c.ends); err != nil {
				errs = append(errs, err)
			}
		})
		defer stop()
		running = append(running, next)
	}
	for len(running) > 0 {
		i := choose(len(running))
		if _, more := running[i](); !more {
			running = slices.Delete(running, i, i+1)
		}
	}
	return errors.Join(errs...)
}

// stepped lets others go first before each call.
type stepped struct {
	*memPresence
	step func()
}

func (s stepped) Profile(ctx context.Context, u chat.User) (*chat.Profile, error) {
	s.step()
	return s.memPresence.Profile(ctx, u)
}

func (s stepped) Of(ctx context.Context, u chat.User) ([]chat.Connection, error) {
	s.step()
	return s.memPresence.Of(ctx, u)
}

func (s stepped) SetOnline(ctx context.Context, u chat.User, until int64) error {
	s.step()
	return s.memPresence.SetOnline(ctx, u, until)
}

func (s stepped) SetOffline(ctx context.Context, u chat.User, lastSeen int64) error {
	s.step()
	return s.memPresence.SetOffline(ctx, u, lastSeen)
}

// inStep tells whether the presence is what the connections say.
func (m *memPresence) inStep() error {
	until := int64(0)
	for _, c := range m.connections {
		until = max(until, c.Until())
	}
	switch seen := m.profile.Seen(day); {
	case seen.Online != (until > day.Unix()):
		return fmt.Errorf("online is %v, with %d connections", seen.Online, len(m.connections))
	case m.profile.OnlineUntil < until:
		return fmt.Errorf("online ends at %d, a connection at %d", m.profile.OnlineUntil, until)
	}
	return nil
}

// However two functions that refresh a user's presence interleave, it ends in step with the connections.
func TestRefreshesAtOnceLeaveNoWrongState(t *testing.T) {
	c, d := socket("c", 60), socket("d", 30)
	for _, tt := range []struct {
		name    string
		online  int64
		open    []chat.Connection
		changes []change
	}{
		{"the last one goes, another comes", c.Until(), []chat.Connection{c}, []change{closes("c"), opens(d)}},
		{"the last one goes, one that lasts longer comes", d.Until(), []chat.Connection{d}, []change{closes("d"), opens(c)}},
		{"one comes, and goes before it was seen", 0, []chat.Connection{c}, []change{{does: arrives}, closes("c")}},
		{"two come", 0, nil, []change{opens(c), opens(d)}},
		{"two go", c.Until(), []chat.Connection{c, d}, []change{closes("c"), closes("d")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			runs := 0
			for choices := []int{}; choices != nil; runs++ {
				m := &memPresence{profile: &chat.Profile{OnlineUntil: tt.online}, connections: slices.Clone(tt.open)}
				var made, of []int
				err := interleave(m, tt.changes, func(n int) int {
					pick := 0
					if len(made) < len(choices) {
						pick = choices[len(made)]
					}
					made, of = append(made, pick), append(of, n)
					return pick
				})
				if err := errors.Join(err, m.inStep()); err != nil {
					t.Fatalf("%v, after %v in the order %v", err, m.calls, made)
				}
				choices = following(made, of)
			}
			t.Logf("%d interleavings", runs)
		})
	}
}

// following is the next row of choices, of so many each; nil after the last one.
func following(made, of []int) []int {
	for i := len(made) - 1; i >= 0; i-- {
		if made[i]+1 < of[i] {
			return append(slices.Clone(made[:i]), made[i]+1)
		}
	}
	return nil
}

// The same with more of them, in orders at random.
func TestManyRefreshesAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &memPresence{profile: &chat.Profile{}}
		var changes []change
		for i := range rapid.IntRange(2, 4).Draw(t, "changes") {
			c := socket(chat.ConnectionID(fmt.Sprint("c", i)), rapid.IntRange(1, 90).Draw(t, "minutes"))
			if rapid.Bool().Draw(t, "comes") {
				changes = append(changes, opens(c))
				continue
			}
			m.connections = append(m.connections, c)
			if rapid.Bool().Draw(t, "was seen") {
				m.profile.OnlineUntil = max(m.profile.OnlineUntil, c.Until())
			} else {
				changes = append(changes, change{does: arrives}) // its arrival is being looked at
			}
			changes = append(changes, closes(c.ID))
		}
		err := interleave(m, changes, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "next") })
		var busy *chat.Error
		if errors.As(err, &busy) && busy.Retry {
			return // Lambda tries again
		}
		if err := errors.Join(err, m.inStep()); err != nil {
			t.Fatalf("%v, after %v", err, m.calls)
		}
	})
}
