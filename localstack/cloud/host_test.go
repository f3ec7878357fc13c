package cloud

import (
	"net"
	"strings"
	"testing"
)

// URLs name localhost for whatever it stands for, so that tokens, which name their issuer, are
// good however the local cloud was started.
func TestReachable(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1": "localhost:4566", "::1": "localhost:4566", "0.0.0.0": "localhost:4566", "::": "localhost:4566",
		"127.0.0.2": "127.0.0.2:4566", "192.0.2.7": "192.0.2.7:4566", "2001:db8::7": "[2001:db8::7]:4566",
	} {
		if got := reachable(&net.TCPAddr{IP: net.ParseIP(address), Port: 4566}); got != want {
			t.Errorf("reachable(%s) = %s, want %s", address, got, want)
		}
	}
}

// An address that is not this machine's is refused with what to do. 192.0.2.0/24 is nobody's:
// RFC 5737.
func TestListenElsewhere(t *testing.T) {
	listener, err := listen("192.0.2.1", 0)
	if err == nil {
		_ = listener.Close()
		t.Fatal("listening on 192.0.2.1 works, want an error")
	}
	for _, part := range []string{"192.0.2.1", "--host"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error = %v, want %s in it", err, part)
		}
	}
}
