package bench_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport.dev/internal/account"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/testkit"
)

// The ports of all servers; each has a network of its own.
const (
	controlPort            = 2121
	passiveMin, passiveMax = 20000, 29999
)

// under is a server under measurement.
type under struct {
	name           string
	pid            int
	netns          string
	user, password string
	certs          *testkit.Certs
	lists          string // its verb for listings
}

// serverCore and the cores of the meter are the two placements.
const serverCore = 0

// placement says where the two sides run.
type placement struct {
	name  string
	meter int
}

var (
	oneCore  = placement{"one core", serverCore}
	twoCores = placement{"two cores", 1}
)

// place makes the folder that holds all that is moved and logged, in memory, until
// the test ends.
func place(t *testing.T) string {
	t.Helper()
	info, err := os.Stat("/dev/shm")
	testkit.Need(t, err == nil && info.IsDir(), "/dev/shm", "mount a tmpfs there")
	dir, err := os.MkdirTemp("/dev/shm", "sallyport-bench-") //nolint:usetesting // in memory, and others must reach it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir) // for the logs of the others
	return dir
}

// peers starts the servers of others over home, plain or with TLS.
func peers(t *testing.T, home string, certs *testkit.Certs) []*under {
	t.Helper()
	var all []*under
	for _, p := range []struct {
		name, lists string
		start       func(testing.TB, testkit.ServerOptions) *testkit.FTPServer
	}{
		{"vsftpd", "LIST", testkit.Vsftpd}, {"Pure-FTPd", "MLSD", testkit.Pureftpd}, {"ProFTPD", "MLSD", testkit.Proftpd},
	} {
		if !*full && p.name == "ProFTPD" {
			continue // each of its sessions takes long to begin
		}
		opts := testkit.ServerOptions{
			Port: controlPort, PassiveMin: passiveMin, PassiveMax: passiveMax, Home: home,
			Netns: network(t),
		}
		if certs != nil {
			opts.TLS = &testkit.ServerTLS{Certs: certs}
		}
		var s *testkit.FTPServer
		pinned(t, []int{serverCore}, func() { s = p.start(t, opts) })
		all = append(all, &under{p.name, s.PID, opts.Netns, s.User, s.Password, certs, p.lists})
	}
	return all
}

// Of our own account.
const ourUser, ourPassword = "bench", "measured"

var ourHash = account.Hash(secret.New(ourPassword))

// ours starts the program as it is shipped, with a site over home and an account
// whose password is hashed as in any document, logging as it does by default.
func ours(t *testing.T, home string, certs *testkit.Certs, more string) *under {
	t.Helper()
	return oursAt(t, network(t), "127.0.0.1", home, certs, more)
}

// oursAt is ours in a network, at an address of it.
func oursAt(t *testing.T, netns, host, home string, certs *testkit.Certs, more string) *under {
	t.Helper()
	u := &under{name: "Sallyport", netns: netns, user: ourUser, password: ourPassword, certs: certs, lists: "MLSD"}
	dir, err := os.MkdirTemp("", "ours-") //nolint:usetesting // where place says, in memory, whatever was made before
	if err != nil {
		t.Fatal(err)
	}
	if certs != nil {
		more += fmt.Sprintf("    tls: {certificate: 'file:%s', key: 'file:%s'}\n", certs.CertFile, certs.KeyFile)
	}
	doc := fmt.Sprintf(`state: %s/state
accounts:
  - {name: %s, password: {hash: "%s"}}
sites:
  - name: bench
    path: %s
    listen: %s:%d
    passive: {ports: %d-%d}
%s`, dir, u.user, ourHash, home, host, controlPort, passiveMin, passiveMax, more)
	file := filepath.Join(dir, "sallyport.yaml")
	if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("ip", "netns", "exec", u.netns, testkit.Binary(t), "run", "-c", file)
	cmd.Stderr, cmd.Stdout = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	pinned(t, []int{serverCore}, func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	u.pid = cmd.Process.Pid // ip becomes what it starts
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended, which the next line says
		if err := cmd.Wait(); err != nil || t.Failed() {
			text, rerr := os.ReadFile(log.Name())
			t.Logf("the program ended: %v, %v\n%s", err, rerr, text[max(0, len(text)-4096):])
		}
	})
	if err := waitFor(20*time.Second, func() bool { return listens(u.pid) }); err != nil {
		text, _ := os.ReadFile(log.Name()) // for the message alone
		t.Fatalf("the program does not listen: %v\n%s", err, text)
	}
	return u
}

// waitFor polls until ready.
func waitFor(patience time.Duration, ready func() bool) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-deadline.C:
			return errors.New("waited in vain")
		case <-tick.C:
		}
	}
	return nil
}

// listens reports whether something listens at the control port in pid's network.
func listens(pid int) bool {
	f, err := os.Open(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		return false
	}
	defer f.Close()
	want := fmt.Sprintf(":%04X", controlPort)
	for s := bufio.NewScanner(f); s.Scan(); {
		w := strings.Fields(s.Text()) // sl local_address rem_address st; 0A is TCP_LISTEN
		if len(w) > 3 && w[3] == "0A" && strings.HasSuffix(w[1], want) {
			return true
		}
	}
	return false
}

// reading is what one run of the meter gave.
type reading struct {
	metered
	cpu time.Duration // of the server
}

// meterOn runs one job of the meter against u.
func meterOn(t *testing.T, u *under, at placement, job meterJob) reading {
	t.Helper()
	m := startMeter(t, u, at, job)
	defer m.end(t)
	before := cpu(t, u.pid)
	var r reading
	m.measure(t, &r.metered)
	r.cpu = cpu(t, u.pid) - before
	return r
}

func startMeter(t *testing.T, u *under, at placement, job meterJob) *running {
	t.Helper()
	job.Port, job.User, job.Password = controlPort, u.user, u.password
	if u.certs != nil {
		pem, err := os.ReadFile(u.certs.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		job.CA = string(pem)
	}
	return startProgram(t, "meter", u.netns, []int{at.meter}, job)
}
