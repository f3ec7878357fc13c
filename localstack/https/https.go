// Package https lets code that was written for AWS reach the local cloud by the addresses it builds
// itself. Such code posts to https://DOMAIN/STAGE, and older SDKs know no other endpoint than
// https://SERVICE.REGION.amazonaws.com. So the one port speaks TLS too, and is a proxy that leads
// what is for AWS back to itself.
//
// The certificates are made by an Authority that lives as long as the process. Only processes that
// are told to trust it (SSL_CERT_FILE) do. It must not be told to a browser or a system.
package https

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Authority signs certificates for any host. Its own key is made when it is first needed, and is never
// written anywhere. It is safe for concurrent use.
type Authority struct {
	once sync.Once
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	err  error

	mu    sync.Mutex // guards hosts
	hosts map[string]*tls.Certificate
}

// maxHosts bounds the certificates that are kept, since clients choose the names.
const maxHosts = 256

func (a *Authority) init() error {
	a.once.Do(func() {
		a.hosts = map[string]*tls.Certificate{}
		a.key, a.err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if a.err != nil {
			return
		}
		template := certificate("Duet's local cloud")
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage = x509.KeyUsageCertSign
		var der []byte
		if der, a.err = x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key); a.err == nil {
			a.cert, a.err = x509.ParseCertificate(der)
		}
	})
	return a.err
}

// certificate is one for a year and a bit: what runs longer is started anew.
func certificate(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // never fails, as crypto/rand documents
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(400 * 24 * time.Hour),
	}
}

// config serves any host.
func (a *Authority) config() *tls.Config {
	return &tls.Config{NextProtos: []string{"http/1.1"}, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		name := hello.ServerName
		if name == "" { // clients send none for an address
			name, _, _ = net.SplitHostPort(hello.Conn.LocalAddr().String())
		}
		return a.of(name)
	}}
}

func (a *Authority) of(host string) (*tls.Certificate, error) {
	if err := a.init(); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.hosts[host]; c != nil {
		return c, nil
	}
	template := certificate(host)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("certificate for %q: %w", host, err)
	}
	if len(a.hosts) >= maxHosts {
		clear(a.hosts)
	}
	a.hosts[host] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
	return a.hosts[host], nil
}

// Root is the Authority's certificate in PEM.
func (a *Authority) Root() ([]byte, error) {
	if err := a.init(); err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), nil
}

// systemRoots are where Linux distributions keep what they trust.
// Source: Go's crypto/x509, root_linux.go.
var systemRoots = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/pki/tls/cacert.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
}

// WriteRoots writes a file for SSL_CERT_FILE: what this system trusts, and the Authority. Go programs
// on macOS and Windows do not read it.
func (a *Authority) WriteRoots(file string) error {
	root, err := a.Root()
	if err != nil {
		return err
	}
	for _, system := range systemRoots {
		trusted, err := os.ReadFile(system)
		if err == nil {
			root = append(append(trusted, '\n'), root...)
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("certificates that this system trusts: %w", err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("certificates for the functions: %w", err)
	}
	if err := os.WriteFile(file, root, 0o600); err != nil {
		return fmt.Errorf("certificates for the functions: %w", err)
	}
	return nil
}
