package bench_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The meter is the client that every server is measured with: one session, blocking
// system calls, no goroutine, no time-outs. It waits for each reply before it goes on,
// as clients do.

// meterJob is what the meter does between "ready" and its results.
type meterJob struct {
	Port           int
	User, Password string
	CA             string // certificates in PEM that TLS is checked against; empty: plain
	Verb           string // RETR, STOR, LIST, MLSD or HOLD
	Name           string // a file, or with Count its beginning; a folder for listings
	Count          int    // of files, or of sessions to hold
	Local          string // what STOR sends
}

// metered are the meter's results.
type metered struct {
	Seconds float64
	First   float64 // seconds to the first byte of data
	Bytes   int64
	Lines   int
}

func init() { programs["meter"] = meter }

func meter(p *program) error {
	var job meterJob
	if err := p.job(&job); err != nil {
		return err
	}
	m := &meterSession{job: job, buf: make([]byte, 256<<10)}
	if job.Verb == "HOLD" {
		return m.hold(p)
	}
	if err := m.login(); err != nil {
		return err
	}
	if err := p.ready(); err != nil {
		return err
	}
	began := time.Now()
	err := m.work()
	m.res.Seconds = time.Since(began).Seconds()
	return errors.Join(err, p.done(m.res), m.raw.Close())
}

// hold logs in as often as it is told and keeps all of it.
func (m *meterSession) hold(p *program) error {
	if err := p.ready(); err != nil {
		return err
	}
	began := time.Now()
	for range m.job.Count {
		if err := m.login(); err != nil {
			return err
		}
	}
	m.res.Seconds = time.Since(began).Seconds()
	return p.done(m.res)
}

// meterSession is one control connection and what was measured.
type meterSession struct {
	job  meterJob
	raw  *socket
	conn io.ReadWriter // raw, or TLS over it
	tls  *tls.Config
	in   []byte // read from conn and not yet taken
	buf  []byte
	res  metered
}

