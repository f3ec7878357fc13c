package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// frame is any frame of the server: the fields of all of them.
type frame struct {
	Type         string  `json:"type"`
	Ref          string  `json:"ref"`
	Code         string  `json:"code"`
	Message      string  `json:"message"` // of an error, for people
	Field        string  `json:"field"`
	Retry        bool    `json:"retry"`
	LastN        *int64  `json:"last_n"`
	Duplicate    bool    `json:"duplicate"`
	Epoch        string  `json:"epoch"`
	Since        string  `json:"since"`
	More         bool    `json:"more"`
	Behind       bool    `json:"behind"`
	Reason       string  `json:"reason"`
	ConnectionID string  `json:"connectionId"` // of the gateway's own frames
	Messages     []entry `json:"messages"`
	entry
	Conversations []summary  `json:"conversations"`
	User          string     `json:"user"` // of a receipt, typing, presence or account
	Delivered     int64      `json:"delivered"`
	Read          int64      `json:"read"`
	On            bool       `json:"on"`
	Online        bool       `json:"online"`
	LastSeen      int64      `json:"last_seen"`
	Users         []presence `json:"users"`
	Visible       bool       `json:"visible"`
	Done          bool       `json:"done"`
	RetryAfterMS  int64      `json:"retry_after_ms"`
	Connections   []struct{ Device string }

	size int
	raw  string
}

// entry is a message in a conversation's log.
type entry struct {
	Conversation string `json:"conversation"`
	Seq          int64  `json:"seq"`
	From         string `json:"from"`
	Device       string `json:"device"`
	N            int64  `json:"n"`
	At           int64  `json:"at"`
	Kind         string `json:"kind"`
	Text         string `json:"text"`
	ReplyTo      int64  `json:"reply_to"`
	Target       int64  `json:"target"`
	Emoji        string `json:"emoji"`
	Edited       int64  `json:"edited"`
	Unsent       int64  `json:"unsent"`
}

// presence is one user's in an answer.
type presence struct {
	User     string `json:"user"`
	Online   bool   `json:"online"`
	LastSeen int64  `json:"last_seen"`
}

type summary struct {
	Conversation  string `json:"conversation"`
	Peer          string `json:"peer"`
	LastSeq       int64  `json:"last_seq"`
	Unread        int64  `json:"unread"`
	Last          *entry `json:"last"`
	At            int64  `json:"at"`
	Read          int64  `json:"read"`
	Delivered     int64  `json:"delivered"`
	PeerRead      int64  `json:"peer_read"`
	PeerDelivered int64  `json:"peer_delivered"`
	Blocked       bool   `json:"blocked"`
}

// conn is one connection of a device, and nothing more than the protocol: it keeps answers apart
// from pushes and checks that each is one.
type conn struct {
	t      testing.TB
	user   *user
	device string
	ws     *websocket.Conn

	mu      sync.Mutex // guards what follows
	refs    int
	waiting map[string]chan frame
	pushed  []frame
	more    chan struct{} // closed and replaced at each push
	ended   chan struct{} // closed when the socket has ended, after the last push
	err     error         // why; read after ended
}

// handshake is how a connection is asked for.
type handshake struct {
	header       http.Header
	subprotocols []string
	query        string
}

// as is the handshake of a program.
func as(token, device string) handshake {
	h := http.Header{}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	if device != "" {
		h.Set("X-Duet-Device", device)
	}
	return handshake{header: h}
}

// dial makes a handshake.
func (d *target) dial(ctx context.Context, h handshake) (*websocket.Conn, *http.Response, error) {
	ws, resp, err := websocket.Dial(ctx, d.outputs["WebSocketUrl"]+h.query, &websocket.DialOptions{
		HTTPHeader: h.header, Subprotocols: h.subprotocols, CompressionMode: websocket.CompressionDisabled,
	})
	if ws != nil {
		ws.SetReadLimit(1 << 20) // what is over the server's limit is to be seen
	}
	return ws, resp, err
}

