package test

import (
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"testing"
)

// proxy is a bad network: it forwards to a target and cuts each connection after a number of
// bytes that chance gives, wherever that is: in a frame, before an answer, after a commit.
type proxy struct {
	listener net.Listener
	backend  string
	closing  chan struct{}
	running  sync.WaitGroup

	mu   sync.Mutex // guards what follows
	rng  *rand.Rand
	cuts int
}

// Bytes that a cut connection lets through, from the target: from a part of the handshake to
// several pages.
const leastBytes, mostBytes = 100, 80 << 10

func newProxy(t testing.TB, webSocketURL string, seed uint64) *proxy {
	t.Helper()
	u, err := url.Parse(webSocketURL)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, backend: u.Host, closing: make(chan struct{}), rng: rand.New(rand.NewPCG(seed, seed))}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		close(p.closing)
		_ = listener.Close()
		p.running.Wait()
	})
	return p
}

// url is the target's WebSocket URL by way of the proxy.
func (p *proxy) url(webSocketURL string) string {
	u, err := url.Parse(webSocketURL)
	if err != nil {
		panic(err) // newProxy has parsed it
	}
	u.Host = p.listener.Addr().String()
	return u.String()
}

// count is how many connections it has cut.
func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.mu.Lock()
		down := int64(leastBytes + p.rng.IntN(mostBytes-leastBytes))
		up := int64(leastBytes + p.rng.IntN(mostBytes-leastBytes))
		p.mu.Unlock()
		p.running.Go(func() { p.forward(client, up, down) })
	}
}

// forward copies both ways until one side has ended or used up what it may.
func (p *proxy) forward(client net.Conn, up, down int64) {
	defer client.Close()
	server, err := net.Dial("tcp", p.backend)
	if err != nil {
		return
	}
	defer server.Close()
	over := make(chan bool, 2)
	pipe := func(to, from net.Conn, bytes int64) {
		n, _ := io.CopyN(to, from, bytes)
		over <- n == bytes
	}
	p.running.Go(func() { pipe(server, client, up) })
	p.running.Go(func() { pipe(client, server, down) })
	select {
	case cut := <-over:
		if cut {
			p.mu.Lock()
			p.cuts++
			p.mu.Unlock()
		}
	case <-p.closing:
	}
}
