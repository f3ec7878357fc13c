package client

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/duet-chat/duet/internal/chat"
)

// Config describes a client. URL, User and Tokens are needed; everything else has a sensible
// zero value.
//
// The On… functions are called one at a time and in order, so that they need no locks among
// themselves; they may call the client, also to Send. While one runs, messages wait: up to a few
// hundred in memory, the others on the server. Answers and pings do not wait.
type Config struct {
	URL    string      // of the WebSocket: Endpoint.WebSocketURL
	User   string      // whose tokens these are
	Tokens TokenSource // for the handshake
	Device string      // this installation's id in a new State, which keeps it; "": a random one
	State  State       // what to remember; nil: a NewMemoryState of its own

	// OnMessage is called with every message of every conversation, this user's own included,
	// once, in the order of Seq within its conversation.
	OnMessage func(Message)
	// OnConversation is called after a sync with each conversation that has news.
	OnConversation func(Conversation)
	// OnStatus is called when the connection's status changes.
	OnStatus func(Status)
	// OnReceipt is called when a peer, or this user by another device, has come further.
	OnReceipt func(Receipt)
	// OnTyping is called when a peer begins or stops to write: by a message, by saying so, or 6 s
	// after the last sign of it.
	OnTyping func(Typing)
	// OnPresence is called when the presence of a watched user is known, or changes: see Watch.
	OnPresence func(Presence)

	// NoDelivered leaves out what the client does by itself if there is an OnMessage: to acknowledge as
	// delivered what that has returned for.
	NoDelivered bool
	// AckWithin is how long receipts of a conversation are gathered before the server is told of all
	// of them at once; 0: a second.
	AckWithin time.Duration

	// FromBeginning makes a device that knows nothing yet be shown the whole log of each
	// conversation. Otherwise its first messages are the unread ones. History has the rest.
	FromBeginning bool

	// Window is how many sends per conversation may be under way, at most MaxInFlight. 0: as many as
	// pay, by the time that a send takes: one where the server is near, several where it is far.
	Window int

	Log *slog.Logger // nil: nothing is logged. Never gets texts or tokens.

	// HTTPClient opens connections; nil: http.DefaultClient.
	HTTPClient *http.Client
	// Now is the clock; nil: time.Now. Timers follow the system's.
	Now func() time.Time
	// Rand returns a number in [0, 1) for backoff; nil: math/rand.
	Rand func() float64
	// NewDevice makes device ids; nil: 26 random characters.
	NewDevice func() string
}

// withDefaults checks the configuration and fills it up.
func (cfg Config) withDefaults() (Config, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" {
		return cfg, fmt.Errorf("client: URL %q is not a WebSocket URL", cfg.URL)
	}
	if _, err := chat.ParseUser(cfg.User); err != nil {
		return cfg, fmt.Errorf("client: %w", err)
	}
	if cfg.Tokens == nil {
		return cfg, errors.New("client: Tokens is missing")
	}
	if cfg.Device != "" {
		if _, err := chat.ParseDevice(cfg.Device); err != nil {
			return cfg, fmt.Errorf("client: %w", err)
		}
	}
	if cfg.State == nil {
		cfg.State = NewMemoryState()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = mathrand.Float64
	}
	if cfg.AckWithin <= 0 {
		cfg.AckWithin = time.Second
	}
	if cfg.NewDevice == nil {
		cfg.NewDevice = rand.Text
	}
	return cfg, nil
}
