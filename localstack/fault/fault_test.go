package fault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duet-chat/duet/localstack/caller"
	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/fault"
	"github.com/duet-chat/duet/localstack/lambda"
)

// set makes an injector with rules and a seed.
func set(t testing.TB, seed uint64, o fault.Options, rules ...string) *fault.Injector {
	t.Helper()
	in := fault.New(o)
	in.Set(plan(t, seed, rules...))
	t.Cleanup(in.Clear)
	return in
}

func plan(t testing.TB, seed uint64, rules ...string) fault.Plan {
	t.Helper()
	p := fault.Plan{Seed: seed}
	for _, text := range rules {
		rule, err := fault.Parse(text, fault.Names{})
		if err != nil {
			t.Fatal(err)
		}
		p.Rules = append(p.Rules, rule)
	}
	return p
}

// table is a DynamoDB that counts what reaches it.
type table struct {
	mu   sync.Mutex
	done int
}

func (d *table) Do(context.Context, string, []byte) (int, []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done++
	return http.StatusOK, []byte("{}")
}

func (d *table) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done
}

const put, transact = "DynamoDB_20120810.PutItem", "DynamoDB_20120810.TransactWriteItems"

func body(table string) []byte { return []byte(`{"TableName":"` + table + `"}`) }

// The table of what is done and what is told, for DynamoDB.
func TestTableFaults(t *testing.T) {
	for _, test := range []struct {
		rule, target, body string
		done               int
		status             int
		says               string
	}{
		{"dynamodb error=ThrottlingException", put, `{"TableName":"a"}`, 0, 400, `"com.amazon.coral.availability#ThrottlingException"`},
		{"dynamodb error=InternalServerError", put, `{}`, 0, 500, `#InternalServerError"`},
		{"dynamodb error=ServiceUnavailable", put, `{}`, 0, 503, `#ServiceUnavailable`},
		{"dynamodb lose", put, `{}`, 1, dynamodb.NoAnswer, ``},
		{"dynamodb lose=InternalServerError", put, `{}`, 1, 500, `#InternalServerError"`},
		{"dynamodb error=TransactionConflict", put, `{}`, 0, 400, `#TransactionConflictException"`},
		{"dynamodb error=TransactionConflict", transact, `{"TransactItems":[{"Put":{"TableName":"a"}},{"Put":{"TableName":"b"}}]}`, 0, 400, `specific reasons [TransactionConflict, None]"`},
		{"dynamodb error=ThrottlingError", transact, `{"TransactItems":[{"Put":{}}]}`, 0, 400, `"CancellationReasons":[{"Code":"ThrottlingError"`},
		{"dynamodb error=ThrottlingError", put, `{}`, 1, 200, ``},
		{"dynamodb error=TransactionConflict", "DynamoDB_20120810.Query", `{}`, 1, 200, ``},
		{"dynamodb/PutItem lose", transact, `{}`, 1, 200, ``},
		{"dynamodb table=a lose", put, `{"TableName":"b"}`, 1, 200, ``},
		{"dynamodb table=b lose", transact, `{"TransactItems":[{"Put":{"TableName":"a"}},{"Update":{"TableName":"b"}}]}`, 1, 0, ``},
		{"dynamodb table=a+b lose", transact, `{"TransactItems":[{"Put":{"TableName":"b"}},{"Update":{"TableName":"a"}}]}`, 1, 0, ``},
		{"dynamodb table=a+b lose", put, `{"TableName":"a"}`, 1, 200, ``},
		{"dynamodb/BatchGetItem table=a lose", "DynamoDB_20120810.BatchGetItem", `{"RequestItems":{"a":{}}}`, 1, 0, ``},
		{"dynamodb function=f lose", put, `{}`, 1, 0, ``},
		{"dynamodb function=g lose", put, `{}`, 1, 200, ``},
		{"dynamodb function=owner lose", put, `{}`, 1, 200, ``},
	} {
		t.Run(test.rule, func(t *testing.T) {
			db := &table{}
			in := set(t, 1, fault.Options{}, test.rule)
			status, response := in.DynamoDB(db).Do(caller.With(t.Context(), "f"), test.target, []byte(test.body))
			if status != test.status || db.count() != test.done || !strings.Contains(string(response), test.says) {
				t.Errorf("Do = %d %s with %d done, want %d %s with %d", status, response, db.count(), test.status, test.says, test.done)
			}
		})
	}
}

func TestWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct{ rule, want string }{
			{"dynamodb lose", "xxxxxxxxxx"},
			{"dynamodb nth=3 lose", "..x......."},
			{"dynamodb nth=9,2 lose", ".x......x."},
			{"dynamodb first=2 lose", "xx........"},
			{"dynamodb every=3 lose", "..x..x..x."},
			{"dynamodb every=2 first=5 lose", ".x.x......"},
			// A request a second.
			{"dynamodb from=3s lose", "...xxxxxxx"},
			{"dynamodb from=3s until=5s lose", "...xx....."},
			{"dynamodb from=3s nth=2 lose", "....x....."},
		} {
			tables := set(t, 1, fault.Options{}, test.rule).DynamoDB(&table{})
			got := ""
			for range 10 {
				status, _ := tables.Do(t.Context(), put, nil)
				got += map[int]string{0: "x", 200: "."}[status]
				time.Sleep(time.Second)
			}
			if got != test.want {
				t.Errorf("%s: %s, want %s", test.rule, got, test.want)
			}
		}
	})
}

// fates makes n requests to each of some tables at the same time, and says which were lost.
func fates(t *testing.T, in *fault.Injector, n int) map[string]string {
	t.Helper()
	tables := in.DynamoDB(&table{})
	var mu sync.Mutex
	var all sync.WaitGroup
	result := map[string]string{}
	for i := range 5 {
		name := fmt.Sprint("table-", i)
		all.Go(func() {
			fate := ""
			for range n {
				status, _ := tables.Do(t.Context(), put, body(name))
				fate += map[int]string{0: "x", 200: ".", 400: "t"}[status]
			}
			mu.Lock()
			defer mu.Unlock()
			result[name] = fate
		})
	}
	all.Wait()
	return result
}

// The n-th event of a point has the same fate in each run with a seed, whatever runs beside it; a
// script of the record repeats it without any chance; another seed gives another fate.
func TestSeedDecides(t *testing.T) {
	rules := []string{"dynamodb p=0.2 lose", "dynamodb/PutItem p=0.3 error=ThrottlingException"}
	const n = 200
	in := set(t, 7, fault.Options{}, rules...)
	want := fates(t, in, n)
	again := fates(t, set(t, 7, fault.Options{}, rules...), n)
	other := fates(t, set(t, 8, fault.Options{}, rules...), n)
	script := serve(t, in, "GET", fault.Path+"/script", "")
	replay, err := fault.Read("script", []byte(script), fault.Names{})
	if err != nil {
		t.Fatal(err)
	}
	replayed := fault.New(fault.Options{})
	replayed.Set(replay)
	repeated := fates(t, replayed, n)
	lost := 0
	for name, fate := range want {
		if again[name] != fate {
			t.Errorf("%s: %s, and with the same seed %s", name, fate, again[name])
		}
		if repeated[name] != fate {
			t.Errorf("%s: %s, and by the script %s", name, fate, repeated[name])
		}
		if other[name] == fate {
			t.Errorf("%s: the same fate with another seed", name)
		}
		lost += strings.Count(fate, "x")
	}
	if least, most := 5*n*15/100, 5*n*25/100; lost < least || lost > most {
		t.Errorf("%d of %d were lost with p=0.2", lost, 5*n)
	}
}

// serve makes a request to the injector's API.
func serve(t testing.TB, in *fault.Injector, method, path, body string) string {
	t.Helper()
	w := httptest.NewRecorder()
	in.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	if w.Code != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	return w.Body.String()
}

