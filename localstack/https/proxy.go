package https

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// dialTimeout bounds the wait for a host outside.
const dialTimeout = 10 * time.Second

// ServeConnect answers CONNECT, by which a client asks a proxy for a connection to a host: what is for
// AWS comes back to the server itself, at self, all else goes out. It returns when the connection
// has ended. Clients on other machines are refused: they must not reach out through this one.
func ServeConnect(w http.ResponseWriter, r *http.Request, self string) {
	if !fromHere(r) {
		http.Error(w, "this proxy is for functions on its own machine", http.StatusForbidden)
		return
	}
	target := r.Host
	if host, _, err := net.SplitHostPort(r.Host); err == nil && isAWS(host) {
		target = self
	}
	out, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(r.Context(), "tcp", target)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer out.Close()
	in, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer in.Close()
	if _, err := io.WriteString(in, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	// Either side's end ends both: neither HTTP nor TLS needs a half-open connection.
	var both sync.WaitGroup
	pass := func(to net.Conn, from io.Reader) {
		_, _ = io.Copy(to, from)
		_ = in.Close()
		_ = out.Close()
	}
	both.Go(func() { pass(out, buffered) })
	both.Go(func() { pass(in, out) })
	both.Wait()
}

// fromHere tells whether a client is on this machine: it comes from the address that it came to, or
// from a loopback one.
func fromHere(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	from := net.ParseIP(host)
	if err != nil || from == nil {
		return false
	}
	to, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return from.IsLoopback() || ok && to.IP.Equal(from)
}

// isAWS tells whether a host is one of AWS's endpoints.
func isAWS(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, suffix := range []string{".amazonaws.com", ".api.aws", ".amazonaws.com.cn"} {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}
