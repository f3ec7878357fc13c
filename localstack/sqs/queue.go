package sqs

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	smithyrand "github.com/aws/smithy-go/rand"

	"github.com/duet-chat/duet/localstack/meter"
	"github.com/duet-chat/duet/localstack/storage"
)

// Key spaces of the store: the messages of a queue by number, and when queues were made.
const (
	messageSpace = "qm"
	createdSpace = "qc"
)

// queue is a queue at work. What is known of each message without its body is in memory.
type queue struct {
	Queue
	visibility time.Duration
	arn, url   string
	created    time.Time
	store      *storage.Store
	now        func() time.Time
	requests   *meter.Counter

	mu       sync.Mutex // guards what follows
	next     uint64     // number of the next message
	messages []*message // by number, which is by age
	purged   time.Time  // when last
	// changed is closed and renewed when a message may be received sooner than those who wait know.
	changed chan struct{}
}

// message is a message without its body. Times are Unix milliseconds.
type message struct {
	ID       string `json:"id"`
	Sent     int64  `json:"sent"`
	Visible  int64  `json:"visible"`            // from then on it can be received
	Receives int    `json:"receives,omitempty"` // so far
	First    int64  `json:"first,omitempty"`    // receive

	number uint64
}

// stored is a message as the store keeps it.
type stored struct {
	message
	Body string `json:"body"`
}

func (s *Service) open(settings Queue) (*queue, error) {
	if err := settings.Check(); err != nil {
		return nil, err
	}
	q := &queue{
		Queue: settings, visibility: defaultVisibility, store: s.Store, now: s.Now, next: 1, changed: make(chan struct{}),
		arn:      fmt.Sprintf("arn:aws:sqs:%s:%s:%s", s.Region, s.Account, settings.Name),
		url:      fmt.Sprintf("%s/%s/%s", s.BaseURL, s.Account, settings.Name),
		requests: s.Meter.Counter("sqs", settings.Name, "requests"),
	}
	if q.VisibilityTimeout != nil {
		q.visibility = *q.VisibilityTimeout
	}
	if q.Retention == 0 {
		q.Retention = defaultRetention
	}
	if q.MaximumSize == 0 {
		q.MaximumSize = maxSize
	}
	key := []byte(createdSpace + q.Name)
	value, ok, err := q.store.Get(key)
	if err != nil {
		return nil, err
	}
	if !ok {
		value = binary.BigEndian.AppendUint64(nil, uint64(q.now().UnixMilli()))
		if err := q.store.PutSoon(key, value); err != nil {
			return nil, err
		}
	}
	q.created = time.UnixMilli(int64(binary.BigEndian.Uint64(value)))
	prefix := q.prefix()
	var broken error
	err = q.store.Scan(prefix, func(key, value []byte) bool {
		m := &message{number: binary.BigEndian.Uint64(key[len(prefix):])}
		if broken = json.Unmarshal(value, m); broken != nil {
			return false
		}
		q.messages = append(q.messages, m)
		q.next = m.number + 1
		return true
	})
	if err == nil && broken != nil {
		err = fmt.Errorf("message %d cannot be read: %w", q.next, broken)
	}
	return q, err
}

// prefix begins the keys of the queue's messages. Names of queues have no zero byte.
func (q *queue) prefix() []byte { return []byte(messageSpace + q.Name + "\x00") }

func (q *queue) key(number uint64) []byte { return binary.BigEndian.AppendUint64(q.prefix(), number) }

