package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/events"
	"github.com/duet-chat/duet/localstack/meter"
)

const (
	queue    = "arn:aws:sqs:us-east-1:000000000000:Waiting"
	function = "arn:aws:lambda:us-east-1:000000000000:function:Push"
)

// bus is a service whose targets note what they get.
type bus struct {
	*events.Service
	got   []string
	meter *meter.Meter
}

func newBus(t testing.TB, rules ...events.Rule) *bus {
	t.Helper()
	b := &bus{meter: meter.New()}
	s, err := events.New(events.Options{
		Region: "us-east-1", Account: "000000000000", Meter: b.meter, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Now: func() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) },
		Send: func(_ context.Context, arn string, event []byte) error {
			b.got = append(b.got, arn+" "+string(event))
			return nil
		},
		Invoke: func(arn string, event []byte) { b.got = append(b.got, arn+" "+string(event)) },
	}, []string{"own"}, rules)
	if err != nil {
		t.Fatal(err)
	}
	b.Service = s
	return b
}

func (b *bus) do(operation, body string) (status int, answer string) {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", events.TargetPrefix+operation)
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// Events go to the targets of the rules of their bus that match, as EventBridge writes them.
func TestRules(t *testing.T) {
	b := newBus(t,
		events.Rule{Name: "texts", Bus: "default", Pattern: `{"source":["duet"],"detail":{"to":[{"prefix":"b"}]}}`, Targets: []string{queue, function}},
		events.Rule{Name: "other bus", Bus: "own", Pattern: `{"source":["duet"]}`, Targets: []string{queue}},
		events.Rule{Name: "off", Bus: "default", Pattern: `{"source":["duet"]}`, Disabled: true, Targets: []string{queue}},
		events.Rule{Name: "another source", Bus: "default", Pattern: `{"source":["solo"]}`, Targets: []string{queue}},
	)
	status, answer := b.do("PutEvents", `{"Entries":[
		{"Source":"duet","DetailType":"message waiting","Detail":"{\"to\":\"bob\"}"},
		{"Source":"duet","DetailType":"message waiting","Detail":"{\"to\":\"carol\"}","EventBusName":"default"},
		{"Source":"duet","DetailType":"x","Detail":"{}","EventBusName":"arn:aws:events:us-east-1:000000000000:event-bus/own"}]}`)
	if status != 200 || !strings.Contains(answer, `"FailedEntryCount":0`) || strings.Count(answer, "EventId") != 3 {
		t.Fatalf("PutEvents = %d %s", status, answer)
	}
	if len(b.got) != 3 || !strings.HasPrefix(b.got[0], queue) || !strings.HasPrefix(b.got[1], function) || !strings.HasPrefix(b.got[2], queue) {
		t.Fatalf("targets got %q", b.got)
	}
	_, body, _ := strings.Cut(b.got[0], " ")
	var e map[string]any
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatal(err)
	}
	if id, _ := e["id"].(string); len(id) != 36 {
		t.Errorf("id = %v, want a UUID", e["id"])
	}
	delete(e, "id")
	want := `map[account:000000000000 detail:map[to:bob] detail-type:message waiting region:us-east-1 resources:[] source:duet time:2026-11-23T12:00:00Z version:0]`
	if got := fmt.Sprint(e); got != want {
		t.Errorf("event = %s, want %s", got, want)
	}
	if kept := b.Kept(); len(kept) != 3 || !bytes.Equal(kept[0], []byte(body)) {
		t.Errorf("kept = %s", kept)
	}
	if got := b.meter.Usage()["events"]; got["default"]["events"] != 2 || got["own"]["events"] != 1 {
		t.Errorf("metered %v", got)
	}
}

// What AWS refuses as a whole, and what entry by entry.
func TestPutEventsRefuses(t *testing.T) {
	good := `{"Source":"s","DetailType":"d","Detail":"{}"}`
	large := `{"Source":"s","DetailType":"d","Detail":"{\"x\":\"` + strings.Repeat("x", 256<<10) + `\"}"}`
	for _, test := range []struct{ name, operation, body, want string }{
		{"no entries", "PutEvents", `{"Entries":[]}`, "greater than or equal to 1"},
		{"eleven entries", "PutEvents", `{"Entries":[` + strings.Repeat(good+",", 10) + good + `]}`, "less than or equal to 10"},
		{"too large", "PutEvents", `{"Entries":[` + large + `]}`, "Total size"},
		{"no JSON", "PutEvents", `{`, "SerializationException"},
		{"another operation", "PutRule", `{}`, "made by the template"},
		{"no source", "PutEvents", `{"Entries":[{"DetailType":"d","Detail":"{}"}]}`, `"ErrorCode":"InvalidArgument","ErrorMessage":"Parameter Source is not valid`},
		{"no type", "PutEvents", `{"Entries":[{"Source":"s","Detail":"{}"}]}`, "Parameter DetailType is not valid"},
		{"no detail", "PutEvents", `{"Entries":[{"Source":"s","DetailType":"d"}]}`, "Parameter Detail is not valid"},
		{"detail no object", "PutEvents", `{"Entries":[{"Source":"s","DetailType":"d","Detail":"[1]"}]}`, "MalformedDetail"},
		{"unknown bus", "PutEvents", `{"Entries":[{"Source":"s","DetailType":"d","Detail":"{}","EventBusName":"nowhere"}]}`, "Event bus nowhere does not exist"},
		{"one of two", "PutEvents", `{"Entries":[` + good + `,{}]}`, `"FailedEntryCount":1`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if status, answer := newBus(t).do(test.operation, test.body); !strings.Contains(answer, test.want) {
				t.Errorf("%d %s, want %q", status, answer, test.want)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for _, test := range []struct{ rule, want string }{
		{`{"source":"duet"}`, "rule r"}, {`nonsense`, "rule r"},
	} {
		_, err := events.New(events.Options{}, nil, []events.Rule{{Name: "r", Bus: "default", Pattern: test.rule}})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("pattern %s: %v, want %q", test.rule, err, test.want)
		}
	}
	if _, err := events.New(events.Options{}, nil, []events.Rule{{Name: "r", Bus: "nowhere", Pattern: `{"source":["x"]}`}}); err == nil {
		t.Error("a rule of a bus that is not there is taken")
	}
}
