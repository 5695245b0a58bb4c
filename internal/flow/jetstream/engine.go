package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sallyport.dev/internal/fault"
)

// engine is a server at work over the journal's folder, and the connection to it.
// One whose store could not be written works no more: it is closed, and another
// one started over what is on disk.
type engine struct {
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	sync   *syncer // of records

	pastSync *syncer

	records, history jetstream.Stream

	once   sync.Once
	broken chan struct{} // closed when the store could not be written
	cause  error         // why; set before broken is closed
}

// startEngine starts a server over dir, connects to it, sees to its streams and
// syncs what is there. Before that, blocks are restored whose replacement may not
// have reached the disk.
func startEngine(ctx context.Context, dir string, log *slog.Logger) (_ *engine, err error) {
	e := &engine{broken: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	for _, stream := range []string{recordStream, pastStream} {
		n, err := restoreBlocks(dir, stream)
		if err != nil {
			return nil, fault.As(err, "restore the journal in %q", dir)
		}
		if n > 0 {
			log.Info("the journal was ended while it tidied up, and has gone back to before that", "stream", stream, "files", n)
		}
	}
	if err := e.start(dir, log); err != nil {
		return nil, err
	}
	if err := e.streams(ctx); err != nil {
		return nil, fault.As(err, "prepare the journal in %q", dir)
	}
	if err := syncTree(dir); err != nil {
		return nil, fault.As(err, "sync the journal in %q", dir)
	}
	if e.sync, err = newSyncer(dir, recordStream); err != nil {
		return nil, err
	}
	if e.pastSync, err = newSyncer(dir, pastStream); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *engine) start(dir string, log *slog.Logger) error {
	srv, err := server.NewServer(&server.Options{
		ServerName: "sallyport",
		DontListen: true,
		JetStream:  true,
		StoreDir:   dir,
		NoSigs:     true,
		// Dynamic limits would follow the free space of the moment it starts at.
		JetStreamMaxMemory: 64 << 20,
		JetStreamMaxStore:  1 << 62,
	})
	if err != nil {
		return fault.As(err, "start the journal in %q", dir)
	}
	e.server = srv
	srv.SetLoggerV2(serverLog{log, e}, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(startTime) {
		return fault.New(fault.TimedOut, "start the journal in %q: not ready after %v", dir, startTime).
			WithHint("see the log above; a slow or full disk is the usual cause")
	}
	if !srv.JetStreamEnabled() {
		return fault.New(fault.Internal, "start the journal in %q: its store did not open", dir).
			WithHint("see the log above; the folder must be on a local disk and writable")
	}
	e.conn, err = nats.Connect("", nats.InProcessServer(srv), nats.Name("flows"), nats.NoReconnect(), nats.Timeout(startTime))
	if err != nil {
		return fault.As(err, "connect to the journal in %q", dir)
	}
	e.js, err = jetstream.New(e.conn, jetstream.WithDefaultTimeout(answerTime))
	if err != nil {
		return fault.As(err, "connect to the journal in %q", dir)
	}
	return nil
}

// fail says that the store could not be written. Whoever waits for an answer stops
// waiting.
func (e *engine) fail(cause error) {
	e.once.Do(func() {
		e.cause = cause
		close(e.broken)
	})
}

// why returns what an error of this engine comes from: of one that is broken,
// whatever else goes wrong follows from that.
func (e *engine) why(err error) error {
	select {
	case <-e.broken:
		return fault.Wrap(fault.Full, e.cause, "write the journal's store")
	default:
		return err
	}
}

// close ends the connection, stops the server and waits for it.
func (e *engine) close() error {
	var errs []error
	if e.conn != nil {
		if err := e.conn.FlushTimeout(answerTime); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			errs = append(errs, fault.As(err, "flush the journal"))
		}
		e.conn.Close()
	}
	if e.server != nil {
		e.server.Shutdown()
		e.server.WaitForShutdown()
	}
	for _, s := range []*syncer{e.sync, e.pastSync} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	return errors.Join(errs...)
}

// serverLog hands the server's words on: what is merely of interest to NATS's own
// operators as debug lines.
type serverLog struct {
	l *slog.Logger
	e *engine
}

func (s serverLog) Noticef(f string, a ...any) { s.l.Debug(sprintf(f, a...), "part", "journal") }
func (s serverLog) Warnf(f string, a ...any)   { s.l.Warn(sprintf(f, a...), "part", "journal") }
func (s serverLog) Fatalf(f string, a ...any)  { s.l.Error(sprintf(f, a...), "part", "journal") }
func (s serverLog) Debugf(f string, a ...any)  { s.l.Debug(sprintf(f, a...), "part", "journal") }
func (s serverLog) Tracef(string, ...any)      {}

// Errorf also hears of a store that cannot be written. The server says so here and
// nowhere else: it leaves the writer without an answer. Should it once say it in
// other words, the missing answer tells, only later.
func (s serverLog) Errorf(f string, a ...any) {
	text := sprintf(f, a...)
	s.l.Error(text, "part", "journal")
	if strings.Contains(strings.ToLower(text), "critical write error") {
		s.e.fail(errUnwritable)
	}
}

var errUnwritable = errors.New("its disk does not take what is written")

func sprintf(f string, a ...any) string { return fmt.Sprintf(f, a...) }
