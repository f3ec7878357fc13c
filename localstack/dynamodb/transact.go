package dynamodb

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/dynamodb/expr"
)

// maxActions bounds a transaction. Source: DynamoDB API reference, TransactWriteItems.
const maxActions = 100

// transactWrite does TransactWriteItems.
func (db *DB) transactWrite(q *request, body, dst []byte) ([]byte, error) {
	if err := q.checkCapacityDetail(); err != nil {
		return nil, err
	}
	if err := checkActions(q.Actions); err != nil {
		return nil, err
	}
	writes := make([]*write, len(q.Actions))
	keys := make([][]byte, len(q.Actions))
	for i := range q.Actions {
		a := &q.Actions[i]
		w, err := db.newTransactWrite(a)
		if err != nil {
			return nil, err
		}
		writes[i], keys[i] = w, w.storeKey
		for _, other := range keys[:i] {
			if string(other) == string(w.storeKey) {
				return nil, invalid("Transaction request cannot include multiple operations on one item")
			}
		}
	}
	if q.Token != "" {
		repeat, err := db.tokens.begin(q.Token, maphash.Bytes(db.seed, body), db.now())
		if err != nil {
			return nil, err
		}
		if repeat {
			return appendTransactCapacity(dst, writes, q), nil
		}
	}
	err := db.transact(writes, keys)
	if q.Token != "" {
		db.tokens.end(q.Token, err == nil, db.now())
	}
	for _, s := range transactSpent(writes) {
		s.count("TransactWriteItems")
	}
	if err != nil {
		return nil, err
	}
	return appendTransactCapacity(dst, writes, q), nil
}

func checkActions(actions []action) error {
	switch {
	case len(actions) == 0:
		return invalid("1 validation error detected: Value '[]' at 'transactItems' failed to satisfy constraint: Member must have length greater than or equal to 1")
	case len(actions) > maxActions:
		return invalid("1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must have length less than or equal to %d", maxActions)
	}
	return nil
}

func (db *DB) newTransactWrite(a *action) (*write, error) {
	switch a.kind {
	case put, deletion:
	case update:
		if a.Update == nil {
			return nil, invalid("1 validation error detected: Value null at 'transactItems.1.member.update.updateExpression' failed to satisfy constraint: Member must not be null")
		}
	case conditionCheck:
		if a.Condition == nil {
			return nil, invalid("1 validation error detected: Value null at 'transactItems.1.member.conditionCheck.conditionExpression' failed to satisfy constraint: Member must not be null")
		}
	default:
		return nil, invalid("TransactItems can only contain one of Check, Put, Update or Delete")
	}
	return db.newWrite(a.kind, &a.request)
}

// transact makes all of the writes or none.
func (db *DB) transact(writes []*write, keys [][]byte) error {
	unlock := db.lock(keys...)
	var reasons []reason
	fail := func(i int, r reason) {
		if reasons == nil {
			reasons = make([]reason, len(writes))
		}
		reasons[i] = r
	}
	for i, w := range writes {
		ok, err := w.plan(db)
		switch {
		case err != nil:
			message, ok := validation(err)
			if !ok {
				unlock()
				return err
			}
			fail(i, reason{Code: "ValidationError", Message: message})
		case !ok:
			r := reason{Code: conditionFailed, Message: "The conditional request failed"}
			if w.request.ReturnOnFailure == "ALL_OLD" {
				r.Item = w.before
			}
			fail(i, r)
		}
	}
	if reasons != nil {
		unlock()
		for _, w := range writes {
			db.settle(db.partitionOf(w.table, w.key[w.table.key.pk.Name]))
		}
		codes := make([]string, len(reasons))
		for i, r := range reasons {
			if codes[i] = r.Code; r.Code == "" {
				codes[i] = "None"
			}
		}
		return &apiError{
			Type:    "TransactionCanceledException",
			Message: "Transaction cancelled, please refer cancellation reasons for specific reasons [" + strings.Join(codes, ", ") + "]",
			Reasons: reasons,
		}
	}
	changes := make([]change, 0, len(writes))
	for _, w := range writes {
		if w.kind != conditionCheck {
			changes = append(changes, w.change(db))
		}
	}
	err := db.apply(unlock, changes)
	for i := range changes {
		for _, n := range changes[i].indexes {
			changes[i].table.writes.AddHalf(2 * n)
		}
	}
	return err
}

