package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/wire"
)

// link is one connection.
type link struct {
	ws     *websocket.Conn
	device string
	opened time.Time
	synced bool // everything that happened before it is known; Client.mu guards it
	// replaceAt is when the next connection is to be opened; zero: never. Client.mu guards it.
	replaceAt time.Time
	forToken  bool          // replaceAt is for the token's end, so that a newer token is needed
	expires   time.Time     // of the token; zero: not known
	roundTrip time.Duration // the shortest of a send so far; 0: not known. Client.mu guards it
	watched   bool          // the server was told whose presence to watch on it; Client.mu guards it
	err       error         // why it ended, if this side knows better than the socket; Client.mu guards it
}

const (
	dialTimeout = 35 * time.Second // $connect has 29 s, and there may be an authorizer before it
	// connectionLife is how long API Gateway lets a connection live.
	// Source: API Gateway developer guide, "Quotas for WebSocket APIs".
	connectionLife = 2 * time.Hour
	// lifeMargin is how long before its end a connection is replaced, at least; up to twice as
	// long, so that many clients that came together do not return together.
	lifeMargin = 3 * time.Minute
	// tokenMargin is the same for the token's end; a fifth of the token's life if that is shorter.
	tokenMargin = time.Minute
	// tokenLeast is how long a token that the server has just taken can be expected to be good: one
	// that seems to end sooner says that this device's clock is wrong, and not when the token ends.
	tokenLeast = 3 * time.Second
	// oldLinkLife is how long a replaced connection may go on bringing what is on its way.
	oldLinkLife = 5 * time.Second
	lasted      = 10 * time.Second // a connection that lived so long ends a row of failures
	writeLimit  = 10 * time.Second
	readLimit   = 4 * wire.MaxFrameBytes // API Gateway's own bound; Duet's frames have 32 KB
	// keepBuffer is the largest buffer that an idle connection keeps.
	keepBuffer = 4 << 10
)

var (
	errNewDevice = errors.New("a new device id is needed")
	errNoPong    = errors.New("no answer to a ping")
	errOverdue   = errors.New("no answer to a request")
	errSession   = errors.New("the session has expired")
	errHandover  = errors.New("replaced by the next connection")
)

// fail ends a connection: its reader sees it, and reports err. Client.mu is held.
func (c *Client) fail(l *link, err error) {
	if l.err == nil {
		l.err = err
	}
	// CloseNow waits for the reader, and the reader may wait for Client.mu.
	c.closeLater(l)
}

func (c *Client) closeLater(l *link) {
	c.goroutines.Go(func() { l.ws.CloseNow() })
}

// dialed is how an attempt to connect ended.
type dialed struct {
	link  *link
	err   error
	final bool // there is no use in trying again
	// unheard is set when the server may have accepted the connection all the same.
	unheard bool
	// stale is set when there is no newer token than the one that is about to end.
	stale bool
}

// dial opens a connection. A token that the server refuses is refreshed once. One that expires no
// later than stale is of no use.
func (c *Client) dial(ctx context.Context, device string, stale time.Time) dialed {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	access, expires, err := c.cfg.Tokens.Token(ctx)
	if err != nil {
		return tokenFailed(err)
	}
	if !stale.IsZero() && !expires.IsZero() && !expires.After(stale) {
		return dialed{stale: true}
	}
	d, status := c.handshake(ctx, device, access, expires)
	if status != http.StatusUnauthorized {
		return d
	}
	if source, ok := c.cfg.Tokens.(interface{ Invalidate(string) }); ok {
		source.Invalidate(access)
	}
	fresh, expires, err := c.cfg.Tokens.Token(ctx)
	if err != nil {
		return tokenFailed(err)
	}
	if fresh != access {
		if d, status = c.handshake(ctx, device, fresh, expires); status != http.StatusUnauthorized {
			return d
		}
	}
	return dialed{err: ErrUnauthorized, final: true}
}

func tokenFailed(err error) dialed {
	return dialed{err: fmt.Errorf("get a token: %w", err), final: errors.Is(err, ErrBadCredentials)}
}

func (c *Client) handshake(ctx context.Context, device, access string, expires time.Time) (dialed, int) {
	ws, response, err := websocket.Dial(ctx, c.cfg.URL, &websocket.DialOptions{
		HTTPClient: c.cfg.HTTPClient,
		HTTPHeader: http.Header{"Authorization": {"Bearer " + access}, wire.DeviceHeader: {device}},
	})
	if err == nil {
		ws.SetReadLimit(readLimit)
		opened := c.cfg.Now()
		if expires.Sub(opened) < tokenLeast {
			expires = time.Time{} // the server will tell
		}
		return dialed{link: &link{ws: ws, device: device, opened: opened, expires: expires}}, http.StatusSwitchingProtocols
	}
	if response == nil {
		return dialed{err: fmt.Errorf("connect: %w", err), unheard: true}, 0
	}
	switch status := response.StatusCode; status {
	case http.StatusBadRequest:
		return dialed{err: fmt.Errorf("%w: %s", ErrRefused, response.Status), final: true}, status
	case http.StatusForbidden:
		return dialed{err: ErrErased, final: true}, status
	default:
		return dialed{err: fmt.Errorf("connect: %w: %s", err, response.Status)}, status
	}
}

