package ftpclient_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // for machines without zones

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
)

// onList serves a LIST and hands over what the client makes of it.
func onList(t *testing.T, q ftptest.Quirks, configure func(*ftpclient.Config), f func(t *testing.T, a *ftptest.Awkward, c *ftpclient.Conn)) {
	t.Helper()
	if q.Features == nil {
		q.Features = []string{"SIZE", "MDTM"}
	}
	a := &ftptest.Awkward{Quirks: q}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		if configure != nil {
			configure(&cfg)
		}
		dialIn(t, cfg, func(c *ftpclient.Conn) { f(t, a, c) })
	})
}

func entries(ctx context.Context, c *ftpclient.Conn, dir string) ([]ftp.Entry, error) {
	var all []ftp.Entry
	for e, err := range c.List(ctx, dir) {
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
	return all, nil
}

// TestLearnsZone has servers whose LIST tells local minutes. The bubble's clock stands
// at the first second of 2000.
func TestLearnsZone(t *testing.T) {
	const unix = "-rw-r--r-- 1 a b 12 Dec 30 %s newest\r\n-rw-r--r-- 1 a b 12 Dec 29 23:50 other\r\ndrwxr-xr-x 2 a b 12 Dec 31 09:00 dir\r\n-rw-r--r-- 1 a b 12 May 28  1998 old\r\n"
	for name, tt := range map[string]struct {
		clock string // of the newest file in LIST
		known bool
		want  time.Duration // local time before UTC
	}{
		"utc":               {"12:34", true, 0},
		"paris":             {"13:34", true, time.Hour},
		"kathmandu":         {"18:19", true, 5*time.Hour + 45*time.Minute},
		"los_angeles":       {"04:34", true, -8 * time.Hour},
		"rounds_up":         {"13:35", true, time.Hour},
		"changed_meanwhile": {"12:41", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			q := ftptest.Quirks{Listing: fmt.Sprintf(unix, tt.clock), Times: map[string]string{"/in/newest": "19991230123456"}}
			onList(t, q, nil, func(t *testing.T, a *ftptest.Awkward, c *ftpclient.Conn) {
				for round := range 3 {
					all, err := entries(t.Context(), c, "/in/")
					if err != nil || len(all) != 4 {
						t.Fatalf("%v, %v", all, err)
					}
					for i, want := range []time.Time{{}, time.Date(1999, 12, 29, 23, 50, 0, 0, time.UTC), time.Date(1999, 12, 31, 9, 0, 0, 0, time.UTC), time.Date(1998, 5, 28, 0, 0, 0, 0, time.UTC)} {
						if i > 0 && !all[i].Time.Equal(want.Add(-tt.want)) {
							t.Errorf("round %d: %s at %v, want %v", round, all[i].Name, all[i].Time, want.Add(-tt.want))
						}
					}
					if all[1].TimePrecision != time.Minute || all[3].TimePrecision != 24*time.Hour {
						t.Errorf("precision %v and %v", all[1].TimePrecision, all[3].TimePrecision)
					}
				}
				if zone, known := c.Zone(); known != tt.known {
					t.Errorf("zone %v, known %v", zone, known)
				}
				if n := countVerb(a, "MDTM"); n != 1 {
					t.Errorf("asked for %d times, want once", n)
				}
				<-time.After(61 * time.Minute)
				if _, err := entries(t.Context(), c, "/in/"); err != nil || countVerb(a, "MDTM") != 2 {
					t.Errorf("an hour later: asked %d times, %v: summer time may have begun", countVerb(a, "MDTM"), err)
				}
			})
		})
	}
}

func countVerb(a *ftptest.Awkward, verb string) int {
	n := 0
	for _, v := range a.Commands() {
		if v == verb {
			n++
		}
	}
	return n
}

// TestZoneConfigured asks nothing: the zone's rules give each date its own offset.
func TestZoneConfigured(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	q := ftptest.Quirks{Listing: "07-28-99  02:15PM  1 summer\r\n12-28-99  02:15PM  1 winter\r\n", System: "Windows_NT"}
	onList(t, q, func(cfg *ftpclient.Config) { cfg.Location = paris }, func(t *testing.T, a *ftptest.Awkward, c *ftpclient.Conn) {
		all, err := entries(t.Context(), c, "")
		if err != nil || len(all) != 2 || all[0].Time.UTC().Hour() != 12 || all[1].Time.UTC().Hour() != 13 {
			t.Errorf("got %v, %v", all, err)
		}
		if countVerb(a, "MDTM") != 0 {
			t.Error("asked for a time although the zone is configured")
		}
	})
}

// TestLearnsOrder has a server whose dates could be three days each.
func TestLearnsOrder(t *testing.T) {
	q := ftptest.Quirks{System: `OS/400 is the remote operating system. The TCP/IP version is "V5R3M0".`,
		Listing: "QSYS 1 03/04/99 10:00:00 *STMF x\r\nQSYS 1 05/06/99 11:00:00 *STMF y\r\n", Times: map[string]string{"x": "19990403080000"}}
	onList(t, q, nil, func(t *testing.T, _ *ftptest.Awkward, c *ftpclient.Conn) {
		for range 2 {
			all, err := entries(t.Context(), c, "")
			if err != nil || len(all) != 2 || !all[0].Time.Equal(time.Date(1999, 4, 3, 8, 0, 0, 0, time.UTC)) || !all[1].Time.Equal(time.Date(1999, 6, 5, 9, 0, 0, 0, time.UTC)) {
				t.Fatalf("got %v, %v", all, err)
			}
		}
	})
}

