package client_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duet-chat/duet/client"
)

var (
	modelRuns = flag.Int("model.runs", 30, "random runs of the model test")
	modelSeed = flag.Uint64("model.seed", 0, "first seed of the model test's random runs")
)

// TestRandomServer lets a client live with a server that loses, delays, repeats and reverses what
// it can, and with crashes of its own program. Seeds choose the faults; goroutines still race, so a
// failing seed fails often rather than always.
func TestRandomServer(t *testing.T) {
	for run := range *modelRuns {
		seed := *modelSeed + uint64(run)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			within(t, func(t *testing.T, s *server) {
				w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), faults: true, logs: map[string][]object{}, tails: map[string]int{}}
				w.run(s)
			})
		})
	}
}

// world is the model: a server as the protocol describes it, which keeps logs and tails, and
// what must come of it.
type world struct {
	t       *testing.T
	working sync.WaitGroup // what handles frames and delivers

	mu     sync.Mutex // guards what follows
	rng    *rand.Rand
	faults bool
	logs   map[string][]object // by conversation: its entries
	tails  map[string]int      // by conversation and device: the last accepted n
	live   *conn               // the connection to which messages are posted
	behind bool
	lost   bool             // the program has lost its memory once: conflicts are in order
	device string           // the id that it keeps all the same
	before map[string]int64 // by conversation: the last that any run was shown
}

// life is one run of the program.
type life struct {
	*user
	state   *mortalState
	pending []*client.Pending
}

// mortalState is a State whose program can crash: what it saves from then on is lost.
type mortalState struct {
	client.State
	mu   sync.Mutex // guards dead
	dead bool
}

var errCrashed = errors.New("crashed")

func (s *mortalState) Save(c client.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return errCrashed
	}
	return s.State.Save(c)
}

func (s *mortalState) crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
}

// one is true once in n times while there are faults.
func (w *world) one(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faults && w.rng.IntN(n) == 0
}

// pause waits for up to most milliseconds of the bubble's time.
func (w *world) pause(most int) {
	w.mu.Lock()
	d := time.Duration(w.rng.IntN(most*1000+1)) * time.Microsecond
	w.mu.Unlock()
	time.Sleep(d)
}

func (w *world) run(s *server) {
	stop := make(chan struct{})
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			select {
			case c := <-s.conns:
				w.connected(c)
			case <-stop:
				return
			}
		}
	})
	state := client.NewMemoryState()
	w.before = map[string]int64{}
	l := w.begin(s, state)
	for step := range 150 {
		w.pause(100)
		switch w.choose(10) {
		case 0, 1, 2, 3, 4:
			l.send(w, step)
		case 5, 6, 7:
			w.peerWrites()
		case 8:
			if w.one(4) {
				w.cut()
			}
		case 9:
			if w.one(6) {
				l.state.crash()
				l.Close()
				w.acknowledged(l)
				if w.one(2) {
					// Its memory is lost, but not its device id.
					state, w.device = client.NewMemoryState(), l.Device()
					w.mu.Lock()
					w.lost = true
					w.mu.Unlock()
				}
				l = w.begin(s, state)
			}
		}
	}
	w.mu.Lock()
	w.faults = false
	w.mu.Unlock()
	w.cut()
	l.pending = append(l.pending, l.Unsent()...)
	for _, p := range l.pending {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err := p.Wait(ctx)
		cancel()
		var refused *client.Error
		if err != nil && !errors.As(err, &refused) {
			w.t.Errorf("%q is not settled: %v", p.Text(), err)
		}
	}
	w.acknowledged(l)
	w.settled(l)
	l.Close()
	close(stop)
	serving.Wait()
	// Frames that were read before the end are being handled still.
	time.Sleep(time.Minute)
	w.working.Wait()
	w.check()
}