func TestAPI(t *testing.T) {
	in := fault.New(fault.Options{Names: names})
	tables := in.DynamoDB(&table{})
	lost := func() bool {
		status, _ := tables.Do(t.Context(), put, body("duet-UsersTable"))
		return status == dynamodb.NoAnswer
	}
	if lost() {
		t.Error("a request was lost without a rule")
	}
	serve(t, in, "PUT", fault.Path, `{"seed": 3, "rules": ["dynamodb/PutItem table=UsersTable nth=2 lose"]}`)
	if first, second := lost(), lost(); first || !second {
		t.Errorf("lost: %v, %v, want the second", first, second)
	}
	serve(t, in, "POST", fault.Path, `{"rules": ["dynamodb nth=1 error=ThrottlingException"]}`)
	if lost() {
		t.Error("the third was lost, want it throttled")
	}
	serve(t, in, "DELETE", fault.Path, "")
	if lost() {
		t.Error("a request was lost after the end of all faults")
	}
	var s fault.Status
	if err := json.Unmarshal([]byte(serve(t, in, "GET", fault.Path, "")), &s); err != nil {
		t.Fatal(err)
	}
	const where = "dynamodb/PutItem table=duet-UsersTable function=owner"
	if s.Active || s.Seed != 3 || len(s.Rules) != 2 || s.Rules[0].Matched != 3 || s.Rules[0].Injected != 1 || len(s.Faults) != 2 ||
		s.Faults[0].Where != where || s.Faults[0].Occurrence != 2 || s.Faults[0].What != "lose" || s.Faults[1].Occurrence != 3 {
		t.Errorf("status = %+v", s)
	}
	want := "seed: 3\nrules:\n  - " + where + " nth=2 lose\n  - " + where + " nth=3 error=ThrottlingException\n"
	if got := serve(t, in, "GET", fault.Path+"/script", ""); got != want {
		t.Errorf("script = %s, want %s", got, want)
	}
	for _, test := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"PUT", fault.Path, `{"rules": ["dynamodb p=2 lose"]}`, 400, `request:1: fault rule \"dynamodb p=2 lose\": p=2`},
		{"PUT", fault.Path, strings.Repeat("x", 2<<20), 400, "too large"},
		{"PATCH", fault.Path, "", 405, "PATCH is none of"},
		{"GET", fault.Path + "/x", "", 404, "there is"},
	} {
		w := httptest.NewRecorder()
		in.ServeHTTP(w, httptest.NewRequest(test.method, test.path, strings.NewReader(test.body)))
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
			t.Errorf("%s %s = %d %s, want %d %s", test.method, test.path, w.Code, w.Body, test.status, test.says)
		}
	}
}

// platform runs a function.
type platform func(ctx context.Context, event []byte) (lambda.Result, error)

func (p platform) Invoke(ctx context.Context, _ string, event []byte) (lambda.Result, error) {
	return p(ctx, event)
}

// The table of what is done and what is told, for functions.
func TestInvokeFaults(t *testing.T) {
	for _, test := range []struct {
		rule, runs string
		errorType  string
		err        error
	}{
		{"invoke/f error=Runtime.ExitError", "", "Runtime.ExitError", nil},
		{"invoke/f error=Sandbox.Timedout", "", "Sandbox.Timedout", nil},
		{"invoke/f error=TooManyRequestsException", "", "", lambda.ErrThrottled},
		{"invoke/f lose", "[1 2 3]", "Runtime.ExitError", nil},
		{"invoke/f lose=TooManyRequestsException", "[1 2 3]", "", lambda.ErrThrottled},
		{"invoke/f repeat", "[1 2 3][1 2 3]", "", nil},
		{"batch/f repeat", "[1 2 3][1 2 3]", "", nil},
		{"batch/f repeat=half", "[1 2 3][2 3]", "", nil},
		{"batch/f lose", "[1 2 3]", "Runtime.ExitError", nil},
		{"invoke/g lose", "[1 2 3]", "", nil},
	} {
		t.Run(test.rule, func(t *testing.T) {
			runs := ""
			in := set(t, 1, fault.Options{}, test.rule)
			functions := in.Batches(in.Invoker(platform(func(_ context.Context, event []byte) (lambda.Result, error) {
				var batch struct{ Records []int }
				if err := json.Unmarshal(event, &batch); err != nil {
					t.Error(err)
				}
				runs += fmt.Sprint(batch.Records)
				return lambda.Result{}, nil
			})))
			result, err := functions.Invoke(t.Context(), "f", []byte(`{"Records":[1,2,3]}`))
			if runs != test.runs || result.ErrorType != test.errorType || !errors.Is(err, test.err) {
				t.Errorf("Invoke = %v, %v after %s, want %s, %v after %s", result, err, runs, test.errorType, test.err, test.runs)
			}
		})
	}
}

// A killed function has no further effect, and its invoker hears of a crash; with after, what it
// was killed at is done.
func TestKill(t *testing.T) {
	for _, test := range []struct {
		rule string
		done int
	}{
		{"dynamodb function=f nth=2 kill=before", 1},
		{"dynamodb function=f nth=2 kill=after", 2},
		{"connections/POST function=f kill=before", 3},
		{"connections/POST function=f kill=after", 4},
	} {
		t.Run(test.rule, func(t *testing.T) {
			db := &table{}
			in := set(t, 1, fault.Options{}, test.rule)
			tables := in.DynamoDB(db)
			posts := in.Connections(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { db.Do(context.Background(), "", nil) }))
			functions := in.Invoker(platform(func(ctx context.Context, _ []byte) (lambda.Result, error) {
				inside := caller.With(ctx, "f")
				for range 3 {
					tables.Do(inside, put, nil)
				}
				func() {
					defer func() {
						if cause := recover(); cause != nil && cause != http.ErrAbortHandler {
							t.Error(cause)
						}
					}()
					posts.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/prod/@connections/x", nil).WithContext(inside))
				}()
				if context.Cause(ctx) != lambda.ErrKilled {
					t.Errorf("the invocation's cause of ending is %v, want ErrKilled", context.Cause(ctx))
				}
				return lambda.Result{Payload: []byte("it went well")}, nil
			}))
			result, err := functions.Invoke(t.Context(), "f", nil)
			if err != nil || result.ErrorType != "Runtime.ExitError" || db.count() != test.done {
				t.Errorf("Invoke = %+v, %v with %d done, want a crash with %d", result, err, db.count(), test.done)
			}
		})
	}
}

