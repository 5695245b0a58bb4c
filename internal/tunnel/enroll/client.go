package enroll

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/netx"
)

const (
	joiningFile = "joining.json"
	// joinTime bounds the whole exchange with one gateway.
	joinTime = 20 * time.Second
)

// joiningForm is a join under way. It lets a repeated join, after a lost answer
// or a crash, come with the same key and so get the certificate it missed.
type joiningForm struct {
	Version int    `json:"version"`
	Token   string `json:"token"` // id, not the secret
	Key     string `json:"key"`   // PEM
}

// Join shows the token to its gateways, one after the other until one has
// decided, and leaves credentials in dir. Who the gateway is decides the token's
// pin, before the secret is sent. The key is made here and stays here. A nil
// dial means the operating system's network.
//
// Credentials for another location or another gateway system are not
// overwritten: that is refused (Exists) before anything is sent.
func Join(ctx context.Context, dial netx.DialFunc, tok Token, dir string) (_ *Credentials, err error) {
	if err := tok.check(); err != nil {
		return nil, err
	}
	if dial == nil {
		dial = netx.System{}.Dial
	}
	f, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	if err := mayJoin(f, tok); err != nil {
		return nil, err
	}
	j := joiner{dial: dial, tok: tok}
	if j.key, err = joiningKey(f, tok); err != nil {
		return nil, err
	}
	if j.csr, err = csrFor(j.key); err != nil {
		return nil, err
	}
	certPEM, authority, err := j.tryAll(ctx)
	if err != nil {
		if fault.KindOf(err) == fault.Denied { // for good: this key will get no certificate
			err = errors.Join(err, dropJoiningKey(f))
		}
		return nil, err
	}
	return adopt(f, j, certPEM, authority)
}

// adopt checks what the gateway gave and takes it into use.
func adopt(f *folder, j joiner, certPEM []byte, authority *x509.Certificate) (*Credentials, error) {
	c := newCredentials(f, authority, j.tok.Gateways)
	cert, who, err := c.verify(certPEM, j.key)
	if err != nil {
		return nil, fault.As(err, "take certificate from gateway")
	}
	if who.Location != j.tok.Location {
		return nil, fault.New(fault.Denied, "gateway gave a certificate for location %s with a token for %s", who.Location, j.tok.Location).
			WithHint("make a new token: this one was put together wrongly")
	}
	c.cert, c.who = cert, who
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.writeLocked(certPEM, j.key); err != nil {
		return nil, err
	}
	if err := dropJoiningKey(f); err != nil {
		return nil, err
	}
	return c, nil
}

// dropJoiningKey removes the key of a join that is over: keys are not left lying
// about.
func dropJoiningKey(f *folder) error {
	if err := f.root.Remove(joiningFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.As(err, "remove %q", f.path(joiningFile))
	}
	return nil
}

// mayJoin refuses to overwrite who the connector is.
func mayJoin(f *folder, tok Token) error {
	old, err := readCredentials(f)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	who := old.Identity()
	what := ""
	switch {
	case who.Location != tok.Location:
		what = "location " + who.Location
	case old.Pin() != tok.Pin:
		what = "location " + who.Location + " of another gateway system"
	default:
		return nil
	}
	return fault.New(fault.Exists, "the state folder %q holds connector %s of %s already", f.dir, who.ID, what).
		WithHint("join with another folder (--state DIR), or give that connector up by removing %s first", f.path(credentialsFile))
}

