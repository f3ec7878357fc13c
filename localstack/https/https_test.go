package https_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/https"
)

// serve starts a server that says by which name it was asked, and returns its address.
func serve(t *testing.T) (string, *https.Authority) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	authority := &https.Authority{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			https.ServeConnect(w, r, address)
			return
		}
		_, _ = io.WriteString(w, "asked for "+r.Host)
	}))
	_ = server.Listener.Close()
	server.Listener = https.Listen(l, authority)
	server.Start()
	t.Cleanup(server.Close)
	return address, authority
}

// client trusts the authority, and asks a proxy if there is one.
func client(t *testing.T, a *https.Authority, proxy string) *http.Client {
	t.Helper()
	root, err := a.Root()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	if proxy != "" {
		transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: proxy})
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// One port speaks HTTP, and TLS for whatever name a client knows it by.
func TestOnePortForBoth(t *testing.T) {
	address, authority := serve(t)
	_, port, _ := net.SplitHostPort(address)
	c := client(t, authority, "")
	for _, url := range []string{"http://" + address, "https://" + address, "https://localhost:" + port, "http://localhost:" + port} {
		for range 2 { // the second time on the same connection
			_, host, _ := strings.Cut(url, "://")
			if got, want := get(t, c, url), "asked for "+host; got != want {
				t.Errorf("GET %s = %q, want %q", url, got, want)
			}
		}
	}
}

// Who has not been told to trust the authority does not.
func TestStrangersDoNotTrustIt(t *testing.T) {
	address, authority := serve(t)
	if _, err := client(t, &https.Authority{}, "").Get("https://" + address); err == nil {
		t.Error("a client that trusts another authority is served")
	}
	get(t, client(t, authority, ""), "https://"+address)
}

// What is for AWS comes back, whatever the service; what is for others goes out.
func TestProxy(t *testing.T) {
	address, authority := serve(t)
	other, _ := serve(t)
	c := client(t, authority, address)
	for _, host := range []string{"dynamodb.us-east-1.amazonaws.com", "abc123.execute-api.us-east-1.amazonaws.com"} {
		if got, want := get(t, c, "https://"+host+"/prod"), "asked for "+host; got != want {
			t.Errorf("GET https://%s = %q, want %q", host, got, want)
		}
	}
	// Another server, with another authority, is reached as such: its certificate is not trusted.
	if _, err := c.Get("https://" + other); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("GET of another host: %v, want its own certificate", err)
	}
	if _, err := c.Get("https://127.0.0.1:1"); err == nil {
		t.Error("a host that is not there is reached")
	}
}

// Nobody reaches out through this machine from another one.
func TestProxyIsForThisMachineOnly(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodConnect, "http://example.com:443", nil)
	r.RemoteAddr = "192.0.2.7:1234"
	https.ServeConnect(w, r, "127.0.0.1:1")
	if w.Code != http.StatusForbidden {
		t.Errorf("CONNECT from another machine = %d, want 403", w.Code)
	}
}

// The file for functions has what the system trusts too: they may call others than AWS.
func TestWriteRoots(t *testing.T) {
	authority := &https.Authority{}
	file := filepath.Join(t.TempDir(), "certificates", "roots.pem")
	if err := authority.WriteRoots(file); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	root, err := authority.Root()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(written), string(root)) {
		t.Error("the authority is not in the file")
	}
}

func BenchmarkConn(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for name, l := range map[string]net.Listener{"plain": l, "sniffed": https.Listen(l, &https.Authority{})} {
		b.Run(name, func(b *testing.B) {
			go func() {
				c, err := l.Accept()
				if err == nil {
					_, _ = io.Copy(c, struct{ io.Reader }{c})
				}
			}()
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			p := make([]byte, 100)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = c.Write(p)
				if _, err := io.ReadFull(c, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