func (w *world) choose(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// begin starts the program on what it remembers.
func (w *world) begin(s *server, state client.State) *life {
	l := &life{state: &mortalState{State: state}}
	shown := map[string]int64{}
	l.user = s.start(func(cfg *client.Config) {
		cfg.State, cfg.Device, cfg.FromBeginning, cfg.Rand = l.state, w.device, true, nil
		cfg.Window = 1 + w.choose(client.MaxInFlight)
		cfg.OnMessage = func(m client.Message) { w.show(shown, m) }
	})
	return l
}

// show checks that a run is shown a log without gaps, in order, each message once.
func (w *world) show(shown map[string]int64, m client.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, known := shown[m.Conversation]
	switch {
	case known && m.Seq != last+1:
		w.t.Errorf("%s: %d was shown after %d", m.Conversation, m.Seq, last)
	case !known && m.Seq > w.before[m.Conversation]+1:
		w.t.Errorf("%s: a new run begins with %d, but only %d were shown", m.Conversation, m.Seq, w.before[m.Conversation])
	}
	if e := w.logs[m.Conversation][m.Seq-1]; e["text"] != m.Text || e["from"] != m.From {
		w.t.Errorf("%s %d: shown %q of %s, but it is %q of %s", m.Conversation, m.Seq, m.Text, m.From, e["text"], e["from"])
	}
	shown[m.Conversation] = m.Seq
	w.before[m.Conversation] = max(w.before[m.Conversation], m.Seq)
}

func (l *life) send(w *world, step int) {
	to := []string{"bob", "carol"}[w.choose(2)]
	for i := range 1 + w.choose(8) {
		text := fmt.Sprintf("alice %d.%d", step, i)
		if w.one(15) {
			text = "refuse " + text
		}
		p, err := l.Enqueue(to, text)
		if err != nil {
			w.t.Errorf("Enqueue(%q) = %v", text, err)
			return
		}
		l.pending = append(l.pending, p)
	}
}

// acknowledged checks what a run was told against the logs.
func (w *world) acknowledged(l *life) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range l.pending {
		select {
		case <-p.Done():
		default:
			continue
		}
		sent, err := p.Wait(context.Background())
		switch {
		case err == nil:
			if e := w.logs[sent.Conversation][sent.Seq-1]; e["text"] != p.Text() {
				w.t.Errorf("%q was acknowledged at %s %d, but there is %q", p.Text(), sent.Conversation, sent.Seq, e["text"])
			}
		case errors.Is(err, client.ErrBadRequest) && !strings.HasPrefix(p.Text(), "refuse "):
			w.t.Errorf("%q was refused: %v", p.Text(), err)
		}
	}
}

// settled waits until everything was shown.
func (w *world) settled(l *life) {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Second) {
		w.mu.Lock()
		missing := ""
		for id, log := range w.logs {
			if w.before[id] != int64(len(log)) {
				missing = fmt.Sprintf("%s: %d of %d were shown", id, w.before[id], len(log))
			}
		}
		w.mu.Unlock()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatal(missing)
		}
	}
}

// check holds the logs to the promises: G2, each text once; G4, each device's in its order.
func (w *world) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	own := 0
	for id, log := range w.logs {
		seen, lastStep, lastPart := map[any]bool{}, -1, -1
		for _, e := range log {
			text := e["text"].(string)
			if seen[text] {
				w.t.Errorf("%s: %q is stored twice", id, text)
			}
			seen[text] = true
			if e["from"] != "alice" {
				continue
			}
			own++
			var step, part int
			if _, err := fmt.Sscanf(text, "alice %d.%d", &step, &part); err != nil {
				w.t.Errorf("%s: %q is stored: %v", id, text, err)
			}
			// What a lost program had under way can overtake what the next one sends.
			if w.lost {
				continue
			}
			if step < lastStep || step == lastStep && part <= lastPart {
				w.t.Errorf("%s: %q is stored after %d.%d", id, text, lastStep, lastPart)
			}
			lastStep, lastPart = step, part
		}
	}
	if own < 50 && !w.lost {
		w.t.Errorf("only %d were stored: the run shows nothing", own)
	}
}

// connected serves a connection; each frame in its own goroutine, as API Gateway does.
func (w *world) connected(c *conn) {
	w.mu.Lock()
	w.live, w.behind = c, false
	w.mu.Unlock()
	c.serve(func(f object) {
		w.working.Go(func() {
			w.pause(30)
			w.handle(c, f)
		})
	})
}

func (w *world) cut() {
	w.mu.Lock()
	c := w.live
	w.mu.Unlock()
	if c != nil {
		c.cut()
	}
}

// reply writes a frame, unless the connection is gone.
func (w *world) reply(c *conn, f object) {
	select {
	case <-c.gone:
	default:
		_ = c.tryWrite(f)
	}
}

func (w *world) answer(c *conn, request, f object) {
	f["ref"] = request["ref"]
	w.reply(c, f)
}

