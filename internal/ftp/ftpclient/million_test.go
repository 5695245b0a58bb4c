package ftpclient_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/testkit"
)

// TestMillion lists a million entries in bounded memory, by MLSD and by LIST, whose
// server zone is learnt on the way.
func TestMillion(t *testing.T) {
	testkit.NoLeaks(t)
	const n, bound = 1_000_000, 64 << 20
	for name, q := range map[string]ftptest.Quirks{
		"MLSD": {Lines: manyLines(n, func(i int) string {
			return fmt.Sprintf("type=file;size=%d;modify=20240229123456;UNIX.mode=0644; interface-%07d.xml", i, i)
		})},
		"LIST": {
			Features: []string{"SIZE", "MDTM"}, System: "UNIX Type: L8", Times: map[string]string{"interface-0000000.xml": "20230528091500"},
			Lines: manyLines(n, func(i int) string {
				return fmt.Sprintf("-rw-r--r--   1 svc-erp  interfaces %10d 2023-05-28 11:15 interface-%07d.xml", i, i)
			}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := &ftptest.Awkward{Quirks: q}
			c := dial(t, ftpclient.Config{Addr: a.Start(t), User: "me", Password: secret.New("x")})
			rest := inUse(true)
			var most uint64
			count, began := 0, time.Now()
			for e, err := range c.List(t.Context(), "") {
				if err != nil {
					t.Fatal(err)
				}
				if e.Size != int64(count) || e.Time.IsZero() {
					t.Fatalf("entry %d is %+v", count, e)
				}
				if count++; count%20_000 == 0 {
					most = max(most, inUse(false))
				}
			}
			took := time.Since(began)
			if count != n {
				t.Errorf("got %d entries, want %d", count, n)
			}
			above := max(int64(most)-int64(rest), 0)
			if above > bound {
				t.Errorf("%d MiB above rest, want at most %d", above>>20, bound>>20)
			}
			t.Logf("%d entries by %s in %v, at most %.1f MiB above rest", count, name, took.Round(time.Millisecond), float64(above)/(1<<20))
			if zone, known := c.Zone(); name == "LIST" && (!known || zone.String() != "" && zone == time.UTC) {
				t.Errorf("zone %v, known %v", zone, known)
			}
		})
	}
}

// inUse is what the program holds of the system's memory for heap and stacks.
func inUse(collect bool) uint64 {
	if collect {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
