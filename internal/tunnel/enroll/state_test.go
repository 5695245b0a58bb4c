package enroll_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel/enroll"
)

// The test's own program plays the second process: it opens the authority of a
// folder and shows it a join's body, if there is one, when its input ends.
const (
	envDir  = "ENROLL_TEST_DIR"
	envBody = "ENROLL_TEST_BODY"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDir); dir != "" {
		os.Exit(otherProcess(dir, os.Getenv(envBody)))
	}
	os.Exit(m.Run())
}

func otherProcess(dir, body string) int {
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	a, err := enroll.OpenAuthority(dir, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer a.Close()
	if body == "" {
		fmt.Printf("%x\n", a.Pin())
		return 0
	}
	w := post(a, "192.0.2.1:1", body)
	fmt.Println(w.Code, w.Body)
	return 0
}

// race runs the program once for each environment, lets all go at once, and
// returns what they printed.
func race(t *testing.T, envs [][]string) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	type process struct {
		cmd  *exec.Cmd
		gate io.Closer
		out  *bufio.Reader
	}
	var all []process
	for _, env := range envs {
		cmd := exec.CommandContext(t.Context(), exe)
		cmd.Env = append(os.Environ(), env...)
		cmd.Stderr = os.Stderr
		gate, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, process{cmd, gate, bufio.NewReader(out)})
	}
	for i, p := range all {
		if line, err := p.out.ReadString('\n'); err != nil || line != "ready\n" {
			t.Fatalf("process %d: got %q, %v, want it ready", i, line, err)
		}
	}
	for _, p := range all {
		if err := p.gate.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var res []string
	for i, p := range all {
		b, err := io.ReadAll(p.out)
		if err = errors.Join(err, p.cmd.Wait()); err != nil {
			t.Errorf("process %d: %v: %s", i, err, b)
		}
		res = append(res, string(b))
	}
	return res
}

func TestProcessesMakeOneAuthority(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	var envs [][]string
	for range 4 {
		envs = append(envs, []string{envDir + "=" + dir})
	}
	pins := race(t, envs)
	want := fmt.Sprintf("%x\n", openAuthority(t, dir, nil).Pin())
	for _, got := range pins {
		if got != want {
			t.Errorf("a process got the authority %q, want %q", got, want)
		}
	}
	noLeftovers(t, dir)
}

func TestProcessesUseOneToken(t *testing.T) {
	dir := t.TempDir()
	a := openAuthority(t, dir, nil)
	tok := mustToken(t, a, "plant1")
	var envs [][]string
	for range 4 {
		body := joinBody(t, tok, newCSR(t, newP256(t), "x"))
		envs = append(envs, []string{envDir + "=" + dir, envBody + "=" + body})
	}
	won := 0
	for _, got := range race(t, envs) {
		switch {
		case strings.HasPrefix(got, "200 "):
			won++
		case !strings.HasPrefix(got, "403 ") || !strings.Contains(got, "was used already"):
			t.Errorf("got %q, want the token used already", got)
		}
	}
	list, err := a.Connectors()
	if err != nil {
		t.Fatal(err)
	}
	if won != 1 || len(list) != 1 {
		t.Errorf("%d joins won and %d connectors are known, want 1 of each", won, len(list))
	}
}

func TestGoroutinesMakeOneAuthority(t *testing.T) {
	dir := t.TempDir()
	const n = 8
	pins := make([][32]byte, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			a, err := enroll.OpenAuthority(dir, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer a.Close()
			pins[i] = a.Pin()
		})
	}
	wg.Wait()
	for _, p := range pins {
		if p != pins[0] {
			t.Errorf("got the pins %x, want one", pins)
		}
	}
	noLeftovers(t, dir)
}