// expired tells whether the server has stopped serving a connection.
func (l *link) expired(now time.Time) bool { return !l.expires.IsZero() && !now.Before(l.expires) }

// schedule sets when the connection is to be replaced.
func (c *Client) schedule(l *link) {
	spread := time.Duration(float64(lifeMargin) * c.cfg.Rand())
	l.replaceAt = l.opened.Add(connectionLife - lifeMargin - spread)
	if !l.expires.IsZero() {
		margin := min(tokenMargin, l.expires.Sub(l.opened)/5)
		if at := l.expires.Add(-margin); at.Before(l.replaceAt) {
			l.replaceAt, l.forToken = at, true
		}
	}
}

// read takes the frames of a connection until it ends.
func (c *Client) read(l *link) {
	var buffer bytes.Buffer
	for {
		buffer.Reset()
		if buffer.Cap() > keepBuffer {
			buffer = bytes.Buffer{}
		}
		// No deadline: the driver closes a connection that says nothing.
		kind, r, err := l.ws.Reader(context.Background())
		if err == nil {
			_, err = buffer.ReadFrom(r)
		}
		if err != nil {
			l.ws.CloseNow()
			c.mu.Lock()
			c.lost(l, err)
			c.mu.Unlock()
			return
		}
		if kind != websocket.MessageText {
			continue
		}
		f, err := decode(buffer.Bytes())
		if err != nil {
			c.cfg.Log.Warn("a frame cannot be read", "type", f.Type, "bytes", buffer.Len(), "error", err)
			continue
		}
		c.mu.Lock()
		c.receive(l, f)
		room := c.waitForRoom()
		c.mu.Unlock()
		if room != nil {
			wait := time.NewTimer(roomPause)
			select {
			case <-room:
			case <-wait.C:
			}
			wait.Stop()
		}
	}
}

// receive takes a frame.
func (c *Client) receive(l *link, f *frame) {
	if c.ended || l.device != c.device {
		return // of an earlier life: its numbers mean nothing
	}
	now := c.cfg.Now()
	if l == c.cur {
		c.heard = now
		if f.Type != wire.TypePong {
			c.pingEvery = pingFirst
		}
	}
	switch f.Type {
	case wire.TypeMessage:
		c.accept(f.pushed(c.cfg.User), now)
	case wire.TypeSent:
		if p := c.sends[f.Ref]; p != nil {
			c.stored(p, f, now)
		}
	case wire.TypeError:
		c.refused(l, f, now)
	case wire.TypeReceipt:
		c.receipt(f)
	case wire.TypeTyping:
		c.typing(f, now)
	case wire.TypePresence:
		if r := c.requests[f.Ref]; r != nil {
			c.answer(r, f)
		} else if l == c.cur && f.User != "" {
			c.present(wire.UserPresence{User: f.User, Online: f.Online, LastSeen: f.LastSeen})
		}
	case wire.TypeSynced, wire.TypePage, wire.TypePong, wire.TypeOK, wire.TypeAcked, wire.TypeAccount, wire.TypeErased:
		if r := c.requests[f.Ref]; r != nil {
			c.answer(r, f)
		}
		if f.Type == wire.TypeErased && f.Done {
			c.forgetTokens()
			c.end(ErrErased)
		}
	case wire.TypeBehind:
		c.startSync()
	case wire.TypeClosing:
		c.closing(l, f.Reason, now)
	case "":
		if l == c.cur && f.Message != "" {
			c.faulted(f.Message, now)
		}
	}
}

// refused takes an error.
func (c *Client) refused(l *link, f *frame, now time.Time) {
	expired := chat.Code(f.Code) == chat.SessionExpired
	p, r := c.sends[f.Ref], c.requests[f.Ref]
	switch {
	case expired && l != c.cur:
		// The next connection is there already, and everything is asked again on it.
		if p != nil {
			p.answered()
		}
	case p != nil:
		c.failed(p, f, now)
	case r != nil:
		c.refuse(r, f, now)
	case expired:
		c.reconnect(now)
	}
}