// login connects and logs in, with TLS on both channels where a CA is given.
func (m *meterSession) login() error {
	var err error
	if m.raw, err = dialSocket(m.job.Port); err != nil {
		return err
	}
	m.conn, m.in = m.raw, nil
	if err := m.raw.noDelay(); err != nil {
		return err
	}
	if _, err := m.reply("220"); err != nil {
		return err
	}
	var says []string
	if m.job.CA != "" {
		if err := m.secure(); err != nil {
			return err
		}
		says = []string{"PBSZ 0", "200", "PROT P", "200"}
	}
	says = append(says, "USER "+m.job.User, "331", "PASS "+m.job.Password, "230", "TYPE I", "200")
	for i := 0; i < len(says); i += 2 {
		if _, err := m.command(says[i], says[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (m *meterSession) secure() error {
	if _, err := m.command("AUTH TLS", "234"); err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(m.job.CA)) {
		return errors.New("no certificate in CA")
	}
	// Servers may want the session of the control connection on data connections.
	m.tls = &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS13, ClientSessionCache: &lastSession{}}
	conn := tls.Client(m.raw, m.tls)
	m.conn = conn
	return conn.Handshake()
}

// lastSession is a cache of the latest session alone, whatever it is asked for.
type lastSession struct{ state *tls.ClientSessionState }

func (l *lastSession) Get(string) (*tls.ClientSessionState, bool) { return l.state, l.state != nil }
func (l *lastSession) Put(_ string, state *tls.ClientSessionState) {
	if state != nil {
		l.state = state
	}
}

// command sends a line and wants a reply whose code begins as given.
func (m *meterSession) command(line, want string) (string, error) {
	if _, err := io.WriteString(m.conn, line+"\r\n"); err != nil {
		return "", err
	}
	reply, err := m.reply(want)
	if err != nil {
		verb, _, _ := strings.Cut(line, " ")
		return "", fmt.Errorf("%s: %w", verb, err)
	}
	return reply, nil
}

// reply reads one reply, its lines before the last dropped.
func (m *meterSession) reply(want string) (string, error) {
	for {
		if i := bytes.IndexByte(m.in, '\n'); i >= 0 {
			line := string(m.in[:i])
			m.in = m.in[i+1:]
			if len(line) < 4 || line[3] != ' ' || line[0] < '1' || line[0] > '5' {
				continue
			}
			if !strings.HasPrefix(line, want) {
				return "", fmt.Errorf("got %q, want %s", line, want)
			}
			return line, nil
		}
		var b [4096]byte
		n, err := m.conn.Read(b[:])
		m.in = append(m.in, b[:n]...)
		if n == 0 && err != nil {
			return "", err
		}
	}
}

// open asks for a data port and connects to it.
func (m *meterSession) open() (*socket, error) {
	reply, err := m.command("EPSV", "229")
	if err != nil {
		return nil, err
	}
	fields := strings.Split(reply, "|")
	if len(fields) != 5 {
		return nil, fmt.Errorf("EPSV: got %q", reply)
	}
	port, err := strconv.Atoi(fields[3])
	if err != nil {
		return nil, err
	}
	return dialSocket(port)
}

// protect begins TLS on a data connection, if the control connection has it.
func (m *meterSession) protect(raw *socket) (io.ReadWriteCloser, error) {
	if m.tls == nil {
		return raw, nil
	}
	conn := tls.Client(raw, m.tls)
	return conn, errors.Join(raw.noDelay(), conn.Handshake())
}

func (m *meterSession) work() error {
	if m.job.Count == 0 {
		return m.transfer(m.job.Name)
	}
	for i := range m.job.Count {
		if err := m.transfer(m.job.Name + strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return nil
}

func (m *meterSession) transfer(name string) error {
	raw, err := m.open()
	if err != nil {
		return err
	}
	began := time.Now()
	if _, err := m.command(strings.TrimSpace(m.job.Verb+" "+name), "1"); err != nil {
		return err
	}
	conn, err := m.protect(raw)
	if err != nil {
		return err
	}
	if m.job.Verb == "STOR" {
		err = m.send(conn)
	} else {
		err = m.receive(conn, began)
	}
	if err != nil {
		return err
	}
	_, err = m.reply("226")
	return err
}

// receive reads to the end.
func (m *meterSession) receive(conn io.ReadWriteCloser, began time.Time) error {
	for {
		n, err := conn.Read(m.buf)
		if n > 0 && m.res.First == 0 {
			m.res.First = time.Since(began).Seconds()
		}
		m.res.Bytes += int64(n)
		if m.job.Verb != "RETR" {
			m.res.Lines += bytes.Count(m.buf[:n], []byte("\n"))
		}
		if err == io.EOF {
			return conn.Close()
		}
		if err != nil {
			return err
		}
	}
}

// send sends the local file: by sendfile where nothing stands between. A protected
// connection is ended as servers want it: our end first, then theirs.
func (m *meterSession) send(conn io.ReadWriteCloser) error {
	f, err := os.Open(m.job.Local)
	if err != nil {
		return err
	}
	defer f.Close()
	raw, plain := conn.(*socket)
	for {
		var n int
		if plain {
			n, err = syscall.Sendfile(raw.fd, int(f.Fd()), nil, 1<<20)
		} else if n, err = f.Read(m.buf); n > 0 {
			n, err = conn.Write(m.buf[:n])
		}
		m.res.Bytes += int64(max(n, 0))
		if n == 0 && (err == nil || err == io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
	if secured, ok := conn.(*tls.Conn); ok {
		raw, _ := secured.NetConn().(*socket)
		if err := errors.Join(secured.CloseWrite(), syscall.Shutdown(raw.fd, syscall.SHUT_WR)); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, secured); err != nil {
			return err
		}
		return raw.Close()
	}
	return conn.Close()
}

// socket is a connection whose calls block this thread.
type socket struct {
	net.Conn // nothing: what TLS does not call
	fd       int
}

func dialSocket(port int) (*socket, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
		if !errors.Is(err, syscall.EINTR) {
			return &socket{fd: fd}, err
		}
	}
}

// noDelay sends what is written at once, as clients do: TLS writes more than once
// before it reads.
func (s *socket) noDelay() error {
	return syscall.SetsockoptInt(s.fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
}

func (s *socket) Read(p []byte) (int, error) {
	for {
		n, err := syscall.Read(s.fd, p)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (s *socket) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n, err := syscall.Write(s.fd, p[written:])
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return written, err
		}
		written += max(n, 0)
	}
	return written, nil
}

func (s *socket) Close() error                { return syscall.Close(s.fd) }
func (s *socket) SetDeadline(time.Time) error { return nil }

// SetReadDeadline and SetWriteDeadline do nothing: who measures waits.
func (s *socket) SetReadDeadline(time.Time) error  { return nil }
func (s *socket) SetWriteDeadline(time.Time) error { return nil }