func noLeftovers(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if strings.Contains(p, ".tmp-") {
			t.Errorf("left behind: %s", p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFileModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no file modes: the folder's access list guards the keys")
	}
	g := newGateway(t)
	dir := filepath.Join(t.TempDir(), "made", "here")
	state := filepath.Join(t.TempDir(), "gateway")
	openAuthority(t, state, nil)
	mustJoin(t, g, mustToken(t, g.Authority, "plant1"), dir)
	mustToken(t, g.Authority, "plant2")
	for _, root := range []string{state, dir, g.dir} {
		err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			fi, err := d.Info()
			if err != nil {
				return err
			}
			if p == g.dir {
				return nil // the test's own folder
			}
			if want := map[bool]os.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; fi.Mode().Perm() != want {
				t.Errorf("%s has mode %04o, want %04o", p, fi.Mode().Perm(), want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestKeyOpenToEverybody(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no file modes")
	}
	g := newGateway(t)
	dir := t.TempDir()
	mustJoin(t, g, mustToken(t, g.Authority, "plant1"), dir)
	ca, own := filepath.Join(g.dir, "ca", "ca.pem"), filepath.Join(dir, "connector.json")
	for _, p := range []string{ca, own} {
		if err := os.Chmod(p, 0o604); err != nil {
			t.Fatal(err)
		}
	}
	_, err := enroll.OpenAuthority(g.dir, nil)
	wantFault(t, err, fault.Denied, "is open to everybody (mode 0604)", "chmod 600 "+ca)
	_, err = enroll.OpenCredentials(dir)
	wantFault(t, err, fault.Denied, "is open to everybody (mode 0604)", "chmod 600 "+own)
}

// A crash may leave unfinished files of every sort. None of them may be taken
// for a finished one.
func TestLeftoversOfCrashes(t *testing.T) {
	g := newGateway(t)
	conDir := t.TempDir()
	mustJoin(t, g, mustToken(t, g.Authority, "plant1"), conDir)
	tok := mustToken(t, g.Authority, "plant2")
	long := time.Now().Add(-2 * time.Hour)
	for _, p := range []string{
		filepath.Join(g.dir, "ca.tmp-aaaaaaaa", "ca.pem"),
		filepath.Join(g.dir, "tokens", tok.ID+".json.tmp-aaaaaaaa"),
		filepath.Join(g.dir, "connectors", "aaaaaaaa.json.tmp-aaaaaaaa"),
		filepath.Join(g.dir, "connectors", "aaaaaaaa.revoked.tmp-aaaaaaaa"),
		filepath.Join(conDir, "connector.json.tmp-aaaaaaaa"),
		filepath.Join(conDir, "joining.json.tmp-aaaaaaaa"),
	} {
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(`{"version":1,"loc`), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, q := range []string{p, filepath.Dir(p)} {
			if err := os.Chtimes(q, long, long); err != nil {
				t.Fatal(err)
			}
		}
	}
	pin := g.Pin()
	if got := openAuthority(t, g.dir, nil).Pin(); got != pin {
		t.Errorf("got pin %x after the crash, want %x", got, pin)
	}
	c, err := enroll.OpenCredentials(conDir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := hello(t, g.net, c, gatewayAddr); err != nil {
		t.Error(err)
	}
	mustJoin(t, g, tok, t.TempDir())
	foreign := filepath.Join(g.dir, "spool.tmp-1") // another part's
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(foreign, long, long); err != nil {
		t.Fatal(err)
	}
	mustToken(t, g.Authority, "plant3") // sweeps
	if err := os.Remove(foreign); err != nil {
		t.Errorf("another part's file was swept: %v", err)
	}
	noLeftovers(t, g.dir)
}

func TestAuthorityFolderWithoutAuthority(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "ca.tmp-aaaaaaaa"), 0o700); err != nil {
		t.Fatal(err)
	}
	openAuthority(t, dir, nil)
}

func TestBrokenFiles(t *testing.T) {
	dir := t.TempDir()
	a := openAuthority(t, dir, nil)
	if err := os.WriteFile(filepath.Join(dir, "ca", "ca.pem"), []byte("half a fil"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := enroll.OpenAuthority(dir, nil)
	wantFault(t, err, fault.Invalid, "no private key", "every connector has to join anew")

	if err := os.WriteFile(filepath.Join(dir, "connectors", "aaaaaaaa.json"), []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Connectors(); fault.KindOf(err) != fault.Invalid && fault.KindOf(err) != fault.Internal {
		t.Errorf("got %v, want the broken file named", err)
	}
	con := t.TempDir()
	if err := os.WriteFile(filepath.Join(con, "connector.json"), []byte(`{"version":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = enroll.OpenCredentials(con)
	wantFault(t, err, fault.Invalid, "no private key", "join anew")
	_, err = enroll.OpenCredentials(t.TempDir())
	wantFault(t, err, fault.NotFound, "no connector has joined", "sallyport connector join TOKEN")
}

func TestEndedAuthority(t *testing.T) {
	dir := t.TempDir()
	openAuthority(t, dir, nil)
	_, err := enroll.OpenAuthority(dir, func() time.Time { return time.Now().AddDate(11, 0, 0) })
	wantFault(t, err, fault.Denied, "ended on", "check this machine's clock")
}

func TestSweep(t *testing.T) {
	g := newGateway(t)
	old := mustJoin(t, g, mustToken(t, g.Authority, "plant1"), t.TempDir()).Identity()
	if err := g.Revoke(old.ID); err != nil {
		t.Fatal(err)
	}
	mustToken(t, g.Authority, "plant2")
	count := func(pattern string) int {
		t.Helper()
		m, err := filepath.Glob(filepath.Join(g.dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		return len(m)
	}
	g.clock.advance(29 * 24 * time.Hour)
	mustToken(t, g.Authority, "plant3")
	if used, fresh, cons := count("tokens/*.used"), count("tokens/*.json"), count("connectors/*"); used != 1 || fresh != 2 || cons != 2 {
		t.Errorf("after 29 days: %d used and %d fresh tokens, %d connector files, want 1, 2 and 2", used, fresh, cons)
	}
	g.clock.advance(92 * 24 * time.Hour)
	mustToken(t, g.Authority, "plant4")
	if used, fresh, cons := count("tokens/*.used"), count("tokens/*.json"), count("connectors/*"); used != 0 || fresh != 1 || cons != 0 {
		t.Errorf("after 121 days: %d used and %d fresh tokens, %d connector files, want 0, 1 and 0", used, fresh, cons)
	}
}

// The CA's folder must not lead out of the state folder.
func TestStateFolderIsNotLeft(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("making links needs a privilege on Windows")
	}
	dir, outside := t.TempDir(), t.TempDir()
	openAuthority(t, outside, nil)
	if err := os.Symlink(filepath.Join(outside, "ca"), filepath.Join(dir, "ca")); err != nil {
		t.Fatal(err)
	}
	if a, err := enroll.OpenAuthority(dir, nil); err == nil {
		a.Close()
		t.Error("an authority outside the state folder was opened through a link")
	} else if errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want a refusal", err)
	}
}
