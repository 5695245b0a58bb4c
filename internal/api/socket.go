package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"sallyport.dev/internal/fault"
)

// socketName is the socket's name in a state folder.
const socketName = "control.sock"

// maxSocketPath is the longest path that every supported system can bind:
// sockaddr_un has 108 bytes on Linux, 104 on macOS, the last one a NUL.
const maxSocketPath = 103

// Listen binds the control socket in state folder dir. The caller holds the
// folder's lock, so a socket left behind by a killed process is removed.
func Listen(dir string) (net.Listener, error) {
	path := filepath.Join(dir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fault.As(err, "remove stale control socket")
	}
	var l *net.UnixListener
	err := throughShortPath(dir, func(short string) error {
		var err error
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(short, socketName), Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fault.As(err, "bind control socket")
	}
	l.SetUnlinkOnClose(false) // it would unlink the short path, which is gone
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fault.As(err, "protect control socket"), l.Close())
	}
	return &socketListener{UnixListener: l, path: path}, nil
}

// socketListener removes its socket when it closes.
type socketListener struct {
	*net.UnixListener
	path string
}

// Close stops listening and removes the socket.
func (l *socketListener) Close() error {
	err := l.UnixListener.Close()
	if rerr := os.Remove(l.path); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// dialSocket connects to the control socket in state folder dir.
func dialSocket(ctx context.Context, dir string) (net.Conn, error) {
	var c net.Conn
	err := throughShortPath(dir, func(short string) error {
		var d net.Dialer
		var err error
		c, err = d.DialContext(ctx, "unix", filepath.Join(short, socketName))
		return err
	})
	if err == nil {
		return c, nil
	}
	if ctx.Err() != nil {
		return nil, fault.As(ctx.Err(), "ask the part in state folder %q", dir)
	}
	if errors.Is(err, os.ErrPermission) {
		return nil, fault.Wrap(fault.Denied, err, "the control socket in state folder %q belongs to somebody else", dir).
			WithHint("run this as the user who runs the part")
	}
	return nil, fault.Wrap(fault.Unreachable, err, "no part runs in state folder %q", dir).
		WithHint("start it (sallyport run, gateway run, connector run), or name its folder with --state DIR")
}

// throughShortPath calls f with a path of dir that is short enough for a socket
// address: dir itself, or a symbolic link to it that lives as long as the call.
func throughShortPath(dir string, f func(short string) error) (err error) {
	if len(filepath.Join(dir, socketName)) <= maxSocketPath {
		return f(dir)
	}
	if runtime.GOOS == "windows" {
		return fmt.Errorf("the path %q is longer than %d bytes", filepath.Join(dir, socketName), maxSocketPath)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "sp")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	link := filepath.Join(tmp, "s")
	if err := os.Symlink(abs, link); err != nil {
		return err
	}
	return f(link)
}
