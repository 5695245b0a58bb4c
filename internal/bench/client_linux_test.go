package bench_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport.dev/internal/testkit"
)

// clientCore is where clients run; the server has the other core.
const clientCore = 1

// clientBench is what the rows of the client's table are measured with.
type clientBench struct {
	t    *testing.T
	res  *results
	home string // that the servers serve
	out  string // where clients put what they get
	tool map[string]tool
}

// tool is a program of others.
type tool struct {
	path string
	env  []string
}

// TestClient measures our client beside others: every row of the client's table.
func TestClient(t *testing.T) {
	testkit.NeedRoot(t)
	testkit.Need(t, runtime.NumCPU() > 1, "two cores", "measure on a machine that has them")
	dir := place(t)
	b := &clientBench{t: t, home: filepath.Join(dir, "home"), out: filepath.Join(dir, "out"), tool: map[string]tool{}}
	b.res = &results{name: "client", columns: []string{"work", "Sallyport", "lftp", "curl", "rclone"}}
	for _, name := range []string{"lftp", "curl", "rclone"} {
		path, env := testkit.Tool(t, name)
		b.tool[name] = tool{path, append(env, "RCLONE_CONFIG="+filepath.Join(dir, "none"), "HOME="+dir)}
	}
	b.makeFiles()
	for _, group := range []struct {
		name    string
		measure func()
	}{{"small", b.small}, {"far", b.far}, {"wide", b.wide}, {"bulk", b.bulk}, {"segments", b.segments}, {"million", b.million}} {
		if wanted(group.name) {
			t.Run(group.name, func(t *testing.T) { b.t = t; group.measure() }) // its servers end with it
			b.t = t
		}
	}
	b.res.finish(t)
}

func (b *clientBench) count() int { return size(2000, 40) }

