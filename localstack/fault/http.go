package fault

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Path is where an Injector is served.
const Path = "/_local/faults"

// Status is what GET Path answers.
type Status struct {
	Active bool         `json:"active"`
	Seed   uint64       `json:"seed,string"` // a string, since JavaScript's numbers have 53 bits
	Rules  []RuleStatus `json:"rules"`
	// Faults that happened, oldest first, and how many older ones are no longer kept.
	Faults  []Injected `json:"faults"`
	Dropped uint64     `json:"dropped"`
	// Strays counts requests that functions made after they returned, which have no effect here, or that
	// were under way then. On AWS a function is frozen when it returns, with what it left running.
	Strays uint64 `json:"strays"`
}

// RuleStatus is a rule with what came of it: how many events it was about, and how many failed by it.
type RuleStatus struct {
	Rule     string `json:"rule"`
	Matched  uint64 `json:"matched"`
	Injected uint64 `json:"injected"`
}

// Status tells of the newest rules, ended or not.
func (in *Injector) Status() Status {
	in.mu.Lock()
	r, active := in.last, in.run.Load() != nil
	in.mu.Unlock()
	s := Status{Active: active, Rules: []RuleStatus{}, Faults: []Injected{}}
	if r == nil {
		return s
	}
	s.Seed, s.Strays = r.seed, r.strays.Load()
	for _, c := range *r.rules.Load() {
		s.Rules = append(s.Rules, RuleStatus{c.text, c.matched.Load(), c.injected.Load()})
	}
	faults, dropped := r.injected.all()
	s.Faults, s.Dropped = append(s.Faults, faults...), dropped
	return s
}

// maxPlan bounds a plan, in bytes.
const maxPlan = 1 << 20

// ServeHTTP serves the rules: PUT replaces them and starts a new record, POST adds to them, DELETE
// ends all faults, GET tells what came of them, GET Path/script writes it as a plan.
func (in *Injector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == Path+"/script" && r.Method == http.MethodGet:
		in.serveScript(w)
	case r.URL.Path != Path:
		answer(w, http.StatusNotFound, message("there is "+Path+" and "+Path+"/script"))
	case r.Method == http.MethodGet:
		answer(w, http.StatusOK, in.Status())
	case r.Method == http.MethodDelete:
		in.Clear()
		answer(w, http.StatusOK, in.Status())
	case r.Method == http.MethodPut || r.Method == http.MethodPost:
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPlan))
		if err != nil {
			answer(w, http.StatusBadRequest, message(err.Error()))
			return
		}
		p, err := Read("request", body, in.options.Names)
		if err != nil {
			answer(w, http.StatusBadRequest, message(err.Error()))
			return
		}
		if r.Method == http.MethodPut {
			in.Set(p)
		} else {
			in.Add(p)
		}
		answer(w, http.StatusOK, in.Status())
	default:
		w.Header().Set("Allow", "GET, PUT, POST, DELETE")
		answer(w, http.StatusMethodNotAllowed, message(r.Method+" is none of GET, PUT, POST and DELETE"))
	}
}

func (in *Injector) serveScript(w http.ResponseWriter) {
	s := in.Status()
	if s.Dropped > 0 {
		answer(w, http.StatusConflict, message(fmt.Sprintf("%d faults are no longer kept, so that a script would repeat a part only: run for a shorter time", s.Dropped)))
		return
	}
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = io.WriteString(w, script(s.Seed, s.Faults)) // the client may be gone
}

func message(text string) map[string]string { return map[string]string{"message": text} }

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the client is gone if this fails
}
