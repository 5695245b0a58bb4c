package ftpclient_test

import (
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
)

// TestPortLies has servers that name no port that there can be. The transfer fails,
// nobody is dialled, and the connection goes on or is at its end.
func TestPortLies(t *testing.T) {
	for verb, answers := range map[string][]string{
		"PASV": {
			"227 (127,0,0,1,0,0)\r\n", "227 (127,0,0,1,256,1)\r\n", "227 (127,0,0,1,4)\r\n", "227 entering passive mode\r\n", "227 (,,,,,)\r\n",
			"227 (127,0,0,1,-1,1)\r\n", "227 (127,0,0,1,99999999999999999999,1)\r\n", "227-(127,0,0,1,1,1)\r\n227 no\r\n", "227 (::1,4,5)\r\n",
		},
		"EPSV": {
			"229 (|||0|)\r\n", "229 (|||65536|)\r\n", "229 (|||)\r\n", "229 ()\r\n", "229 (||||)\r\n", "229 (|1|203.0.113.7|0|)\r\n", "229 (|||-5|)\r\n", "229 (|||99999999999999999999|)\r\n",
		},
	} {
		for _, answer := range answers {
			a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{
				NoEPSV: verb == "PASV", Answers: map[string]string{verb: answer},
			}}
			if verb == "EPSV" {
				a.Quirks.Answers["PASV"] = "502 not that either\r\n"
			}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				dialIn(t, cfg, func(c *ftpclient.Conn) {
					if got, err := read(t.Context(), c, "f", 0); err == nil || got != "" {
						t.Errorf("%q: read %q, %v", answer, got, err)
					}
					if n := a.Connections(); n != 1 {
						t.Errorf("%q: %d connections, want the control connection alone", answer, n)
					}
					if c.Usable() {
						if n, err := c.Size(t.Context(), "f"); n != 7 || err != nil {
							t.Errorf("%q: afterwards %d, %v", answer, n, err)
						}
					}
				})
			})
		}
	}
}

// TestOpenings has servers begin transfers in odd ways. What is read is whole, or there
// is an error.
func TestOpenings(t *testing.T) {
	for name, tt := range map[string]struct {
		opening string
		whole   bool
	}{
		"125":             {"125 already open\r\n", true},
		"150_twice":       {"150 here\r\n150 it comes\r\n", false},
		"150_and_125":     {"150 here\r\n125 it comes\r\n", false},
		"150_many":        {strings.Repeat("150 wait\r\n", 2000), false},
		"200":             {"200 fine\r\n", false},
		"350":             {"350 more\r\n", false},
		"150_and_421":     {"150 here\r\n421 idle for too long\r\n", false},
		"150_and_garbage": {"150 here\r\nxyz\r\n", false},
		"two_finals":      {"150 here\r\n226 sent\r\n226 sent\r\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			content := strings.Repeat("0123456789", 5000)
			a := &ftptest.Awkward{Files: map[string]string{"f": content}, Quirks: ftptest.Quirks{Opening: tt.opening}}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				dialIn(t, cfg, func(c *ftpclient.Conn) {
					got, err := read(t.Context(), c, "f", 0)
					if err == nil && got != content || tt.whole && err != nil {
						t.Errorf("read %d of %d bytes, %v", len(got), len(content), err)
					}
					if !strings.HasPrefix(content, got) {
						t.Error("what was read is not the beginning of the file")
					}
					if !c.Usable() {
						return
					}
					// In step, or found out now: no reply is taken for another command's.
					if n, err := c.Size(t.Context(), "f"); err == nil && n != int64(len(content)) {
						t.Errorf("afterwards SIZE is %d", n)
					}
				})
				dialIn(t, cfg, func(c *ftpclient.Conn) {
					if err := write(t.Context(), c, "up", content, 0); err == nil {
						if stored, _ := a.File("up"); stored != content {
							t.Errorf("confirmed an upload of which %d of %d bytes are there", len(stored), len(content))
						}
					}
				})
				dialIn(t, cfg, func(c *ftpclient.Conn) {
					if n, err := count(t.Context(), c, ""); err == nil && n < 1 {
						t.Errorf("%d entries without an error", n)
					}
				})
			})
		})
	}
}

// TestWrongAtLogin has each step of a login answered by what belongs to another. There
// is an error that names the step, and no connection is left.
func TestWrongAtLogin(t *testing.T) {
	for verb, answers := range map[string][]string{
		"GREETING": {"230 logged in already\r\n", "331 password?\r\n", "421 not now\r\n", "500 what?\r\n", "SSH-2.0-x\r\n", "", "220", "{hang up}", "220-never ends\r\n{hang up}"},
		"USER":     {"150 here\r\n", "220 welcome\r\n", "226 done\r\n", "{hang up}", "331"},
		"PASS":     {"331 again?\r\n", "220 who?\r\n", "350 more?\r\n", "530 no\r\n", "421 bye\r\n", "{hang up}"},
		"FEAT":     {"150 here\r\n", "226 done\r\n", "211-never ends\r\n{hang up}", "421 bye\r\n"},
		"TYPE":     {"227 (1,2,3,4,5,6)\r\n", "350 what?\r\n", "500 no\r\n", "200"},
	} {
		for _, answer := range answers {
			a := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{verb: answer}}}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				c, err := ftpclient.Dial(t.Context(), cfg)
				if err == nil {
					t.Errorf("%s answered %q: logged in all the same", verb, answer)
					_ = c.Close() // the test has failed
				} else if !strings.Contains(err.Error(), cfg.Addr) {
					t.Errorf("%s answered %q: %v does not say which server", verb, answer, err)
				}
			})
		}
	}
}

// TestGreetingLater has a server say 120 before its 220, and one that says nothing else.
func TestGreetingLater(t *testing.T) {
	a := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{"GREETING": strings.Repeat("120 in a moment\r\n", 5) + "220 now\r\n"}}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		dialIn(t, cfg, func(c *ftpclient.Conn) {
			if err := c.Noop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
	a = &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{"GREETING": strings.Repeat("120 in a moment\r\n", 100_000)}}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		began := time.Now()
		if _, err := ftpclient.Dial(t.Context(), cfg); fault.KindOf(err) != fault.Busy || time.Since(began) > time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}
