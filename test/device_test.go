package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// device is a client in one conversation that does what protocol.md says that a client must do,
// independent of the Go library: it reconnects, syncs, resends, fills gaps, and drops repeats. It
// sends a number of messages and ends when it has the whole log.
type device struct {
	target       *target // where it connects
	user         *user
	id           string
	peer         *user
	conversation string
	sends        int // messages to send
	total        int // messages of the log at the end

	log         []entry         // shown, in order: the cursor is its length
	held        map[int64]entry // above the cursor
	acked       int             // own messages that are acknowledged, in order of n
	next        int             // the n to send next
	answered    map[int]bool    // above acked
	epoch       string
	connections int
	repeats     int // messages that came again and were dropped
	gaps        int // pieces of the log that history filled on a live connection
}

func (u *user) device(id string, peer *user, sends, total int) *device {
	return &device{
		target: u.target, user: u, id: id, peer: peer, conversation: u.with(peer), sends: sends, total: total,
		held: map[int64]entry{}, answered: map[int]bool{}, next: 1,
	}
}

// at lets the device connect elsewhere: through a proxy.
func (d *device) at(webSocketURL string) *device {
	moved := *d.target
	moved.outputs = map[string]string{"WebSocketUrl": webSocketURL}
	d.target = &moved
	return d
}

// inFlight is how many sends may be under way at once.
const inFlight = 16

// text is what the device sends under a number.
func (d *device) text(n int) string { return fmt.Sprintf("%s/%s says %d", d.user.name, d.id, n) }

func (d *device) done() bool { return d.acked == d.sends && len(d.log) == d.total }