// closing takes the server's word that it closes a connection.
func (c *Client) closing(l *link, reason string, now time.Time) {
	if reason == wire.ClosingSignedOut {
		c.signedOut()
		return
	}
	if l != c.cur {
		return // the one that our new connection replaced
	}
	if reason != wire.ClosingReplaced {
		c.reconnect(now)
		return
	}
	if c.dialing || now.Before(c.unheardUntil) {
		// By our own next connection; or by an attempt that was given up, but reached the server.
		l.err = errHandover
		return
	}
	c.end(ErrReplaced)
}

// reconnect opens the next connection at once: this one brings nothing any more.
func (c *Client) reconnect(now time.Time) {
	if c.cur == nil || c.dialing || c.cur.err != nil {
		return
	}
	c.cur.err = errSession
	soon := now.Sub(c.cur.opened) >= lasted
	if !soon && c.failures == 0 {
		c.failures++ // once at once, but not for ever
		soon = true
	}
	c.redial(now, soon)
}

// leave ends the connection, and opens the next one.
func (c *Client) leave(err error, now time.Time) {
	if c.cur == nil {
		return
	}
	l := c.cur
	c.fail(l, err)
	c.disconnected(l, err, now)
}

// lost takes the end of a connection from its reader.
func (c *Client) lost(l *link, err error) {
	if l.err != nil {
		err = l.err
	}
	switch {
	case l == c.old:
		c.old = nil
	case l == c.cur && !c.ended:
		c.disconnected(l, err, c.cfg.Now())
	}
	c.poke()
}

// disconnected goes on without a connection.
func (c *Client) disconnected(l *link, err error, now time.Time) {
	c.cfg.Log.Info("disconnected", "after", now.Sub(l.opened), "error", err)
	c.cur, c.sync = nil, nil
	if l.synced {
		c.onlineNow = make(chan struct{})
	}
	c.requeueRequests()
	c.requeueSends()
	c.failPing(err)
	long := now.Sub(l.opened) >= lasted
	if long {
		c.failures = 0
	}
	if !c.dialing && c.dialAt.IsZero() {
		soon := long && (errors.Is(err, errSession) || errors.Is(err, errNewDevice) || errors.Is(err, errHandover))
		c.redial(now, soon)
	}
	if c.dialing && errors.Is(err, errHandover) || errors.Is(err, errSession) && !c.dialAt.After(now) {
		c.unbroken = true // if the next one fails, connected tells
		return
	}
	c.offline(err, now)
}

// offline tells that there is no connection, and when the next one is tried.
func (c *Client) offline(err error, now time.Time) {
	c.setStatus(Status{Phase: Offline, Err: err, RetryIn: max(0, c.dialAt.Sub(now))})
}

// redial sets when the next connection is tried: at once, or with backoff.
func (c *Client) redial(now time.Time, soon bool) {
	c.dialAt = now
	if !soon {
		c.dialAt = now.Add(c.jitter(500*time.Millisecond, 30*time.Second, c.failures))
		c.failures++
	}
	c.poke()
}

// connected takes the outcome of an attempt.
func (c *Client) connected(d dialed, now time.Time) {
	c.dialing, c.unbroken = false, false
	switch {
	case c.ended:
		if d.link != nil {
			c.closeLater(d.link)
		}
	case d.stale && c.cur != nil:
		// Nothing better than to use the connection up.
		c.cur.replaceAt, c.cur.forToken = c.cur.expires, false
	case d.stale:
		c.redial(now, true)
	case d.final && (c.cur == nil || c.cur.err != nil || c.cur.expired(now)):
		c.end(d.err)
	case d.err != nil:
		if d.unheard {
			c.unheardUntil = now.Add(time.Minute)
		}
		c.redial(now, false)
		if c.cur == nil {
			c.cfg.Log.Info("cannot connect", "error", d.err, "retry_in", c.dialAt.Sub(now))
			c.offline(d.err, now)
		}
	case d.link.device != c.device:
		c.closeLater(d.link)
		c.redial(now, true)
	default:
		c.adopt(d.link, now)
	}
}

// adopt makes a new connection the one to use. An older one may go on bringing what is on its way.
func (c *Client) adopt(l *link, now time.Time) {
	c.schedule(l)
	if c.old != nil {
		c.fail(c.old, errHandover)
	}
	if c.old = c.cur; c.old != nil {
		if now.Sub(c.old.opened) >= lasted {
			c.failures = 0
		}
		c.oldUntil = now.Add(oldLinkLife)
		if c.old.synced {
			c.onlineNow = make(chan struct{})
		}
		c.sync = nil
		c.requeueRequests()
		c.requeueSends()
		c.failPing(errHandover)
	}
	c.cur, c.heard, c.pingEvery = l, now, pingFirst
	c.goroutines.Go(func() { c.read(l) })
	c.cfg.Log.Info("connected", "device", l.device, "replace_in", l.replaceAt.Sub(now))
	c.startSync()
	c.poke()
}
