package bench_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sallyport.dev/internal/testkit"
)

// siteBench is what the rows of the site's table are measured with.
type siteBench struct {
	t       *testing.T
	res     *results
	home    string   // that every server serves
	secured []*under // the same with TLS
	cleared []*under // plain
}

// size is n in a full measurement and small else.
func size[T int | int64](n, small T) T {
	if *full {
		return n
	}
	return small
}

// TestSite measures our server beside others: every row of the site's table.
func TestSite(t *testing.T) {
	testkit.NeedRoot(t)
	testkit.Need(t, runtime.NumCPU() > 1, "two cores", "measure on a machine that has them")
	dir := place(t)
	b := &siteBench{t: t, home: filepath.Join(dir, "home")}
	b.res = &results{name: "site", columns: []string{"work", "placement", "Sallyport", "vsftpd", "Pure-FTPd", "ProFTPD"}}
	if err := os.MkdirAll(filepath.Join(b.home, "up"), 0o755); err != nil {
		t.Fatal(err)
	}
	certs := testkit.NewCerts(t)
	b.cleared = append([]*under{ours(t, b.home, nil, syncNever)}, peers(t, b.home, nil)...)
	b.secured = append([]*under{ours(t, b.home, certs, syncNever)}, peers(t, b.home, certs)...)
	b.makeFiles()
	for _, group := range []struct {
		name    string
		measure func()
	}{
		{"plain", func() { b.bulk("plain", b.cleared, size(1<<30, int64(8<<20))) }},
		{"tls", func() { b.bulk("TLS 1.3", b.secured, size(512<<20, int64(8<<20))) }},
		{"one", func() { b.small(oneCore) }},
		{"two", func() { b.small(twoCores) }},
		{"worn", b.worn},
		{"listings", b.listings},
		{"million", b.million},
		{"idle", b.idle},
		{"synced", b.synced},
	} {
		if wanted(group.name) {
			group.measure()
		}
	}
	b.res.finish(t)
}

// syncNever asks for what the others do: none of them waits for the disk.
const syncNever = "    uploads: {sync: never}\n"

// makeFiles makes what is downloaded, and gives the folder for uploads to everybody.
func (b *siteBench) makeFiles() {
	b.t.Helper()
	kib := []byte(strings.Repeat("0123456789abcdef", 64))
	for i := range b.count() {
		b.write("small-"+strconv.Itoa(i), kib)
	}
	b.write("small", kib)
	f, err := os.Create(filepath.Join(b.home, "big"))
	if err != nil {
		b.t.Fatal(err)
	}
	mib := []byte(strings.Repeat("0123456789abcdef", 64<<10))
	for range size(1<<30, int64(8<<20)) / int64(len(mib)) {
		if _, err := f.Write(mib); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		b.t.Fatal(err)
	}
	for _, dir := range []string{b.home, filepath.Join(b.home, "up")} {
		if err := os.Chmod(dir, 0o777); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *siteBench) write(name string, content []byte) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.home, name), content, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// clearUploads takes away what came in, so that the next server makes it anew.
func (b *siteBench) clearUploads() {
	b.t.Helper()
	dir := filepath.Join(b.home, "up")
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			b.t.Fatal(err)
		}
	}
}

// count is how many small files move.
func (b *siteBench) count() int { return size(2000, 20) }

// rounds measures every server once a round, and returns the figures of each by the
// names that run gives them.
func (b *siteBench) rounds(servers []*under, run func(u *under) map[string]float64) map[string]map[string][]float64 {
	b.t.Helper()
	all := map[string]map[string][]float64{}
	for range times() {
		for _, u := range servers {
			for name, figure := range run(u) {
				if all[name] == nil {
					all[name] = map[string][]float64{}
				}
				all[name][u.name] = append(all[name][u.name], figure)
			}
		}
	}
	return all
}

// cells writes the medians, those of others with what they are of ours.
func (b *siteBench) cells(work string, at placement, format string, by map[string][]float64) []string {
	cells := []string{work, at.name}
	for _, name := range b.res.columns[2:] {
		if len(by[name]) == 0 {
			cells = append(cells, "–")
			continue
		}
		text := fmt.Sprintf(format, median(by[name]))
		if name != "Sallyport" {
			text += fmt.Sprintf(" (ours %.2f×)", median(by["Sallyport"])/median(by[name]))
		}
		cells = append(cells, text)
	}
	return cells
}

// against is our median in units of that of another.
func against(by map[string][]float64, other string) float64 {
	return median(by["Sallyport"]) / median(by[other])
}

