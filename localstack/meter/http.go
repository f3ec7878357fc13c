package meter

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// ServeUsage answers GET with the usage as JSON, and DELETE with the same, after which it begins anew.
func (m *Meter) ServeUsage(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		answer(w, m.Usage())
	case http.MethodDelete:
		answer(w, m.Reset())
	default:
		w.Header().Set("Allow", "GET, HEAD, DELETE")
		http.Error(w, "usage can be read (GET), or read and begun anew (DELETE)", http.StatusMethodNotAllowed)
	}
}

// Recent is what ServeSeries answers.
type Recent struct {
	NowMS   int64    `json:"now_ms"` // the server's clock, in Unix milliseconds
	Samples []Sample `json:"samples"`
}

// ServeSeries answers with what was counted a second, as Recent; ?after_ms= leaves out what is not
// younger than that.
func (m *Meter) ServeSeries(w http.ResponseWriter, r *http.Request) {
	var after int64
	if text := r.URL.Query().Get("after_ms"); text != "" {
		var err error
		if after, err = strconv.ParseInt(text, 10, 64); err != nil {
			http.Error(w, "after_ms="+strconv.Quote(text)+" is not a number of Unix milliseconds", http.StatusBadRequest)
			return
		}
	}
	answer(w, Recent{time.Now().UnixMilli(), m.Series(time.UnixMilli(after))})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the reader is gone if this fails
}