// connect opens a connection of a device; it is closed when the test ends.
func (u *user) connect(t testing.TB, device string) *conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := u.tryConnect(ctx, t, device)
	if err != nil {
		t.Fatalf("connect %s/%s: %v", u.name, device, err)
	}
	return c
}

func (u *user) tryConnect(ctx context.Context, t testing.TB, device string) (*conn, error) {
	ws, _, err := u.target.dial(ctx, as(u.AccessToken, device))
	if err != nil {
		return nil, err
	}
	return u.attach(t, device, ws), nil
}

// attach reads what comes on a socket.
func (u *user) attach(t testing.TB, device string, ws *websocket.Conn) *conn {
	c := &conn{
		t: t, user: u, device: device, ws: ws,
		waiting: map[string]chan frame{}, more: make(chan struct{}), ended: make(chan struct{}),
	}
	go c.read()
	t.Cleanup(c.drop)
	return c
}

func (c *conn) read() {
	for {
		kind, data, err := c.ws.Read(context.Background())
		if err != nil {
			c.err = err
			close(c.ended)
			return
		}
		f := frame{size: len(data), raw: string(data)}
		if err := json.Unmarshal(data, &f); err != nil || kind != websocket.MessageText {
			c.t.Errorf("%s got %s frame %q, want a JSON text: %v", c, kind, data, err)
			continue
		}
		c.take(f)
	}
}

func (c *conn) take(f frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer := c.waiting[f.Ref]; f.Ref != "" && answer != nil {
		delete(c.waiting, f.Ref)
		answer <- f
		return
	}
	if f.Ref != "" {
		c.t.Errorf("%s got a second or unasked answer: %s", c, f.raw)
	}
	c.pushed = append(c.pushed, f)
	close(c.more)
	c.more = make(chan struct{})
}

// String names the connection in failures.
func (c *conn) String() string { return c.user.name + "/" + c.device }

// drop ends the connection without a closing handshake, as a broken network does.
func (c *conn) drop() { _ = c.ws.CloseNow() }

// closed waits until the connection has ended and returns its close code, -1 if there was none.
func (c *conn) closed() websocket.StatusCode {
	c.t.Helper()
	select {
	case <-c.ended:
		return websocket.CloseStatus(c.err)
	case <-timeout():
		c.t.Fatalf("%s is still open", c)
		return 0
	}
}

// errEnded is why a request has no answer.
var errEnded = errors.New("the connection has ended")

// start sends a request under a ref of its own and returns where its answer will come.
func (c *conn) start(request map[string]any) (<-chan frame, error) {
	answer := make(chan frame, 1)
	c.mu.Lock()
	c.refs++
	ref := strconv.Itoa(c.refs)
	c.waiting[ref] = answer
	c.mu.Unlock()
	request["ref"] = ref
	data, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	return answer, c.write(string(data))
}

func (c *conn) write(text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.ws.Write(ctx, websocket.MessageText, []byte(text))
}

// ask sends a request and waits for its answer.
func (c *conn) ask(request map[string]any) (frame, error) {
	answer, err := c.start(request)
	if err != nil {
		return frame{}, err
	}
	return c.await(answer)
}

func (c *conn) await(answer <-chan frame) (frame, error) {
	select {
	case f := <-answer:
		return f, nil
	case <-c.ended:
		select { // the answer may have been the last frame
		case f := <-answer:
			return f, nil
		default:
			return frame{}, fmt.Errorf("%w: %w", errEnded, c.err)
		}
	case <-timeout():
		return frame{}, fmt.Errorf("no answer in %v", patience)
	}
}

// must is ask, for an answer of a type.
func (c *conn) must(kind string, request map[string]any) frame {
	c.t.Helper()
	f, err := c.ask(request)
	if err != nil {
		c.t.Fatalf("%s: %v: %v", c, request, err)
	}
	if f.Type != kind {
		c.t.Fatalf("%s: %.200v = %s, want %s", c, request, f.raw, kind)
	}
	return f
}