// bulk moves one big file down and up.
func (b *siteBench) bulk(how string, servers []*under, n int64) {
	big := filepath.Join(b.home, "big")
	if err := os.Truncate(big, n); err != nil {
		b.t.Fatal(err)
	}
	figures := func(job meterJob) map[string]map[string][]float64 {
		return b.rounds(servers, func(u *under) map[string]float64 {
			r := meterOn(b.t, u, twoCores, job)
			b.clearUploads()
			if r.Bytes != n {
				b.t.Fatalf("%s: %s moved %d bytes, want %d", u.name, job.Verb, r.Bytes, n)
			}
			return map[string]float64{"GB/s": float64(n) / 1e9 / r.Seconds, "CPU": r.cpu.Seconds() / (float64(n) / (1 << 30))}
		})
	}
	down := figures(meterJob{Verb: "RETR", Name: "big"})
	up := figures(meterJob{Verb: "STOR", Name: "up/big", Local: big})
	rate, spent := how+" %s, GB/s", how+" %s, CPU s/GiB of the server"
	b.least(fmt.Sprintf(rate, "download"), twoCores, "%.2f", down["GB/s"], map[string]float64{"plain": 0.95, "TLS 1.3": 1.3}[how])
	b.least(fmt.Sprintf(rate, "upload"), twoCores, "%.2f", up["GB/s"], map[string]float64{"plain": 0.95, "TLS 1.3": 3}[how])
	if how == "plain" {
		b.most(fmt.Sprintf(spent, "download"), twoCores, "%.2f", down["CPU"], 1.15)
		b.most(fmt.Sprintf(spent, "upload"), twoCores, "%.2f", up["CPU"], 0.85)
		return
	}
	b.res.add(b.cells(fmt.Sprintf(spent, "download"), twoCores, "%.2f", down["CPU"])...)
	b.res.add(b.cells(fmt.Sprintf(spent, "upload"), twoCores, "%.2f", up["CPU"])...)
}

// least and most hold a figure to so many times that of vsftpd.
func (b *siteBench) least(work string, at placement, format string, by map[string][]float64, times float64) {
	b.res.judge(against(by, "vsftpd") >= times, fmt.Sprintf("≥ %.2f× vsftpd", times), b.cells(work, at, format, by)...)
}

func (b *siteBench) most(work string, at placement, format string, by map[string][]float64, times float64) {
	b.res.judge(against(by, "vsftpd") <= times, fmt.Sprintf("≤ %.2f× vsftpd", times), b.cells(work, at, format, by)...)
}

// small moves many small files over one control connection.
func (b *siteBench) small(at placement) {
	for _, dir := range []string{"down", "up"} {
		by := b.rounds(b.cleared, func(u *under) map[string]float64 { return b.smallOn(u, at, dir, b.count()) })
		work := fmt.Sprintf("%d files of 1 KiB %s, ", b.count(), dir)
		b.least(work+"files/s", at, "%.0f", by["files/s"], 1.3)
		b.res.add(b.cells(work+"CPU ms/file of the server", at, "%.3f", by["CPU"])...)
	}
}

func (b *siteBench) smallOn(u *under, at placement, dir string, count int) map[string]float64 {
	b.t.Helper()
	job := meterJob{Verb: "RETR", Name: "small-", Count: count}
	if dir == "up" {
		job = meterJob{Verb: "STOR", Name: "up/f", Count: count, Local: filepath.Join(b.home, "small")}
	}
	r := meterOn(b.t, u, at, job)
	b.clearUploads()
	if want := int64(count) << 10; r.Bytes != want {
		b.t.Fatalf("%s: %s moved %d bytes, want %d", u.name, job.Verb, r.Bytes, want)
	}
	return map[string]float64{"files/s": float64(count) / r.Seconds, "CPU": r.cpu.Seconds() * 1000 / float64(count)}
}

// worn compares a server that has just had many transfers, most of whose ports are in
// TIME_WAIT, with one that has not.
func (b *siteBench) worn() {
	old := ours(b.t, b.home, nil, syncNever)
	// Names are small-0 … : as many rounds as it takes.
	for range size(100_000, 100) / b.count() {
		b.smallOn(old, twoCores, "down", b.count())
	}
	by := map[string]map[string][]float64{"down": {}, "up": {}}
	waiting := timeWait(b.t, old)
	for range times() {
		fresh := ours(b.t, b.home, nil, syncNever)
		for _, dir := range []string{"down", "up"} {
			by[dir]["worn"] = append(by[dir]["worn"], b.smallOn(old, twoCores, dir, b.count())["files/s"])
			by[dir]["fresh"] = append(by[dir]["fresh"], b.smallOn(fresh, twoCores, dir, b.count())["files/s"])
		}
	}
	for _, dir := range []string{"down", "up"} {
		was, is := median(by[dir]["fresh"]), median(by[dir]["worn"])
		b.res.judge(is >= 0.9*was, "≥ 0.90× fresh", fmt.Sprintf("the same %s after %d transfers (%d ports in TIME_WAIT), files/s", dir, size(100_000, 100), waiting),
			twoCores.name, fmt.Sprintf("%.0f (fresh %.0f: %.2f×)", is, was, is/was), "–", "–", "–")
	}
}

