package bench_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport.dev/internal/testkit"
)

// The two ends of a long link.
const (
	nearAddr, farAddr = "10.199.0.1", "10.199.0.2"
	roundTrip         = 50 * time.Millisecond
)

// longLink joins two networks by a link of 50 ms, until the test ends.
func longLink(t *testing.T) (near, far string) {
	t.Helper()
	rig := filepath.Join(testkit.ModuleRoot(t), "../shared/rigs/delaynet")
	_, err := os.Stat(rig)
	testkit.Need(t, err == nil, "a link with a delay", "it is a program of its own, beside the checkout")
	near, far = network(t), network(t)
	bin := filepath.Join(t.TempDir(), "delaynet")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Dir = rig
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the link: %v: %s", err, out)
	}
	ctx, cancel := context.WithCancel(context.Background()) // that of the test ends before its clean-ups
	cmd := exec.CommandContext(ctx, bin, "-a", near, "-b", far,
		"-addr-a", nearAddr+"/24", "-addr-b", farAddr+"/24", "-rtt", roundTrip.String())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || strings.TrimSpace(line) != "ready" {
		t.Fatalf("the link said %q, %v", line, err)
	}
	return near, far
}

// many makes a contestant of our client: the small files of folder far.
func (b *clientBench) many(near string, s *testkit.FTPServer, conns int, active bool) func() figures {
	return func() figures {
		if err := os.Mkdir(filepath.Join(b.out, "far"), 0o755); err != nil {
			b.t.Fatal(err)
		}
		f := b.ours(near, s, clientJob{Do: "many", Name: "far/f", Count: farFiles(), Conns: conns, Active: active, Local: b.out})
		b.arrived("ours", farFiles())
		return f
	}
}

// mirror makes a contestant of lftp: the same, with commands sent ahead.
func (b *clientBench) mirror(near string, s *testkit.FTPServer, conns int, more ...string) func() figures {
	return func() figures {
		f := b.lftp(near, s, append(append([]string{"set ftp:sync-mode off"}, more...), fmt.Sprintf("mirror -P %d far .", conns))...)
		b.arrived("lftp", farFiles())
		return f
	}
}

// farFiles is how many small files go over the long link.
func farFiles() int { return size(500, 10) }

// far is 500 files of 4 KiB over a link of 50 ms and one connection. vsftpd waits for
// the client's system to acknowledge the end of a file before it says 226, so that a
// file in passive mode takes it 3 round trips at least, and 2 in active mode; our
// site does not wait.
func (b *clientBench) far() {
	b.t.Helper()
	near, far := longLink(b.t)
	s := b.server(far, farAddr, nil)
	for _, mode := range []string{"passive", "active"} {
		seconds, _ := b.contest(everybody, map[string]func() figures{
			"Sallyport": b.many(near, s, 1, mode == "active"),
			"lftp":      b.mirror(near, s, 1, "set ftp:passive-mode "+map[string]string{"passive": "on", "active": "off"}[mode]),
		})
		b.res.add(b.farCells("vsftpd, "+mode, seconds)...)
	}
	near, far = longLink(b.t)
	u := oursAt(b.t, far, farAddr, b.home, nil, syncNever)
	s = &testkit.FTPServer{Addr: fmt.Sprintf("%s:%d", farAddr, controlPort), Host: farAddr, Port: controlPort, User: u.user, Password: u.password}
	seconds, _ := b.contest(everybody, map[string]func() figures{
		"Sallyport": b.many(near, s, 1, false), "lftp": b.mirror(near, s, 1),
	})
	b.res.judge(seconds["lftp"] >= 1.5*seconds["Sallyport"], "at least 1.5 × lftp", b.farCells("our site, passive", seconds)...)
}

// farCells are the cells of a row of one connection.
func (b *clientBench) farCells(how string, seconds map[string]float64) []string {
	rate := perSecond(float64(farFiles()), seconds)
	return cells(fmt.Sprintf("%d files of 4 KiB, 50 ms, one connection, %s: files/s", farFiles(), how), "%.1f", rate)
}

// wide is the same over 32 connections.
func (b *clientBench) wide() {
	b.t.Helper()
	near, far := longLink(b.t)
	s := b.server(far, farAddr, nil)
	seconds, _ := b.contest(everybody, map[string]func() figures{
		"Sallyport": b.many(near, s, 32, false), "lftp": b.mirror(near, s, 32),
		"rclone": func() figures { f := b.rclone(near, s, "far", 32); b.arrived("rclone", farFiles()); return f },
	})
	rate := perSecond(float64(farFiles()), seconds)
	b.res.judge(rate["Sallyport"] >= max(rate["lftp"], rate["rclone"]), "at least lftp and rclone",
		cells(fmt.Sprintf("%d files of 4 KiB, 50 ms, 32 connections, vsftpd: files/s", farFiles()), "%.0f", rate)...)
}

