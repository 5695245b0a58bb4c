// Package ftplog writes down what a site's clients do, for other programs to read:
// as W3C extended log the way IIS writes it, as xferlog the way wu-ftpd and vsftpd
// do, or as JSON, a line for each event.
//
// It is not the program's own log, which tells its administrator how it fares. No
// line has a password in it, and whatever a client sends stays within its field of
// its line.
package ftplog

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"sallyport.dev/internal/ftp/ftpserver"
)

// Kinds says which events are written.
type Kinds struct {
	Commands  bool // those that are neither of the following
	Transfers bool // RETR, STOR, APPE, STOU, also where they fail
	// Infrastructure is data connections that open and close, and the commands that
	// prepare them: PASV, EPSV, PORT, EPRT.
	Infrastructure bool
}

// Log is the log of one site. Sessions write to it at once.
type Log struct {
	format format
	kinds  Kinds
	log    *slog.Logger

	mu      sync.Mutex // guards the following
	file    *file
	failing bool // the last line could not be written
}

// Options say how a log is written.
type Options struct {
	Path string
	// Format is "w3c", "xferlog" or "json". Of an xferlog only transfers are lines.
	Format string
	Kinds  Kinds
	// MaxSize is how many bytes a file may have before it is put by. Zero: any.
	MaxSize int64
	// Daily puts the file by when a day is over, in UTC.
	Daily bool
	// Keep is how many files that were put by stay. Zero: all.
	Keep   int
	Site   string
	Logger *slog.Logger // told when lines cannot be written
}

// Open opens the log and writes a header where its format has one.
func Open(o Options) (*Log, error) {
	l := &Log{format: formats[o.Format], kinds: o.Kinds, log: o.Logger}
	if l.format == nil {
		l.format = w3c{}
	}
	if j, ok := l.format.(jsonLines); ok {
		j.site = o.Site
		l.format = j
	}
	l.file = &file{path: o.Path, maxSize: o.MaxSize, daily: o.Daily, keep: o.Keep, header: l.format.header}
	return l, l.file.open(time.Now())
}

// Event writes e if it is one of those that are asked for.
func (l *Log) Event(e ftpserver.Event) {
	if !l.wants(e) {
		return
	}
	line := l.format.line(e)
	if line == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.toldLocked(l.file.write(line, e.At))
}

// toldLocked warns when lines begin to get lost, and when they no longer do.
func (l *Log) toldLocked(err error) {
	switch {
	case err != nil && !l.failing:
		l.log.Warn("lines of the site's log are lost", "file", l.file.path, "err", err)
	case err == nil && l.failing:
		l.log.Info("the site's log is written again", "file", l.file.path)
	}
	l.failing = err != nil
}

func (l *Log) wants(e ftpserver.Event) bool {
	switch {
	case e.Kind != ftpserver.EventCommand:
		return l.kinds.Infrastructure
	case e.File:
		return l.kinds.Transfers
	case e.Verb == "PASV" || e.Verb == "EPSV" || e.Verb == "PORT" || e.Verb == "EPRT":
		return l.kinds.Infrastructure
	default:
		return l.kinds.Commands
	}
}

// Reopen opens the file anew, after another program has renamed it.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.file.close(), l.file.open(time.Now()))
}

// Close closes the file. What is written after it is lost. A nil Log is closed.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file.done = true
	return l.file.close()
}