// makeFiles makes what is fetched: small files in a folder each work, and large ones.
func (b *clientBench) makeFiles() {
	b.t.Helper()
	content := []byte(strings.Repeat("0123456789abcdef", 256))
	for dir, n := range map[string]int{"near": b.count(), "far": farFiles()} {
		if err := os.MkdirAll(filepath.Join(b.home, dir), 0o755); err != nil {
			b.t.Fatal(err)
		}
		for i := range n {
			if err := os.WriteFile(filepath.Join(b.home, dir, "f"+strconv.Itoa(i)), content, 0o644); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	for name, n := range map[string]int64{"big": size(2<<30, int64(4<<20)), "wide": size(1<<30, int64(4<<20))} {
		f, err := os.Create(filepath.Join(b.home, name))
		if err != nil {
			b.t.Fatal(err)
		}
		mib := []byte(strings.Repeat("0123456789abcdef", 64<<10))
		for range n >> 20 {
			if _, err := f.Write(mib); err != nil {
				b.t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := os.Chmod(b.home, 0o777); err != nil { //nolint:gosec // of the servers' users
		b.t.Fatal(err)
	}
}

// server starts vsftpd in a network, plain or with TLS as it comes: session reuse
// required.
func (b *clientBench) server(netns, host string, certs *testkit.Certs) *testkit.FTPServer {
	opts := testkit.ServerOptions{
		Port: controlPort, PassiveMin: passiveMin, PassiveMax: passiveMax, Home: b.home, Netns: netns, Host: host,
		Extra: map[string]string{"xferlog_enable": "NO"},
	}
	if certs != nil {
		opts.TLS = &testkit.ServerTLS{Certs: certs}
	}
	var s *testkit.FTPServer
	pinned(b.t, []int{serverCore}, func() { s = testkit.Vsftpd(b.t, opts) })
	return s
}

// figures are what one run took.
type figures struct{ seconds, cpu float64 }

// fresh empties the folder that clients put files in.
func (b *clientBench) fresh() {
	b.t.Helper()
	if err := os.RemoveAll(b.out); err != nil {
		b.t.Fatal(err)
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		b.t.Fatal(err)
	}
}

// arrived holds that n files of 4 KiB have come, wherever a client puts them.
func (b *clientBench) arrived(who string, n int) {
	b.t.Helper()
	got := 0
	err := filepath.WalkDir(b.out, func(_ string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Size() == 4096 {
			got++
		}
		return err
	})
	if err != nil || got != n {
		b.t.Fatalf("%s brought %d of %d files, %v", who, got, n, err)
	}
}

// ours runs our client once.
func (b *clientBench) ours(netns string, s *testkit.FTPServer, job clientJob) figures {
	b.t.Helper()
	job.Addr, job.User, job.Password = s.Addr, s.User, s.Password
	if s.Certs != nil {
		pem, err := os.ReadFile(s.Certs.CAFile)
		if err != nil {
			b.t.Fatal(err)
		}
		job.CA = string(pem)
	}
	r := startProgram(b.t, "client", netns, []int{clientCore}, job)
	defer r.end(b.t)
	var took clientTook
	r.measure(b.t, &took)
	return figures{took.Seconds, took.CPU}
}

// theirs runs a program of others once.
func (b *clientBench) theirs(netns, name string, args ...string) figures {
	b.t.Helper()
	p := b.tool[name]
	cmd := exec.CommandContext(b.t.Context(), "ip", append([]string{"netns", "exec", netns, p.path}, args...)...)
	cmd.Env, cmd.Dir = p.env, b.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var text strings.Builder
	cmd.Stdout, cmd.Stderr = &text, &text
	var err error
	began := time.Now()
	pinned(b.t, []int{clientCore}, func() { err = cmd.Start() })
	if err == nil {
		err = cmd.Wait()
	}
	took := time.Since(began)
	if err != nil {
		b.t.Fatalf("%s: %v: %s", name, err, text.String()[:min(text.Len(), 2000)])
	}
	return figures{took.Seconds(), (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()}
}

// lftp makes lftp run commands, one after another.
func (b *clientBench) lftp(netns string, s *testkit.FTPServer, commands ...string) figures {
	b.t.Helper()
	script := fmt.Sprintf("set ssl:verify-certificate no; set net:max-retries 1; set xfer:log no; set mirror:set-permissions no; open -u %s,%s -p %d %s; %s; exit",
		s.User, s.Password, s.Port, s.Host, strings.Join(commands, "; "))
	return b.theirs(netns, "lftp", "--norc", "-c", script)
}

// curlMany makes curl fetch many files.
func (b *clientBench) curlMany(netns string, s *testkit.FTPServer, dir string, n, conns int) figures {
	b.t.Helper()
	var list strings.Builder
	for i := range n {
		fmt.Fprintf(&list, "url = \"ftp://%s/%s/f%d\"\noutput = \"f%d\"\n", s.Addr, dir, i, i)
	}
	file := filepath.Join(b.t.TempDir(), "list")
	if err := os.WriteFile(file, []byte(list.String()), 0o600); err != nil {
		b.t.Fatal(err)
	}
	args := []string{"-sS", "-u", s.User + ":" + s.Password, "-K", file}
	if conns > 1 {
		args = append(args, "--parallel", "--parallel-max", strconv.Itoa(conns))
	}
	return b.theirs(netns, "curl", args...)
}

// rclone makes rclone copy a folder.
func (b *clientBench) rclone(netns string, s *testkit.FTPServer, dir string, conns int) figures {
	b.t.Helper()
	obscured, err := exec.Command(b.tool["rclone"].path, "obscure", s.Password).Output()
	if err != nil {
		b.t.Fatal(err)
	}
	n := strconv.Itoa(conns)
	return b.theirs(netns, "rclone", "copy", "--transfers", n, "--checkers", n, "--retries", "1",
		"--ftp-host", s.Host, "--ftp-port", strconv.Itoa(s.Port), "--ftp-user", s.User, "--ftp-pass", strings.TrimSpace(string(obscured)),
		"--ftp-concurrency", "0", ":ftp:"+dir, b.out)
}

// contest measures each contestant once a round and returns the medians.
func (b *clientBench) contest(order []string, run map[string]func() figures) (seconds, cpu map[string]float64) {
	b.t.Helper()
	s, c := map[string][]float64{}, map[string][]float64{}
	for range times() {
		for _, name := range order {
			if run[name] == nil {
				continue
			}
			b.fresh()
			f := run[name]()
			s[name], c[name] = append(s[name], f.seconds), append(c[name], f.cpu)
		}
	}
	seconds, cpu = map[string]float64{}, map[string]float64{}
	for name := range s {
		seconds[name], cpu[name] = median(s[name]), median(c[name])
	}
	return seconds, cpu
}

// everybody is the order of the columns.
var everybody = []string{"Sallyport", "lftp", "curl", "rclone"}

// cells are figures in the order of the columns.
func cells(work, format string, by map[string]float64) []string {
	out := []string{work}
	for _, name := range everybody {
		if v, ok := by[name]; ok {
			out = append(out, fmt.Sprintf(format, v))
		} else {
			out = append(out, "–")
		}
	}
	return out
}

// perSecond turns seconds for n things into things a second.
func perSecond(n float64, seconds map[string]float64) map[string]float64 {
	out := map[string]float64{}
	for name, s := range seconds {
		out[name] = n / s
	}
	return out
}

// small is 2,000 files of 4 KiB on a loopback.
func (b *clientBench) small() {
	b.t.Helper()
	n := b.count()
	netns := network(b.t)
	s := b.server(netns, "", nil)
	for _, conns := range []int{1, 8} {
		check := func(who string, run func() figures) func() figures {
			return func() figures { f := run(); b.arrived(who, n); return f }
		}
		seconds, _ := b.contest(everybody, map[string]func() figures{
			"Sallyport": check("ours", func() figures {
				if err := os.Mkdir(filepath.Join(b.out, "near"), 0o755); err != nil {
					b.t.Fatal(err)
				}
				return b.ours(netns, s, clientJob{Do: "many", Name: "near/f", Count: n, Conns: conns, Local: b.out})
			}),
			"lftp":   check("lftp", func() figures { return b.lftp(netns, s, fmt.Sprintf("mirror -P %d near .", conns)) }),
			"curl":   check("curl", func() figures { return b.curlMany(netns, s, "near", n, conns) }),
			"rclone": check("rclone", func() figures { return b.rclone(netns, s, "near", conns) }),
		})
		rate := perSecond(float64(n), seconds)
		work := fmt.Sprintf("%d files of 4 KiB, loopback, %s: files/s", n, connections(conns))
		b.res.judge(rate["Sallyport"] >= rate["lftp"], "at least lftp", cells(work, "%.0f", rate)...)
	}
}

func connections(n int) string {
	if n == 1 {
		return "one connection"
	}
	return strconv.Itoa(n) + " connections"
}