// send keeps a message; delay nil is the queue's.
func (q *queue) send(body string, delay *time.Duration) (id string, err error) {
	if delay == nil {
		delay = &q.Delay
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.expire(); err != nil {
		return "", err
	}
	id, err = smithyrand.NewUUID(rand.Reader).GetUUID()
	if err != nil {
		return "", err
	}
	now := q.now()
	m := &message{ID: id, Sent: now.UnixMilli(), Visible: now.Add(*delay).UnixMilli(), number: q.next}
	value, err := json.Marshal(stored{*m, body})
	if err != nil {
		return "", err
	}
	if err := q.store.Put(q.key(m.number), value); err != nil {
		return "", err
	}
	q.next++
	q.messages = append(q.messages, m)
	q.wake()
	return m.ID, nil
}

// wake lets those look again who wait for a message. q.mu is held.
func (q *queue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// expire removes what is older than the retention. q.mu is held.
func (q *queue) expire() error {
	oldest := q.now().Add(-q.Retention).UnixMilli()
	n := slices.IndexFunc(q.messages, func(m *message) bool { return m.Sent >= oldest })
	if n < 0 {
		n = len(q.messages)
	}
	return q.drop(n)
}

// drop removes the n oldest messages. q.mu is held.
func (q *queue) drop(n int) error {
	if n == 0 {
		return nil
	}
	b := q.store.NewBatch()
	b.DeleteRange(q.prefix(), q.key(q.messages[n-1].number+1))
	if err := b.Commit(); err != nil {
		return err
	}
	q.messages = slices.Delete(q.messages, 0, n)
	return nil
}

// receipt is what a receipt handle says: which receive of which message it came from.
type receipt struct {
	Queue    string
	Number   uint64
	Receives int
}

func (r receipt) handle() string {
	j, _ := json.Marshal(r) // a string and numbers: cannot fail
	return base64.StdEncoding.EncodeToString(j)
}

// parse reads a receipt handle; ok is false when it is none of this queue's.
func (q *queue) parse(handle string) (r receipt, ok bool) {
	j, err := base64.StdEncoding.DecodeString(handle)
	return r, err == nil && json.Unmarshal(j, &r) == nil && r.Queue == q.Name
}

// delivery is a message that was received.
type delivery struct {
	stored
	handle string
}

// receive takes up to n messages and hides them. When there is none it waits for one, without
// looking again and again: until one is sent, or is to be seen again, or the time is up.
func (q *queue) receive(ctx context.Context, n int, hide, wait time.Duration) ([]delivery, error) {
	until := q.now().Add(wait)
	for {
		found, next, changed, err := q.take(n, hide)
		if err != nil || len(found) > 0 {
			return found, err
		}
		look := until
		if !next.IsZero() && next.Before(until) {
			look = next
		}
		pause := look.Sub(q.now())
		if !until.After(q.now()) {
			return nil, nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, nil // who asked is gone
		}
		timer.Stop()
	}
}

// take is a receive that does not wait. When it finds nothing, next is when a message that is hidden
// now can be seen, zero for none, and changed ends should that be sooner.
func (q *queue) take(n int, hide time.Duration) (found []delivery, next time.Time, changed <-chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.expire(); err != nil {
		return nil, next, nil, err
	}
	now := q.now()
	for _, m := range q.messages {
		if m.Visible > now.UnixMilli() {
			if at := time.UnixMilli(m.Visible); next.IsZero() || at.Before(next) {
				next = at
			}
			continue
		}
		full, err := q.load(m)
		if err != nil {
			return nil, next, nil, err
		}
		if m.Receives++; m.Receives == 1 {
			m.First = now.UnixMilli()
		}
		m.Visible = now.Add(hide).UnixMilli()
		full.message = *m
		if err := q.save(full); err != nil {
			return nil, next, nil, err
		}
		found = append(found, delivery{full, receipt{q.Name, m.number, m.Receives}.handle()})
		if len(found) == n {
			break
		}
	}
	return found, next, q.changed, nil
}

// load reads a message with its body. q.mu is held.
func (q *queue) load(m *message) (stored, error) {
	full := stored{}
	value, ok, err := q.store.Get(q.key(m.number))
	switch {
	case err != nil:
		return full, err
	case !ok:
		return full, fmt.Errorf("message %s is not in the store", m.ID)
	}
	if err := json.Unmarshal(value, &full); err != nil {
		return full, fmt.Errorf("message %s: %w", m.ID, err)
	}
	return full, nil
}

// save notes what became of a message. It does not wait for the disk: a message whose receive is
// forgotten in a crash is received again, as it may be on AWS. q.mu is held.
func (q *queue) save(m stored) error {
	value, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return q.store.PutSoon(q.key(m.number), value)
}

// find is the message of a receipt, which counts while no later receive has given another one. q.mu
// is held.
func (q *queue) find(r receipt) (i int, ok bool) {
	i, ok = slices.BinarySearchFunc(q.messages, r.Number, func(m *message, number uint64) int {
		switch {
		case m.number < number:
			return -1
		case m.number > number:
			return 1
		}
		return 0
	})
	return i, ok && q.messages[i].Receives == r.Receives
}

// remove deletes the message of a receipt, if it is there.
func (q *queue) remove(r receipt) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	i, ok := q.find(r)
	if !ok {
		return nil
	}
	if err := q.store.Delete(q.key(r.Number)); err != nil {
		return err
	}
	q.messages = slices.Delete(q.messages, i, i+1)
	return nil
}

// hide changes for how long from now a received message is hidden. exists is false when it is gone,
// or was received again; inFlight is false when it can be seen already.
func (q *queue) hide(r receipt, d time.Duration) (exists, inFlight bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i, ok := q.find(r)
	if !ok {
		return false, false, nil
	}
	m, now := q.messages[i], q.now()
	if m.Visible <= now.UnixMilli() {
		return true, false, nil
	}
	full, err := q.load(m)
	if err != nil {
		return true, true, err
	}
	m.Visible = now.Add(d).UnixMilli()
	full.message = *m
	q.wake()
	return true, true, q.save(full)
}

// purge removes all messages, unless it did so less than a minute ago.
func (q *queue) purge() (done bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	if !q.purged.IsZero() && now.Sub(q.purged) < time.Minute {
		return false, nil
	}
	if err := q.drop(len(q.messages)); err != nil {
		return false, err
	}
	q.purged = now
	return true, nil
}

// counts are how many messages can be received, are hidden since they were, or are delayed.
func (q *queue) counts() (visible, inFlight, delayed int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	err = q.expire()
	now := q.now().UnixMilli()
	for _, m := range q.messages {
		switch {
		case m.Visible <= now:
			visible++
		case m.Receives > 0:
			inFlight++
		default:
			delayed++
		}
	}
	return visible, inFlight, delayed, err
}

func (q *queue) bodies() ([]string, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.expire(); err != nil {
		return nil, err
	}
	bodies := make([]string, len(q.messages))
	for i, m := range q.messages {
		full, err := q.load(m)
		if err != nil {
			return nil, err
		}
		bodies[i] = full.Body
	}
	return bodies, nil
}