// joiningKey returns the key of an earlier try with this token, or a new one,
// which is on the disk before the token is shown to anybody.
func joiningKey(f *folder, tok Token) (*ecdsa.PrivateKey, error) {
	if b, err := f.readKey(joiningFile); err == nil {
		var form joiningForm
		if decodeStrict(b, &form) == nil && form.Version == 1 && form.Token == tok.ID {
			if key, _, err := parseKey([]byte(form.Key)); err == nil {
				return key, nil
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.As(err, "read key of an earlier join")
	}
	_, key, err := newCSR()
	if err != nil {
		return nil, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "write connector's key")
	}
	if err := f.writeJSON(joiningFile, joiningForm{Version: 1, Token: tok.ID, Key: string(keyPEM)}); err != nil {
		return nil, fault.As(err, "write connector's key to %q", f.path(joiningFile))
	}
	return key, nil
}

type joiner struct {
	dial netx.DialFunc
	tok  Token
	key  *ecdsa.PrivateKey
	csr  []byte
}

// tryAll asks the gateways in turn. A gateway that knows the token decides; one
// that cannot be reached, is the wrong one or does not know the token does not.
func (j joiner) tryAll(ctx context.Context) ([]byte, *x509.Certificate, error) {
	var errs []error
	for _, g := range j.tok.Gateways {
		certPEM, authority, err := j.try(ctx, g)
		if err == nil {
			return certPEM, authority, nil
		}
		errs = append(errs, err)
		if k := fault.KindOf(err); ctx.Err() != nil || k == fault.Denied || k == fault.Exists {
			return nil, nil, err
		}
	}
	if len(errs) == 1 {
		return nil, nil, errs[0]
	}
	// The last one that was reached says more than one that was not.
	last := errs[len(errs)-1]
	for _, err := range errs {
		if !fault.KindOf(err).Temporary() {
			last = err
		}
	}
	return nil, nil, fault.Wrap(fault.KindOf(last), errors.Join(errs...), "join at %s: no gateway accepted it", strings.Join(j.tok.Gateways, ", ")).
		WithHint("%s", fault.HintOf(last))
}

func (j joiner) try(parent context.Context, gateway string) (_ []byte, _ *x509.Certificate, err error) {
	ctx, cancel := context.WithTimeout(parent, joinTime)
	defer cancel()
	defer func() {
		if err != nil && parent.Err() != nil { // what it broke off is of no interest
			err = fault.As(context.Cause(parent), "join at gateway %s", gateway)
		}
	}()
	raw, err := j.dial(ctx, "tcp", gateway)
	if err != nil {
		return nil, nil, fault.As(err, "connect to gateway %s", gateway).
			WithHint("check that this machine may open connections to %s, and that the gateway listens there", gateway)
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) }) // fails only on a closed connection
	defer stop()
	var authority *x509.Certificate
	conn := tls.Client(raw, j.config(gateway, &authority))
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, nil, explainGateway(err, gateway, time.Now(), ourGateway)
	}
	certPEM, err := j.exchange(conn)
	if err != nil {
		f := (*fault.Error)(nil)
		if errors.As(err, &f) {
			return nil, nil, err
		}
		return nil, nil, fault.As(err, "join at gateway %s", gateway).
			WithHint("join again with the same token: if the gateway has answered already, it answers the same again")
	}
	return certPEM, authority, nil
}

const ourGateway = "the gateway that made this token"

// config pins the authority: the chain must hold a certificate whose key has the
// token's pin, and the gateway's certificate must come from that one. This is
// stricter than the usual verification, which it stands in for.
func (j joiner) config(gateway string, authority **x509.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		ServerName:         serverName,
		NextProtos:         []string{JoinProtocol},
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection below verifies, against the pin
		VerifyConnection: func(cs tls.ConnectionState) error {
			for _, cert := range cs.PeerCertificates {
				if pinOf(cert) != j.tok.Pin {
					continue
				}
				if err := verifyGateway(cs.PeerCertificates[0], cert, gateway); err != nil {
					return err
				}
				*authority = cert
				return nil
			}
			return errForeignGateway(errors.New("no key in its chain has the token's pin"), gateway, ourGateway)
		},
	}
}

func verifyGateway(leaf, authority *x509.Certificate, gateway string) error {
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	now := time.Now()
	_, err := leaf.Verify(x509.VerifyOptions{
		DNSName: serverName, Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return explainGateway(err, gateway, now, ourGateway)
	}
	return nil
}

// exchange sends the join and reads the answer.
func (j joiner) exchange(conn net.Conn) ([]byte, error) {
	body, err := json.Marshal(joinRequest{Version: joinVersion, Token: j.tok.ID, Secret: j.tok.Secret.Reveal(), CSR: j.csr})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodPost, "https://"+serverName+joinPath, bytes.NewReader(body)) //nolint:noctx // the connection has the deadline
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	// Header and body together are bounded here; http.ReadResponse bounds nothing.
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, 2*maxBody)), req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, decodeRefusal(resp.StatusCode, answer)
	}
	var ok joinResponse
	if err := decodeStrict(answer, &ok); err != nil {
		return nil, fault.New(fault.Internal, "gateway answered the join with something else than a certificate").
			WithHint("use the same version of sallyport at gateway and connector")
	}
	return []byte(ok.Certificate), nil
}
