package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/duet-chat/duet/client"
)

// patience is how long tests wait for what must come, in the bubble's time.
const patience = 3 * time.Hour

// object is a frame.
type object = map[string]any

// network is an in-memory network: its pipes let synctest know when everybody waits.
type network struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func newNetwork() *network {
	return &network{accepted: make(chan net.Conn), closed: make(chan struct{})}
}

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case n.accepted <- server:
		return client, nil
	case <-n.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.accepted:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error   { n.once.Do(func() { close(n.closed) }); return nil }
func (n *network) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

// server is a server whose answers the test gives, over real WebSockets.
type server struct {
	t       testing.TB
	network *network
	http    http.Server
	conns   chan *conn              // connections that were opened
	mu      sync.Mutex              // guards what follows
	refuse  []int                   // statuses of the next handshakes
	within  func()                  // what the next handshake does before it is answered
	good    func(token string) bool // whether it is good now; nil: all are
	devices int                     // device ids that were made
}

// conn is a connection as the server sees it.
type conn struct {
	t      testing.TB
	ws     *websocket.Conn
	header http.Header
	gone   chan struct{}
	frames chan object
}

func newServer(t testing.TB) *server {
	s := &server{t: t, network: newNetwork(), conns: make(chan *conn, 16)}
	s.http.Handler = http.HandlerFunc(s.serve)
	go s.http.Serve(s.network)
	return s
}

// close ends the server, so that the bubble has no goroutine left.
func (s *server) close() {
	s.http.Close()
	s.network.Close()
}

// refuseNext makes the next handshakes be answered with these statuses.
func (s *server) refuseNext(statuses ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = append(s.refuse, statuses...)
}

// inNext makes the next handshake do something before it is answered, as $connect does.
func (s *server) inNext(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.within = f
}

func (s *server) newDevice() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.devices++
	return fmt.Sprint("device-", s.devices)
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	within := s.within
	s.within = nil
	s.mu.Unlock()
	if within != nil {
		within()
	}
	s.mu.Lock()
	if len(s.refuse) > 0 {
		status := s.refuse[0]
		s.refuse = s.refuse[1:]
		s.mu.Unlock()
		w.WriteHeader(status)
		return
	}
	good := s.good
	s.mu.Unlock()
	if good != nil && !good(token(r.Header)) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		s.t.Error(err)
		return
	}
	c := &conn{t: s.t, ws: ws, header: r.Header.Clone(), gone: make(chan struct{}), frames: make(chan object, 1024)}
	s.conns <- c
	defer close(c.gone)
	for {
		_, data, err := ws.Read(context.Background())
		if err != nil {
			ws.CloseNow()
			return
		}
		var f object
		if err := json.Unmarshal(data, &f); err != nil {
			s.t.Errorf("the client wrote %q: %v", data, err)
		}
		c.frames <- f
	}
}

// accept waits for the next connection.
func (s *server) accept() *conn {
	s.t.Helper()
	select {
	case c := <-s.conns:
		return c
	case <-time.After(patience):
		s.t.Fatal("the client did not connect")
		return nil
	}
}

// serveAll calls f with each connection, until the server is closed.
func (s *server) serveAll(f func(*conn)) {
	go func() {
		for {
			select {
			case c := <-s.conns:
				f(c)
			case <-s.network.closed:
				return
			}
		}
	}()
}

// token is what the client came with.
func (c *conn) token() string { return token(c.header) }

func token(h http.Header) string { return strings.TrimPrefix(h.Get("Authorization"), "Bearer ") }

// next waits for the next frame, which must be of the action.
func (c *conn) next(action string) object {
	c.t.Helper()
	select {
	case f := <-c.frames:
		if f["action"] != action {
			c.t.Fatalf("the client wrote %v, want a %s", f, action)
		}
		return f
	case <-time.After(patience):
		c.t.Fatalf("the client wrote no %s", action)
		return nil
	}
}

// none checks that the client writes nothing but pings for a while.
func (c *conn) none(d time.Duration) {
	c.t.Helper()
	after := time.After(d)
	for {
		select {
		case f := <-c.frames:
			if f["action"] != "ping" {
				c.t.Fatalf("the client wrote %v, want nothing", f)
			}
			c.answer(f, object{"type": "pong"})
		case <-after:
			return
		}
	}
}

// ended waits for the end of the connection.
func (c *conn) ended() {
	c.t.Helper()
	select {
	case <-c.gone:
	case <-time.After(patience):
		c.t.Fatal("the client did not close the connection")
	}
}

func (c *conn) write(f object) {
	c.t.Helper()
	if err := c.tryWrite(f); err != nil {
		c.t.Errorf("write %v: %v", f, err)
	}
}

func (c *conn) tryWrite(f object) error {
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return c.ws.Write(context.Background(), websocket.MessageText, data)
}

// answer answers a request.
func (c *conn) answer(request, f object) {
	c.t.Helper()
	f["ref"] = request["ref"]
	c.write(f)
}

// cut breaks the connection.
func (c *conn) cut() { c.ws.CloseNow() }