// What a function does after it has returned has no effect; that and what it does not wait for is counted.
func TestStrays(t *testing.T) {
	db := &table{}
	in := set(t, 1, fault.Options{}, "reply drop", "dynamodb/Query hold=1h")
	tables := in.DynamoDB(db)
	var late context.Context
	var all sync.WaitGroup
	functions := in.Invoker(platform(func(ctx context.Context, _ []byte) (lambda.Result, error) {
		late = caller.With(ctx, "f")
		tables.Do(late, put, nil)
		all.Go(func() { tables.Do(late, "DynamoDB_20120810.Query", nil) })
		for in.Status().Rules[1].Matched == 0 {
			runtime.Gosched() // until it is under way
		}
		return lambda.Result{}, nil
	}))
	if _, err := functions.Invoke(t.Context(), "f", nil); err != nil {
		t.Fatal(err)
	}
	if status, _ := tables.Do(late, put, nil); status != dynamodb.NoAnswer || in.Status().Strays != 2 {
		t.Errorf("a late request = %d, with %d strays, want no answer, and 2", status, in.Status().Strays)
	}
	in.Clear()
	all.Wait()
	if db.count() != 2 {
		t.Errorf("%d requests were done, want the 2 that were made in time", db.count())
	}
}

// The table of what is done and what is told, for @connections.
func TestConnectionFaults(t *testing.T) {
	const none = -1
	for _, test := range []struct {
		rule, method string
		posted       string
		status       int
		name         string
	}{
		{"connections/POST error=GoneException", "POST", "", 410, "GoneException"},
		{"connections user=alice error=LimitExceededException", "POST", "", 429, "LimitExceededException"},
		{"connections error=InternalServerErrorException", "GET", "", 500, "InternalServerErrorException"},
		{"connections lose", "POST", "hi ", none, ""},
		{"connections lose=ServiceUnavailableException", "POST", "hi ", 503, "ServiceUnavailableException"},
		{"connections drop", "POST", "", 200, ""},
		{"connections drop", "DELETE", "", 204, ""},
		{"connections repeat", "POST", "hi hi ", 201, ""},
		{"connections user=bob drop", "POST", "hi ", 201, ""},
		{"connections/GET drop", "POST", "hi ", 201, ""},
	} {
		t.Run(test.rule+" "+test.method, func(t *testing.T) {
			posted := ""
			user := func(id string) string { return map[string]string{"a=": "alice"}[id] }
			in := set(t, 1, fault.Options{User: user}, test.rule)
			handler := in.Connections(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text, _ := io.ReadAll(r.Body)
				posted += string(text) + " "
				w.WriteHeader(http.StatusCreated)
			}))
			w := httptest.NewRecorder()
			func() {
				defer func() {
					if recover() == http.ErrAbortHandler {
						w.Code = none
					}
				}()
				handler.ServeHTTP(w, httptest.NewRequest(test.method, "/prod/@connections/a%3D", strings.NewReader("hi")))
			}()
			if w.Code != test.status || posted != test.posted || w.Header().Get("X-Amzn-Errortype") != test.name {
				t.Errorf("%d %s after %q, want %d %s after %q", w.Code, w.Header(), posted, test.status, test.name, test.posted)
			}
		})
	}
}

func TestClientFaults(t *testing.T) {
	in := set(t, 1, fault.Options{}, "reply/send user=alice drop", "disconnect nth=2 drop", "socket user=bob cut")
	for _, test := range []struct {
		name string
		got  bool
		want bool
	}{
		{"alice's answer", in.Reply(t.Context(), "send", "alice"), false},
		{"bob's answer", in.Reply(t.Context(), "send", "bob"), true},
		{"another answer", in.Reply(t.Context(), "sync", "alice"), true},
		{"the first end", in.Disconnect(t.Context(), "alice"), true},
		{"the second end", in.Disconnect(t.Context(), "bob"), false},
		{"a write to alice", in.Write(t.Context(), "alice"), true},
		{"a write to bob", in.Write(t.Context(), "bob"), false},
	} {
		if test.got != test.want {
			t.Errorf("%s gets through: %v, want %v", test.name, test.got, test.want)
		}
	}
}

