// Package jetstream keeps the journal of flows in NATS JetStream.
//
// [Open] starts a JetStream server inside the process, without a port, over a
// folder that a lock file keeps to this process alone, and returns a [Journal],
// which is a flow.Journal. Every record is on disk before it is answered for; those
// that come at the same moment share a sync.
//
// What it keeps:
//
//	KV_transfers   $KV.transfers.<flow>.<key>   one record per transfer, put-if-absent and
//	                                            updated by revision; a bucket that
//	                                            key-value tools can read
//	tasks          task.<flow>.<key>            work queue in memory, at most one task per
//	                                            transfer, read by one pull consumer per flow
//	dead           dead.<flow>.<key>            dead letters, for who watches them
//	past           past.<flow>.<key>            finished transfers, the last 10,000
//
// File bodies never enter it. The package knows nothing of how transfers proceed,
// and is the only one that imports NATS.
package jetstream

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/lockfile"
)

// Options say where the journal is.
type Options struct {
	// Dir is the journal's folder. It is made if it is not there.
	Dir    string
	Logger *slog.Logger
}

const (
	startTime  = 30 * time.Second // for the server to be ready, a long journal to be read
	answerTime = 10 * time.Second // for one request: a sync on a busy disk
)

// Journal is a flow.Journal. Close it when every runner over it has ended.
type Journal struct {
	lock   *lockfile.Lock
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	log    *slog.Logger
	closed atomic.Bool

	sync             *syncer // of records
	records, history jetstream.Stream
}

var _ flow.Journal = (*Journal)(nil)

// Open locks the folder, starts the server in it and sees to its streams. A folder
// that another process has is [fault.Busy].
func Open(ctx context.Context, o Options) (_ *Journal, err error) {
	j := &Journal{log: o.Logger}
	if j.log == nil {
		j.log = slog.New(slog.DiscardHandler)
	}
	if o.Dir == "" {
		return nil, fault.New(fault.Invalid, "the journal has no folder")
	}
	if j.lock, err = lockfile.Acquire(filepath.Join(o.Dir, "lock"), "the journal in "+o.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, j.Close())
		}
	}()
	if err := j.start(o.Dir); err != nil {
		return nil, err
	}
	if err := j.streams(ctx); err != nil {
		return nil, fault.As(err, "prepare the journal in %q", o.Dir)
	}
	if j.sync, err = newSyncer(o.Dir, recordStream); err != nil {
		return nil, err
	}
	return j, nil
}

// start starts the server and connects to it.
func (j *Journal) start(dir string) error {
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
	j.server = srv
	srv.SetLoggerV2(serverLog{j.log}, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(startTime) {
		return fault.New(fault.TimedOut, "start the journal in %q: not ready after %v", dir, startTime).
			WithHint("see the log above; a slow or full disk is the usual cause")
	}
	if !srv.JetStreamEnabled() {
		return fault.New(fault.Internal, "start the journal in %q: its store did not open", dir).
			WithHint("see the log above; the folder must be on a local disk and writable")
	}
	j.conn, err = nats.Connect("", nats.InProcessServer(srv), nats.Name("flows"), nats.NoReconnect(), nats.Timeout(startTime))
	if err != nil {
		return fault.As(err, "connect to the journal in %q", dir)
	}
	j.js, err = jetstream.New(j.conn, jetstream.WithDefaultTimeout(answerTime))
	if err != nil {
		return fault.As(err, "connect to the journal in %q", dir)
	}
	return nil
}

// Close ends the connection, stops the server, waits for it and gives the folder
// back. Calls that come later fail with flow.ErrClosed.
func (j *Journal) Close() error {
	if j.closed.Swap(true) {
		return nil
	}
	var errs []error
	if j.conn != nil {
		if err := j.conn.FlushTimeout(answerTime); err != nil {
			errs = append(errs, fault.As(err, "flush the journal"))
		}
		j.conn.Close()
	}
	if j.server != nil {
		j.server.Shutdown()
		j.server.WaitForShutdown()
	}
	if j.sync != nil {
		errs = append(errs, j.sync.close())
	}
	if j.lock != nil {
		errs = append(errs, j.lock.Release())
	}
	return errors.Join(errs...)
}

// fail gives an error of the journal the kind that package fault knows.
func (j *Journal) fail(err error, format string, args ...any) error {
	if j.closed.Load() {
		return fault.Wrap(fault.Unreachable, flow.ErrClosed, format, args...)
	}
	api := (*jetstream.APIError)(nil)
	switch {
	case errors.As(err, &api) && api.ErrorCode == errNoSpace:
		return fault.Wrap(fault.Full, err, format, args...).WithHint("the disk of the state folder is full: make room")
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return fault.Wrap(fault.TimedOut, err, format, args...)
	}
	return fault.As(err, format, args...)
}

// Error codes of the server that mean something here.
const (
	errWrongSequence = 10071 // the expected revision is not the newest
	errNoSpace       = 10047 // out of storage
)

func isWrongSequence(err error) bool {
	api := (*jetstream.APIError)(nil)
	return errors.As(err, &api) && api.ErrorCode == errWrongSequence
}

// serverLog hands the server's words on: what is merely of interest to NATS's own
// operators as debug lines.
type serverLog struct{ l *slog.Logger }

func (s serverLog) Noticef(f string, a ...any) { s.l.Debug(sprintf(f, a...), "part", "journal") }
func (s serverLog) Warnf(f string, a ...any)   { s.l.Warn(sprintf(f, a...), "part", "journal") }
func (s serverLog) Fatalf(f string, a ...any)  { s.l.Error(sprintf(f, a...), "part", "journal") }
func (s serverLog) Errorf(f string, a ...any)  { s.l.Error(sprintf(f, a...), "part", "journal") }
func (s serverLog) Debugf(f string, a ...any)  { s.l.Debug(sprintf(f, a...), "part", "journal") }
func (s serverLog) Tracef(string, ...any)      {}