// transactSpent is what a transaction takes of each table: each write twice, for preparing and
// for committing. Source: DynamoDB developer guide, "Amazon DynamoDB Transactions: How it works".
func transactSpent(writes []*write) []spent {
	var all []spent
next:
	for _, w := range writes {
		halves := 2 * 2 * w.units()
		for i := range all {
			if all[i].table == w.table {
				all[i].write += halves
				continue next
			}
		}
		all = append(all, spent{table: w.table, write: halves})
	}
	return all
}

func appendTransactCapacity(dst []byte, writes []*write, q *request) []byte {
	dst = append(dst, '{')
	if q.wantsCapacity() {
		dst = append(dst, `"ConsumedCapacity":[`...)
		for i, s := range transactSpent(writes) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = s.append(dst, q.ReturnCapacity)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// transactGet does TransactGetItems: every item as of one moment.
func (db *DB) transactGet(q *request, dst []byte) ([]byte, error) {
	if err := q.checkCapacityDetail(); err != nil {
		return nil, err
	}
	if err := checkActions(q.Actions); err != nil {
		return nil, err
	}
	type get struct {
		table      *table
		key        attr.Item
		projection *expr.Projection
	}
	gets := make([]get, len(q.Actions))
	keys := make([][]byte, len(q.Actions))
	for i := range q.Actions {
		a := &q.Actions[i]
		if a.kind != "Get" {
			return nil, invalid("TransactItems can only contain Get")
		}
		t, projection, err := db.newGet(&a.request)
		if err != nil {
			return nil, err
		}
		gets[i] = get{t, a.Key, projection}
		keys[i] = t.itemKey(a.Key)
		for _, other := range keys[:i] {
			if string(other) == string(keys[i]) {
				return nil, invalid("Transaction request cannot include multiple operations on one item")
			}
		}
	}
	unlock := db.lock(keys...)
	items := make([]attr.Item, len(gets))
	var err error
	for i := range gets {
		if items[i], err = db.read(keys[i]); err != nil {
			break
		}
	}
	unlock()
	if err != nil {
		return nil, err
	}
	dst = append(dst, `{"Responses":[`...)
	for i, g := range gets {
		db.settle(db.partitionOf(g.table, g.key[g.table.key.pk.Name]))
		spent{table: g.table, read: 2 * readHalves(attr.Size(items[i]), true)}.count("TransactGetItems")
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		if it := items[i]; it != nil {
			if g.projection != nil {
				it = g.projection.Project(it)
			}
			dst = it.AppendJSON(append(dst, `"Item":`...))
		}
		dst = append(dst, '}')
	}
	return append(dst, `]}`...), nil
}

// tokens remembers the transactions' ClientRequestTokens, so that a repeat takes no effect.
//
// AWS keeps them for 10 minutes after the request has finished. Here the newest maxTokens are
// kept for as long, which bounds the memory; SDKs repeat within seconds. They do not outlive the process.
type tokens struct {
	mu    sync.Mutex // guards the fields below
	known map[string]*token
	order []string // finished ones, oldest first
}

type token struct {
	payload  uint64
	finished time.Time // zero while the request runs
}

const (
	tokenLife = 10 * time.Minute
	maxTokens = 1 << 14
)

func newTokens() *tokens { return &tokens{known: map[string]*token{}} }

// begin starts a request; repeat says that the same one has succeeded before.
func (s *tokens) begin(id string, payload uint64, now time.Time) (repeat bool, _ error) {
	if len(id) > 36 {
		return false, invalid("1 validation error detected: Value '%s' at 'clientRequestToken' failed to satisfy constraint: Member must have length less than or equal to 36", id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.known[id]
	switch {
	case t == nil || !t.finished.IsZero() && now.Sub(t.finished) > tokenLife:
		s.known[id] = &token{payload: payload}
		return false, nil
	case t.payload != payload:
		return false, refuse("IdempotentParameterMismatchException", "DynamoDB rejected the request because you retried a request with a different payload but with an idempotent token that was already used.")
	case t.finished.IsZero():
		return false, refuse("TransactionInProgressException", "The transaction with the given request token is already in progress.")
	}
	return true, nil
}

// end finishes a request. One that failed is forgotten: it may be tried again.
func (s *tokens) end(id string, done bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !done {
		delete(s.known, id)
		return
	}
	s.known[id].finished = now
	s.order = append(s.order, id)
	for len(s.order) > maxTokens {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
}