func (w *world) handle(c *conn, f object) {
	fault := object{"message": "Internal server error", "connectionId": "c", "requestId": "r"}
	if w.one(20) {
		w.reply(c, fault) // crashed before it did anything
		return
	}
	answer := w.serve(c, f)
	w.pause(30)
	switch {
	case w.one(20):
		c.cut() // the answer is lost with the connection
	case w.one(20):
		w.reply(c, fault) // crashed after it did everything
	case w.one(20):
		w.answer(c, f, refusal("unavailable", true))
	default:
		w.answer(c, f, answer)
		if answer["type"] != "error" && w.one(20) {
			w.answer(c, f, answer)
		}
	}
}

func (w *world) serve(c *conn, f object) object {
	switch f["action"] {
	case "send":
		return w.send(c, f)
	case "history":
		return w.history(f)
	case "sync":
		return w.sync(f)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return object{"type": "pong", "behind": w.behind}
}

// send is chat.Sender in small.
func (w *world) send(c *conn, f object) object {
	id, device, n, text := "alice~"+f["to"].(string), c.header.Get("X-Duet-Device"), int(f["n"].(float64)), f["text"].(string)
	if strings.HasPrefix(text, "refuse ") {
		return refusal("bad_request", false, object{"field": "text"})
	}
	for waited := time.Duration(0); ; waited += 10 * time.Millisecond {
		w.mu.Lock()
		tail := w.tails[id+device]
		switch {
		case n <= tail:
			defer w.mu.Unlock()
			for i, e := range w.logs[id] {
				if e["device"] == device && e["n"] == n {
					if e["text"] != text {
						if !w.lost {
							w.t.Errorf("%s: n %d is %q, and now %q", id, n, e["text"], text)
						}
						return refusal("conflict", false, object{"last_n": tail})
					}
					return object{"type": "sent", "conversation": id, "n": n, "seq": i + 1, "at": e["at"], "duplicate": true}
				}
			}
			panic("an accepted number is not in the log")
		case n == tail+1:
			defer w.mu.Unlock()
			seq := w.append(id, "alice", device, n, text)
			return object{"type": "sent", "conversation": id, "n": n, "seq": seq, "at": 1000 * seq}
		case n > tail+client.MaxInFlight || waited >= 2*time.Second:
			w.mu.Unlock()
			return refusal("out_of_order", true, object{"field": "n", "last_n": tail})
		}
		w.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
}

func (w *world) append(id, from, device string, n int, text string) (seq int) {
	seq = len(w.logs[id]) + 1
	w.logs[id] = append(w.logs[id], object{
		"conversation": id, "seq": seq, "from": from, "device": device, "n": n, "at": 1000 * seq, "kind": "text", "text": text,
	})
	w.tails[id+device] = n
	return seq
}

// peerWrites appends a message of the peer's, and delivers it: late, twice, or not at all.
func (w *world) peerWrites() {
	peer := []string{"bob", "carol"}[w.choose(2)]
	id := "alice~" + peer
	for range 1 + w.choose(5) {
		w.mu.Lock()
		n := w.tails[id+"phone"] + 1
		seq := w.append(id, peer, "phone", n, fmt.Sprintf("%s %d", peer, n))
		f := object{"type": "message"}
		for k, v := range w.logs[id][seq-1] {
			f[k] = v
		}
		c := w.live
		w.mu.Unlock()
		if c == nil {
			continue
		}
		if w.one(10) {
			w.mu.Lock()
			w.behind = true
			w.mu.Unlock()
			if w.one(2) {
				w.reply(c, object{"type": "behind"})
			}
			continue
		}
		w.working.Go(func() {
			w.pause(400)
			w.reply(c, f)
			if w.one(10) {
				w.reply(c, f)
			}
		})
	}
}

func (w *world) history(f object) object {
	w.mu.Lock()
	defer w.mu.Unlock()
	log := w.logs[f["conversation"].(string)]
	first := int(f["after"].(float64))
	last := min(len(log), first+1+w.rng.IntN(20))
	messages := []object{}
	if first < last {
		messages = log[first:last]
	}
	return object{"type": "page", "conversation": f["conversation"], "messages": messages, "more": last < len(log)}
}

func (w *world) sync(f object) object {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.behind = false
	cursors, _ := f["cursors"].(object)
	summaries := []object{}
	for id, log := range w.logs {
		if at, ok := cursors[id].(float64); !ok || int(at) < len(log) {
			summaries = append(summaries, object{"conversation": id, "peer": id[len("alice~"):], "last_seq": len(log), "unread": 0, "at": 1000 * len(log)})
		}
	}
	return object{"type": "synced", "epoch": "e", "conversations": summaries, "since": "1", "more": false}
}
