package tunnel_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"sallyport.dev/internal/memnet"
	"sallyport.dev/internal/tunnel"
	"sallyport.dev/internal/tunnel/frame"
)

// configs returns a server's and a client's configuration. The certificate is
// valid in synctest's year 2000 and today.
var configs = sync.OnceValues(func() (*tls.Config, *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway"}, DNSNames: []string{"gateway"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	protos := []string{frame.ControlProtocol, frame.DataProtocol}
	server := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: protos, SessionTicketsDisabled: true,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}
	client := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: "gateway"}
	return server, client
})

func clientConfig(proto string) *tls.Config {
	_, c := configs()
	c = c.Clone()
	c.NextProtos = []string{proto}
	return c
}

// tcpPipe returns the two ends of a TCP connection on loopback.
func tcpPipe(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func memPipe(testing.TB) (a, b net.Conn) { return memnet.Pipe() }

// links returns the gateway's and the connector's end of one link over conns.
func links(t testing.TB, proto string, gw, con net.Conn) (gateway, connector *tunnel.Link) {
	t.Helper()
	server, _ := configs()
	var wg sync.WaitGroup
	var serr, cerr error
	wg.Go(func() { gateway, serr = tunnel.Server(context.Background(), gw, server) })
	wg.Go(func() { connector, cerr = tunnel.Client(context.Background(), con, clientConfig(proto)) })
	wg.Wait()
	if serr != nil || cerr != nil {
		t.Fatalf("handshake: %v, %v", serr, cerr)
	}
	t.Cleanup(func() { gateway.Abort(); connector.Abort() })
	return gateway, connector
}

var anOpen = frame.Open{ID: frame.ID{1}, Host: "ftp-erp", Port: 21, Principal: "user:a"}

// openStream opens a stream over a link.
func openStream(t testing.TB, gateway, connector *tunnel.Link) (gs, cs *tunnel.Stream) {
	t.Helper()
	var wg sync.WaitGroup
	var cerr error
	wg.Go(func() {
		o, err := connector.Accept()
		if err != nil {
			cerr = err
			return
		}
		cs, cerr = connector.Grant(o)
	})
	gs, err := gateway.Open(context.Background(), anOpen)
	wg.Wait()
	if err != nil || cerr != nil {
		t.Fatalf("open: %v, %v", err, cerr)
	}
	return gs, cs
}
