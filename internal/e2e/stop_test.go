//go:build linux

package e2e_test

import (
	"bytes"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
)

// TestStop ends a real site while one client uploads and another is at rest: the one
// at rest reads 421, nobody else is let in, and the upload comes to its end. A second
// signal ends the process at once, and then the upload looks cut.
func TestStop(t *testing.T) {
	for name, patient := range map[string]bool{"once": true, "twice": false} {
		t.Run(name, func(t *testing.T) {
			p, addr, root, _ := operated(t, "")
			idle := dialFTP(t, addr)
			up := dialFTP(t, addr)
			port := regexp.MustCompile(`\|(\d+)\|`).FindStringSubmatch(up.say("EPSV", 229))
			host, _, _ := net.SplitHostPort(addr)
			data, err := net.Dial("tcp", net.JoinHostPort(host, port[1]))
			if err != nil {
				t.Fatal(err)
			}
			defer data.Close() //nolint:errcheck // closed below
			up.say("STOR f", 150)
			content := bytes.Repeat([]byte("x"), 1<<20)
			if _, err := data.Write(content); err != nil {
				t.Fatal(err)
			}
			await(t, "the part", func() bool { return len(partsIn(t, root)) == 1 })

			if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			idle.say("", 421)
			if c, err := net.Dial("tcp", addr); err == nil {
				if code, _, err := textproto.NewConn(c).ReadResponse(220); err == nil {
					t.Errorf("somebody was let in: %d", code)
				}
				_ = c.Close()
			}
			if patient {
				if err := data.Close(); err != nil {
					t.Fatal(err)
				}
				up.say("", 226)
				<-p.done
				if p.err != nil {
					t.Errorf("the program ended with %v", p.err)
				}
				if b, err := os.ReadFile(filepath.Join(root, "f")); err != nil || !bytes.Equal(b, content) {
					t.Errorf("the upload: %d bytes, %v", len(b), err)
				}
				return
			}
			if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			<-p.done
			if _, _, err := up.ReadResponse(226); err == nil {
				t.Error("the upload looks whole")
			}
			if _, err := os.Stat(filepath.Join(root, "f")); err == nil {
				t.Error("the upload was published")
			}
		})
	}
}

// ftpConn is a control connection that is spoken on word by word.
type ftpConn struct {
	*textproto.Conn
	t *testing.T
}

// dialFTP logs in at addr, in binary.
func dialFTP(t *testing.T, addr string) *ftpConn {
	t.Helper()
	c, err := textproto.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	f := &ftpConn{c, t}
	f.say("", 220)
	f.say("USER erp", 331)
	f.say("PASS s3cret", 230)
	f.say("TYPE I", 200)
	return f
}

// say sends a line, unless it is empty, and wants code.
func (f *ftpConn) say(line string, code int) string {
	f.t.Helper()
	if line != "" {
		if err := f.PrintfLine("%s", line); err != nil {
			f.t.Fatal(err)
		}
	}
	_, text, err := f.ReadResponse(code)
	if err != nil {
		f.t.Fatalf("%s: %v", line, err)
	}
	return text
}
