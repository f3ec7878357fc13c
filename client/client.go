package client

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/duet-chat/duet/internal/wire"
)

// Client keeps one device of one user connected. Its methods may be called concurrently.
type Client struct {
	cfg Config

	wake       chan struct{}  // wakes the driver
	results    chan dialed    // of the attempt to connect, to the driver
	done       chan struct{}  // closed when Run has returned
	goroutines sync.WaitGroup // everything that Run has begun

	// mu guards everything below, and what hangs on it. It is never held during a call of Config's
	// functions, of the State, or of the network.
	mu     sync.Mutex
	began  bool
	ended  bool
	err    error // why it ended
	cancel context.CancelFunc
	armed  time.Time // when the driver's timer fires; zero: it does not

	// Who we are, and where we stand. See persist.go.
	device, epoch string
	since         string // of the last complete sync
	savedSince    string // the newest since that may be saved
	listed        bool   // there was a complete sync in this epoch, at some time
	targets       []*conversation
	convs         map[string]*conversation
	changed       []*conversation
	reset         bool
	mustSave      bool
	saveBy        time.Time // zero: nothing is to be saved

	// The connection. See link.go and ping.go.
	cur, old     *link
	oldUntil     time.Time
	dialing      bool
	dialAt       time.Time // zero: no attempt is planned
	failures     int       // attempts that failed, and connections that did not last, in a row
	unbroken     bool      // the last connection ended, but the next one is about to be there: nobody is told
	unheardUntil time.Time // an attempt that was given up may replace our connection until then
	phase        Phase
	onlineNow    chan struct{} // closed while online
	sync         *syncing
	heard        time.Time // the last frame came
	ping         *request
	pinged       time.Time
	pingEvery    time.Duration
	pingers      []chan error
	overdueAt    time.Time

	// What is asked and not answered. See request.go and outbox.go.
	refs     int64
	requests map[string]*request
	outgoing []*request
	retrying []*request
	sends    map[string]*Pending
	ready    []*conversation
	pausing  []*conversation
	holes    []*conversation
	renewing bool

	// What is missing, and what is to be shown. See log.go and deliver.go.
	gaps       []gap // by time
	starved    []*conversation
	fetchQueue []*conversation
	fetching   int

	// What the users do besides writing. See receipts.go, typing.go, presence.go and list.go.
	acks       []*conversation
	flushers   []chan struct{}
	typers     []*conversation
	watch      watch
	listedAll  bool // every conversation is in the list
	events     []event
	queued     int           // messages among events, and the one being shown
	room       chan struct{} // closed when the queue is half empty; nil: nobody waits
	delivering bool
}

// New makes a client and loads its State. Nothing is sent before Run, but messages can be enqueued.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg:       cfg,
		wake:      make(chan struct{}, 1),
		results:   make(chan dialed, 1),
		done:      make(chan struct{}),
		onlineNow: make(chan struct{}),
		convs:     make(map[string]*conversation),
		requests:  make(map[string]*request),
		sends:     make(map[string]*Pending),
	}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// online tells whether requests can be made and everything before them is known.
func (c *Client) online() bool { return c.cur != nil && c.cur.synced && c.cur.err == nil }

func (c *Client) setStatus(s Status) {
	if c.ended || s.Phase == c.phase && s.Phase != Offline {
		return
	}
	c.phase = s.Phase
	c.emit(event{kind: eventStatus, status: s})
}

// WaitOnline waits until the client is connected and synced. It returns ErrClosed, or why Run
// ended, if that will not be any more.
func (c *Client) WaitOnline(ctx context.Context) error {
	c.mu.Lock()
	online := c.onlineNow
	c.mu.Unlock()
	select {
	case <-online:
		return nil
	case <-c.done:
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err != nil {
			return c.err
		}
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends Run and waits for it. Unacknowledged messages stay in the State. Further calls do
// nothing. Not to be called from a function of Config: end Run's context there.
func (c *Client) Close() error {
	c.mu.Lock()
	began, ended := c.began, c.ended
	c.end(nil)
	c.mu.Unlock()
	if began {
		<-c.done
		return nil
	}
	if ended {
		return nil
	}
	c.mu.Lock()
	c.abandon()
	change, save := c.pendingChange(c.cfg.Now(), true)
	c.mu.Unlock()
	if save {
		return c.cfg.State.Save(change)
	}
	return nil
}

// Device returns the id of this installation. It changes when the server's data began a new life, or
// when the State was lost but not the id.
func (c *Client) Device() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.device
}

// History returns up to limit (1 to MaxPage; 0: MaxPage) messages of the conversation with a
// peer: those before a seq (at least 1), the nearest ones, or those after a seq (at least 0). Exactly
// one of before and after is given; the other is negative. A before of 0 with an after counts as
// not given. It waits for a connection.
func (c *Client) History(ctx context.Context, peer string, before, after int64, limit int) (Page, error) {
	if err := c.checkPeer("peer", peer); err != nil {
		return Page{}, err
	}
	h := historyRequest{Action: wire.ActionHistory, Limit: limit, Conversation: c.between(peer)}
	switch {
	case before > 0 && after <= 0:
		h.Before = &before
	case before <= 0 && after >= 0:
		h.After = &after
	default:
		return Page{}, badArgument("after", "give either before or after")
	}
	f, err := c.roundTrip(ctx, func(ref string) any {
		h := h
		h.Ref = ref
		return h
	})
	if err != nil {
		return Page{}, err
	}
	page := Page{Messages: make([]Message, len(f.Messages)), More: f.More}
	for i := range f.Messages {
		page.Messages[i] = messageFrom(&f.Messages[i], c.cfg.User)
	}
	return page, nil
}

func peerOf(conversation, user string) string {
	a, b, _ := strings.Cut(conversation, "~")
	if a == user {
		return b
	}
	return a
}
