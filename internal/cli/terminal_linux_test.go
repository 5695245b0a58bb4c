package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport.dev/internal/ftp/ftptest"
	"sallyport.dev/internal/testkit"
)

// terminal is a pseudo-terminal with a person before it.
type terminal struct {
	master *os.File
	slave  *os.File

	mu     sync.Mutex // guards the following
	screen bytes.Buffer
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	testkit.Need(t, err == nil, "a pseudo-terminal", "mount devpts")
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 25, Col: 100}); err != nil {
		t.Fatal(err)
	}
	c := &terminal{master: master, slave: slave}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			c.mu.Lock()
			c.screen.Write(buf[:n])
			c.mu.Unlock()
			if err != nil {
				return // closed, or nobody has the other end open any more
			}
		}
	})
	t.Cleanup(func() {
		_ = slave.Close()
		_ = master.Close()
		wg.Wait()
	})
	return c
}

func (c *terminal) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.screen.String()
}

func (c *terminal) shows(t *testing.T, what string) {
	t.Helper()
	until(t, func() bool { return strings.Contains(c.text(), what) }, func() string {
		return fmt.Sprintf("the terminal does not show %q: %q", what, c.text())
	})
}

func (c *terminal) types(t *testing.T, what string) {
	t.Helper()
	if _, err := io.WriteString(c.master, what); err != nil {
		t.Fatal(err)
	}
}

// echoes reports whether what is typed is shown.
func (c *terminal) echoes(t *testing.T) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(c.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// until looks until it is so.
func until(t *testing.T, so func() bool, else_ func() string) { //nolint:revive // no other word says it
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(60 * time.Second); !so(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(else_())
		}
	}
}

// person starts the program before a terminal.
func person(t *testing.T, c *terminal, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(testkit.Binary(t), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.slave, c.slave, c.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, or the test has failed
	return cmd
}

// exit waits for the end and returns the exit code.
func exit(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	var ee *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ee) && ctx.Err() == nil:
		return ee.ExitCode()
	default:
		t.Fatalf("the program did not end: %v", err)
		return -1
	}
}

// A password is asked for without showing it, and Ctrl-C at the prompt leaves the
// terminal as it was.
func TestPasswordPrompt(t *testing.T) {
	a := &ftptest.Awkward{Files: map[string]string{"a.txt": "hello"}}
	url := "ftp://erp@" + a.Start(t) + "/a.txt"
	t.Run("typed", func(t *testing.T) {
		c := newTerminal(t)
		cmd := person(t, c, t.TempDir(), "get", url, "-")
		c.shows(t, "password of erp at 127.0.0.1: ")
		until(t, func() bool { return !c.echoes(t) }, func() string { return "what is typed would be shown" })
		c.types(t, "s3cret\n")
		if code := exit(t, cmd); code != 0 {
			t.Errorf("exit %d: %q", code, c.text())
		}
		c.shows(t, "hello")
		if strings.Contains(c.text(), "s3cret") || !c.echoes(t) {
			t.Errorf("echo %v, screen %q", c.echoes(t), c.text())
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		c := newTerminal(t)
		cmd := person(t, c, t.TempDir(), "get", url)
		c.shows(t, "password of erp")
		until(t, func() bool { return !c.echoes(t) }, func() string { return "what is typed would be shown" })
		c.types(t, "\x03")
		if code := exit(t, cmd); code != 130 {
			t.Errorf("exit %d: %q", code, c.text())
		}
		if !c.echoes(t) {
			t.Error("the terminal shows nothing any more")
		}
	})
}

// On a terminal there are bars; Ctrl-C in the middle of a file ends soon, leaves
// nothing under its name, says how to go on, and the next run does.
func TestInterruptedGet(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 256<<10) // 4 MiB
	a := &ftptest.Awkward{Files: map[string]string{"big": content}, Quirks: ftptest.Quirks{Slow: 300 * time.Millisecond}}
	addr, dir := a.Start(t), t.TempDir()
	c := newTerminal(t)
	cmd := person(t, c, dir, "get", "ftp://"+addr+"/big")
	c.shows(t, "MiB / 4.0 MiB")
	until(t, func() bool { return partSize(t, dir) > 0 }, func() string { return "no part grows" })
	c.types(t, "\x03")
	if code := exit(t, cmd); code != 130 {
		t.Errorf("exit %d", code)
	}
	c.shows(t, "the same command goes on where this one stopped")
	if _, err := os.Lstat(filepath.Join(dir, "big")); err == nil {
		t.Error("half a file has the final name")
	}
	had := partSize(t, dir)
	if had == 0 || had >= int64(len(content)) {
		t.Fatalf("the part has %d bytes", had)
	}
	out, err := exec.Command(testkit.Binary(t), "get", "ftp://"+addr+"/big", filepath.Join(dir, "big")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "were there") {
		t.Errorf("%v: %s", err, out)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "big")); err != nil || string(b) != content {
		t.Errorf("big has %d bytes: %v", len(b), err)
	}
	if n := partSize(t, dir); n != 0 {
		t.Errorf("a part of %d bytes is left", n)
	}
}

// partSize is how much there is of the one file that is not whole.
func partSize(t *testing.T, dir string) int64 {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(dir, "*.part"))
	if err != nil || len(parts) > 1 {
		t.Fatalf("%q: %v", parts, err)
	}
	if len(parts) == 0 {
		return 0
	}
	info, err := os.Stat(parts[0])
	if err != nil {
		return 0 // it has just got its name
	}
	return info.Size()
}

// Ctrl-C in the middle of an upload: nothing under its name at the server.
func TestInterruptedPut(t *testing.T) {
	testkit.NeedRoot(t)
	srv := testkit.Vsftpd(t, testkit.ServerOptions{Extra: map[string]string{"local_max_rate": "1000000"}})
	dir := t.TempDir()
	content := bytes.Repeat([]byte("0123456789abcdef"), 256<<10)
	if err := os.WriteFile(filepath.Join(dir, "big"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	put := func() *exec.Cmd {
		cmd := exec.Command(testkit.Binary(t), "put", filepath.Join(dir, "big"), "ftp://"+srv.User+"@"+srv.Addr+"/big")
		cmd.Env = append(os.Environ(), "SALLYPORT_PASSWORD="+srv.Password)
		return cmd
	}
	cmd := put()
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	until(t, func() bool { return partSize(t, srv.Home) > 0 }, func() string { return "no part grows" })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := exit(t, cmd); code != 130 || !strings.Contains(said.String(), "goes on where this one stopped") {
		t.Errorf("exit %d: %s", code, said.String())
	}
	if _, err := os.Lstat(filepath.Join(srv.Home, "big")); err == nil {
		t.Error("half a file has the final name")
	}
	if out, err := put().CombinedOutput(); err != nil || !bytes.Contains(out, []byte("were there")) {
		t.Errorf("%v: %s", err, out)
	}
	if b, err := os.ReadFile(filepath.Join(srv.Home, "big")); err != nil || !bytes.Equal(b, content) {
		t.Errorf("big has %d bytes: %v", len(b), err)
	}
}
