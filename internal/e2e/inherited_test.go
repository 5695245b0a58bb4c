//go:build linux

package e2e_test

import (
	"fmt"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sallyport.dev/internal/testkit"
)

// TestSocketHandedOver runs the program as nobody, on a port below 1024 that was
// opened for it, as systemd's socket units do; and says what is wrong with a socket
// that no part wants.
func TestSocketHandedOver(t *testing.T) {
	testkit.NeedRoot(t)
	setpriv, _ := testkit.Tool(t, "setpriv")
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil { //nolint:gosec // for the one who is nobody
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "sallyport")
	binary, err := os.ReadFile(testkit.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.WriteFile(program, binary, 0o755), //nolint:gosec // as above
		os.Mkdir(filepath.Join(dir, "files"), 0o755),
		os.Mkdir(filepath.Join(dir, "state"), 0o700),
		os.Chown(filepath.Join(dir, "state"), 65534, 65534),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.21:0")
	for port := 700; port < 720; port++ { // one that nobody may open
		_ = l.Close()
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.21:%d", port)); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // the program has its own
	serve := func(listen, descriptors string) *exec.Cmd {
		doc := mustWrite(t, filepath.Join(dir, "sallyport.yaml"), fmt.Sprintf(
			"state: %[1]s/state\nsites: [{name: s, path: %[1]s/files, listen: %[2]s, anonymous: true}]\n", dir, listen))
		if err := os.Chmod(doc, 0o644); err != nil { //nolint:gosec // as above
			t.Fatal(err)
		}
		cmd := exec.Command(setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", //nolint:gosec // of this test
			"sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=`+descriptors+` exec "$0" "$@"`, program, "run", "-c", doc)
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		cmd.ExtraFiles = []*os.File{f}
		return cmd
	}

	refused := startCommand(t, "without the socket", serve(l.Addr().String(), "0"), syscall.SIGTERM)
	<-refused.done
	if refused.err == nil {
		t.Error("nobody opened a port below 1024 by himself: this test shows nothing")
	}
	unwanted := startCommand(t, "another address", serve("127.0.0.1:0", "1"), syscall.SIGTERM)
	<-unwanted.done
	if said := unwanted.out.String(); unwanted.err == nil || !strings.Contains(said, "a socket was handed over for "+l.Addr().String()) {
		t.Errorf("a socket that no part wants: %v\n%s", unwanted.err, said)
	}

	p := startCommand(t, "with the socket", serve(l.Addr().String(), "1"), syscall.SIGTERM)
	p.listens()
	c, err := textproto.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // only read
	for _, step := range []struct {
		line string
		code int
	}{{"", 220}, {"USER anonymous", 331}, {"PASS x@y", 230}, {"QUIT", 221}} {
		if step.line != "" {
			if err := c.PrintfLine("%s", step.line); err != nil {
				t.Fatal(err)
			}
		}
		if _, text, err := c.ReadResponse(step.code); err != nil {
			t.Fatalf("%s: %s, %v", step.line, text, err)
		}
	}
}