// TestSystems reads listings of servers that say what they are.
func TestSystems(t *testing.T) {
	for system, lines := range map[string]string{
		"VMS V7.1": "Directory A:[B]\r\n\r\nA.TXT;1 2 30-DEC-1996 17:44 [SYSTEM] (RWED,RWED,RE,RE)\r\nB.DIR;1\r\n   1 30-DEC-1996 17:44\r\n\r\nTotal of 2 files, 4 blocks.\r\n",
		"MVS is the operating system of this server": "Volume Unit    Referred Ext Used Recfm Lrecl BlkSz Dsorg Dsname\r\nMigrated      DEV.DATA\r\nF1DBAR 3390   2016/12/19  3   19  FB      80  3120  PO  CB12V51.CNTL\r\n",
		"NETWARE":    "total 0\r\nd [R----F--] supervisor 512 Jan 16 18:53 login\r\n- [R----F--] supervisor 512 Jan 16 18:53 x\r\n",
		"Windows_NT": "05-28-24  09:15AM       <DIR>          folder\r\n05-28-2024  21:15                 1234 a name\r\n",
	} {
		t.Run(strings.Fields(system)[0], func(t *testing.T) {
			onList(t, ftptest.Quirks{System: system, Listing: lines}, nil, func(t *testing.T, a *ftptest.Awkward, c *ftpclient.Conn) {
				for range 2 {
					if all, err := entries(t.Context(), c, ""); err != nil || len(all) != 2 {
						t.Errorf("got %v, %v", all, err)
					}
				}
				if n := countVerb(a, "SYST"); n != 1 {
					t.Errorf("asked for the system %d times", n)
				}
			})
		})
	}
	// What does not belong there, and what ends too early, is an error.
	for name, q := range map[string]ftptest.Quirks{
		"half_entry": {System: "VMS", Listing: "A.TXT;1\r\n"},
		"total":      {System: "VMS", Listing: "Directory A:[B]\r\nA.TXT;1 2 30-DEC-1996 17:44\r\nTotal of 2 files.\r\n"},
		"chatter":    {System: "UNIX", Listing: "total 1\r\n-rw-r--r-- 1 a b 12 Dec 30 12:00 x\r\nls: y: Permission denied\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			onList(t, q, nil, func(t *testing.T, _ *ftptest.Awkward, c *ftpclient.Conn) {
				if all, err := entries(t.Context(), c, ""); fault.KindOf(err) != fault.Invalid {
					t.Errorf("got %v, %v", all, err)
				}
				if err := c.Noop(t.Context()); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			})
		})
	}
}

func manyLines(n int, line func(i int) string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range n {
			if !yield(line(i)) {
				return
			}
		}
	}
}

// TestLearnsZoneOfLong has a listing that is longer than what is held back.
func TestLearnsZoneOfLong(t *testing.T) {
	const n = 5000
	q := ftptest.Quirks{Lines: manyLines(n, func(i int) string { return fmt.Sprintf("-rw-r--r-- 1 a b 12 Dec 30 14:34 f%d", i) }),
		Times: map[string]string{"f0": "19991230123401"}}
	onList(t, q, nil, func(t *testing.T, a *ftptest.Awkward, c *ftpclient.Conn) {
		all, err := entries(t.Context(), c, "")
		if err != nil || len(all) != n {
			t.Fatalf("%d entries, %v", len(all), err)
		}
		for i, e := range all {
			if e.Name != fmt.Sprintf("f%d", i) || e.Time.UTC().Hour() != 12 {
				t.Fatalf("entry %d is %+v", i, e)
			}
		}
		if n := countVerb(a, "LIST"); n != 2 {
			t.Errorf("listed %d times, want twice", n)
		}
	})
}

// TestNames keeps names in their bytes; one with a line end in it cannot be sent.
func TestNames(t *testing.T) {
	names := []string{"na\xefve", "\x93\xfa\x96{", " lead", "trail ", "a\rb"}
	q := ftptest.Quirks{Features: []string{"MLST type*;size*;"}, Listing: "type=file; " + strings.Join(names, "\r\ntype=file; ") + "\r\n"}
	onList(t, q, nil, func(t *testing.T, a *ftptest.Awkward, c *ftpclient.Conn) {
		all, err := entries(t.Context(), c, "")
		var got []string
		for _, e := range all {
			got = append(got, e.Name)
		}
		if !slices.Equal(got, names[:4]) || fault.KindOf(err) != fault.Invalid {
			t.Errorf("got %q, %v", got, err)
		}
		for _, name := range []string{"x\r\nDELE y", "x\ny", "x\x00y"} {
			before := len(a.Commands())
			if err := c.Delete(t.Context(), name); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%q: %v", name, err)
			}
			if _, err := entries(t.Context(), c, name); fault.KindOf(err) != fault.Invalid {
				t.Errorf("list %q: %v", name, err)
			}
			if sent := a.Commands()[before:]; len(sent) != 0 {
				t.Errorf("%q: sent %v", name, sent)
			}
		}
	})
}