// sync answers the sync that every connection begins with.
func (c *conn) sync(epoch string, summaries ...object) (request object) {
	c.t.Helper()
	request = c.next("sync")
	if summaries == nil {
		summaries = []object{}
	}
	c.answer(request, object{"type": "synced", "epoch": epoch, "conversations": summaries, "since": "since " + epoch, "more": false})
	return request
}

// serve answers with f what comes from now on, until the connection ends.
func (c *conn) serve(f func(request object)) {
	go func() {
		for {
			select {
			case request := <-c.frames:
				f(request)
			case <-c.gone:
				return
			}
		}
	}()
}

// pongs answers pings.
func (c *conn) pongs() {
	c.serve(func(f object) {
		if f["action"] == "ping" {
			c.answer(f, object{"type": "pong"})
		}
	})
}

func (c *conn) sent(send object, seq int) {
	c.t.Helper()
	c.answer(send, object{"type": "sent", "conversation": "alice~bob", "n": send["n"], "seq": seq, "at": 1000 * seq})
}

// refusal is an error frame, with the rest of its fields after it.
func refusal(code string, retry bool, rest ...object) object {
	f := object{"type": "error", "code": code, "message": "because", "retry": retry}
	for _, r := range rest {
		for k, v := range r {
			f[k] = v
		}
	}
	return f
}

// entry is a message of bob's to alice; from and text differ by seq.
func entry(seq int) object {
	return object{"conversation": "alice~bob", "seq": seq, "from": "bob", "device": "phone", "n": seq, "at": 1000 * seq, "kind": "text", "text": text(seq)}
}

func text(seq int) string { return "text " + strings.Repeat("i", seq) }

func push(seq int) object {
	f := entry(seq)
	f["type"] = "message"
	return f
}

func page(more bool, seqs ...int) object {
	messages := []object{}
	for _, seq := range seqs {
		messages = append(messages, entry(seq))
	}
	return object{"type": "page", "conversation": "alice~bob", "messages": messages, "more": more}
}

func summary(last, unread int) object {
	return object{"conversation": "alice~bob", "peer": "bob", "last_seq": last, "unread": unread, "at": 1000 * last}
}

// user is a running client of alice's.
type user struct {
	*client.Client
	t        testing.TB
	messages chan client.Message
	statuses chan client.Status
	ran      chan error
}

// start runs a client on the server. The changes adjust its configuration.
func (s *server) start(changes ...func(*client.Config)) *user {
	s.t.Helper()
	u := &user{t: s.t, messages: make(chan client.Message, 10000), statuses: make(chan client.Status, 1000), ran: make(chan error, 1)}
	cfg := client.Config{
		URL:         "ws://duet.test/prod",
		User:        "alice",
		Tokens:      client.StaticToken("token", time.Time{}),
		OnMessage:   func(m client.Message) { u.messages <- m },
		OnStatus:    func(st client.Status) { u.statuses <- st },
		Window:      client.MaxInFlight,
		NoDelivered: true, // tests of receipts let them be
		Rand:        func() float64 { return 0.5 },
		NewDevice:   s.newDevice,
		HTTPClient: &http.Client{Transport: &http.Transport{
			DialContext: s.network.dial, DisableKeepAlives: true,
		}},
	}
	for _, change := range changes {
		change(&cfg)
	}
	c, err := client.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	u.Client = c
	go func() { u.ran <- c.Run(context.Background()) }()
	return u
}

// shows waits until OnMessage was called with the messages of these places, in order, and no others.
func (u *user) shows(seqs ...int64) {
	u.t.Helper()
	for _, want := range seqs {
		select {
		case m := <-u.messages:
			if m.Seq != want {
				u.t.Fatalf("message %d was shown, want %d", m.Seq, want)
			}
		case <-time.After(patience):
			u.t.Fatalf("message %d was not shown", want)
		}
	}
}

func (u *user) showsNothing(d time.Duration) {
	u.t.Helper()
	select {
	case m := <-u.messages:
		u.t.Fatalf("message %d was shown, want none", m.Seq)
	case <-time.After(d):
	}
}

func (u *user) enqueue(texts ...string) []*client.Pending {
	u.t.Helper()
	var all []*client.Pending
	for _, text := range texts {
		p, err := u.Enqueue("bob", text)
		if err != nil {
			u.t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// isSent checks that a message was acknowledged at a place.
func (u *user) isSent(p *client.Pending, seq int64) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if sent, err := p.Wait(ctx); err != nil || sent.Seq != seq {
		u.t.Fatalf("Wait() = %+v, %v, want seq %d", sent, err, seq)
	}
}

// isRefused checks that a message was refused.
func (u *user) isRefused(p *client.Pending, want error) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if sent, err := p.Wait(ctx); !errors.Is(err, want) {
		u.t.Fatalf("Wait() = %+v, %v, want error %v", sent, err, want)
	}
}

// endsWith waits for the end of Run.
func (u *user) endsWith(want error) {
	u.t.Helper()
	select {
	case err := <-u.ran:
		if !errors.Is(err, want) {
			u.t.Fatalf("Run() = %v, want %v", err, want)
		}
	case <-time.After(patience):
		u.t.Fatal("Run did not return")
	}
}
