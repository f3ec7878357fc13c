// Package page is the page on which the local cloud shows what it does: numbers, a chart over time,
// and what it would cost. It asks for usage and bill only while somebody looks at it.
package page

import (
	_ "embed"
	"net/http"
)

//go:embed page.html
var html []byte

// ServeHTTP serves the page. It loads nothing from elsewhere.
func ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(html) // the reader is gone if this fails
}