// segments is one file over a link of 50 ms, in one part and in eight.
func (b *clientBench) segments() {
	b.t.Helper()
	near, far := longLink(b.t)
	s := b.server(far, farAddr, nil)
	bytes := size(1<<30, int64(4<<20))
	local := filepath.Join(b.out, "wide")
	of := func(do string, conns int) func() figures {
		return func() figures {
			f := b.ours(near, s, clientJob{Do: do, Name: "wide", Conns: conns, Local: local})
			b.holds(local, bytes)
			return f
		}
	}
	seconds, _ := b.contest([]string{"one", "eight", "lftp"}, map[string]func() figures{
		"one": of("down", 1), "eight": of("segments", 8),
		"lftp": func() figures { f := b.lftp(near, s, "pget -n 8 wide -o wide"); b.holds(local, bytes); return f },
	})
	rate := perSecond(float64(bytes)/1e6, seconds)
	b.res.add(cells("one file of 1 GiB, 50 ms, one connection: MB/s", "%.0f", map[string]float64{"Sallyport": rate["one"]})...)
	b.res.judge(rate["eight"] >= 5*rate["one"], "at least 5 × one connection",
		cells("the same in 8 segments: MB/s", "%.0f", map[string]float64{"Sallyport": rate["eight"], "lftp": rate["lftp"]})...)
}

// holds holds that a file has that size.
func (b *clientBench) holds(path string, n int64) {
	b.t.Helper()
	if info, err := os.Stat(path); err != nil || info.Size() != n {
		b.t.Fatalf("%s: %v, %v; want %d bytes", path, info, err, n)
	}
}

// bulk is one large file each way on a loopback, plain and with TLS, beside curl.
func (b *clientBench) bulk() {
	b.t.Helper()
	bytes := size(2<<30, int64(4<<20))
	certs := testkit.NewCerts(b.t, "127.0.0.1", "localhost")
	for _, how := range []struct {
		name  string
		certs *testkit.Certs
	}{{"plain", nil}, {"TLS", certs}} {
		netns := network(b.t)
		s := b.server(netns, "", how.certs)
		for _, way := range []string{"down", "up"} {
			b.large(netns, s, how.name, way, bytes)
		}
	}
}

func (b *clientBench) large(netns string, s *testkit.FTPServer, how, way string, bytes int64) {
	b.t.Helper()
	url := "ftp://" + s.Addr + "/"
	args := []string{"-sS", "-u", s.User + ":" + s.Password}
	if s.Certs != nil {
		args = append(args, "--ssl-reqd", "--cacert", s.Certs.CAFile)
	}
	local, came := filepath.Join(b.out, "big"), filepath.Join(b.out, "big")
	name := "big"
	if way == "up" {
		name, local, came = "up", filepath.Join(b.home, "big"), filepath.Join(b.home, "up")
		args = append(args, "-T", local, url+"up")
	} else {
		args = append(args, "-o", local, url+"big")
	}
	run := func(f func() figures) func() figures {
		return func() figures {
			if way == "up" {
				if err := os.Remove(came); err != nil && !os.IsNotExist(err) {
					b.t.Fatal(err)
				}
			}
			got := f()
			b.holds(came, bytes)
			return got
		}
	}
	seconds, cpu := b.contest(everybody, map[string]func() figures{
		"Sallyport": run(func() figures { return b.ours(netns, s, clientJob{Do: way, Name: name, Local: local}) }),
		"curl":      run(func() figures { return b.theirs(netns, "curl", args...) }),
	})
	if way == "up" {
		if err := os.Remove(came); err != nil {
			b.t.Fatal(err)
		}
	}
	b.fresh()
	rate := perSecond(float64(bytes)/1e9, seconds)
	b.res.judge(rate["Sallyport"] >= rate["curl"], "at least curl", cells(fmt.Sprintf("2 GiB %s, %s, loopback: GB/s", way, how), "%.2f", rate)...)
	perGiB := map[string]float64{}
	for who, s := range cpu {
		perGiB[who] = s / (float64(bytes) / (1 << 30))
	}
	b.res.judge(perGiB["Sallyport"] <= perGiB["curl"], "at most curl", cells(fmt.Sprintf("2 GiB %s, %s: CPU s/GiB of the client", way, how), "%.2f", perGiB)...)
}