func (c *conn) send(to *user, n int64, text string) frame {
	c.t.Helper()
	return c.must("sent", message(to, n, text))
}

// message is a send.
func message(to *user, n int64, text string) map[string]any {
	return map[string]any{"action": "send", "to": to.name, "n": n, "text": text}
}

// sync reads all pages of a sync, and checks what holds for each.
func (c *conn) sync(cursors map[string]int64, since string) (all []summary, last frame) {
	c.t.Helper()
	for {
		request := map[string]any{"action": "sync"}
		if cursors != nil {
			request["cursors"] = cursors
		}
		if since != "" {
			request["since"] = since
		}
		last = c.must("synced", request)
		if last.size > 32<<10 {
			c.t.Fatalf("synced has %d bytes, want at most 32768", last.size)
		}
		all = append(all, last.Conversations...)
		if !last.More {
			return all, last
		}
		since = last.Since
	}
}

// log reads a conversation from after a seq to its end, and checks what holds for each page.
func (c *conn) log(conversation string, after int64) (all []entry) {
	c.t.Helper()
	for {
		page := c.must("page", map[string]any{"action": "history", "conversation": conversation, "after": after})
		if page.size > 32<<10 || len(page.Messages) > 100 {
			c.t.Fatalf("page has %d messages in %d bytes, want at most 100 in 32768", len(page.Messages), page.size)
		}
		all = append(all, page.Messages...)
		if !page.More {
			return all
		}
		if len(page.Messages) == 0 {
			c.t.Fatalf("page after %d of %s is empty, but has more", after, conversation)
		}
		after = page.Messages[len(page.Messages)-1].Seq
	}
}

// pushes waits until the pushes so far satisfy a condition, and returns them.
func (c *conn) pushes(what string, enough func([]frame) bool) []frame {
	c.t.Helper()
	limit := timeout()
	for {
		c.mu.Lock()
		got, more := c.pushed, c.more
		c.mu.Unlock()
		if enough(got) {
			return got
		}
		select {
		case <-more:
		case <-c.ended:
			c.mu.Lock()
			got = c.pushed
			c.mu.Unlock()
			if enough(got) {
				return got
			}
			c.t.Fatalf("%s has ended (%v) with %d pushes, want %s", c, c.err, len(got), what)
		case <-limit:
			c.t.Fatalf("%s has %d pushes after %v, want %s", c, len(got), patience, what)
		}
	}
}

// messages waits for the pushes of so many different messages, and returns them by seq.
func (c *conn) messages(conversation string, count int) map[int64]entry {
	c.t.Helper()
	got, read := map[int64]entry{}, 0
	c.pushes(fmt.Sprintf("%d messages", count), func(all []frame) bool {
		for ; read < len(all); read++ {
			if f := all[read]; f.Type == "message" && f.Conversation == conversation {
				got[f.Seq] = f.entry
			}
		}
		return len(got) >= count
	})
	return got
}

// of is the pushes of some types, in order.
func of(all []frame, types ...string) (some []frame) {
	for _, f := range all {
		if slices.Contains(types, f.Type) {
			some = append(some, f)
		}
	}
	return some
}

// expect waits for so many pushes of a type, and returns them.
func (c *conn) expect(count int, kind string) []frame {
	c.t.Helper()
	all := c.pushes(fmt.Sprintf("%d of type %s", count, kind), func(all []frame) bool { return len(of(all, kind)) >= count })
	return of(all, kind)
}

// refused sends a request and waits for its refusal, by code and field.
func (c *conn) refused(code, field string, request map[string]any) frame {
	c.t.Helper()
	f := c.must("error", request)
	if f.Code != code || f.Field != field || f.Message == "" {
		c.t.Fatalf("%s: %.200v = %s, want %s of field %q", c, request, f.raw, code, field)
	}
	return f
}
