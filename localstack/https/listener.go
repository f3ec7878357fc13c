package https

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
)

// Listen serves TLS on a listener to the clients that begin with it; the others are left alone.
func Listen(l net.Listener, a *Authority) net.Listener { return &listener{l, a.config()} }

type listener struct {
	net.Listener
	config *tls.Config
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, config: l.config}, nil
}

// conn finds out with its first read what it is. Servers of HTTP read before they write, and one
// goroutine at a time reads.
type conn struct {
	net.Conn
	config *tls.Config // nil once known
	secure atomic.Pointer[tls.Conn]
}

// handshake is the type of the record with which TLS begins; no method of HTTP does.
// Source: RFC 8446, section 5.1.
const handshake = 22

func (c *conn) Read(p []byte) (int, error) {
	if t := c.secure.Load(); t != nil {
		return t.Read(p)
	}
	n, err := c.Conn.Read(p)
	if c.config == nil || n == 0 {
		return n, err
	}
	config := c.config
	c.config = nil
	if p[0] != handshake {
		return n, err
	}
	begun := io.MultiReader(bytes.NewReader(bytes.Clone(p[:n])), c.Conn)
	t := tls.Server(&resumed{c.Conn, begun}, config)
	c.secure.Store(t)
	return t.Read(p)
}

func (c *conn) Write(p []byte) (int, error) {
	if t := c.secure.Load(); t != nil {
		return t.Write(p)
	}
	return c.Conn.Write(p)
}

func (c *conn) Close() error {
	if t := c.secure.Load(); t != nil {
		return t.Close()
	}
	return c.Conn.Close()
}

// CloseWrite lets the server end its side first, as net/http does after some errors.
func (c *conn) CloseWrite() error {
	if t := c.secure.Load(); t != nil {
		return t.CloseWrite()
	}
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// resumed is a connection of which something has been read already.
type resumed struct {
	net.Conn
	r io.Reader
}

func (r *resumed) Read(p []byte) (int, error) { return r.r.Read(p) }
