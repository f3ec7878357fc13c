package push_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/post"
	"github.com/duet-chat/duet/internal/push"
)

// gateway is sockets that appear at their times.
type gateway struct {
	born   map[chat.ConnectionID]time.Time
	closed []chat.ConnectionID
	fails  bool
}

func (g *gateway) exists(id chat.ConnectionID) error {
	if g.fails {
		return errors.New("the gateway fails")
	}
	if at, ok := g.born[id]; !ok || time.Now().Before(at) {
		return post.ErrGone
	}
	return nil
}

func (g *gateway) Post(_ context.Context, id chat.ConnectionID, _ []byte) error { return g.exists(id) }

func (g *gateway) Close(_ context.Context, id chat.ConnectionID) error {
	if err := g.exists(id); err != nil {
		return err
	}
	g.closed = append(g.closed, id)
	delete(g.born, id)
	return nil
}

// rows is the connections' rows.
type rows struct {
	push.Connections
	removed []chat.ConnectionID
}

func (r *rows) Remove(_ context.Context, _ chat.User, id chat.ConnectionID) error {
	r.removed = append(r.removed, id)
	return nil
}

// G9: a session that is ended while a handshake of it is being answered leaves no socket that lives on;
// and nobody waits for sockets that will never come.
func TestG9_EndAllAwaitsSocketsThatAreJustBeingBorn(t *testing.T) {
	const socket, absent = time.Duration(0), time.Duration(-1)
	for _, tt := range []struct {
		name   string
		age    time.Duration // of the connection
		born   time.Duration // when the socket is there, from now on
		fails  bool
		closed bool
		took   time.Duration // at most
	}{
		{name: "open", age: time.Hour, born: socket, closed: true},
		{name: "ended long ago", age: time.Hour, born: absent},
		{name: "just being answered", age: time.Second, born: 250 * time.Millisecond, closed: true, took: 300 * time.Millisecond},
		{name: "young, and ended already", age: time.Second, born: absent, took: 2 * time.Second},
		{name: "a gateway that fails", age: time.Second, born: socket, fails: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				g := &gateway{fails: tt.fails, born: map[chat.ConnectionID]time.Time{"other": began}}
				if tt.born >= 0 {
					g.born["it"] = began.Add(tt.born)
				}
				kept := &rows{}
				p := push.Pusher{Connections: kept, Gateway: g, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
				err := p.EndAll(t.Context(), []chat.Connection{
					{User: "alice", ID: "it", ConnectedAt: began.Add(-tt.age).UnixMilli()}, {User: "alice", ID: "other"},
				}, "signed_out")
				if err != nil || !slices.Equal(kept.removed, []chat.ConnectionID{"it", "other"}) {
					t.Errorf("EndAll = %v, rows removed: %q", err, kept.removed)
				}
				if took := time.Since(began); took > tt.took {
					t.Errorf("it took %v, want at most %v", took, tt.took)
				}
				if slices.Contains(g.closed, "it") != tt.closed {
					t.Errorf("closed %q, want it closed: %v", g.closed, tt.closed)
				}
			})
		})
	}
}

func TestEndAllStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := push.Pusher{Connections: &rows{}, Gateway: &gateway{}, Now: time.Now, Log: slog.New(slog.NewTextHandler(&strings.Builder{}, nil))}
	err := p.EndAll(ctx, []chat.Connection{{ID: "young", ConnectedAt: time.Now().UnixMilli()}}, "signed_out")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("EndAll = %v", err)
	}
}
