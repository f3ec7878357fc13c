package meter_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duet-chat/duet/localstack/meter"
)

func TestNilMeterCountsNothing(t *testing.T) {
	var m *meter.Meter
	c := m.Counter("s", "r", "m")
	c.Add(1)
	c.Raise(2)
	m.Func("s", "r", "f", func() float64 { return 1 })
	if v := c.Value(); v != 0 {
		t.Errorf("Value() = %v, want 0", v)
	}
}

func TestUnits(t *testing.T) {
	m := meter.New()
	m.Counter("dynamodb", "t", "read_units").AddHalf(3)
	m.Scaled("lambda", "f", "gb_seconds", 1.0/1024/1000).Add(512 * 2000)
	m.Counter("dynamodb", "t", "read_units").Add(1) // the same counter
	p := m.Peak("lambda", "f", "concurrent_max")
	p.Raise(3)
	p.Raise(2)
	want := meter.Usage{"dynamodb": {"t": {"read_units": 2.5}}, "lambda": {"f": {"gb_seconds": 1, "concurrent_max": 3}}}
	if got := m.Usage(); !reflect.DeepEqual(got, want) {
		t.Errorf("Usage() = %v, want %v", got, want)
	}
}

// A test or a person measures one stretch: what is, stays; what was, is forgotten.
func TestResetBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meter.New()
		seconds := 10.0
		m.Func("s", "r", "seconds", func() float64 { return seconds })
		c, open, peak := m.Counter("s", "r", "requests"), m.Gauge("s", "r", "open"), m.Peak("s", "r", "most")
		c.Add(7)
		open.Add(2)
		peak.Raise(2)
		time.Sleep(time.Minute)
		if got, want := m.Reset(), (meter.Usage{"s": {"r": {"requests": 7, "open": 2, "most": 2, "seconds": 10}}}); !reflect.DeepEqual(got, want) {
			t.Errorf("Reset() = %v, want %v", got, want)
		}
		if age := time.Since(m.Since()); age != 0 {
			t.Errorf("usage since %v ago, want now", age)
		}
		c.Add(1)
		open.Add(-1)
		peak.Raise(1)
		seconds = 12.5
		if got, want := m.Usage(), (meter.Usage{"s": {"r": {"requests": 1, "open": 1, "most": 1, "seconds": 2.5}}}); !reflect.DeepEqual(got, want) {
			t.Errorf("Usage() = %v, want %v", got, want)
		}
	})
}

func sample(at time.Time, added map[string]map[string]float64) meter.Sample {
	return meter.Sample{AtMS: at.UnixMilli(), Added: added}
}

func TestSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meter.NewWithSeries(3)
		start := time.Now() // a whole second, as synctest's clock begins
		put, get := m.Counter("dynamodb", "a", "requests.PutItem"), m.Counter("dynamodb", "b", "requests.GetItem")
		wait := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		wait(300 * time.Millisecond)
		put.Add(1)
		wait(300 * time.Millisecond)
		get.Add(2)
		m.Gauge("apigateway", "x", "connections").Add(1) // says how things are, not what happened
		if got := m.Series(time.Time{}); len(got) != 0 {
			t.Errorf("within the second: %v, want nothing", got)
		}
		wait(500 * time.Millisecond)
		first := sample(start.Add(time.Second), map[string]map[string]float64{"dynamodb": {"requests": 3}})
		if got, want := m.Series(time.Time{}), []meter.Sample{first}; !reflect.DeepEqual(got, want) {
			t.Fatalf("after a second: %v, want %v", got, want)
		}
		m.Reset() // begins nothing anew here
		wait(time.Hour)
		m.Counter("sqs", "q", "requests").Add(5) // of a metric that is new
		wait(time.Second)
		second := sample(start.Add(time.Hour+2*time.Second), map[string]map[string]float64{"sqs": {"requests": 5}})
		if got, want := m.Series(time.Time{}), []meter.Sample{first, second}; !reflect.DeepEqual(got, want) {
			t.Errorf("after an hour of silence: %v, want %v", got, want)
		}
		for range 2 {
			put.Add(4)
			wait(time.Second)
		}
		fourth := sample(start.Add(time.Hour+4*time.Second), map[string]map[string]float64{"dynamodb": {"requests": 4}})
		got := m.Series(time.Time{})
		if len(got) != 3 || !reflect.DeepEqual(got[0], second) || !reflect.DeepEqual(got[2], fourth) {
			t.Errorf("the fourth: %v, want the last three", got)
		}
		if got, want := m.Series(time.UnixMilli(fourth.AtMS).Add(-time.Second)), []meter.Sample{fourth}; !reflect.DeepEqual(got, want) {
			t.Errorf("after the third: %v, want %v", got, want)
		}
	})
}

func TestServeUsage(t *testing.T) {
	m := meter.New()
	m.Counter("sqs", "q", "requests").Add(2)
	serve := func(method string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		m.ServeUsage(w, httptest.NewRequest(method, "/_local/usage", nil))
		return w
	}
	for _, step := range []struct {
		method string
		status int
		want   float64
	}{{http.MethodGet, 200, 2}, {http.MethodPost, 405, 0}, {http.MethodDelete, 200, 2}, {http.MethodGet, 200, 0}} {
		w := serve(step.method)
		if w.Code != step.status {
			t.Fatalf("%s = %d, want %d", step.method, w.Code, step.status)
		}
		if w.Code != http.StatusOK {
			continue
		}
		var u meter.Usage
		if err := json.Unmarshal(w.Body.Bytes(), &u); err != nil || u["sqs"]["q"]["requests"] != step.want {
			t.Errorf("%s = %s, want %v requests", step.method, w.Body, step.want)
		}
	}
}

func TestServeSeriesRefusesWhatIsNoTime(t *testing.T) {
	w := httptest.NewRecorder()
	meter.New().ServeSeries(w, httptest.NewRequest(http.MethodGet, "/?after_ms=now", nil))
	if w.Code != http.StatusBadRequest {
		t.Errorf("after_ms=now = %d, want 400", w.Code)
	}
}

func BenchmarkAdd(b *testing.B) {
	for name, m := range map[string]*meter.Meter{"plain": meter.New(), "series": meter.NewWithSeries(300)} {
		b.Run(name, func(b *testing.B) {
			c := m.Counter("s", "r", "m")
			b.ReportAllocs()
			for b.Loop() {
				c.Add(1)
			}
		})
	}
}
