//go:build linux

package torture_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport.dev/internal/testkit"
)

// patience bounds every wait for something that the program is to do, on a machine
// with much else to do.
const patience = 90 * time.Second

// rig is a flow between two folders, and the state folder of the program that
// carries its files.
type rig struct {
	t          testing.TB
	p          *plan
	shipped    string // the program as it is shipped
	state, doc string
	stage      string // where files are made before they appear at the source
	src, dst   string // the two folders, as this process sees them

	sum     map[string]sample // every file put into the source so far
	said    strings.Builder   // what the program said, life by life
	rewrote bool              // a life ended just when its journal had rewritten a file
}

// places say where a rig's folders are.
type places struct {
	state    string             // a folder for the state
	local    string             // a folder for local sources and sinks
	password string             // a file with the FTP account's password
	ftp      *testkit.FTPServer // nil if nobody needs it
}

// newRig makes the folders and the document of a plan.
func newRig(t testing.TB, p *plan, at places) *rig {
	t.Helper()
	r := &rig{t: t, p: p, shipped: testkit.Binary(t), sum: map[string]sample{}}
	r.state = filepath.Join(at.state, "state")
	r.doc = filepath.Join(t.TempDir(), "sallyport.yaml")
	own := fmt.Sprintf("run%d", p.seed)
	ends := map[string]string{}
	for _, x := range []struct {
		kind, name string
		dir        *string
	}{{p.source, "src", &r.src}, {p.sink, "dst", &r.dst}} {
		if x.kind == "local" {
			*x.dir = filepath.Join(at.local, x.name)
			ends[x.name] = fmt.Sprintf("local: {path: %s}", *x.dir)
			r.mkdir(*x.dir)
			continue
		}
		*x.dir = filepath.Join(at.ftp.Home, own, x.name)
		ends[x.name] = fmt.Sprintf("ftp: {address: %q, user: %s, password: file:%s, security: none}", at.ftp.Addr, at.ftp.User, at.password)
		r.mkdir(*x.dir)
		r.own(at.ftp.Home, filepath.Dir(*x.dir), *x.dir)
	}
	r.stage = filepath.Join(filepath.Dir(r.src), "stage")
	r.mkdir(r.stage)
	directory, sinkDirectory := "", ""
	if p.source == "ftp" {
		directory = "\n      directory: " + own + "/src"
	}
	if p.sink == "ftp" {
		sinkDirectory = ", directory: " + own + "/dst"
	}
	after := p.after
	if after == "move" {
		after = `{move: "archive/${file.name}"}`
	}
	sink := strings.TrimSuffix(ends["dst"], "}") + sinkDirectory + ", existing: fail}"
	text := fmt.Sprintf(`state: %s
journal: {min_free: 4} # the disks of power cuts are small
flows:
  - name: torture
    concurrency: %d
    retry: {first: 100ms, max: 1s}
    source:
      %s%s
      every: %v
      ready: {when: always}
      after: %s
    sinks:
      - %s
`, r.state, p.concurrency, ends["src"], directory, p.every, after, sink)
	if err := os.WriteFile(r.doc, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) mkdir(dir string) {
	r.t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// own gives what is at paths to the owner of like.
func (r *rig) own(like string, paths ...string) {
	r.t.Helper()
	info, err := os.Stat(like)
	if err != nil {
		r.t.Fatal(err)
	}
	st, _ := info.Sys().(*syscall.Stat_t) // Linux has no other
	for _, p := range paths {
		if err := os.Lchown(p, int(st.Uid), int(st.Gid)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// put lets files appear at the source, each whole from the first moment.
func (r *rig) put(files []sample) {
	r.t.Helper()
	for _, s := range files {
		r.sum[s.name] = s
		tmp := filepath.Join(r.stage, s.name)
		if err := os.WriteFile(tmp, s.data, 0o644); err != nil {
			r.t.Fatal(err)
		}
		r.own(r.src, tmp)
		if err := os.Rename(tmp, filepath.Join(r.src, s.name)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// ask runs a command of the shipped program against the running one. Until that
// listens, or when it is just being killed, the command fails.
func (r *rig) ask(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args = append(args, "--state", r.state)
	out, err := exec.CommandContext(ctx, r.shipped, args...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("sallyport %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}

// transfer is what `sallyport transfer list --json` prints of one.
type transfer struct {
	ID, File, State, Outcome string
	Log                      []struct{ Error string }
}

// transfers asks the running program for the transfers that its journal holds.
func (r *rig) transfers(past bool) ([]transfer, error) {
	args := []string{"transfer", "list", "--json"}
	if past {
		args = append(args, "--past")
	}
	text, err := r.ask(args...)
	if err != nil {
		return nil, err
	}
	var all []transfer
	for d := json.NewDecoder(strings.NewReader(text)); d.More(); {
		var t transfer
		if err := d.Decode(&t); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// poll has the running program look at its source, and fails the test unless it
// finds nothing new there.
func (r *rig) poll() {
	r.t.Helper()
	var text string
	r.until("the program polls", func() (ok bool, err error) {
		text, err = r.ask("flow", "run", "torture")
		return err == nil, err
	})
	if !strings.Contains(text, " 0 are new,") {
		r.t.Errorf("everything was carried, and a poll says %q", text)
	}
}

// until asks until ok, and gives up after patience.
func (r *rig) until(what string, ok func() (bool, error)) {
	r.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := ok()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			r.t.Errorf("%s: not in %v: %v", what, patience, err)
			return
		}
	}
}

// settled reports whether a life has done all that it had to: every file is at the
// sink, none that is to leave is at the source, and no transfer is open. Once there
// is a dead letter the source is never empty; the audit says what it is about.
func (l *life) settled() (bool, error) {
	r := l.r
	dead := l.says("transfer is a dead letter")
	names, err := files(r.dst)
	if err != nil || len(names) < len(r.sum) {
		return false, fmt.Errorf("%d of %d files at the sink, %v", len(names), len(r.sum), err)
	}
	names, err = files(r.src)
	if err != nil || r.p.after != "keep" && len(names) > 0 && !dead {
		return false, fmt.Errorf("left at the source: %q, %v", names, err)
	}
	all, err := r.transfers(false)
	if err != nil {
		return false, err
	}
	for _, t := range all {
		if t.State != "done" && t.State != "failed" {
			return false, fmt.Errorf("transfer of %q is %s", t.File, t.State)
		}
	}
	return true, nil
}

// files lists the names of the files in a folder.
func files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nobody has made it yet
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}
