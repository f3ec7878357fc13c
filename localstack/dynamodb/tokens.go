package dynamodb

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// tokens remembers the transactions' ClientRequestTokens, so that a repeat takes no effect.
//
// AWS keeps them for 10 minutes after the request has finished. Here the newest maxTokens are
// kept for as long, which bounds the memory; SDKs repeat within seconds. They do not outlive the process.
type tokens struct {
	mu    sync.Mutex // guards the fields below
	known map[string]*token
	order []*token // finished ones, oldest first
}

type token struct {
	id       string
	payload  uint64
	finished time.Time // zero while the request runs
}

const (
	tokenLife = 10 * time.Minute
	maxToken  = 36 // characters
	maxTokens = 1 << 14
)

func newTokens() *tokens { return &tokens{known: map[string]*token{}} }

// begin starts a request; repeat says that the same one has succeeded before. Otherwise the
// caller ends the token.
func (s *tokens) begin(id string, payload uint64, now time.Time) (t *token, repeat bool, _ error) {
	if len(id) > maxToken {
		return nil, false, invalid("1 validation error detected: Value '%s' at 'clientRequestToken' failed to satisfy constraint: Member must have length less than or equal to %d", id, maxToken)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t = s.known[id]
	switch {
	case t == nil || !t.finished.IsZero() && now.Sub(t.finished) > tokenLife:
		t = &token{id: id, payload: payload}
		s.known[id] = t
		return t, false, nil
	case t.payload != payload:
		return nil, false, refuse("IdempotentParameterMismatchException", "DynamoDB rejected the request because you retried a request with a different payload but with an idempotent token that was already used.")
	case t.finished.IsZero():
		return nil, false, refuse("TransactionInProgressException", "The transaction with the given request token is already in progress.")
	}
	return t, true, nil
}

// end finishes a request. One that failed is forgotten: it may be tried again.
func (s *tokens) end(t *token, done bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !done {
		delete(s.known, t.id)
		return
	}
	t.finished = now
	s.order = append(s.order, t)
	if len(s.order) > maxTokens {
		oldest := s.order[0]
		s.order[0] = nil
		s.order = s.order[1:]
		// Its id may have been used again since.
		if s.known[oldest.id] == oldest {
			delete(s.known, oldest.id)
		}
	}
}

// fingerprint tells requests apart by what they ask for, not by their bytes: SDKs write the members
// of an object in any order. ReturnConsumedCapacity does not count, as observed on DynamoDB Local 1.25.1.
func (db *DB) fingerprint(actions []action) uint64 {
	scratch, _ := db.scratch.Get().(*[]byte)
	if scratch == nil {
		scratch = new([]byte)
	}
	b := (*scratch)[:0]
	var names [16]string
	for i := range actions {
		a := &actions[i]
		b = appendText(b, a.kind)
		b = appendText(b, a.TableName)
		b = appendText(b, a.ReturnOnFailure)
		b = appendOptional(b, a.Update)
		b = appendOptional(b, a.Condition)
		b = a.Item.AppendBinary(b)
		b = a.Key.AppendBinary(b)
		b = a.Values.AppendBinary(b)
		sorted := names[:0]
		for name := range a.Names {
			sorted = append(sorted, name)
		}
		slices.Sort(sorted)
		for _, name := range sorted {
			b = appendText(b, name)
			b = appendText(b, a.Names[name])
		}
		b = append(b, 0)
	}
	sum := maphash.Bytes(db.seed, b)
	if cap(b) <= maxScratch {
		*scratch = b
		db.scratch.Put(scratch)
	}
	return sum
}

// maxScratch bounds what is kept of a large request.
const maxScratch = 64 << 10

// appendText and appendOptional append texts that cannot be mistaken for others beside them: what
// may stand in an expression or a name holds no zero byte that would parse.
func appendText(b []byte, s string) []byte { return append(append(b, s...), 0) }

func appendOptional(b []byte, s *string) []byte {
	if s != nil {
		b = append(append(b, 1), *s...)
	}
	return append(b, 0)
}