// run works until the device is done.
func (d *device) run(ctx context.Context) error {
	for !d.done() {
		d.connections++
		err := d.session(ctx)
		var fatal fatalError
		switch {
		case errors.As(err, &fatal):
			return fmt.Errorf("%s/%s: %w", d.user.name, d.id, err)
		case ctx.Err() != nil:
			return fmt.Errorf("%s/%s: %d of %d sends acknowledged, %d of %d messages there after %d connections: %w",
				d.user.name, d.id, d.acked, d.sends, len(d.log), d.total, d.connections, ctx.Err())
		}
		if err == nil || d.done() {
			continue
		}
		select { // the backoff of a client that has no time
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}

// fatalError is what must never happen.
type fatalError struct{ error }

func (d *device) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	connecting, stop := context.WithTimeout(ctx, 5*time.Second)
	ws, _, err := d.target.dial(connecting, as(d.user.AccessToken, d.id))
	stop()
	if err != nil {
		return err
	}
	defer ws.CloseNow()
	s := &session{device: d, ctx: ctx, ws: ws, silence: time.NewTicker(time.Second)}
	defer s.silence.Stop()
	frames, ended := make(chan frame, 64), make(chan error, 1)
	go func() {
		for {
			_, data, err := ws.Read(ctx)
			if err != nil {
				ended <- err
				return
			}
			f := frame{size: len(data), raw: string(data)}
			if err := json.Unmarshal(data, &f); err != nil {
				// coder/websocket takes a message for whole that the network has cut between two
				// of its reads: then nothing can follow it.
				if _, _, broken := ws.Read(ctx); broken != nil {
					ended <- broken
				} else {
					ended <- fatalError{fmt.Errorf("got %q: %w", data, err)}
				}
				return
			}
			select {
			case frames <- f:
			case <-ctx.Done():
				return
			}
		}
	}()
	if err := s.ask(map[string]any{"action": "sync", "ref": "sync"}); err != nil {
		return err
	}
	for !d.done() {
		select {
		case f := <-frames:
			err = s.take(f)
		case <-s.gap:
			s.gap = nil
			d.gaps++
			err = s.fill()
		case <-s.silence.C:
			err = s.ask(map[string]any{"action": "ping", "ref": "ping"})
		case err = <-ended:
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// session is one connection of a device.
type session struct {
	*device
	ctx     context.Context
	ws      *websocket.Conn
	synced  bool             // its first sync and history are over
	filling bool             // a history is under way
	gap     <-chan time.Time // set while messages are missing
	silence *time.Ticker
}

func (s *session) ask(request map[string]any) error {
	data, err := json.Marshal(request)
	if err != nil {
		return fatalError{err}
	}
	return s.ws.Write(s.ctx, websocket.MessageText, data)
}

// fill asks for what is above the cursor.
func (s *session) fill() error {
	if s.filling {
		return nil
	}
	s.filling = true
	return s.ask(map[string]any{"action": "history", "ref": "fill", "conversation": s.conversation, "after": len(s.log)})
}

func (s *session) send(n int) error {
	return s.ask(map[string]any{
		"action": "send", "ref": "n" + strconv.Itoa(n), "to": s.peer.name, "n": n, "text": s.text(n), "seen": len(s.log),
	})
}

// pump sends what may be under way.
func (s *session) pump() error {
	for ; s.next <= s.sends && s.next <= s.acked+inFlight; s.next++ {
		if err := s.send(s.next); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) take(f frame) error {
	if f.size > 32<<10 {
		return fatalError{fmt.Errorf("got a frame of %d bytes: %.100s", f.size, f.raw)}
	}
	switch f.Type {
	case "synced":
		if s.epoch != "" && f.Epoch != s.epoch {
			return fatalError{fmt.Errorf("the epoch changed from %s to %s", s.epoch, f.Epoch)}
		}
		s.epoch = f.Epoch
		return s.fill()
	case "page":
		s.filling = false
		for _, m := range f.Messages {
			if err := s.add(m); err != nil {
				return err
			}
		}
		if f.More {
			return s.fill()
		}
		if !s.synced {
			s.synced = true
			s.next = s.acked + 1 // everything unanswered goes again
			for s.answered[s.next] {
				s.next++
			}
		}
		return s.pump()
	case "sent":
		return s.sent(f)
	case "message":
		return s.add(f.entry)
	case "behind":
		return s.ask(map[string]any{"action": "sync", "ref": "sync"})
	case "pong":
		if f.Behind {
			return s.ask(map[string]any{"action": "sync", "ref": "sync"})
		}
		return nil
	case "closing", "receipt", "typing", "presence":
		return nil
	case "error":
		return s.refused(f)
	case "":
		if f.ConnectionID != "" { // of the gateway: it does not say of which request
			return errors.New(f.Message)
		}
	}
	return fatalError{fmt.Errorf("got %s", f.raw)}
}

func (s *session) sent(f frame) error {
	n := int(f.N)
	s.answered[n] = true
	for s.answered[s.acked+1] {
		s.acked++
		delete(s.answered, s.acked)
	}
	err := s.add(entry{
		Conversation: s.conversation, Seq: f.Seq, From: s.user.name, Device: s.id, N: f.N, At: f.At, Kind: "text", Text: s.text(n),
	})
	if err != nil || !s.synced {
		return err
	}
	return s.pump()
}

// refused sends again from where the server says, as the protocol's table of codes asks for.
func (s *session) refused(f frame) error {
	n, err := strconv.Atoi(f.Ref[min(1, len(f.Ref)):])
	switch {
	case f.Code == "out_of_order" && f.LastN != nil, f.Code == "unavailable" && err == nil:
		return s.send(n)
	case f.Code == "session_expired", f.Code == "unavailable":
		return errors.New(f.Code)
	}
	return fatalError{fmt.Errorf("got %s", f.raw)}
}

// add shows a message that is next, holds one that is early, and drops one that was there.
func (s *session) add(m entry) error {
	if m.Conversation != s.conversation {
		return fatalError{fmt.Errorf("got a message of another conversation: %+v", m)}
	}
	cursor := int64(len(s.log))
	if m.Seq <= cursor || s.held[m.Seq] != (entry{}) {
		s.repeats++
		if m.Seq <= cursor && s.log[m.Seq-1] != m || m.Seq > cursor && s.held[m.Seq] != m {
			return fatalError{fmt.Errorf("seq %d is two messages: %+v, and %+v or one that is held", m.Seq, m, s.log[min(m.Seq, cursor)-1])}
		}
		return nil
	}
	s.held[m.Seq] = m
	for {
		m, ok := s.held[int64(len(s.log))+1]
		if !ok {
			break
		}
		delete(s.held, m.Seq)
		s.log = append(s.log, m)
	}
	switch {
	case len(s.held) == 0:
		s.gap = nil
	case s.gap == nil:
		s.gap = time.After(300 * time.Millisecond)
	}
	return nil
}

// runAll runs devices until all are done, and checks what G1 to G5 and G7 promise: each has the
// same gapless log, which is the one in history, and each message of each device stands in it once
// and in its order.
func runAll(t testing.TB, limit time.Duration, devices ...*device) {
	t.Helper()
	runDevices(t, limit, devices...)
	checkDevices(t, devices...)
}

// runDevices runs devices until all are done.
func runDevices(t testing.TB, limit time.Duration, devices ...*device) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	results := make(chan error)
	for _, d := range devices {
		go func() { results <- d.run(ctx) }()
	}
	var failed bool
	for range devices {
		if err := <-results; err != nil {
			failed = true
			t.Error(err)
			cancel()
		}
	}
	if failed {
		t.FailNow()
	}
}

func checkDevices(t testing.TB, devices ...*device) {
	t.Helper()
	log := devices[0].user.connect(t, "witness").log(devices[0].conversation, 0)
	checkLog(t, log)
	counts := map[string]int{}
	for _, m := range log {
		counts[m.From+"/"+m.Device]++
	}
	for _, d := range devices {
		name := d.user.name + "/" + d.id
		if counts[name] != d.sends {
			t.Errorf("%s stands in the log with %d messages, want %d", name, counts[name], d.sends)
		}
		if !slices.Equal(d.log, log) {
			t.Errorf("%s has another log than history", name)
		}
		for _, m := range log {
			if m.From == d.user.name && m.Device == d.id && m.Text != d.text(int(m.N)) {
				t.Fatalf("seq %d is %q, want %q", m.Seq, m.Text, d.text(int(m.N)))
			}
		}
	}
}
