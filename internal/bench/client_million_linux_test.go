package bench_test

import (
	"fmt"
	"os"

	"sallyport.dev/internal/ftp/ftptest"
	"sallyport.dev/internal/testkit"
)

// million has our client list so many entries, which a server makes up as it sends
// them, and looks at the memory that it takes.
func (b *clientBench) million() {
	b.t.Helper()
	n := size(1_000_000, 5000)
	for _, verb := range []string{"MLSD", "LIST"} {
		q := ftptest.Quirks{Lines: func(yield func(string) bool) {
			line := "type=file;size=%d;modify=20240229123456;UNIX.mode=0644; interface-%07d.xml"
			if verb == "LIST" {
				line = "-rw-r--r--   1 svc-erp  interfaces %10d Feb 29  2024 interface-%07d.xml"
			}
			for i := range n {
				if !yield(fmt.Sprintf(line, i, i)) {
					return
				}
			}
		}}
		if verb == "LIST" {
			q.Features = []string{"SIZE"}
		}
		a := &ftptest.Awkward{Quirks: q}
		r := startProgram(b.t, "client", "", []int{clientCore}, clientJob{Addr: a.Start(b.t), User: "me", Password: "x", Do: "list", Count: n})
		rest := resident(b.t, r.cmd.Process.Pid)
		// The peak so far, of the program's start, is no matter here (proc(5)).
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", r.cmd.Process.Pid), []byte("5"), 0); err != nil {
			b.t.Fatal(err)
		}
		var took clientTook
		r.measure(b.t, &took)
		above := float64(testkit.PeakRSS(b.t, r.cmd.Process.Pid)-rest) / (1 << 20)
		r.end(b.t)
		b.res.judge(above <= 64, "≤ 64 MiB", fmt.Sprintf("%s of %d entries, MiB above rest", verb, n), fmt.Sprintf("%.1f", above), "–", "–", "–")
	}
}