// Delays pass before, holds after what is done; both end with the faults.
func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &table{}
		in := set(t, 1, fault.Options{}, "dynamodb/PutItem delay=2s hold=3s", "dynamodb/GetItem delay=1s..9s", "dynamodb/Query hold=1h")
		tables := in.DynamoDB(db)
		began := time.Now()
		go tables.Do(t.Context(), put, nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if db.count() != 1 {
			t.Error("after the delay it is not done")
		}
		tables.Do(t.Context(), put, nil)
		if got := time.Since(began); got != 7*time.Second {
			t.Errorf("delayed and held it took until %v, want 7s", got)
		}
		var took []time.Duration
		for range 50 {
			began := time.Now()
			tables.Do(t.Context(), "DynamoDB_20120810.GetItem", nil)
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		if took[0] < time.Second || took[49] > 9*time.Second || took[40]-took[10] < 2*time.Second {
			t.Errorf("delays of 1s..9s: %v", took)
		}
		began = time.Now()
		ended := make(chan time.Duration)
		go func() {
			tables.Do(t.Context(), "DynamoDB_20120810.Query", nil)
			ended <- time.Since(began)
		}()
		time.Sleep(time.Minute)
		in.Clear()
		if got := <-ended; got != time.Minute {
			t.Errorf("held until %v, want until the end of all faults after 1m", got)
		}
	})
}

// Cuts come when their phase does, and at once without one.
func TestCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cut []string
		var mu sync.Mutex
		began := time.Now()
		o := fault.Options{Cut: func(user string) int {
			mu.Lock()
			defer mu.Unlock()
			cut = append(cut, fmt.Sprint(user, time.Since(began)))
			return 1
		}}
		in := fault.New(o)
		p, err := fault.Read("plan", []byte("rules: [now user=alice cut]\nphases:\n- for: 2s\n- for: 1s\n  rules: [now cut]\n- rules: [now from=1s user=bob cut]"), fault.Names{})
		if err != nil {
			t.Fatal(err)
		}
		in.Set(p)
		time.Sleep(time.Minute)
		in.Clear()
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"alice0s", "2s", "bob4s"}; !slices.Equal(cut, want) {
			t.Errorf("cut %v, want %v", cut, want)
		}
		if got, want := serve(t, in, "GET", fault.Path+"/script", ""), "now user=bob from=4000ms cut"; !strings.Contains(got, want) {
			t.Errorf("script = %s, want %s in it", got, want)
		}
	})
}

func TestTablesGoBack(t *testing.T) {
	done := ""
	in := fault.New(fault.Options{
		Backup:  func() error { done += "backup "; return nil },
		Restore: func() error { done += "restore "; return errors.New("no disk") },
	})
	in.Set(plan(t, 1, "now backup"))
	in.Add(plan(t, 1, "now restore", "now backup"))
	if want := "backup restore backup "; done != want {
		t.Errorf("done: %s, want %s", done, want)
	}
	if s := in.Status(); len(s.Faults) != 3 || s.Faults[1].What != "restore" {
		t.Errorf("faults = %+v, want three", s.Faults)
	}
}

// Off, an injector costs a few nanoseconds and no memory at each point.
func BenchmarkOff(b *testing.B) {
	in := fault.New(fault.Options{})
	tables := in.DynamoDB(&table{})
	functions := in.Invoker(platform(func(context.Context, []byte) (lambda.Result, error) { return lambda.Result{}, nil }))
	b.Run("dynamodb", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tables.Do(b.Context(), put, nil)
		}
	})
	b.Run("dynamodb alone", func(b *testing.B) {
		alone := &table{}
		b.ReportAllocs()
		for b.Loop() {
			alone.Do(b.Context(), put, nil)
		}
	})
	b.Run("invoke", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = functions.Invoke(b.Context(), "f", nil)
		}
	})
	b.Run("socket", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			in.Write(b.Context(), "alice")
		}
	})
}

// On, but for other events.
func BenchmarkOn(b *testing.B) {
	in := set(b, 1, fault.Options{}, "dynamodb/PutItem p=0.000001 lose", "invoke lose", "reply/send drop")
	tables := in.DynamoDB(&table{})
	request := body("duet-MessagesTable")
	b.ReportAllocs()
	for b.Loop() {
		tables.Do(b.Context(), put, request)
	}
}
