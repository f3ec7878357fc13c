package test

import (
	"strings"
	"testing"
)

// guarantees.md, Budgets of the other actions: units, invocations and posts of each, warm, with one device
// on each side, in a conversation that has begun today.
func TestBudgetsOfActions(t *testing.T) {
	t.Parallel()
	const rounds = 20
	for _, test := range []struct {
		action      string
		reads       float64 // at most, units each
		writes      float64
		invocations float64
		posts       float64 // exactly, each
		// do makes one: n is the next number of alice's device, seq what stands in the log.
		do func(s *stage, i int)
		of string // the function that is counted, "" for all
	}{
		{"edit", 4, 6, 2, 1, func(s *stage, i int) { s.entry(about("edit", s.c, 0, int64(i+1), "text", "edited")) }, ""},
		{"edit of an edited text", 4, 8, 2, 1, func(s *stage, i int) { s.entry(about("edit", s.c, 0, 30, "text", "edited")) }, ""},
		{"unsend", 4, 6, 2, 1, func(s *stage, i int) { s.entry(about("unsend", s.c, 0, int64(i+1))) }, ""},
		{"react", 4, 4, 2, 1, func(s *stage, i int) { s.entry(about("react", s.c, 0, int64(i+1), "emoji", "👍")) }, ""},
		{"reply", 3, 4, 2, 1, func(s *stage, i int) {
			s.entry(map[string]any{"action": "send", "conversation": s.c, "text": "x", "reply_to": i + 1})
		}, ""},
		{"ack of all that is unread", 4, 1, 1, 1, func(s *stage, i int) { s.answer(i); s.a.must("acked", ack(s.c, 0, s.seq)) }, "AcknowledgeFunction"},
		{"ack of half of what is unread", 5, 1, 1, 1, func(s *stage, i int) {
			s.answer(2 * i)
			s.answer(2*i + 1)
			s.a.must("acked", ack(s.c, 0, s.seq-1))
		}, "AcknowledgeFunction"},
		{"typing", 2, 0, 1, 1, func(s *stage, i int) { s.a.must("ok", typing(s.c, i%2 == 0)) }, ""},
		{"presence of one user", 3.5, 2, 1, 0, func(s *stage, _ int) { s.a.must("presence", watch(s.bob)) }, "WatchFunction"},
		{"block, then unblock", 5, 10, 2, 0, func(s *stage, _ int) {
			s.a.must("ok", block("block", s.bob))
			s.a.must("ok", block("unblock", s.bob))
		}, ""},
		{"account", 2, 0, 1, 0, func(s *stage, _ int) { s.a.must("account", map[string]any{"action": "account"}) }, ""},
		{"sync with one conversation changed", 6.5, 0, 1, 0, func(s *stage, _ int) {
			_, f := s.a.sync(map[string]int64{s.c: s.seq}, s.since)
			s.since = f.Since
		}, "SyncFunction"},
	} {
		t.Run(test.action, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			before := s.d.usage(t)
			for i := range rounds {
				test.do(s, i)
			}
			u := s.d.settle(t, func(now usage) bool {
				return now.sum("apigateway", "posts_out")-before.sum("apigateway", "posts_out") >= test.posts*rounds
			}).since(before)
			type row struct {
				what      string
				got, most float64
			}
			rows := []row{
				{"read units", u.sum("dynamodb", "read_units") / rounds, test.reads},
				{"write units", u.sum("dynamodb", "write_units") / rounds, test.writes},
				{"invocations", u.sum("lambda", "invocations") / rounds, test.invocations},
				{"posts", u.sum("apigateway", "posts_out") / rounds, test.posts},
			}
			if test.of != "" { // what the others do is not counted
				rows = []row{
					{"read units", u.by("read_units", test.of) / rounds, test.reads},
					{"write units", u.by("write_units", test.of) / rounds, test.writes},
					{"invocations", u["lambda"][test.of]["invocations"] / rounds, test.invocations},
				}
			}
			for _, counted := range rows {
				if strings.HasSuffix(counted.what, "units") && differs(t, "units") {
					continue
				}
				t.Logf("%-24s %-12s %.2f, budget %g", test.action, counted.what, counted.got, counted.most)
				if counted.got > counted.most {
					t.Errorf("%s took %.2f %s, want at most %g", test.action, counted.got, counted.what, counted.most)
				}
			}
			if failed := u.sum("lambda", "errors"); failed > 0 {
				t.Errorf("%g functions failed", failed)
			}
		})
	}
}

// The same of what ends sessions and accounts: each once, of a user with another session that is connected,
// and with forty texts of 700 bytes in one conversation.
func TestBudgetsOfEndings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		action        string
		reads, writes float64 // at most
		do            func(s *stage)
	}{
		{"signout of the others", 2, 2, func(s *stage) { s.a.must("ok", signOut("others")) }},
		{"erase", 17, 49, func(s *stage) { s.a.erase() }},
	} {
		t.Run(test.action, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.alice.again(t).connect(t, "phone")
			before := s.d.usage(t)
			test.do(s)
			u := s.d.usage(t).since(before)
			if invoked := u["lambda"]["AccountFunction"]["invocations"]; invoked != 1 {
				t.Errorf("%s took %g invocations, want one", test.action, invoked)
			}
			if differs(t, "units") {
				return
			}
			for what, budget := range map[string]float64{"read_units": test.reads, "write_units": test.writes} {
				got := u.by(what, "AccountFunction")
				t.Logf("%-24s %-12s %.2f, budget %g", test.action, what, got, budget)
				if got > budget {
					t.Errorf("%s took %.2f %s, want at most %g", test.action, got, what, budget)
				}
			}
		})
	}
}

// stage is two users in a conversation with forty of alice's texts.
type stage struct {
	t          testing.TB
	d          *target
	alice, bob *user
	a, b       *conn
	c          string
	n, seq     int64
	since      string // of alice's last sync
}

func newStage(t testing.TB) *stage {
	d := localTarget(t, "reads /_local/usage")
	s := &stage{t: t, d: d, alice: d.user(t, "alice"), bob: d.user(t, "bob")}
	s.a, s.b, s.c = s.alice.connect(t, "laptop"), s.bob.connect(t, "laptop"), s.alice.with(s.bob)
	for range 40 {
		s.entry(map[string]any{"action": "send", "to": s.bob.name, "text": strings.Repeat("x", 700)})
	}
	s.b.messages(s.c, 40)
	s.a.must("acked", ack(s.c, 0, 40))
	s.b.must("acked", ack(s.c, 0, 40))
	_, f := s.a.sync(nil, "")
	s.since = f.Since
	d.shown(t, s.alice, s.bob)
	d.settle(t, func(u usage) bool { return u.sum("apigateway", "posts_out") >= 42 })
	return s
}

// entry appends something of alice's.
func (s *stage) entry(request map[string]any) {
	s.t.Helper()
	s.n++
	request["n"], request["seen"] = s.n, s.seq
	s.seq = s.a.must("sent", request).Seq
}

// answer lets bob write his text number i, from 0, to alice.
func (s *stage) answer(i int) {
	s.t.Helper()
	s.seq = s.b.send(s.alice, int64(i+1), "x").Seq
}
