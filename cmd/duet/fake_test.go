package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// fake is a deployment in memory: as much of one as the commands need to be seen working. What the
// client library does in bad times is tested there.
type fake struct {
	*httptest.Server
	t testing.TB

	mu        sync.Mutex // guards what follows, and writing to connections
	passwords map[string]string
	sessions  map[string]string // user by token
	tokens    int               // how many there have been
	logs      map[string][]object
	tails     map[string]int // n by conversation and device
	conns     map[*websocket.Conn]string

	// faults
	refuse bool                        // connections, with 503
	onSend func(m object) (pushes int) // how often a message is pushed; nil: once
}

type object = map[string]any

func newFake(t testing.TB) *fake {
	f := &fake{
		t: t, passwords: map[string]string{}, sessions: map[string]string{}, logs: map[string][]object{},
		tails: map[string]int{}, conns: map[*websocket.Conn]string{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_local/outputs", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(object{
			"WebSocketUrl": "ws" + strings.TrimPrefix(f.URL, "http") + "/prod", "UserPoolEndpoint": f.URL, "UserPoolClientId": "c",
		})
	})
	mux.HandleFunc("GET /_local/health", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(object{"resident_bytes": 1 << 20})
	})
	mux.HandleFunc("POST /", f.cognito)
	mux.HandleFunc("GET /prod", f.connect)
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.stop)
	return f
}

// stop ends the deployment, with its connections.
func (f *fake) stop() {
	f.mu.Lock()
	for ws := range f.conns {
		_ = ws.CloseNow()
	}
	f.mu.Unlock()
	f.Close()
}

// forget ends all sessions, as a restart in memory does.
func (f *fake) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.sessions)
}

func (f *fake) cognito(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Username, Password string
		AuthParameters     map[string]string
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	f.mu.Lock()
	defer f.mu.Unlock()
	refuse := func(kind string) {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(object{"__type": kind, "message": kind})
	}
	user := in.AuthParameters["USERNAME"]
	switch _, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); operation {
	case "SignUp":
		switch {
		case f.passwords[in.Username] != "":
			refuse("UsernameExistsException")
		case len(in.Password) < 8:
			refuse("InvalidPasswordException")
		default:
			f.passwords[in.Username] = in.Password
			fmt.Fprint(w, "{}")
		}
		return
	case "RevokeToken":
		fmt.Fprint(w, "{}")
		return
	case "InitiateAuth":
		if token := in.AuthParameters["REFRESH_TOKEN"]; token != "" {
			user = f.sessions[token]
		} else if f.passwords[user] != in.AuthParameters["PASSWORD"] {
			user = ""
		}
	}
	if user == "" {
		refuse("NotAuthorizedException")
		return
	}
	f.tokens++
	token := fmt.Sprintf("token-%d", f.tokens)
	f.sessions[token] = user
	_ = json.NewEncoder(w).Encode(object{"AuthenticationResult": object{"AccessToken": token, "RefreshToken": token, "ExpiresIn": 3600}})
}

func (f *fake) connect(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	user, refuse := f.sessions[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")], f.refuse
	f.mu.Unlock()
	if refuse {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if user == "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		f.t.Error(err)
		return
	}
	f.mu.Lock()
	f.conns[ws] = user
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.conns, ws)
		f.mu.Unlock()
		_ = ws.CloseNow()
	}()
	for {
		_, frame, err := ws.Read(r.Context())
		if err != nil {
			return
		}
		var in request
		if err := json.Unmarshal(frame, &in); err != nil {
			f.t.Errorf("frame %s: %v", frame, err)
			return
		}
		in.user, in.device, in.ws = user, r.Header.Get("X-Duet-Device"), ws
		f.mu.Lock()
		answer := f.answer(in)
		answer["ref"] = in.Ref
		f.write(r, ws, answer)
		f.mu.Unlock()
	}
}

func (f *fake) write(r *http.Request, ws *websocket.Conn, frame object) {
	raw, _ := json.Marshal(frame)
	_ = ws.Write(r.Context(), websocket.MessageText, raw)
}

// request is any request of a client.
type request struct {
	Action, Ref, To, Text, Conversation string
	N, Limit                            int
	After, Before                       *int

	user, device string
	ws           *websocket.Conn
}

// answer makes the answer to a request; f.mu is held.
func (f *fake) answer(in request) object {
	switch in.Action {
	case "sync":
		conversations := []object{}
		for id, log := range f.logs {
			a, b, _ := strings.Cut(id, "~")
			if in.user != a && in.user != b {
				continue
			}
			unread := 0
			for unread < len(log) && log[len(log)-1-unread]["from"] != in.user {
				unread++
			}
			last := log[len(log)-1]
			conversations = append(conversations, object{
				"conversation": id, "peer": other(id, in.user), "last_seq": len(log), "unread": unread, "at": last["at"], "last": last,
			})
		}
		return object{"type": "synced", "epoch": "e", "since": "s", "conversations": conversations}
	case "history":
		log := f.logs[in.Conversation]
		first, last := 0, len(log)
		if most := f.fits(log); most < in.Limit {
			in.Limit = most
		}
		if in.After != nil {
			first = min(*in.After, len(log))
			last = min(first+in.Limit, last)
		} else {
			last = max(0, min(*in.Before-1, last))
			first = max(0, last-in.Limit)
		}
		more := last < len(log)
		if in.Before != nil {
			more = first > 0
		}
		return object{"type": "page", "conversation": in.Conversation, "messages": log[first:last], "more": more}
	case "send":
		return f.send(in)
	}
	return object{"type": "pong", "at": 1}
}

// fits is how many messages of a log a page of 32 KB surely holds.
func (f *fake) fits(log []object) int {
	longest := 0
	for _, m := range log {
		longest = max(longest, len(m["text"].(string)))
	}
	return 30 << 10 / (longest + 300)
}

func (f *fake) send(in request) object {
	if f.passwords[in.To] == "" {
		return object{"type": "error", "code": "unknown_user", "field": "to", "message": "nobody has this name"}
	}
	id := in.user + "~" + in.To
	if in.To < in.user {
		id = in.To + "~" + in.user
	}
	tail := id + " " + in.device
	if in.N <= f.tails[tail] {
		for _, m := range f.logs[id] {
			if m["device"] == in.device && m["n"] == in.N {
				return object{"type": "sent", "conversation": id, "n": in.N, "seq": m["seq"], "at": m["at"], "duplicate": true}
			}
		}
	}
	if in.N != f.tails[tail]+1 {
		f.t.Errorf("%s sends n = %d after %d", in.user, in.N, f.tails[tail])
	}
	f.tails[tail] = in.N
	seq := len(f.logs[id]) + 1
	m := object{"conversation": id, "seq": seq, "from": in.user, "device": in.device, "n": in.N, "at": 1700000000000, "kind": "text", "text": in.Text}
	f.logs[id] = append(f.logs[id], m)
	push := object{"type": "message"}
	for k, v := range m {
		push[k] = v
	}
	times := 1
	if f.onSend != nil {
		times = f.onSend(m)
	}
	for range times {
		for ws, user := range f.conns {
			if ws != in.ws && (user == in.To || user == in.user) {
				raw, _ := json.Marshal(push)
				_ = ws.Write(f.t.Context(), websocket.MessageText, raw)
			}
		}
	}
	return object{"type": "sent", "conversation": id, "n": in.N, "seq": seq, "at": m["at"]}
}

func other(conversation, user string) string {
	a, b, _ := strings.Cut(conversation, "~")
	if a == user {
		return b
	}
	return a
}