// timeWait is how many connections of u's network are in TIME_WAIT.
func timeWait(t *testing.T, u *under) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/sockstat", u.pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), " tw ")
	var n int
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// entries fills a folder of the site with so many empty files.
func (b *siteBench) entries(name string, n int) {
	b.t.Helper()
	dir := filepath.Join(b.home, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	for i := range n {
		if err := syscall.Mknod(filepath.Join(dir, fmt.Sprintf("file-%07d.dat", i)), syscall.S_IFREG|0o644, 0); err != nil {
			b.t.Fatal(err)
		}
	}
}

// listings lists a large folder: we by MLSD and LIST, each other by its best.
func (b *siteBench) listings() {
	n := size(100_000, 1000)
	b.entries("many", n)
	by := map[string]map[string]map[string][]float64{}
	for _, verb := range []string{"MLSD", "LIST"} {
		by[verb] = b.rounds(b.cleared, func(u *under) map[string]float64 {
			if verb == "MLSD" && u.lists != "MLSD" {
				return nil
			}
			r := meterOn(b.t, u, twoCores, meterJob{Verb: verb, Name: "many"})
			if r.Lines < n {
				b.t.Fatalf("%s: %s had %d lines, want %d", u.name, verb, r.Lines, n)
			}
			return map[string]float64{"first": r.First * 1000, "all": r.Seconds * 1000, "CPU": r.cpu.Seconds() * 1000}
		})
	}
	limit := median(by["LIST"]["all"]["vsftpd"])
	for _, verb := range []string{"MLSD", "LIST"} {
		work := fmt.Sprintf("%s of %d entries, ", verb, n)
		first, all := by[verb]["first"], by[verb]["all"]
		b.res.judge(median(first["Sallyport"]) <= 10, "≤ 10 ms", b.cells(work+"ms to the first byte", twoCores, "%.1f", first)...)
		b.res.judge(median(all["Sallyport"]) <= limit, fmt.Sprintf("≤ vsftpd's LIST (%.0f)", limit), b.cells(work+"ms to the end", twoCores, "%.0f", all)...)
		b.res.add(b.cells(work+"CPU ms of the server", twoCores, "%.0f", by[verb]["CPU"])...)
	}
}

// million lists so many entries and looks at the memory that it takes.
func (b *siteBench) million() {
	n := size(1_000_000, 5000)
	b.entries("million", n)
	u := ours(b.t, b.home, nil, syncNever)
	for _, verb := range []string{"MLSD", "LIST"} {
		m := startMeter(b.t, u, twoCores, meterJob{Verb: verb, Name: "million"})
		rest := resident(b.t, u.pid)
		// The peak so far, that of hashing a password, is no matter here (proc(5)).
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", u.pid), []byte("5"), 0); err != nil {
			b.t.Fatal(err)
		}
		var r metered
		m.measure(b.t, &r)
		m.end(b.t)
		if r.Lines < n {
			b.t.Fatalf("%s had %d lines, want %d", verb, r.Lines, n)
		}
		above := float64(testkit.PeakRSS(b.t, u.pid)-rest) / (1 << 20)
		b.res.judge(above <= 64, "≤ 64 MiB", fmt.Sprintf("%s of %d entries, MiB above rest", verb, n), twoCores.name, fmt.Sprintf("%.1f", above), "–", "–", "–")
	}
}

// resident is how much memory the process pid has, in bytes.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var all, pages int64
	if _, err := fmt.Sscan(string(text), &all, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// idle holds many sessions that have logged in and do nothing, plain and with TLS.
func (b *siteBench) idle() {
	certs := testkit.NewCerts(b.t)
	for _, kind := range []struct {
		name  string
		certs *testkit.Certs
	}{{"plain", nil}, {"TLS 1.3", certs}} {
		n := size(10_000, 10)
		u := ours(b.t, b.home, kind.certs, syncNever)
		before := resident(b.t, u.pid)
		m := startMeter(b.t, u, twoCores, meterJob{Verb: "HOLD", Count: n})
		var r metered
		m.measure(b.t, &r)
		each := float64(resident(b.t, u.pid)-before) / 1024 / float64(n)
		m.end(b.t)
		work := fmt.Sprintf("idle session, %s, %d at once, KiB each", kind.name, n)
		cells := []string{work, twoCores.name, fmt.Sprintf("%.1f", each), "–", "–", "–"}
		if kind.certs == nil {
			b.res.judge(each <= 30, "≤ 30 KiB", cells...)
		} else {
			b.res.add(cells...)
		}
	}
}

// synced says what it costs to answer only when an upload is on the disk, as sites do
// that are not told otherwise: in memory, where it is system calls alone.
func (b *siteBench) synced() {
	servers := []*under{ours(b.t, b.home, nil, syncNever), ours(b.t, b.home, nil, "    uploads: {sync: always}\n")}
	servers[1].name = "always"
	by := b.rounds(servers, func(u *under) map[string]float64 { return b.smallOn(u, twoCores, "up", b.count()) })
	b.res.add(fmt.Sprintf("%d files of 1 KiB up with `sync: always`, files/s", b.count()), twoCores.name,
		fmt.Sprintf("%.0f (never: %.0f)", median(by["files/s"]["always"]), median(by["files/s"]["Sallyport"])), "–", "–", "–")
}
